"""Parse groundings that are not JSON: XML points, Qwen2-VL's box tokens, and lines with four numbers and a label.

Every pattern is bounded or possessive, so that the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qwenvl_core.parsing.coordinate_keys import get_kind, get_label
from qwenvl_core.parsing.numbers import NUMBER, enclose_corners, find_numbers
from qwenvl_core.parsing.text import join_lines, unescape


@dataclass(slots=True)
class RawGrounding:
    """A box or points in the model's unit.

    Attributes:
        start: Offset in the text.
        kind: `"box"` for x, y, x, y and `"point"` for any number of x, y.
        numbers: The coordinates.
        label: Its label, if it has one.
        attributes: Further attributes of the element.
    """

    start: int
    kind: Literal["box", "point"]
    numbers: list[float]
    label: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


_POINTS = re.compile(r"<points?\b(?P<attributes>[^<>]*+)>(?:(?P<phrase>[^<]*+)</points?\s*+>)?", re.IGNORECASE)
_CUT_PHRASE = re.compile(r"[^<]*+(?:</?[a-z]{0,6}\s*+)?\Z", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""(?<![\w:.-])([\w:.-]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""")
_X_NAME = re.compile(r"x(\d{0,6})", re.IGNORECASE)


def find_xml_points(text: str, *, is_cut: bool = False) -> Iterator[RawGrounding]:
    """Find elements such as `<points x1="1" y1="2" x2="3" y2="4" alt="cups">cups</points>`.

    They may be self-closed or unclosed, and may have `x` and `y` without a number.

    Args:
        text: The answer.
        is_cut: Whether the answer was cut off, so that the phrase of the last element may be missing.
    """
    for match in _POINTS.finditer(text):
        attributes = {
            name: unescape(double or single) for name, double, single in _ATTRIBUTE.findall(match["attributes"])
        }
        numbers, coordinate_names = [], set()
        for name in attributes:
            x_name = _X_NAME.fullmatch(name)
            if x_name is None:
                continue
            y_name = f"{'Y' if name[0] == 'X' else 'y'}{x_name[1]}"
            coordinate_names |= {name, y_name}
            x, y = (NUMBER.fullmatch(attributes.get(key, "").strip()) for key in (name, y_name))
            if x and y:
                numbers += [float(x.group()), float(y.group())]
        if numbers:
            rest = {name: value for name, value in attributes.items() if name not in coordinate_names}
            label = _clean_label(unescape(match["phrase"] or "")) or _clean_label(rest.get("alt", ""))
            is_closed = match["phrase"] is not None or match["attributes"].endswith("/")
            is_open = not is_closed and _CUT_PHRASE.match(text, match.end()) is not None
            if not (is_cut and is_open and label is None):
                yield RawGrounding(match.start(), "point", numbers, label, rest)


_BOX_START = re.compile(r"<\|(?:box|quad)_start\|>|<(?:box|quad)>")
_TOKEN = re.compile(
    r"(?:<\|object_ref_start\|>|<ref>)(?P<label>[^<]*+)"
    r"|(?:<\|(?:box|quad)_start\|>|<(?:box|quad)>)(?P<numbers>[^<]*+)(?P<end><\|(?:box|quad)_end\|>|</(?:box|quad)>)?"
    r"|(?P<other><[^<>]*+>?)"
    r"|(?P<prose>[^\s<,;.][^<]*+)"
)


def find_box_tokens(text: str, source: str, *, is_cut: bool = False) -> Iterator[RawGrounding]:
    """Find `<|object_ref_start|>cup<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>`.

    A label applies to all boxes that follow it without prose between. Two numbers instead of four are a point; eight
    are the corners of a rotated box, which becomes the upright box around them. The first Qwen-VL writes `<ref>` and
    `<box>` instead.

    Args:
        text: The answer, with full-width signs replaced.
        source: The answer, from which labels are taken.
        is_cut: Whether the answer was cut off, so that further corners of a box may be missing.
    """
    if not _BOX_START.search(text):
        return
    label: str | None = None
    for match in _TOKEN.finditer(text):
        if match["label"] is not None:
            label = _clean_label(source[match.start("label") : match.end("label")])
        elif match["prose"]:  # a label before prose does not apply to the boxes after it
            label = None
        elif match["numbers"] is not None:
            numbers = find_numbers(match["numbers"])
            if len(numbers) == 8:
                numbers = enclose_corners(numbers)
            if match["end"] or (_is_whole_box(match) and not (is_cut and match.end() == len(text))):
                kind: Literal["box", "point"] = "point" if len(numbers) == 2 else "box"
                yield RawGrounding(match.start(), kind, numbers, label)


def _is_whole_box(match: re.Match[str]) -> bool:
    """Return whether a box without an end token has all its corners."""
    count = 8 if "quad" in match.group()[:8] else 4
    return len(find_numbers(match["numbers"])) == count and match["numbers"].rstrip().endswith(")")


_N = r"[-+]?\d{1,9}(?:\.\d{1,9})?"
_B = r"[ \t]{0,9}"
_FOUR = rf"{_N}{_B},{_B}{_N}{_B},{_B}{_N}{_B},{_B}{_N}"
_PAIR = rf"\({_B}{_N}{_B},{_B}{_N}{_B}\)"
_LINE = re.compile(r"[^\n]++")
_BULLET = r"[ \t]{0,40}(?:[-*•][ \t]{1,9}|\d{1,3}[.)][ \t]{1,9})?"
_EIGHT = rf"{_FOUR}{_B},{_B}{_FOUR}"
_POLYGON_AT_START = re.compile(rf"{_BULLET}({_EIGHT})(?!{_B},?\d)(.*)")
_AT_START = re.compile(rf"{_BULLET}({_FOUR})(?!{_B}[,.]?\d)(.*)")
_AFTER_COLON = re.compile(rf"(.*?):{_B}({_FOUR})\s*\Z")
_BRACKETED = re.compile(rf"\({_B}{_FOUR}{_B}\)|\[{_B}{_FOUR}{_B}\]|{_PAIR}{_B},{_B}{_PAIR}")
_KEY_END = r"(?:_[23]d)?(?:\\?[\"']|\s{0,9}:)"
_KEY = r"\s{0,99}[\"'][^\"'\n]{1,80}[\"']\s{0,9}:"
# In lower case. Each alternative begins with one character, so that `re` skips other text quickly.
_OTHER_FORMAT = re.compile(
    rf"bbox{_KEY_END}|point{_KEY_END}|<(?:points?\b|\|(?:box|quad)_start|(?:box|quad)>)|\{{{_KEY}|,{_KEY}|\[{_KEY}"
)
_FENCE = re.compile(r"```\w{0,20}")
_LETTER = re.compile(r"[^\W\d_]")
_CUT_TUPLE = re.compile(r"[(\[][-+\d.,\s()]{0,60}\Z")
# Numbers that count or refer to something, and words that go on a sentence.
_REFERENCE = re.compile(
    r"\b(?:pages|pp?\.|questions|steps|chapters|sections|figures|figs?\.|tables|items|numbers|references|refs?\.?|lines"
    r"|rows|columns|years|versions?|exercises|problems|lessons|rooms|floors|ports|ips?|addresses|scores|options|answers"
    r"|dates|see|cf\.?|ids?)\W*\Z",
    re.IGNORECASE,
)
_MAX_REFERENCE_WORD = 40  # characters, with the signs after it
_SENTENCE = re.compile(
    r"\s*+(?:and|or|are|is|was|were|be|have|has|had|will|can|may|should|in|of|to|for|on|at|from|respectively|etc)\b"
    r"|\s*+&",
    re.IGNORECASE,
)
_LABEL_EDGE = " \t\r\n:;,.-–—=<>→*`\"'|[]{}：；，。、＝“”‘’"
_NUMBERING = re.compile(r"[ \t*]{0,40}+\d{1,3}[.)][ \t*]{1,9}(?=\S)")
# Between two tuples, and before the label of the second one or after that of the first one.
_AND_BEFORE = re.compile(r"[\s,;，；、]*+(?:(?:and|or|plus)\b|[&+和与及]|以及)\s*+", re.IGNORECASE)
_AND_AFTER = re.compile(r"\s*(?:[\s,;，；、](?:and|or|plus)|[&+和与及]|以及)\s*\Z", re.IGNORECASE)
# `label: cup, box` before a tuple names the box, too.
_MAX_KEY = 40  # characters
_LABEL_KEY = re.compile(
    rf"(?:{_BULLET}|[\s,;]{{0,9}})[\"'*]{{0,3}}(?:label|object|name|class|category)[\"'*]{{0,3}}[ \t]{{0,9}}[:=]",
    re.IGNORECASE,
)
_BOX_KEY = re.compile(
    r"(?:[,;|(]|\A(?:[ \t]{0,9}[-*•])?)[ \t]{0,9}([a-z][a-z_2 ]{1,19})[ \t]{0,9}[:=]?[ \t]{0,9}\Z", re.IGNORECASE
)
_BULLET_EDGE = " \t-*•`|"
_MAX_KEY_WORDS = 3  # a longer key is prose
# Words of a sentence that lists numbers, such as "The relevant pages are:".
_PROSE_WORD = re.compile(r"\b(?:is|are|was|were|of|contains?|includes?|values?|list|pages?)\b", re.IGNORECASE)
_MAX_LINE = 2000  # characters; a longer line is not a tuple with a label


def find_plain_tuples(
    text: str, source: str, rows: Iterable[tuple[int, Sequence[float], str | None]], *, is_cut: bool = False
) -> list[RawGrounding]:
    """Find `1,2,3,4 cup` on a line, `cup: 1,2,3,4`, `(1,2,3,4) cup`, `cup (1,2),(3,4)`, and lists of numbers.

    Text that contains the start of another format yields only lists: its other numbers are from a truncated answer in
    that format. Eight numbers are the corners of a polygon, which becomes the box around it. Numbers that count pages,
    or go on in a sentence, are left out.

    Args:
        text: The answer, with full-width signs replaced.
        source: The answer, from which labels are taken.
        rows: Lists of numbers that `scan_json` found, with their offsets and labels.
        is_cut: Whether the answer was cut off, so that the last line may lack the rest of a number or of a label.
    """
    has_words = _LETTER.search(_FENCE.sub("", text)) is not None  # without, even 1, 2, 3, 4 is no count
    lists = {start: (numbers, label) for start, numbers, label in rows if not has_words or _is_box(numbers)}
    found: list[RawGrounding] = []
    if _OTHER_FORMAT.search(text.lower()):
        return [_create_box(start, numbers, label) for start, (numbers, label) in lists.items()]
    for line in _LINE.finditer(text):
        if line.end() - line.start() <= _MAX_LINE:
            reader = _LineReader(text, source, line.start(), line.end(), is_cut=is_cut and line.end() == len(text))
            for raw in reader.read():
                if raw.label or raw.start not in lists:
                    lists.pop(raw.start, None)
                    found.append(raw)
            for start in reader.left_out if has_words else ():
                lists.pop(start, None)
    found += [_create_box(start, numbers, label) for start, (numbers, label) in lists.items()]
    boxes = sorted(found, key=lambda raw: raw.start)
    is_last_incomplete = is_cut and bool(boxes) and boxes[-1].label is None and any(raw.label for raw in boxes)
    return boxes[:-1] if is_last_incomplete and text.rstrip().endswith((")", "]")) else boxes


def _create_box(start: int, numbers: Sequence[float], label: str | None) -> RawGrounding:
    corners = enclose_corners(numbers) if len(numbers) == 8 else numbers
    return RawGrounding(start, "box", list(map(float, corners)), label)


def _is_box(numbers: Sequence[float]) -> bool:
    """Return whether numbers without a key can be a box: not reversed, and not a count such as 1, 2, 3, 4."""
    if len(numbers) == 8:
        numbers = enclose_corners(numbers)
    left, top, right, bottom = numbers
    is_count = left + 1 == top and top + 1 == right and right + 1 == bottom
    return left <= right and top <= bottom and not is_count


class _LineReader:
    """Read the tuples of one line.

    Args:
        text: The answer, with full-width signs replaced.
        source: The answer.
        start: Offset of the line.
        end: Offset of its end.
        is_cut: Whether the line lacks its end.

    Attributes:
        left_out: Offsets of brackets with numbers that are no boxes.
    """

    def __init__(self, text: str, source: str, start: int, end: int, *, is_cut: bool) -> None:
        self._text = text
        self._line = text[start:end]
        self._source = source[start:end]
        self._start = start
        self._is_cut = is_cut
        self.left_out: list[int] = []

    def read(self) -> list[RawGrounding]:
        """Return the boxes of the line."""
        match = _AT_START.match(self._line) or _POLYGON_AT_START.match(self._line)
        if match:
            numbers = find_numbers(match[1])
            is_left_out = self._is_cut or self._is_row(match) or self._is_prose(match, numbers)
            return [] if is_left_out else [self._create(match, 1, 2, numbers)]
        match = _AFTER_COLON.match(self._line) if ":" in self._line else None
        if match:
            numbers = find_numbers(match[2])
            is_prose = not _is_box(numbers) or _is_reference_word(match[1])
            return [] if self._is_cut or is_prose else [self._create(match, 2, 1, numbers)]
        return self._read_bracketed()

    def _create(self, match: re.Match[str], place: int, label: int, numbers: list[float]) -> RawGrounding:
        """Create a box from a match, the groups of its numbers and its label, and the numbers."""
        start, end = match.span(label)
        return _create_box(self._start + match.start(place), numbers, _read_label(self._source[start:end]))

    def _is_row(self, match: re.Match[str]) -> bool:
        """Return whether numbers at the start of a line are after a bracket, so that they are a row of `scan_json`."""
        start = self._start + match.start(1)
        return self._text[max(0, start - 80) : start].rstrip().endswith("[")

    def _is_prose(self, match: re.Match[str], numbers: list[float]) -> bool:
        """Return whether numbers at the start of a line belong to a sentence; without spaces they are a box."""
        is_compact = " " not in match[1]
        return not is_compact and (not _is_box(numbers) or _SENTENCE.match(match[2]) is not None)

    def _read_bracketed(self) -> list[RawGrounding]:
        """Read bracketed tuples, whose labels are either all before or all after their tuples."""
        matches = list(_BRACKETED.finditer(self._line))
        if not matches:
            return []
        texts, end = [], 0  # before, between and after the tuples
        for match in matches:
            texts.append(self._source[end : match.start()])
            end = match.end()
        texts.append(self._source[end:])
        is_label_before = _clean_label(_strip_keys(texts[0])) is not None
        if not is_label_before:
            del texts[0]
            if self._is_cut and texts[-1].strip(" ]"):  # the last label may be incomplete
                self.left_out.append(self._start + matches.pop().start())
        found: list[RawGrounding] = []
        label: str | None = None
        is_left_out = False
        for index, (match, text) in enumerate(zip(matches, texts, strict=False)):
            if is_label_before and index:
                text = _AND_BEFORE.sub("", text, count=1)
            elif index < len(matches) - 1:
                text = _AND_AFTER.sub("", text, count=1)
            own_label = _read_label(text)
            is_in_series = is_label_before and index > 0 and own_label is None  # the label before applies to it
            label = label if is_in_series else own_label
            start = self._start + match.start()
            numbers = find_numbers(match.group())
            is_left_out = (is_in_series and is_left_out) or self._is_reference(match, numbers, text)
            if is_left_out:
                self.left_out.append(start)
            else:
                found.append(_create_box(start, numbers, label))
        return found

    def _is_reference(self, match: re.Match[str], numbers: list[float], text: str) -> bool:
        """Return whether numbers in brackets refer to pages or the like; two pairs of numbers are always a box."""
        tuple_text = match.group()
        if tuple_text.count("(") == 2:
            return False
        if not _is_box(numbers) or _is_reference_word(self._line[: match.start()]):
            return True
        if max(numbers) >= 100:
            return False
        text = _drop_cut_tuple(text)
        words = text.strip(_BULLET_EDGE).split()
        is_key = tuple_text.startswith("[") and text.rstrip().endswith(":")
        is_key = is_key and len(words) <= _MAX_KEY_WORDS and _PROSE_WORD.search(text) is None
        return len(words) > 1 and not is_key


def _is_reference_word(before: str) -> bool:
    """Return whether the text before numbers ends with a word such as `pages`."""
    return _REFERENCE.search(before[-_MAX_REFERENCE_WORD:]) is not None


def _read_label(text: str) -> str | None:
    """Return the label in the text beside a tuple on its line."""
    if not text.strip(_LABEL_EDGE):  # most often the comma between two tuples
        return None
    return get_label(_clean_label(_strip_keys(text)))


def _strip_keys(text: str) -> str:
    """Remove the number of an item, and the names of keys, from the text beside a tuple."""
    text = _drop_cut_tuple(text)
    end = _BOX_KEY.search(text, max(0, len(text) - _MAX_KEY)) if "box" in text.lower() else None
    if end and get_kind(end[1]) == "box":
        text = text[: end.start()]
    has_key = ":" in text[:-2] or "=" in text[:-2]
    start = _NUMBERING.match(text) or (_LABEL_KEY.match(text) if has_key else None)
    return text[start.end() :] if start else text


def _drop_cut_tuple(text: str) -> str:
    """Remove a tuple that lacks its end from the end of a text."""
    return _CUT_TUPLE.sub("", text) if "(" in text or "[" in text else text


def _clean_label(text: str) -> str | None:
    """Return text on one line without punctuation at its ends, or `None` if nothing is left."""
    return join_lines(text).strip(_LABEL_EDGE) or None

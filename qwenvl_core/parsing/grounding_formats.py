"""Located things that are not JSON: XML points, Qwen2-VL's box tokens, and lines with four numbers and a name.

Every pattern is bounded or possessive, so that the time grows in proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qwenvl_core.parsing.text import one_line, unescape

NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
"""A number in decimal notation."""


@dataclass(frozen=True, slots=True)
class RawGrounding:
    """Numbers with a name, still in the model's unit.

    Attributes:
        start: Offset in the text.
        kind: `"box"` for x, y, x, y and `"point"` for any number of x, y.
        numbers: The coordinates.
        label: The name.
        attributes: What else was said.
    """

    start: int
    kind: Literal["box", "point"]
    numbers: list[float]
    label: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


_POINTS = re.compile(r"<points?\b(?P<attributes>[^<>]*+)>(?:(?P<phrase>[^<]*+)</points?\s*+>)?", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""(?<![\w:.-])([\w:.-]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""")
_X = re.compile(r"x(\d{0,6})", re.IGNORECASE)


def xml_points(text: str) -> Iterator[RawGrounding]:
    """`<points x1="1" y1="2" x2="3" y2="4" alt="cups">cups</points>`, also self-closed, unclosed or with x and y."""
    for match in _POINTS.finditer(text):
        given = {name: unescape(double or single) for name, double, single in _ATTRIBUTE.findall(match["attributes"])}
        numbers, names = [], set()
        for name in given:
            indexed = _X.fullmatch(name)
            partner = f"{'Y' if name[0] == 'X' else 'y'}{indexed[1]}" if indexed else ""
            pair = [NUMBER.fullmatch(given.get(key, "").strip()) for key in (name, partner)]
            if indexed:
                names |= {name, partner}
            if indexed and pair[0] and pair[1]:
                numbers += [float(pair[0].group()), float(pair[1].group())]
        if numbers:
            rest = {name: value for name, value in given.items() if name not in names}
            label = _name(unescape(match["phrase"] or "")) or _name(rest.get("alt", ""))
            yield RawGrounding(match.start(), "point", numbers, label, rest)


_BOX_START = re.compile(r"<\|(?:box|quad)_start\|>|<(?:box|quad)>")
_TOKEN = re.compile(
    r"(?:<\|object_ref_start\|>|<ref>)(?P<label>[^<]*+)"
    r"|(?:<\|(?:box|quad)_start\|>|<(?:box|quad)>)(?P<numbers>[^<]*+)(?P<end><\|(?:box|quad)_end\|>|</(?:box|quad)>)?"
    r"|(?P<other><[^<>]*+>?)"
    r"|(?P<prose>[^\s<,;.][^<]*+)"
)


def box_tokens(text: str) -> Iterator[RawGrounding]:
    """`<|object_ref_start|>cup<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>`; one name serves several boxes.

    Two numbers instead of four are a point, eight the corners of a box that is not upright: it is the one around them.
    `<ref>` and `<box>` are the same in the first Qwen-VL.
    """
    if not _BOX_START.search(text):
        return
    label: str | None = None
    for match in _TOKEN.finditer(text):
        if match["label"] is not None:
            label = _name(match["label"])
        elif match["prose"]:  # what was named before is not what comes now
            label = None
        elif match["numbers"] is not None:
            numbers = [float(n) for n in NUMBER.findall(match["numbers"])]
            if len(numbers) == 8:
                xs, ys = numbers[::2], numbers[1::2]
                numbers = [min(xs), min(ys), max(xs), max(ys)]
            if match["end"] or (len(numbers) == 4 and match["numbers"].rstrip().endswith(")")):
                kind: Literal["box", "point"] = "point" if len(numbers) == 2 else "box"
                yield RawGrounding(match.start(), kind, numbers, label)


_N = r"[-+]?\d{1,9}(?:\.\d{1,9})?"
_B = r"[ \t]{0,9}"
_FOUR = rf"{_N}{_B},{_B}{_N}{_B},{_B}{_N}{_B},{_B}{_N}"
_PAIR = rf"\({_B}{_N}{_B},{_B}{_N}{_B}\)"
_LINE = re.compile(r"[^\n]++")
_BULLET = r"[ \t]{0,40}(?:[-*•][ \t]{1,9}|\d{1,3}[.)][ \t]{1,9})?"
_AT_START = re.compile(rf"{_BULLET}({_FOUR})(?!{_B}[,.]?\d)(.*)")
_AFTER_COLON = re.compile(rf"(.*?):{_B}({_FOUR})\s*\Z")
_BRACKETED = re.compile(rf"\({_B}{_FOUR}{_B}\)|\[{_B}{_FOUR}{_B}\]|{_PAIR}{_B},{_B}{_PAIR}")
_OTHER_FORMAT = re.compile(
    r"(?:bbox|point)(?:_[23]d)?[\"']|<points?\b|<\|(?:box|quad)_start|<(?:box|quad)>", re.IGNORECASE
)
_EDGE = " \t\r\n:;,.-–—=>→*`\"'|[]{}"
_MAX_LINE = 2000  # in characters; a longer line is no tuple with a name


def plain_tuples(text: str, rows: Iterable[tuple[int, Sequence[float]]]) -> list[RawGrounding]:
    """`1,2,3,4 cup` on a line, `cup: 1,2,3,4`, `(1,2,3,4) cup`, `cup (1,2),(3,4)`, or lists of four numbers.

    Nothing is read from text that began in one of the other formats: its numbers are pieces of what was cut off.

    Args:
        text: The answer.
        rows: Lists of four numbers that the JSON scanner met, with their offsets.
    """
    if _OTHER_FORMAT.search(text):
        return []
    found: list[RawGrounding] = []
    for line in _LINE.finditer(text):
        if line.end() - line.start() <= _MAX_LINE:
            found += _line(text, line.start(), line.group())
    seen = {located.start for located in found}
    found += [RawGrounding(start, "box", [float(n) for n in row]) for start, row in rows if start not in seen]
    return found


def _line(text: str, offset: int, line: str) -> list[RawGrounding]:
    """The tuples of one line that begins at `offset`."""
    match = _AT_START.match(line)
    if match:
        start = offset + match.start(1)
        if text[max(0, start - 80) : start].rstrip().endswith("["):  # one of the scanner's rows
            return []
        return [RawGrounding(start, "box", _floats(match[1]), _name(match[2]))]
    match = _AFTER_COLON.match(line)
    if match:
        return [RawGrounding(offset + match.start(2), "box", _floats(match[2]), _name(match[1]))]
    return _bracketed(offset, line)


def _bracketed(offset: int, line: str) -> list[RawGrounding]:
    """The tuples in brackets on a line. All names are before their tuples, or all behind."""
    matches = list(_BRACKETED.finditer(line))
    if not matches:
        return []
    ends = [0, *(match.end() for match in matches)]
    starts = [*(match.start() for match in matches), len(line)]
    names = [_name(line[end:start]) for end, start in zip(ends, starts, strict=True)]
    if names[0] is None:
        names = names[1:]
    return [
        RawGrounding(offset + match.start(), "box", _floats(match.group()), name)
        for match, name in zip(matches, names, strict=False)
    ]


def _floats(text: str) -> list[float]:
    return [float(n) for n in NUMBER.findall(text)]


def _name(text: str) -> str | None:
    """`text` as a label: one line, without punctuation at its ends."""
    return one_line(text).strip(_EDGE) or None

"""Parse groundings that are not JSON: XML points, Qwen2-VL's box tokens, and lines with four numbers and a label.

Every pattern is bounded or possessive, so that the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qwenvl_core.parsing.numbers import NUMBER, enclose_corners, find_numbers
from qwenvl_core.parsing.text import join_lines, unescape


@dataclass(frozen=True, slots=True)
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
_ATTRIBUTE = re.compile(r"""(?<![\w:.-])([\w:.-]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""")
_X_NAME = re.compile(r"x(\d{0,6})", re.IGNORECASE)


def find_xml_points(text: str) -> Iterator[RawGrounding]:
    """Find elements such as `<points x1="1" y1="2" x2="3" y2="4" alt="cups">cups</points>`.

    They may be self-closed or unclosed, and may have `x` and `y` without a number.
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
            yield RawGrounding(match.start(), "point", numbers, label, rest)


_BOX_START = re.compile(r"<\|(?:box|quad)_start\|>|<(?:box|quad)>")
_TOKEN = re.compile(
    r"(?:<\|object_ref_start\|>|<ref>)(?P<label>[^<]*+)"
    r"|(?:<\|(?:box|quad)_start\|>|<(?:box|quad)>)(?P<numbers>[^<]*+)(?P<end><\|(?:box|quad)_end\|>|</(?:box|quad)>)?"
    r"|(?P<other><[^<>]*+>?)"
    r"|(?P<prose>[^\s<,;.][^<]*+)"
)


def find_box_tokens(text: str) -> Iterator[RawGrounding]:
    """Find `<|object_ref_start|>cup<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>`.

    A label applies to all boxes that follow it without prose between. Two numbers instead of four are a point; eight
    are the corners of a rotated box, which becomes the upright box around them. The first Qwen-VL writes `<ref>` and
    `<box>` instead.
    """
    if not _BOX_START.search(text):
        return
    label: str | None = None
    for match in _TOKEN.finditer(text):
        if match["label"] is not None:
            label = _clean_label(match["label"])
        elif match["prose"]:  # a label before prose does not apply to the boxes after it
            label = None
        elif match["numbers"] is not None:
            numbers = find_numbers(match["numbers"])
            if len(numbers) == 8:
                numbers = enclose_corners(numbers)
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
_LABEL_EDGE = " \t\r\n:;,.-–—=>→*`\"'|[]{}"
_MAX_LINE = 2000  # characters; a longer line is not a tuple with a label


def find_plain_tuples(text: str, rows: Iterable[tuple[int, Sequence[float]]]) -> list[RawGrounding]:
    """Find `1,2,3,4 cup` on a line, `cup: 1,2,3,4`, `(1,2,3,4) cup`, `cup (1,2),(3,4)`, and lists of four numbers.

    Text that contains the start of another format yields nothing: its numbers are from a truncated answer in that
    format.

    Args:
        text: The answer.
        rows: Lists of four numbers that `scan_json` found, with their offsets.
    """
    if _OTHER_FORMAT.search(text):
        return []
    found: list[RawGrounding] = []
    for line in _LINE.finditer(text):
        if line.end() - line.start() <= _MAX_LINE:
            found += _read_line(text, line.start(), line.group())
    starts = {raw.start for raw in found}
    found += [RawGrounding(start, "box", [float(n) for n in row]) for start, row in rows if start not in starts]
    return found


def _read_line(text: str, offset: int, line: str) -> list[RawGrounding]:
    """Read the tuples of the line that begins at `offset` of `text`."""
    match = _AT_START.match(line)
    if match:
        start = offset + match.start(1)
        if text[max(0, start - 80) : start].rstrip().endswith("["):  # one of the rows of `scan_json`
            return []
        return [RawGrounding(start, "box", find_numbers(match[1]), _clean_label(match[2]))]
    match = _AFTER_COLON.match(line)
    if match:
        return [RawGrounding(offset + match.start(2), "box", find_numbers(match[2]), _clean_label(match[1]))]
    return _read_bracketed(offset, line)


def _read_bracketed(offset: int, line: str) -> list[RawGrounding]:
    """Read the bracketed tuples of a line, whose labels are either all before or all after their tuples."""
    matches = list(_BRACKETED.finditer(line))
    if not matches:
        return []
    ends = [0, *(match.end() for match in matches)]
    starts = [*(match.start() for match in matches), len(line)]
    labels = [_clean_label(line[end:start]) for end, start in zip(ends, starts, strict=True)]
    if labels[0] is None:
        labels = labels[1:]
    return [
        RawGrounding(offset + match.start(), "box", find_numbers(match.group()), label)
        for match, label in zip(matches, labels, strict=False)
    ]


def _clean_label(text: str) -> str | None:
    """Return text on one line without punctuation at its ends, or `None` if nothing is left."""
    return join_lines(text).strip(_LABEL_EDGE) or None

"""Boxes, points and 3D boxes in what a Qwen-VL model says, and pictures of them.

The shapes are those of the vendor's notebooks on spatial understanding, 2D and 3D grounding and OCR: JSON objects
with `bbox_2d`, `point_2d` or `bbox_3d`; `<points x1= y1= ...>` elements; lines like `1,2,3,4 cup`; and the box tokens
of Qwen2-VL. Model text is untrusted and often damaged: nothing in it makes these functions raise, and nothing in it
is evaluated.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from qwenvl_core.parsing.grounding_formats import NUMBER, RawGrounding, box_tokens, plain_tuples, xml_points
from qwenvl_core.parsing.json_scanner import is_number, scan_json
from qwenvl_core.parsing.text import sanitize
from qwenvl_core.parsing.unescape import first_readable_variant
from qwenvl_core.vision.boxes import Box, CoordinateSpace, Size, Space
from qwenvl_core.vision.drawing import crop, draw

__all__ = ["Box", "Grounded", "crop", "draw", "parse_grounding"]

GroundingKind = Literal["box", "point", "box3d"]


@dataclass(frozen=True, slots=True)
class Grounded:
    """One thing that the model located.

    Attributes:
        kind: `"box"`, `"point"` or `"box3d"`.
        label: What it is, when the model said so. For spotted text without a label, the text.
        box: Where it is. `None` for the other kinds, and for a box without area or with unreadable numbers.
        points: x and y of each point in fractions of the image's sides, 0 to 1. One answer can hold several; a box
            has some when the model gave both.
        values: The numbers of a 3D box as they are. The vendor's prompt asks for x, y, z of the centre and three
            sizes in metres in the camera's frame, then roll, pitch and yaw, on whose unit its texts and its code
            disagree.
        attributes: Every other key of the answer. `text_content` is here even where it serves as the label, and a
            coordinate key is here when its value could not be read.
    """

    kind: GroundingKind
    label: str | None = None
    box: Box | None = None
    points: tuple[tuple[float, float], ...] = ()
    values: tuple[float, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict, hash=False)


_KINDS: dict[str, GroundingKind] = {
    "bbox_2d": "box",
    "bbox": "box",
    "point_2d": "point",
    "point": "point",
    "bbox_3d": "box3d",
}
_LENGTHS: dict[GroundingKind, int | None] = {"box": 4, "point": 2, "box3d": None}
_ALIASES = ("bbox", "point")  # words that also mean other things, so they count only with coordinates
_KEY = re.compile(r"(?:bbox|point)_[23]d", re.IGNORECASE)
_NUMBERS_AS_TEXT = re.compile(r"[-+\d.,;\s()\[\]]{1,400}")


def parse_grounding(text: str, *, space: Space = "auto", size: Size | None = None) -> list[Grounded]:
    """Everything that the model located, in the order of its answer.

    Reads JSON (in code fences or not, wrapped in an object, with prose around it, damaged or cut off), XML points,
    box tokens and, when there is none of these, plain tuples. An object that was cut off is left out. The time
    grows in proportion to the text.

    Args:
        text: The model's answer.
        space: `"relative"` for thousandths of the image (Qwen3-VL and newer), `"absolute"` for pixels of the image
            that was sent (Qwen2.5-VL), `"auto"` for relative.
        size: Width and height of the image that was sent, in pixels. Needed by `"absolute"`.

    Raises:
        ValueError: `space` is unknown, or `size` is missing or no size. Never because of the text.
    """
    frame = CoordinateSpace.of(space, size)
    text = first_readable_variant(sanitize(text), _is_readable)
    scan = scan_json(text)
    found = [(start, item) for start, value in scan.objects for item in _from_object(value, frame)]
    others = [*xml_points(text), *box_tokens(text)]
    if not found and not others:
        others = plain_tuples(text, scan.rows)
    found += [(located.start, _from_located(located, frame)) for located in others]
    # The scanner hands objects out as they end, so a nested one comes before the one around it.
    found.sort(key=lambda pair: pair[0])
    return [item for _, item in found]


def _is_readable(text: str) -> bool:
    """Whether nothing is said of coordinates that is not found by the name of its key."""
    return _KEY.search(text) is None or bool(scan_json(text).objects)


def _from_located(located: RawGrounding, frame: CoordinateSpace) -> Grounded:
    """The item for numbers that were not in JSON."""
    if located.kind == "box":
        return Grounded("box", located.label, box=frame.box(located.numbers), attributes=located.attributes)
    numbers = located.numbers
    points = tuple(frame.point(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=False))
    return Grounded("point", located.label, points=points, attributes=located.attributes)


def _from_object(value: dict[str, Any], frame: CoordinateSpace) -> list[Grounded]:
    """The item that a JSON object stands for; several when its box key holds several boxes."""
    label, attributes = _label_and_rest(value)
    groups: dict[GroundingKind, list[list[float]]] = {}
    for key, kind in _KINDS.items():
        if key not in value:
            continue
        numbers = _groups(value[key], _LENGTHS[kind])
        if not numbers:
            attributes[key] = value[key]
        if numbers or key not in _ALIASES:
            groups.setdefault(kind, []).extend(numbers)
    points = tuple(frame.point(x, y) for x, y in groups.get("point", ()))
    items = []
    if "box" in groups:
        items += [
            Grounded("box", label, frame.box(numbers), points, attributes=attributes)
            for numbers in groups["box"] or [[]]
        ]
    elif "point" in groups:
        items.append(Grounded("point", label, points=points, attributes=attributes))
    if "box3d" in groups:
        items += [
            Grounded("box3d", label, values=tuple(numbers), attributes=attributes)
            for numbers in groups["box3d"] or [[]]
        ]
    return items


def _label_and_rest(value: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The name of an object and all that is neither name nor coordinates."""
    rest = {key: item for key, item in value.items() if key not in _KINDS}
    for key in ("label", "text_content"):
        name = value.get(key)
        if isinstance(name, str) or is_number(name):
            rest.pop("label", None)
            return str(name), rest
    if rest.get("label") is None:
        rest.pop("label", None)
    return None, rest


def _groups(value: object, length: int | None) -> list[list[float]]:
    """The coordinates in a JSON value, as one list for each box, point or 3D box; empty when unreadable.

    Args:
        value: A list of numbers, a list of such lists, or text that holds the numbers.
        length: Numbers that belong together. `None` takes any number of them.
    """
    if isinstance(value, str):
        value = NUMBER.findall(value) if _NUMBERS_AS_TEXT.fullmatch(value) else None
    if not isinstance(value, list) or not value:
        return []
    if all(isinstance(item, list) for item in value):
        groups = [numbers for item in value if (numbers := _numbers(item))]
        if length == 4 and [len(group) for group in groups] == [2, 2]:  # the two corners
            return [groups[0] + groups[1]]
        return [group for group in groups if length in (None, len(group))]
    numbers = _numbers(value)
    if length == 2 and len(numbers) % 2 == 0:  # several points in one row
        return [numbers[at : at + 2] for at in range(0, len(numbers), 2)]
    return [numbers] if numbers and length in (None, len(numbers)) else []


def _numbers(items: list[Any]) -> list[float]:
    """`items` as floats, or nothing if one of them is no number."""
    numbers = []
    for item in items:
        if isinstance(item, str) and NUMBER.fullmatch(item.strip()):
            item = float(item)
        if not is_number(item) or math.isnan(item):
            return []
        numbers.append(float(item))
    return numbers

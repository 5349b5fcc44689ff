"""Parse boxes, points and 3D boxes in the answers of Qwen-VL and OCR models, and draw them.

The shapes are those of the vendor's notebooks on spatial understanding, 2D and 3D grounding and OCR: JSON objects
with `bbox_2d`, `point_2d` or `bbox_3d`; `<points x1= y1= ...>` elements; lines like `1,2,3,4 cup`; and the box tokens
of Qwen2-VL. Model text is untrusted and often damaged: no text makes these functions raise, and nothing in it is
evaluated.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from qwenvl_core.parsing.grounding_formats import (
    RawGrounding,
    find_box_tokens,
    find_plain_tuples,
    find_xml_points,
)
from qwenvl_core.parsing.json_scanner import scan_json
from qwenvl_core.parsing.numbers import NUMBER, is_number
from qwenvl_core.parsing.ocr_words import read_ocr_words
from qwenvl_core.parsing.text import sanitize
from qwenvl_core.parsing.unescape import choose_readable_variant
from qwenvl_core.vision.boxes import Box, CoordinateSpace, Size, Space
from qwenvl_core.vision.drawing import crop, draw

__all__ = ["Box", "Grounded", "crop", "draw", "ocr_boxes", "parse_grounding"]

GroundingKind = Literal["box", "point", "box3d"]


@dataclass(frozen=True, slots=True)
class Grounded:
    """An object that the model located.

    Attributes:
        kind: `"box"`, `"point"` or `"box3d"`.
        label: The model's label. For spotted text without a label, the text.
        box: The box. `None` for the other kinds, and for a box without area or with unreadable numbers.
        points: x and y of each point in fractions of the image's sides, 0 to 1. One answer can hold several; a box
            has points when the model gave both.
        values: The numbers of a 3D box, unchanged. The vendor's prompt asks for x, y, z of the centre and three
            sizes in metres in camera coordinates, then roll, pitch and yaw; the vendor's texts and code disagree on
            the unit of these angles.
        attributes: All other keys of the answer. `text_content` is included even if it serves as the label, and so
            is a coordinate key whose value could not be read.
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
_AMBIGUOUS_KEYS = ("bbox", "point")  # they have other meanings too, so they count only with readable coordinates
_UNAMBIGUOUS_KEY = re.compile(r"(?:bbox|point)_[23]d", re.IGNORECASE)
_NUMBERS_AS_TEXT = re.compile(r"[-+\d.,;\s()\[\]]{1,400}")


def parse_grounding(text: str, *, space: Space = "auto", size: Size | None = None) -> list[Grounded]:
    """Parse all objects that the model located, in the order of its answer.

    Reads JSON (in code fences or not, wrapped in an object, with prose around it, damaged or cut off), XML points,
    box tokens and, if the text holds none of these, plain tuples. An object that was cut off is left out. The time
    grows in proportion to the text.

    Args:
        text: The model's answer.
        space: `"relative"` for thousandths of the image (Qwen3-VL and newer), `"absolute"` for pixels of the image
            that was sent (Qwen2.5-VL), `"auto"` for relative.
        size: Width and height of the image that was sent, in pixels. Needed by `"absolute"`.

    Raises:
        ValueError: `space` is unknown, or `size` is missing or not positive. No text raises.
    """
    coordinates = CoordinateSpace.create(space, size)
    text = choose_readable_variant(sanitize(text), _is_readable)
    scan = scan_json(text)
    found = [(start, item) for start, value in scan.objects for item in _convert_object(value, coordinates)]
    others = [*find_xml_points(text), *find_box_tokens(text)]
    if not found and not others:
        others = find_plain_tuples(text, scan.rows)
    found += [(raw.start, _convert_raw(raw, coordinates)) for raw in others]
    # The scanner records objects in the order of their ends, so a nested one comes before the one around it.
    found.sort(key=lambda pair: pair[0])
    return [item for _, item in found]


def ocr_boxes(ocr_result: object, *, size: Size) -> list[Grounded]:
    """Convert the lines that an OCR model located to boxes of the image that was sent.

    Args:
        ocr_result: The result of the task `advanced_recognition`, as in `additional_kwargs["ocr_result"]`.
        size: Width and height of the image that was sent, in pixels.

    Returns:
        A box for each line, in the model's order: `label` is its text, `box` the upright rectangle around it, clipped
        to the image (`None` without a readable position), `attributes` its `location` and `rotate_rect` in pixels.
        Empty for a result without lines, such as one with `kv_result`. No result raises.

    Raises:
        ValueError: `size` is not positive.
    """
    coordinates = CoordinateSpace.create("absolute", size)
    return [
        Grounded(
            "box",
            word.text or None,
            None if word.numbers is None else coordinates.to_box(word.numbers),
            attributes=word.attributes,
        )
        for word in read_ocr_words(ocr_result) or ()
    ]


def _is_readable(text: str) -> bool:
    """Return whether the coordinate keys in a text, if there are any, can be read as JSON."""
    return _UNAMBIGUOUS_KEY.search(text) is None or bool(scan_json(text).objects)


def _convert_raw(raw: RawGrounding, coordinates: CoordinateSpace) -> Grounded:
    """Convert a grounding that was not JSON."""
    if raw.kind == "box":
        return Grounded("box", raw.label, box=coordinates.to_box(raw.numbers), attributes=raw.attributes)
    pairs = zip(raw.numbers[::2], raw.numbers[1::2], strict=False)
    points = tuple(coordinates.to_point(x, y) for x, y in pairs)
    return Grounded("point", raw.label, points=points, attributes=raw.attributes)


def _convert_object(value: dict[str, Any], coordinates: CoordinateSpace) -> list[Grounded]:
    """Convert a JSON object to an item, or to several if its box key holds several boxes."""
    label, attributes = _split_label(value)
    groups: dict[GroundingKind, list[list[float]]] = {}
    for key, kind in _KINDS.items():
        if key not in value:
            continue
        numbers = _group_numbers(value[key], _LENGTHS[kind])
        if not numbers:
            attributes[key] = value[key]
        if numbers or key not in _AMBIGUOUS_KEYS:
            groups.setdefault(kind, []).extend(numbers)
    points = tuple(coordinates.to_point(x, y) for x, y in groups.get("point", ()))
    items = []
    if "box" in groups:
        items += [
            Grounded("box", label, coordinates.to_box(numbers), points, attributes=attributes)
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


def _split_label(value: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the label of an object, and its items that are neither label nor coordinates."""
    rest = {key: item for key, item in value.items() if key not in _KINDS}
    for key in ("label", "text_content"):
        label = value.get(key)
        if isinstance(label, str) or is_number(label):
            rest.pop("label", None)
            return str(label), rest
    if rest.get("label") is None:
        rest.pop("label", None)
    return None, rest


def _group_numbers(value: object, length: int | None) -> list[list[float]]:
    """Return the coordinates in a JSON value, one list per box, point or 3D box; no list if they are unreadable.

    Args:
        value: A list of numbers, a list of such lists, or text with the numbers.
        length: How many numbers belong together. `None` accepts any number of them.
    """
    if isinstance(value, str):
        value = NUMBER.findall(value) if _NUMBERS_AS_TEXT.fullmatch(value) else None
    if not isinstance(value, list) or not value:
        return []
    if all(isinstance(item, list) for item in value):
        groups = [numbers for item in value if (numbers := _to_floats(item))]
        if length == 4 and [len(group) for group in groups] == [2, 2]:  # two corners of a box
            return [groups[0] + groups[1]]
        return [group for group in groups if length in (None, len(group))]
    numbers = _to_floats(value)
    if length == 2 and len(numbers) % 2 == 0:  # several points in one list
        return [numbers[index : index + 2] for index in range(0, len(numbers), 2)]
    return [numbers] if numbers and length in (None, len(numbers)) else []


def _to_floats(items: list[Any]) -> list[float]:
    """Convert items to floats; an item that is not a number makes the result empty."""
    numbers = []
    for item in items:
        if isinstance(item, str) and NUMBER.fullmatch(item.strip()):
            item = float(item)
        if not is_number(item) or math.isnan(item):
            return []
        numbers.append(float(item))
    return numbers

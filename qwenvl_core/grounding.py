"""Parse boxes, points and 3D boxes in the answers of Qwen-VL and OCR models, and draw them.

The shapes are those of the vendor's notebooks on spatial understanding, 2D and 3D grounding and OCR: JSON objects
with `bbox_2d`, `point_2d` or `bbox_3d`; `<points x1= y1= ...>` elements; lines like `1,2,3,4 cup`; and the box tokens
of Qwen2-VL. JSON and YAML with other keys, such as `box` or `bounding_box`, is read too. Model text is untrusted and
often damaged: no text makes these functions raise, and nothing in it is evaluated.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from qwenvl_core.parsing.coordinate_keys import VENDOR_KEYS, GroundingKind, get_kind, get_label, get_priority
from qwenvl_core.parsing.grounding_formats import (
    RawGrounding,
    find_box_tokens,
    find_plain_tuples,
    find_xml_points,
)
from qwenvl_core.parsing.json_scanner import ScannedObject, ScanResult, scan_json
from qwenvl_core.parsing.numbers import NUMBER, enclose_corners, is_number, parse_numbers
from qwenvl_core.parsing.ocr_words import read_ocr_words
from qwenvl_core.parsing.text import sanitize
from qwenvl_core.parsing.unescape import generate_variants, replace_full_width
from qwenvl_core.parsing.yaml_objects import find_list_keys, find_yaml_objects, is_yaml
from qwenvl_core.vision.boxes import Box, CoordinateSpace, Size, Space
from qwenvl_core.vision.drawing import crop, draw

__all__ = ["Box", "Grounded", "crop", "draw", "ocr_boxes", "parse_grounding"]


@dataclass(frozen=True, slots=True)
class Grounded:
    """An object that the model located.

    Attributes:
        kind: `"box"`, `"point"` or `"box3d"`.
        label: The model's label. For spotted text without a label, the text. Without both, the key that the object
            stands under, such as `invoice_no` in `{"invoice_no": {"value": "A1", "bbox_2d": [...]}}`, except keys that
            only group objects, such as `detections`.
        box: The box. `None` for the other kinds, and for a box without area or with unreadable numbers.
        points: x and y of each point in fractions of the image's sides, 0 to 1. One answer can hold several; a box
            has points when the model gave both.
        values: The numbers of a 3D box, unchanged. The vendor's prompt asks for x, y, z of the centre and three
            sizes in metres in camera coordinates, then roll, pitch and yaw; the vendor's texts and code disagree on
            the unit of these angles.
        attributes: All other keys of the answer. `text_content` is included even if it serves as the label, and so
            is a coordinate key whose value could not be read.

    Example:
        ```python
        cup = Grounded("box", "cup", Box(0.1, 0.2, 0.4, 0.6))
        print(cup.label, cup.box.to_pixels(1000, 500))  # cup (100, 100, 400, 300)
        ```
    """

    kind: GroundingKind
    label: str | None = None
    box: Box | None = None
    points: tuple[tuple[float, float], ...] = ()
    values: tuple[float, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict, hash=False)


_LENGTHS: dict[GroundingKind, int | None] = {"box": 4, "point": 2, "box3d": None}
_VENDOR_KEY = re.compile(r"_(?:(?<=bbox_)|(?<=point_))[23]d", re.IGNORECASE)
_CORNER_NAMES = (
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)


def parse_grounding(
    text: str, *, space: Space = "auto", size: Size | None = None, truncated: bool = False
) -> list[Grounded]:
    """Parse all objects that the model located, in the order of its answer.

    Reads JSON (in code fences or not, wrapped in an object, with prose around it, damaged or cut off), YAML, XML
    points, box tokens and, if the text holds none of these, plain tuples. An object that was cut off is left out. Page
    numbers, IP addresses and counts in prose are no boxes. The time grows in proportion to the text.

    Args:
        text: The model's answer.
        space: `"relative"` for thousandths of the image (Qwen3-VL and newer), `"absolute"` for pixels of the image
            that was sent (Qwen2.5-VL), `"auto"` for relative.
        size: Width and height of the image that was sent, in pixels. Needed by `"absolute"`.
        truncated: Whether the answer was cut off (finish reason `"length"`). Its last number, tuple or label then
            counts only if something ended it.

    Returns:
        The objects. Empty if the answer locates none.

    Raises:
        ValueError: `space` is unknown, or `size` is missing or not positive. No text raises.

    Example:
        ```python
        answer = 'The cup: {"bbox_2d": [100, 200, 400, 600], "label": "cup"}'
        for item in parse_grounding(answer):
            print(item.label, item.box.to_pixels(1000, 500))  # cup (100, 100, 400, 300)
        ```
    """
    coordinates = CoordinateSpace.create(space, size)
    text, scan = _scan(sanitize(text))
    plain = replace_full_width(text)
    has_yaml = not scan.objects and is_yaml(plain)
    objects = find_yaml_objects(plain, is_cut=truncated) if has_yaml else scan.objects
    found = [(found.start, item) for found in objects for item in _convert_object(found, coordinates)]
    others = [*find_xml_points(text, is_cut=truncated), *find_box_tokens(plain, text, is_cut=truncated)]
    if not found and not others and not has_yaml:
        keys = find_list_keys(plain) if scan.rows else {}
        rows = [(row.start, row.numbers, get_label(row.label or keys.get(row.start))) for row in scan.rows]
        others = find_plain_tuples(plain, text, rows, is_cut=truncated)
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

    Example:
        ```python
        line = {"text": "Total 18.37", "location": [40, 900, 560, 900, 560, 940, 40, 940]}
        print(ocr_boxes({"words_info": [line]}, size=(600, 1000))[0].label)  # Total 18.37
        ```
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


def _scan(text: str) -> tuple[str, ScanResult]:
    """Scan a sanitized answer, or what it becomes without an extra escaping; return it and the result."""
    scan = scan_json(text)
    if scan.objects:
        return text, scan
    plain = replace_full_width(text)
    wide = scan if plain == text else scan_json(plain, text)
    if wide.objects:
        return text, wide
    if _VENDOR_KEY.search(text):
        for variant in generate_variants(text):
            variant_scan = scan_json(variant)
            if variant_scan.objects:
                return variant, variant_scan
    return text, wide if wide.rows else scan


def _convert_raw(raw: RawGrounding, coordinates: CoordinateSpace) -> Grounded:
    """Convert a grounding that was not JSON."""
    if raw.kind == "box":
        return Grounded("box", raw.label, box=coordinates.to_box(raw.numbers), attributes=raw.attributes)
    pairs = zip(raw.numbers[::2], raw.numbers[1::2], strict=False)
    points = tuple(coordinates.to_point(x, y) for x, y in pairs)
    return Grounded("point", raw.label, points=points, attributes=raw.attributes)


def _convert_object(found: ScannedObject, coordinates: CoordinateSpace) -> list[Grounded]:
    """Convert a JSON object to an item, or to several if its box key holds several boxes."""
    label, attributes = _split_label(found.value)
    if label is None:
        label = get_label(found.key)
    groups: dict[GroundingKind, list[list[float]]] = {}
    for key, kind in _list_coordinate_keys(found.value):
        numbers = _group_numbers(found.value[key], _LENGTHS[kind])
        if not numbers or groups.get(kind):
            attributes[key] = found.value[key]
        elif numbers:
            groups[kind] = numbers
        if key in VENDOR_KEYS:
            groups.setdefault(kind, [])
    points = tuple(coordinates.to_point(x, y) for x, y in groups.get("point", ()))
    items = []
    if "box" in groups:
        boxes = groups["box"] or [[]]
        labels = _split_labels(found.value.get("label"), len(boxes))
        if labels:
            attributes.pop("label")
        items += [
            Grounded("box", own_label or label, coordinates.to_box(numbers), points, attributes=attributes)
            for own_label, numbers in zip_longest(labels, boxes)
        ]
    elif "point" in groups:
        items.append(Grounded("point", label, points=points, attributes=attributes))
    if "box3d" in groups:
        items += [
            Grounded("box3d", label, values=tuple(numbers), attributes=attributes)
            for numbers in groups["box3d"] or [[]]
        ]
    return items


def _list_coordinate_keys(value: dict[str, Any]) -> list[tuple[str, GroundingKind]]:
    """Return the coordinate keys of an object with their kinds, in the order in which they are tried."""
    keys = [(key, kind) for key in value if (kind := get_kind(key))]
    return sorted(keys, key=lambda pair: get_priority(pair[0])) if len(keys) > 1 else keys


def _split_label(value: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the label of an object, and its items that are neither label nor coordinates."""
    rest = {key: item for key, item in value.items() if not get_kind(key)}
    label_key = next((key for key in rest if key in ("label", "Label", "LABEL")), "label")
    for key in (label_key, "text_content"):
        label = value.get(key)
        if isinstance(label, str) or is_number(label):
            rest.pop(label_key, None)
            return str(label), rest
    if rest.get(label_key) is None:
        rest.pop(label_key, None)
    return None, rest


def _split_labels(label: object, count: int) -> list[str]:
    """Return the labels of as many boxes in one object; an empty list if there is not one for each."""
    is_list = isinstance(label, list) and len(label) == count and all(isinstance(item, str) for item in label)
    return label if isinstance(label, list) and is_list else []


def _group_numbers(value: object, length: int | None) -> list[list[float]]:
    """Return the coordinates in a JSON value, one list per box, point or 3D box; no list if they are unreadable.

    Args:
        value: A list of numbers, a list of such lists, an object with named corners, or text with the numbers.
        length: How many numbers belong together. `None` accepts any number of them.
    """
    if isinstance(value, str):
        value = parse_numbers(value)
    elif isinstance(value, dict) and length is not None:
        value = _read_named_corners(value, length)
    if not isinstance(value, list) or not value:
        return []
    if all(isinstance(item, list) for item in value):
        return _group_lists([numbers for item in value if (numbers := _to_floats(item))], length)
    numbers = _to_floats(value)
    if length == 2 and len(numbers) % 2 == 0:  # several points in one list
        return [numbers[index : index + 2] for index in range(0, len(numbers), 2)]
    if length == 4 and len(numbers) == 8:  # four corners
        return [enclose_corners(numbers)]
    return [numbers] if numbers and length in (None, len(numbers)) else []


def _group_lists(groups: list[list[float]], length: int | None) -> list[list[float]]:
    """Return the boxes, points or 3D boxes in lists of numbers; for a box, the lists may be its corners."""
    if length == 4 and len(groups) >= 2 and all(len(group) == 2 for group in groups):
        corners = [number for group in groups for number in group]
        return [corners if len(groups) == 2 else enclose_corners(corners)]
    groups = [enclose_corners(group) if length == 4 and len(group) == 8 else group for group in groups]
    return [group for group in groups if length in (None, len(group))]


def _read_named_corners(value: dict[str, Any], length: int) -> list[Any]:
    """Return the numbers of an object such as `{"x1": 1, "y1": 2, "x2": 3, "y2": 4}`; an empty list for others."""
    names = (("x", "y"),) if length == 2 else _CORNER_NAMES
    found = next((group for group in names if all(name in value for name in group)), ())
    return [value[name] for name in found]


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

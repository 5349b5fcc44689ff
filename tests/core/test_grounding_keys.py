"""Test coordinates under keys of the caller's own, in unusual notations, and numbers in prose that are none."""

from __future__ import annotations

from typing import Any

import pytest

from qwenvl_core.grounding import Box, Grounded, parse_grounding
from tests.support.timing import measure_seconds

MUG = Grounded("box", "mug", Box(0.1, 0.2, 0.3, 0.4))
PEN = Grounded("box", "pen", Box(0.5, 0.6, 0.7, 0.999))


@pytest.mark.parametrize(
    "key",
    ["bbox_2d", "bbox", "box", "box_2d", "bounding_box", "boundingBox", "Bounding Box", "bounding-box",
     "BBox", "bndbox", "polygon"],
)  # fmt: skip
def test_key_of_a_box_is_read_in_any_spelling(key: str) -> None:
    assert parse_grounding(f'{{"label": "mug", "{key}": [100, 200, 300, 400]}}') == [MUG]
    assert parse_grounding(f"- {key}: [100, 200, 300, 400]\n  label: mug\n") == [MUG]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"mug": [100, 200, 300, 400], "pen": [500, 600, 700, 999]}', [MUG, PEN]),
        ('{"mug": {"bbox_2d": [100, 200, 300, 400]}, "pen": {"box": [500, 600, 700, 999]}}', [MUG, PEN]),
        ('{"mug": [[100, 200, 300, 400]], "pen": [{"bbox": [500, 600, 700, 999]}]}', None),
        ('{"objects": {"mug": [100, 200, 300, 400], "pen": [500, 600, 700, 999]}}', [MUG, PEN]),
        ("mug:\n  bbox_2d: [100, 200, 300, 400]\npen:\n  box: 500, 600, 700, 999\n", [MUG, PEN]),
        ("objects:\n  - label: mug\n    bbox:\n      - 100\n      - 200\n      - 300\n      - 400\n"
         "  - {label}: pen\n    bbox: [500,\n      600, 700, 999]\n".replace("{label}", '"label"'), [MUG, PEN]),
        ("bbox_2d: [100, 200, 300, 400]\nlabel: mug\n\nbbox_2d: [500, 600, 700, 999]\nlabel: 'pen'", [MUG, PEN]),
        ('[{"label": "mug", "bbox_2d": [100, 200, 300, 400], "label": "pen", "bbox_2d": [500, 600, 700, 999]}]',
         [MUG, PEN]),
    ],
)  # fmt: skip
def test_label_is_the_objects_own_or_its_key(text: str, expected: list[Grounded] | None) -> None:
    assert parse_grounding(text) == (expected or [PEN])


IN_A_GROUP = (
    '{"%s": [{"bbox_2d": [100, 200, 300, 400]}]}',
    '{"%s": {"box": [100, 200, 300, 400]}}',
    '{"%s": [[100, 200, 300, 400]]}',
    '{"a": {"%s": [{"bbox_2d": [100, 200, 300, 400]}]}}',
    "%s:\n  - bbox_2d: [100, 200, 300, 400]\n",
    "%s:\n  - [100, 200, 300, 400]\n",
)


@pytest.mark.parametrize("text", IN_A_GROUP)
@pytest.mark.parametrize(
    ("key", "label"),
    [
        *((key, None) for key in ("detections", "objects", "items", "results", "boxes", "bboxes", "annotations")),
        *((key, None) for key in ("detected_objects", "boundingBoxes", "bounding-boxes", "bbox_list", "OCR_results")),
        *((key, None) for key in ("allBoxes", "text_lines", "page_2", "frame-3")),
        *((key, key) for key in ("cats", "power_lines", "shoppingItems", "tables", "total_2", "key", "x" * 80)),
    ],
)
def test_key_that_groups_objects_is_no_label(key: str, label: str | None, text: str) -> None:
    assert parse_grounding(text % key) == [Grounded("box", label, MUG.box)]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("cats:\n  - [10, 20, 30, 40]\n  - [50, 60, 70, 80]\ndog:\n- [10, 20, 30, 41]\n", ["cats", "cats", "dog"]),
        ("Box of the cat: 10, 20, 300, 400\n", ["Box of the cat"]),
        ("The boxes are:\n- [100, 200, 300, 400]\n", [None]),
        ("Here are cats:\n- [100, 200, 300, 400]\n", [None]),
        ("Sure:\n- [10, 20, 300, 400]\n", [None]),
        ("Here are the boxes:\n- bbox_2d: [10, 20, 300, 400]\n", [None]),
        ("以下是结果：\n- [10, 20, 300, 400]\n", [None]),
        ("OK:\n- [10, 20, 300, 400]\n", ["OK"]),
        ("cats:\n\n[100, 200, 300, 400]\n", [None]),
        ("cats:\n- [100, 200, 300, 400] a cat\n", ["a cat"]),
        ("- mug: [1, 2, 30, 40]\n- red cup: [1, 2, 30, 40]", ["mug", "red cup"]),
        ("See the answers in (1, 2, 30, 40).", []),
    ],
)
def test_label_of_a_list_is_the_key_before_it(text: str, labels: list[str | None]) -> None:
    assert [item.label for item in parse_grounding(text)] == labels


@pytest.mark.parametrize(
    ("text", "label", "attributes"),
    [
        ('{"invoice_no": {"value": "A1", "bbox_2d": [100, 200, 300, 400]}}', "invoice_no", {"value": "A1"}),
        ('{"invoice_no": {"label": "No", "bbox_2d": [100, 200, 300, 400]}}', "No", {}),
        ('{"detections": [{"bbox_2d": [100, 200, 300, 400], "score": 1}]}', None, {"score": 1}),
        ('[{"bbox_2d": [100, 200, 300, 400], "name_zh": "x"}]', None, {"name_zh": "x"}),
        ('{"label": "a", "bbox": [100, 200, 300, 400], "box": "big"}', "a", {"box": "big"}),
        ("total:\n  value: 12.5\n  bbox_2d: [100, 200, 300, 400]  # sum\n", "total", {"value": 12.5}),
    ],
)
def test_other_fields_stay_attributes(text: str, label: str | None, attributes: dict[str, Any]) -> None:
    assert parse_grounding(text) == [Grounded("box", label, MUG.box, attributes=attributes)]


@pytest.mark.parametrize(
    "value",
    [
        "[np.float32(100.0), np.int64(200), 300., 400]",
        "array([100, 200, 300, 400], dtype=int32)",
        "np.array([100. 200. 300. 400.])",
        "tensor([100., 200., 300., 400.])",
        "(100, 200, 300, 400)",
        '"100, 200, 300, 400"',
        '"[100 200 300 400]"',
        "[[100, 200], [300, 400]]",
        "[100, 200, 300, 200, 300, 400, 100, 400]",
        "[[100, 200], [300, 200], [300, 400], [100, 400]]",
        '{"x1": 100, "y1": 200, "x2": 300, "y2": 400}',
        '{"left": 100, "top": 200, "right": 300, "bottom": 400}',
    ],
)
def test_value_of_a_box_is_read_in_any_notation(value: str) -> None:
    assert parse_grounding(f'[{{"bbox_2d": {value}, "label": "mug"}}]') == [MUG]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('｛"bbox_2d"：［100，200，300，400］，"label"："杯子（大）：x"｝', "杯子（大）：x"),
        ("｛“bbox_2d”：［１００，２００，３００，４００］，“label”：“杯子”｝", "杯子"),
        ("杯子：（100，200），（300，400）", "杯子"),
        ("红色（大）杯子：［100，200，300，400］", "红色（大）杯子"),
        ("100，200，300，400 杯子（大）", "杯子（大）"),
        ("<ref>杯子（大）</ref><box>（100，200），（300，400）</box>", "杯子（大）"),
        ("100,200,300,200,300,400,100,400 mug", "mug"),
    ],
)
def test_full_width_signs_and_polygons_keep_the_label(text: str, label: str) -> None:
    assert parse_grounding(text) == [Grounded("box", label, MUG.box)]


@pytest.mark.parametrize(
    "text", ["[1, 2, 3, 4]", "[[1, 2, 3, 4]]", "```\n[1,2,3,4]\n```", "[3, 4, 1, 2]", "```json\n[[1, 2, 3, 4]]\n```"]
)
def test_list_alone_is_a_box_whatever_its_numbers(text: str) -> None:
    assert [item.box for item in parse_grounding(text)] == [Box(0.001, 0.002, 0.003, 0.004)]


@pytest.mark.parametrize(
    "text",
    [
        "1, 2, 3, 4 are the numbers",
        "1, 2, 3, 4",
        "Steps: 1, 2, 3, 4",
        "Pages: 12, 45, 78, 90",
        "See pages [12, 45, 78, 90].",
        "See pages (112, 145, 178, 190) for more.",
        "as in [3, 14, 15, 92] shown",
        "The numbers are [1, 2, 3, 4].",
        "10, 20, 30, 40 and 50 people",
        "p. 3, 7, 12, 15",
        "The relevant pages are: [3, 12, 25, 41]",
        "Sorted list of values: [3, 12, 25, 41]",
        "```python\nx = [1, 5, 30, 40]\n```",
        "192.168.1.1, 10.0.0.1, 10.0.0.2, 10.0.0.3",
        "Server: 192.168.1.10",
        '{"point": "192.168.1.1"}',
        '{"bbox": "10.0.0.1"}',
        "box: 10.0.0.1",
        '{"ip": [192, 168, 1, 1], "name": "x"}',
        '{"pages": [1, 2, 3, 4]}',
        '{"label": "x", "scores": [11, 22, 55, 99], "bb',
        '{"box": "large", "point": "the first"}',
        "box: large\npoint: first\n",
    ],
)
def test_numbers_in_prose_are_no_boxes(text: str) -> None:
    assert parse_grounding(text) == []


@pytest.mark.parametrize(
    "unit",
    ["- box: [1,\n", "box:\n", "- - ", "a: ", '"a": [1,2,3,4],', "array(", "np.float32(1),", '{"a}', "，", "box: [",
     "(1,2,3,4)", '{"label": "', '{"x": {"box": [1,2,3,4]', "- 1\n", " box:\n", '"label": "a, "b": '],
)  # fmt: skip
def test_parse_time_grows_in_proportion_to_the_text(unit: str) -> None:
    size = 4_000
    for start in ("", "[", '{"a": ', "box: 1\n"):
        short, long = (measure_seconds(parse_grounding, start + unit * (n // len(unit))) for n in (size, 4 * size))
        assert long < 4 * 2.5 * short + 0.01

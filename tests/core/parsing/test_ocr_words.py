"""Test the lines of OCR answers: rectangles, damaged results, and the JSON of the answer's text."""

from __future__ import annotations

import time
from typing import Any

import pytest

from qwenvl_core.grounding import Box, ocr_boxes
from qwenvl_core.layout import parse_ocr_lines
from qwenvl_core.parsing.ocr_words import read_ocr_text

SIZE = (1000, 500)


def get_box(word: dict[str, Any]) -> Box | None:
    (item,) = ocr_boxes({"words_info": [word]}, size=SIZE)
    return item.box


@pytest.mark.parametrize(
    ("word", "box"),
    [
        ({"location": [100, 50, 300, 50, 300, 100, 100, 100]}, Box(0.1, 0.1, 0.3, 0.2)),
        ({"location": [20, 200, 180, 100, 220, 200, 60, 300]}, Box(0.02, 0.2, 0.22, 0.6)),  # tilted
        ({"location": [-30, -5, 300, -5, 300, 600, -30, 600]}, Box(0, 0, 0.3, 1)),  # beyond the image
        ({"location": [300, 100, 100, 100, 100, 50, 300, 50]}, Box(0.1, 0.1, 0.3, 0.2)),  # upside down
        ({"rotate_rect": [200, 75, 200, 50, 0]}, Box(0.1, 0.1, 0.3, 0.2)),
        ({"rotate_rect": [200, 75, 50, 200, 90]}, Box(0.1, 0.1, 0.3, 0.2)),
        ({"rotate_rect": [200, 75, 50, 200, -90]}, Box(0.1, 0.1, 0.3, 0.2)),
        ({"location": [1, 2], "rotate_rect": [200, 75, 200, 50, 0]}, Box(0.1, 0.1, 0.3, 0.2)),
        ({"location": [5, 5, 5, 5, 5, 5, 5, 5]}, None),
        ({"location": None}, None),
        ({"location": [float("nan")] * 8}, None),
        ({"location": [10**400] * 8}, None),
        ({"location": ["1"] * 8}, None),
        ({}, None),
    ],
)
def test_ocr_boxes_encloses_the_line(word: dict[str, Any], box: Box | None) -> None:
    found = get_box({"text": "A", **word})
    assert (found is None) == (box is None)
    if found and box:
        assert [found.x0, found.y0, found.x1, found.y1] == pytest.approx([box.x0, box.y0, box.x1, box.y1])


def test_ocr_boxes_keeps_text_and_other_fields() -> None:
    word = {"text": "Привіт!", "location": [1, 1, 9, 1, 9, 5, 1, 5], "rotate_rect": [5, 3, 8, 4, 0]}
    (item,) = ocr_boxes({"words_info": [word]}, size=SIZE)
    assert (item.kind, item.label, item.points) == ("box", "Привіт!", ())
    assert item.attributes == {"location": word["location"], "rotate_rect": word["rotate_rect"]}


@pytest.mark.parametrize(
    "result", [None, {}, {"kv_result": {"a": "1"}}, {"words_info": None}, {"words_info": {}}, [], "x"]
)
def test_ocr_boxes_of_result_without_lines_is_empty(result: Any) -> None:
    assert ocr_boxes(result, size=SIZE) == []


def test_ocr_boxes_leaves_out_what_is_no_line() -> None:
    items = ocr_boxes({"words_info": [None, 1, {"text": None}, {"text": 7}]}, size=SIZE)
    assert [item.label for item in items] == [None, "7"]


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (float("nan"), 1)])
def test_ocr_boxes_with_invalid_size_raises(size: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="size"):
        ocr_boxes({"words_info": []}, size=size)


LINES = (
    '{"rotate_rect": [500, 100, 20, 400, 90], "text": "One {1}"},\n'
    '{"rotate_rect": [500, 200, 20, 200, 90], "text": "Two"}'
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"```json\n[\n{LINES}\n]\n```", ["One {1}", "Two"]),
        (f"[{LINES}]", ["One {1}", "Two"]),
        (f"```json\n[{LINES[:-5]}", ["One {1}"]),
        (f"```json\n[{LINES[:10]}", []),
        ("[]", []),
        ("```json\n[", []),
        ("Total: [1]", None),
        ("[1, 2]", None),
        ("", None),
    ],
)
def test_lines_of_text_are_read_up_to_the_damage(text: str, expected: list[str] | None) -> None:
    words = read_ocr_text(text)
    assert (None if words is None else [word.text for word in words]) == expected


def test_lines_without_result_take_thousandths_from_the_text() -> None:
    layout = parse_ocr_lines(None, f"[{LINES}]", size=SIZE)
    assert layout is not None
    box = layout.elements[0].box
    assert box is not None
    assert [box.x0, box.y0, box.x1, box.y1] == pytest.approx([0.3, 0.09, 0.7, 0.11])
    assert layout.elements[0].html == "<p>One {1}</p>"


@pytest.mark.parametrize("text", ["[" * 200_000, '[{"a":' * 100_000, "[{}" + ",{}" * 100_000])
def test_hostile_text_is_read_fast(text: str) -> None:
    start = time.perf_counter()
    read_ocr_text(text)
    assert time.perf_counter() - start < 3

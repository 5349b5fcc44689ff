"""Test the labels of several boxes that stand under one key or on one line."""

from __future__ import annotations

import pytest

from qwenvl_core.grounding import Box, parse_grounding

CUP = Box(0.1, 0.2, 0.3, 0.4)
MUG = Box(0.5, 0.6, 0.7, 0.8)
DOG = Box(0.01, 0.02, 0.3, 0.4)


@pytest.mark.parametrize(
    "text",
    [
        '{"cups": [[100, 200, 300, 400], [500, 600, 700, 800]], "dog": [[10, 20, 300, 400]]}',
        "cups: [[100, 200, 300, 400], [500, 600, 700, 800]]\ndog: [[10, 20, 300, 400]]",
        "cups: [[100, 200, 300, 400],\n  [500, 600, 700, 800]]\ndog: [10, 20, 300, 400]",
        "```yaml\ncups:\n  - [100, 200, 300, 400]\n  - [500, 600, 700, 800]\ndog:\n  - [10, 20, 300, 400]\n```",
        "cups:\n  bbox_2d: [[100, 200, 300, 400], [500, 600, 700, 800]]\ndog:\n  box: [[10, 20], [300, 400]]\n",
        "cups:\n  bbox_2d: [[100, 200, 300, 400],\n    [500, 600, 700, 800]]\ndog:\n  box: 10, 20, 300, 400\n",
        "cups: [100, 200, 300, 400], [500, 600, 700, 800]; dog: [10, 20, 300, 400]",
        "cups (100,200),(300,400) and (500,600),(700,800) and dog (10,20),(300,400)",
        "1. cups: [100, 200, 300, 400] and [500, 600, 700, 800]\n2. **dog**: [10, 20, 300, 400]",
        "label: cups, box: [100, 200, 300, 400], [500, 600, 700, 800]\nlabel: dog, box: [10, 20, 300, 400]",
    ],
)
def test_label_applies_to_all_boxes_under_it(text: str) -> None:
    expected = [("cups", CUP), ("cups", MUG), ("dog", DOG)]
    assert [(item.label, item.box) for item in parse_grounding(text)] == expected
    cut = [(item.label, item.box) for item in parse_grounding(text[:-2], truncated=True)]
    assert cut == expected[: len(cut)]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("dog [100, 200, 300, 400] and cat [500, 600, 700, 800]", ["dog", "cat"]),
        ("[100, 200, 300, 400] dog and [500, 600, 700, 800] cat", ["dog", "cat"]),
        ("狗[100, 200, 300, 400]和猫[500, 600, 700, 800]", ["狗", "猫"]),
        ("1. dog: [100, 200, 300, 400]\n2) cat: (500,600),(700,800)", ["dog", "cat"]),
        ("sand [100, 200, 300, 400], android [500, 600, 700, 800]", ["sand", "android"]),
        ("Room 1. door [100, 200, 300, 400]", ["Room 1. door"]),
        ("label: red cup, bbox_2d: [100, 200, 300, 400]", ["red cup"]),
        ("- bbox_2d: [100, 200, 300, 400], label: cup\n- bbox_2d: [500, 600, 700, 800], label: mug", ["cup", "mug"]),
        ("Label: cup\nBox: [100, 200, 300, 400]", ["cup"]),
        ('bbox_2d=[100, 200, 300, 400] label="cup"', ["cup"]),
        ("Boxes: [100, 200, 300, 400], [500, 600, 700, 800]", [None, None]),
        ("The boxes are: [[100, 200, 300, 400], [500, 600, 700, 800]]", [None, None]),
        ("juice box [100, 200, 300, 400]", ["juice box"]),
        ('{"label": ["cup", "mug"], "bbox_2d": [[100, 200, 300, 400], [500, 600, 700, 800]]}', ["cup", "mug"]),
        ('{"label": ["cup"], "bbox_2d": [[100, 200, 300, 400], [500, 600, 700, 800]]}', [None, None]),
        ("See pages [12, 45, 78, 90], [13, 46, 79, 91].", []),
    ],
)
def test_label_of_each_box_on_a_line_is_its_own(text: str, labels: list[str | None]) -> None:
    assert [item.label for item in parse_grounding(text)] == labels


@pytest.mark.parametrize("name", ["frame", "segment", "image", "text", "line", "word", "page", "shape", "list"])
@pytest.mark.parametrize(
    "value", ["[[100, 200, 300, 400]]", "[100, 200, 300, 400]", '[{"bbox_2d": [100, 200, 300, 400]}]']
)
def test_thing_that_is_named_by_one_word_is_a_label(name: str, value: str) -> None:
    assert [item.label for item in parse_grounding(f'{{"{name}": {value}}}')] == [name]
    assert [item.label for item in parse_grounding(f'{{"{name}s": {value}}}')] == [None]

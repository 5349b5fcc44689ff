"""Test that no cut of an answer, in any spelling, gives a box or a label that the whole answer does not have."""

from __future__ import annotations

import json

import pytest

from qwenvl_core.grounding import Box, Grounded, parse_grounding

OBJECTS = [
    ([100, 200, 300, 400], "mug"),
    ([500, 600, 700, 999], "a } b, {c: [1, 2, 3, 4]} d"),
    ([10, 20, 330, 440], 'say "hi", it\'s [x]'),
    ([1, 222, 333, 444], "红色（大）杯子：x"),
]
PLAIN = [([100, 200, 300, 400], "mug"), ([500, 600, 700, 999], "big red pen"), ([10, 20, 330, 440], "cup")]


def list_corners(box: list[int]) -> list[int]:
    x0, y0, x1, y1 = box
    return [x0, y0, x1, y0, x1, y1, x0, y1]


BOXES_FIRST = [{"bbox_2d": box, "label": label} for box, label in OBJECTS]
LABELS_FIRST = [{"label": label, "bbox_2d": box, "score": 0.5, "tags": ["a", "b} c"]} for box, label in OBJECTS]
JSON = {
    "json": json.dumps(BOXES_FIRST),
    "indented": json.dumps(LABELS_FIRST, ensure_ascii=False, indent=2),
    "fenced": "Sure: here\n```json\n" + json.dumps(BOXES_FIRST, indent=1) + "\n```\nThat's all.",
    "wrapped": json.dumps({"detections": LABELS_FIRST}),
    "python": str(LABELS_FIRST),
    "keys": json.dumps({label: {"value": 1, "bbox_2d": box} for box, label in OBJECTS}),
    "box": json.dumps([{"label": label, "box": box} for box, label in OBJECTS]),
    "polygons": json.dumps([{"label": label, "bbox_2d": list_corners(box)} for box, label in OBJECTS]),
    "escaped": json.dumps(json.dumps(BOXES_FIRST)),
    "numpy": str([{"bbox_2d": "array", "label": label} for _, label in OBJECTS]).replace(
        "'array'", "array([np.float32(100.0), np.int64(200), 300., 400])"
    ),
    "text": json.dumps([{"bbox_2d": box, "text_content": label} for box, label in OBJECTS]),
    "points": json.dumps([{"point_2d": box[:2], "label": label} for box, label in OBJECTS]),
}
LINES = {
    "plain": "".join("{},{},{},{} {}\n".format(*box, label) for box, label in PLAIN),
    "bullets": "Here:\n" + "".join("- {}, {}, {}, {} {}\n".format(*box, label) for box, label in PLAIN) + "\nDone",
    "parentheses": "".join("({},{},{},{}) {}\n".format(*box, label) for box, label in PLAIN),
    "brackets": "".join("[{}, {}, {}, {}] {}\n".format(*box, label) for box, label in PLAIN),
    "one line": " ".join("({},{},{},{}) {}".format(*box, label) for box, label in PLAIN) + "\n",
    "colons": "".join("{4}: {0},{1},{2},{3}\n".format(*box, label) for box, label in PLAIN),
    "labels first": ", ".join("{4}: [{0}, {1}, {2}, {3}]".format(*box, label) for box, label in PLAIN),
    "corners": "".join("{4}({0},{1}),({2},{3})".format(*box, label) for box, label in PLAIN),
    "polygons": "".join("{},{},{},{},{},{},{},{} {}\n".format(*list_corners(box), label) for box, label in PLAIN),
    "tokens": "".join(
        "<|object_ref_start|>{4}<|object_ref_end|><|box_start|>({0},{1}),({2},{3})<|box_end|>".format(*box, label)
        for box, label in PLAIN
    ),
    "quads": "".join(
        "<ref>{8}</ref><quad>({0},{1}),({2},{3}),({4},{5}),({6},{7})</quad>".format(*list_corners(box), label)
        for box, label in PLAIN
    ),
    "rotated boxes": "".join(
        "<ref>{8}</ref><box>({0},{1}),({2},{3}),({4},{5}),({6},{7})</box>".format(*list_corners(box), label)
        for box, label in PLAIN
    ),
    "points": "".join(f'<points x1="{box[0]}" y1="{box[1]}" alt="{label}">{label}</points>\n' for box, label in PLAIN),
    "points without alt": "".join(f'<point x="{box[0]}" y="{box[1]}">{label}</point>\n' for box, label in PLAIN),
    "yaml": "".join(f"- bbox_2d: {box}\n  label: {label}\n" for box, label in PLAIN) + "Done",
    "yaml lists": "".join(
        "- label: {4}\n  bbox_2d:\n    - {0}\n    - {1}\n    - {2}\n    - {3}\n".format(*box, label)
        for box, label in PLAIN
    ) + "Done",
    "yaml keys": "".join(f"{label}:\n  bbox_2d: {box}\n  score: 0.5\n" for box, label in PLAIN) + "Done",
    "yaml fence": "```yaml\nobjects:\n" + "".join(f"  - bbox: {b}\n    label: {t}\n" for b, t in PLAIN) + "```\nDone",
}  # fmt: skip
WITH_LABEL_BEHIND = ("parentheses", "brackets", "one line")  # a first box may have no label, which is not known then


@pytest.mark.parametrize("text", JSON.values(), ids=JSON)
@pytest.mark.parametrize("truncated", [True, False])
def test_cut_json_gives_the_first_objects_only(text: str, truncated: bool) -> None:
    whole = parse_grounding(text)
    assert [item.label for item in whole] == [label for _, label in OBJECTS]
    assert parse_grounding(text, truncated=True) == whole
    for end in range(len(text)):
        found = parse_grounding(text[:end], truncated=truncated)
        assert found == whole[: len(found)], text[:end]


@pytest.mark.parametrize("name", LINES)
def test_cut_lines_give_the_first_objects_only(name: str) -> None:
    text = LINES[name]
    whole = parse_grounding(text)
    assert [item.label for item in whole] == [label for _, label in PLAIN]
    assert parse_grounding(text, truncated=True) == whole
    for end in range(len(text)):
        found = parse_grounding(text[:end], truncated=True)
        if name in WITH_LABEL_BEHIND and len(found) == 1 and found[0].label is None:
            assert found[0].box == whole[0].box
        else:
            assert found == whole[: len(found)], text[:end]


@pytest.mark.parametrize(
    ("text", "is_ended"),
    [
        ("[100, 200, 300, 400]", True),
        ("(100,200),(300,400)", True),
        ("mug: [100, 200, 300, 400]", True),
        ("100,200,300,400\n", True),
        ("100,200,300,400", False),
        ("mug: 100,200,300,400", False),
        ("[100, 200, 300, 400", False),
        ("<|box_start|>(100,200),(300,400)", False),
        ("<|box_start|>(100,200),(300,400)<|box_end|>", True),
        ('{"bbox_2d": [100, 200, 300, 400]', False),
        ('{"bbox_2d": [100, 200, 300, 400]}', True),
        ("bbox_2d: [100, 200, 300, 400]", False),
    ],
)
def test_numbers_at_the_end_of_a_truncated_answer_count_if_ended(text: str, is_ended: bool) -> None:
    assert [item.box for item in parse_grounding(text, truncated=True)] == [Box(0.1, 0.2, 0.3, 0.4)] * is_ended


@pytest.mark.parametrize(
    "start",
    ['["bbox_2d": [100, 200, 300, 400], "label": "mug"}, ', '"bbox_2d": [100, 200, 300, 400], "label": "mug"}, ',
     '{"detections": ["bbox_2d": [100, 200, 300, 400], "label": "mug"}, ', '"label": "mug", "bbox_2d": [1, 2, 3, 4]}, ',
     '[{"bbox_2d": [100, 200, 300, 400], "label": "mu'],
)  # fmt: skip
def test_lost_brace_loses_only_its_object(start: str) -> None:
    pen, cup = '{"bbox_2d": [500, 600, 700, 999], "label": "pen"}', '{"bbox_2d": [1, 20, 30, 40], "label": "cup"}'
    whole = parse_grounding(f"[{pen}, {cup}]")
    if start.endswith('"mu'):
        assert parse_grounding(start) == []
    else:
        assert parse_grounding(f"{start}{pen}, {cup}]") == whole


def test_string_without_an_end_gives_the_whole_label() -> None:
    text = '[{"bbox_2d": [1, 2, 3, 4], "label": "red mug}, {"label": "pen", "bbox_2d": [500, 600, 700, 999]}]'
    assert parse_grounding(text) == [
        Grounded("box", "red mug", Box(0.001, 0.002, 0.003, 0.004)),
        Grounded("box", "pen", Box(0.5, 0.6, 0.7, 0.999)),
    ]

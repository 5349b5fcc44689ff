"""Parse groundings in every documented format, damaged, cut off or hostile."""

from __future__ import annotations

import html
import json
import pickle
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenvl_core.grounding import Box, Grounded, parse_grounding
from tests.support.timing import measure_seconds

MUG = Grounded("box", "mug", Box(0.1, 0.2, 0.3, 0.4))

PEN = Grounded("box", "pen", Box(0.5, 0.6, 0.7, 0.999))


def list_labels(items: list[Grounded]) -> list[str | None]:
    return [item.label for item in items]


def test_results_are_frozen_hashable_and_picklable() -> None:
    with pytest.raises(AttributeError):
        MUG.label = "cup"  # type: ignore[misc]
    assert len({MUG, MUG, PEN}) == 2
    assert pickle.loads(pickle.dumps([MUG, PEN])) == [MUG, PEN]


TWO = '[{"bbox_2d": [100, 200, 300, 400], "label": "mug"}, {"bbox_2d": [500, 600, 700, 999], "label": "pen"}]'


@pytest.mark.parametrize(
    "text",
    [
        TWO,
        f"```json\n{TWO}\n```",
        f"```json\n{TWO}",
        f"```\n{TWO}\n```",
        f'There are 2 things, one of 5" [see below]:\n{TWO}\nThat\'s {{all}} "of them',
        '{"detections": ' + TWO + "}",
        '{"elements": ' + TWO + ', "count": 2}',
        '{"a": {"b": ' + TWO + "}}",
        TWO.replace("}", ",}").replace("}]", "},]"),
        TWO.replace("[{", "[\n{\n{"),
        TWO.replace("}, {", "}}, {"),
        TWO.replace("}, {", "]}, {"),
        TWO.replace("}, {", "}{"),
        TWO.replace("}, {", "}\n{"),
        TWO.replace("}, {", ", "),
        TWO.replace("}, {", ", {"),
        TWO.replace("400], ", "400]], "),
        TWO.replace("400], ", "400, "),
        TWO.replace("400], ", "400] "),
        TWO.replace('"', "'"),
        TWO.replace('"bbox_2d"', "bbox_2d"),
        TWO.replace("[100, 200, 300, 400]", '"100, 200, 300, 400"'),
        TWO.replace("[100, 200, 300, 400]", "[[100, 200], [300, 400]]"),
        TWO.replace("[100, 200, 300, 400]", '["100", "200", "300", "400"]'),
        TWO.replace("[100, 200, 300, 400]", "[300, 400, 100, 200]"),
        TWO[1:-1].replace("}, {", "}\n```\nand\n```json\n{"),
        TWO[:-1],
        TWO[:-1] + ', {"bbox_2d": [1, 2, 3, 4], "label": "cu',
        TWO[:-1] + ', {"bbox_2d": [1, 2',
        TWO + "]]}}",
        TWO.replace("}, {", "}, // the second\n {"),
        TWO.replace("[100, 200, 300, 400]", "(100, 200, 300, 400)"),
        TWO.replace("[100, 200, 300, 400]", "[(100, 200), (300, 400)]"),
        json.dumps(TWO),
        TWO.replace('"', '\\"'),
        html.escape(TWO),
        TWO.replace(":", "：").replace(",", "，"),
        TWO.translate(str.maketrans("{}[]", "｛｝［］")),
        re.sub('"([^"]*)"', "“\\1”", TWO),
    ],
)
def test_json_in_any_form_gives_both_boxes(text: str) -> None:
    assert parse_grounding(text) == [MUG, PEN]


def test_cut_json_keeps_the_complete_objects() -> None:
    wrapped = f'Here:\n```json\n{{"detections": {TWO}}}\n```\n'
    counts = []
    for end in range(len(wrapped) + 1):
        found = parse_grounding(wrapped[:end])
        assert found == [MUG, PEN][: len(found)]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[wrapped.index("}, {") + 1] == 1
    assert counts[wrapped.index("}]") + 1] == 2


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.text()), max_size=5), st.booleans()
)
def test_valid_json_gives_boxes_and_labels(objects: list[tuple[list[int], str]], ascii_only: bool) -> None:
    text = json.dumps([{"bbox_2d": box, "label": label} for box, label in objects], ensure_ascii=ascii_only)
    found = parse_grounding(text)
    assert [item.box for item in found] == [Box.from_model(box) for box, _ in objects]
    plain = [label for _, label in objects if label.isprintable()]
    assert [item.label for item in found if item.label in plain] == plain


def test_points_3d_boxes_and_spotted_text_are_read() -> None:
    text = """[
      {"point_2d": [250, 750], "label": "tip"},
      {"point_2d": [[1, 2], [3, 4]], "label": "ends"},
      {"bbox_3d": [0.1, -0.2, 3.5, 1, 2, 3, 0, 0.5, -1e-1], "label": "car"},
      {"bbox_2d": [0, 0, 500, 500], "text_content": "EXIT", "score": 0.9, "names": {"fr": "SORTIE", "n": [1]}},
      {"bbox_2d": [0, 0, 500, 500], "name_zh": "\\u676f\\ud83d\\ude00"},
      {"bbox_2d": [0, 0, 500, 500], "label": 7, "tags": null},
      {"bbox_2d": [0, 0, 500, 500], "point_2d": [250, 250], "label": "both"}
    ]"""
    tip, ends, car, sign, cup, seven, both = parse_grounding(text)
    assert (tip.kind, tip.box, tip.points) == ("point", None, ((0.25, 0.75),))
    assert ends.points == ((0.001, 0.002), (0.003, 0.004))
    assert (car.kind, car.box, car.values) == ("box3d", None, (0.1, -0.2, 3.5, 1, 2, 3, 0, 0.5, -0.1))
    assert sign.label == "EXIT"
    assert sign.attributes == {"text_content": "EXIT", "score": 0.9, "names": {"fr": "SORTIE", "n": [1]}}
    assert (cup.label, cup.attributes) == (None, {"name_zh": "杯😀"})
    assert (seven.label, seven.attributes) == ("7", {"tags": None})
    assert (both.kind, both.box, both.points) == ("box", Box(0, 0, 0.5, 0.5), ((0.25, 0.25),))


def test_boxes_without_area_or_numbers_keep_their_labels() -> None:
    flat, short, none, words = parse_grounding(
        '[{"bbox_2d": [5, 5, 5, 9], "label": "flat"}, {"bbox_2d": [1, 2, 3], "label": "short"},'
        ' {"bbox_2d": null, "label": "none"}, {"bbox_2d": [1, 2, 3, "four"], "label": "words"}]'
    )
    assert [item.box for item in (flat, short, none, words)] == [None] * 4
    assert list_labels([flat, short, none, words]) == ["flat", "short", "none", "words"]
    assert flat.attributes == {}
    assert short.attributes == {"bbox_2d": [1, 2, 3]}


def test_several_boxes_and_nested_objects_are_separate_items() -> None:
    assert parse_grounding('{"bbox_2d": [[100, 200, 300, 400], [0, 0, 1000, 1000]], "label": "mug"}') == [
        MUG,
        Grounded("box", "mug", Box(0, 0, 1, 1)),
    ]
    nested = '{"bbox_2d": [0, 0, 900, 900], "label": "desk", "on": [{"bbox_2d": [1, 1, 2, 2], "label": "mug"}]}'
    assert list_labels(parse_grounding(nested)) == ["desk", "mug"]


def test_absolute_space_divides_by_the_size() -> None:
    assert parse_grounding(TWO, space="absolute", size=(1000, 1000)) == [MUG, PEN]
    wide = parse_grounding('{"point_2d": [50, 50]}', space="absolute", size=(200, 100))
    assert wide[0].points == ((0.25, 0.5),)


def test_quotes_inside_labels_are_kept() -> None:
    text = (
        '[{"bbox_2d": [1, 2, 3, 4], "label": "the "red", big one"}, {"bbox_2d": [1, 2, 3, 4], "label": "a \\"b\\" c"}]'
    )
    assert list_labels(parse_grounding(text)) == ['the "red", big one', 'a "b" c']
    assert list_labels(parse_grounding("[{'bbox_2d': [1, 2, 3, 4], 'label': 'the dog's bowl'}]")) == ["the dog's bowl"]
    assert list_labels(parse_grounding('[{"bbox_2d": [1, 2, 3, 4], "text_content": "two\nlines"}]')) == ["two\nlines"]


def test_unclosed_label_keeps_the_other_objects() -> None:
    text = '[{"bbox_2d": [1, 2, 3, 4], "label": "mug}, {"bbox_2d": [500, 600, 700, 999], "label": "pen"}]'
    assert parse_grounding(text)[-1] == PEN


def test_prose_gives_no_items() -> None:
    for text in [
        "",
        "No mugs here.",
        "Pages 1, 2, 3, 4 and 5 [1, 2] {see}",
        '{"point": "the first argument"}',
        '{"answer": [1, 2, 3]}',
        "At 10:30, 1,200 people",
        '[{"bbox_2d": [\n100, 200, 300, 400\n], "lab',
        "1,2,3,4,5 five",
    ]:
        assert parse_grounding(text) == [], text


@pytest.mark.parametrize(
    ("text", "label", "points"),
    [
        ('<points x1="10" y1="20" x2="30" y2="40" alt="mugs">mugs</points>', "mugs", ((0.01, 0.02), (0.03, 0.04))),
        ('```xml\n<points x1="10" y1="20" alt="a &amp; b">a &amp; b</points>\n```', "a & b", ((0.01, 0.02),)),
        ("Sure. <point x='10' y='20.5'/> done", None, ((0.01, 0.0205),)),
        ('<points x1="10" y1="20" alt="mugs">the mu', "mugs", ((0.01, 0.02),)),
        ('<points alt="mugs" y1="20" x1="1010">blue mugs</points>', "blue mugs", ((1.0, 0.02),)),
        ('<points x1="10" y1="20" x2="30" alt="mugs">mugs</points>', "mugs", ((0.01, 0.02),)),
    ],
)
def test_xml_points_are_read(text: str, label: str | None, points: tuple[tuple[float, float], ...]) -> None:
    (item,) = parse_grounding(text)
    assert (item.kind, item.label, item.points) == ("point", label, points)


def test_incomplete_xml_points_are_left_out() -> None:
    assert parse_grounding('<points x1="10" y1="2') == []
    assert parse_grounding('<points alt="none">none</points>') == []
    several = '<points x1="1" y1="2" alt="a">a</points> <points x1="3" y1="4" alt="b" color="red">b</points>'
    a, b = parse_grounding(several)
    assert (a.label, a.attributes, b.label, b.attributes) == ("a", {"alt": "a"}, "b", {"alt": "b", "color": "red"})


def test_box_tokens_are_read() -> None:
    text = (
        "<|object_ref_start|>mug<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|>"
        "<|box_start|>(0,0),(500,500)<|box_end|> and something at <|box_start|>(250,250)<|box_end|><|im_end|>"
        "<ref>pen</ref><box>(500,600),(700,999)</box> <|box_start|>(1,2),(3"
    )
    first, second, third, fourth = parse_grounding(text)
    assert first == MUG
    assert (second.label, second.box) == ("mug", Box(0, 0, 0.5, 0.5))
    assert (third.kind, third.label, third.points) == ("point", None, ((0.25, 0.25),))
    assert fourth == PEN


@pytest.mark.parametrize(
    "text",
    [
        "100,200,300,400 mug\n500,600,700,999 pen",
        "Here they are:\n\n- 100, 200, 300, 400 mug\n- 500, 600, 700, 999 pen\n\nAnything else?",
        "```\n1. 100,200,300,400: mug\n2. 500,600,700,999: pen\n```",
        "(100,200,300,400) mug\n(500,600,700,999) pen",
        "mug: [100, 200, 300, 400], pen: [500, 600, 700, 999]",
        "mug: 100,200,300,400\npen: 500,600,700,999",
        "mug(100,200),(300,400)pen(500,600),(700,999)",
    ],
)
def test_plain_tuples_are_read(text: str) -> None:
    assert parse_grounding(text) == [MUG, PEN]


def test_lists_of_four_numbers_become_boxes() -> None:
    for text in [
        "[[100, 200, 300, 400], [500, 600, 700, 999]]",
        "[\n 100,\n 200,\n 300,\n 400\n]\n[500, 600, 700, 999]",
    ]:
        assert [item.box for item in parse_grounding(text)] == [MUG.box, PEN.box]


@pytest.mark.parametrize(("start", "end"), [("<|quad_start|>", "<|quad_end|>"), ("<quad>", "</quad>")])
def test_four_corners_become_the_box_around_them(start: str, end: str) -> None:
    text = f"<ref>mug</ref>{start}(100,210),(290,200),(300,390),(110,400){end}"
    assert parse_grounding(text) == [MUG]
    assert parse_grounding(text[: text.index("390")]) == []


def test_readable_json_is_not_unescaped() -> None:
    (item,) = parse_grounding('{"bbox_2d": [100, 200, 300, 400], "label": "“mug”：\\"a\\"&amp;"}')
    assert item.label == '“mug”："a"&amp;'


def test_mixed_formats_keep_their_order() -> None:
    text = f'<points x1="1" y1="2" alt="p">p</points>\n{TWO}\n<|box_start|>(1,2),(3,4)<|box_end|>'
    assert [item.kind for item in parse_grounding(text)] == ["point", "box", "box", "box"]


JSON = ("{", "}", "[", "]", ",", ":", '"', "'", "\\", '"bbox_2d":', '"label": "a"', "[1, 2, 3, 4]", '"bbox_3d":', "//")

NUMBERS = ("12", "-1e999", "NaN", "null", "(1,2),(3,4)", "1,2,3,4 a\n", 'x1="1" y1="2"')


OTHERS = ("```json", "<points ", ">", "</points>", "<|box_start|>", "<|object_ref_start|>", "point_2d", "\n", "é")

ODD = ("\ud800", "\x00", "\\ud800", "&#99999999999;")


FRAGMENTS = st.sampled_from([*JSON, *NUMBERS, *OTHERS, *ODD])


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=60).map("".join) | st.text(st.characters(), max_size=80))
def test_any_text_parses_without_error(text: str) -> None:
    for item in parse_grounding(text):
        (item.label or "").encode()
        assert item.kind in ("box", "point", "box3d")
        assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in item.points)


def test_long_and_deep_text_is_parsed() -> None:
    limit = sys.getrecursionlimit()
    for text in ["{" * 1_000_000, "[" * 200_000, '{"a":' * 50_000, "[{" * 50_000, '["' * 10_000, "<points " * 30_000]:
        assert parse_grounding(text) == []
    deep = "[" * 100_000 + TWO + "]" * 100_000
    assert parse_grounding(deep) == [MUG, PEN]
    assert parse_grounding('{"bbox_2d": [1, 2, 3, ' + "9" * 10_000 + "]}")[0].box == Box(0.001, 0.002, 0.003, 1)
    assert sys.getrecursionlimit() == limit


@pytest.mark.parametrize(
    "unit",
    ["{", "[", '"', '["', '\\"', '{"a":"', TWO + ",", '[{"bbox_2d":"', "<points ", '<a x="', "1,2,3,4 a\n", "(1,2),"],
)
def test_parse_time_grows_in_proportion_to_the_text(unit: str) -> None:
    size = 4_000
    short, long = (measure_seconds(parse_grounding, "[" + unit * (n // len(unit))) for n in (size, 4 * size))
    assert long < 4 * 2.5 * short + 0.01

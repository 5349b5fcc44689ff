"""What a model located is read from every documented shape, whatever is wrong with the text."""

from __future__ import annotations

import html
import json
import pickle
import re
import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from qwenvl_core.grounding import Box, Grounded, crop, draw, parse_grounding
from qwenvl_core.layout import LayoutElement, parse_layout

MUG = Grounded("box", "mug", Box(0.1, 0.2, 0.3, 0.4))
PEN = Grounded("box", "pen", Box(0.5, 0.6, 0.7, 0.999))


def names(items: list[Grounded]) -> list[str | None]:
    return [item.label for item in items]


# --- boxes and the two coordinate worlds


def test_a_box_is_validated() -> None:
    box = Box(0, 0.25, 1, 0.75)
    assert (box.x0, box.y0, box.x1, box.y1) == (0.0, 0.25, 1.0, 0.75)
    assert box.area == 0.5
    for wrong in [(0.5, 0, 0.4, 1), (0, 0, 1.1, 1), (-0.1, 0, 1, 1), (0, 0, float("nan"), 1), (0, float("inf"), 1, 1)]:
        with pytest.raises(ValueError, match="Invalid box"):
            Box(*wrong)


def test_a_box_gives_pixels_and_unions() -> None:
    assert Box(0.1, 0.2, 0.3, 0.4).to_pixels(1000, 500) == (100, 100, 300, 200)
    assert Box(0.1, 0.2, 0.3, 0.4).union(Box(0.2, 0.1, 0.9, 0.3)) == Box(0.1, 0.1, 0.9, 0.4)


def test_values_are_frozen_hashable_and_picklable() -> None:
    with pytest.raises(AttributeError):
        MUG.label = "cup"  # type: ignore[misc]
    assert len({MUG, MUG, PEN}) == 2
    assert pickle.loads(pickle.dumps([MUG, PEN])) == [MUG, PEN]


@pytest.mark.parametrize(
    ("numbers", "space", "size", "expected"),
    [
        ([100, 200, 300, 400], "auto", None, Box(0.1, 0.2, 0.3, 0.4)),
        ([100, 200, 300, 400], "relative", (50, 50), Box(0.1, 0.2, 0.3, 0.4)),
        ([100, 200, 300, 400], "absolute", (1000, 800), Box(0.1, 0.25, 0.3, 0.5)),
        ([300, 400, 100, 200], "auto", None, Box(0.1, 0.2, 0.3, 0.4)),
        ([-5, 200, 1300, 1000], "auto", None, Box(0, 0.2, 1, 1)),
        ([100, 200, 100, 400], "auto", None, None),
        ([1100, 200, 1300, 400], "auto", None, None),
        ([100, 200, 300], "auto", None, None),
        ([100, 200, 300, float("nan")], "auto", None, None),
        ([100, 200, 300, float("inf")], "auto", None, Box(0.1, 0.2, 0.3, 1)),
    ],
)
def test_model_numbers_become_fractions(
    numbers: list[float], space: str, size: tuple[int, int] | None, expected: Box | None
) -> None:
    assert Box.from_model(numbers, space, size) == expected  # type: ignore[arg-type]


@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_absolute_pixels_come_back_unchanged(width: int, height: int, data: st.DataObject) -> None:
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    box = Box.from_model([x0, y0, x1, y1], "absolute", (width, height))
    assert box is not None
    assert box.to_pixels(width, height) == (x0, y0, x1, y1)


@pytest.mark.parametrize("parse", [parse_grounding, parse_layout])
def test_wrong_arguments_are_told(parse: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="size"):
        parse("", space="absolute")
    with pytest.raises(ValueError, match="size"):
        parse("", space="absolute", size=(0, 10))
    with pytest.raises(ValueError, match="space"):
        parse("", space="pixels")


# --- JSON

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
def test_two_boxes_are_found_in_every_form(text: str) -> None:
    assert parse_grounding(text) == [MUG, PEN]


def test_every_cut_keeps_the_complete_objects() -> None:
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
def test_valid_json_reads_as_json(objects: list[tuple[list[int], str]], ascii_only: bool) -> None:
    text = json.dumps([{"bbox_2d": box, "label": label} for box, label in objects], ensure_ascii=ascii_only)
    found = parse_grounding(text)
    assert [item.box for item in found] == [Box.from_model(box) for box, _ in objects]
    plain = [label for _, label in objects if label.isprintable()]
    assert [item.label for item in found if item.label in plain] == plain


def test_points_3d_boxes_and_spotted_text() -> None:
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


def test_boxes_without_area_or_sense_keep_their_names() -> None:
    flat, short, none, words = parse_grounding(
        '[{"bbox_2d": [5, 5, 5, 9], "label": "flat"}, {"bbox_2d": [1, 2, 3], "label": "short"},'
        ' {"bbox_2d": null, "label": "none"}, {"bbox_2d": [1, 2, 3, "four"], "label": "words"}]'
    )
    assert [item.box for item in (flat, short, none, words)] == [None] * 4
    assert names([flat, short, none, words]) == ["flat", "short", "none", "words"]
    assert flat.attributes == {}
    assert short.attributes == {"bbox_2d": [1, 2, 3]}


def test_several_boxes_of_one_name_and_nested_objects() -> None:
    assert parse_grounding('{"bbox_2d": [[100, 200, 300, 400], [0, 0, 1000, 1000]], "label": "mug"}') == [
        MUG,
        Grounded("box", "mug", Box(0, 0, 1, 1)),
    ]
    nested = '{"bbox_2d": [0, 0, 900, 900], "label": "desk", "on": [{"bbox_2d": [1, 1, 2, 2], "label": "mug"}]}'
    assert names(parse_grounding(nested)) == ["desk", "mug"]


def test_absolute_coordinates_are_those_of_the_image_sent() -> None:
    assert parse_grounding(TWO, space="absolute", size=(1000, 1000)) == [MUG, PEN]
    wide = parse_grounding('{"point_2d": [50, 50]}', space="absolute", size=(200, 100))
    assert wide[0].points == ((0.25, 0.5),)


def test_quotes_inside_of_labels() -> None:
    text = (
        '[{"bbox_2d": [1, 2, 3, 4], "label": "the "red", big one"}, {"bbox_2d": [1, 2, 3, 4], "label": "a \\"b\\" c"}]'
    )
    assert names(parse_grounding(text)) == ['the "red", big one', 'a "b" c']
    assert names(parse_grounding("[{'bbox_2d': [1, 2, 3, 4], 'label': 'the dog's bowl'}]")) == ["the dog's bowl"]
    assert names(parse_grounding('[{"bbox_2d": [1, 2, 3, 4], "text_content": "two\nlines"}]')) == ["two\nlines"]


def test_an_unended_label_costs_no_other_object() -> None:
    text = '[{"bbox_2d": [1, 2, 3, 4], "label": "mug}, {"bbox_2d": [500, 600, 700, 999], "label": "pen"}]'
    assert parse_grounding(text)[-1] == PEN


def test_prose_is_no_grounding() -> None:
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


# --- other formats


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
def test_xml_points(text: str, label: str | None, points: tuple[tuple[float, float], ...]) -> None:
    (item,) = parse_grounding(text)
    assert (item.kind, item.label, item.points) == ("point", label, points)


def test_xml_points_that_are_incomplete_are_left_out() -> None:
    assert parse_grounding('<points x1="10" y1="2') == []
    assert parse_grounding('<points alt="none">none</points>') == []
    several = '<points x1="1" y1="2" alt="a">a</points> <points x1="3" y1="4" alt="b" color="red">b</points>'
    a, b = parse_grounding(several)
    assert (a.label, a.attributes, b.label, b.attributes) == ("a", {"alt": "a"}, "b", {"alt": "b", "color": "red"})


def test_box_tokens() -> None:
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
def test_plain_tuples(text: str) -> None:
    assert parse_grounding(text) == [MUG, PEN]


def test_lists_without_names() -> None:
    for text in [
        "[[100, 200, 300, 400], [500, 600, 700, 999]]",
        "[\n 100,\n 200,\n 300,\n 400\n]\n[500, 600, 700, 999]",
    ]:
        assert [item.box for item in parse_grounding(text)] == [MUG.box, PEN.box]


@pytest.mark.parametrize(("start", "end"), [("<|quad_start|>", "<|quad_end|>"), ("<quad>", "</quad>")])
def test_four_corners_are_the_box_around_them(start: str, end: str) -> None:
    text = f"<ref>mug</ref>{start}(100,210),(290,200),(300,390),(110,400){end}"
    assert parse_grounding(text) == [MUG]
    assert parse_grounding(text[: text.index("390")]) == []


def test_signs_are_only_changed_where_nothing_can_be_read() -> None:
    (item,) = parse_grounding('{"bbox_2d": [100, 200, 300, 400], "label": "“mug”：\\"a\\"&amp;"}')
    assert item.label == '“mug”："a"&amp;'


def test_formats_together_stay_in_order() -> None:
    text = f'<points x1="1" y1="2" alt="p">p</points>\n{TWO}\n<|box_start|>(1,2),(3,4)<|box_end|>'
    assert [item.kind for item in parse_grounding(text)] == ["point", "box", "box", "box"]


# --- what must never happen

JSON = ("{", "}", "[", "]", ",", ":", '"', "'", "\\", '"bbox_2d":', '"label": "a"', "[1, 2, 3, 4]", '"bbox_3d":', "//")
NUMBERS = ("12", "-1e999", "NaN", "null", "(1,2),(3,4)", "1,2,3,4 a\n", 'x1="1" y1="2"')
OTHERS = ("```json", "<points ", ">", "</points>", "<|box_start|>", "<|object_ref_start|>", "point_2d", "\n", "é")
ODD = ("\ud800", "\x00", "\\ud800", "&#99999999999;")
FRAGMENTS = st.sampled_from([*JSON, *NUMBERS, *OTHERS, *ODD])


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=60).map("".join) | st.text(st.characters(), max_size=80))
def test_no_text_raises(text: str) -> None:
    for item in parse_grounding(text):
        (item.label or "").encode()
        assert item.kind in ("box", "point", "box3d")
        assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in item.points)


def test_long_and_deep_text_ends_soon() -> None:
    limit = sys.getrecursionlimit()
    for text in ["{" * 1_000_000, "[" * 200_000, '{"a":' * 50_000, "[{" * 50_000, '["' * 10_000, "<points " * 30_000]:
        assert parse_grounding(text) == []
    deep = "[" * 100_000 + TWO + "]" * 100_000
    assert parse_grounding(deep) == [MUG, PEN]
    assert parse_grounding('{"bbox_2d": [1, 2, 3, ' + "9" * 10_000 + "]}")[0].box == Box(0.001, 0.002, 0.003, 1)
    assert sys.getrecursionlimit() == limit


def seconds(parse: Callable[[str], object], text: str) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        parse(text)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize(
    "unit",
    ["{", "[", '"', '["', '\\"', '{"a":"', TWO + ",", '[{"bbox_2d":"', "<points ", '<a x="', "1,2,3,4 a\n", "(1,2),"],
)
def test_time_grows_in_proportion(unit: str) -> None:
    size = 4_000
    once, twice = (seconds(parse_grounding, "[" + unit * (n // len(unit))) for n in (size, 4 * size))
    assert twice < 4 * 2.5 * once + 0.01


# --- pictures

ITEMS = [
    Grounded("box", "mug 杯 كوب 😀 \ud800\x00", Box(0.1, 0.1, 0.5, 0.5)),
    Grounded("point", "tip", points=((0.0, 0.0), (1.0, 1.0))),
    Grounded("box3d", "car", values=(1.0,)),
    Grounded("box", "no box"),
    LayoutElement("table", "a", box=Box(0.5, 0.5, 1, 1), index=3),
    Box(0.25, 0.25, 0.25, 0.25),
]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "I;16B", "La"])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (160, 120)])
def test_draw_works_on_every_image(mode: str, size: tuple[int, int]) -> None:
    image = Image.new(mode, size)
    before = image.tobytes()
    for labels in (True, False):
        drawn = draw(image, ITEMS, labels=labels)
        assert (drawn.mode, drawn.size) == ("RGB", size)
    assert (image.mode, image.tobytes()) == (mode, before)


def test_draw_puts_a_line_around_the_box_and_nothing_else() -> None:
    image = Image.new("RGB", (100, 100), "white")
    drawn = draw(image, [Grounded("box", "mug", Box(0.2, 0.3, 0.6, 0.8))], labels=False)
    marked = {(x, y) for x in range(100) for y in range(100) if drawn.getpixel((x, y)) != (255, 255, 255)}
    assert min(marked) == (20, 30)
    assert max(marked) == (59, 79)
    assert (40, 50) not in marked
    assert draw(image, []).tobytes() == image.tobytes()


def test_draw_takes_items_elements_boxes_and_pages() -> None:
    image = Image.new("RGB", (50, 50), "white")
    page = parse_layout('<div class="text" data-bbox="100 100 900 900">a</div>')
    for items in ([MUG], iter([MUG]), MUG, page, page.elements, page.elements[0], Box(0, 0, 1, 1)):
        assert draw(image, items).tobytes() != image.tobytes()
    with pytest.raises(TypeError, match="int"):
        draw(image, [3])


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("I;16", 65535, 255),
        ("I;16", 32768, 128),
        ("I;16", 257, 1),
        ("I", 65535, 255),
        ("I", 128, 128),
        ("F", 0.5, 128),
        ("F", -1.0, 0),
    ],
)
def test_deep_images_are_scaled_not_clipped(mode: str, value: float, expected: int) -> None:
    assert draw(Image.new(mode, (2, 2), value), []).getpixel((0, 0)) == (expected,) * 3


def test_labels_are_written_without_freetype(monkeypatch: pytest.MonkeyPatch) -> None:
    small = ImageFont.load_default_imagefont()

    def load(size: float | None = None) -> ImageFont.ImageFont:
        if size is not None:
            raise ImportError("no FreeType")
        return small

    monkeypatch.setattr(ImageFont, "load_default", load)
    image = Image.new("L", (200, 200))
    assert draw(image, ITEMS).tobytes() != draw(image, ITEMS, labels=False).tobytes()


def test_transparency_is_paper() -> None:
    assert draw(Image.new("RGBA", (1, 1), (0, 0, 0, 0)), []).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("box", "margin", "size"),
    [
        (Box(0.25, 0.25, 0.75, 0.75), 0, (50, 50)),
        (Box(0.25, 0.25, 0.75, 0.75), 0.1, (60, 60)),
        (Box(0, 0, 1, 1), 0.5, (100, 100)),
        (Box(1, 1, 1, 1), 0.01, (1, 1)),
        (Box(0.5, 0, 0.5, 1), 0.01, (1, 100)),
        (Box(0.001, 0.001, 0.012, 0.002), 0, (2, 1)),
    ],
)
def test_crop(box: Box, margin: float, size: tuple[int, int]) -> None:
    for mode in ("L", "RGBA", "I;16"):
        cut = crop(Image.new(mode, (100, 100)), box, margin)
        assert (cut.size, cut.mode) == (size, mode)


def test_crop_shows_the_right_part() -> None:
    image = Image.new("L", (10, 10))
    image.putpixel((9, 0), 200)
    assert crop(image, Box(0.9, 0, 1, 0.1), margin=0).getpixel((0, 0)) == 200
    assert crop(Image.new("L", (1, 1)), Box(0.2, 0.2, 0.3, 0.3)).size == (1, 1)
    with pytest.raises(ValueError, match="margin"):
        crop(image, Box(0, 0, 1, 1), margin=-1)


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("L", (1, 1))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"qwenvl-adapters\[documents\]"):
        draw(image, [])
    with pytest.raises(ImportError, match=r"qwenvl-adapters\[documents\]"):
        crop(image, Box(0, 0, 1, 1))

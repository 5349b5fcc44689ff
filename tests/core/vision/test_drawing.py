"""Draw boxes and points on images, and crop boxes."""

from __future__ import annotations

import sys

import pytest
from PIL import Image, ImageFont

from qwenvl_core.grounding import Box, Grounded, crop, draw
from qwenvl_core.layout import LayoutElement, parse_layout

MUG = Grounded("box", "mug", Box(0.1, 0.2, 0.3, 0.4))

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
def test_draw_returns_rgb_and_keeps_the_image(mode: str, size: tuple[int, int]) -> None:
    image = Image.new(mode, size)
    before = image.tobytes()
    for labels in (True, False):
        drawn = draw(image, ITEMS, labels=labels)
        assert (drawn.mode, drawn.size) == ("RGB", size)
    assert (image.mode, image.tobytes()) == (mode, before)


def test_draw_outlines_only_the_box() -> None:
    image = Image.new("RGB", (100, 100), "white")
    drawn = draw(image, [Grounded("box", "mug", Box(0.2, 0.3, 0.6, 0.8))], labels=False)
    marked = {(x, y) for x in range(100) for y in range(100) if drawn.getpixel((x, y)) != (255, 255, 255)}
    assert min(marked) == (20, 30)
    assert max(marked) == (59, 79)
    assert (40, 50) not in marked
    assert draw(image, []).tobytes() == image.tobytes()


def test_draw_accepts_items_elements_boxes_and_pages() -> None:
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
def test_draw_scales_deep_images_to_8_bits(mode: str, value: float, expected: int) -> None:
    assert draw(Image.new(mode, (2, 2), value), []).getpixel((0, 0)) == (expected,) * 3


def test_draw_writes_labels_without_freetype(monkeypatch: pytest.MonkeyPatch) -> None:
    small = ImageFont.load_default_imagefont()

    def load(size: float | None = None) -> ImageFont.ImageFont:
        if size is not None:
            raise ImportError("no FreeType")
        return small

    monkeypatch.setattr(ImageFont, "load_default", load)
    image = Image.new("L", (200, 200))
    assert draw(image, ITEMS).tobytes() != draw(image, ITEMS, labels=False).tobytes()


def test_draw_makes_transparency_white() -> None:
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
def test_crop_adds_the_margin_within_the_image(box: Box, margin: float, size: tuple[int, int]) -> None:
    for mode in ("L", "RGBA", "I;16"):
        cut = crop(Image.new(mode, (100, 100)), box, margin)
        assert (cut.size, cut.mode) == (size, mode)


def test_crop_returns_the_pixels_of_the_box() -> None:
    image = Image.new("L", (10, 10))
    image.putpixel((9, 0), 200)
    assert crop(image, Box(0.9, 0, 1, 0.1), margin=0).getpixel((0, 0)) == 200
    assert crop(Image.new("L", (1, 1)), Box(0.2, 0.2, 0.3, 0.3)).size == (1, 1)
    with pytest.raises(ValueError, match="margin"):
        crop(image, Box(0, 0, 1, 1), margin=-1)


def test_missing_pillow_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("L", (1, 1))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"qwenvl-adapters\[documents\]"):
        draw(image, [])
    with pytest.raises(ImportError, match=r"qwenvl-adapters\[documents\]"):
        crop(image, Box(0, 0, 1, 1))

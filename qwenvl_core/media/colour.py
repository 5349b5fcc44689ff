"""Convert images of any mode to 8-bit RGB."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from PIL import Image

_WHITE = (255, 255, 255)
_MAX_8_BIT, _MAX_16_BIT = 255, 65535


def to_rgb(image: Image.Image) -> Image.Image:
    """A new RGB image that shows what `image` shows."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        return _to_8_bit(image).convert("RGB")
    if image.mode in ("RGBa", "La"):
        image = image.convert(image.mode.upper())
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, (*_WHITE, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _to_8_bit(image: Image.Image) -> Image.Image:
    """A grey image of integers or floats with its range scaled to 0..255, not clipped."""
    from PIL import Image

    if not (image.width and image.height):
        return Image.new("L", image.size)
    floats = image.convert("I").convert("F") if image.mode.startswith("I;") else image.convert("F")
    extremes = cast("tuple[float, float]", floats.getextrema())
    if not all(map(math.isfinite, extremes)):
        return Image.new("L", image.size)
    low, high = _range(image.mode, *extremes)
    scale = _MAX_8_BIT / (high - low)
    return floats.point(lambda value: value * scale + (-low * scale + 0.5)).convert("L")


def _range(mode: str, low: float, high: float) -> tuple[float, float]:
    """The values that stand for black and white: the usual range that holds all, else that of the values."""
    if mode.startswith("I;"):
        return 0, _MAX_16_BIT
    if low >= 0:
        usual = (1, _MAX_8_BIT, _MAX_16_BIT) if mode == "F" else (_MAX_8_BIT, _MAX_16_BIT)
        for most in usual:
            if high <= most:
                return 0, most
    return low, high if high > low else low + 1

"""Convert images of any mode to 8-bit RGB."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from PIL import Image

_WHITE = (255, 255, 255)
_MAX_8_BIT, _MAX_16_BIT = 255, 65535
_SCANNER_LIMITS = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 15, 16))  # 12 bits in a file of 16; 15 with a sign


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to a new RGB image; transparent parts become white."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        return _to_8_bit(image).convert("RGB")
    if image.mode in ("RGBa", "La"):
        image = image.convert(image.mode.upper())
    if "A" in image.getbands() or "transparency" in image.info:
        background = Image.new("RGBA", image.size, (*_WHITE, 255))
        return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def stretch_scan(image: Image.Image) -> Image.Image:
    """Scale a scan of more than 8 bits to 8 by the bits that its values use; other images are returned unchanged."""
    if not image.mode.startswith("I"):
        return image
    return _to_8_bit(image, _SCANNER_LIMITS)


def _to_8_bit(image: Image.Image, limits: tuple[int, ...] = ()) -> Image.Image:
    """Scale an integer or float image to 0..255 without clipping; one with NaN or infinite values becomes black.

    Args:
        image: The image.
        limits: Values of white to choose from, instead of those of the image's mode.
    """
    from PIL import Image

    if not (image.width and image.height):
        return Image.new("L", image.size)
    floats = image.convert("I").convert("F") if image.mode.startswith("I;") else image.convert("F")
    extremes = cast("tuple[float, float]", floats.getextrema())
    if not all(map(math.isfinite, extremes)):
        return Image.new("L", image.size)
    low, high = _find_range(image.mode, *extremes, limits)
    scale = _MAX_8_BIT / (high - low)
    return floats.point(lambda value: value * scale + (-low * scale + 0.5)).convert("L")


def _find_range(mode: str, low: float, high: float, limits: tuple[int, ...]) -> tuple[float, float]:
    """Return the values of black and white: the smallest usual range that holds all values, else their own range."""
    if mode.startswith("I;") and not limits:
        return 0, _MAX_16_BIT
    if low >= 0:
        usual_limits = (1, _MAX_8_BIT, _MAX_16_BIT) if mode == "F" else (_MAX_8_BIT, _MAX_16_BIT)
        for limit in limits or usual_limits:
            if high <= limit:
                return 0, limit
    return low, high if high > low else low + 1

"""Prepare Pillow images for sending: upright, transparency white, 8 bits, at an exact size, as JPEG.

No function here opens a file; the caller has imported Pillow to do so.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from qwenvl_core.media.colour import to_rgb
from qwenvl_core.media.sources import DATA_URI_LIMIT, may_exceed_data_uri
from qwenvl_core.types.media import InlineSource

if TYPE_CHECKING:
    from PIL.Image import Image

_QUALITIES = (90, 75, 50)  # JPEG qualities; the first whose file fits a data URI is used
# Pillow interpolates these modes correctly; others are converted to grey or RGB first, at more cost.
_SCALABLE_MODES = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
_FINAL_MODES = ("L", "RGB", "RGBX")
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_ORIENTATION = 0x0112
_X_RESOLUTION, _Y_RESOLUTION = 282, 283  # TIFF tags
_MAX_PIXEL_RATIO = 5.0  # of a pixel's sides; the coarsest fax has 4.2
# Resolutions are rounded (72 x 73), and the service's own resize to multiples of 32 distorts as much.
_SQUARE_TOLERANCE = 1.02


def get_square_size(image: Image) -> tuple[int, int]:
    """Return width and height with square pixels: the axis with the lower resolution is enlarged.

    Faxes have 204 x 98 or 204 x 391 dots per inch. The EXIF orientation is applied.
    """
    width, height = image.size
    x, y = _read_resolution(image)
    if _is_sideways(image):
        width, height = height, width
    if _is_sideways(image) or _is_sideways_tiff(image):
        x, y = y, x
    if not (x > 0 and y > 0 and 1 / _MAX_PIXEL_RATIO <= x / y <= _MAX_PIXEL_RATIO):
        return width, height
    if max(x / y, y / x) <= _SQUARE_TOLERANCE:
        return width, height
    return (round(width * y / x), height) if x < y else (width, round(height * x / y))


def _read_resolution(image: Image) -> tuple[float, float]:
    """Return the pixels per unit of both axes as stored; zeros if they are unknown. Only their ratio matters."""
    info, tags = image.info, getattr(image, "tag_v2", None)
    values: Any
    if tags is not None:  # `info` may be that of another frame
        values = tags.get(_X_RESOLUTION), tags.get(_Y_RESOLUTION)
    elif image.format == "JPEG":  # here, Pillow may take "dpi" from the horizontal resolution alone
        values = info.get("jfif_density")
    else:
        values = info.get("dpi") or info.get("aspect")
    try:
        x, y = map(float, values)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return 0.0, 0.0
    return (x, y) if math.isfinite(x) and math.isfinite(y) else (0.0, 0.0)


def set_draft_size(image: Image, target: tuple[int, int]) -> None:
    """Set the size at which an image will be shown, before it is decoded: a JPEG then decodes faster.

    Args:
        image: An image that is not decoded yet.
        target: Width and height in pixels, after the EXIF orientation is applied.
    """
    image.draft(None, target[::-1] if _is_sideways(image) else target)


def normalize_image(image: Image, target: tuple[int, int]) -> Image:
    """Convert an image to 8-bit grey or RGB at an exact size; transparent parts become white.

    Args:
        image: The image. It may be changed.
        target: Width and height in pixels, after the EXIF orientation is applied.
    """
    from PIL import ImageOps
    from PIL.Image import Resampling

    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in _SCALABLE_MODES or "transparency" in image.info:
        image = to_rgb(image)
    if image.size != target:
        image = image.resize(target, Resampling.BICUBIC, reducing_gap=3.0)
    return image if image.mode in _FINAL_MODES else to_rgb(image)


def encode_jpeg(image: Image, data_uri_limit: int = DATA_URI_LIMIT) -> bytes:
    """Encode an image as JPEG at 90 % quality, or less if the file would exceed the limit of a data URI."""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        data = buffer.getvalue()
        if not may_exceed_data_uri(InlineSource(data), data_uri_limit):
            break
    return data


def _is_sideways_tiff(image: Image) -> bool:
    """Return whether a TIFF that is not decoded yet is stored sideways; its size is upright already."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and tags.get(_ORIENTATION) in _SIDEWAYS


def _is_sideways(image: Image) -> bool:
    # Pillow applies the orientation of a TIFF when it opens the file.
    return image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _SIDEWAYS

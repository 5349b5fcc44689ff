"""Prepare Pillow images for sending: upright, transparency white, 8 bits, at an exact size, as JPEG.

No function here opens a file; the caller has imported Pillow to do so.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

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


def oriented_size(image: Image) -> tuple[int, int]:
    """Return width and height after the EXIF orientation is applied."""
    return image.size[::-1] if _is_sideways(image) else image.size


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


def _is_sideways(image: Image) -> bool:
    # Pillow applies the orientation of a TIFF when it opens the file.
    return image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _SIDEWAYS

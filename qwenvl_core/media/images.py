"""Pillow images made ready to be sent: upright, transparent parts white, 8 bits, at an exact size, as JPEG.

Nothing here opens a file: whoever does has imported Pillow.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from qwenvl_core.media.colour import to_rgb
from qwenvl_core.media.sources import may_exceed_data_uri
from qwenvl_core.types.media import InlineSource

if TYPE_CHECKING:
    from PIL.Image import Image

_QUALITIES = (90, 75, 50)  # of JPEG: the first whose file can be sent
# In these modes Pillow scales as the eye expects; others are made grey or RGB first, at more cost.
_SCALABLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
_READY = ("L", "RGB", "RGBX")
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap the sides
_ORIENTATION = 0x0112


def oriented_size(image: Image) -> tuple[int, int]:
    """Width and height at which an image is shown, by its header."""
    return image.size[::-1] if _is_turned(image) else image.size


def set_draft_size(image: Image, target: tuple[int, int]) -> None:
    """Tell an image that is not decoded yet at which size it will be shown: a JPEG decodes no more than that needs."""
    image.draft(None, target[::-1] if _is_turned(image) else target)


def normalize_image(image: Image, target: tuple[int, int]) -> Image:
    """An image as it is shown, at its target size: grey or RGB, transparent parts white, 8 bits. May change `image`."""
    from PIL import ImageOps
    from PIL.Image import Resampling

    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in _SCALABLE or "transparency" in image.info:
        image = to_rgb(image)
    if image.size != target:
        image = image.resize(target, Resampling.BICUBIC, reducing_gap=3.0)
    return image if image.mode in _READY else to_rgb(image)


def encode_jpeg(image: Image) -> bytes:
    """An image as a JPEG file that fits the service's limit for a data URI, at 90 % quality if possible."""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        data = buffer.getvalue()
        if not may_exceed_data_uri(InlineSource(data)):
            break
    return data


def _is_turned(image: Image) -> bool:
    # A TIFF has its orientation applied as it is opened.
    return image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _TURNED

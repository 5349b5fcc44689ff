"""Small real media for the tests."""

from __future__ import annotations

import base64
import io
from functools import cache

from PIL import Image


@cache
def image(color: str = "red", kind: str = "PNG", size: tuple[int, int] = (32, 20)) -> bytes:
    """An image file."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, kind)
    return buffer.getvalue()


def uri(data: bytes, mime: str = "image/png") -> str:
    """A data URI, in the form in which it has to arrive."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00" * 64
"""The first bytes of a video; nobody here looks further."""

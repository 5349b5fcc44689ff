"""Scans as faxes, scanners and copying tools write them: PDF pages around images, and TIFFs with special frames."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from tests.core.rendering.pdf_samples import write_pdf


def draw_page(size: tuple[int, int]) -> Image.Image:
    """Draw a page with a black quarter at its top left."""
    image = Image.new("L", size, 255)
    image.paste(0, (0, 0, size[0] // 2, size[1] // 2))
    return image


def write_page(entries: str, *objects: str, content: str = "", catalog: str = "") -> bytes:
    """Write a PDF of one page with these dictionary entries; `objects` are numbered from 5."""
    return write_pdf(
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /Contents 4 0 R {entries} >>",
        write_stream("", content),
        *objects,
    )


def write_stream(entries: str, content: str) -> str:
    return f"<< {entries} /Length {len(content)} >>\nstream\n{content}\nendstream"


def write_image(image: Image.Image) -> str:
    """Write a grey image as an image object of a PDF."""
    data = zlib.compress(image.convert("L").tobytes()).decode("latin-1")
    width, height = image.size
    return write_stream(
        f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceGray /BitsPerComponent 8"
        " /Filter /FlateDecode",
        data,
    )


def scan_pdf(
    pixels: tuple[int, int], box: tuple[float, float], *, entries: str = "", placed: Sequence[float] | None = None
) -> bytes:
    """Write a page of a size in points with one image on it, which fills the page unless `placed` is its matrix."""
    matrix = " ".join(map(str, placed or (box[0], 0, 0, box[1], 0, 0)))
    return write_page(
        f"/MediaBox [0 0 {box[0]} {box[1]}] /Resources << /XObject << /I 5 0 R >> >> {entries}",
        write_image(draw_page(pixels)),
        content=f"q {matrix} cm /I Do Q",
    )


def tiff(images: Sequence[Image.Image], tags: Sequence[dict[int, Any]]) -> bytes:
    """Write a TIFF with one frame for each image, with these additional tags."""
    buffer = io.BytesIO()
    with AppendingTiffWriter(buffer, True) as writer:
        for image, info in zip(images, tags, strict=True):
            image.save(writer, format="TIFF", tiffinfo=info)
            writer.newFrame()
    return buffer.getvalue()


def jpeg_with_density(size: tuple[int, int], density: tuple[int, int], unit: int) -> bytes:
    """Write a JPEG with the density of its JFIF header; its unit is none (0), inch (1) or centimetre (2)."""
    buffer = io.BytesIO()
    draw_page(size).save(buffer, "JPEG", dpi=(72, 72))
    data = bytearray(buffer.getvalue())
    start = data.index(b"JFIF\0") + 7
    data[start : start + 5] = struct.pack(">BHH", unit, *density)
    return bytes(data)

"""Render pages of documents, and build documents in memory."""

from __future__ import annotations

import io
from typing import Any

import pypdfium2 as pdfium
from PIL import Image

from qwenvl_core.catalog.models import describe
from qwenvl_core.rendering.open import open_pages
from qwenvl_core.rendering.page_size import PageExtent, PageSizing
from qwenvl_core.rendering.pages import PageImage, Pages, render_page

MODEL = "qwen3-vl-plus"
FIT = PageSizing(describe(MODEL)).fit
A4 = (595.276, 841.89)  # points
WHITE, BLACK = 255, 0


def render_first_page(file: Any, number: int = 1, *, password: str | None = None) -> PageImage:
    with open_pages(file, password=password) as pages:
        return render_page(pages, number, FIT)


def decode_page(file: Any, number: int = 1) -> Image.Image:
    """Render a page, and decode the JPEG that would be sent."""
    image = Image.open(io.BytesIO(render_first_page(file, number).jpeg))
    image.load()
    return image


def measure_extent(pages: Pages, number: int = 1) -> PageExtent:
    """Return the extent with which the size of a page is computed."""
    extents: list[PageExtent] = []

    def fit(extent: PageExtent) -> tuple[int, int]:
        extents.append(extent)
        return 32, 32

    pages.size(number, fit)
    return extents[0]


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def blank_pdf(*sizes: tuple[float, float], rotation: int = 0) -> bytes:
    """Write a PDF of blank pages of these sizes in points."""
    document = pdfium.PdfDocument.new()
    for width, height in sizes:
        page = document.new_page(width, height)
        page.set_rotation(rotation)
        page.close()
    buffer = io.BytesIO()
    document.save(buffer)
    document.close()
    return buffer.getvalue()


def is_close(pixel: Any, *expected: int) -> bool:
    """Compare a grey or RGB pixel with a grey value or with three values, within JPEG's loss."""
    values = pixel if isinstance(pixel, tuple) else (pixel, pixel, pixel)
    expected = expected if len(expected) == 3 else (*expected, *expected, *expected)
    return all(abs(value - target) <= 12 for value, target in zip(values, expected, strict=True))

"""Measure PDF pages: their size, and the resolution of a scan that fills them."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from qwenvl_core.rendering.page_size import POINTS_PER_INCH, PageExtent

_MAX_OBJECTS = 400  # that are searched for images; a scan is among the first or the last objects of its page
_MAX_DEPTH = 3  # of forms inside forms
_MIN_SHARE = 0.5  # of the page that a scan fills
_MIN_SIDE = 1.0  # points; a visible page is larger
_IDENTITY = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)

_Matrix = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class _PlacedImage:
    """An image on a page.

    Attributes:
        share: Its share of the page's area, 0 to 1.
        scale: Pixels per point, on the axis with more.
    """

    share: float
    scale: float


def measure_page(page: pdfium.PdfPage) -> PageExtent:
    """Return the size of a page with its rotation applied, and the pixels per point of a scan on it."""
    width, height = page.get_size()
    return PageExtent(width, height, POINTS_PER_INCH, is_scalable=True, pixels_per_unit=_find_scan_scale(page))


def has_visible_area(page: pdfium.PdfPage) -> bool:
    """Return whether a page shows anything of its media box; it does not if its crop box is outside of it."""
    return bool(min(page.get_size()) >= _MIN_SIDE)


def _find_scan_scale(page: pdfium.PdfPage) -> float | None:
    """Return the pixels per point of the image, or of the strips of equal scale, that fill most of a page."""
    shares: dict[int, float] = {}
    scales: dict[int, float] = {}
    for image in _iterate_images(page):
        group = round(math.log(image.scale) * 50)  # within 2 %: strips of one scan are rounded to whole pixels
        shares[group] = shares.get(group, 0.0) + image.share
        scales[group] = max(scales.get(group, 0.0), image.scale)
    return max((scales[group] for group, share in shares.items() if share >= _MIN_SHARE), default=None)


def _iterate_images(page: pdfium.PdfPage) -> Iterator[_PlacedImage]:
    left, bottom, right, top = page.get_bbox()
    box = left, bottom, right, top
    if right <= left or top <= bottom:
        return
    remaining = _MAX_OBJECTS
    open_forms = [(page, pdfium_c.FPDFPage_CountObjects(page), pdfium_c.FPDFPage_GetObject, _IDENTITY, 0)]
    while open_forms and remaining > 0:
        parent, count, get_object, parent_matrix, depth = open_forms.pop()
        for index in _select_ends(count, remaining):
            remaining -= 1
            item = get_object(parent, index)
            kind = pdfium_c.FPDFPageObj_GetType(item)
            if kind == pdfium_c.FPDF_PAGEOBJ_IMAGE:
                image = _measure_image(item, _multiply(_read_matrix(item), parent_matrix), box)
                if image is not None:
                    yield image
            elif kind == pdfium_c.FPDF_PAGEOBJ_FORM and depth < _MAX_DEPTH:
                matrix = _multiply(_read_matrix(item), parent_matrix)
                size = pdfium_c.FPDFFormObj_CountObjects(item)
                open_forms.append((item, size, pdfium_c.FPDFFormObj_GetObject, matrix, depth + 1))


def _select_ends(count: int, limit: int) -> Iterator[int]:
    """Yield the indices of the first and the last of `count` objects, at most `limit`."""
    if count <= limit:
        yield from range(count)
    else:
        yield from range(limit // 2)
        yield from range(count - limit // 2, count)


def _measure_image(item: object, matrix: _Matrix, box: tuple[float, float, float, float]) -> _PlacedImage | None:
    """Measure an image that `matrix` maps from the unit square to the page; `None` if it is not visible."""
    width, height = ctypes.c_uint(), ctypes.c_uint()
    if not pdfium_c.FPDFImageObj_GetImagePixelSize(item, width, height):
        return None
    a, b, c, d, x, y = matrix
    placed_width, placed_height = math.hypot(a, b), math.hypot(c, d)
    if not (placed_width > 0 and placed_height > 0 and math.isfinite(placed_width * placed_height + x + y)):
        return None
    left, right = x + min(0, a) + min(0, c), x + max(0, a) + max(0, c)
    bottom, top = y + min(0, b) + min(0, d), y + max(0, b) + max(0, d)
    visible_width = min(right, box[2]) - max(left, box[0])
    visible_height = min(top, box[3]) - max(bottom, box[1])
    scale = max(width.value / placed_width, height.value / placed_height)
    if visible_width <= 0 or visible_height <= 0 or scale <= 0:
        return None
    return _PlacedImage(visible_width * visible_height / ((box[2] - box[0]) * (box[3] - box[1])), scale)


def _read_matrix(item: object) -> _Matrix:
    matrix = pdfium_c.FS_MATRIX()
    if not pdfium_c.FPDFPageObj_GetMatrix(item, matrix):
        return _IDENTITY
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _multiply(first: _Matrix, second: _Matrix) -> _Matrix:
    """Return the matrix that applies `first`, then `second`."""
    a, b, c, d, e, f = first
    a2, b2, c2, d2, e2, f2 = second
    return (
        a * a2 + b * c2, a * b2 + b * d2,
        c * a2 + d * c2, c * b2 + d * d2,
        e * a2 + f * c2 + e2, e * b2 + f * d2 + f2,
    )  # fmt: skip

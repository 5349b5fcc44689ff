"""Tests of the size of PDF pages: scans in pages of any declared size, crop boxes, attached files."""

from __future__ import annotations

import pytest
from PIL import Image

from qwenvl_core.catalog.models import describe
from qwenvl_core.rendering.open import open_pages
from qwenvl_core.rendering.page_size import PageExtent, PageSizing
from tests.core.rendering.helpers import BLACK, FIT, MODEL, WHITE, decode_page, is_close, measure_extent
from tests.core.rendering.scan_samples import draw_page, scan_pdf, write_image, write_page, write_stream


def measure(data: bytes) -> PageExtent:
    with open_pages(data) as pages:
        return measure_extent(pages)


@pytest.mark.parametrize(
    "data",
    [
        scan_pdf((960, 1280), (23, 31)),
        scan_pdf((960, 1280), (2.3, 3.1)),
        scan_pdf((960, 1280), (230, 307), entries="/UserUnit 20"),
        scan_pdf((960, 1280), (23, 31), entries="/CropBox [1 1 22 30]"),
        scan_pdf((960, 1280), (23, 31), placed=(23, 0, 0, -31, 0, 31)),
        scan_pdf((1280, 960), (23, 31), placed=(0, 31, -23, 0, 23, 0)),
    ],
    ids=["tiny", "under 10 points", "user unit", "cropped", "flipped", "turned"],
)
def test_page_around_scan_has_pixels_of_scan(data: bytes) -> None:
    with open_pages(data) as pages:
        width, height = pages.size(1, FIT)
    assert abs(width - 960) <= 96
    assert abs(height - 1280) <= 128


def test_tiny_page_shows_its_scan() -> None:
    page = decode_page(scan_pdf((960, 1280), (23, 31)))
    assert is_close(page.getpixel((page.width // 4, page.height // 4)), BLACK)
    assert is_close(page.getpixel((page.width * 3 // 4, page.height // 4)), WHITE)


@pytest.mark.parametrize(
    ("placed", "expected"),
    [
        ((200, 0, 0, 300, 0, 0), 3.0),  # 100 %
        ((150, 0, 0, 210, 0, 0), 4.0),  # 53 %
        ((130, 0, 0, 190, 0, 0), None),  # 41 %
        ((200, 0, 0, 300, 150, 0), None),  # most of it beside the page
        ((0, 0, 0, 0, 0, 0), None),
    ],
)
def test_image_that_fills_page_sets_scale(placed: tuple[float, ...], expected: float | None) -> None:
    scale = measure(scan_pdf((600, 900), (200, 300), placed=placed)).pixels_per_unit
    assert scale == (None if expected is None else pytest.approx(expected, rel=0.08))


def test_strips_of_one_scan_set_scale_together() -> None:
    strips = [f"q 200 0 0 30 0 {30 * index} cm /I Do Q" for index in range(10)]
    data = write_page(
        "/MediaBox [0 0 200 300] /Resources << /XObject << /I 5 0 R >> >>",
        write_image(draw_page((600, 90))),
        content="\n".join(strips),
    )
    assert measure(data).pixels_per_unit == pytest.approx(3.0)


def test_scan_inside_forms_sets_scale() -> None:
    outer = write_stream(
        "/Type /XObject /Subtype /Form /BBox [0 0 20 30] /Resources << /XObject << /I 6 0 R >> >>",
        "q 20 0 0 30 0 0 cm /I Do Q",
    )
    data = write_page(
        "/MediaBox [0 0 200 300] /Resources << /XObject << /F 5 0 R >> >>",
        outer,
        write_image(draw_page((600, 900))),
        content="q 10 0 0 10 0 0 cm /F Do Q",
    )
    assert measure(data).pixels_per_unit == pytest.approx(3.0)


def test_scan_among_many_objects_is_found_first_or_last() -> None:
    lines = "0 0 m 9 9 l S\n" * 3000
    for content in (f"q 200 0 0 300 0 0 cm /I Do Q\n{lines}", f"{lines}q 200 0 0 300 0 0 cm /I Do Q"):
        data = write_page(
            "/MediaBox [0 0 200 300] /Resources << /XObject << /I 5 0 R >> >>",
            write_image(draw_page((600, 900))),
            content=content,
        )
        assert measure(data).pixels_per_unit == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("dpi", "pixels_per_unit", "scale"),
    [("auto", None, 200 / 72), ("auto", 1.0, 200 / 72), ("auto", 4.0, 4.0), (72, 4.0, 1.0)],
)
def test_scan_raises_scale_of_auto_dpi_only(dpi: float, pixels_per_unit: float | None, scale: float) -> None:
    extent = PageExtent(288, 288, 72, is_scalable=True, pixels_per_unit=pixels_per_unit)
    width, height = PageSizing(describe(MODEL), dpi).fit(extent)
    assert width == height == round(288 * scale / 32) * 32


def test_scan_of_absurd_resolution_stays_within_budget() -> None:
    width, height = PageSizing(describe(MODEL)).fit(PageExtent(9, 9, 72, is_scalable=True, pixels_per_unit=1e9))
    assert (width, height) == (1600, 1600)


# --- Crop boxes ---


@pytest.mark.parametrize(
    "crop",
    ["[400 400 500 500]", "[200 0 400 300]", "[0 0 0 0]", "[-90 -90 -10 -10]", "[199.9 0 400 300]", "[400 9 500 90]"],
)
@pytest.mark.parametrize("rotation", [0, 90])
def test_disjoint_crop_box_is_ignored(crop: str, rotation: int) -> None:
    data = scan_pdf((600, 900), (200, 300), entries=f"/CropBox {crop} /Rotate {rotation}")
    page = decode_page(data)
    assert (page.width < page.height) is (rotation == 0)
    x = page.width // 4 if rotation == 0 else page.width * 3 // 4
    assert is_close(page.getpixel((x, page.height // 4)), BLACK)
    assert is_close(page.getpixel((page.width // 4, page.height * 3 // 4)), WHITE)


def test_crop_box_on_page_is_respected() -> None:
    page = decode_page(scan_pdf((600, 900), (200, 300), entries="/CropBox [0 150 100 300]"))
    colours = page.convert("L").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert is_close(colours, BLACK)


# --- Attached files ---


def portfolio(*names: str) -> bytes:
    tree = " ".join(f"({name}) << /Type /Filespec /F ({name}) /UF ({name}) /EF << /F 5 0 R >> >>" for name in names)
    return write_page(
        "/MediaBox [0 0 200 300]",
        write_stream("/Type /EmbeddedFile", "data"),
        catalog=f"/Collection << /View /D >> /Names << /EmbeddedFiles << /Names [{tree}] >> >>",
    )


@pytest.mark.parametrize(
    ("names", "warning"),
    [
        ((), None),
        (("factur-x.xml",), None),
        (("a.pdf",), "1 attached file(s) are not read: a.pdf"),
        (("a.pdf", "b.docx", "c.xml"), "2 attached file(s) are not read: a.pdf, b.docx"),
        (
            tuple(f"{number}.pdf" for number in range(9)),
            "9 attached file(s) are not read: 0.pdf, 1.pdf, 2.pdf, 3.pdf, 4.",
        ),
    ],
)
def test_attached_files_give_warning(names: tuple[str, ...], warning: str | None) -> None:
    with open_pages(portfolio(*names)) as pages:
        assert pages.count == 1
        assert [text[: len(warning or "")] for text in pages.warnings] == ([] if warning is None else [warning])

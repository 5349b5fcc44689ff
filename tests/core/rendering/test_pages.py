"""Pages of documents as images: which size, which colours, what can be wrong with them."""

from __future__ import annotations

import ctypes
import io
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy
import pypdfium2 as pdfium
import pypdfium2.raw as raw
import pytest
from PIL import Image, ImageDraw

from qwenvl_core.catalog.models import describe
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sniffing import sniff
from qwenvl_core.rendering.open import get_document_name, open_pages
from qwenvl_core.rendering.page_size import PageExtent, Sizing
from qwenvl_core.rendering.pages import PageImage, page_image
from qwenvl_core.tokens import image_tokens, smart_resize
from tests.support.paths import SCANS
from tests.support.scanned_pages import scan

MODEL = "qwen3-vl-plus"
FIT = Sizing(describe(MODEL)).fit
A4 = (595.276, 841.89)
WHITE, BLACK = 255, 0


def rendered(file: Any, number: int = 1, *, sizing: Sizing | None = None, password: str | None = None) -> PageImage:
    with open_pages(file, password=password) as pages:
        return page_image(pages, number, sizing.fit if sizing else FIT)


def shown(file: Any, number: int = 1) -> Image.Image:
    """The picture that is sent, decoded again."""
    image = Image.open(io.BytesIO(rendered(file, number).jpeg))
    image.load()
    return image


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pdf_of(*sizes: tuple[float, float], rotation: int = 0) -> bytes:
    """A PDF of blank pages of these sizes in points."""
    document = pdfium.PdfDocument.new()
    for width, height in sizes:
        page = document.new_page(width, height)
        page.set_rotation(rotation)
        page.close()
    buffer = io.BytesIO()
    document.save(buffer)
    document.close()
    return buffer.getvalue()


def near(pixel: Any, *expected: int) -> bool:
    values = pixel if isinstance(pixel, tuple) else (pixel, pixel, pixel)
    expected = expected if len(expected) == 3 else (*expected, *expected, *expected)
    return all(abs(value - wanted) <= 12 for value, wanted in zip(values, expected, strict=True))


# --- Sizes ---


@pytest.mark.parametrize(
    ("model", "points", "high", "dpi", "tokens"),
    [
        (MODEL, A4, False, "auto", 2522),
        (MODEL, A4, False, 144, 1963),
        (MODEL, A4, False, 300, 2522),
        (MODEL, A4, True, "auto", 3798),
        (MODEL, A4, True, 300, 8582),
    ],
)
def test_the_tokens_of_a_page(model: str, points: tuple[float, float], high: bool, dpi: Any, tokens: int) -> None:
    width, height = Sizing(describe(model), dpi, high).fit(PageExtent(*points, 72, scalable=True))
    assert image_tokens(width, height, model, vl_high_resolution_images=high) == tokens


@pytest.mark.parametrize("model", [MODEL, "qwen-vl-max", "qwen2.5-vl-72b-instruct", "qvq-max", "qwen3.5-plus", "mine"])
@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("dpi", ["auto", 72, 300.5, 1e6])
@pytest.mark.parametrize("points", [A4, (842, 1191), (20, 20), (14400, 14400), (3, 500), (718.5, 300)])
def test_the_server_has_nothing_left_to_resize(model: str, high: bool, dpi: Any, points: tuple[float, float]) -> None:
    facts = describe(model)
    width, height = Sizing(facts, dpi, high).fit(PageExtent(*points, 72, scalable=True))
    tokens = facts.max_image_tokens if high else facts.default_image_tokens
    square = facts.token_factor**2
    again = smart_resize(height, width, factor=facts.token_factor, min_pixels=4 * square, max_pixels=tokens * square)
    assert again == (height, width)


def test_a_larger_budget_of_the_model_is_used() -> None:
    extent = PageExtent(*A4, 72, scalable=True)
    width, height = Sizing(describe(MODEL), max_pixels=4_000_000).fit(extent)
    assert width * height > 3_800_000
    assert Sizing(describe(MODEL), max_pixels=1000).fit(extent) == Sizing(describe(MODEL)).fit(extent)


def test_an_image_keeps_its_pixels_unless_a_resolution_is_asked_for() -> None:
    scanned = PageExtent(1000, 800, per_inch=300, scalable=False)
    assert Sizing(describe(MODEL)).fit(scanned) == (992, 800)
    assert Sizing(describe(MODEL), 150).fit(scanned) == (512, 384)
    assert Sizing(describe(MODEL), 600).fit(scanned) == (992, 800)
    assert Sizing(describe(MODEL), 150).fit(PageExtent(1000, 800, per_inch=None, scalable=False)) == (992, 800)


@pytest.mark.parametrize("points", [(1, 1000), (0, 100)])
def test_a_page_of_no_shape_for_a_model(points: tuple[float, float]) -> None:
    with pytest.raises(QwenVLInputError):
        FIT(PageExtent(*points, 72, scalable=True))


@pytest.mark.skipif(not SCANS.is_dir(), reason="the real scans are not here")
@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        (MODEL, [(1024, 1312), (1600, 1600), (1984, 832), (1984, 832), (1408, 1824), (1824, 1408)]),
        ("qwen2.5-vl-7b-instruct", [(868, 1120), (980, 980), (1540, 644), (1540, 644), (868, 1120), (1120, 868)]),
    ],
)
def test_real_scans_at_their_exact_sizes(model: str, sizes: list[tuple[int, int]]) -> None:
    sizing = Sizing(describe(model))
    with open_pages(SCANS / "multipage.pdf") as pages:
        done = [page_image(pages, number, sizing.fit) for number in range(1, pages.count + 1)]
        assert [pages.size(number, sizing.fit) for number in range(1, pages.count + 1)] == sizes
    assert [(page.width, page.height) for page in done] == sizes
    assert [(seen.width, seen.height, seen.mime) for seen in (sniff(page.jpeg) for page in done)] == [
        (width, height, "image/jpeg") for width, height in sizes
    ]


@pytest.mark.skipif(not SCANS.is_dir(), reason="the real scans are not here")
def test_a_real_scan_looks_the_same_as_rendered_plainly() -> None:
    page = rendered(SCANS / "c03-29.pdf")
    document = pdfium.PdfDocument(SCANS / "c03-29.pdf")
    plain = document[0].render(scale=200 / 72).to_pil().convert("L").resize((64, 82), Image.Resampling.BOX)
    ours = Image.open(io.BytesIO(page.jpeg)).convert("L").resize((64, 82), Image.Resampling.BOX)
    document.close()
    apart = [abs(a - b) for a, b in zip(plain.tobytes(), ours.tobytes(), strict=True)]
    assert sum(apart) / len(apart) < 4


# --- PDFs ---


def test_colours_survive() -> None:
    image = Image.new("RGB", (640, 320), "white")
    ImageDraw.Draw(image).rectangle((0, 0, 200, 320), fill=(220, 30, 40))
    page = shown(saved(image, "PDF", resolution=200))
    assert page.size == (640, 320)
    assert near(page.getpixel((100, 160)), 220, 30, 40)
    assert near(page.getpixel((500, 160)), WHITE)


def test_a_page_is_white_where_nothing_is() -> None:
    assert near(shown(pdf_of(A4)).getpixel((5, 5)), WHITE)


def test_a_turned_page_is_upright() -> None:
    assert shown(pdf_of((300, 600), rotation=90)).size == shown(pdf_of((600, 300))).size


def test_what_is_written_into_a_form_is_on_the_page() -> None:
    page = shown(FORM)
    box = page.crop((0, page.height - 150, 400, page.height)).convert("L")
    assert box.getextrema()[0] < 100


@pytest.mark.parametrize(("password", "why"), [(None, "needs a password"), ("", "needs a password"), ("no", "wrong")])
def test_the_password_is_not_right(password: str | None, why: str) -> None:
    with pytest.raises(QwenVLInputError, match=why) as caught:
        rendered(LOCKED, password=password)
    assert "password" in str(caught.value)


def test_the_password_is_right() -> None:
    assert rendered(LOCKED, password="open").number == 1


def test_an_unneeded_password_is_ignored() -> None:
    assert rendered(pdf_of(A4), password="x").number == 1


@pytest.mark.parametrize("data", [b"%PDF-1.7", b"%PDF-1.7\n" + bytes(500), scan(2)[:300], pdf_of()])
def test_a_broken_pdf(data: bytes) -> None:
    with pytest.raises(QwenVLInputError, match="can't read this PDF"):
        open_pages(data)


def test_a_broken_page_is_told_and_the_others_can_be_read() -> None:
    with open_pages(HALF_BROKEN) as pages:
        assert pages.count == 3
        assert [page_image(pages, number, FIT).number for number in (1, 3)] == [1, 3]
        for look in (pages.size, pages.picture):
            with pytest.raises(QwenVLInputError, match="can't read this page"):
                look(2, FIT)


def test_an_enormous_page_stays_in_the_budget() -> None:
    page = rendered(pdf_of((14400, 14400)))
    assert (page.width, page.height) == (1600, 1600)


def test_labels_are_those_of_the_document() -> None:
    with open_pages(LABELLED) as pages:
        assert [page_image(pages, number, FIT).label for number in (1, 2, 3)] == ["i", "ii", "1"]


def _noise(pages: int, size: tuple[int, int]) -> bytes:
    """A PDF of scans that can't be compressed."""
    picture = Image.effect_noise(size, 90)
    return saved(picture, "PDF", save_all=True, append_images=[picture] * (pages - 1))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_long_scan_is_not_kept_in_memory() -> None:
    document = _noise(40, (1600, 1000))

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with open_pages(document) as pages:
        pages.picture(1, lambda extent: (28, 28))
        before = resident()
        for number in range(1, 41):
            pages.picture(number, lambda extent: (28, 28))
        assert resident() - before < len(document) / 2


@pytest.mark.parametrize("becomes", ["another", "gone"])
def test_a_file_that_is_replaced_while_it_is_read(becomes: str, tmp_path: Path) -> None:
    """All pages are those of the document that was opened."""
    file, other = tmp_path / "scan.pdf", tmp_path / "other.pdf"
    file.write_bytes(_noise(20, (60, 60)))
    with open_pages(file) as pages:
        first = page_image(pages, 1, FIT).jpeg
        other.write_bytes(pdf_of(*[(60, 60)] * 20))
        if becomes == "another":
            other.replace(file)
        else:
            file.unlink()
        assert all(page_image(pages, number, FIT).jpeg == first for number in range(2, 21))


def test_a_closed_document() -> None:
    pages = open_pages(pdf_of(A4))
    pages.close()
    pages.close()
    with pytest.raises(QwenVLInputError, match="closed"):
        pages.picture(1, FIT)


@pytest.mark.parametrize("file", [scan(2), saved(Image.new("RGB", (90, 90)))], ids=["PDF", "image"])
def test_a_document_is_closed_in_the_midst_of_work(file: Any) -> None:
    """As by the garbage collector, which works in any thread, at any time."""
    pages = open_pages(file)

    def work() -> None:
        with pages.lock:
            pages.close()
            assert pages.lock.is_owned

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(10)
    assert not worker.is_alive()
    for closing in [thread for thread in threading.enumerate() if thread.name == "qwenvl-close"]:
        closing.join()
    with pytest.raises((QwenVLInputError, ValueError)):
        page_image(pages, 1, Sizing(describe("qwen3-vl-plus"), "auto", False, None).fit)


def test_pdfium_is_entered_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most = 0, 0

    def slow(*arguments: Any) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.005)
        inside -= 1

    monkeypatch.setattr(raw, "FPDF_RenderPageBitmap", slow)
    with open_pages(scan(8)) as one, open_pages(scan(8)) as other:
        threads = [
            threading.Thread(target=page_image, args=(pages, number, FIT))
            for number in range(1, 9)
            for pages in (one, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 1


@pytest.mark.skipif(not hasattr(os, "fork") or sys.version_info >= (3, 12), reason="forking threads is warned of")
def test_a_fork_while_another_thread_renders() -> None:
    stop = threading.Event()

    def render() -> None:
        while not stop.is_set():
            rendered(scan(1))

    thread = threading.Thread(target=render)
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                try:
                    rendered(scan(1))
                finally:
                    os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()


# --- Images ---


def test_the_frames_of_a_tiff_are_pages() -> None:
    with open_pages(scan(3, "TIFF")) as pages:
        sizes = [page_image(pages, number, FIT) for number in (3, 1, 2)]
        assert pages.count == 3
    assert [(page.number, page.label, page.width) for page in sizes] == [(3, "3", 416), (1, "1", 352), (2, "2", 384)]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_a_film_is_one_page(kind: str) -> None:
    first, second = Image.new("RGB", (64, 64), "white"), Image.new("RGB", (64, 64), "black")
    with open_pages(saved(first, kind, save_all=True, append_images=[second])) as pages:
        assert pages.count == 1
        assert near(pages.picture(1, FIT).convert("RGB").getpixel((9, 9)), WHITE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_an_image_is_turned_as_it_says(kind: str) -> None:
    image = Image.new("L", (640, 320), 255)
    ImageDraw.Draw(image).rectangle((0, 0, 100, 320), fill=0)
    exif = Image.Exif()
    exif[0x0112] = 6
    page = shown(saved(image, kind, exif=exif))
    assert page.size == (320, 640)
    assert near(page.getpixel((160, 20)), BLACK)
    assert near(page.getpixel((160, 600)), WHITE)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0)).convert(mode)
    assert near(shown(saved(image)).convert("RGB").getpixel((30, 30)), WHITE)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled(kind: str) -> None:
    page = shown(saved(Image.new("I;16", (64, 64), 32768), kind))
    assert near(page.convert("RGB").getpixel((30, 30)), 128)


def test_one_bit_is_grey_between_black_and_white() -> None:
    image = Image.new("1", (2000, 2000), 1)
    ImageDraw.Draw(image).rectangle((0, 0, 999, 2000), fill=0)
    page = shown(saved(image, "TIFF", compression="group4"))
    assert page.mode == "L"
    assert page.size == (1600, 1600)
    assert near(page.getpixel((10, 10)), BLACK)
    assert near(page.getpixel((1500, 10)), WHITE)


def test_cmyk() -> None:
    assert near(shown(saved(Image.new("CMYK", (64, 64), (0, 0, 0, 0)), "JPEG")).getpixel((30, 30)), WHITE)


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 3), (40, 60, 4)])
def test_an_array_of_numpy(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "page.npy"
    numpy.save(path, numpy.full(shape, 255, dtype=numpy.uint8))
    for file in (path, path.read_bytes()):
        assert near(shown(file).convert("RGB").getpixel((30, 30)), WHITE)


@pytest.mark.parametrize("array", [numpy.zeros((2, 2, 7), dtype=numpy.uint8), numpy.zeros(5), numpy.array(["a"])])
def test_an_array_that_is_no_picture(array: Any) -> None:
    buffer = io.BytesIO()
    numpy.save(buffer, array)
    with pytest.raises(QwenVLInputError, match="Unsupported NumPy array"):
        open_pages(buffer.getvalue())


def test_an_array_of_python_objects_is_not_unpickled() -> None:
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.array([{"a": 1}], dtype=object))
    with pytest.raises(QwenVLInputError, match="Unsupported NumPy array"):
        open_pages(buffer.getvalue())


def test_an_image_too_large_to_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.new("L", (300, 300)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(QwenVLInputError, match="decompression bomb"):
        open_pages(data)


def test_an_image_that_breaks_off() -> None:
    data = saved(Image.effect_noise((300, 300), 50), "JPEG")
    with open_pages(data[: len(data) // 2]) as pages, pytest.raises(QwenVLInputError, match="can't be read"):
        page_image(pages, 1, FIT)


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100)])
def test_no_document(data: bytes) -> None:
    with pytest.raises(QwenVLInputError, match="neither a PDF nor an image"):
        open_pages(data)


# --- Files ---


def test_what_a_document_may_be(tmp_path: Path) -> None:
    data = scan(2)
    path = tmp_path / "a scan.pdf"
    path.write_bytes(data)
    read = io.BytesIO(data)
    read.seek(5)
    for file in (path, str(path), data, bytearray(data), read):
        with open_pages(file) as pages:
            assert pages.count == 2
    assert get_document_name(path) == get_document_name(str(path)) == str(path)
    assert get_document_name(data) == get_document_name(read) != get_document_name(scan(3))
    with path.open("rb") as opened:
        assert get_document_name(opened) == str(path)


def test_what_a_document_may_not_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_pages(tmp_path / "none.pdf")
    with pytest.raises(QwenVLInputError, match="not fetched"):
        open_pages("https://example.com/a.pdf")
    with pytest.raises(QwenVLInputError, match="Open it in binary mode"):
        open_pages(io.StringIO("x"))  # type: ignore[arg-type]
    with pytest.raises(QwenVLInputError, match="type: int"):
        open_pages(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["pypdfium2", "PIL"])
def test_a_missing_package_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for loaded in [module for module in sys.modules if module.startswith("qwenvl_core.rendering.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"qwenvl-adapters\[documents\]"):
        open_pages(scan(1))


# --- LoaderOptions ---


@pytest.mark.parametrize(
    ("pages", "numbers"),
    [
        (None, [1, 2, 3, 4, 5]),
        ("1-3", [1, 2, 3]),
        ("5,1 - 2 , 2", [1, 2, 5]),
        ("4-", [4, 5]),
        ("5", [5]),
    ],
)
def test_which_pages(pages: str | None, numbers: list[int]) -> None:
    assert LoaderOptions(pages=pages).select_pages(5) == numbers


@pytest.mark.parametrize("pages", ["", "a", "0", "3-1", "1,,2", "-3", "1-2-3", "1.5"])
def test_no_pages(pages: str) -> None:
    with pytest.raises(QwenVLInputError, match="page numbers"):
        LoaderOptions(pages=pages)


@pytest.mark.parametrize("pages", ["6", "1-6", "7-"])
def test_pages_that_are_not_there(pages: str) -> None:
    with pytest.raises(QwenVLInputError, match="pages 1 to 5"):
        LoaderOptions(pages=pages).select_pages(5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "pages"},
        {"output": "json"},
        {"on_error": "ignore"},
        {"coordinates": "auto"},
        {"max_concurrency": 0},
        {"max_concurrency": 1.5},
        {"chunk_size": True},
        {"dpi": 0},
        {"dpi": "high"},
        {"dpi": float("inf")},
        {"pages": 3},
        {"pages": [1, 2]},
    ],
)
def test_options_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(QwenVLInputError, match=next(iter(wrong))):
        LoaderOptions(**wrong)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(LoaderOptions(password="secret"))


# --- PDFs that no library at hand writes ---


def _pdf(*objects: str, trailer: str = "") -> bytes:
    """A PDF of these objects, numbered from 1; the first is its catalogue."""
    data, places = b"%PDF-1.7\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{table}trailer\n"
    end += f"<< /Size {len(places) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + end.encode()


_APPEARANCE = "BT /F 40 Tf 10 10 Td (Signed) Tj ET"
FORM = _pdf(
    "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R] >> >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Annots [4 0 R] >>",
    "<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Signed) /Rect [0 0 200 50] /P 3 0 R /F 4"
    " /AP << /N 5 0 R >> >>",
    "<< /Type /XObject /Subtype /Form /BBox [0 0 200 50] /Resources << /Font << /F"
    f" << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> /Length {len(_APPEARANCE)} >>\n"
    f"stream\n{_APPEARANCE}\nendstream",
)
HALF_BROKEN = _pdf(
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R 9 0 R 4 0 R] /Count 3 >>",
    *["<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>"] * 2,
)
LABELLED = _pdf(
    "<< /Type /Catalog /Pages 2 0 R /PageLabels << /Nums [0 << /S /r >> 2 << /S /D >>] >> >>",
    "<< /Type /Pages /Kids [3 0 R 4 0 R 5 0 R] /Count 3 >>",
    *["<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>"] * 3,
)


def _locked(password: bytes) -> bytes:
    """A PDF that opens with this password: 40-bit RC4, as the PDF 1.7 reference, 7.6.3, has it."""
    import hashlib

    pad = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")

    def rc4(key: bytes, data: bytes) -> bytes:
        state, j = list(range(256)), 0
        for i in range(256):
            j = (j + state[i] + key[i % len(key)]) % 256
            state[i], state[j] = state[j], state[i]
        out, i, j = bytearray(), 0, 0
        for byte in data:
            i = (i + 1) % 256
            j = (j + state[i]) % 256
            state[i], state[j] = state[j], state[i]
            out.append(byte ^ state[(state[i] + state[j]) % 256])
        return bytes(out)

    identity, allowed = b"0123456789abcdef", -4
    owner = rc4(hashlib.md5((b"owner" + pad)[:32]).digest()[:5], (password + pad)[:32])
    key = hashlib.md5((password + pad)[:32] + owner + ctypes.c_uint32(allowed).value.to_bytes(4, "little") + identity)
    user = rc4(key.digest()[:5], pad)
    return _pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
        trailer=f"/ID [<{identity.hex()}> <{identity.hex()}>] /Encrypt << /Filter /Standard /V 1 /R 2 /Length 40 "
        f"/P {allowed} /O <{owner.hex()}> /U <{user.hex()}> >>",
    )


LOCKED = _locked(b"open")

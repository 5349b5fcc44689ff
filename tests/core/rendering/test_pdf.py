"""Tests of PDF pages: what is rendered, passwords, broken files, memory, threads."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw
import pytest
from PIL import Image, ImageDraw

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.rendering.open import open_pages
from qwenvl_core.rendering.pages import render_page
from qwenvl_core.rendering.pdf import PdfPages
from tests.core.rendering.helpers import A4, FIT, WHITE, blank_pdf, decode_page, encode, is_close, render_first_page
from tests.core.rendering.pdf_samples import FORM, HALF_BROKEN, LABELLED, LOCKED
from tests.support.forks import can_fork, run_in_fork
from tests.support.paths import SCANS
from tests.support.scanned_pages import scan

# --- Content ---


@pytest.mark.skipif(not SCANS.is_dir(), reason="the real scans are not here")
def test_real_scan_resembles_plain_rendering() -> None:
    page = render_first_page(SCANS / "c03-29.pdf")
    document = pdfium.PdfDocument(SCANS / "c03-29.pdf")
    plain = document[0].render(scale=200 / 72).to_pil().convert("L").resize((64, 82), Image.Resampling.BOX)
    ours = Image.open(io.BytesIO(page.jpeg)).convert("L").resize((64, 82), Image.Resampling.BOX)
    document.close()
    differences = [abs(a - b) for a, b in zip(plain.tobytes(), ours.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 4


def test_colours_are_kept() -> None:
    image = Image.new("RGB", (640, 320), "white")
    ImageDraw.Draw(image).rectangle((0, 0, 200, 320), fill=(220, 30, 40))
    page = decode_page(encode(image, "PDF", resolution=200))
    assert page.size == (640, 320)
    assert is_close(page.getpixel((100, 160)), 220, 30, 40)
    assert is_close(page.getpixel((500, 160)), WHITE)


def test_blank_page_is_white() -> None:
    assert is_close(decode_page(blank_pdf(A4)).getpixel((5, 5)), WHITE)


def test_rotated_page_is_upright() -> None:
    assert decode_page(blank_pdf((300, 600), rotation=90)).size == decode_page(blank_pdf((600, 300))).size


def test_form_field_values_are_rendered() -> None:
    page = decode_page(FORM)
    field = page.crop((0, page.height - 150, 400, page.height)).convert("L")
    darkest, _ = field.getextrema()
    assert isinstance(darkest, int)
    assert darkest < 100


def test_enormous_page_stays_in_pixel_budget() -> None:
    page = render_first_page(blank_pdf((14400, 14400)))
    assert (page.width, page.height) == (1600, 1600)


def test_page_labels_are_those_of_the_document() -> None:
    with open_pages(LABELLED) as pages:
        assert [render_page(pages, number, FIT).label for number in (1, 2, 3)] == ["i", "ii", "1"]


# --- Passwords and broken files ---


@pytest.mark.parametrize(
    ("password", "reason"), [(None, "needs a password"), ("", "needs a password"), ("no", "wrong")]
)
def test_missing_or_wrong_password_raises_input_error(password: str | None, reason: str) -> None:
    with pytest.raises(QwenVLInputError, match=reason) as caught:
        render_first_page(LOCKED, password=password)
    assert "password" in str(caught.value)


def test_right_password_opens_pdf() -> None:
    assert render_first_page(LOCKED, password="open").number == 1


def test_unneeded_password_is_ignored() -> None:
    assert render_first_page(blank_pdf(A4), password="x").number == 1


@pytest.mark.parametrize("data", [b"%PDF-1.7", b"%PDF-1.7\n" + bytes(500), scan(2)[:300], blank_pdf()])
def test_broken_pdf_raises_input_error(data: bytes) -> None:
    with pytest.raises(QwenVLInputError, match="can't read this PDF"):
        open_pages(data)


def test_pdf_without_pages_after_locked_one_needs_no_password() -> None:
    """PDFium keeps the code of its last error, and pypdfium2 reads it also where there is none."""
    for _ in range(2):
        with pytest.raises(QwenVLInputError, match="it has no pages"):
            open_pages(blank_pdf())
        with pytest.raises(QwenVLInputError, match="needs a password"):
            open_pages(LOCKED)


def test_broken_page_raises_input_error_and_others_are_rendered() -> None:
    with open_pages(HALF_BROKEN) as pages:
        assert pages.count == 3
        assert [render_page(pages, number, FIT).number for number in (1, 3)] == [1, 3]
        for read in (pages.size, pages.render):
            with pytest.raises(QwenVLInputError, match="can't read this page"):
                read(2, FIT)


# --- Memory and replaced files ---


def noise_pdf(pages: int, size: tuple[int, int]) -> bytes:
    """Write a PDF of scans that can't be compressed."""
    image = Image.effect_noise(size, 90)
    return encode(image, "PDF", save_all=True, append_images=[image] * (pages - 1))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_long_scan_is_not_kept_in_memory() -> None:
    document = noise_pdf(40, (1600, 1000))

    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with open_pages(document) as pages:
        pages.render(1, lambda extent: (28, 28))
        before = resident_bytes()
        for number in range(1, 41):
            pages.render(number, lambda extent: (28, 28))
        assert resident_bytes() - before < len(document) / 2


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_file_changed_while_open_still_gives_original_pages(change: str, tmp_path: Path) -> None:
    file, other = tmp_path / "scan.pdf", tmp_path / "other.pdf"
    file.write_bytes(noise_pdf(20, (60, 60)))
    with open_pages(file) as pages:
        first = render_page(pages, 1, FIT).jpeg
        other.write_bytes(blank_pdf(*[(60, 60)] * 20))
        if change == "replaced":
            other.replace(file)
        else:
            file.unlink()
        assert all(render_page(pages, number, FIT).jpeg == first for number in range(2, 21))


# --- Closing, threads, processes ---


def test_closed_document_raises_input_error() -> None:
    pages = open_pages(blank_pdf(A4))
    pages.close()
    pages.close()
    with pytest.raises(QwenVLInputError, match="closed"):
        pages.render(1, FIT)


@pytest.mark.parametrize("file", [scan(2), encode(Image.new("RGB", (90, 90)))], ids=["PDF", "image"])
def test_close_by_lock_owner_does_not_deadlock(file: bytes) -> None:
    """The garbage collector may close a document in a thread that holds its lock."""
    pages = open_pages(file)

    def close() -> None:
        with pages.lock:
            pages.close()
            assert pages.lock.is_owned

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    for closing in [thread for thread in threading.enumerate() if thread.name == "qwenvl-close"]:
        closing.join()
    with pytest.raises((QwenVLInputError, ValueError)):
        render_page(pages, 1, FIT)


def test_pdfium_is_called_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    concurrent, highest = 0, 0

    def render_slowly(*arguments: Any) -> None:
        nonlocal concurrent, highest
        concurrent += 1
        highest = max(highest, concurrent)
        time.sleep(0.005)
        concurrent -= 1

    monkeypatch.setattr(raw, "FPDF_RenderPageBitmap", render_slowly)
    with open_pages(scan(8)) as first, open_pages(scan(8)) as second:
        threads = [
            threading.Thread(target=render_page, args=(pages, number, FIT))
            for number in range(1, 9)
            for pages in (first, second)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert highest == 1


def fork_and_render() -> int:
    return run_in_fork(lambda: render_first_page(scan(1)))


@can_fork
def test_fork_while_another_thread_renders_does_not_deadlock() -> None:
    stop = threading.Event()

    def render() -> None:
        while not stop.is_set():
            render_first_page(scan(1))

    thread = threading.Thread(target=render)
    thread.start()
    try:
        for _ in range(5):
            assert fork_and_render() == 0
    finally:
        stop.set()
        thread.join()


@can_fork
def test_fork_while_another_thread_reads_labels_does_not_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    is_reading, stop = threading.Event(), threading.Event()
    read_label = PdfPages.label

    def wait_in_thread(pages: PdfPages, number: int) -> str:
        if threading.current_thread() is thread and not is_first_label():
            is_reading.set()
            stop.wait()
        return read_label(pages, number)

    labels_read = iter([True])

    def is_first_label() -> bool:
        """Let the thread pass once: the label of its page is read before those of all pages."""
        return next(labels_read, False)

    monkeypatch.setattr(PdfPages, "label", wait_in_thread)
    thread = threading.Thread(target=render_first_page, args=(scan(1),))
    thread.start()
    try:
        assert is_reading.wait(10)
        assert fork_and_render() == 0
    finally:
        stop.set()
        thread.join()


@can_fork
@pytest.mark.parametrize("file", [scan(2), scan(2, "TIFF")], ids=["PDF", "TIFF"])
def test_document_read_by_thread_of_parent_can_be_closed_in_child(file: bytes) -> None:
    pages = open_pages(file)
    is_reading, stop = threading.Event(), threading.Event()

    def read() -> None:
        with pages.lock:
            is_reading.set()
            stop.wait(0.05 if pages.lock is PdfPages.lock else 10)  # a fork waits for PDFium

    thread = threading.Thread(target=read)
    thread.start()
    assert is_reading.wait(10)
    assert run_in_fork(pages.close) == 0
    stop.set()
    thread.join()
    pages.close()

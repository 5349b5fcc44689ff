"""Render PDF pages with PDFium.

PDFium is not thread-safe: one lock serialises all calls of the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.rendering.lock import OwnedLock
from qwenvl_core.rendering.pages import Pages, SizeFunction
from qwenvl_core.rendering.pdf_extent import has_visible_area, measure_page
from qwenvl_core.rendering.pdf_forms import init_forms, show_widgets

_PDFIUM_LOCK = OwnedLock()
if hasattr(os, "register_at_fork"):  # else a child could be forked in the middle of a PDFium call of another thread
    os.register_at_fork(before=_PDFIUM_LOCK.acquire, after_in_parent=_PDFIUM_LOCK.release)

_REOPEN_AFTER = 8  # page reads; reopening takes about a millisecond
_MAX_ATTACHMENTS = 1000  # whose names are read
_SHOWN_ATTACHMENTS = 5
_DATA_SUFFIXES = (".xml", ".json")
_WHITE = (255, 255, 255, 255)
# Colour with four bytes per pixel: faster in PDFium than grey or three bytes, and encoded by Pillow without a copy.
_FORMAT = pdfium_c.FPDFBitmap_BGRx
_FLAGS = pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER


class PdfPages(Pages):
    """The pages of a PDF."""

    lock = _PDFIUM_LOCK

    def __init__(self, file: Path | bytes, *, password: str | None = None) -> None:
        """Open the PDF.

        Raises:
            QwenVLInputError: The file is not a readable PDF, or the password is missing or wrong.
        """
        self._file, self._password = file, password
        self._identity = _identify_file(file)
        self._reads = 0
        with _PDFIUM_LOCK:
            self._document: pdfium.PdfDocument | None = self._open()
            self.count = len(self._document)
            self.warnings = _warn_of_attachments(self._document)

    def label(self, number: int) -> str:
        """Return the document's own label of a page; see `Pages.label`."""
        with _PDFIUM_LOCK:
            return str(self._require_document().get_page_label(number - 1))

    def size(self, number: int, fit: SizeFunction) -> tuple[int, int]:
        """Return the size at which a page would be rendered; see `Pages.size`."""
        with _PDFIUM_LOCK, self._open_page(number) as page:
            return fit(measure_page(page))

    def render(self, number: int, fit: SizeFunction) -> Image.Image:
        """Render a page; see `Pages.render`."""
        with _PDFIUM_LOCK, self._open_page(number) as page:
            width, height = fit(measure_page(page))
            show_widgets(page)
            bitmap = pdfium.PdfBitmap.new_native(width, height, _FORMAT, rev_byteorder=True)
            bitmap.fill_rect(_WHITE, 0, 0, width, height)
            pdfium_c.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, _FLAGS)
            pdfium_c.FPDF_FFLDraw(page.formenv, bitmap, page, 0, 0, width, height, 0, _FLAGS)
            bitmap.close()  # frees PDFium's handle; the pixels are in memory that Python owns
        return Image.frombuffer("RGBX", (width, height), bitmap.buffer, "raw", "RGBX", bitmap.stride, 1)

    # The caller of the methods below holds the lock.

    def _close(self) -> None:
        if self._document is not None:
            self._document.close()
            self._document = None

    def _open(self) -> pdfium.PdfDocument:
        try:
            document = pdfium.PdfDocument(self._file, password=self._password)
            init_forms(document)
        except pdfium.PdfiumError as error:
            raise QwenVLInputError(_explain(error, self._file, self._password)) from error
        return document

    def _reopen_if_due(self) -> None:
        """Reopen the file every few pages, because PDFium keeps all data that it has read in memory."""
        self._reads += 1
        if self._reads % _REOPEN_AFTER == 0 and _identify_file(self._file) == self._identity:
            old, self._document = self._require_document(), self._open()
            old.close()

    def _require_document(self) -> pdfium.PdfDocument:
        if self._document is None:
            raise QwenVLInputError("The document is closed.")
        return self._document

    @contextmanager
    def _open_page(self, number: int) -> Iterator[pdfium.PdfPage]:
        self._reopen_if_due()
        page = self._load_page(number)
        if not has_visible_area(page):
            pdfium_c.FPDFPage_SetCropBox(page, *page.get_mediabox())
            page.close()
            page = self._load_page(number)
        try:
            yield page
        finally:
            page.close()

    def _load_page(self, number: int) -> pdfium.PdfPage:
        try:
            return self._require_document()[number - 1]
        except pdfium.PdfiumError as error:
            raise QwenVLInputError(f"PDFium can't read this page: {error}") from error


def _identify_file(file: Path | bytes) -> tuple[int, ...]:
    """Return values that differ if another file has taken the path; an empty tuple if the path does not exist."""
    if isinstance(file, bytes):
        return (len(file),)
    try:
        status = file.stat()
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _warn_of_attachments(document: pdfium.PdfDocument) -> tuple[str, ...]:
    """Return a warning if files are attached, as in a portfolio, whose only page is its cover.

    The data of invoices (XML) are not counted, since the pages show them.
    """
    count = document.count_attachments()
    names = [document.get_attachment(index).get_name() for index in range(min(count, _MAX_ATTACHMENTS))]
    documents = [name for name in names if not name.lower().endswith(_DATA_SUFFIXES)]
    if not documents:
        return ()
    shown = ", ".join(documents[:_SHOWN_ATTACHMENTS]) + (", …" if len(documents) > _SHOWN_ATTACHMENTS else "")
    return (f"{len(documents)} attached file(s) are not read: {shown}. Extract and load them",)


def _explain(error: pdfium.PdfiumError, file: Path | bytes, password: str | None) -> str:
    if _has_no_pages(file, password):  # the error's code is that of an earlier file
        return "PDFium can't read this PDF: it has no pages."
    if error.err_code != pdfium_c.FPDF_ERR_PASSWORD:
        return f"PDFium can't read this PDF: {error}"
    if password:
        return "The password for this PDF is wrong. Pass the right one as password=."
    return "This PDF needs a password. Pass it as password=."


def _has_no_pages(file: Path | bytes, password: str | None) -> bool:
    """Return whether PDFium opens a file and finds no page in it, which pypdfium2 does not tell from other failures."""
    secret = None if password is None else f"{password}\0".encode()
    if isinstance(file, Path):
        handle = pdfium_c.FPDF_LoadDocument(str(file).encode(errors="surrogateescape") + b"\0", secret)
    else:
        handle = pdfium_c.FPDF_LoadMemDocument64(file, len(file), secret)
    if not handle:
        return False
    count = pdfium_c.FPDF_GetPageCount(handle)
    pdfium_c.FPDF_CloseDocument(handle)
    return bool(count < 1)

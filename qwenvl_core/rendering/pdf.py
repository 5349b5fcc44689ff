"""PDF pages through PDFium, which is not thread-safe: it is called in turns, for the whole process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as c
from PIL import Image

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.rendering.lock import OwnedLock
from qwenvl_core.rendering.page_size import POINTS_PER_INCH, Extent
from qwenvl_core.rendering.pages import Fit, Pages

_PDFIUM = OwnedLock()
if hasattr(os, "register_at_fork"):  # a child must not be born while another thread is inside of PDFium
    os.register_at_fork(before=_PDFIUM.acquire, after_in_parent=_PDFIUM.release, after_in_child=_PDFIUM.release)

_RENEWED_AFTER = 8  # pages; a renewal takes about a millisecond
_WHITE = (255, 255, 255, 255)
# Colour, four bytes a pixel: PDFium renders it faster than grey or three bytes, and Pillow encodes it without a copy.
_FORMAT = c.FPDFBitmap_BGRx
_FLAGS = c.FPDF_ANNOT | c.FPDF_REVERSE_BYTE_ORDER


class PdfPages(Pages):
    """The pages of a PDF."""

    turns = _PDFIUM

    def __init__(self, file: Path | bytes, *, password: str | None = None) -> None:
        """Open it.

        Raises:
            QwenVLInputError: It is no PDF that can be read, or needs another password.
        """
        self._file, self._password = file, password
        self._stamp = _stamp(file)
        self._looks = 0
        with _PDFIUM:
            self._document: pdfium.PdfDocument | None = self._open()
            self.count = len(self._document)

    def label(self, number: int) -> str:
        """What the document calls a page."""
        with _PDFIUM:
            return str(self._opened().get_page_label(number - 1))

    def size(self, number: int, fit: Fit) -> tuple[int, int]:
        """See `Pages.size`."""
        with _PDFIUM, self._page(number) as page:
            return fit(_extent(page))

    def picture(self, number: int, fit: Fit) -> Image.Image:
        """See `Pages.picture`."""
        with _PDFIUM, self._page(number) as page:
            width, height = fit(_extent(page))
            bitmap = pdfium.PdfBitmap.new_native(width, height, _FORMAT, rev_byteorder=True)
            bitmap.fill_rect(_WHITE, 0, 0, width, height)
            c.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, _FLAGS)
            if page.formenv:
                c.FPDF_FFLDraw(page.formenv, bitmap, page, 0, 0, width, height, 0, _FLAGS)
            bitmap.close()  # the handle; the pixels are Python's
        return Image.frombuffer("RGBX", (width, height), bitmap.buffer, "raw", "RGBX", bitmap.stride, 1)

    # These are called within a turn.

    def _close(self) -> None:
        if self._document is not None:
            self._document.close()
            self._document = None

    def _open(self) -> pdfium.PdfDocument:
        try:
            document = pdfium.PdfDocument(self._file, password=self._password)
            document.init_forms()  # what is written into forms is on the page, too
        except pdfium.PdfiumError as error:
            raise QwenVLInputError(_why(error, self._password)) from error
        return document

    def _renew(self) -> None:
        """PDFium holds on to all that it has read of a document: opened once, a long scan would be in memory whole."""
        self._looks += 1
        if self._looks % _RENEWED_AFTER == 0 and _stamp(self._file) == self._stamp:
            old, self._document = self._opened(), self._open()
            old.close()

    def _opened(self) -> pdfium.PdfDocument:
        if self._document is None:
            raise QwenVLInputError("The document is closed.")
        return self._document

    @contextmanager
    def _page(self, number: int) -> Iterator[pdfium.PdfPage]:
        self._renew()
        try:
            page = self._opened()[number - 1]
        except pdfium.PdfiumError as error:
            raise QwenVLInputError(f"PDFium can't read this page: {error}") from error
        try:
            yield page
        finally:
            page.close()


def _stamp(file: Path | bytes) -> tuple[int, ...]:
    """By what a file is known to be the same, and not another one of its name; nothing where it is gone."""
    if isinstance(file, bytes):
        return (len(file),)
    try:
        told = file.stat()
    except OSError:
        return ()
    return (told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns)


def _extent(page: pdfium.PdfPage) -> Extent:
    width, height = page.get_size()  # as it is shown: turned as the page says
    return Extent(width, height, POINTS_PER_INCH, scalable=True)


def _why(error: pdfium.PdfiumError, password: str | None) -> str:
    if error.err_code != c.FPDF_ERR_PASSWORD:
        return f"PDFium can't read this PDF: {error}"
    if password:
        return "The password for this PDF is wrong."
    return "This PDF needs a password: pass password=."

"""Show form fields that PDFium would leave out: filled values, ticks and signatures.

PDFium draws widgets with its form environment, which pypdfium2 creates only for documents with an `/AcroForm`. Tools
that copy pages keep the widgets and lose the `/AcroForm`, and sometimes the fields' names and parents.
"""

from __future__ import annotations

import ctypes

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

_MAX_ANNOTATIONS = 5_000  # of one page, since PDFium searches all fields for each; a form has hundreds
_FIELDS_WITH_STATES = (pdfium_c.FPDF_FORMFIELD_CHECKBOX, pdfium_c.FPDF_FORMFIELD_RADIOBUTTON)
# UTF-16 with a terminator. The type of a stamp: annotations of this type are drawn by their appearance alone.
_STAMP = ctypes.create_string_buffer("Stamp\0".encode("utf-16-le"))


def init_forms(document: pdfium.PdfDocument) -> None:
    """Create the form environment of a document, also where it has no `/AcroForm`.

    Raises:
        pdfium.PdfiumError: PDFium can't create it.
    """
    document.init_forms()
    if document.formenv is None:
        config = pdfium_c.FPDF_FORMFILLINFO(version=2)
        handle = pdfium_c.FPDFDOC_InitFormFillEnvironment(document, config)
        if handle:
            document.formenv = pdfium.PdfFormEnv(handle, config)


def show_widgets(page: pdfium.PdfPage) -> None:
    """Make widgets visible that belong to no field, and ticks without a state.

    Their type is changed in memory, so that PDFium draws their appearance, unless their flags hide them.
    """
    for index in range(min(pdfium_c.FPDFPage_GetAnnotCount(page), _MAX_ANNOTATIONS)):
        annotation = pdfium_c.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        if pdfium_c.FPDFAnnot_GetSubtype(annotation) == pdfium_c.FPDF_ANNOT_WIDGET and not _is_drawn(page, annotation):
            stamp = ctypes.cast(_STAMP, pdfium_c.FPDF_WIDESTRING)
            pdfium_c.FPDFAnnot_SetStringValue(annotation, b"Subtype", stamp)
        pdfium_c.FPDFPage_CloseAnnot(annotation)


def _is_drawn(page: pdfium.PdfPage, annotation: object) -> bool:
    """Return whether the form environment draws a widget if its flags do not hide it."""
    field_type = pdfium_c.FPDFAnnot_GetFormFieldType(page.formenv, annotation)
    if field_type in _FIELDS_WITH_STATES:
        return bool(pdfium_c.FPDFAnnot_HasKey(annotation, b"AS"))
    return bool(field_type > 0)

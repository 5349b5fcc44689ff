"""Tests of form fields: of documents without `/AcroForm`, with lost fields, and with flags that hide them."""

from __future__ import annotations

import pytest

from qwenvl_core.rendering.open import open_pages
from tests.core.rendering.scan_samples import write_page, write_stream

_APPEARANCE = write_stream("/Type /XObject /Subtype /Form /BBox [0 0 200 50]", "0 0 200 50 re f")
_VALUE = "/FT /Tx /T (name) /V (Signed)"
_TICK = "/AP << /N << /Yes 5 0 R >> >>"


def count_black_pixels(widget: str, *, has_form: bool, fields: str = "[6 0 R]", parent: str = "") -> int:
    """Render a page with one widget, and count its black pixels."""
    form = f"/AcroForm << /Fields {fields} >>" if has_form else ""
    annotation = f"<< /Type /Annot /Subtype /Widget /Rect [50 100 250 150] /P 3 0 R {widget} >>"
    data = write_page(
        "/MediaBox [0 0 300 300] /Annots [6 0 R]", _APPEARANCE, annotation, f"<< {parent} /Kids [6 0 R] >>",
        catalog=form,
    )  # fmt: skip
    with open_pages(data) as pages:
        return pages.render(1, lambda extent: (300, 300)).convert("L").histogram()[0]


VISIBLE = {
    "field": f"{_VALUE} /F 4 /AP << /N 5 0 R >>",
    "field without flags": f"{_VALUE} /AP << /N 5 0 R >>",
    "signature": "/FT /Sig /T (s) /V << /Type /Sig >> /F 132 /AP << /N 5 0 R >>",
    "tick": f"/FT /Btn /T (t) /V /Yes /AS /Yes /F 4 {_TICK}",
    "tick without state": f"/FT /Btn /T (t) /V /Yes /F 4 {_TICK}",
    "field of parent": "/Parent 7 0 R /F 4 /AP << /N 5 0 R >>",
    "field without name": "/FT /Tx /F 4 /AP << /N 5 0 R >>",
    "tick without name": f"/FT /Btn /AS /Yes /F 4 {_TICK}",
    "appearance only": "/F 4 /AP << /N 5 0 R >>",
    "lost parent": "/Parent 99 0 R /F 4 /AP << /N 5 0 R >>",
}
HIDDEN = {
    "hidden": f"{_VALUE} /F 2 /AP << /N 5 0 R >>",
    "no view": f"{_VALUE} /F 32 /AP << /N 5 0 R >>",
    "no view, print": f"{_VALUE} /F 36 /AP << /N 5 0 R >>",
    "no view, lost": "/F 36 /AP << /N 5 0 R >>",
    "hidden, lost": "/F 6 /AP << /N 5 0 R >>",
    "tick off": f"/FT /Btn /T (t) /V /Off /AS /Off /F 4 {_TICK}",
    "tick off, lost": f"/FT /Btn /V /Off /AS /Off /F 4 {_TICK}",
    "tick off without state": f"/FT /Btn /T (t) /V /Off /F 4 {_TICK}",
}


@pytest.mark.parametrize("has_form", [True, False])
@pytest.mark.parametrize("name", VISIBLE)
def test_widget_is_drawn(name: str, has_form: bool) -> None:
    parent = "/FT /Tx /T (name) /V (Signed)"
    assert count_black_pixels(VISIBLE[name], has_form=has_form, parent=parent) > 9000


@pytest.mark.parametrize("has_form", [True, False])
@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_widget_is_not_drawn(name: str, has_form: bool) -> None:
    assert count_black_pixels(HIDDEN[name], has_form=has_form) == 0


def test_widget_outside_fields_of_form_is_drawn() -> None:
    assert count_black_pixels(VISIBLE["field"], has_form=True, fields="[]") == 200 * 50


def test_value_without_appearance_is_drawn() -> None:
    assert count_black_pixels(f"{_VALUE} /F 4 /DA (/Helv 20 Tf 0 g)", has_form=False) > 20


def test_widgets_of_every_page_are_drawn_after_document_is_opened_again() -> None:
    data = write_page(
        "/MediaBox [0 0 300 300] /Annots [6 0 R]", _APPEARANCE,
        f"<< /Type /Annot /Subtype /Widget /Rect [50 100 250 150] /P 3 0 R {VISIBLE['appearance only']} >>",
    )  # fmt: skip
    with open_pages(data) as pages:
        counts = {pages.render(1, lambda extent: (300, 300)).convert("L").histogram()[0] for _ in range(20)}
    assert counts == {200 * 50}


def test_page_with_many_annotations_is_rendered() -> None:
    annotation = "<< /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /F 4 >> "
    data = write_page(f"/MediaBox [0 0 300 300] /Annots [{annotation * 30_000}]")
    with open_pages(data) as pages:
        assert pages.render(1, lambda extent: (300, 300)).size == (300, 300)

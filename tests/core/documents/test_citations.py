"""Tests of citations and of the images with their boxes."""

from __future__ import annotations

import io
from typing import cast

import pypdfium2 as pdfium
import pytest
from PIL import Image

from qwenvl_core.documents.citations import build_citation, draw_citation
from qwenvl_core.documents.records import Record
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.grounding import Box
from tests.core.documents.fake_transcriber import FakeTranscriber, collect_records, create_transcription
from tests.core.rendering.pdf_samples import COVER
from tests.support.scanned_pages import scan, width_of


def records_in(mode: str) -> list[Record]:
    return collect_records(create_transcription(scan(3), FakeTranscriber(), mode=mode, output="text"))


def test_citation_of_chunk_has_page_and_boxes() -> None:
    record = records_in("chunk")[1]
    citation = build_citation(record.text, {"source": "scan.pdf", **record.metadata})
    assert (citation.source, citation.page_number, citation.page, citation.page_label) == ("scan.pdf", 2, 2, "2")
    assert citation.text == record.text
    assert citation.box == Box(0.1, 0.05, 0.9, 0.8)
    assert citation.boxes == (Box(0.1, 0.05, 0.9, 0.1), Box(0.1, 0.15, 0.9, 0.4), Box(0.1, 0.5, 0.9, 0.8))
    assert str(citation) == "scan.pdf, page 2"


def test_citation_of_element_has_its_box_and_of_page_has_none() -> None:
    element = records_in("element")[0]
    assert build_citation(element.text, element.metadata).boxes == (Box(0.1, 0.05, 0.9, 0.1),)
    page = records_in("page")[0]
    citation = build_citation(page.text, page.metadata)
    assert (citation.box, citation.boxes, citation.source) == (None, (), "")


def test_build_citation_with_floats_equals_original() -> None:
    record = records_in("chunk")[1]
    floats = {key: float(value) if type(value) is int else value for key, value in record.metadata.items()}
    citation = build_citation(record.text, floats)
    assert citation == build_citation(record.text, record.metadata)
    assert draw_citation(citation, scan(3)).size == (width_of(2), 320)


def test_unlabelled_cover_and_page_1_are_cited_apart() -> None:
    document = pdfium.PdfDocument(COVER)
    assert [document.get_page_label(index) for index in range(4)] == ["", "1", "2", "[1]"]
    records = collect_records(create_transcription(COVER, FakeTranscriber()))
    citations = [str(build_citation(record.text, {"source": "a.pdf", **record.metadata})) for record in records]
    assert citations == ["a.pdf, page [[1]]", "a.pdf, page 1", "a.pdf, page 2", "a.pdf, page [1]"]


def test_draw_citation_draws_red_boxes_on_page() -> None:
    record = records_in("chunk")[1]
    image = draw_citation(build_citation(record.text, record.metadata), scan(3))
    assert image.size == (width_of(2), 320)
    pixel = image.getpixel((round(0.1 * width_of(2)), round(0.3 * 320)))
    red, green, blue = cast("tuple[int, int, int]", pixel)
    assert red > 150 > max(green, blue)


def test_draw_citation_of_fax_has_square_pixels_and_box_at_its_place() -> None:
    buffer = io.BytesIO()
    Image.new("L", (864, 550), 255).save(buffer, "TIFF", dpi=(204, 98))
    text = '<div class="text" data-bbox="250 500 750 1000">x</div>'
    transcriber = FakeTranscriber(lambda number: text)
    (record,) = collect_records(create_transcription(buffer.getvalue(), transcriber, mode="element"))
    image = draw_citation(build_citation(record.text, record.metadata), buffer.getvalue())
    assert image.size == (record.metadata["page_width"], record.metadata["page_height"]) == (864, 1152)
    red, green, blue = cast("tuple[int, int, int]", image.getpixel((864 // 4 + 1, 1152 * 3 // 4)))
    assert red > 150 > max(green, blue)


def test_draw_citation_of_several_pages_or_missing_page_raises_input_error() -> None:
    (single,) = records_in("single")
    with pytest.raises(QwenVLInputError, match="several pages"):
        draw_citation(build_citation(single.text, single.metadata), scan(3))
    with pytest.raises(QwenVLInputError, match="page 9"):
        draw_citation(build_citation("", {"page_number": 9}), scan(3))

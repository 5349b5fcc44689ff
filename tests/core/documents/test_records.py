"""Tests of the records: text and metadata in each mode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.documents.records import Record, TranscribedPage, build_records
from qwenvl_core.grounding import Box
from qwenvl_core.layout import parse_layout
from tests.core.documents.fake_transcriber import (
    CallMode,
    FakeTranscriber,
    both_call_modes,
    collect_records,
    create_transcription,
    fail_at,
)
from tests.support.scanned_pages import html, scan

SCALARS = (str, int, float, bool)
PAGE_METADATA = {
    "page_label": "iii", "page_number": 3, "total_pages": 9, "page_width": 1000, "page_height": 800, "model": "m",
    "finish_reason": "stop", "truncated": False, "warnings": "",
}  # fmt: skip
all_outputs = pytest.mark.parametrize("output", ["html", "markdown", "text"])


def build(text: str, finish_reason: str = "stop", **options: Any) -> list[Record]:
    """Build the records of one page with this transcription."""
    transcription = PageTranscription(text, finish_reason, "m", {"input_tokens": 7})
    page = TranscribedPage(3, "iii", (1000, 800), transcription, parse_layout(text))
    return list(build_records(page, 9, LoaderOptions(**options)))


# --- Modes ---


def test_page_mode_builds_one_record_in_each_output() -> None:
    (record,) = build(html(1))
    assert record.metadata == PAGE_METADATA
    assert record.text == (
        '<h2>Title 1</h2>\n<p class="text">Words of page 1.</p>\n'
        "<section><table><tr><th>Item</th> <th>Price</th></tr>\n<tr><td>Tea</td> <td>1.50</td></tr>\n"
        "</table></section>"
    )
    assert build(html(1), output="text")[0].text == "Title 1\n\nWords of page 1.\n\nItem | Price\nTea | 1.50"
    assert build(html(1), output="markdown")[0].text == (
        "## Title 1\n\nWords of page 1.\n\n| Item | Price |\n| --- | --- |\n| Tea | 1.50 |"
    )


def test_element_mode_builds_one_record_per_element() -> None:
    title, text, table = build(html(1), mode="element", output="markdown")
    assert title.metadata == {
        **PAGE_METADATA, "category": "title", "element_index": 0, "bbox": "[0.1, 0.05, 0.9, 0.1]",
    }  # fmt: skip
    assert (title.text, text.text) == ("## Title 1", "Words of page 1.")
    assert table.text == "| Item | Price |\n| --- | --- |\n| Tea | 1.50 |"
    assert table.metadata["category"] == "table"


def test_element_without_box_has_empty_box_metadata() -> None:
    assert build("Just words.", mode="element")[0].metadata["bbox"] == ""
    chunk = build("Just words.", mode="chunk")[0].metadata
    assert (chunk["bbox"], chunk["bboxes"]) == ("", "")


@all_outputs
def test_picture_element_has_non_empty_text(output: str) -> None:
    (picture,) = build('<div class="image" data-bbox="1 2 3 4"></div>', mode="element", output=output)
    assert "image" in picture.text


def test_chunk_mode_groups_short_elements() -> None:
    (chunk,) = build(html(1), mode="chunk", output="text")
    assert chunk.metadata == {
        **PAGE_METADATA, "category": "title,text,table", "element_index": "0-2", "bbox": "[0.1, 0.05, 0.9, 0.8]",
        "bboxes": "[[0.1, 0.05, 0.9, 0.1], [0.1, 0.15, 0.9, 0.4], [0.1, 0.5, 0.9, 0.8]]",
    }  # fmt: skip
    assert chunk.text == "Title 1\n\nWords of page 1.\n\nItem | Price\nTea | 1.50"


def test_ordered_list_items_keep_their_numbers() -> None:
    text = '<ol><li data-bbox="1 1 9 9">Pay.</li><li data-bbox="1 10 9 19">Sail.</li></ol>'
    assert [record.text for record in build(text, mode="element", output="markdown")] == ["1. Pay.", "2. Sail."]
    (chunk,) = build(text, mode="chunk", output="markdown")
    assert chunk.text == "1. Pay.\n\n2. Sail."


def long_page() -> str:
    rows = "".join(f"<tr><td>Row {number}</td><td>{number * 7}</td></tr>" for number in range(60))
    words = "".join(
        f'<div class="text" data-bbox="100 {10 * number} 900 {10 * number + 9}">{"word " * 12}</div>'
        for number in range(9)
    )
    return (
        f"<html><body>{words}<h2 data-bbox='1 100 9 110'>The table</h2>"
        f'<div class="table" data-bbox="100 200 900 900"><table>{rows}</table></div>{words}</body></html>'
    )


@all_outputs
def test_chunks_respect_chunk_size_and_split_no_element(output: str) -> None:
    chunks = build(long_page(), mode="chunk", output=output, chunk_size=200)
    elements = build(long_page(), mode="element", output=output)
    assert len(chunks) > 5
    spans = [tuple(map(int, chunk.metadata["element_index"].split("-"))) for chunk in chunks]
    assert [index for first, last in spans for index in range(first, last + 1)] == list(range(len(elements)))
    for chunk, (first, last) in zip(chunks, spans, strict=True):
        members = elements[first : last + 1]
        assert all(element.text in chunk.text for element in members)
        boxes = [Box(*json.loads(element.metadata["bbox"])) for element in members]
        union = boxes[0]
        for box in boxes[1:]:
            union = union.union(box)
        assert Box(*json.loads(chunk.metadata["bbox"])) == union
        assert len(chunk.text) <= 200 or sum(element.metadata["category"] != "title" for element in members) == 1
    (table,) = [chunk for chunk in chunks if "table" in chunk.metadata["category"]]
    assert table.metadata["category"] == "title,table", "a title stays with the element that follows it"
    assert "Row 0" in table.text
    assert "Row 59" in table.text


@both_call_modes
def test_single_mode_builds_one_record_with_failed_pages_in_warnings(call_mode: CallMode) -> None:
    transcription = create_transcription(
        scan(3), FakeTranscriber(fail_at(2)), mode="single", on_error="skip", output="text"
    )
    (record,) = collect_records(transcription, call_mode)
    assert record.text.split("\n\f")[1].startswith("Title 3")
    assert record.metadata == {
        "total_pages": 3, "model": "qwen3-vl-plus", "finish_reason": "stop", "truncated": False,
        "warnings": "page 2 is missing: no",
    }  # fmt: skip


# --- Pages without text ---

PICTURE = '<html><body><div class="image" data-bbox="1 2 300 400"></div></body></html>'


@all_outputs
@pytest.mark.parametrize(
    "text", ["", " \n", "<html><body></body></html>", '<div class="text" data-bbox="1 2 3 4"></div>']
)
def test_page_without_text_has_placeholder_and_warning(output: str, text: str) -> None:
    (record,) = build(text, output=output)
    assert (record.text, record.metadata["warnings"]) == ("[no text]", "no text")
    assert record.metadata["total_pages"] == 9


@all_outputs
def test_page_with_picture_only_is_not_empty(output: str) -> None:
    (record,) = build(PICTURE, output=output)
    assert "image" in record.text
    assert record.metadata["warnings"] == ""


@pytest.mark.parametrize("mode", ["element", "chunk"])
def test_page_without_elements_has_no_record(mode: str) -> None:
    assert build("<html><body></body></html>", mode=mode) == []


def test_single_record_keeps_place_of_page_without_text() -> None:
    texts = ["One.", "", "Three."]
    transcription = create_transcription(
        scan(3), FakeTranscriber(lambda number: texts[number - 1]), mode="single", output="text"
    )
    (record,) = collect_records(transcription)
    assert record.text == "One.\n\f\n\fThree."
    assert record.metadata["warnings"] == "page 2: no text"
    (record,) = collect_records(create_transcription(scan(2), FakeTranscriber(lambda number: ""), mode="single"))
    assert record.text == "[no text]"


# --- Metadata ---

PAGES = [
    html(1), PICTURE, "", "Just words.", html(1)[:200], "```json\n{}\n```", "<!-- Image (1, 2, 30, 40) -->",
    "<!-- Table (1, 2, 3, 4) -->\n\\begin{tabular}{cc}a & b\\\\\\end{tabular}",
    '<div class="text" data-bbox="9 9 9 9">No area</div>',
]  # fmt: skip


@all_outputs
@pytest.mark.parametrize("has_images", [True, False])
@pytest.mark.parametrize("mode", ["page", "element", "chunk", "single"])
def test_records_have_same_keys_and_types_on_every_page(
    mode: str, has_images: bool, output: str, tmp_path: Path
) -> None:
    options = {"mode": mode, "output": output, "image_dir": tmp_path if has_images else None}
    schemas = set()
    for text in PAGES:
        transcriber = FakeTranscriber(lambda number, text=text: text)  # type: ignore[misc]
        for record in collect_records(create_transcription(scan(1), transcriber, **options)):
            schemas.add(tuple((name, type(value)) for name, value in record.metadata.items()))
            assert record.text.strip()
    (schema,) = schemas
    names = {name for name, _ in schema}
    assert ("image_path" in names) is (has_images and mode != "single")
    assert not any("tokens" in name for name in names)


def test_cut_transcription_is_marked_as_truncated() -> None:
    whole, cut = build(html(1))[0].metadata, build(html(1)[:200], "length")[0].metadata
    assert not whole["truncated"]
    assert cut["truncated"]
    assert cut["finish_reason"] == "length"
    assert build(html(1), "length")[0].metadata["truncated"]
    assert build(html(1)[:200])[0].metadata["truncated"]


def test_repetitive_transcription_has_warning() -> None:
    loop = '<div class="text" data-bbox="1 2 30 40">The same again and again.</div>' * 9
    assert "repetition" in build(f"<html><body>{loop}</body></html>")[0].metadata["warnings"]


@pytest.mark.parametrize("mode", ["page", "element", "chunk", "single"])
def test_metadata_is_flat_and_distinct_for_each_page(mode: str) -> None:
    records = collect_records(create_transcription(scan(3), FakeTranscriber(lambda number: "The same."), mode=mode))
    assert all(isinstance(value, SCALARS) for record in records for value in record.metadata.values())
    json.dumps([record.metadata for record in records])
    assert len({json.dumps(record.metadata) for record in records}) == len(records)


# --- Text of a page ---


@all_outputs
@pytest.mark.parametrize("text", ["Page 1", "One.\n\nTwo & three."])
def test_transcription_without_layout_is_record_text(output: str, text: str) -> None:
    (record,) = build(text, output=output)
    assert record.text == text


def test_transcription_for_own_prompt_is_record_text_unless_it_has_boxes() -> None:
    text = '```json\n{"total": 5}\n```'
    assert build(text, prompt="The total as JSON.")[0].text == text
    assert build(html(1), prompt="QwenVL HTML")[0].text == build(html(1))[0].text

"""Tests of the records: text and metadata in each mode."""

from __future__ import annotations

import json
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
    "finish_reason": "stop", "truncated": False, "warnings": "", "input_tokens": 7, "output_tokens": 0,
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
        '<h2>Title 1</h2>\n<div class="text">Words of page 1.</div>\n'
        "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>1.50</td></tr></table>"
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


def test_element_without_box_has_no_box_metadata() -> None:
    assert "bbox" not in build("Just words.", mode="element")[0].metadata
    assert not {"bbox", "bboxes"} & build("Just words.", mode="chunk")[0].metadata.keys()


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
        "warnings": "page 2 is missing: no", "input_tokens": 204, "output_tokens": 20,
    }  # fmt: skip


# --- Metadata ---


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
@pytest.mark.parametrize("text", ["", "Page 1", "One.\n\nTwo & three."])
def test_transcription_without_layout_is_record_text(output: str, text: str) -> None:
    (record,) = build(text, output=output)
    assert record.text == text


def test_transcription_for_own_prompt_is_record_text_unless_it_has_boxes() -> None:
    text = '```json\n{"total": 5}\n```'
    assert build(text, prompt="The total as JSON.")[0].text == text
    assert build(html(1), prompt="QwenVL HTML")[0].text == build(html(1))[0].text

"""A scanned document whose pages differ in all that a record may hold, and checks of what a store gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import pytest

from tests.emulator import RecordedRequest, Reply
from tests.support.scanned_pages import html, page_in

Mode = Literal["page", "element", "chunk", "single"]
all_modes = pytest.mark.parametrize("mode", ["page", "element", "chunk", "single"])

# The first record has no box, since stores with a schema take it from there.
_PAGES = {
    1: "Just words.",
    2: html(2),
    3: "",
    4: '<html><body><div class="image" data-bbox="1 2 300 400"></div></body></html>',
    5: html(5)[:200],
}
PAGE_COUNT = len(_PAGES)
DIMENSIONS = 8
"""Length of the vectors; they are equal, so that a search for all records finds them."""


def answer_page(request: RecordedRequest) -> Reply:
    """Reply to a request with the transcription of its page; the last one is cut off."""
    number = page_in(request)
    return Reply(text=_PAGES[number], finish="length" if number == PAGE_COUNT else "stop")


def check_records(
    stored: Iterable[tuple[str, Mapping[str, Any]]],
    found: Iterable[tuple[str, Mapping[str, Any]]],
    cite: Callable[[str, Mapping[str, Any]], object],
) -> None:
    """Check that a store gives back each record with its text, its metadata and its citation.

    Args:
        stored: Text and metadata of the records.
        found: Text and metadata of what the store gave back; stores may add metadata.
        cite: Builds the citation of a record.
    """
    expected = {_identify(text, metadata): (text, metadata) for text, metadata in stored}
    actual = {_identify(text, metadata): (text, metadata) for text, metadata in found}
    assert expected.keys() == actual.keys()
    for key, (text, metadata) in expected.items():
        found_text, found_metadata = actual[key]
        assert {name: found_metadata[name] for name in metadata} == metadata
        assert cite(found_text, found_metadata) == cite(text, metadata)


def _identify(text: str, metadata: Mapping[str, Any]) -> tuple[str, ...]:
    return (text.strip(), *(str(metadata.get(name)) for name in ("page_number", "element_index")))

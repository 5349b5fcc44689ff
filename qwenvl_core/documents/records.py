"""Pages that were read, as records: text to be found, and flat metadata by which it is cited and shown.

Values are strings, numbers and bools, since vector stores take no others; boxes are JSON text, in fractions of the
page's sides from its top left corner. `page_number` makes them distinct for every page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from html import escape
from typing import Any

from qwenvl_core.documents.options import Options, Output
from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.grounding import Box
from qwenvl_core.layout import LayoutElement, PageLayout, parse_layout

_PAGE_END = "\n\f"  # as other loaders put it between pages
_BETWEEN: dict[Output, str] = {"html": "\n", "markdown": "\n\n", "text": "\n\n"}
_TAG = re.compile(r"<[a-zA-Z]")
_DECIMALS = 4  # of a box: a tenth of a pixel on a page


@dataclass(frozen=True, slots=True)
class Record:
    """A piece of a document."""

    text: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TranscribedPage:
    """A page that was read.

    Attributes:
        number: Its place in the document, from 1.
        label: What the document calls it.
        size: Width and height in pixels, as it was sent.
        answer: What the model said.
        layout: The elements in it.
        cached: The answer was there already.
        image_path: Where its image is kept, if it is.
        cuttings: The same for pictures cut out of it, by the index of their element.
    """

    number: int
    label: str
    size: tuple[int, int]
    answer: PageTranscription
    layout: PageLayout
    cached: bool = False
    image_path: str | None = None
    crops: Mapping[int, str] = field(default_factory=dict)


def records_of(page: TranscribedPage, total: int, options: Options) -> Iterator[Record]:
    """The records of one page, by the mode `"page"`, `"element"` or `"chunk"`.

    Args:
        page: The page.
        total: How many pages the document has.
        options: How it is read.
    """
    about = _about(page, total)
    match options.mode:
        case "element":
            for element in page.layout.elements:
                location = {"category": element.type, "element_index": element.index, **_around([element])}
                cut = page.crops.get(element.index)
                image = {} if cut is None else {"image_path": cut}
                yield Record(_element_text(element, options.output), about | location | image)
        case "chunk":
            for text, elements in _chunks(page.layout.elements, options):
                categories = ",".join(dict.fromkeys(element.type for element in elements))
                span = f"{elements[0].index}-{elements[-1].index}"
                location = {"category": categories, "element_index": span, **_around(elements), **_each(elements)}
                yield Record(text, about | location)
        case _:
            yield Record(_page_text(page, options), about)


def single_record(
    pages: Sequence[TranscribedPage], failures: Iterable[tuple[int, Exception]], total: int, options: Options
) -> Record:
    """All pages as one record; the pages that are missing are among its warnings."""
    abouts = [_about(page, total) for page in pages]
    warnings = [f"page {page['page_number']}: {page['warnings']}" for page in abouts if page["warnings"]]
    warnings += [f"page {number} is missing: {error}" for number, error in failures]
    reasons = [page["finish_reason"] for page in abouts]
    return Record(
        _PAGE_END.join(_page_text(page, options) for page in pages),
        {
            "total_pages": total,
            "model": abouts[0]["model"] if abouts else "",
            "finish_reason": next((reason for reason in reasons if reason != "stop"), reasons[0] if reasons else ""),
            "truncated": any(page["truncated"] for page in abouts),
            "warnings": "; ".join(warnings),
            "input_tokens": sum(page["input_tokens"] for page in abouts),
            "output_tokens": sum(page["output_tokens"] for page in abouts),
        },
    )


def _about(page: TranscribedPage, total: int) -> dict[str, Any]:
    """What every record of a page says of it. Its tokens are those of the page."""
    answer, layout = page.answer, page.layout
    kept = {} if page.image_path is None else {"image_path": page.image_path}
    return {
        "page_label": page.label,
        "page_number": page.number,
        "total_pages": total,
        "page_width": page.size[0],
        "page_height": page.size[1],
        "model": answer.model,
        "finish_reason": answer.finish_reason,
        "truncated": layout.truncated or answer.finish_reason == "length",
        "warnings": "; ".join(layout.warnings),
        "input_tokens": answer.usage.get("input_tokens", 0),
        "output_tokens": answer.usage.get("output_tokens", 0),
        **kept,
    }


def _around(elements: Sequence[LayoutElement]) -> dict[str, str]:
    """The box around elements, if any of them has one."""
    boxes = _boxes(elements)
    return {"bbox": json.dumps(_numbers(reduce(Box.union, boxes)))} if boxes else {}


def _each(elements: Sequence[LayoutElement]) -> dict[str, str]:
    """The boxes that elements have, if any of them has one."""
    boxes = _boxes(elements)
    return {"bboxes": json.dumps([_numbers(box) for box in boxes])} if boxes else {}


def _boxes(elements: Iterable[LayoutElement]) -> list[Box]:
    return [element.box for element in elements if element.box is not None]


def _numbers(box: Box) -> list[float]:
    return [round(side, _DECIMALS) for side in (box.x0, box.y0, box.x1, box.y1)]


def _chunks(elements: Iterable[LayoutElement], options: Options) -> Iterator[tuple[str, list[LayoutElement]]]:
    """Neighbouring elements together, up to the size of a chunk. A title goes with what follows it."""
    between = _BETWEEN[options.output]
    chunk: list[tuple[LayoutElement, str]] = []
    for element in elements:
        text = _element_text(element, options.output)
        if chunk and len(between.join([*(told for _, told in chunk), text])) > options.chunk_size:
            titles = _last_titles(chunk)
            if len(titles) < len(chunk):
                yield _chunk(chunk[: len(chunk) - len(titles)], between)
                chunk = titles
        chunk.append((element, text))
    if chunk:
        yield _chunk(chunk, between)


def _last_titles(chunk: list[tuple[LayoutElement, str]]) -> list[tuple[LayoutElement, str]]:
    at = len(chunk)
    while at and chunk[at - 1][0].type == "title":
        at -= 1
    return chunk[at:]


def _chunk(chunk: Sequence[tuple[LayoutElement, str]], between: str) -> tuple[str, list[LayoutElement]]:
    return between.join(text for _, text in chunk), [element for element, _ in chunk]


def _element_text(element: LayoutElement, output: Output) -> str:
    """An element in the form that is asked for; of a picture without text, at least what it is."""
    if output == "html":
        return element.html or f"<pre>{escape(element.latex or element.text)}</pre>"
    if output == "markdown":
        markdown = parse_layout(element.html, format="html").markdown if element.html else ""
        return markdown or element.latex or element.text or f"[{element.type}]"
    return element.text or f"[{element.type}]"


def _page_text(page: TranscribedPage, options: Options) -> str:
    answer, layout = page.answer.text.strip(), page.layout
    if options.prompt is not None and not any(element.box for element in layout.elements):
        return answer  # whoever asks otherwise gets what the model said, unless it said a layout
    if options.output == "html" and _TAG.search(answer):
        return _BETWEEN["html"].join(_element_text(element, "html") for element in layout.elements)
    if options.output == "text":
        return _BETWEEN["text"].join(element.text for element in layout.elements if element.text)
    return layout.markdown

"""Build records from transcribed pages: text for retrieval, and flat metadata for citations.

Metadata values are strings, numbers and bools, since vector stores accept no others. Boxes are JSON text, in fractions
of the page's sides from its top left corner. `page_number` distinguishes the metadata of the pages.

All records of a loader have the same keys with values of the same types, since stores with a schema (Milvus, LanceDB)
take it from the first record: where there is no value, it is `""`. Token counts are not metadata, because frameworks
hash it to find out whether a document has changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Literal

from qwenvl_core.documents.html_output import format_html
from qwenvl_core.documents.options import LoaderOptions, Output
from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.grounding import Box
from qwenvl_core.layout import LayoutElement, PageLayout, parse_layout

NO_TEXT = "no text"
"""The warning of a page without text or pictures. Its record has it in brackets: embedding APIs refuse empty text."""

_PAGE_BREAK = "\n\f"  # as other PDF loaders write it
_SEPARATORS: dict[Output, str] = {"html": "\n", "markdown": "\n\n", "text": "\n\n"}
_TAG = re.compile(r"<[a-zA-Z]")
_BOX_DECIMALS = 4  # about a tenth of a pixel on a page


@dataclass(frozen=True, slots=True)
class Record:
    """The text and the metadata of a framework's document."""

    text: str
    metadata: dict[str, Any]


AnswerFormat = Literal["detect", "text", "markup"]


@dataclass(frozen=True, slots=True)
class TranscribedPage:
    """A page and its transcription.

    Attributes:
        number: Page number, from 1.
        label: The document's own label of the page, else its number.
        size: Width and height in pixels of the image that was sent to the model.
        transcription: The model's transcription.
        layout: The elements in the transcription.
        is_cached: Whether the transcription came from the cache.
        image_path: Path of the page's exported image; empty if it could not be written, `None` without `image_dir`.
        crops: Paths of the exported pictures on the page, by the index of their element.
        warnings: Problems with the page besides those of its layout.
        answer_format: Whether the transcription is plain text, markup such as LaTeX that is converted to the loader's
            output, or in a format that its text shows.
        image_reduced: Whether the image that a batch sent was reduced; `None` without `cache_dir`.
    """

    number: int
    label: str
    size: tuple[int, int]
    transcription: PageTranscription
    layout: PageLayout
    is_cached: bool = False
    image_path: str | None = None
    crops: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    answer_format: AnswerFormat = "detect"
    image_reduced: bool | None = None


def build_records(page: TranscribedPage, total: int, options: LoaderOptions) -> Iterator[Record]:
    """Build the records of one page, for all modes but `"single"`.

    Args:
        page: The page.
        total: Number of pages of the document.
        options: The loader's options.
    """
    match options.mode:
        case "image":
            yield Record("", _build_page_metadata(page, total))
        case "element":
            page_metadata = _build_page_metadata(page, total)
            for element in page.layout.elements:
                metadata = {
                    "category": element.type,
                    "element_index": element.index,
                    "bbox": _format_enclosing_box([element]),
                }
                crop = page.crops.get(element.index)
                image = {} if crop is None else {"image_path": crop}
                yield Record(_format_element(element, options.output), page_metadata | metadata | image)
        case "chunk":
            page_metadata = _build_page_metadata(page, total)
            for text, elements in _group_into_chunks(page.layout.elements, options):
                metadata = {
                    "category": ",".join(dict.fromkeys(element.type for element in elements)),
                    "element_index": f"{elements[0].index}-{elements[-1].index}",
                    "bbox": _format_enclosing_box(elements),
                    "bboxes": _format_boxes(elements),
                }
                yield Record(text, page_metadata | metadata)
        case _:
            text = _format_page(page, options)
            yield Record(text or f"[{NO_TEXT}]", _build_page_metadata(page, total, has_text=bool(text)))


def build_single_record(
    pages: Sequence[TranscribedPage], failures: Iterable[tuple[int, Exception]], total: int, options: LoaderOptions
) -> Record:
    """Build one record of all pages, for the mode `"single"`; its warnings name the failed pages.

    Args:
        pages: The transcribed pages.
        failures: Numbers and errors of the failed pages.
        total: Number of pages of the document.
        options: The loader's options.
    """
    texts = [_format_page(page, options) for page in pages]
    metadata = [_build_page_metadata(page, total, has_text=bool(text)) for page, text in zip(pages, texts, strict=True)]
    warnings = [f"page {page['page_number']}: {page['warnings']}" for page in metadata if page["warnings"]]
    warnings += [f"page {number} is missing: {error}" for number, error in failures]
    reasons = [page["finish_reason"] for page in metadata]
    reduced = {} if options.cache_dir is None else {"image_reduced": any(page.image_reduced for page in pages)}
    return Record(
        _PAGE_BREAK.join(texts) if any(texts) else f"[{NO_TEXT}]",
        {
            "total_pages": total,
            "model": metadata[0]["model"] if metadata else "",
            "finish_reason": next((reason for reason in reasons if reason != "stop"), reasons[0] if reasons else ""),
            "truncated": any(page["truncated"] for page in metadata),
            "warnings": "; ".join(warnings),
            **reduced,
        },
    )


def _build_page_metadata(page: TranscribedPage, total: int, *, has_text: bool = True) -> dict[str, Any]:
    """Build the metadata that all records of a page share."""
    transcription, layout = page.transcription, page.layout
    warnings = (*layout.warnings, *page.warnings, *(() if has_text else (NO_TEXT,)))
    image = {} if page.image_path is None else {"image_path": page.image_path}
    reduced = {} if page.image_reduced is None else {"image_reduced": page.image_reduced}
    return {
        "page_label": page.label,
        "page_number": page.number,
        "total_pages": total,
        "page_width": page.size[0],
        "page_height": page.size[1],
        "model": transcription.model,
        "finish_reason": transcription.finish_reason,
        "truncated": layout.truncated or transcription.finish_reason == "length",
        "warnings": "; ".join(warnings),
        **image,
        **reduced,
    }


def _format_enclosing_box(elements: Sequence[LayoutElement]) -> str:
    """Return the metadata `bbox`: the box around all elements; empty if no element has a box."""
    boxes = _collect_boxes(elements)
    return json.dumps(_round_sides(reduce(Box.union, boxes))) if boxes else ""


def _format_boxes(elements: Sequence[LayoutElement]) -> str:
    """Return the metadata `bboxes`: the boxes of the elements; empty if no element has a box."""
    boxes = _collect_boxes(elements)
    return json.dumps([_round_sides(box) for box in boxes]) if boxes else ""


def _collect_boxes(elements: Iterable[LayoutElement]) -> list[Box]:
    return [element.box for element in elements if element.box is not None]


def _round_sides(box: Box) -> list[float]:
    return [round(side, _BOX_DECIMALS) for side in (box.x0, box.y0, box.x1, box.y1)]


def _group_into_chunks(
    elements: Iterable[LayoutElement], options: LoaderOptions
) -> Iterator[tuple[str, list[LayoutElement]]]:
    """Group neighbouring elements up to the chunk size. A title stays with the element that follows it."""
    separator = _SEPARATORS[options.output]
    chunk: list[tuple[LayoutElement, str]] = []
    for element in elements:
        text = _format_element(element, options.output)
        if chunk and len(separator.join([*(earlier for _, earlier in chunk), text])) > options.chunk_size:
            titles = _find_trailing_titles(chunk)
            if len(titles) < len(chunk):
                yield _join_chunk(chunk[: len(chunk) - len(titles)], separator)
                chunk = titles
        chunk.append((element, text))
    if chunk:
        yield _join_chunk(chunk, separator)


def _find_trailing_titles(chunk: list[tuple[LayoutElement, str]]) -> list[tuple[LayoutElement, str]]:
    index = len(chunk)
    while index and chunk[index - 1][0].type == "title":
        index -= 1
    return chunk[index:]


def _join_chunk(chunk: Sequence[tuple[LayoutElement, str]], separator: str) -> tuple[str, list[LayoutElement]]:
    return separator.join(text for _, text in chunk), [element for element, _ in chunk]


def _format_element(element: LayoutElement, output: Output) -> str:
    """Format an element's text. A picture without text becomes its type in brackets, so that no text is empty."""
    if output == "html":
        return format_html(element)
    if output == "markdown":
        markdown = parse_layout(element.html, format="html").markdown if element.html else ""
        return markdown or element.latex or element.text or f"[{element.type}]"
    return element.text or f"[{element.type}]"


def _format_page(page: TranscribedPage, options: LoaderOptions) -> str:
    """Format the text of a page; it is empty if the page has neither text nor pictures."""
    text, elements = page.transcription.text.strip(), page.layout.elements
    is_markup = page.answer_format == "markup"
    if page.answer_format == "text":
        return text
    if options.prompt is not None and not is_markup and not any(element.box for element in elements):
        return text  # the reply to a custom prompt is returned unchanged, unless it is a layout
    if not any(element.text.strip() or element.latex or element.type != "text" for element in elements):
        return ""
    if options.output == "html" and (is_markup or _TAG.search(text)):
        return _SEPARATORS["html"].join(format_html(element) for element in elements)
    if options.output == "text":
        texts = [element.text for element in elements if element.text]
        return _SEPARATORS["text"].join(texts or [f"[{element.type}]" for element in elements])
    return page.layout.markdown

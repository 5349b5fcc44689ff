"""Parse a document page in Qwen-VL's own layout formats into elements that can be cited and shown.

The prompts `qwenvl html` and `qwenvl markdown` ask for them (vendor page "Visual understanding (Qwen-VL)", section on
document parsing). The HTML gives a box for every element, the Markdown only for pictures and tables. Model text is
untrusted and often damaged: no text makes these functions raise, and the time grows in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

from qwenvl_core.parsing.elements import PageElement, format_html, join_markdown, quote_html
from qwenvl_core.parsing.html.convert import parse_html_page
from qwenvl_core.parsing.latex.page import is_latex_page, parse_latex_page
from qwenvl_core.parsing.markdown.page import COORDINATE_COMMENT, parse_markdown_page
from qwenvl_core.parsing.ocr_words import read_ocr_text, read_ocr_words
from qwenvl_core.parsing.repetition import LONG_TEXT, has_endless_run, has_repeated_elements, has_repeated_ending
from qwenvl_core.parsing.text import escape_markdown, sanitize
from qwenvl_core.parsing.unescape import choose_readable_variant
from qwenvl_core.vision.boxes import Box, CoordinateSpace, Size, Space

__all__ = ["REPETITION", "LayoutElement", "PageLayout", "parse_layout", "parse_ocr_lines"]

REPETITION = "repetition"
"""The warning of a page whose elements, text or signs repeat without an end: the model ran in a loop."""

Format = Literal["auto", "html", "markdown", "latex", "text"]

_FORMATS = ("auto", "html", "markdown", "latex", "text")
_BLANK_LINES = re.compile(r"\n[ \t]*+\n\s*+")
_BLANK_FIELD = re.compile(r"___|\.{5}|…{2}|＿{2}")
_FENCE = re.compile(r"^[ \t]{0,9}```[ \t]{0,9}(html|markdown|md)\b", re.MULTILINE | re.IGNORECASE)
_BOXED_TAG = re.compile(r"<[a-z][^<>]{0,2000}?\bdata-(?:bbox|polygon)", re.IGNORECASE)
_READABLE_BOX = re.compile(r"<[^<>]{0,2000}?\bdata-bbox\s{0,9}=\s{0,9}[\"']?\s{0,9}[\[(]?\s{0,9}[-+\d]")
_PAGE_TAG = re.compile(r"<(?:!doctype|html|body)\b", re.IGNORECASE)
_TABULAR_BEGIN = re.compile(r"\\begin\s{0,9}\{tab")
_ANY_TAG = re.compile(r"<[!/]?[a-z]", re.IGNORECASE)
_FIRST_TAG = re.compile(
    r"\s*+(?:```\w{0,20}\s{0,99})?"
    r"(?:<(?:div|p|h[1-6]|table|ul|ol|li|dl|section|article|main|header|footer|figure|img|style|head)\b"
    r"|<[!/a-z][^<>]*+\Z)",  # a tag that was cut off
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class LayoutElement:
    """An element of a page.

    Attributes:
        type: `"title"`, `"text"`, `"list_item"`, `"table"`, `"image"`, `"chart"`, `"formula"`, `"caption"` (also a
            picture with a description), `"header"`, `"footer"`, `"music_sheet"`, `"chemical_formula"` or `"other"`.
        text: Plain text; a table has one line per row. Raised numbers are `10^6`, struck text `~~12~~`, boxes of a
            form `☑` and `☐`. Empty for a picture without text. It can contain the page's own `<script>`: escape it.
        html: The element as well-formed XML, safe to show: without coordinates, styles, scripts and forms, with links
            to pages and mail addresses only, and with the vendor's names and the types above as its only classes.
            `None` for LaTeX that could not be converted.
        latex: The source of a formula or of a LaTeX table, else `None`.
        box: The element's box on the page. `None` if the model gave no box, an unreadable one or one without area.
        index: Position on the page in reading order, from 0.

    Example:
        ```python
        from qwenvl_core.grounding import Box

        element = LayoutElement("title", "Agreement", "<h1>Agreement</h1>", box=Box(0.1, 0.05, 0.9, 0.1))
        print(element.type, element.text)  # title Agreement
        ```
    """

    type: str
    text: str
    html: str | None = None
    latex: str | None = None
    box: Box | None = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class PageLayout:
    """A parsed page.

    Attributes:
        elements: The elements in reading order.
        markdown: The page in Markdown: tables with pipes, or in HTML where cells span rows or columns; formulas
            between `$$`; code between fences; pictures as placeholders. Tags in the text of the page are escaped.
            It is text of a model nevertheless: where it is converted to HTML for others, sanitize the result, or show
            the `html` of the elements.
        truncated: Whether the model's answer ends in the middle of the page.
        warnings: Problems of the answer, such as `REPETITION` if the model ran in a loop.

    Example:
        ```python
        page = parse_layout("<h1>Agreement</h1><p>Payment is due.</p>")
        print(page.truncated, page.warnings, len(page.elements))  # False () 2
        ```
    """

    elements: tuple[LayoutElement, ...]
    markdown: str
    truncated: bool = False
    warnings: tuple[str, ...] = ()


def parse_layout(text: str, *, space: Space = "auto", size: Size | None = None, format: Format = "auto") -> PageLayout:
    """Parse the answer to `qwenvl html` or `qwenvl markdown`, or a page in LaTeX, into the elements of a page.

    Reads Qwen3-VL's and Qwen2.5-VL's HTML, HTML without boxes, and Markdown with coordinates in comments; with code
    fences or prose around it, damaged or cut off. Every complete element is kept, and of one that was cut off the
    text and the complete rows.

    Args:
        text: The model's answer.
        space: `"relative"` for thousandths of the page (Qwen3-VL and newer), `"absolute"` for pixels of the image
            that was sent (Qwen2.5-VL), `"auto"` for relative.
        size: Width and height of the image that was sent, in pixels. Needed by `"absolute"`.
        format: `"html"`, `"markdown"` or `"latex"`, `"text"` for plain text without any markup, or `"auto"` to detect
            the format.

    Returns:
        The page. Without any element for an empty answer.

    Raises:
        ValueError: `space` or `format` is unknown, or `size` is missing or not positive. No text raises.

    Example:
        ```python
        answer = '<h1 data-bbox="100 50 900 100">Agreement</h1><p data-bbox="100 120 900 200">Payment is due.</p>'
        for element in parse_layout(answer).elements:
            print(element.type, element.text, element.box)
        ```
    """
    coordinates = CoordinateSpace.create(space, size)
    if format not in _FORMATS:
        raise ValueError(f"Unknown format: {format!r}. Supported: {', '.join(_FORMATS)}.")
    text = choose_readable_variant(sanitize(text), _is_readable)
    page_elements, is_truncated = _parse_page(text, format)
    layout = _build_layout(page_elements, coordinates, is_truncated=is_truncated)
    if REPETITION in layout.warnings or not has_endless_run(text):
        return layout
    return replace(layout, warnings=(*layout.warnings, REPETITION))


def parse_ocr_lines(ocr_result: object, text: str, *, size: Size) -> PageLayout | None:
    """Parse the answer to the OCR task `advanced_recognition`: an element for each line of text.

    Args:
        ocr_result: The answer's `ocr_result`. Without one, as in an answer that was cut off, the text is read.
        text: The answer's text.
        size: Width and height of the image that was sent, in pixels.

    Returns:
        The layout, or `None` if the answer holds no lines in either form.

    Raises:
        ValueError: `size` is not positive.

    Example:
        ```python
        line = {"text": "Total 18.37", "location": [40, 900, 560, 900, 560, 940, 40, 940]}
        page = parse_ocr_lines({"words_info": [line]}, "", size=(600, 1000))
        print(page.elements[0].text)  # Total 18.37
        ```
    """
    words, space = read_ocr_words(ocr_result), "absolute"
    if words is None:
        words, space = read_ocr_text(text), "relative"
    if words is None:
        return None
    elements = [
        PageElement("text", word.text, escape_markdown(word.text), format_html("p", word.text), numbers=word.numbers)
        for word in words
        if word.text.strip()
    ]
    return _build_layout(elements, CoordinateSpace.create(space, size), is_truncated=False)


def _parse_page(text: str, format: str) -> tuple[list[PageElement], bool]:
    if format == "text":
        return [
            PageElement("text", part, escape_markdown(part), format_html("p", part)) for part in _split_text(text)
        ], False
    if _is_html(text, format):
        return parse_html_page(text)
    if format == "latex" or (format == "auto" and is_latex_page(text) and not COORDINATE_COMMENT.search(text)):
        return parse_latex_page(text)
    return parse_markdown_page(text)


def _split_text(text: str) -> list[str]:
    return [part.strip("\n") for part in _BLANK_LINES.split(text) if part.strip()]


def _build_layout(
    page_elements: Sequence[PageElement], coordinates: CoordinateSpace, *, is_truncated: bool
) -> PageLayout:
    """Build a layout from the elements of a page."""
    elements = tuple(
        LayoutElement(
            element.type, element.text, quote_html(element), element.latex, _find_box(element, coordinates), index
        )
        for index, element in enumerate(page_elements)
    )
    warnings = _check_coordinates(page_elements, coordinates)
    if _has_repetition(elements):
        warnings.append(REPETITION)
    return PageLayout(elements, join_markdown(page_elements), is_truncated, tuple(warnings))


def _is_readable(text: str) -> bool:
    """Return whether the coordinates in a text, if there are any, can be read."""
    return "data-bbox" not in text or bool(_READABLE_BOX.search(text))


def _is_html(text: str, format: str) -> bool:
    if format in ("latex", "text"):
        return False
    if format != "auto":
        # An answer without any tag is text, whichever format was requested.
        return format == "html" and bool(_ANY_TAG.search(text))
    if _BOXED_TAG.search(text) or _PAGE_TAG.search(text):
        return True
    fence = _FENCE.search(text)
    if fence:
        return fence[1].lower() == "html"
    if COORDINATE_COMMENT.search(text) or _TABULAR_BEGIN.search(text):
        return False
    return bool(_FIRST_TAG.match(text))


def _find_box(element: PageElement, coordinates: CoordinateSpace) -> Box | None:
    """Return the box of an element, or the smallest one around the boxes inside it."""
    box = coordinates.to_box(element.numbers) if element.numbers is not None else None
    if box is not None:
        return box
    inner = [inner_box for numbers in element.inner if (inner_box := coordinates.to_box(numbers))]
    return reduce(Box.union, inner) if inner else None


def _check_coordinates(elements: Sequence[PageElement], coordinates: CoordinateSpace) -> list[str]:
    """Return a warning if coordinates lie far outside the image."""
    outside = sum(coordinates.is_exceeded_by(element.numbers) for element in elements if element.numbers)
    if not outside:
        return []
    width, height = f"{coordinates.width:g}", f"{coordinates.height:g}"
    limit = width if width == height else f"{width} x {height}"
    return [f"Coordinates of {outside} element(s) lie beyond {limit}. Check the coordinate space and the image size."]


def _has_repetition(elements: Sequence[LayoutElement]) -> bool:
    texts = [element.text for element in elements]
    return _has_repeated_elements(elements, texts) or any(map(has_repeated_ending, texts))


def _has_repeated_elements(elements: Sequence[LayoutElement], texts: Sequence[str]) -> bool:
    """Return whether elements repeat; equal lines of a form that is to be filled do not count."""
    identities = [_identify(element) for element in elements]
    if not has_repeated_elements(identities, texts):
        return False
    distinct = [
        (element.index,) if _BLANK_FIELD.search(element.text) else identity
        for element, identity in zip(elements, identities, strict=True)
    ]
    return has_repeated_elements(distinct, texts)


def _identify(element: LayoutElement) -> tuple[object, ...]:
    """Return a key that is equal for repeated elements.

    In a loop, long text may recur in other places of the page; short text in several places can be intended.
    """
    if len(element.text) >= LONG_TEXT:
        return element.type, element.text
    return element.type, element.text, element.box, element.html

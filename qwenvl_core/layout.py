"""A document page in Qwen-VL's own layout formats, read into elements that can be cited and shown.

The prompts `qwenvl html` and `qwenvl markdown` ask for them (vendor page "Visual understanding (Qwen-VL)", section on
document parsing). The HTML gives a box for every element, the Markdown only for pictures and tables. Model text is
untrusted and often damaged: nothing in it makes these functions raise, and the time grows in proportion to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

from qwenvl_core.parsing.elements import PageElement, join
from qwenvl_core.parsing.html.convert import html_pieces
from qwenvl_core.parsing.markdown.page import COORDINATE_COMMENT, markdown_pieces
from qwenvl_core.parsing.repetition import LONG_TEXT, repeats_elements, repeats_text
from qwenvl_core.parsing.text import sanitize
from qwenvl_core.parsing.unescape import first_readable_variant
from qwenvl_core.vision.boxes import Box, CoordinateSpace, Size, Space

__all__ = ["REPETITION", "LayoutElement", "PageLayout", "parse_layout"]

REPETITION = "repetition"
"""The warning for an element that is repeated: the model ran in a loop."""

Format = Literal["auto", "html", "markdown"]

_FORMATS = ("auto", "html", "markdown")
_FENCE = re.compile(r"^[ \t]{0,9}```[ \t]{0,9}(html|markdown|md)\b", re.MULTILINE | re.IGNORECASE)
_BOXED_TAG = re.compile(r"<[a-z][^<>]{0,2000}?\bdata-(?:bbox|polygon)", re.IGNORECASE)
_READABLE_BOX = re.compile(r"<[^<>]{0,2000}?\bdata-bbox\s{0,9}=\s{0,9}[\"']?\s{0,9}[\[(]?\s{0,9}[-+\d]")
_PAGE_TAG = re.compile(r"<(?:!doctype|html|body)\b", re.IGNORECASE)
_TABULAR = re.compile(r"\\begin\s{0,9}\{tab")
_ANY_TAG = re.compile(r"<[!/]?[a-z]", re.IGNORECASE)
_FIRST_TAG = re.compile(
    r"\s*+(?:```\w{0,20}\s{0,99})?"
    r"(?:<(?:div|p|h[1-6]|table|ul|ol|li|dl|section|article|main|header|footer|figure|img|style|head)\b"
    r"|<[!/a-z][^<>]*+\Z)",  # a tag that the answer ends inside of
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class LayoutElement:
    """One element of a page.

    Attributes:
        type: `"title"`, `"text"`, `"list_item"`, `"table"`, `"image"`, `"chart"`, `"formula"`, `"caption"` (also a
            picture that was described), `"header"`, `"footer"`, `"music_sheet"`, `"chemical_formula"` or `"other"`.
        text: Plain text; a table has a line for each row. Nothing for a picture without text.
        html: The element as well-formed XML without coordinates, styles and scripts. `None` for LaTeX that could not
            be converted.
        latex: The source of a formula or of a LaTeX table, else `None`.
        box: Where it is on the page, or `None` when the model gave no box, an unreadable one or one without area.
        index: Position on the page in reading order, from 0.
    """

    type: str
    text: str
    html: str | None = None
    latex: str | None = None
    box: Box | None = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class PageLayout:
    """A page.

    Attributes:
        elements: In reading order.
        markdown: The page in Markdown: tables with pipes, or in HTML where cells cover several places; formulas
            between `$$`; pictures as placeholders.
        truncated: Whether the model's answer ends in the middle of the page.
        warnings: What is wrong with the answer. `REPETITION` is among them when it ran in a loop.
    """

    elements: tuple[LayoutElement, ...]
    markdown: str
    truncated: bool = False
    warnings: tuple[str, ...] = ()


def parse_layout(text: str, *, space: Space = "auto", size: Size | None = None, format: Format = "auto") -> PageLayout:
    """The elements of a page, from the answer to `qwenvl html` or `qwenvl markdown`.

    Reads Qwen3-VL's and Qwen2.5-VL's HTML, HTML without boxes, and Markdown with coordinates in comments; with code
    fences around it or prose, damaged or cut off. Every complete element is kept, and of one that was cut off the
    text and the complete rows.

    Args:
        text: The model's answer.
        space: `"relative"` for thousandths of the page (Qwen3-VL and newer), `"absolute"` for pixels of the image
            that was sent (Qwen2.5-VL), `"auto"` for relative.
        size: Width and height of the image that was sent, in pixels. Needed by `"absolute"`.
        format: `"html"` or `"markdown"`, or `"auto"` to look.

    Raises:
        ValueError: `space` or `format` is unknown, or `size` is missing or no size. Never because of the text.
    """
    frame = CoordinateSpace.of(space, size)
    if format not in _FORMATS:
        raise ValueError(f"format={format!r} is none of {', '.join(_FORMATS)}.")
    text = first_readable_variant(sanitize(text), _is_readable)
    pieces, truncated = html_pieces(text) if _is_html(text, format) else markdown_pieces(text)
    elements = tuple(
        LayoutElement(piece.type, piece.text, piece.html, piece.latex, _box(piece, frame), index)
        for index, piece in enumerate(pieces)
    )
    warnings = [*_coordinate_warnings(pieces, frame), *([REPETITION] if _loops(elements) else [])]
    return PageLayout(elements, join(pieces), truncated, tuple(warnings))


def _is_readable(text: str) -> bool:
    """Whether a coordinate that is in the text can be found there."""
    return "data-bbox" not in text or bool(_READABLE_BOX.search(text))


def _is_html(text: str, format: str) -> bool:
    if format != "auto":
        # An answer without any tag is text, whatever was asked for.
        return format == "html" and bool(_ANY_TAG.search(text))
    if _BOXED_TAG.search(text) or _PAGE_TAG.search(text):
        return True
    fence = _FENCE.search(text)
    if fence:
        return fence[1].lower() == "html"
    if COORDINATE_COMMENT.search(text) or _TABULAR.search(text):
        return False
    return bool(_FIRST_TAG.match(text))


def _box(piece: PageElement, frame: CoordinateSpace) -> Box | None:
    """The box of a piece, or the one around the boxes inside of it."""
    own = frame.box(piece.numbers) if piece.numbers is not None else None
    if own is not None:
        return own
    inner = [box for numbers in piece.inner if (box := frame.box(numbers))]
    return reduce(Box.union, inner) if inner else None


def _coordinate_warnings(pieces: Sequence[PageElement], frame: CoordinateSpace) -> list[str]:
    outside = sum(frame.exceeded_by(piece.numbers) for piece in pieces if piece.numbers)
    if not outside:
        return []
    limit = f"{frame.width:g}" if frame.width == frame.height else f"{frame.width:g} x {frame.height:g}"
    return [f"coordinates of {outside} elements are beyond {limit}: is the coordinate space or the size right?"]


def _loops(elements: Sequence[LayoutElement]) -> bool:
    texts = [element.text for element in elements]
    return repeats_elements(list(map(_identity, elements)), texts) or any(map(repeats_text, texts))


def _identity(element: LayoutElement) -> tuple[object, ...]:
    """What is equal for repeated elements. A loop may move long text over the page; short text may be meant."""
    if len(element.text) >= LONG_TEXT:
        return element.type, element.text
    return element.type, element.text, element.box, element.html

"""Represent the elements of a page before their coordinates are read, and format them as HTML and Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from qwenvl_core.parsing.text import escape, escape_markdown, join_lines, mask_coordinates, separate_markup

_FORMULA_DELIMITERS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))
_NOT_IN_NAME = re.compile(r"[\[\]()\n]")
_BACKTICKS = re.compile(r"`+")
_SIGN_IN_FORMULA = re.compile(r"(?<!\\)(?:\$|\\[(\[])")


class Inline(NamedTuple):
    """A line or paragraph in three formats."""

    text: str
    markdown: str
    html: str


@dataclass(slots=True)
class PageElement:
    """An element of a page before its coordinates are read.

    Attributes:
        type: As in `LayoutElement`.
        text: Plain text.
        markdown: The element in Markdown.
        html: The element as XML, or `None`.
        latex: LaTeX source, or `None`.
        numbers: The coordinates of its box in the model's unit, or `None` without a box.
        inner: The coordinates of the boxes inside the element.
        quote_depth: How often the element is quoted.
    """

    type: str
    text: str
    markdown: str
    html: str | None = None
    latex: str | None = None
    numbers: list[float] | None = None
    inner: list[list[float]] = field(default_factory=list)
    quote_depth: int = 0


def join_markdown(elements: Iterable[PageElement]) -> str:
    """Join the Markdown of elements to the Markdown of a page; list items are on adjacent lines."""
    parts: list[str] = []
    previous = ""
    for element in elements:
        if element.markdown.strip():
            if parts:
                parts.append("\n" if element.type == previous == "list_item" else "\n\n")
            parts.append(quote_markdown(element) if element.quote_depth else element.markdown)
            previous = element.type
    return "".join(parts)


def quote_markdown(element: PageElement) -> str:
    """Return the Markdown of an element with the marks of a quotation before each line."""
    marks = "> " * element.quote_depth
    return "\n".join([marks + line for line in element.markdown.split("\n")])


def quote_html(element: PageElement) -> str | None:
    """Return the XML of an element; of quoted text, in a quotation."""
    is_quotation = element.quote_depth and element.type == "text"
    return f"<blockquote>{element.html}</blockquote>" if is_quotation else element.html


def join_paragraphs(parts: Sequence[str]) -> str:
    """Join the parts that are not empty with blank lines."""
    return "\n\n".join(part for part in parts if part)


def format_placeholder(name: str) -> str:
    """Format a placeholder for a picture in Markdown; the picture is in the element's box on the page's image."""
    return f"![{escape_markdown(_NOT_IN_NAME.sub(' ', name))}]()"


def format_heading(text: str, level: int) -> str:
    """Format a heading in Markdown; return an empty string for empty text."""
    return f"{'#' * level} {join_lines(text)}" if text.strip() else ""


def format_list_item(marker: str, text: str) -> str:
    """Format a list item in Markdown with its further lines indented."""
    indent = " " * (len(marker) - len(marker.lstrip()) + 2)
    return marker + text.replace("\n", "\n" + indent)


def format_formula(latex: str) -> str:
    """Format a formula in Markdown as a paragraph of its own; text with formulas in it has its signs already."""
    latex = separate_markup(latex)
    if _SIGN_IN_FORMULA.search(latex):
        return latex
    return f"$$\n{latex}\n$$" if "\n" in latex else f"$${latex}$$"


def format_code(code: str, language: str = "") -> str:
    """Format code in Markdown, with a fence that is longer than every run of backticks in it."""
    fence = "`" * max(3, _find_longest_run(code) + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def build_code(code: str, language: str = "") -> PageElement:
    """Build the element of code that stands between fences."""
    return PageElement("text", code, format_code(code, language), mask_coordinates(f"<pre>{escape(code)}</pre>"))


def format_inline_code(code: str) -> str:
    """Format code on one line in Markdown."""
    ticks = "`" * (_find_longest_run(code) + 1)
    space = " " if code.startswith("`") or code.endswith("`") else ""
    return f"{ticks}{space}{code}{space}{ticks}"


def _find_longest_run(code: str) -> int:
    """Return the length of the longest run of backticks."""
    return max(map(len, _BACKTICKS.findall(code)), default=0) if "`" in code else 0


def format_html(name: str, text: str, css_class: str = "", **attributes: str) -> str:
    """Format text as one XML element; line breaks become `<br/>`, empty attributes are left out."""
    if css_class:
        attributes["class"] = css_class
    return enclose(name, escape(text).replace("\n", "<br/>"), **attributes)


def enclose(name: str, xml: str, **attributes: str) -> str:
    """Format an XML element around XML; empty attributes are left out."""
    values = "".join([f' {key}="{value}"' for key, value in attributes.items() if value]) if attributes else ""
    return mask_coordinates(f"<{name}{values}>{xml}</{name}>")


def rename_root(html: str, name: str) -> str:
    """Replace the outermost tag of an XML element, which has no attributes, by another one."""
    return f"<{name}>{html[html.index('>') + 1 : html.rindex('<')]}</{name}>"


def strip_formula_delimiters(text: str) -> str:
    """Remove the delimiters around a formula; leave text with several formulas unchanged."""
    text = text.strip()
    for start, end in _FORMULA_DELIMITERS:
        if text.startswith(start):
            inside = text.removeprefix(start)
            # In a truncated answer the closing delimiter, or its second half, is missing.
            inside = inside.removesuffix(end if inside.endswith(end) else end[0])
            return text if start in inside or end in inside else inside.strip()
    return text

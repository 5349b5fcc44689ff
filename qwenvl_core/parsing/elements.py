"""What both formats of a page are read into: its pieces, each with what it shows in HTML and Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from qwenvl_core.parsing.text import escape, one_line, without_coordinates

_DELIMITERS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))
_NOT_IN_NAME = re.compile(r"[\[\]()\n]")


@dataclass(slots=True)
class PageElement:
    """An element of a page before its coordinates are read.

    Attributes:
        type: As in `LayoutElement`.
        text: Plain text.
        html: XML, or `None`.
        latex: LaTeX source, or `None`.
        markdown: How the page shows it.
        numbers: The coordinates of its box in the model's unit, if it has one.
        inner: Those of boxes inside of it.
    """

    type: str
    text: str
    markdown: str
    html: str | None = None
    latex: str | None = None
    numbers: list[float] | None = None
    inner: list[list[float]] = field(default_factory=list)


def join(pieces: Iterable[PageElement]) -> str:
    """The Markdown of a page."""
    parts: list[str] = []
    before = ""
    for piece in pieces:
        if piece.markdown.strip():
            if parts:
                parts.append("\n" if piece.type == before == "list_item" else "\n\n")
            parts.append(piece.markdown)
            before = piece.type
    return "".join(parts)


def placeholder(name: str) -> str:
    """Where a picture is, in Markdown. The picture itself is on the page's image, at the element's box."""
    return f"![{_NOT_IN_NAME.sub(' ', name)}]()"


def heading(text: str, level: int) -> str:
    """A heading in Markdown, or nothing when there is no text."""
    return f"{'#' * level} {one_line(text)}" if text.strip() else ""


def list_item(marker: str, text: str) -> str:
    """A list item in Markdown; its further lines are indented."""
    indent = " " * (len(marker) - len(marker.lstrip()) + 2)
    return marker + text.replace("\n", "\n" + indent)


def bare_formula(text: str) -> str:
    """A formula without the signs around it. Text with several formulas stays as it is."""
    text = text.strip()
    for start, end in _DELIMITERS:
        if text.startswith(start):
            inside = text.removeprefix(start)
            # The second sign is missing, or half of it, where the model was cut off.
            inside = inside.removesuffix(end if inside.endswith(end) else end[0])
            return text if start in inside else inside.strip()
    return text


def display_formula(latex: str) -> str:
    """A formula on its own in Markdown."""
    return f"$$\n{latex}\n$$" if "\n" in latex else f"$${latex}$$"


def element_html(name: str, text: str, css_class: str = "", **attributes: str) -> str:
    """Text as one XML element, with its line breaks."""
    given = "".join(f' {key}="{value}"' for key, value in {"class": css_class, **attributes}.items() if value)
    return without_coordinates(f"<{name}{given}>{escape(text).replace(chr(10), '<br/>')}</{name}>")


def paragraphs(parts: Sequence[str]) -> str:
    """The parts that are not empty, as paragraphs."""
    return "\n\n".join(part for part in parts if part)

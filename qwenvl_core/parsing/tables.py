"""Represent tables as rows of cells, and format them as HTML, Markdown and plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwenvl_core.parsing.text import escape, escape_markdown, join_lines, mask_coordinates


@dataclass(slots=True)
class Cell:
    """A table cell.

    Attributes:
        text: Its text. Line breaks are kept.
        colspan: Number of columns that it covers.
        rowspan: Number of rows that it covers.
        is_header: Whether it is a header cell.
        html: Its content as XML; `None` if that is its text.
        markdown: Its content in Markdown with escaped pipes; `None` if that is its text.
    """

    text: str
    colspan: int = 1
    rowspan: int = 1
    is_header: bool = False
    html: str | None = None
    markdown: str | None = None


Row = list[Cell]


def format_table_text(rows: Sequence[Row]) -> str:
    """Format a table as plain text, one line per row."""
    return "\n".join(" | ".join(join_lines(cell.text) for cell in row) for row in rows)


def format_table_markdown(rows: Sequence[Row]) -> str | None:
    """Format a table in GitHub's Markdown with the first row as its header.

    Returns:
        `None` for a table without rows or with cells that span rows or columns, which Markdown cannot express.
    """
    if not rows or any(cell.colspan > 1 or cell.rowspan > 1 for row in rows for cell in row):
        return None
    width = max(len(row) for row in rows)
    lines = [_format_markdown_row([_format_markdown_cell(cell.text) for cell in row], width) for row in rows]
    lines.insert(1, _format_markdown_row(["---"] * width, width))
    return "\n".join(lines)


def _format_markdown_row(cells: list[str], width: int) -> str:
    return "| " + " | ".join([*cells, *[""] * (width - len(cells))]) + " |"


def _format_markdown_cell(text: str) -> str:
    lines = (escape_markdown(join_lines(line)).replace("|", "\\|") for line in text.split("\n"))
    return "<br>".join(line for line in lines if line)


def format_table_html(rows: Sequence[Row], caption: str | None = None) -> str:
    """Format a table as a `<table>` that is well-formed XML."""
    body = "".join("<tr>" + "".join(_format_html_cell(cell) for cell in row) + "</tr>" for row in rows)
    head = f"<caption>{escape(caption)}</caption>" if caption else ""
    return mask_coordinates(f"<table>{head}{body}</table>")


def _format_html_cell(cell: Cell) -> str:
    name = "th" if cell.is_header else "td"
    spans = "".join(
        f' {span}="{value}"' for span, value in (("colspan", cell.colspan), ("rowspan", cell.rowspan)) if value > 1
    )
    content = escape(cell.text).replace("\n", "<br/>") if cell.html is None else cell.html
    return f"<{name}{spans}>{content}</{name}>"

"""Tables as rows of cells, and what to show of them in HTML, Markdown and plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwenvl_core.parsing.text import escape, one_line, without_coordinates


@dataclass(slots=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says; a line break is wanted.
        colspan: Columns that it covers.
        rowspan: Rows that it covers.
        header: Whether it is a heading.
    """

    text: str
    colspan: int = 1
    rowspan: int = 1
    header: bool = False


Row = list[Cell]


def table_text(rows: Sequence[Row]) -> str:
    """One line for each row."""
    return "\n".join(" | ".join(one_line(cell.text) for cell in row) for row in rows)


def table_markdown(rows: Sequence[Row]) -> str | None:
    """A table in GitHub's Markdown, whose first row is the heading. `None` when cells cover several places."""
    if not rows or any(cell.colspan > 1 or cell.rowspan > 1 for row in rows for cell in row):
        return None
    width = max(len(row) for row in rows)
    lines = [_markdown_row([_in_pipes(cell.text) for cell in row], width) for row in rows]
    lines.insert(1, _markdown_row(["---"] * width, width))
    return "\n".join(lines)


def _markdown_row(cells: list[str], width: int) -> str:
    return "| " + " | ".join([*cells, *[""] * (width - len(cells))]) + " |"


def _in_pipes(text: str) -> str:
    lines = (one_line(line).replace("|", "\\|") for line in text.split("\n"))
    return "<br>".join(line for line in lines if line)


def table_html(rows: Sequence[Row], caption: str | None = None) -> str:
    """A `<table>` that is also XML."""
    body = "".join("<tr>" + "".join(_cell_html(cell) for cell in row) + "</tr>" for row in rows)
    head = f"<caption>{escape(caption)}</caption>" if caption else ""
    return without_coordinates(f"<table>{head}{body}</table>")


def _cell_html(cell: Cell) -> str:
    name = "th" if cell.header else "td"
    spans = "".join(
        f' {span}="{value}"' for span, value in (("colspan", cell.colspan), ("rowspan", cell.rowspan)) if value > 1
    )
    return f"<{name}{spans}>{escape(cell.text).replace(chr(10), '<br/>')}</{name}>"

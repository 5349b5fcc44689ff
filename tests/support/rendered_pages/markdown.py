"""Write the parts of Markdown pages that are rendered from data."""

from __future__ import annotations

from collections.abc import Iterable

COMMAND = "python -m tests.support.rendered_pages"
"""Writes every rendered page."""
NOTHING = "—"


def join_sections(*sections: str) -> str:
    """Join the sections of a page, with a blank line between them."""
    return "\n\n".join(section.strip() for section in sections) + "\n"


def build_notice(source: str) -> str:
    """Build the comment that says where a rendered page comes from."""
    return f"<!-- Generated from {source}: {COMMAND} -->"


def build_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Build a table; a vertical bar in a cell is escaped."""
    cells = [tuple(head)]
    lines = [cells[0], ("---",) * len(cells[0]), *map(tuple, rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def quote(values: Iterable[object]) -> str:
    """List values as code, or a dash for none."""
    return ", ".join(f"`{value}`" for value in values) or NOTHING


def mark(value: bool) -> str:
    """Write a yes or a dash."""
    return "yes" if value else NOTHING


def group(number: float | None, unit: str = "") -> str:
    """Write a number with a comma for each thousand; a dash for `None`."""
    return NOTHING if number is None else f"{number:,g}{unit}" if number < 1e6 else f"{int(number):,}{unit}"

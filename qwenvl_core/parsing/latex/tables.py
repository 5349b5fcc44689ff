r"""Parse LaTeX tables, as in answers to `qwenvl markdown`, into rows of cells.

The parser supports a subset of LaTeX: rows, cells, rules, `\multicolumn` and `\multirow`. The source is tokenized
once, and braces and environments are counted, so that the time is linear in the length of the source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwenvl_core.parsing.latex.inline import format_cell
from qwenvl_core.parsing.latex.text import TOKEN, convert_latex_to_text
from qwenvl_core.parsing.tables import Cell, Row

TABULAR_BEGIN = re.compile(r"\\begin\s{0,9}\{(?:tabular[xy]?\*?|tabulary|longtable|longtabu|tabu)\}")
"""The beginning of an environment with rows."""

_MAX_SPAN = 100
_CAPTION = re.compile(r"\\caption\*?\s{0,9}(?=\{)")
_BEFORE_ARGUMENT = re.compile(r"[ \t]{0,99}(?:\[[^\[\]\n]{0,20}\][ \t]{0,9})?(?=\{)")
_RULE = re.compile(
    r"\s*+\\(?:(?:hline|toprule|midrule|bottomrule|addlinespace|hdashline|endhead|endfirsthead|endfoot|endlastfoot"
    r"|centering|small)(?![a-zA-Z])(?:\[[^\[\]{}]{0,20}\])?"
    r"|(?:cmidrule|cline|cdashline|hhline|noalign|rowcolor)(?![a-zA-Z])"
    r"\s{0,9}(?:\[[^\[\]{}]{0,20}\])?(?:\([^(){}]{0,20}\))?\s{0,9}\{[^{}]{0,40}\})"
)
_MULTICOLUMN = re.compile(r"\s*+\\multicolumn(?![a-zA-Z])")
_MULTIROW = re.compile(r"\s*+\\multirow(?:cell)?(?![a-zA-Z])")
_BARE_WIDTH = re.compile(r"[ \t]{0,9}[*=](?=[ \t]{0,9}\{)")
_INTEGER = re.compile(r"\s*+(\d{1,4})\s*+")


@dataclass(slots=True)
class LatexTable:
    r"""A parsed table.

    Attributes:
        rows: The complete rows.
        caption: The text of `\caption`, or an empty string.
    """

    rows: list[Row]
    caption: str


def parse_latex_table(source: str) -> LatexTable | None:
    """Parse the table in a piece of LaTeX, without its last row if the source ends inside it.

    Returns:
        `None` if there is no table, or if its braces do not match, so that its cells cannot be separated.
    """
    begin = TABULAR_BEGIN.search(source)
    if begin is None:
        return None
    body = begin.end()
    while (end := _find_argument_end(source, body)) is not None:  # position, width and columns
        body = end
    split = _split_rows(source, body)
    if split is None:
        return None
    rows = [[_parse_cell(cell) for cell in _strip_rules(cells)] for cells in split]
    caption = _CAPTION.search(source)
    end = _find_argument_end(source, caption.end()) if caption else None
    return LatexTable(
        _to_html_rows([row for row in rows if len(row) > 1 or row[0].text]),
        format_cell(source[caption.end() : end]).text if caption and end else "",
    )


def _find_argument_end(source: str, start: int) -> int | None:
    """Return the offset after the argument in braces at `start`; `None` if there is none or it has no end."""
    before = _BEFORE_ARGUMENT.match(source, start)
    if before is None:
        return None
    depth = 0
    for match in TOKEN.finditer(source, before.end()):
        depth += {"open": 1, "close": -1}.get(match.lastgroup or "", 0)
        if not depth:
            return match.end()
    return None


def _split_rows(source: str, body: int) -> list[list[str]] | None:
    """Split the environment whose body begins at offset `body` into the sources of its cells, row by row.

    Returns:
        The complete rows, or `None` if the environment ends inside braces.
    """
    rows: list[list[str]] = []
    cells: list[str] = []
    braces = environments = 0
    cell_start = body
    for match in TOKEN.finditer(source, body):
        kind = match.lastgroup or ""
        if kind == "end" and not environments:
            return None if braces else [*rows, [*cells, source[cell_start : match.start()]]]
        environments += {"begin": 1, "end": -1}.get(kind, 0)
        braces = max(0, braces + {"open": 1, "close": -1}.get(kind, 0))
        if kind in ("row", "cell") and not braces and not environments:
            cells.append(source[cell_start : match.start()])
            cell_start = match.end()
            if kind == "row":
                rows.append(cells)
                cells = []
    return rows


def _strip_rules(cells: list[str]) -> list[str]:
    """Remove the rules above a row from its first cell."""
    first, offset = cells[0], 0
    while rule := _RULE.match(first, offset):
        offset = rule.end()
    return [first[offset:], *cells[1:]]


def _parse_cell(source: str) -> Cell:
    """Parse a cell; its spans are set by the commands at its beginning."""
    if not any(sign in source for sign in "\\$<"):
        return Cell(convert_latex_to_text(source))
    spans = {_MULTICOLUMN: 1, _MULTIROW: 1}
    for _ in spans:
        for command in spans:
            match = command.match(source)
            parsed = _parse_spanning_command(source, match.end()) if match else None
            if parsed:
                spans[command], source = parsed
    cell = format_cell(source)
    return Cell(cell.text, spans[_MULTICOLUMN], spans[_MULTIROW], html=cell.html)


def _parse_spanning_command(source: str, start: int) -> tuple[int, str] | None:
    """Return the number and the content of a spanning command.

    Args:
        source: The source of a cell.
        start: Offset of the command's arguments: number, columns or width, content.
    """
    arguments = []
    for index in range(3):
        bare_width = _BARE_WIDTH.match(source, start) if index == 1 else None
        if bare_width:
            arguments.append("*")
            start = bare_width.end()
            continue
        end = _find_argument_end(source, start)
        if end is None:
            return None
        arguments.append(source[source.index("{", start) + 1 : end - 1])
        start = end
    number = _INTEGER.fullmatch(arguments[0])
    # A negative number of rows spans upwards in LaTeX; such a cell gets no span here.
    return min(max(int(number[1]), 1), _MAX_SPAN) if number else 1, arguments[2] + source[start:]


@dataclass(slots=True)
class _Cover:
    """A column that a cell of an earlier row spans.

    Attributes:
        cell: The cell.
        first_row: Index of the cell's row.
        end_row: Index of the first row after the span.
    """

    cell: Cell
    first_row: int
    end_row: int


def _to_html_rows(rows: list[Row]) -> list[Row]:
    """Remove the empty cells that LaTeX, unlike HTML, has below a cell that spans several rows."""
    covers: dict[int, _Cover] = {}
    html_rows: list[Row] = []
    for index, row in enumerate(rows):
        html_row: Row = []
        column = 0
        for cell in row:
            columns = range(column, column + cell.colspan)
            column += cell.colspan
            above = [covers[covered] for covered in columns if covered in covers and covers[covered].end_row > index]
            if above and not cell.text and len(above) == len(columns):
                continue
            for cover in above:  # the span ends above a cell with text
                cover.cell.rowspan, cover.end_row = index - cover.first_row, index
            cell.rowspan = min(cell.rowspan, len(rows) - index)
            if cell.rowspan > 1:
                covers |= dict.fromkeys(columns, _Cover(cell, index, index + cell.rowspan))
            html_row.append(cell)
        html_rows.append(html_row)
    return html_rows

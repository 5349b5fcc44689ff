r"""LaTeX tables, as `qwenvl markdown` writes them, read into rows of cells.

A subset of LaTeX that is enough for tables: rows, cells, rules, `\multicolumn` and `\multirow`. The source is cut into
pieces once, and braces and environments are counted, so that the time grows in proportion to the source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwenvl_core.parsing.latex.text import TOKEN, plain
from qwenvl_core.parsing.tables import Cell, Row

TABULAR = re.compile(r"\\begin\s{0,9}\{(?:tabular[xy]?\*?|tabulary|longtable|longtabu|tabu)\}")
"""The beginning of an environment that holds rows."""

_MAX_SPAN = 100
_CAPTION = re.compile(r"\\caption\*?\s{0,9}(?=\{)")
_ARGUMENT = re.compile(r"[ \t]{0,99}(?:\[[^\[\]\n]{0,20}\][ \t]{0,9})?(?=\{)")
_RULE = re.compile(
    r"\s*+\\(?:(?:hline|toprule|midrule|bottomrule|addlinespace|hdashline|endhead|endfirsthead|endfoot|endlastfoot"
    r"|centering|small)(?![a-zA-Z])(?:\[[^\[\]{}]{0,20}\])?"
    r"|(?:cmidrule|cline|cdashline|hhline|noalign|rowcolor)(?![a-zA-Z])"
    r"\s{0,9}(?:\[[^\[\]{}]{0,20}\])?(?:\([^(){}]{0,20}\))?\s{0,9}\{[^{}]{0,40}\})"
)
_MULTICOLUMN = re.compile(r"\s*+\\multicolumn(?![a-zA-Z])")
_MULTIROW = re.compile(r"\s*+\\multirow(?:cell)?(?![a-zA-Z])")
_INTEGER = re.compile(r"\s*+(\d{1,4})\s*+")


@dataclass(slots=True)
class LatexTable:
    r"""A table.

    Attributes:
        rows: The complete rows.
        caption: What `\caption` says, or nothing.
    """

    rows: list[Row]
    caption: str


def read_table(source: str) -> LatexTable | None:
    """The table in a piece of LaTeX; without its last row where the source ends inside of that.

    Returns:
        `None` when there is no table, or when its braces do not match, so that its cells cannot be told apart.
    """
    begin = TABULAR.search(source)
    if begin is None:
        return None
    at = begin.end()
    while (end := _argument_end(source, at)) is not None:  # its place, its width, its columns
        at = end
    split = _split(source, at)
    if split is None:
        return None
    rows = [[_cell(cell) for cell in _without_rules(cells)] for cells in split]
    caption = _CAPTION.search(source)
    end = _argument_end(source, caption.end()) if caption else None
    return LatexTable(
        _with_spans([row for row in rows if len(row) > 1 or row[0].text]),
        plain(source[caption.end() : end]) if caption and end else "",
    )


def _argument_end(source: str, at: int) -> int | None:
    """The offset behind the argument in braces that comes at `at`, if one does."""
    before = _ARGUMENT.match(source, at)
    if before is None:
        return None
    depth = 0
    for match in TOKEN.finditer(source, before.end()):
        depth += {"open": 1, "close": -1}.get(match.lastgroup or "", 0)
        if not depth:
            return match.end()
    return None


def _split(source: str, start: int) -> list[list[str]] | None:
    """The source of each cell of each complete row of the environment whose body begins at `start`."""
    rows: list[list[str]] = []
    cells: list[str] = []
    braces = environments = 0
    at = start
    for match in TOKEN.finditer(source, start):
        kind = match.lastgroup or ""
        if kind == "end" and not environments:
            return None if braces else [*rows, [*cells, source[at : match.start()]]]
        environments += {"begin": 1, "end": -1}.get(kind, 0)
        braces = max(0, braces + {"open": 1, "close": -1}.get(kind, 0))
        if kind in ("row", "cell") and not braces and not environments:
            cells.append(source[at : match.start()])
            at = match.end()
        if kind == "row" and at == match.end():
            rows.append(cells)
            cells = []
    return rows


def _without_rules(cells: list[str]) -> list[str]:
    """The cells of a row without the lines that are drawn above it."""
    first, at = cells[0], 0
    while rule := _RULE.match(first, at):
        at = rule.end()
    return [first[at:], *cells[1:]]


def _cell(source: str) -> Cell:
    """One cell; its spans are the commands that it begins with."""
    spans = {_MULTICOLUMN: 1, _MULTIROW: 1}
    for _ in spans:
        for command in spans:
            match = command.match(source)
            read = _spanned(source, match.end()) if match else None
            if read:
                spans[command], source = read
    return Cell(plain(source), spans[_MULTICOLUMN], spans[_MULTIROW])


def _spanned(source: str, at: int) -> tuple[int, str] | None:
    """Number and content of a spanning command whose arguments begin at `at`: number, columns or width, content."""
    arguments = []
    for _ in range(3):
        end = _argument_end(source, at)
        if end is None:
            return None
        arguments.append(source[source.index("{", at) + 1 : end - 1])
        at = end
    number = _INTEGER.fullmatch(arguments[0])
    # A negative number of rows counts upwards; the text is in its place without it.
    return min(max(int(number[1]), 1), _MAX_SPAN) if number else 1, arguments[2] + source[at:]


@dataclass(slots=True)
class _Covered:
    """A column that a cell from a row above reaches into."""

    cell: Cell
    first: int  # row of the cell
    behind: int  # first row that it does not reach


def _with_spans(rows: list[Row]) -> list[Row]:
    """The rows as HTML wants them: without the empty cells that LaTeX has below a cell of several rows."""
    covered: dict[int, _Covered] = {}
    shown: list[Row] = []
    for index, row in enumerate(rows):
        left: Row = []
        column = 0
        for cell in row:
            columns = range(column, column + cell.colspan)
            column += cell.colspan
            above = [covered[c] for c in columns if c in covered and covered[c].behind > index]
            if above and not cell.text and len(above) == len(columns):
                continue
            for cover in above:  # the text of this row wins
                cover.cell.rowspan, cover.behind = index - cover.first, index
            cell.rowspan = min(cell.rowspan, len(rows) - index)
            covered |= dict.fromkeys(columns, _Covered(cell, index, index + cell.rowspan))
            left.append(cell)
        shown.append(left)
    return shown

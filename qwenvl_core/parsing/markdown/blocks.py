"""Markdown as a list of pieces: tables in LaTeX, HTML or pipes, formulas, code, and lines of text."""

from __future__ import annotations

import re
from collections import Counter

from qwenvl_core.parsing.elements import PageElement, bare_formula, display_formula, element_html, paragraphs
from qwenvl_core.parsing.html.convert import html_pieces
from qwenvl_core.parsing.latex.tables import TABULAR, read_table
from qwenvl_core.parsing.markdown.lines import line_pieces
from qwenvl_core.parsing.tables import table_html, table_markdown, table_text

_FORMULAS = (
    "equation align aligned alignat gather gathered multline eqnarray displaymath math array cases split matrix "
    "pmatrix bmatrix vmatrix"
)
_TABLES = "tabular tabularx tabulary longtable longtabu tabu"
_NAMES = "|".join(f"{_TABLES} {_FORMULAS}".split())
_OPENING = re.compile(
    rf"\\begin\s{{0,9}}\{{(?P<environment>(?:{_NAMES})\*?)\}}|(?P<html><table\b)|(?P<dollars>\$\$)|(?P<bracket>\\\[)"
    r"|^[ \t]{0,9}(?P<fence>```)`*+[ \t]{0,9}(?P<language>[\w+-]{0,30})[^\n`]{0,99}$",
    re.MULTILINE | re.IGNORECASE,
)
_KINDS = ("environment", "html", "dollars", "bracket", "fence")
_ENVIRONMENT = re.compile(rf"\\(begin|end)\s{{0,9}}\{{((?:{_NAMES})\*?)\}}")
_ENDS = {
    "html": re.compile(r"</table\s*+>", re.IGNORECASE),
    "dollars": re.compile(r"\$\$"),
    "bracket": re.compile(r"\\\]"),
    "fence": re.compile(r"^[ \t]{0,9}```+[ \t]{0,9}$", re.MULTILINE),
}
_ROW_ENDS = {"environment": "\\\\", "html": "</tr"}
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")


class MarkdownBlocks:
    """The pieces of a stretch of Markdown. Linear.

    Attributes:
        pieces: In their order.
        is_open: Whether the text ends inside of a table, a formula or code.
    """

    def __init__(self, text: str) -> None:
        self.pieces: list[PageElement] = []
        self.is_open = False
        self._text = text
        self._ends = _environment_ends(text)
        self._unending: set[str] = set()  # kinds of which no end is left
        self._read()

    def _read(self) -> None:
        done = at = 0
        while match := _OPENING.search(self._text, at):
            at = match.end()
            kind = next(name for name in _KINDS if match[name])
            end = self._end(kind, match)
            if end is not None:
                self.pieces += line_pieces(self._text[done : match.start()])
                self.pieces += _pieces(kind, match, self._text[match.start() : end])
                done = at = end
        self.pieces += line_pieces(self._text[done:])

    def _end(self, kind: str, match: re.Match[str]) -> int | None:
        """The offset behind what `match` begins; `None` if it begins nothing."""
        end = self._ends.get(match.start()) if kind == "environment" else self._closing(kind, match.end())
        if end is not None:
            return end
        # The end is missing: it was forgotten, or the text was cut off. In a table, rows that are complete count.
        following = _OPENING.search(self._text, match.end())
        limit = following.start() if following and kind != "fence" else len(self._text)
        last_row = self._text.rfind(_ROW_ENDS.get(kind, "\0"), match.end(), limit)
        blank = _BLANK_LINE.search(self._text, max(last_row, match.end()), limit) if kind != "fence" else None
        is_last = blank is None and limit == len(self._text)
        is_empty_fence = kind == "fence" and not self._text[match.end() :].strip()
        self.is_open |= is_last and not is_empty_fence
        if kind in ("dollars", "bracket"):
            return None
        return blank.start() if blank else limit

    def _closing(self, kind: str, at: int) -> int | None:
        match = None if kind in self._unending else _ENDS[kind].search(self._text, at)
        if match is None:
            self._unending.add(kind)
            return None
        return match.end()


def _environment_ends(text: str) -> dict[int, int]:
    """Where each environment that begins at an offset ends."""
    ends: dict[int, int] = {}
    stack: list[tuple[str, int]] = []
    count: Counter[str] = Counter()
    for match in _ENVIRONMENT.finditer(text):
        name = match[2]
        if match[1] == "begin":
            stack.append((name, match.start()))
            count[name] += 1
        elif count[name]:
            while True:
                opened, start = stack.pop()
                count[opened] -= 1
                if opened == name:
                    ends[start] = match.end()
                    break
    return ends


def _pieces(kind: str, match: re.Match[str], source: str) -> list[PageElement]:
    """The pieces of a table, a formula or code."""
    if kind == "html":
        return html_pieces(source)[0]
    inside = _inside(match, source) if kind == "fence" else source
    if TABULAR.search(inside):
        return _latex_table(bare_formula(inside))
    if kind != "fence":
        return [_formula(source)]
    if inside.lstrip().lower().startswith("<table"):
        return html_pieces(inside)[0]
    return [PageElement("text", inside, f"{source.strip()}", element_html("pre", inside))] if inside else []


def _inside(match: re.Match[str], source: str) -> str:
    """The code between two fences."""
    code = source[match.end() - match.start() :]
    closing = _ENDS["fence"].search(code)
    return (code[: closing.start()] if closing else code).strip("\n").rstrip()


def _formula(source: str) -> PageElement:
    latex = bare_formula(source)
    return PageElement("formula", latex, display_formula(latex), element_html("div", latex, "formula"), latex=latex)


def _latex_table(source: str) -> list[PageElement]:
    """A table, or nothing if it was cut off before its first row was complete."""
    source = source.strip()
    table = read_table(source)
    if table is None:
        return [PageElement("table", source, source, latex=source)]
    if not table.rows:
        return []
    html = table_html(table.rows, table.caption)
    markdown = table_markdown(table.rows)
    return [
        PageElement(
            "table",
            "\n".join(filter(None, (table.caption, table_text(table.rows)))),
            paragraphs([table.caption, markdown]) if markdown else html,
            html,
            latex=source,
        )
    ]

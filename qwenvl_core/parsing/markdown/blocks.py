"""Split Markdown or LaTeX into blocks (tables in LaTeX or HTML, formulas, code) and the lines between them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from qwenvl_core.parsing.elements import (
    PageElement,
    build_code,
    format_formula,
    format_html,
    join_paragraphs,
    strip_formula_delimiters,
)
from qwenvl_core.parsing.html.convert import parse_html_page
from qwenvl_core.parsing.latex.tables import TABULAR_BEGIN, parse_latex_table
from qwenvl_core.parsing.markdown.lines import read_markdown_lines
from qwenvl_core.parsing.tables import format_table_html, format_table_markdown, format_table_text
from qwenvl_core.parsing.text import escape_markdown, escape_table, separate_markup

_FORMULA_ENVIRONMENTS = (
    "equation align aligned alignat gather gathered multline eqnarray displaymath math array cases split matrix "
    "pmatrix bmatrix vmatrix"
)
_TABLE_ENVIRONMENTS = "tabular tabularx tabulary longtable longtabu tabu"
_ENVIRONMENT_NAMES = "|".join(f"{_TABLE_ENVIRONMENTS} {_FORMULA_ENVIRONMENTS}".split())
# Each alternative begins with one sign, so that `re` skips other text quickly; a line begins with its line break.
_BLOCK_START = re.compile(
    rf"\\begin\s{{0,9}}\{{(?P<environment>(?:{_ENVIRONMENT_NAMES})\*?)\}}|<(?P<html>table\b)|\$(?P<dollars>\$)|\\(?P<bracket>\[)"
    r"|\n[ \t]{0,9}(?P<fence>```)`*+[ \t]{0,9}(?P<language>[\w+-]{0,30})[^\n`]{0,99}$",
    re.MULTILINE | re.IGNORECASE,
)
_BLOCK_KINDS = ("environment", "html", "dollars", "bracket", "fence")
_ENVIRONMENT = re.compile(rf"\\(begin|end)\s{{0,9}}\{{((?:{_ENVIRONMENT_NAMES})\*?)\}}")
_BLOCK_ENDS = {
    "html": re.compile(r"</table\s*+>", re.IGNORECASE),
    "dollars": re.compile(r"\$\$"),
    "bracket": re.compile(r"\\\]"),
    "fence": re.compile(r"^[ \t]{0,9}```+[ \t]{0,9}$", re.MULTILINE),
}
_ROW_ENDS = {"environment": "\\\\", "html": "</tr"}
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")


def read_blocks(
    text: str, read_lines: Callable[[str], list[PageElement]] = read_markdown_lines
) -> tuple[list[PageElement], bool]:
    """Read the elements of Markdown without coordinates, or of LaTeX, in linear time.

    Args:
        text: The text.
        read_lines: Reads the text between tables, formulas and code, one call after the other.

    Returns:
        The elements in their order, and whether the text ends inside a table, a formula or code.
    """
    reader = _BlockReader(text, read_lines)
    reader.read()
    return reader.elements, reader.is_truncated


class _BlockReader:
    def __init__(self, text: str, read_lines: Callable[[str], list[PageElement]]) -> None:
        self.elements: list[PageElement] = []
        self.is_truncated = False
        self._text = "\n" + text
        self._read_lines = read_lines
        self._environment_ends = _find_environment_ends(self._text)
        self._unclosed: set[str] = set()  # kinds of block without a further end; searching again would be quadratic

    def read(self) -> None:
        """Read the text to its end."""
        done = offset = 0
        while match := _BLOCK_START.search(self._text, offset):
            offset = match.end()
            kind = next(name for name in _BLOCK_KINDS if match[name])
            end = self._find_block_end(kind, match)
            if end is not None:
                self.elements += self._read_lines(self._text[done : match.start()])
                self.elements += _convert_block(kind, match, self._text[match.start() : end])
                done = offset = end
        self.elements += self._read_lines(self._text[done:])

    def _find_block_end(self, kind: str, match: re.Match[str]) -> int | None:
        """Return the offset after the block that begins with `match`, or `None` if it is not a block."""
        if kind == "environment":
            end = self._environment_ends.get(match.start())
        else:
            end = self._find_closing(kind, match.end())
        if end is not None:
            return end
        # The end is missing. A table without an end still has its complete rows.
        following = _BLOCK_START.search(self._text, match.end())
        limit = following.start() if following and kind != "fence" else len(self._text)
        last_row = self._text.rfind(_ROW_ENDS.get(kind, "\0"), match.end(), limit)
        blank = _BLANK_LINE.search(self._text, max(last_row, match.end()), limit) if kind != "fence" else None
        is_last = blank is None and limit == len(self._text)
        is_empty_fence = kind == "fence" and not self._text[match.end() :].strip()
        self.is_truncated |= is_last and not is_empty_fence
        if kind in ("dollars", "bracket"):
            return None
        return blank.start() if blank else limit

    def _find_closing(self, kind: str, start: int) -> int | None:
        match = None if kind in self._unclosed else _BLOCK_ENDS[kind].search(self._text, start)
        if match is None:
            self._unclosed.add(kind)
            return None
        return match.end()


def _find_environment_ends(text: str) -> dict[int, int]:
    """Return the end offset of each LaTeX environment by its start offset."""
    ends: dict[int, int] = {}
    stack: list[tuple[str, int]] = []
    open_count: Counter[str] = Counter()
    for match in _ENVIRONMENT.finditer(text):
        name = match[2]
        if match[1] == "begin":
            stack.append((name, match.start()))
            open_count[name] += 1
        elif open_count[name]:
            while True:
                opened, start = stack.pop()
                open_count[opened] -= 1
                if opened == name:
                    ends[start] = match.end()
                    break
    return ends


def _convert_block(kind: str, match: re.Match[str], source: str) -> list[PageElement]:
    """Convert a table, a formula or code, whose source begins with `match`."""
    if kind == "html":
        return parse_html_page(source)[0]
    content = _strip_fences(match, source) if kind == "fence" else source
    if TABULAR_BEGIN.search(content):
        return _convert_latex_table(strip_formula_delimiters(content))
    if kind != "fence":
        return [_convert_formula(source)]
    if content.lstrip().lower().startswith("<table"):
        return parse_html_page(content)[0]
    if not content.strip():
        return []
    return [build_code(content, match["language"])]


def _strip_fences(match: re.Match[str], source: str) -> str:
    """Return the code between the opening fence `match` and the closing one."""
    code = source[match.end() - match.start() :]
    closing = _BLOCK_ENDS["fence"].search(code)
    return (code[: closing.start()] if closing else code).strip("\n").rstrip()


def _convert_formula(source: str) -> PageElement:
    latex = strip_formula_delimiters(source)
    return PageElement("formula", latex, format_formula(latex), format_html("div", latex, "formula"), latex=latex)


def _convert_latex_table(source: str) -> list[PageElement]:
    """Convert a LaTeX table; return no element if it has no complete row."""
    source = source.strip()
    table = parse_latex_table(source)
    if table is None:
        return [PageElement("table", source, separate_markup(source), latex=source)]
    if not table.rows:
        return []
    html = format_table_html(table.rows, table.caption)
    markdown = format_table_markdown(table.rows)
    return [
        PageElement(
            "table",
            "\n".join(filter(None, (table.caption, format_table_text(table.rows)))),
            join_paragraphs([escape_markdown(table.caption), markdown]) if markdown else escape_table(html),
            html,
            latex=source,
        )
    ]

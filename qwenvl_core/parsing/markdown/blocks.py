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
from qwenvl_core.parsing.markdown.quotes import Quote, find_quotes
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
# In LaTeX, `~` is a space, and `>` is no mark. A longer line of tildes separates parts of a receipt.
_MARKDOWN_BLOCK_START = re.compile(
    rf"{_BLOCK_START.pattern}|\n[ ]{{0,3}}(?P<quote>>)"
    r"|\n[ \t]{0,9}(?P<tildes>~~~)~{0,5}+[ \t]{0,9}(?P<info>[\w+-]{0,30})[^\n~]{0,99}$",
    re.MULTILINE | re.IGNORECASE,
)
_BLOCK_KINDS = ("environment", "html", "dollars", "bracket", "fence", "quote", "tildes")
_ENVIRONMENT = re.compile(rf"\\(begin|end)\s{{0,9}}\{{((?:{_ENVIRONMENT_NAMES})\*?)\}}")
_BLOCK_ENDS = {
    "html": re.compile(r"</table\s*+>", re.IGNORECASE),
    "dollars": re.compile(r"\$\$"),
    "bracket": re.compile(r"\\\]"),
}
_FENCE_KINDS = ("fence", "tildes")
_MAX_FENCE = 20  # signs; of a longer fence, the others do not count
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
        is_markdown = read_lines is read_markdown_lines
        self._block_start = _MARKDOWN_BLOCK_START if is_markdown else _BLOCK_START
        self._quotes = find_quotes(self._text) if is_markdown else {}
        self._environment_ends = _find_environment_ends(self._text)
        self._unclosed: set[re.Pattern[str]] = set()  # ends that do not occur; searching again would be quadratic

    def read(self) -> None:
        """Read the text to its end."""
        done = offset = 0
        while match := self._find_block(offset):
            offset = match.end()
            kind = next(name for name in _BLOCK_KINDS if match[name])
            end = self._find_block_end(kind, match)
            if end is not None:
                self.elements += self._read_lines(self._text[done : match.start()])
                if kind == "quote":
                    self._read_quote(self._quotes[match.start() + 1])
                else:
                    self.elements += _convert_block(kind, match, self._text[match.start() : end])
                done = offset = end
        self.elements += self._read_lines(self._text[done:])

    def _find_block(self, offset: int) -> re.Match[str] | None:
        """Return the next beginning of a block, other than of comparisons."""
        match = self._block_start.search(self._text, offset)
        while match and match.lastgroup == "quote" and match.start() + 1 not in self._quotes:
            match = self._block_start.search(self._text, match.end())
        return match

    def _read_quote(self, quote: Quote) -> None:
        elements, is_truncated = read_blocks(quote.content)
        for element in elements:
            element.quote_depth = quote.depth
        self.elements += elements
        self.is_truncated |= is_truncated and not self._text[quote.end :].strip()

    def _find_block_end(self, kind: str, match: re.Match[str]) -> int | None:
        """Return the offset after the block that begins with `match`, or `None` if it is not a block."""
        if kind == "quote":
            return self._quotes[match.start() + 1].end
        if kind == "environment":
            end = self._environment_ends.get(match.start())
        else:
            end = self._find_closing(_get_block_end(kind, match), match.end())
        if end is not None:
            return end
        # The end is missing. A table without an end still has its complete rows.
        is_code = kind in _FENCE_KINDS
        following = None if is_code else self._find_block(match.end())
        limit = following.start() if following else len(self._text)
        last_row = self._text.rfind(_ROW_ENDS.get(kind, "\0"), match.end(), limit)
        blank = None if is_code else _BLANK_LINE.search(self._text, max(last_row, match.end()), limit)
        is_line = kind == "tildes" and not match["info"] and len(match.group().strip()) > 3
        if is_line:
            return None
        is_last = blank is None and limit == len(self._text)
        is_empty_fence = is_code and not self._text[match.end() :].strip()
        self.is_truncated |= is_last and not is_empty_fence
        if kind in ("dollars", "bracket"):
            return None
        return blank.start() if blank else limit

    def _find_closing(self, pattern: re.Pattern[str], start: int) -> int | None:
        match = None if pattern in self._unclosed else pattern.search(self._text, start)
        if match is None:
            self._unclosed.add(pattern)
            return None
        return match.end()


def _get_block_end(kind: str, match: re.Match[str]) -> re.Pattern[str]:
    """Return the pattern of the end of a block; code ends with a fence that is at least as long as the first one."""
    if kind not in _FENCE_KINDS:
        return _BLOCK_ENDS[kind]
    fence = match.group().lstrip()
    length = len(fence) - len(fence.lstrip(fence[0]))
    return re.compile(rf"^[ \t]{{0,9}}{fence[0]}{{{min(length, _MAX_FENCE)},}}[ \t]{{0,9}}$", re.MULTILINE)


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
    is_code = kind in _FENCE_KINDS
    content = _strip_fences(kind, match, source) if is_code else source
    if TABULAR_BEGIN.search(content):
        return _convert_latex_table(strip_formula_delimiters(content))
    if not is_code:
        return [_convert_formula(source)]
    if content.lstrip().lower().startswith("<table"):
        return parse_html_page(content)[0]
    if not content.strip():
        return []
    return [build_code(content, match["language" if kind == "fence" else "info"])]


def _strip_fences(kind: str, match: re.Match[str], source: str) -> str:
    """Return the code between the opening fence `match` and the closing one."""
    code = source[match.end() - match.start() :]
    closing = _get_block_end(kind, match).search(code)
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

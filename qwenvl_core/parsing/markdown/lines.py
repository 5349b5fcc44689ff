r"""Read lines of Markdown as headings, list items, tables, pictures, HTML and paragraphs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from qwenvl_core.parsing.elements import (
    PageElement,
    format_heading,
    format_html,
    format_list_item,
    format_placeholder,
)
from qwenvl_core.parsing.html.convert import parse_html_page
from qwenvl_core.parsing.html.page import simplify_html
from qwenvl_core.parsing.html.tokenizer import Token
from qwenvl_core.parsing.latex.inline import format_cell
from qwenvl_core.parsing.markdown.inline import has_markup, read_inline
from qwenvl_core.parsing.markdown.quotes import strip_quote
from qwenvl_core.parsing.tables import Cell, Row, format_table_html, format_table_text
from qwenvl_core.parsing.text import collapse_whitespace, escape_links

_HEADING = re.compile(r"[ ]{0,3}(#{1,6})[ \t]+(\S.*)\Z")
_CLOSING_HASHES = re.compile(r"[ \t]+#+[ \t]*\Z")
_LIST_ITEM = re.compile(r"([ \t]{0,40})([-*+•]|\d{1,9}[.)])[ \t]+(\S.*)\Z")
_PICTURE = re.compile(r"[ ]{0,3}!\[([^\[\]]*+)\]\(([^()]*+)\)\s*\Z")
_UNDERLINE = re.compile(r"[ ]{0,3}(?:={3,}+|-{3,}+)[ \t]*\Z")
_SENTENCE_ENDS = frozenset(".!?;,:…。！？；，：、")
_AMOUNT_END = re.compile(r"\d[.,]\d\d\s?[A-Z€$£¥%*]{0,3}\Z")
_CLOSING_SIGNS = "*_~`\"'”’»」』)]）】"
_RULE = re.compile(r"[ ]{0,3}([-*_])[ \t]*+(?:\1[ \t]*+){2,}\Z")
_LATEX_WRAPPER = re.compile(
    r"\s*+\\(?:(?:begin|end)\s{0,9}\{(?:table|center|figure|document|threeparttable|landscape|flushleft)\*?\}"
    r"(?:\[[^\[\]]{0,20}\])?|centering|small|label\{[^{}]{0,80}\})\s*+\Z"
)
_CAPTION = re.compile(r"\s*+\\caption\*?\{(.*)\}\s*\Z")
_PIPE = re.compile(r"(?<!\\)\|")
_ITEM = Token("start", "li")
_PARAGRAPH = Token("start", "p")
_HTML_BLOCK = re.compile(
    r"[ ]{0,3}</?(?:address|article|aside|blockquote|center|details|div|dl|dt|dd|figcaption|figure|footer|form|h[1-6]"
    r"|header|img|li|main|nav|ol|p|pre|section|summary|tbody|thead|tr|ul)\b",
    re.IGNORECASE,
)


def read_markdown_lines(text: str) -> list[PageElement]:
    """Read the elements of Markdown without fences, formulas and LaTeX tables."""
    return _read_lines(simplify_html(text).split("\n"))


def _read_lines(lines: list[str]) -> list[PageElement]:
    elements: list[PageElement] = []
    index = 0
    while index < len(lines):
        sign = _get_first_sign(lines[index])
        if not sign or _is_left_out(lines[index], sign):
            index += 1
            continue
        read = _READERS.get(sign)
        found, index = (
            (_read_table(lines, index) if "|" in lines[index] else None)
            or (read(lines, index) if read else None)
            or _read_paragraph(lines, index)
        )
        elements += found
    return elements


def _get_first_sign(line: str) -> str:
    """Return the first sign of a line, `"0"` for all digits, or an empty string for a blank line."""
    sign = line.lstrip()[:1]
    return "0" if sign.isdecimal() else sign


def _is_left_out(line: str, sign: str) -> bool:
    """Return whether a line is a rule, or a command of LaTeX around a table or a figure."""
    if sign == "\\":
        return _LATEX_WRAPPER.match(line) is not None
    return sign in "-*_" and _RULE.match(line) is not None


# Each function below reads the elements that begin at line `start`, and returns them with the index of the next line.


def _read_hashes(lines: list[str], start: int) -> tuple[list[PageElement], int] | None:
    match = _HEADING.match(lines[start])
    if match is None:
        return None
    return _read_heading(_CLOSING_HASHES.sub("", match[2]).strip(), len(match[1])), start + 1


def _read_picture(lines: list[str], start: int) -> tuple[list[PageElement], int] | None:
    match = _PICTURE.match(lines[start])
    if match is None:
        return None
    alt = match[1].strip()
    return [PageElement("image", alt, format_placeholder(alt or "image"), format_html("div", alt, "image"))], start + 1


def _read_caption(lines: list[str], start: int) -> tuple[list[PageElement], int] | None:
    match = _CAPTION.match(lines[start])
    if match is None:
        return None
    caption = format_cell(match[1])
    return [PageElement("caption", caption.text, caption.markdown, f"<p>{caption.html}</p>")], start + 1


def _read_heading(source: str, level: int) -> list[PageElement]:
    inline = read_inline(collapse_whitespace(source), Token("start", f"h{level}"))
    return [PageElement("title", inline.text, format_heading(inline.markdown, level), inline.html)]


def _is_underlined_heading(line: str, below: str) -> bool:
    """Return whether a line is underlined as a heading; `---` below a sentence is a rule."""
    if _UNDERLINE.match(below) is None or "|" in line or _AMOUNT_END.search(line.rstrip()):
        return False
    return "=" in below or line.rstrip().rstrip(_CLOSING_SIGNS)[-1:] not in _SENTENCE_ENDS


def _read_list_item(lines: list[str], start: int) -> tuple[list[PageElement], int] | None:
    match = _LIST_ITEM.match(lines[start])
    if match is None:
        return None
    end = start + 1
    while end < len(lines) and lines[end][:2].isspace() and lines[end].strip() and not _is_element_start(lines[end]):
        end += 1
    root = Token("start", "li", {"value": str(int(match[2][:-1]))}) if len(match[2]) > 1 else _ITEM
    source = "\n".join([match[3], *lines[start + 1 : end]]) if end > start + 1 else match[3]
    inline = read_inline(collapse_whitespace(source), root)
    markdown = format_list_item(lines[start][: match.start(3)], inline.markdown)
    return [PageElement("list_item", inline.text, markdown, inline.html)], end


def _read_html_block(lines: list[str], start: int) -> tuple[list[PageElement], int] | None:
    if _HTML_BLOCK.match(lines[start]) is None:
        return None
    end = start + 1
    while end < len(lines) and lines[end].strip() and not _is_element_start(lines[end]):
        end += 1
    return parse_html_page("\n".join(lines[start:end]))[0], end


def _read_paragraph(lines: list[str], start: int) -> tuple[list[PageElement], int]:
    end = start + 1
    if end < len(lines) and _is_underlined_heading(lines[start], lines[end]):
        return _read_heading(lines[start].strip(), 1 if "=" in lines[end] else 2), end + 1
    while end < len(lines) and lines[end].strip() and not _is_element_start(lines[end]) and not _is_table(lines, end):
        end += 1
    inline = read_inline(collapse_whitespace("\n".join(lines[start:end])), _PARAGRAPH)
    return [PageElement("text", inline.text, inline.markdown, inline.html)], end


def _read_table(lines: list[str], start: int) -> tuple[list[PageElement], int] | None:
    if not _is_table(lines, start):
        return None
    end = start + 2
    while end < len(lines) and "|" in lines[end]:
        end += 1
    header = _split_row(lines[start], is_header=True)
    rows = [header, *(_split_row(line, is_header=False) for line in lines[start + 2 : end])]
    delimiters = lines[start + 1].strip()
    markdown = "\n".join(
        [_format_row(lines[start], header), delimiters, *map(_format_row, lines[start + 2 : end], rows[1:])]
    )
    # A link may go on in the next row.
    return [PageElement("table", format_table_text(rows), escape_links(markdown), format_table_html(rows))], end


_READERS: dict[str, Callable[[list[str], int], tuple[list[PageElement], int] | None]] = {
    "#": _read_hashes,
    "!": _read_picture,
    "\\": _read_caption,
    "<": _read_html_block,
    **dict.fromkeys("-*+•0", _read_list_item),
}
"""By the first sign of a line, the reader of an element that can begin with it."""

_STARTS = {
    "#": (_HEADING,),
    "!": (_PICTURE,),
    "\\": (_LATEX_WRAPPER, _CAPTION),
    "_": (_RULE,),
    **dict.fromkeys("+•0", (_LIST_ITEM,)),
    **dict.fromkeys("-*", (_LIST_ITEM, _RULE)),
}
"""By the first sign of a line, the patterns of what ends a paragraph before it."""


def _is_element_start(line: str) -> bool:
    return any(pattern.match(line) for pattern in _STARTS.get(_get_first_sign(line), ()))


def _is_table(lines: list[str], index: int) -> bool:
    """Return whether a header row and the delimiter row below it are at `index`."""
    if index + 1 >= len(lines) or "|" not in lines[index]:
        return False
    below = lines[index + 1].strip()
    return "-" in below and ("|" in below or ":" in below) and set(below) <= set("|-: \t")


def _split_row(line: str, *, is_header: bool) -> Row:
    return [_read_cell(cell.strip(), is_header=is_header) for cell in _split_cells(line)]


def _split_cells(line: str) -> list[str]:
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return _PIPE.split(line)


def _read_cell(source: str, *, is_header: bool) -> Cell:
    if not has_markup(source):
        return Cell(source, is_header=is_header, markdown=source)
    inline = read_inline(source.replace("\\|", "|"), Token("start", "td"))
    content = inline.html.removeprefix("<td>").removesuffix("</td>")
    return Cell(inline.text, is_header=is_header, html=content, markdown=inline.markdown.replace("|", "\\|"))


def _format_row(line: str, cells: Sequence[Cell]) -> str:
    """Format a row in Markdown: its source, unless the Markdown of a cell differs."""
    if not has_markup(line) or [cell.strip() for cell in _split_cells(line)] == [cell.markdown for cell in cells]:
        return line.strip()
    return "| " + " | ".join(cell.markdown or "" for cell in cells) + " |"


def find_cut_row(text: str) -> int | None:
    """Return the offset of the row of a table that the end of a text cuts off, or `None` if it cuts off none."""
    lines = text.split("\n")
    last = lines[-1].strip()
    if not last or "|" not in last:
        return None
    start = len(lines) - 1
    while start and "|" in lines[start - 1]:
        start -= 1
    table_lines = [strip_quote(line) for line in lines[start:]]
    has_pipes_around = table_lines[0].strip().startswith("|")
    is_closed = last.endswith("|") and not last.endswith("\\|") and len(last) > 1
    table = next((index for index in range(len(table_lines) - 2) if _is_table(table_lines, index)), None)
    if table is None:
        is_cut = has_pipes_around and not is_closed
    else:
        is_short = len(_split_cells(table_lines[-1])) < len(_split_cells(table_lines[table]))
        is_cut = is_short or (has_pipes_around and not is_closed)
    return len(text) - len(lines[-1]) if is_cut else None

r"""Read lines of Markdown as headings, list items, tables, pictures, HTML and paragraphs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwenvl_core.parsing.elements import (
    PageElement,
    build_code,
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
from qwenvl_core.parsing.tables import Cell, Row, format_table_html, format_table_text
from qwenvl_core.parsing.text import collapse_whitespace, escape_links

_HEADING = re.compile(r"[ ]{0,3}(#{1,6})[ \t]+(\S.*)\Z")
_CLOSING_HASHES = re.compile(r"[ \t]+#+[ \t]*\Z")
_LIST_ITEM = re.compile(r"([ \t]{0,40})([-*+•]|\d{1,9}[.)])[ \t]+(\S.*)\Z")
_PICTURE = re.compile(r"[ ]{0,3}!\[([^\[\]]*+)\]\(([^()]*+)\)\s*\Z")
_UNDERLINE = re.compile(r"[ ]{0,3}(?:={3,}+|-{3,}+)[ \t]*\Z")
# Not `>=`, `->` and the prompt `>>>`. All marks are matched, so that no quoted line is itself a quotation.
_QUOTE = re.compile(r"[ ]{0,3}(>(?!>>|[=-])(?:[ \t]{0,4}>(?!>>|[=-]))*+)[ \t]?(.*)\Z")
_COMPARISON = re.compile(r"[ \t]*+(?!\d{1,9}[.)][ \t])(?:[-+±~≈€$£¥]?[ \t]?[.,]?\d|\Z)")
_SENTENCE_ENDS = frozenset(".!?;,:…。！？；，：、")
_FENCE = re.compile(r"[ ]{0,3}```+[ \t]*([\w+-]{0,30})[^\n`]{0,99}\Z")
_FENCE_END = re.compile(r"[ ]{0,3}```+[ \t]*\Z")
_AMOUNT_END = re.compile(r"\d[.,]\d\d\s?[A-Z€$£¥%*]{0,3}\Z")
_CLOSING_SIGNS = "*_~`\"'”’»」』)]）】"
_RULE = re.compile(r"[ ]{0,3}(?:[-*_][ \t]*+){3,}\Z")
_LATEX_WRAPPER = re.compile(
    r"\s*+\\(?:(?:begin|end)\s{0,9}\{(?:table|center|figure|document|threeparttable|landscape|flushleft)\*?\}"
    r"(?:\[[^\[\]]{0,20}\])?|centering|small|label\{[^{}]{0,80}\})\s*+\Z"
)
_CAPTION = re.compile(r"\s*+\\caption\*?\{(.*)\}\s*\Z")
_PIPE = re.compile(r"(?<!\\)\|")
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
        line = lines[index]
        if not line.strip() or _RULE.match(line) or _LATEX_WRAPPER.match(line):
            index += 1
            continue
        found, index = (
            _read_code(lines, index)
            or _read_table(lines, index)
            or _read_single_line(lines, index)
            or _read_list_item(lines, index)
            or _read_quote(lines, index)
            or _read_html_block(lines, index)
            or _read_paragraph(lines, index)
        )
        elements += found
    return elements


# Each function below reads the elements that begin at line `start`, and returns them with the index of the next line.


def _read_single_line(lines: list[str], start: int) -> tuple[list[PageElement], int] | None:
    """Read a heading, or a picture or a caption on a separate line."""
    line = lines[start]
    match = _HEADING.match(line)
    if match:
        return _read_heading(_CLOSING_HASHES.sub("", match[2]).strip(), len(match[1])), start + 1
    match = _PICTURE.match(line)
    if match:
        alt = match[1].strip()
        html = format_html("div", alt, "image")
        return [PageElement("image", alt, format_placeholder(alt or "image"), html)], start + 1
    match = _CAPTION.match(line)
    if match:
        caption = format_cell(match[1])
        return [PageElement("caption", caption.text, caption.markdown, f"<p>{caption.html}</p>")], start + 1
    return None


def _read_code(lines: list[str], start: int) -> tuple[list[PageElement], int] | None:
    """Read code between fences in a quotation; other fences were read before."""
    match = _FENCE.match(lines[start])
    if match is None:
        return None
    end = start + 1
    while end < len(lines) and _FENCE_END.match(lines[end]) is None:
        end += 1
    code = "\n".join(lines[start + 1 : end]).rstrip()
    return [build_code(code, match[1])] if code.strip() else [], end + 1


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
    number = match[2][:-1] if len(match[2]) > 1 else ""
    root = Token("start", "li", {"value": number} if number else {})
    inline = read_inline(collapse_whitespace("\n".join([match[3], *lines[start + 1 : end]])), root)
    marker = lines[start][: match.start(3)]
    markdown = format_list_item(marker, inline.markdown)
    return [PageElement("list_item", inline.text, markdown, inline.html)], end


def _read_quote(lines: list[str], start: int) -> tuple[list[PageElement], int] | None:
    """Read quoted lines of one depth; if all begin with a number, as in `> 5 kg`, they are comparisons."""
    depth = _split_quote(lines[start])[0]
    quoted: list[str] = []
    while depth and start + len(quoted) < len(lines):
        line_depth, line = _split_quote(lines[start + len(quoted)])
        if line_depth != depth:
            break
        quoted.append(line)
    if all(map(_COMPARISON.match, quoted)):
        return None
    elements = _read_lines(quoted)
    for element in elements:
        element.markdown = "\n".join("> " * depth + line for line in element.markdown.split("\n"))
        if element.type == "text":
            element.html = f"<blockquote>{element.html}</blockquote>"
    return elements, start + len(quoted)


def _split_quote(line: str) -> tuple[int, str]:
    """Return how often a line is quoted, and what is quoted."""
    match = _QUOTE.match(line) if ">" in line else None
    return (match[1].count(">"), match[2]) if match else (0, line)


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
    inline = read_inline(collapse_whitespace("\n".join(lines[start:end])), Token("start", "p"))
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


def _is_element_start(line: str) -> bool:
    if line.lstrip(" ").startswith(">"):
        depth, quoted = _split_quote(line)
        return depth > 0 and _COMPARISON.match(quoted) is None
    return any(
        pattern.match(line) for pattern in (_FENCE, _HEADING, _LIST_ITEM, _PICTURE, _RULE, _LATEX_WRAPPER, _CAPTION)
    )


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
    has_pipes_around = lines[start].strip().startswith("|")
    is_closed = last.endswith("|") and not last.endswith("\\|") and len(last) > 1
    table = next((index for index in range(start, len(lines) - 2) if _is_table(lines, index)), None)
    if table is None:
        is_cut = has_pipes_around and not is_closed
    else:
        is_short = len(_split_cells(last)) < len(_split_cells(lines[table]))
        is_cut = is_short or (has_pipes_around and not is_closed)
    return len(text) - len(lines[-1]) if is_cut else None

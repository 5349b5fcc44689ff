"""Read lines of Markdown as headings, list items, tables, pictures and paragraphs."""

from __future__ import annotations

import re

from qwenvl_core.parsing.elements import PageElement, format_heading, format_html, format_placeholder
from qwenvl_core.parsing.latex.text import convert_latex_to_text
from qwenvl_core.parsing.tables import Cell, Row, format_table_html, format_table_text
from qwenvl_core.parsing.text import collapse_whitespace

_HEADING = re.compile(r"[ ]{0,3}(#{1,6})[ \t]+(\S.*)\Z")
_CLOSING_HASHES = re.compile(r"[ \t]+#+[ \t]*\Z")
_LIST_ITEM = re.compile(r"([ \t]{0,40})([-*+•]|\d{1,9}[.)])[ \t]+(\S.*)\Z")
_PICTURE = re.compile(r"[ ]{0,3}!\[([^\[\]]*+)\]\(([^()]*+)\)\s*\Z")
_RULE = re.compile(r"[ ]{0,3}(?:[-*_][ \t]*+){3,}\Z")
_LATEX_WRAPPER = re.compile(
    r"\s*+\\(?:(?:begin|end)\s{0,9}\{(?:table|center|figure|document|threeparttable|landscape|flushleft)\*?\}"
    r"(?:\[[^\[\]]{0,20}\])?|centering|small|label\{[^{}]{0,80}\})\s*+\Z"
)
_CAPTION = re.compile(r"\s*+\\caption\*?\{(.*)\}\s*\Z")
_PIPE = re.compile(r"(?<!\\)\|")


def read_markdown_lines(text: str) -> list[PageElement]:
    """Read the elements of Markdown without fences, formulas and LaTeX tables."""
    lines = text.split("\n")
    elements: list[PageElement] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        if not line.strip() or _RULE.match(line) or _LATEX_WRAPPER.match(line):
            index += 1
            continue
        element, index = (
            _read_table(lines, index)
            or _read_single_line(lines, index)
            or _read_list_item(lines, index)
            or _read_paragraph(lines, index)
        )
        elements.append(element)
    return elements


# Each function below reads the element that begins at line `start`, and returns it with the index of the next line.


def _read_single_line(lines: list[str], start: int) -> tuple[PageElement, int] | None:
    """Read a heading, or a picture or a caption on a separate line."""
    line = lines[start]
    match = _HEADING.match(line)
    if match:
        text, level = _CLOSING_HASHES.sub("", match[2]).strip(), len(match[1])
        return PageElement("title", text, format_heading(text, level), format_html(f"h{level}", text)), start + 1
    match = _PICTURE.match(line)
    if match:
        alt = match[1].strip()
        return PageElement(
            "image", alt, format_placeholder(alt or "image"), format_html("div", alt, "image")
        ), start + 1
    match = _CAPTION.match(line)
    if match:
        text = convert_latex_to_text(match[1])
        return PageElement("caption", text, text, format_html("p", text)), start + 1
    return None


def _read_list_item(lines: list[str], start: int) -> tuple[PageElement, int] | None:
    match = _LIST_ITEM.match(lines[start])
    if match is None:
        return None
    end = start + 1
    while end < len(lines) and lines[end][:2].isspace() and lines[end].strip() and not _is_element_start(lines[end]):
        end += 1
    text = collapse_whitespace("\n".join([match[3], *lines[start + 1 : end]]))
    number = match[2][:-1] if len(match[2]) > 1 else ""
    markdown = "\n".join(lines[start:end]).rstrip()
    return PageElement("list_item", text, markdown, format_html("li", text, value=number)), end


def _read_paragraph(lines: list[str], start: int) -> tuple[PageElement, int]:
    end = start + 1
    while end < len(lines) and lines[end].strip() and not _is_element_start(lines[end]) and not _is_table(lines, end):
        end += 1
    source = "\n".join(lines[start:end]).strip()
    text = collapse_whitespace(source)
    return PageElement("text", text, source, format_html("p", text)), end


def _read_table(lines: list[str], start: int) -> tuple[PageElement, int] | None:
    if not _is_table(lines, start):
        return None
    end = start + 2
    while end < len(lines) and "|" in lines[end]:
        end += 1
    header = _split_row(lines[start], is_header=True)
    rows = [header, *(_split_row(line, is_header=False) for line in lines[start + 2 : end])]
    markdown = "\n".join(line.strip() for line in lines[start:end])
    return PageElement("table", format_table_text(rows), markdown, format_table_html(rows)), end


def _is_element_start(line: str) -> bool:
    return any(pattern.match(line) for pattern in (_HEADING, _LIST_ITEM, _PICTURE, _RULE, _LATEX_WRAPPER, _CAPTION))


def _is_table(lines: list[str], index: int) -> bool:
    """Return whether a header row and the delimiter row below it are at `index`."""
    if index + 1 >= len(lines) or "|" not in lines[index]:
        return False
    below = lines[index + 1].strip()
    return "-" in below and ("|" in below or ":" in below) and set(below) <= set("|-: \t")


def _split_row(line: str, *, is_header: bool) -> Row:
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return [Cell(cell.strip().replace("\\|", "|"), is_header=is_header) for cell in _PIPE.split(line)]

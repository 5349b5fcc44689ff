"""Lines of Markdown as headings, list items, tables, pictures and paragraphs."""

from __future__ import annotations

import re

from qwenvl_core.parsing.elements import PageElement, element_html, heading, placeholder
from qwenvl_core.parsing.latex.text import plain
from qwenvl_core.parsing.tables import Cell, Row, table_html, table_text
from qwenvl_core.parsing.text import collapse_whitespace

_HEADING = re.compile(r"[ ]{0,3}(#{1,6})[ \t]+(\S.*)\Z")
_CLOSING_MARKS = re.compile(r"[ \t]+#+[ \t]*\Z")
_ITEM = re.compile(r"([ \t]{0,40})([-*+•]|\d{1,9}[.)])[ \t]+(\S.*)\Z")
_PICTURE = re.compile(r"[ ]{0,3}!\[([^\[\]]*+)\]\(([^()]*+)\)\s*\Z")
_RULE = re.compile(r"[ ]{0,3}(?:[-*_][ \t]*+){3,}\Z")
_WRAPPER = re.compile(
    r"\s*+\\(?:(?:begin|end)\s{0,9}\{(?:table|center|figure|document|threeparttable|landscape|flushleft)\*?\}"
    r"(?:\[[^\[\]]{0,20}\])?|centering|small|label\{[^{}]{0,80}\})\s*+\Z"
)
_CAPTION = re.compile(r"\s*+\\caption\*?\{(.*)\}\s*\Z")
_PIPE = re.compile(r"(?<!\\)\|")


def line_pieces(text: str) -> list[PageElement]:
    """The pieces of Markdown without fences, formulas and LaTeX."""
    lines = text.split("\n")
    pieces: list[PageElement] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip() or _RULE.match(lines[at]) or _WRAPPER.match(lines[at]):
            at += 1
            continue
        piece, at = _table(lines, at) or _single(lines, at) or _item(lines, at) or _paragraph(lines, at)
        pieces.append(piece)
    return pieces


def title_piece(text: str, level: int = 1) -> PageElement:
    """A heading."""
    return PageElement("title", text, heading(text, level), element_html(f"h{level}", text))


def _single(lines: list[str], at: int) -> tuple[PageElement, int] | None:
    """A heading, or a picture or a caption on a line of its own."""
    match = _HEADING.match(lines[at])
    if match:
        return title_piece(_CLOSING_MARKS.sub("", match[2]).strip(), len(match[1])), at + 1
    match = _PICTURE.match(lines[at])
    if match:
        alt = match[1].strip()
        return PageElement("image", alt, placeholder(alt or "image"), element_html("div", alt, "image")), at + 1
    match = _CAPTION.match(lines[at])
    if match:
        text = plain(match[1])
        return PageElement("caption", text, text, element_html("p", text)), at + 1
    return None


def _item(lines: list[str], at: int) -> tuple[PageElement, int] | None:
    match = _ITEM.match(lines[at])
    if match is None:
        return None
    end = at + 1
    while end < len(lines) and lines[end][:2].isspace() and lines[end].strip() and not _starts_block(lines[end]):
        end += 1
    text = collapse_whitespace("\n".join([match[3], *lines[at + 1 : end]]))
    number = match[2][:-1] if len(match[2]) > 1 else ""
    return PageElement(
        "list_item", text, "\n".join(lines[at:end]).rstrip(), element_html("li", text, value=number)
    ), end


def _paragraph(lines: list[str], at: int) -> tuple[PageElement, int]:
    end = at + 1
    while end < len(lines) and lines[end].strip() and not _starts_block(lines[end]) and not _is_table(lines, end):
        end += 1
    source = "\n".join(lines[at:end]).strip()
    text = collapse_whitespace(source)
    return PageElement("text", text, source, element_html("p", text)), end


def _starts_block(line: str) -> bool:
    return any(pattern.match(line) for pattern in (_HEADING, _ITEM, _PICTURE, _RULE, _WRAPPER, _CAPTION))


def _is_table(lines: list[str], at: int) -> bool:
    """Whether a row and the line under the heading of a table are here."""
    if at + 1 >= len(lines) or "|" not in lines[at]:
        return False
    below = lines[at + 1].strip()
    return "-" in below and ("|" in below or ":" in below) and set(below) <= set("|-: \t")


def _table(lines: list[str], at: int) -> tuple[PageElement, int] | None:
    if not _is_table(lines, at):
        return None
    end = at + 2
    while end < len(lines) and "|" in lines[end]:
        end += 1
    rows = [_row(line, header=place == 0) for place, line in enumerate([lines[at], *lines[at + 2 : end]])]
    markdown = "\n".join(line.strip() for line in lines[at:end])
    return PageElement("table", table_text(rows), markdown, table_html(rows)), end


def _row(line: str, *, header: bool) -> Row:
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return [Cell(cell.strip().replace("\\|", "|"), header=header) for cell in _PIPE.split(line)]

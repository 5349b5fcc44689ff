"""Render the tags inside an element as HTML that is also XML, as Markdown and as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from qwenvl_core.parsing.elements import format_code
from qwenvl_core.parsing.html.elements import get_rendered_class
from qwenvl_core.parsing.html.marks import mark_inline
from qwenvl_core.parsing.html.tokenizer import (
    BLOCK_TAGS,
    INLINE_TAGS,
    VOID_TAGS,
    Token,
    get_first_number,
    parse_whole_number,
)
from qwenvl_core.parsing.tables import Cell, Row, format_table_markdown, format_table_text
from qwenvl_core.parsing.text import (
    collapse_whitespace,
    escape,
    escape_markdown,
    escape_table,
    join_lines,
    mask_coordinates,
)

RENDERED_TAGS = (BLOCK_TAGS | INLINE_TAGS) - {"html", "head", "body", "form"}
"""The tags that `render_html` writes; of others, only the content."""

_SPAN = re.compile(r"\s*0*([1-9]\d{0,3})\s*")
_WHITESPACE = re.compile(r"\s+")
_LEADING_LINES = re.compile(r"\A(?:[ \t]*+\n)++")
_PART_TAGS = frozenset({"table", "pre", "code"})
_LINK = re.compile(r"(?:https?://|mailto:|#)\S*", re.IGNORECASE)
# Other attributes belong to a missing style sheet, are coordinates, or could run code when the HTML is shown.
_RENDERED_ATTRIBUTES = ("class", "format", "colspan", "rowspan", "start", "value", "alt", "href")


@dataclass(slots=True)
class Paragraph:
    """A paragraph, list item, table or code inside an element.

    Attributes:
        kind: The kind of paragraph.
        text: Plain text.
        markdown: Markdown; HTML for a table that Markdown cannot express.
    """

    kind: Literal["text", "item", "table", "code"]
    text: str
    markdown: str


def render_html(tokens: Sequence[Token], root: str | None = None) -> str:
    """Render balanced tokens as one XML element.

    Args:
        tokens: The tokens of the element, beginning with its own tag.
        root: The name to write for the outermost tag instead of its name.
    """
    parts = []
    last = len(tokens) - 1
    for index, token in enumerate(tokens):
        name = root if root and index in (0, last) else token.name
        if token.kind == "text":
            parts.append(escape(token.text))
        elif name not in RENDERED_TAGS:
            continue
        elif token.kind == "end":
            parts.append("" if name in VOID_TAGS else f"</{name}>")
        else:
            is_empty = name in VOID_TAGS
            end = "/>" if is_empty else f"></{name}>" if token.kind == "void" and index else ">"
            parts.append(f"<{name}{_render_attributes(token, is_root=not index)}{end}")
    return mask_coordinates("".join(parts))


def _render_attributes(token: Token, *, is_root: bool) -> str:
    if not token.attributes:
        return ""
    return "".join(
        f' {name}="{escape(value)}"'
        for name in _RENDERED_ATTRIBUTES
        if name in token.attributes and (value := _clean_attribute(token, name, is_root=is_root))
    )


def _clean_attribute(token: Token, name: str, *, is_root: bool) -> str:
    """Return the value of an attribute if it is valid and useful, else an empty string."""
    value = token.attributes[name].strip()
    if name in ("colspan", "rowspan", "start"):
        number = _parse_span(token, name)
        return str(number) if number > 1 else ""
    if name == "value":
        item_number = parse_whole_number(token, name) if token.name == "li" else None
        return "" if item_number is None else str(item_number)
    if name == "href":
        return value if _LINK.fullmatch(value) else ""
    if name == "class":
        return "" if token.name == "table" else get_rendered_class(token, is_root=is_root)
    return value


def _parse_span(token: Token, name: str) -> int:
    match = _SPAN.fullmatch(token.attributes.get(name, ""))
    return int(match[1]) if match else 1


def select_table(tokens: Sequence[Token]) -> Sequence[Token]:
    """Return the tokens of the only table of an element, or all tokens if the element contains anything else."""
    starts = [index for index, token in enumerate(tokens) if token.kind == "start" and token.name == "table"]
    if not starts:
        return tokens
    end = _find_end(tokens, starts[0])
    around = [*tokens[: starts[0]], *tokens[end:]]
    if any(token.has_text() or token.name in ("table", "img") for token in around):
        return tokens
    return tokens[starts[0] : end]


def _find_end(tokens: Sequence[Token], start: int) -> int:
    """Return the index after the end tag of the tag at index `start`."""
    name, depth = tokens[start].name, 0
    for index in range(start, len(tokens)):
        if tokens[index].name == name and tokens[index].kind in ("start", "end"):
            depth += 1 if tokens[index].kind == "start" else -1
            if not depth:
                return index + 1
    return len(tokens)


def split_paragraphs(tokens: Sequence[Token], *, is_formula: bool = False) -> list[Paragraph]:
    """Split an element into its paragraphs, list items, tables and code, without the empty ones.

    Args:
        tokens: The tokens of the element.
        is_formula: Whether its text is the source of a formula.
    """
    splitter = _ParagraphSplitter()
    for kind, part in _split_parts(tokens):
        if kind == "text":
            for token in mark_inline(part, is_formula=is_formula):
                splitter.add(token)
        else:
            splitter.flush()
            splitter.paragraphs += _read_table(part) if kind == "table" else _read_code(part)
    splitter.flush()
    return splitter.paragraphs


def _split_parts(tokens: Sequence[Token]) -> Iterator[tuple[Literal["text", "table", "code"], Sequence[Token]]]:
    """Split tokens into tables, code and what is between them."""
    if _PART_TAGS.isdisjoint([token.name for token in tokens]):
        yield "text", tokens
        return
    done = index = 0
    is_line_start = True  # whether the current line has no text before the token
    while index < len(tokens):
        token = tokens[index]
        if token.kind == "text":
            is_line_start &= token.text.isspace()
        elif token.name in BLOCK_TAGS or token.name == "br":
            is_line_start = True
        if token.kind == "start" and token.name in _PART_TAGS:
            end = _find_end(tokens, index)
            if token.name != "code" or (is_line_start and _has_lines(tokens[index:end])):
                yield "text", tokens[done:index]
                yield "table" if token.name == "table" else "code", tokens[index:end]
                done = index = end
                continue
        index += 1
    yield "text", tokens[done:] if done else tokens


def _has_lines(tokens: Sequence[Token]) -> bool:
    return any("\n" in token.text.strip() for token in tokens)


def _read_code(tokens: Sequence[Token]) -> list[Paragraph]:
    """Read code, whose line breaks and indentation are kept."""
    parts = ["\n" if token.name == "br" and token.kind != "end" else token.text for token in mark_inline(tokens)]
    code = _LEADING_LINES.sub("", "".join(parts)).rstrip()
    return [Paragraph("code", code, format_code(code))] if code else []


class _ParagraphSplitter:
    def __init__(self) -> None:
        self.paragraphs: list[Paragraph] = []
        self._text: list[str] = []
        self._lists: list[int | None] = []  # for each open list the next number, or None for bullets
        self._marker = ""

    def add(self, token: Token) -> None:
        """Read a token outside tables."""
        if token.kind == "text":
            self._text.append(token.text)
        elif token.name == "br":
            self._text.append("\n" if token.kind != "end" else "")
        elif token.name == "img":
            self._text.append(" ")
        elif token.name in BLOCK_TAGS:
            self.flush()
            self._add_list_tag(token)

    def _add_list_tag(self, token: Token) -> None:
        if token.name in ("ul", "ol") and token.kind == "start":
            self._lists.append(get_first_number(token) if token.name == "ol" else None)
        elif token.name in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif token.name == "li" and token.kind == "start" and self._lists:
            explicit_number = parse_whole_number(token, "value")
            number = self._lists[-1] if explicit_number is None else explicit_number
            if number is not None:
                self._lists[-1] = number + 1
            indent = "  " * (min(len(self._lists), 9) - 1)
            self._marker = indent + ("- " if number is None else f"{number}. ")

    def flush(self) -> None:
        """Finish the current paragraph or list item."""
        text = collapse_whitespace("".join(self._text))
        self._text = []
        if text:
            kind: Literal["item", "text"] = "item" if self._marker else "text"
            self.paragraphs.append(Paragraph(kind, text, self._marker + escape_markdown(text)))
            self._marker = ""


def _read_table(tokens: Sequence[Token]) -> list[Paragraph]:
    """Return the caption of a table, the table, and the text outside its cells and caption, as paragraphs."""
    reader = _TableReader()
    for token in mark_inline(tokens):
        reader.add(token)
    caption = join_lines(reader.get_text("caption"))
    loose_text = collapse_whitespace(reader.get_text("outside"))
    rows = [row for row in reader.rows if row]
    markdown = format_table_markdown(rows) if not reader.has_inner_table else None
    paragraphs = [Paragraph("text", caption, escape_markdown(caption))] if caption else []
    if rows and markdown is None:  # the HTML includes the caption
        text = "\n".join(filter(None, (caption, format_table_text(rows))))
        paragraphs = [Paragraph("table", text, escape_table(render_html(tokens)))]
    elif rows:
        paragraphs.append(Paragraph("table", format_table_text(rows), markdown or ""))
    return [*paragraphs, Paragraph("text", loose_text, escape_markdown(loose_text))] if loose_text else paragraphs


_TablePart = Literal["cell", "caption", "outside"]


class _TableReader:
    """Read the rows of one table; the text of a table inside a cell is added to the cell.

    Attributes:
        rows: The rows so far.
        has_inner_table: Whether a cell contains a table.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.has_inner_table = False
        self._depth = 0
        self._part: _TablePart = "outside"
        self._texts: dict[_TablePart, list[str]] = {"cell": [], "caption": [], "outside": []}

    def get_text(self, part: _TablePart) -> str:
        """Return the text of a part of the table; for `"cell"`, the text of the last cell."""
        return "".join(self._texts[part])

    def add(self, token: Token) -> None:
        """Read a token of the table."""
        if token.kind == "text":
            text = _WHITESPACE.sub(" ", token.text) if self._part == "cell" else token.text
            self._texts[self._part].append(text)
        elif token.name == "table":
            self._depth += 1 if token.kind == "start" else -1
            self.has_inner_table |= self._depth > 1
        elif self._depth == 1 and token.name in ("tr", "td", "th", "caption"):
            self._change_part(token)
        elif token.name in BLOCK_TAGS or token.name == "br":
            self._texts[self._part].append(" " if self._depth > 1 else "\n")
        elif token.name == "img":
            self._texts[self._part].append(" ")

    def _change_part(self, token: Token) -> None:
        name, is_opened = token.name, token.kind != "end"
        if name == "caption":
            self._part = "caption" if is_opened else "outside"
        elif name == "tr":
            self._part = "outside"
            if is_opened:
                self.rows.append([])
        elif is_opened:
            self._texts["cell"] = []
            self._part = "cell" if token.kind == "start" else "outside"
            cell = Cell("", _parse_span(token, "colspan"), _parse_span(token, "rowspan"), is_header=name == "th")
            self.rows[-1].append(cell)
        else:
            self.rows[-1][-1].text = collapse_whitespace(self.get_text("cell"))
            self._part = "outside"

"""What to show of the tags inside of an element: HTML that is also XML, Markdown and plain text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qwenvl_core.parsing.html.tokenizer import BLOCKS, INLINE, VOID, Token, first_number, whole_number
from qwenvl_core.parsing.tables import Cell, Row, table_markdown, table_text
from qwenvl_core.parsing.text import collapse_whitespace, escape, one_line, without_coordinates

_KNOWN = BLOCKS | INLINE
_NOT_SHOWN = frozenset({"html", "head", "body"})
_SPAN = re.compile(r"\s*0*([1-9]\d{0,3})\s*")
_SPACE = re.compile(r"\s+")
_LINK = re.compile(r"(?:https?://|mailto:|#)\S*", re.IGNORECASE)
# The rest is for a style sheet that is gone, is a coordinate, or could act when the HTML is shown.
_ATTRIBUTES = ("class", "format", "colspan", "rowspan", "start", "value", "alt", "href")


@dataclass(slots=True)
class Block:
    """A paragraph, list item or table inside of an element."""

    kind: Literal["text", "item", "table"]
    text: str
    markdown: str


def to_html(tokens: Sequence[Token], root: str | None = None) -> str:
    """Balanced tokens as one XML element.

    Args:
        tokens: The element's, beginning with its own tag.
        root: Name for the outermost tag in place of its own.
    """
    parts = []
    last = len(tokens) - 1
    for place, token in enumerate(tokens):
        name = root if root and place in (0, last) else token.name
        if token.kind == "text":
            parts.append(escape(token.name))
        elif name not in _KNOWN or name in _NOT_SHOWN:
            continue
        elif token.kind == "end":
            parts.append("" if name in VOID else f"</{name}>")
        else:
            empty = name in VOID
            close = "/>" if empty else f"></{name}>" if token.kind == "void" and place else ">"
            parts.append(f"<{name}{_attributes(token)}{close}")
    return without_coordinates("".join(parts))


def _attributes(token: Token) -> str:
    return "".join(
        f' {name}="{escape(value)}"'
        for name in _ATTRIBUTES
        if name in token.attributes and (value := _attribute(token, name))
    )


def _attribute(token: Token, name: str) -> str:
    """The value of an attribute that is worth keeping, else nothing."""
    value = token.attributes[name].strip()
    if name in ("colspan", "rowspan", "start"):
        number = _span(token, name)
        return str(number) if number > 1 else ""
    if name == "value":
        place = whole_number(token, name) if token.name == "li" else None
        return "" if place is None else str(place)
    if name == "href":
        return value if _LINK.fullmatch(value) else ""
    if name == "class":
        return "" if token.name == "table" else one_line(value)
    return value


def _span(token: Token, name: str) -> int:
    match = _SPAN.fullmatch(token.attributes.get(name, ""))
    return int(match[1]) if match else 1


def only_table(tokens: Sequence[Token]) -> Sequence[Token]:
    """The tokens of the one table in an element, or all when there is something else."""
    starts = [place for place, token in enumerate(tokens) if token.kind == "start" and token.name == "table"]
    if not starts:
        return tokens
    end = _end_of_table(tokens, starts[0])
    around = [*tokens[: starts[0]], *tokens[end:]]
    if any((token.kind == "text" and token.name.strip()) or token.name in ("table", "img") for token in around):
        return tokens
    return tokens[starts[0] : end]


def _end_of_table(tokens: Sequence[Token], start: int) -> int:
    """The position behind the end tag of the table that starts at `start`."""
    depth = 0
    for place in range(start, len(tokens)):
        if tokens[place].name == "table" and tokens[place].kind in ("start", "end"):
            depth += 1 if tokens[place].kind == "start" else -1
            if not depth:
                return place + 1
    return len(tokens)


def blocks(tokens: Sequence[Token]) -> list[Block]:
    """The paragraphs, list items and tables of an element, without those that are empty."""
    reader = _Blocks()
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.kind == "start" and token.name == "table":
            end = _end_of_table(tokens, place)
            reader.flush()
            reader.found += _table_blocks(tokens[place:end])
            place = end
        else:
            reader.add(token)
            place += 1
    reader.flush()
    return reader.found


class _Blocks:
    def __init__(self) -> None:
        self.found: list[Block] = []
        self._text: list[str] = []
        self._lists: list[int | None] = []
        self._marker = ""

    def add(self, token: Token) -> None:
        if token.kind == "text":
            self._text.append(token.name)
        elif token.name == "br":
            self._text.append("\n" if token.kind != "end" else "")
        elif token.name in BLOCKS:
            self.flush()
            self._add_list_tag(token)

    def _add_list_tag(self, token: Token) -> None:
        if token.name in ("ul", "ol") and token.kind == "start":
            self._lists.append(first_number(token) if token.name == "ol" else None)
        elif token.name in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif token.name == "li" and token.kind == "start" and self._lists:
            own = whole_number(token, "value")
            number = self._lists[-1] if own is None else own
            if number is not None:
                self._lists[-1] = number + 1
            indent = "  " * (min(len(self._lists), 9) - 1)
            self._marker = indent + ("- " if number is None else f"{number}. ")

    def flush(self) -> None:
        """Ends the paragraph or list item."""
        text = collapse_whitespace("".join(self._text))
        self._text = []
        if text:
            kind: Literal["item", "text"] = "item" if self._marker else "text"
            self.found.append(Block(kind, text, self._marker + text))
            self._marker = ""


def _table_blocks(tokens: Sequence[Token]) -> list[Block]:
    """The caption of a table, the table, and text that is in neither cell nor caption."""
    table = _TableReader()
    for token in tokens:
        table.add(token)
    caption, loose = one_line(table.texts("caption")), collapse_whitespace(table.texts("none"))
    rows = [row for row in table.rows if row]
    markdown = table_markdown(rows) if not table.is_nested else None
    found = [Block("text", caption, caption)] if caption else []
    if rows and markdown is None:  # the HTML shows the caption too
        found = [Block("table", "\n".join(filter(None, (caption, table_text(rows)))), to_html(tokens))]
    elif rows:
        found.append(Block("table", table_text(rows), markdown or ""))
    return [*found, Block("text", loose, loose)] if loose else found


class _TableReader:
    """Reads the rows of one table. A table inside of a cell counts as text of the cell."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.is_nested = False
        self._depth = 0
        self._where = "none"
        self._texts: dict[str, list[str]] = {}

    def texts(self, location: str) -> str:
        """The text that was read in this place."""
        return "".join(self._texts.get(location, ()))

    def add(self, token: Token) -> None:
        if token.kind == "text":
            text = _SPACE.sub(" ", token.name) if self._where == "cell" else token.name
            self._texts.setdefault(self._where, []).append(text)
        elif token.name == "table":
            self._depth += 1 if token.kind == "start" else -1
            self.is_nested |= self._depth > 1
        elif self._depth == 1 and token.name in ("tr", "td", "th", "caption"):
            self._part(token, opens=token.kind != "end")
        elif token.name in BLOCKS or token.name == "br":
            between = " " if self._depth > 1 else "\n"
            self._texts.setdefault(self._where, []).append(between)

    def _part(self, token: Token, *, opens: bool) -> None:
        name = token.name
        if name == "caption":
            self._where = "caption" if opens else "none"
        elif name == "tr":
            self._where = "none"
            if opens:
                self.rows.append([])
        elif opens:
            self._texts["cell"] = []
            self._where = "cell" if token.kind == "start" else "none"
            self.rows[-1].append(Cell("", _span(token, "colspan"), _span(token, "rowspan"), name == "th"))
        else:
            self.rows[-1][-1].text = collapse_whitespace(self.texts("cell"))
            self._where = "none"

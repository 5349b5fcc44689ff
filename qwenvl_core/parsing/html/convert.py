"""The elements of a page of HTML, with what they show."""

from __future__ import annotations

from collections.abc import Callable

from qwenvl_core.parsing.elements import (
    PageElement,
    bare_formula,
    display_formula,
    heading,
    list_item,
    paragraphs,
    placeholder,
)
from qwenvl_core.parsing.html.elements import HtmlElement
from qwenvl_core.parsing.html.page import html_regions
from qwenvl_core.parsing.html.render import Block, blocks, only_table, to_html
from qwenvl_core.parsing.html.tokenizer import BLOCKS, INLINE, Token
from qwenvl_core.parsing.text import one_line

_BY_FIRST_TAG = {
    "table": "table",
    "img": "image",
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "title"),
    **dict.fromkeys(("ul", "ol", "li"), "list_item"),
}


def html_pieces(text: str) -> tuple[list[PageElement], bool]:
    """The pieces of a page in their order, and whether it was cut off. `text` has to be clean. Linear."""
    regions, cut = html_regions(text)
    return [_piece(region) for region in regions], cut


def _piece(region: HtmlElement) -> PageElement:
    tokens = region.nest.tokens
    found = blocks(tokens)
    kind = region.kind or _kind_by_content(tokens, found)
    text = "\n".join(block.text for block in found)
    if kind == "image" and not text:
        text = next((one_line(alt) for token in tokens if (alt := token.attributes.get("alt"))), "")
    if kind == "formula":
        text = bare_formula(text)
    root = None if region.root.name in BLOCKS | INLINE else "div"
    table = only_table(tokens) if kind == "table" else tokens
    return PageElement(
        type=kind,
        text=text,
        markdown=_MARKDOWN.get(kind, _plain)(region, found, text),
        html=to_html(table, root if table is tokens else None),
        latex=text or None if kind == "formula" else None,
        numbers=region.numbers,
        inner=region.inner,
    )


def _kind_by_content(tokens: list[Token], found: list[Block]) -> str:
    """The type of an element whose tag and class say nothing: that of what it begins with."""
    for token in tokens[1:]:
        if token.kind == "text" and token.name.strip():
            break
        if token.kind != "end" and token.name in _BY_FIRST_TAG and (token.name != "img" or not found):
            return _BY_FIRST_TAG[token.name]
    return "text"


def _plain(_: HtmlElement, found: list[Block], text: str) -> str:
    parts: list[str] = []
    for place, block in enumerate(found):
        if place:
            parts.append("\n" if block.kind == found[place - 1].kind == "item" else "\n\n")
        parts.append(block.markdown)
    return "".join(parts) or text


def _title(region: HtmlElement, found: list[Block], text: str) -> str:
    if any(block.kind == "table" for block in found):
        return _plain(region, found, text)
    name = region.root.name
    return heading(text, int(name[1]) if len(name) == 2 and name[0] == "h" and name[1].isdigit() else 1)


def _list_item(region: HtmlElement, found: list[Block], text: str) -> str:
    if not found or any(block.kind != "text" for block in found):
        return _plain(region, found, text)
    return list_item(region.marker or "- ", text)


def _picture(name: str, *, unless_text: bool = False) -> Callable[[HtmlElement, list[Block], str], str]:
    """Shows a placeholder and the text; with `unless_text`, only one of them."""

    def show(region: HtmlElement, found: list[Block], text: str) -> str:
        shown = _plain(region, found, "" if not found else text)
        if unless_text and shown:
            return shown
        return paragraphs([placeholder(text if text and not found else name), shown])

    return show


def _caption(region: HtmlElement, found: list[Block], text: str) -> str:
    has_picture = any(token.name == "img" for token in region.nest.tokens)
    return paragraphs([placeholder("image") if has_picture else "", _plain(region, found, text)])


def _formula(_: HtmlElement, __: list[Block], text: str) -> str:
    return display_formula(text) if text else placeholder("formula")


def _music(_: HtmlElement, __: list[Block], text: str) -> str:
    return f"```abc\n{text}\n```" if text else placeholder("music sheet")


def _chemical(_: HtmlElement, __: list[Block], text: str) -> str:
    return f"`{one_line(text)}`" if text else placeholder("chemical formula")


_MARKDOWN: dict[str, Callable[[HtmlElement, list[Block], str], str]] = {
    "title": _title,
    "list_item": _list_item,
    "image": _picture("image"),
    "chart": _picture("chart", unless_text=True),
    "caption": _caption,
    "formula": _formula,
    "music_sheet": _music,
    "chemical_formula": _chemical,
}

"""Convert the elements of an HTML page to page elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qwenvl_core.parsing.elements import (
    PageElement,
    format_code,
    format_formula,
    format_heading,
    format_inline_code,
    format_list_item,
    format_placeholder,
    join_paragraphs,
    strip_formula_delimiters,
)
from qwenvl_core.parsing.html.elements import HtmlElement
from qwenvl_core.parsing.html.page import split_html_page
from qwenvl_core.parsing.html.render import RENDERED_TAGS, Paragraph, render_html, select_table, split_paragraphs
from qwenvl_core.parsing.html.tokenizer import Token
from qwenvl_core.parsing.text import escape_markdown, join_lines

_TYPE_BY_FIRST_TAG = {
    "table": "table",
    "img": "image",
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "title"),
    **dict.fromkeys(("ul", "ol", "li"), "list_item"),
}


_TEXT_TYPES = frozenset({"text", "title", "list_item", "other"})  # with a picture and without text, it is a picture


def parse_html_page(text: str) -> tuple[list[PageElement], bool]:
    """Parse an HTML page in linear time.

    Args:
        text: The page, sanitized.

    Returns:
        The elements in their order, and whether the page was cut off.
    """
    elements, is_truncated = split_html_page(text)
    return [_convert_element(element) for element in elements], is_truncated


def _convert_element(element: HtmlElement) -> PageElement:
    tokens = element.stack.tokens
    paragraphs = split_paragraphs(tokens, is_formula=element.type == "formula")
    element_type = element.type or _infer_type(tokens, has_paragraphs=bool(paragraphs))
    text = "\n".join(paragraph.text for paragraph in paragraphs)
    if not text and element_type in _TEXT_TYPES and any(token.name == "img" for token in tokens):
        element_type = "image"
    if element_type == "image" and not text:
        text = next((join_lines(alt) for token in tokens if (alt := token.attributes.get("alt"))), "")
    if element_type == "formula":
        text = strip_formula_delimiters(text)
    root = None if element.root.name in RENDERED_TAGS else "div"
    table = select_table(tokens) if element_type == "table" else tokens
    format_markdown = _FORMATTERS.get(element_type, _format_paragraphs)
    return PageElement(
        type=element_type,
        text=text,
        markdown=format_markdown(element, paragraphs, text),
        html=render_html(table, root if table is tokens else None),
        latex=text or None if element_type == "formula" else None,
        numbers=element.numbers,
        inner=element.inner,
    )


def _infer_type(tokens: Sequence[Token], *, has_paragraphs: bool) -> str:
    """Infer the type of an element from its first content, where its tag and class do not determine it."""
    for token in tokens[1:]:
        if token.has_text():
            break
        if token.kind != "end" and token.name in _TYPE_BY_FIRST_TAG and (token.name != "img" or not has_paragraphs):
            return _TYPE_BY_FIRST_TAG[token.name]
    return "text"


def _format_paragraphs(_: HtmlElement, paragraphs: Sequence[Paragraph], text: str) -> str:
    parts: list[str] = []
    for index, paragraph in enumerate(paragraphs):
        if index:
            parts.append("\n" if paragraph.kind == paragraphs[index - 1].kind == "item" else "\n\n")
        parts.append(paragraph.markdown)
    return "".join(parts) or escape_markdown(text)


def _format_title(element: HtmlElement, paragraphs: Sequence[Paragraph], text: str) -> str:
    if any(paragraph.kind in ("table", "code") for paragraph in paragraphs):
        return _format_paragraphs(element, paragraphs, text)
    name = element.root.name
    level = int(name[1]) if len(name) == 2 and name[0] == "h" and name[1].isdigit() else 1
    return format_heading(escape_markdown(text), level)


def _format_list_item(element: HtmlElement, paragraphs: Sequence[Paragraph], text: str) -> str:
    if not paragraphs or any(paragraph.kind != "text" for paragraph in paragraphs):
        return _format_paragraphs(element, paragraphs, text)
    return format_list_item(element.marker or "- ", escape_markdown(text))


def _format_image(element: HtmlElement, paragraphs: Sequence[Paragraph], text: str) -> str:
    """Format a placeholder and the text; without paragraphs, the text is the alternative text of the image."""
    if not paragraphs:
        return format_placeholder(text or "image")
    return join_paragraphs([format_placeholder("image"), _format_paragraphs(element, paragraphs, text)])


def _format_chart(element: HtmlElement, paragraphs: Sequence[Paragraph], text: str) -> str:
    return _format_paragraphs(element, paragraphs, text) or format_placeholder("chart")


def _format_caption(element: HtmlElement, paragraphs: Sequence[Paragraph], text: str) -> str:
    has_picture = any(token.name == "img" for token in element.stack.tokens)
    placeholder = format_placeholder("image") if has_picture else ""
    return join_paragraphs([placeholder, _format_paragraphs(element, paragraphs, text)])


def _format_formula(_: HtmlElement, __: Sequence[Paragraph], text: str) -> str:
    return format_formula(text) if text else format_placeholder("formula")


def _format_music(_: HtmlElement, __: Sequence[Paragraph], text: str) -> str:
    return format_code(text, "abc") if text else format_placeholder("music sheet")


def _format_chemical(_: HtmlElement, __: Sequence[Paragraph], text: str) -> str:
    return format_inline_code(join_lines(text)) if text else format_placeholder("chemical formula")


_FORMATTERS: dict[str, Callable[[HtmlElement, Sequence[Paragraph], str], str]] = {
    "title": _format_title,
    "list_item": _format_list_item,
    "image": _format_image,
    "chart": _format_chart,
    "caption": _format_caption,
    "formula": _format_formula,
    "music_sheet": _format_music,
    "chemical_formula": _format_chemical,
}

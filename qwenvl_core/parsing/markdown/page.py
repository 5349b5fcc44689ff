"""A page of Markdown split into its elements: `qwenvl markdown`, or whatever Markdown the model wrote.

In that format (vendor's notebook on document parsing) only pictures and tables have coordinates, in a comment before
them: `<!-- Image (1, 2, 3, 4) -->`. Tables are LaTeX. Prompts of others put more kinds into such comments.
"""

from __future__ import annotations

import re

from qwenvl_core.parsing.elements import PageElement, element_html, heading, placeholder
from qwenvl_core.parsing.markdown.blocks import MarkdownBlocks
from qwenvl_core.parsing.text import one_line

COORDINATE_COMMENT = re.compile(r"<!--\s{0,99}([A-Za-z][A-Za-z _-]{0,40})[(\[]([-+\d.,\s()]{1,200})[)\]]\s{0,99}-->")
"""A comment with a kind of element and its coordinates."""

_PICTURES = dict.fromkeys(
    ("image", "figure", "picture", "photo", "diagram", "signature", "stamp", "seal", "logo"), "image"
)
_TABLES = {"table": "table", "chart": "chart"}
_TEXTS = {
    **dict.fromkeys(("text", "paragraph", "handwritten", "handwriting"), "text"),
    **dict.fromkeys(("title", "heading"), "title"),
    "formula": "formula",
    "equation": "formula",
    "header": "header",
    "footer": "footer",
    "caption": "caption",
    "list": "list_item",
}
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_FENCE = re.compile(r"^[ \t]{0,9}```+[ \t]{0,9}([\w+-]{0,30})(?: (?:markdown|md))?[ \t]{0,9}$", re.MULTILINE)
_PAGE_LANGUAGES = frozenset({"markdown", "md", "qwenvl"})
_CUT_SIGN = re.compile(
    r"(?:<!?-?|\\(?:b|be|beg|begi|begin|e|en|end)?|\\(?:begin|end)\{[a-z*]{0,20}|^[ \t]{0,9}`{1,2})\Z", re.MULTILINE
)
_MAX_CUT_SIGN = 40  # characters


def markdown_pieces(text: str) -> tuple[list[PageElement], bool]:
    """The pieces of a page in their order, and whether it was cut off. `text` has to be clean. Linear."""
    pages, cut = _pages(text)
    pieces: list[PageElement] = []
    for place, page in enumerate(pages):
        is_last = place == len(pages) - 1
        found, is_open = _page_pieces(page)
        pieces += found
        cut |= is_open and is_last
    return pieces, cut


def _pages(text: str) -> tuple[list[str], bool]:
    """What is in code fences for Markdown, or else all; and whether a fence was not closed."""
    fences = list(_FENCE.finditer(text))
    if not any(fence[1].lower() in _PAGE_LANGUAGES for fence in fences):
        return [_without_bare_fences(text, fences)], False
    pages = []
    start: int | None = None
    inner = 0  # code fences inside of the page
    for fence in fences:
        if start is None:
            start = fence.end() if fence[1].lower() in _PAGE_LANGUAGES else None
        elif fence[1]:
            inner += 1
        elif inner:
            inner -= 1
        else:
            pages.append(text[start : fence.start()])
            start = None
    return ([*pages, text[start:]], True) if start is not None else (pages, False)


def _without_bare_fences(text: str, fences: list[re.Match[str]]) -> str:
    """The text without a fence around a page of it that does not name a language."""
    if not fences or fences[0][1] or text[: fences[0].start()].strip():
        return text
    end = fences[1].start() if len(fences) > 1 else len(text)
    page = text[fences[0].end() : end]
    rest_is_empty = len(fences) < 2 or not text[fences[1].end() :].strip()
    return page if rest_is_empty or COORDINATE_COMMENT.search(page) else text


def _page_pieces(text: str) -> tuple[list[PageElement], bool]:
    text, cut = _without_cut_end(text)
    comments = list(COORDINATE_COMMENT.finditer(text))
    starts = [0, *(comment.end() for comment in comments)]
    ends = [*(comment.start() for comment in comments), len(text)]
    pieces: list[PageElement] = []
    is_open = False
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        blocks = MarkdownBlocks(_without_comments(text[start:end]))
        is_open = blocks.is_open
        pieces += _located(comments[place - 1], blocks.pieces) if place else blocks.pieces
    return pieces, cut or is_open


def _without_cut_end(text: str) -> tuple[str, bool]:
    """The text without a comment or command that it ends inside of, and whether it did."""
    start = text.rfind("<!--")
    if start >= 0 and text.find("-->", start) < 0 and "\n\n" not in text[start:].strip():
        return text[:start], True
    sign = _CUT_SIGN.search(text, max(0, len(text) - _MAX_CUT_SIGN))
    return (text[: sign.start()], True) if sign else (text, False)


def _without_comments(text: str) -> str:
    """The text without the comments that say nothing about a place."""
    if "<!--" not in text:
        return text
    parts = []
    at = 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        parts.append(text[at:start])
        at = end + 3
    return "".join([*parts, text[at:].replace("<!--", "")])


def _located(comment: re.Match[str], pieces: list[PageElement]) -> list[PageElement]:
    """The pieces behind a comment; the coordinates go to the first one if it is what the comment names."""
    name = one_line(comment[1].replace("_", " ")).lower()
    numbers = [float(n) for n in _NUMBER.findall(comment[2])]
    first_word = name.split(" ")[0]
    if name in _TABLES:
        for piece in pieces[:2]:  # its caption may come first
            if piece.type == "table":
                piece.type, piece.numbers = _TABLES[name], numbers
                return pieces
    elif first_word in _TEXTS and pieces and pieces[0].type in ("text", "title", "list_item", "formula"):
        _retype(pieces[0], _TEXTS[first_word])
        pieces[0].numbers = numbers
        return pieces
    kind = {**_PICTURES, **_TABLES, **_TEXTS}.get(first_word, "other")
    shown = "" if kind == "table" or first_word in _TEXTS else placeholder(name)
    alone = PageElement(kind, "", shown, element_html("div", "", kind), numbers=numbers)
    return [alone, *pieces]


def _retype(piece: PageElement, kind: str) -> None:
    """Gives a piece the type that its comment names."""
    if kind == "title" and piece.type == "text":
        piece.markdown, piece.html = heading(piece.text, 1), element_html("h1", piece.text)
    if kind != "formula":
        piece.type = kind

"""Split a Markdown page into its elements: the answer to `qwenvl markdown`, or other Markdown that the model wrote.

In that format (vendor's notebook on document parsing) only pictures and tables have coordinates, in a comment before
them: `<!-- Image (1, 2, 3, 4) -->`. Tables are LaTeX. With other prompts, models write such comments for more types.
"""

from __future__ import annotations

import re

from qwenvl_core.parsing.elements import PageElement, format_heading, format_html, format_placeholder, rename_root
from qwenvl_core.parsing.markdown.blocks import read_blocks
from qwenvl_core.parsing.markdown.lines import find_cut_row
from qwenvl_core.parsing.markdown.quotes import strip_last_marks
from qwenvl_core.parsing.numbers import find_numbers
from qwenvl_core.parsing.text import join_lines

COORDINATE_COMMENT = re.compile(
    r"<!--\s{0,99}([A-Za-z][^<>()\[\]\n]{0,80}?)[ \t]{0,9}:?\s{0,9}[(\[]([-+\d.,\s()]{1,200})[)\]]\s{0,99}-->"
)
"""A comment with a type of element and its coordinates."""

_PICTURE_NAMES = dict.fromkeys(
    ("image", "figure", "picture", "photo", "diagram", "signature", "stamp", "seal", "logo"), "image"
)
_TABLE_NAMES = {"table": "table", "chart": "chart"}
_TEXT_NAMES = {
    **dict.fromkeys(("text", "paragraph", "handwritten", "handwriting"), "text"),
    **dict.fromkeys(("title", "heading"), "title"),
    "formula": "formula",
    "equation": "formula",
    "header": "header",
    "footer": "footer",
    "caption": "caption",
    "list": "list_item",
}
_FENCE = re.compile(
    r"^[ \t]{0,9}(?P<marks>```+|~{3,8})[ \t]{0,9}(?P<language>[\w+-]{0,30})(?: (?:markdown|md))?[ \t]{0,9}$",
    re.MULTILINE,
)
_PAGE_LANGUAGES = frozenset({"markdown", "md", "qwenvl"})
_CUT_MARKUP = re.compile(
    r"(?:<!?-?|\\(?:b|be|beg|begi|begin|e|en|end)?|\\(?:begin|end)\{[a-z*]{0,20}|^[ \t]{0,9}`{1,2})\Z", re.MULTILINE
)
_NAME_END = re.compile(r"[^a-z]")
_MAX_CUT_MARKUP = 40  # characters


def parse_markdown_page(text: str) -> tuple[list[PageElement], bool]:
    """Parse a Markdown page in linear time.

    Args:
        text: The page, sanitized.

    Returns:
        The elements in their order, and whether the page was cut off.
    """
    pages, is_truncated = _split_pages(text)
    elements: list[PageElement] = []
    for index, page in enumerate(pages):
        page_elements, is_page_truncated = _parse_single_page(page)
        elements += page_elements
        is_truncated |= is_page_truncated and index == len(pages) - 1
    return elements, is_truncated


def _split_pages(text: str) -> tuple[list[str], bool]:
    """Return the contents of the Markdown fences, or else the whole text, and whether a fence is not closed."""
    fences = list(_FENCE.finditer(text))
    if not any(map(_is_page_fence, fences)):
        return [_strip_bare_fences(text, fences)], False
    pages = []
    page: re.Match[str] | None = None  # the fence that begins the page
    code: re.Match[str] | None = None  # a fence inside the page that others of its kind do not end
    open_code_fences = 0  # others inside the page
    last_ends = {fence["marks"][0]: fence.start() for fence in fences if not fence["language"]}
    for fence in fences:
        if page is None:
            page = fence if _is_page_fence(fence) else None
        elif code:
            code = None if _is_end_of(code, fence) else code
        elif not fence["marks"].startswith(page["marks"]):
            code = fence if fence.start() < last_ends.get(fence["marks"][0], 0) else None
        elif fence["language"]:
            open_code_fences += 1
        elif open_code_fences:
            open_code_fences -= 1
        else:
            pages.append(text[page.end() : fence.start()])
            page = None
    return ([*pages, text[page.end() :]], True) if page else (pages, False)


def _is_page_fence(fence: re.Match[str]) -> bool:
    return fence["language"].lower() in _PAGE_LANGUAGES


def _is_end_of(opening: re.Match[str], fence: re.Match[str]) -> bool:
    return not fence["language"] and fence["marks"].startswith(opening["marks"])


def _strip_bare_fences(text: str, fences: list[re.Match[str]]) -> str:
    """Return the page inside a fence without a language, or the text if the fence is code."""
    first = fences[0] if fences else None
    if first is None or first["language"] or first["marks"][0] == "~" or text[: first.start()].strip():
        return text
    closing = next((fence for fence in fences[1:] if fence["marks"].startswith(first["marks"])), None)
    page = text[first.end() : closing.start() if closing else len(text)]
    is_rest_empty = closing is None or not text[closing.end() :].strip()
    return page if is_rest_empty or COORDINATE_COMMENT.search(page) else text


def _parse_single_page(text: str) -> tuple[list[PageElement], bool]:
    text, has_cut_end = _strip_cut_end(text)
    comments = list(COORDINATE_COMMENT.finditer(text))
    starts = [0, *(comment.end() for comment in comments)]
    ends = [*(comment.start() for comment in comments), len(text)]
    elements: list[PageElement] = []
    is_last_block_truncated = False
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        source = strip_last_marks(text[start:end]) if end < len(text) else text[start:end]
        following, is_last_block_truncated = read_blocks(_strip_comments(source))
        elements += _add_coordinates(comments[index - 1], following) if index else following
    return [element for element in elements if not _is_empty(element)], has_cut_end or is_last_block_truncated


def _is_empty(element: PageElement) -> bool:
    """Return whether a title or text, such as a line with `<br>` only, has no text, picture or box."""
    is_shown = element.text or element.numbers or "![" in element.markdown
    return not is_shown and element.type in ("title", "text")


def _strip_cut_end(text: str) -> tuple[str, bool]:
    """Remove an unfinished comment or command from the end, and return whether there was one."""
    start = text.rfind("<!--")
    if start >= 0 and text.find("-->", start) < 0 and "\n\n" not in text[start:].strip():
        return text[:start], True
    markup = _CUT_MARKUP.search(text, max(0, len(text) - _MAX_CUT_MARKUP))
    end = markup.start() if markup else find_cut_row(text)
    return (text, False) if end is None else (text[:end], True)


def _strip_comments(text: str) -> str:
    """Remove comments; those with coordinates were split off before."""
    if "<!--" not in text:
        return text
    parts = []
    offset = 0
    while (start := text.find("<!--", offset)) >= 0 and (end := text.find("-->", start)) >= 0:
        parts.append(text[offset:start])
        offset = end + 3
    return "".join([*parts, text[offset:].replace("<!--", "")])


def _add_coordinates(comment: re.Match[str], elements: list[PageElement]) -> list[PageElement]:
    """Add the coordinates of a comment to the elements after it.

    They belong to the first element if it has the type that the comment names, else to a new element before it.
    """
    name = join_lines(comment[1].replace("_", " ")).lower()
    numbers = find_numbers(comment[2])
    first_word = _NAME_END.split(name, maxsplit=1)[0]
    if first_word in _TABLE_NAMES:
        for element in elements[:2]:  # the caption may precede the table
            if element.type == "table":
                element.type, element.numbers = _TABLE_NAMES[first_word], numbers
                return elements
    elif first_word in _TEXT_NAMES and elements and elements[0].type in ("text", "title", "list_item", "formula"):
        _change_type(elements[0], _TEXT_NAMES[first_word])
        elements[0].numbers = numbers
        return elements
    new_type = {**_PICTURE_NAMES, **_TABLE_NAMES, **_TEXT_NAMES}.get(first_word, "other")
    markdown = "" if new_type == "table" or first_word in _TEXT_NAMES else format_placeholder(name)
    new_element = PageElement(new_type, "", markdown, format_html("div", "", new_type), numbers=numbers)
    return [new_element, *elements]


def _change_type(element: PageElement, new_type: str) -> None:
    """Set the type of a text element to the one its comment names, except for `formula`, which needs delimiters."""
    if new_type == "title" and element.type == "text":
        element.markdown = format_heading(element.markdown, 1)
        element.html = rename_root(element.html, "h1") if element.html else format_html("h1", element.text)
    if new_type != "formula":
        element.type = new_type

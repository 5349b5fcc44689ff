"""Decide which tags begin an element of an HTML page, and which belong to it.

The tags and classes are those of the vendor's notebook on document parsing and of the Qwen2.5-VL report. Qwen3-VL
puts a `<div class="text" data-bbox=...>` around each element, Qwen2.5-VL writes `data-bbox` on headings, paragraphs,
list items and tables. Some hosts return HTML without any box.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from qwenvl_core.parsing.html.balance import TagStack
from qwenvl_core.parsing.html.tokenizer import BLOCK_TAGS, INLINE_TAGS, Token
from qwenvl_core.parsing.numbers import enclose_corners, find_numbers
from qwenvl_core.parsing.text import join_lines

_TYPE_BY_CLASS = {
    "text": "text",
    "paragraph": "text",
    "title": "title",
    "heading": "title",
    "section title": "title",
    "section header": "title",
    "list": "list_item",
    "list item": "list_item",
    "table": "table",
    "table caption": "caption",
    "image": "image",
    "figure": "image",
    "picture": "image",
    "image ocr": "image",
    "image caption": "caption",
    "figure caption": "caption",
    "caption": "caption",
    "chart": "chart",
    "formula": "formula",
    "equation": "formula",
    "header": "header",
    "page header": "header",
    "footer": "footer",
    "page footer": "footer",
    "page number": "footer",
    "music sheet": "music_sheet",
    "chemical formula": "chemical_formula",
}
ELEMENT_TYPES = frozenset({*_TYPE_BY_CLASS.values(), "other"})
"""The types of page elements."""

# The classes that rendered HTML keeps as they are: the vendor's names. Others become their type of element.
_VENDOR_CLASSES = frozenset(
    {
        *("text", "title", "list", "table", "image", "figure", "chart", "formula", "caption", "header", "footer"),
        *("image caption", "image ocr", "music sheet", "chemical formula"),
        *("formula.machine_printed", "formula.handwritten"),
    }
)
# Classes of elements that contain an `<img>` and its content as tags with boxes, which do not end the element.
_CLASSES_WITH_BOXES_INSIDE = frozenset(
    {"chart", "formula", "image caption", "image ocr", "music sheet", "chemical formula"}
)
_PICTURE_TYPES = frozenset({"image", "chart", "formula", "caption", "music_sheet", "chemical_formula"})
_TYPE_BY_TAG = {
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "title"),
    **dict.fromkeys(("p", "pre", "blockquote", "dt", "dd", "address", "legend", "summary"), "text"),
    "li": "list_item",
    **dict.fromkeys(("table", "thead", "tbody", "tfoot", "tr", "td", "th"), "table"),
    "img": "image",
    "figure": "image",
    **dict.fromkeys(("caption", "figcaption"), "caption"),
    "header": "header",
    "footer": "footer",
}
_TAGS_BEFORE_CLASS = frozenset(
    {"table", "li", "img", *(f"h{n}" for n in range(1, 7))}
)  # the tag, not the class, determines their type
# Tags that begin an element even without a box.
_ELEMENT_TAGS = frozenset(_TYPE_BY_TAG) - {"figure", "header", "footer"}
_TABLE_PARTS = frozenset({"thead", "tbody", "tfoot", "tr", "td", "th", "colgroup", "caption"})
_PARAGRAPH_TAGS = frozenset({"p", "div", "pre"})
_PARAGRAPH_CONTAINERS = frozenset({"li", "dd", "blockquote"})
ROOT_TAGS = frozenset({"html", "head", "body"})
LIST_TAGS = frozenset({"ul", "ol"})
_NEUTRAL_TAGS = frozenset({"div", "section", "article", "span"})  # the content determines the type

_WORD = re.compile(r"[a-z]+")
_MAX_COORDINATES_TEXT = 1000  # characters


@dataclass(slots=True)
class HtmlElement:
    """An element of the page, as the model tagged it.

    Attributes:
        root: Its outermost tag.
        type: The type of element; `None` if the content determines it.
        numbers: The coordinates of its box in the model's unit, or `None` without a box.
        stack: Its tags and text.
        inner: The coordinates of the boxes inside the element.
        marker: For a list item outside other elements: indentation and bullet or number.
        is_implicit: Whether the model wrote text without a tag for it.
        has_boxes_inside: Whether tags with boxes are part of the element, and do not end it.
        has_text: Whether it has text that is not only whitespace.
        has_table: Whether it has a table.
        tail_index: Index in `stack.tokens` of the tokens that are new elements if the end tag of this one is missing.
        images: Pictures inside the element, which become separate elements after it.
    """

    root: Token
    type: str | None
    numbers: list[float] | None
    stack: TagStack
    inner: list[list[float]] = field(default_factory=list)
    marker: str | None = None
    is_implicit: bool = False
    has_boxes_inside: bool = False
    has_text: bool = False
    has_table: bool = False
    tail_index: int | None = None
    images: list[HtmlElement] = field(default_factory=list)

    @property
    def has_box(self) -> bool:
        """Whether the model gave the element a box, readable or not."""
        return self.numbers is not None

    def add_text(self, text: str) -> None:
        """Add text to the innermost open tag."""
        self.stack.add_text(text)
        self.has_text = self.has_text or not text.isspace()

    def add_tag(self, token: Token) -> None:
        """Add a start tag that is part of the element."""
        numbers = read_box_numbers(token)
        if numbers is not None:
            if token.name == "img" and self.type not in (*_PICTURE_TYPES, "table", None):
                image = HtmlElement(token, "image", numbers, TagStack(token))
                image.stack.close()
                self.images.append(image)
                return
            self.inner.append(numbers)
            can_begin_tail = self.has_boxes_inside and self.tail_index is None and self.stack.depth == 1
            if can_begin_tail and _can_be_next_element(self, token):
                self.tail_index = len(self.stack.tokens)
        self.has_table |= token.name == "table"
        self.stack.add_start_tag(token)


def create_element(token: Token) -> HtmlElement:
    """Create the element that begins with a tag."""
    name, css_class = token.name, _match_class(token)
    if css_class and name not in _TAGS_BEFORE_CLASS:
        element_type: str | None = _TYPE_BY_CLASS[css_class]
    else:
        element_type = _TYPE_BY_TAG.get(name)
    if element_type is None and name not in _NEUTRAL_TAGS:
        element_type = _TYPE_BY_CLASS.get(name, "other")
    elif element_type is None and token.attributes.get("class", "").strip():
        element_type = "other"
    is_table_part = name in _TABLE_PARTS and element_type == "table"
    root = Token("start", "table") if is_table_part else token
    element = HtmlElement(root, element_type, read_box_numbers(token), TagStack(root))
    element.has_boxes_inside = css_class in _CLASSES_WITH_BOXES_INSIDE
    element.has_table = root.name == "table"
    if is_table_part:
        element.stack.add_start_tag(token)
    return element


def create_implicit_element() -> HtmlElement:
    """Create an element for text that the model wrote outside all tags."""
    root = Token("start", "p")
    return HtmlElement(root, "text", None, TagStack(root), is_implicit=True)


def is_inline(token: Token) -> bool:
    """Return whether a tag is part of a line of text."""
    return token.name in INLINE_TAGS or (token.name not in BLOCK_TAGS and read_box_numbers(token) is None)


def is_element_start(token: Token) -> bool:
    """Return whether a tag begins an element of the page if no element is open."""
    if read_box_numbers(token) is not None:
        return token.name not in LIST_TAGS and token.name not in ROOT_TAGS
    return token.name in _ELEMENT_TAGS or (token.name == "div" and _match_class(token) is not None)


def is_ended_by(element: HtmlElement, token: Token) -> bool:
    """Return whether a start tag ends the open element, whose end tag is missing."""
    name, has_box = token.name, read_box_numbers(token) is not None
    if is_inline(token):
        return False
    if element.is_implicit or name in ROOT_TAGS:
        return True
    if element.has_boxes_inside:
        return False
    if element.stack.is_open("table"):
        is_in_cell = element.stack.is_open("td", "th", "caption")
        return not is_in_cell and name not in _TABLE_PARTS and (has_box or not element.has_box)
    if element.type == "table" and name == "table" and not element.has_table:
        return False
    if has_box:
        return not _is_paragraph_of_item(element, token)
    return not element.has_box and _is_sibling(element, token)


def _is_paragraph_of_item(element: HtmlElement, token: Token) -> bool:
    """Return whether the element is a list item whose box is on the paragraph inside it."""
    return element.root.name == "li" and not element.has_box and token.name in _PARAGRAPH_TAGS and not element.has_text


def _is_sibling(element: HtmlElement, token: Token) -> bool:
    """Return whether a tag without a box begins a sibling of the open element, which has no box either."""
    if element.root.name in _PARAGRAPH_CONTAINERS and token.name in _PARAGRAPH_TAGS:
        return False
    return token.name in LIST_TAGS or is_element_start(token)


def _can_be_next_element(element: HtmlElement, token: Token) -> bool:
    """Return whether a tag with a box, in an element with boxes inside, could be the next element instead."""
    match token.name:
        case "div":
            return "class" in token.attributes
        case "p":
            return element.type not in ("caption", "image")
        case "table":
            return element.type != "chart"
        case name:
            return name not in INLINE_TAGS


def should_keep(element: HtmlElement, is_closed: bool) -> bool:
    """Return whether to keep an element: always if it has text or a picture, else if the model finished it.

    Args:
        element: The element.
        is_closed: Whether its own end tag was read.
    """
    has_content = any(token.has_text() or token.name == "img" for token in element.stack.tokens)
    is_finished = element.has_box and (is_closed or element.type in _PICTURE_TYPES)
    return element.type == "image" or has_content or is_finished


def _match_class(token: Token) -> str | None:
    """Return the longest prefix of the tag's classes that is a key of `_TYPE_BY_CLASS`; `None` if there is none."""
    css_class = token.attributes.get("class")
    words = _WORD.findall(css_class.lower()[:200])[:3] if css_class else []
    names = (" ".join(words[:count]) for count in range(len(words), 0, -1))
    return next((name for name in names if name in _TYPE_BY_CLASS), None)


def get_rendered_class(token: Token, *, is_root: bool) -> str:
    """Return the class to write for a tag: the vendor's name or a type of element; an empty string for others.

    Args:
        token: The tag.
        is_root: Whether the class determines the type of the element, so that a class that only begins with a known
            one is replaced by that one.
    """
    css_class = join_lines(token.attributes.get("class", "")[:200]).lower()
    if css_class in _VENDOR_CLASSES or css_class in ELEMENT_TYPES:
        return css_class
    name = _match_class(token) if is_root else css_class.replace("-", " ").replace("_", " ")
    return name if name in _VENDOR_CLASSES else _TYPE_BY_CLASS.get(name or "", "")


def read_box_numbers(token: Token) -> list[float] | None:
    """Return the numbers of the tag's box; an empty list for an unreadable polygon, `None` without a box."""
    box = token.attributes.get("data-bbox")
    if box is not None:
        return find_numbers(box[:_MAX_COORDINATES_TEXT])
    polygon = token.attributes.get("data-polygon")
    if polygon is None:
        return None
    numbers = find_numbers(polygon[:_MAX_COORDINATES_TEXT])
    return [] if len(numbers) < 4 or len(numbers) % 2 else enclose_corners(numbers)

"""What an element of a page of HTML is, and which tags belong to it.

The tags and classes are those of the vendor's notebook on document parsing and of the Qwen2.5-VL report. Qwen3-VL
puts a `<div class="text" data-bbox=...>` around each element, Qwen2.5-VL puts `data-bbox` on headings, paragraphs,
list items and tables. Some hosts give HTML without any box.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from qwenvl_core.parsing.html.balance import TagStack
from qwenvl_core.parsing.html.tokenizer import BLOCKS, INLINE, Token

_CLASSES = {
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
# These hold an `<img>` and what it shows as tags of their own, so that a tag with a box does not end them.
_ABSORBING = frozenset({"chart", "formula", "image caption", "image ocr", "music sheet", "chemical formula"})
_VISUAL = frozenset({"image", "chart", "formula", "caption", "music_sheet", "chemical_formula"})
_TAGS = {
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
_FIXED = frozenset({"table", "li", "img", *(f"h{n}" for n in range(1, 7))})  # the class does not change the type
# Without a box, these are elements all the same.
_ELEMENTS = frozenset(_TAGS) - {"figure", "header", "footer"}
_TABLE_PARTS = frozenset({"thead", "tbody", "tfoot", "tr", "td", "th", "colgroup", "caption"})
_PARAGRAPHS = frozenset({"p", "div", "pre"})
_PARAGRAPH_HOLDERS = frozenset({"li", "dd", "blockquote"})
ROOTS = frozenset({"html", "head", "body"})
LISTS = frozenset({"ul", "ol"})
_NEUTRAL = frozenset({"div", "section", "article", "span"})  # say nothing about what is inside

_WORD = re.compile(r"[a-z]+")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_MAX_NUMBERS_TEXT = 1000


@dataclass(slots=True)
class HtmlElement:
    """One element of the page, as the model marked it.

    Attributes:
        root: Its outermost tag.
        kind: The type of element; `None` where the content decides.
        numbers: The coordinates of its box in the model's unit, if it has one.
        inner: Those of the boxes inside of it.
        nest: Its tags and text.
        marker: For a list item outside of other elements: indentation and bullet or number.
    """

    root: Token
    kind: str | None
    numbers: list[float] | None
    nest: TagStack
    inner: list[list[float]] = field(default_factory=list)
    marker: str | None = None
    implicit: bool = False
    absorbs: bool = False
    has_text: bool = False
    has_table: bool = False
    tail: int | None = None  # where in the nest begins what may be a new element, if the end tag never comes
    images: list[HtmlElement] = field(default_factory=list)

    def add_text(self, text: str) -> None:
        """Adds text to the innermost open tag."""
        self.nest.text(text)
        self.has_text = self.has_text or not text.isspace()

    @property
    def boxed(self) -> bool:
        """Whether the model gave it a box, be it readable or not."""
        return self.numbers is not None


def new_region(token: Token) -> HtmlElement:
    """The element that begins with this tag."""
    name, by_class = token.name, _class_kind(token)
    kind = _TAGS.get(name) if name in _FIXED or not by_class else _CLASSES[by_class]
    if kind is None and name not in _NEUTRAL:
        kind = _CLASSES.get(name, "other")
    elif kind is None and token.attributes.get("class", "").strip():
        kind = "other"
    is_part = name in _TABLE_PARTS and kind == "table"
    root = Token("start", "table") if is_part else token
    region = HtmlElement(root, kind, box_numbers(token), TagStack(root))
    region.absorbs = by_class in _ABSORBING
    region.has_table = root.name == "table"
    if is_part:
        region.nest.start(token)
    return region


def is_inline(token: Token) -> bool:
    """Whether a tag is a part of a line of text."""
    return token.name in INLINE or (token.name not in BLOCKS and box_numbers(token) is None)


def is_element(token: Token) -> bool:
    """Whether a tag begins an element of the page, if none is open."""
    if box_numbers(token) is not None:
        return token.name not in LISTS and token.name not in ROOTS
    return token.name in _ELEMENTS or (token.name == "div" and _class_kind(token) is not None)


def is_ended_by(region: HtmlElement, token: Token) -> bool:
    """Whether a new tag is not a part of the open element, although that was not ended."""
    name, boxed = token.name, box_numbers(token) is not None
    if is_inline(token):
        return False
    if region.implicit or name in ROOTS:
        return True
    if region.absorbs:
        return False
    if region.nest.is_open("table"):
        in_cell = region.nest.is_open("td", "th", "caption")
        return not in_cell and name not in _TABLE_PARTS and (boxed or not region.boxed)
    if region.kind == "table" and name == "table" and not region.has_table:
        return False
    if boxed:
        return not _is_box_of(region, token)
    return not region.boxed and _is_beside(region, token)


def _is_box_of(region: HtmlElement, token: Token) -> bool:
    """Whether a list item has its box on the paragraph inside of it."""
    return region.root.name == "li" and not region.boxed and token.name in _PARAGRAPHS and not region.has_text


def _is_beside(region: HtmlElement, token: Token) -> bool:
    """Whether a tag without a box is an element beside the open one, which has no box either."""
    if region.root.name in _PARAGRAPH_HOLDERS and token.name in _PARAGRAPHS:
        return False
    return token.name in LISTS or is_element(token)


def absorb(region: HtmlElement, token: Token) -> None:
    """Takes a tag into the open element."""
    numbers = box_numbers(token)
    if numbers is not None:
        if token.name == "img" and region.kind not in (*_VISUAL, "table", None):
            region.images.append(HtmlElement(token, "image", numbers, TagStack(token)))
            region.images[-1].nest.close()
            return
        region.inner.append(numbers)
        if region.absorbs and region.tail is None and region.nest.depth == 1 and _may_be_next(region, token):
            region.tail = len(region.nest.tokens)
    region.has_table |= token.name == "table"
    region.nest.start(token)


def _may_be_next(region: HtmlElement, token: Token) -> bool:
    """Whether a tag with a box, in an element that holds tags with boxes, could be the next element instead."""
    match token.name:
        case "div":
            return "class" in token.attributes
        case "p":
            return region.kind not in ("caption", "image")
        case "table":
            return region.kind != "chart"
        case name:
            return name not in INLINE


def is_kept(region: HtmlElement, own: bool) -> bool:
    """Whether an element says anything. What has neither text nor picture is kept if the model finished it."""
    return region.kind == "image" or _has_text(region) or (region.boxed and (own or region.kind in _VISUAL))


def _has_text(region: HtmlElement) -> bool:
    return any(token.kind == "text" and token.name.strip() for token in region.nest.tokens)


def _class_kind(token: Token) -> str | None:
    """The longest beginning of the tag's classes that names a kind of element, as a key of the table."""
    given = token.attributes.get("class")
    words = _WORD.findall(given.lower()[:200])[:3] if given else []
    names = (" ".join(words[:n]) for n in range(len(words), 0, -1))
    return next((name for name in names if name in _CLASSES), None)


def box_numbers(token: Token) -> list[float] | None:
    """The four numbers of the tag's box, none if they are unreadable, or `None` if it has no box."""
    given = token.attributes.get("data-bbox")
    if given is not None:
        return [float(n) for n in _NUMBER.findall(given[:_MAX_NUMBERS_TEXT])]
    given = token.attributes.get("data-polygon")
    if given is None:
        return None
    numbers = [float(n) for n in _NUMBER.findall(given[:_MAX_NUMBERS_TEXT])]
    if len(numbers) < 4 or len(numbers) % 2:
        return []
    xs, ys = numbers[::2], numbers[1::2]
    return [min(xs), min(ys), max(xs), max(ys)]

"""Split an HTML page into its elements: the answer to `qwenvl html`, or other HTML that the model wrote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qwenvl_core.parsing.html.balance import TagStack
from qwenvl_core.parsing.html.controls import CONTROL_TAGS, convert_controls
from qwenvl_core.parsing.html.elements import (
    LIST_TAGS,
    ROOT_TAGS,
    HtmlElement,
    create_element,
    create_implicit_element,
    is_element_start,
    is_ended_by,
    is_inline,
    read_box_numbers,
    should_keep,
)
from qwenvl_core.parsing.html.mathml import MATH_TAGS, convert_math
from qwenvl_core.parsing.html.styles import STYLE_HINT, convert_styles, replace_styles
from qwenvl_core.parsing.html.tokenizer import BLOCK_TAGS, Token, Tokenizer, get_first_number, parse_whole_number
from qwenvl_core.parsing.text import escape

_MATH = re.compile(rf"<(?:{'|'.join(sorted(MATH_TAGS))})\b", re.IGNORECASE)
_CONTROL = re.compile(rf"<(?:{'|'.join(sorted(CONTROL_TAGS))})\b", re.IGNORECASE)
# Both also match code between backticks, which is left unchanged.
_MATH_ELEMENT = re.compile(r"`[^`\n]{1,500}+`|<math\b[^<]*+(?:<(?!/?math\b)[^<]*+){0,2000}+</math\s*+>", re.IGNORECASE)
_CONTROL_ELEMENT = re.compile(
    r"`[^`\n]{1,500}+`"
    r"|<input\b[^<>]{0,2000}+>"
    r"|<(?P<name>select|textarea|button|output|meter|progress)\b[^<]*+(?:<(?!/?(?P=name)\b)[^<]*+){0,500}+</(?P=name)\s*+>",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^[ \t]*```[\w ]*$", re.MULTILINE)
_TAG_FIRST = re.compile(r"\s*+<[a-z!]", re.IGNORECASE)
_LAST_FENCE = re.compile(r"\n[ \t]*```\s*\Z")


def split_html_page(text: str) -> tuple[list[HtmlElement], bool]:
    """Split a page into its elements.

    Args:
        text: The page, sanitized.

    Returns:
        The elements in their order, and whether the page was cut off.
    """
    tokenizer = Tokenizer(text)
    splitter = _PageSplitter(has_leading_tag=bool(_TAG_FIRST.match(text)))
    tokens: Iterable[Token] = tokenizer
    if _CONTROL.search(text):
        tokens = convert_controls(tokens)
    if _MATH.search(text):
        tokens = convert_math(tokens)
    if STYLE_HINT.search(text):
        tokens = convert_styles(tokens)
    for token in tokens:
        splitter.add(token)
    splitter.finish(is_tag_truncated=tokenizer.is_truncated)
    return splitter.elements, splitter.is_truncated


def simplify_html(text: str) -> str:
    """Convert MathML, controls of forms and styled tags in Markdown to text and inline tags."""
    if "<" not in text:
        return text
    text = replace_styles(text)
    text = _MATH_ELEMENT.sub(lambda match: _simplify_element(match, convert_math), text)
    return _CONTROL_ELEMENT.sub(lambda match: _simplify_element(match, convert_controls), text)


def _simplify_element(match: re.Match[str], convert: Callable[[Iterable[Token]], Iterable[Token]]) -> str:
    """Convert an element to text and inline tags, with a space before and after it where numbers would be joined."""
    source, text = match.group(), match.string
    if source.startswith("`"):
        return source
    simple = "".join(
        escape(token.text) if token.kind == "text" else f"<{'/' * (token.kind == 'end')}{token.name}>"
        for token in convert(Tokenizer(source))
    )
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    start = " " if before.isdigit() and simple[:1].isdigit() else ""
    return start + simple + (" " if after.isdigit() and simple[-1:].isdigit() else "")


@dataclass(slots=True)
class _OpenList:
    """A list that is not closed yet.

    Attributes:
        number: The number of its next item, or `None` for bullets.
        numbers: The coordinates of its box in the model's unit, or `None` without a box.
    """

    number: int | None
    numbers: list[float] | None


class _PageSplitter:
    def __init__(self, *, has_leading_tag: bool) -> None:
        self.elements: list[HtmlElement] = []
        self.is_truncated = False
        self._is_in_page = has_leading_tag  # text before and after the page is the model's comment on it
        self._element: HtmlElement | None = None  # the open element
        self._open_count: Counter[str] = Counter()  # open tags that are not part of an element
        self._lists: list[_OpenList] = []
        self._is_fenced = False
        self._is_page_closed = False
        self._is_replaying = False

    def add(self, token: Token) -> None:
        """Read the next token."""
        match token.kind:
            case "text":
                self._add_text(token.text)
            case "end":
                self._add_end_tag(token.name)
            case "start" | "void":
                self._add_start_tag(token)
            case _:
                self._enter_page()

    def finish(self, *, is_tag_truncated: bool) -> None:
        """Finish the open element at the end of the text, and determine whether the page was cut off."""
        element = self._element
        is_after_page = element and element.is_implicit and not self._is_in_root()
        if is_after_page and any(other.has_box for other in self.elements):
            element = self._element = None  # text after elements with boxes is the model's comment on the page
        self.is_truncated = bool(element and not element.is_implicit) or any(n > 0 for n in self._open_count.values())
        self.is_truncated |= not self._is_page_closed and (is_tag_truncated or self._is_fenced)
        self._finish_element(is_closed=False, is_at_end=True)

    def _is_in_root(self) -> bool:
        return self._open_count["html"] > 0 or self._open_count["body"] > 0

    def _enter_page(self) -> None:
        self._is_in_page, self._is_page_closed = True, False

    def _leave_page(self) -> None:
        self._open_count.clear()
        self._lists.clear()
        self._is_in_page, self._is_page_closed, self._is_fenced = False, True, False

    def _add_text(self, text: str) -> None:
        if self._element and not self._element.is_implicit:
            self._element.add_text(text)
            return
        fence = _FENCE.search(text)
        if self._is_in_page:
            page_text = text[: fence.start()] if fence else text
            if self._element or page_text.strip():
                self._get_or_create_implicit().add_text(page_text)
        if fence and self._is_in_page:
            self._finish_element(is_closed=False)
            self._leave_page()
        elif fence:
            self._is_fenced = True

    def _get_or_create_implicit(self) -> HtmlElement:
        if self._element is None:
            self._element = create_implicit_element()
        return self._element

    def _add_start_tag(self, token: Token) -> None:
        if not is_inline(token):
            self._enter_page()
        if self._element and not is_ended_by(self._element, token):
            self._element.add_tag(token)
            return
        self._finish_element(is_closed=False)
        self._open(token)

    def _open(self, token: Token) -> None:
        """Open an element with this tag, or count the tag as one that encloses elements."""
        name = token.name
        if name in LIST_TAGS:
            number = get_first_number(token) if name == "ol" else None
            self._lists.append(_OpenList(number, read_box_numbers(token)))
            self._open_count[name] += 1
        elif name in ROOT_TAGS:
            self._open_count[name] += 1
        elif is_element_start(token):
            self._open_element(token)
        elif token.kind == "start" and is_inline(token):
            if self._is_in_page:
                self._get_or_create_implicit().stack.add_start_tag(token)
        elif token.kind == "start":
            self._open_count[name] += 1

    def _open_element(self, token: Token) -> None:
        is_item = token.name == "li"
        number = self._take_item_number(token) if is_item else None
        if number is not None:  # the element does not include the list, so the number is stored on the item
            token.attributes = {**token.attributes, "value": str(number)}
        element = create_element(token)
        element.has_boxes_inside &= not self._is_replaying
        element.marker = self._format_marker(number) if is_item else None
        self._element = element
        if token.kind == "void":
            self._finish_element(is_closed=True)

    def _take_item_number(self, token: Token) -> int | None:
        """Return the number of a list item, from its `value` or its list, and advance the list; `None` for bullets."""
        number = parse_whole_number(token, "value")
        if number is None and self._lists:
            number = self._lists[-1].number
        if number is not None and self._lists:
            self._lists[-1].number = number + 1
        return number

    def _format_marker(self, number: int | None) -> str:
        indent = "  " * (min(len(self._lists), 9) - 1)
        return indent + ("- " if number is None else f"{number}. ")

    def _add_end_tag(self, name: str) -> None:
        element = self._element
        if element:
            if element.stack.add_end_tag(name):
                if not element.stack.depth:
                    self._finish_element(is_closed=True)
                return
            is_around_element = element.is_implicit or name in ROOT_TAGS or self._open_count[name] > 0
            if name not in BLOCK_TAGS or not is_around_element:
                return
            self._finish_element(is_closed=False)
        if name in LIST_TAGS and self._lists:
            self._lists.pop()
        if self._open_count[name] > 0:
            self._open_count[name] -= 1
        if name == "html" or (name == "body" and not self._open_count["html"]):
            self._leave_page()

    def _finish_element(self, *, is_closed: bool, is_at_end: bool = False) -> None:
        """Add the open element, if there is one, to the elements of the page.

        Args:
            is_closed: Whether its end tag was read, and not only that of an enclosing tag.
            is_at_end: Whether the text ends here.
        """
        element = self._element
        if element is None:
            return
        self._element = None
        if self._lists and element.numbers is None and not element.inner:  # only the list has a box
            element.numbers = self._lists[-1].numbers
        tail = element.stack.split_off(element.tail_index) if element.tail_index is not None and not is_closed else []
        if is_at_end and not tail:
            _strip_fence(element.stack)
            element.stack.drop_open_row()
        element.stack.close()
        if should_keep(element, is_closed):
            self.elements.append(element)
        self.elements += element.images
        if tail:
            self._replay(tail)
            self._finish_element(is_closed=False, is_at_end=is_at_end)

    def _replay(self, tokens: list[Token]) -> None:
        """Process the tail of an element without an end tag again, this time with each box as a new element."""
        self._is_replaying = True
        for token in tokens:
            self.add(token)
        self._is_replaying = False


def _strip_fence(stack: TagStack) -> None:
    """Remove a closing code fence from the end of an element without an end tag."""
    last = stack.tokens[-1]
    if last.kind == "text":
        last.text = _LAST_FENCE.sub("", last.text)

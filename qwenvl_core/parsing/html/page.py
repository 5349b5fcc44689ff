"""A page of HTML split into its elements: `qwenvl html`, or whatever HTML the model wrote instead."""

from __future__ import annotations

import re
from collections import Counter

from qwenvl_core.parsing.html.balance import TagStack
from qwenvl_core.parsing.html.elements import (
    LISTS,
    ROOTS,
    HtmlElement,
    absorb,
    is_element,
    is_ended_by,
    is_inline,
    is_kept,
    new_region,
)
from qwenvl_core.parsing.html.tokenizer import BLOCKS, Token, Tokens, first_number, whole_number

_FENCE = re.compile(r"^[ \t]*```[\w ]*$", re.MULTILINE)
_TAG_FIRST = re.compile(r"\s*+<[a-z!]", re.IGNORECASE)
_LAST_FENCE = re.compile(r"\n[ \t]*```\s*\Z")


def html_regions(text: str) -> tuple[list[HtmlElement], bool]:
    """The elements of a page in their order, and whether the page was cut off. `text` has to be clean."""
    tokens = Tokens(text)
    page = _Page()
    page.is_inside = bool(_TAG_FIRST.match(text))
    for token in tokens:
        page.add(token)
    page.end_of_text(tokens.cut)
    return page.regions, page.cut


class _Page:
    def __init__(self) -> None:
        self.regions: list[HtmlElement] = []
        self.cut = False
        self.is_inside = False  # outside is what the model says about the page
        self._region: HtmlElement | None = None
        self._around: Counter[str] = Counter()  # open tags that are no part of an element
        self._lists: list[int | None] = []  # of each open list the next number, or None for bullets
        self._is_fenced = False
        self._is_closed = False
        self._is_strict = False

    def add(self, token: Token) -> None:
        match token.kind:
            case "text":
                self._text(token.name)
            case "end":
                self._end(token.name)
            case "start" | "void":
                self._start(token)
            case _:
                self._enter()

    def end_of_text(self, tag_is_cut: bool) -> None:
        """Finishes what is open."""
        if self._region and self._region.implicit and not self._is_in_root() and any(r.boxed for r in self.regions):
            self._region = None  # what the model says after the page, where all else has a box
        self.cut = bool(self._region and not self._region.implicit) or any(count > 0 for count in self._around.values())
        self.cut |= not self._is_closed and (tag_is_cut or self._is_fenced)
        if self._region:
            self._finish(own=False, complete=False)

    def _is_in_root(self) -> bool:
        return self._around["html"] > 0 or self._around["body"] > 0

    def _enter(self) -> None:
        self.is_inside, self._is_closed = True, False

    def _leave(self) -> None:
        self._around.clear()
        self._lists.clear()
        self.is_inside, self._is_closed, self._is_fenced = False, True, False

    def _text(self, text: str) -> None:
        if self._region and not self._region.implicit:
            self._region.add_text(text)
            return
        fence = _FENCE.search(text)
        if self.is_inside:
            mine = text[: fence.start()] if fence else text
            if self._region or mine.strip():
                self._implicit().add_text(mine)
        if fence and self.is_inside:
            if self._region:
                self._finish(own=False)
            self._leave()
        elif fence:
            self._is_fenced = True

    def _implicit(self) -> HtmlElement:
        """The element for text that is in none: the open one, or a new one."""
        if self._region is None:
            root = Token("start", "p")
            self._region = HtmlElement(root, "text", None, TagStack(root), implicit=True)
        return self._region

    def _start(self, token: Token) -> None:
        if not is_inline(token):
            self._enter()
        region = self._region
        if region and not is_ended_by(region, token):
            absorb(region, token)
            return
        if region:
            self._finish(own=False)
        self._open(token)

    def _open(self, token: Token) -> None:
        """Opens an element with this tag, or notes the tag as one around elements."""
        name = token.name
        if name in LISTS:
            self._lists.append(first_number(token) if name == "ol" else None)
            self._around[name] += 1
        elif name in ROOTS:
            self._around[name] += 1
        elif is_element(token):
            self._open_region(token)
        elif token.kind == "start" and is_inline(token):
            if self.is_inside:
                self._implicit().nest.start(token)
        elif token.kind == "start":
            self._around[name] += 1

    def _open_region(self, token: Token) -> None:
        is_item = token.name == "li"
        number = self._item_number(token) if is_item else None
        if number is not None:  # the list around it is no part of the element
            token.attributes = {**token.attributes, "value": str(number)}
        region = new_region(token)
        region.absorbs &= not self._is_strict
        region.marker = self._marker(number) if is_item else None
        self._region = region
        if token.kind == "void":
            self._finish(own=True)

    def _item_number(self, token: Token) -> int | None:
        """The number of a list item, its own or the next of its list; `None` for bullets."""
        number = whole_number(token, "value")
        if number is None and self._lists:
            number = self._lists[-1]
        if number is not None and self._lists:
            self._lists[-1] = number + 1
        return number

    def _marker(self, number: int | None) -> str:
        indent = "  " * (min(len(self._lists), 9) - 1)
        return indent + ("- " if number is None else f"{number}. ")

    def _end(self, name: str) -> None:
        region = self._region
        if region:
            if region.nest.end(name):
                if not region.nest.depth:
                    self._finish(own=True)
                return
            if name not in BLOCKS or not (region.implicit or name in ROOTS or self._around[name] > 0):
                return
            self._finish(own=False)
        if name in LISTS and self._lists:
            self._lists.pop()
        if self._around[name] > 0:
            self._around[name] -= 1
        if name == "html" or (name == "body" and not self._around["html"]):
            self._leave()

    def _finish(self, *, own: bool, complete: bool = True) -> None:
        """Puts the open element with the others.

        Args:
            own: Whether its own tag was ended, and not only one around it.
            complete: Whether more text came behind it.
        """
        region = self._region
        if region is None:
            return
        self._region = None
        tail = region.nest.split(region.tail) if region.tail is not None and not own else []
        if not complete and not tail:
            _drop_fence(region.nest)
            region.nest.drop_open_row()
        region.nest.close()
        if is_kept(region, own):
            self.regions.append(region)
        self.regions += region.images
        if tail:
            self._replay(tail)
            self._finish(own=False, complete=complete)

    def _replay(self, tokens: list[Token]) -> None:
        """Reads again what an element without an end tag took in. Now each box begins an element of its own."""
        self._is_strict = True
        for token in tokens:
            self.add(token)
        self._is_strict = False


def _drop_fence(nest: TagStack) -> None:
    """Takes the end of a code fence off the text of an element that was not ended."""
    last = nest.tokens[-1]
    if last.kind == "text":
        last.name = _LAST_FENCE.sub("", last.name)

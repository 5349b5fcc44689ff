"""Balance the tags inside one page element, for any model output."""

from __future__ import annotations

from collections import Counter

from qwenvl_core.parsing.html.tokenizer import Token

_MAX_DEPTH = 60  # deeper tags are left out and their text is kept, so that a search of the open tags stays short

_CELLS = frozenset({"td", "th"})
_SECTIONS = frozenset({"thead", "tbody", "tfoot"})
_TABLE = frozenset({"table"})
_PARAGRAPH = frozenset({"p"})
_PARAGRAPH_BARRIERS = frozenset({"td", "th", "li", "div", "table"})
# By the name of a start tag: the open tags that it closes, and the tags at which the search for them stops.
_IMPLIED_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    **dict.fromkeys(_CELLS, (_CELLS, _TABLE)),
    "tr": (_CELLS | {"tr"}, _TABLE),
    **dict.fromkeys(_SECTIONS, (_CELLS | _SECTIONS | {"tr", "caption"}, _TABLE)),
    "li": (frozenset({"li"}), frozenset({"ul", "ol"})),
    **dict.fromkeys(("dt", "dd"), (frozenset({"dt", "dd"}), frozenset({"dl"}))),
    **dict.fromkeys(
        ("p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "div"), (_PARAGRAPH, _PARAGRAPH_BARRIERS)
    ),
}


class TagStack:
    """Collect tokens and add the tags that the model left out, so that start and end tags match.

    Attributes:
        tokens: The tokens so far.
    """

    def __init__(self, root: Token) -> None:
        self.tokens: list[Token] = []
        self._open: list[tuple[str, int]] = []  # name of each open tag, and its index in `tokens`
        self._open_count: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._push(root)

    @property
    def depth(self) -> int:
        """The number of open tags; 0 once the root is closed."""
        return len(self._open)

    def is_open(self, *names: str) -> bool:
        """Return whether one of these tags is open."""
        return any(self._open_count[name] for name in names)

    def add_start_tag(self, token: Token) -> None:
        """Add a start tag or a tag without content."""
        name = token.name
        self._close_implied(name)
        self._open_implied(name)
        if token.kind == "void":
            self.tokens.append(token)
        elif len(self._open) < _MAX_DEPTH:
            self._push(token)
        else:
            self._left_out[name] += 1

    def add_end_tag(self, name: str) -> bool:
        """Close the innermost tag of this name and the tags inside it; return whether there was one."""
        if self._left_out[name]:
            self._left_out[name] -= 1
            return True
        if not self._open_count[name]:
            return False
        while self._pop() != name:
            pass
        return True

    def add_text(self, text: str) -> None:
        """Add text."""
        self.tokens.append(Token("text", text=text))

    def close(self) -> None:
        """Close all open tags."""
        while self._open:
            self._pop()

    def split_off(self, index: int) -> list[Token]:
        """Remove the tokens from `index` on and return them."""
        tail = self.tokens[index:]
        del self.tokens[index:]
        while self._open and self._open[-1][1] >= index:
            self._open_count[self._open.pop()[0]] -= 1
        return tail

    def drop_open_row(self) -> None:
        """Remove the row of a table that is not closed."""
        for name, index in self._open:
            if name == "tr":
                self.split_off(index)
                return

    def _push(self, token: Token) -> None:
        self._open.append((token.name, len(self.tokens)))
        self._open_count[token.name] += 1
        self.tokens.append(token)

    def _pop(self) -> str:
        name, _ = self._open.pop()
        self._open_count[name] -= 1
        self.tokens.append(Token("end", name))
        return name

    def _close_implied(self, new: str) -> None:
        """Close the tags, except the root, whose end tag is optional in HTML before the start tag `new`."""
        closed, barriers = _IMPLIED_ENDS.get(new, (frozenset(), frozenset()))
        if not self.is_open(*closed):
            return
        depth = len(self._open)
        for index in range(len(self._open) - 1, 0, -1):
            name = self._open[index][0]
            if name in barriers:
                break
            if name in closed:
                depth = index
        while len(self._open) > depth:
            self._pop()

    def _open_implied(self, new: str) -> None:
        """Open the table or row that the start tag `new` needs around it."""
        if new in _CELLS and not self._is_in_row():
            if not self._open_count["table"]:
                self._push(Token("start", "table"))
            self._push(Token("start", "tr"))
        elif (new == "tr" or new in _SECTIONS) and not self._open_count["table"]:
            self._push(Token("start", "table"))

    def _is_in_row(self) -> bool:
        """Return whether a row is open in the innermost table."""
        for name, _ in reversed(self._open):
            if name in ("tr", "table"):
                return name == "tr"
        return False

"""The tags inside of one page element, kept in balance whatever the model wrote."""

from __future__ import annotations

from collections import Counter

from qwenvl_core.parsing.html.tokenizer import Token

_MAX_DEPTH = 60  # deeper tags are left out, their text is kept; so that every look at the open tags is short

_CELLS = frozenset({"td", "th"})
_SECTIONS = frozenset({"thead", "tbody", "tfoot"})
_TABLE = frozenset({"table"})
_HOLDERS = frozenset({"td", "th", "li", "div", "table"})
_P = (frozenset({"p"}), _HOLDERS)
# By the name of a new tag: the open ones that it ends, and the one beyond which it ends none.
_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    **dict.fromkeys(_CELLS, (_CELLS, _TABLE)),
    "tr": (_CELLS | {"tr"}, _TABLE),
    **dict.fromkeys(_SECTIONS, (_CELLS | _SECTIONS | {"tr", "caption"}, _TABLE)),
    "li": (frozenset({"li"}), frozenset({"ul", "ol"})),
    **dict.fromkeys(("dt", "dd"), (frozenset({"dt", "dd"}), frozenset({"dl"}))),
    **dict.fromkeys(("p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "div"), _P),
}


class TagStack:
    """A list of tokens whose start and end tags match.

    Attributes:
        tokens: What was added, with the tags that the model left out.
    """

    def __init__(self, root: Token) -> None:
        self.tokens: list[Token] = []
        self._open: list[tuple[str, int]] = []  # names, and where in `tokens` they start
        self._count: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._push(root)

    @property
    def depth(self) -> int:
        """Number of open tags; 0 once the root was ended."""
        return len(self._open)

    def is_open(self, *names: str) -> bool:
        """Whether one of these tags is open."""
        return any(self._count[name] for name in names)

    def start(self, token: Token) -> None:
        """Adds a start tag or a tag without content."""
        name = token.name
        self._end_implied(name)
        self._open_implied(name)
        if token.kind == "void":
            self.tokens.append(token)
        elif len(self._open) < _MAX_DEPTH:
            self._push(token)
        else:
            self._left_out[name] += 1

    def end(self, name: str) -> bool:
        """Ends the innermost tag of this name and those inside of it, and says whether there was one."""
        if self._left_out[name]:
            self._left_out[name] -= 1
            return True
        if not self._count[name]:
            return False
        while self._pop() != name:
            pass
        return True

    def text(self, text: str) -> None:
        """Adds text."""
        self.tokens.append(Token("text", text))

    def close(self) -> None:
        """Ends all that is open."""
        while self._open:
            self._pop()

    def split(self, at: int) -> list[Token]:
        """Takes the tokens from position `at` on out and returns them."""
        tail = self.tokens[at:]
        del self.tokens[at:]
        while self._open and self._open[-1][1] >= at:
            self._count[self._open.pop()[0]] -= 1
        return tail

    def drop_open_row(self) -> None:
        """Takes out the last row of a table if it was not ended."""
        for name, start in self._open:
            if name == "tr":
                self.split(start)
                return

    def _push(self, token: Token) -> None:
        self._open.append((token.name, len(self.tokens)))
        self._count[token.name] += 1
        self.tokens.append(token)

    def _pop(self) -> str:
        name, _ = self._open.pop()
        self._count[name] -= 1
        self.tokens.append(Token("end", name))
        return name

    def _end_implied(self, new: str) -> None:
        """Ends what HTML lets one leave open before the tag `new`, but never the root."""
        ends, barrier = _ENDS.get(new, (frozenset(), frozenset()))
        if not self.is_open(*ends):
            return
        keep = len(self._open)
        for place in range(len(self._open) - 1, 0, -1):
            name = self._open[place][0]
            if name in barrier:
                break
            if name in ends:
                keep = place
        while len(self._open) > keep:
            self._pop()

    def _open_implied(self, new: str) -> None:
        """Starts the table or row that the tag `new` needs around it."""
        if new in _CELLS and not self._is_in_row():
            if not self._count["table"]:
                self._push(Token("start", "table"))
            self._push(Token("start", "tr"))
        elif (new == "tr" or new in _SECTIONS) and not self._count["table"]:
            self._push(Token("start", "table"))

    def _is_in_row(self) -> bool:
        """Whether a row is open in the innermost table."""
        for name, _ in reversed(self._open):
            if name in ("tr", "table"):
                return name == "tr"
        return False

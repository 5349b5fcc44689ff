"""HTML split into tags and text, in one pass.

The standard library's `html.parser` needs quadratic time for damaged tags in Python releases of 2025 and before
(CVE-2025-6069), and raises on numeric character references of thousands of digits. What models write is damaged
often, so it is split here: a tag ends before the next `<`, and what is no tag is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from qwenvl_core.parsing.text import unescape


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


INLINE = _names(
    "a abbr acronym b bdi bdo big br cite code del dfn em font i img ins kbd label mark q s samp small span strike "
    "strong sub sup time tt u var wbr"
)
BLOCKS = _names(
    "address article aside blockquote body caption center col colgroup dd details div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 head header hr html li main nav ol p pre section summary table tbody td "
    "tfoot th thead tr ul"
)
VOID = _names("area base br col embed hr img input link meta source track wbr")
# Tags too, but what shows is only the text inside of them.
_OTHERS = _names(
    "annotation applet audio base button canvas circle data datalist desc dir dialog embed frame g hgroup iframe image "
    "input legend line link map math menu meta meter mfrac mi mn mo mover mrow msqrt mstyle msub msubsup msup mtable "
    "mtd mtext mtr munder nobr noscript object option optgroup output param path picture polygon polyline progress "
    "rect rp rt ruby search select semantics slot source svg text textarea track tspan use video"
)
_TAGS = INLINE | BLOCKS | VOID | _OTHERS
# Their content is not on the page: it is for the browser, or repeats what the page says.
_HIDDEN = _names("script style template title")

_MARKUP = re.compile(r"<(?=[a-zA-Z/!?])")
_TAG = re.compile(r"""<(/?)([a-zA-Z][\w:-]*+)((?:[^<>"']++|"[^"<]*+"|'[^'<]*+'|["'])*+)>""")
_PLAIN_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*+)([^<>]*+)>")
_OPENED_TAG = re.compile(r"</?([a-zA-Z][\w:-]*+)?([^<>]*+)")
_DECLARATION = re.compile(r"<[!?][^<>]*+>?")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++)))?""")
_BOX = re.compile(r"\bdata-bbox\s{0,9}=\s{0,9}[\"']?([-+\d.,\s\[\]()]*+)", re.IGNORECASE)
_BOXED_BROKEN_TAG = re.compile(
    r"""<([a-zA-Z][\w:-]*+)([^<>]*?\bdata-bbox\s{0,9}=\s{0,9}["']?[-+\d., ]{0,200}["']?)""", re.IGNORECASE
)
_NO_SIGN = re.compile(
    r"(?<![\w</.-])((?:div|p|h[1-6]|li|table|ol|ul|img)\s[^<>]{0,200}?\bdata-bbox\s{0,9}=[^<>]{0,200}>)", re.IGNORECASE
)
_VISIBLE_AGAIN = re.compile(r"</head\b|<(?:body|div|p|h[1-6]|table|ol|ul)\b", re.IGNORECASE)


_NO_ATTRIBUTES: dict[str, str] = {}  # one for all tokens without any; never changed


@dataclass(slots=True)
class Token:
    """A piece of HTML.

    Attributes:
        kind: What it is. A tag without content, such as `<br>` or `<td/>`, is `"void"`.
        name: The tag's name in lower case, or the text with its references resolved.
        attributes: Those of a start tag, by lower-case name.
    """

    kind: Literal["start", "end", "void", "text", "declaration"]
    name: str
    attributes: dict[str, str] = field(default_factory=lambda: _NO_ATTRIBUTES)


def whole_number(token: Token, name: str) -> int | None:
    """The value of an attribute that is a whole number of a sensible size, else `None`."""
    value = token.attributes.get(name, "").strip()
    return int(value) if value.isdecimal() and len(value) < 9 else None


def first_number(token: Token) -> int:
    """The number that the first item of an ordered list has."""
    number = whole_number(token, "start")
    return 1 if number is None else number


class Tokens:
    """The tokens of `text`, which has to be clean.

    Attributes:
        cut: After the iteration, whether the text ends inside of a tag, a comment or hidden content.
    """

    def __init__(self, text: str) -> None:
        self.cut = text.endswith("<")
        # A tag that lost its first sign is a tag all the same when it has a box.
        self._text = _NO_SIGN.sub(r"<\1", text.removesuffix("<"))
        self._unknown: set[str] = set()  # names of tags that HTML does not have
        self._unending: set[str] = set()  # what was looked for in vain, so that it is not looked for again

    def __iter__(self) -> Iterator[Token]:
        text, at = self._text, 0
        while at < len(text):
            markup = _MARKUP.search(text, at)
            start = markup.start() if markup else len(text)
            if start > at:
                yield Token("text", unescape(text[at:start]))
            at = start
            if markup:
                token, at = self._markup(start)
                if token:
                    yield token

    def _markup(self, at: int) -> tuple[Token | None, int]:
        """The token that begins with the `<` at this offset, if it means anything, and the offset behind it."""
        if self._text.startswith("<!--", at):
            return None, self._comment_end(at)
        if self._text[at + 1] in "!?":
            match = _DECLARATION.match(self._text, at)
            end = match.end() if match else at + 2
            self.cut |= self._text[end - 1] != ">" and end == len(self._text)
            return Token("declaration", ""), end
        match = _TAG.match(self._text, at) or _PLAIN_TAG.match(self._text, at)
        if match is None:
            return self._broken_tag(at)
        slash, name, rest = match.groups()
        name = name.lower()
        if name in _HIDDEN and "data-bbox" not in rest:
            closed = slash or rest.endswith("/")
            return None, match.end() if closed else self._hidden_end(name, match.end())
        if not self._is_tag(name, rest):
            return Token("text", unescape(match.group())), match.end()
        if slash:
            return Token("end", name), match.end()
        return _start(name, rest), match.end()

    def _is_tag(self, name: str, rest: str) -> bool:
        """Whether something in angle brackets is a tag, and not text that should have been escaped."""
        if "=" in rest:
            self._unknown.add(name)
        return name in _TAGS or name in self._unknown

    def _comment_end(self, at: int) -> int:
        end = self._find("-->", at + 4)
        if end >= 0:
            return end + 3
        # It was not closed. Nothing on this side of the next tag is worth showing.
        following = _MARKUP.search(self._text, at + 4)
        self.cut |= following is None
        return following.start() if following else len(self._text)

    def _hidden_end(self, name: str, at: int) -> int:
        end = self._find(f"</{name}", at)
        if end >= 0:
            return end
        following = _VISIBLE_AGAIN.search(self._text, at)
        self.cut |= following is None
        return following.start() if following else len(self._text)

    def _find(self, what: str, at: int) -> int:
        if what in self._unending:
            return -1
        match = re.compile(re.escape(what), re.IGNORECASE).search(self._text, at)
        if match is None:
            self._unending.add(what)
            return -1
        return match.start()

    def _broken_tag(self, at: int) -> tuple[Token | None, int]:
        """What begins like a tag and has no `>` before the next `<`: a tag that was cut, or a sign for less."""
        match = _OPENED_TAG.match(self._text, at)
        end = match.end() if match else at + 1
        if end >= len(self._text):
            self.cut = True
            return None, end
        boxed = _BOXED_BROKEN_TAG.match(self._text, at)
        if boxed:
            return _start(boxed[1].lower(), boxed[2]), boxed.end()
        name, rest = ((match[1] or "").lower(), match[2]) if match else ("", "")
        if name in BLOCKS or (name in INLINE and "=" in rest):
            return None, end
        if self._text[end] == ">":  # such as "</>"
            end += 1
        return Token("text", unescape(self._text[at:end])), end


def _start(name: str, rest: str) -> Token:
    return Token("void" if name in VOID or rest.endswith("/") else "start", name, _attributes(rest))


def _attributes(rest: str) -> dict[str, str]:
    if not rest or rest.isspace():
        return _NO_ATTRIBUTES
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(rest):
        found.setdefault(name.lower(), unescape(double or single or bare))
    box = _BOX.search(rest)
    if box:  # also where the quotes around it or before it do not match
        found["data-bbox"] = box[1]
    return found

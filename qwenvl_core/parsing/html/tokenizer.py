"""Split HTML into tags and text, in one pass.

The standard library's `html.parser` needs quadratic time for malformed tags in Python releases up to 2025
(CVE-2025-6069), and raises on numeric character references of thousands of digits. The HTML of models is often
malformed. In this tokenizer a tag ends before the next `<` at the latest, and markup that is not a tag is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from qwenvl_core.parsing.text import unescape


def split_names(text: str) -> frozenset[str]:
    """Return the names in a text."""
    return frozenset(text.split())


INLINE_TAGS = split_names(
    "a abbr acronym b bdi bdo big br cite code del dfn em font i img ins kbd label mark q s samp small span strike "
    "strong sub sup time tt u var wbr"
)
BLOCK_TAGS = split_names(
    "address article aside blockquote body caption center col colgroup dd details div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 head header hr html li main nav ol p pre section summary table tbody td "
    "tfoot th thead tr ul"
)
VOID_TAGS = split_names("area base br col embed hr img input link meta source track wbr")
# Other HTML tags. They are removed and their text is kept.
_OTHER_TAGS = split_names(
    "annotation annotation-xml applet audio base button canvas circle data datalist desc dialog dir embed frame g "
    "hgroup iframe image input legend line link map math menclose menu merror meta meter mfenced mfrac mi "
    "mlabeledtr mmultiscripts mn mo mover mpadded mphantom mroot mrow ms mspace msqrt mstyle msub msubsup msup "
    "mtable mtd mtext mtr munder munderover nobr none noscript object optgroup option output param path picture "
    "polygon polyline progress rect rp rt ruby search select semantics slot source svg text textarea track tspan "
    "use video"
)
_KNOWN_TAGS = INLINE_TAGS | BLOCK_TAGS | VOID_TAGS | _OTHER_TAGS
# Tags whose content is not part of the page: it is for the browser, or repeats text of the page.
_HIDDEN_TAGS = split_names("script style template title")

_MARKUP = re.compile(r"<(?=[a-zA-Z/!?])")
_TAG = re.compile(r"""<(/?)([a-zA-Z][\w:-]*+)((?:[^<>"']++|"[^"<]*+"|'[^'<]*+'|["'])*+)>""")
_PLAIN_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*+)([^<>]*+)>")
_UNCLOSED_TAG = re.compile(r"</?([a-zA-Z][\w:-]*+)?([^<>]*+)")
_DECLARATION = re.compile(r"<[!?][^<>]*+>?")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++)))?""")
_BOX = re.compile(r"\bdata-bbox\s{0,9}=\s{0,9}[\"']?([-+\d.,\s\[\]()]*+)", re.IGNORECASE)
_UNCLOSED_BOXED_TAG = re.compile(
    r"""<([a-zA-Z][\w:-]*+)([^<>]*?\bdata-bbox\s{0,9}=\s{0,9}["']?[-+\d., ]{0,200}["']?)""", re.IGNORECASE
)
_BOXED_TAG_WITHOUT_SIGN = re.compile(
    r"(?<![\w</.-])((?:div|p|h[1-6]|li|table|ol|ul|img)\s[^<>]{0,200}?\bdata-bbox\s{0,9}=[^<>]{0,200}>)", re.IGNORECASE
)
_END_OF_HIDDEN = re.compile(r"</head\b|<(?:body|div|p|h[1-6]|table|ol|ul)\b", re.IGNORECASE)

_NO_ATTRIBUTES: dict[str, str] = {}  # shared by all tokens without attributes; never changed


@dataclass(slots=True)
class Token:
    """A tag or text in HTML.

    Attributes:
        kind: The kind of token. A tag without content, such as `<br>` or `<td/>`, is `"void"`.
        name: The tag's name in lower case; empty for other tokens.
        attributes: The attributes of a start tag, by lower-case name.
        text: The text of a text token, with character references resolved.
    """

    kind: Literal["start", "end", "void", "text", "declaration"]
    name: str = ""
    attributes: dict[str, str] = field(default_factory=lambda: _NO_ATTRIBUTES)
    text: str = ""

    def has_text(self) -> bool:
        """Return whether this is text that is not only whitespace."""
        return bool(self.text) and not self.text.isspace()


def parse_whole_number(token: Token, name: str) -> int | None:
    """Parse an attribute as a whole number of at most 8 digits; `None` if it is anything else."""
    value = token.attributes.get(name, "").strip()
    return int(value) if value.isdecimal() and len(value) < 9 else None


def get_first_number(token: Token) -> int:
    """Return the number of the first item of an ordered list: its `start`, or 1."""
    number = parse_whole_number(token, "start")
    return 1 if number is None else number


class Tokenizer:
    """Iterate over the tokens of a sanitized text.

    Attributes:
        is_truncated: Set by the iteration: whether the text ends inside a tag, a comment or hidden content.
    """

    def __init__(self, text: str) -> None:
        self.is_truncated = text.endswith("<")
        # Models sometimes omit the `<` of a tag with a box.
        self._text = _BOXED_TAG_WITHOUT_SIGN.sub(r"<\1", text.removesuffix("<"))
        self._unknown_tags: set[str] = set()  # names outside HTML that occurred with attributes, so are tags
        self._absent: set[str] = set()  # end markers without a further occurrence; searching again would be quadratic

    def __iter__(self) -> Iterator[Token]:
        text, offset = self._text, 0
        while offset < len(text):
            markup = _MARKUP.search(text, offset)
            start = markup.start() if markup else len(text)
            if start > offset:
                yield Token("text", text=unescape(text[offset:start]))
            offset = start
            if markup:
                token, offset = self._read_markup(start)
                if token:
                    yield token

    def _read_markup(self, start: int) -> tuple[Token | None, int]:
        """Read the markup that begins with the `<` at `start`.

        Returns:
            The token, or `None` if it is not part of the page; and the offset after the markup.
        """
        if self._text.startswith("<!--", start):
            return None, self._find_comment_end(start)
        if self._text[start + 1] in "!?":
            match = _DECLARATION.match(self._text, start)
            end = match.end() if match else start + 2
            self.is_truncated |= self._text[end - 1] != ">" and end == len(self._text)
            return Token("declaration"), end
        match = _TAG.match(self._text, start) or _PLAIN_TAG.match(self._text, start)
        if match is None:
            return self._read_unclosed_tag(start)
        slash, name, rest = match.groups()
        name = name.lower()
        if name in _HIDDEN_TAGS and "data-bbox" not in rest:
            is_empty = slash or rest.endswith("/")
            return None, match.end() if is_empty else self._find_hidden_end(name, match.end())
        if not self._is_tag(name, rest):
            return Token("text", text=unescape(match.group())), match.end()
        if slash:
            return Token("end", name), match.end()
        return create_start_tag(name, rest), match.end()

    def _is_tag(self, name: str, rest: str) -> bool:
        """Return whether markup is a tag, and not text in angle brackets that the model failed to escape."""
        if "=" in rest:
            self._unknown_tags.add(name)
        return name in _KNOWN_TAGS or name in self._unknown_tags

    def _find_comment_end(self, start: int) -> int:
        end = self._find("-->", start + 4)
        if end >= 0:
            return end + 3
        # The comment is not closed. The text up to the next tag is skipped.
        following = _MARKUP.search(self._text, start + 4)
        self.is_truncated |= following is None
        return following.start() if following else len(self._text)

    def _find_hidden_end(self, name: str, start: int) -> int:
        end = self._find(f"</{name}", start)
        if end >= 0:
            return end
        following = _END_OF_HIDDEN.search(self._text, start)
        self.is_truncated |= following is None
        return following.start() if following else len(self._text)

    def _find(self, marker: str, start: int) -> int:
        """Return the offset of an end marker from `start` on, ignoring case; -1 if it does not occur."""
        if marker in self._absent:
            return -1
        match = re.compile(re.escape(marker), re.IGNORECASE).search(self._text, start)
        if match is None:
            self._absent.add(marker)
            return -1
        return match.start()

    def _read_unclosed_tag(self, start: int) -> tuple[Token | None, int]:
        """Read markup without a `>` before the next `<`: a malformed tag, a truncated tag, or a less-than sign."""
        match = _UNCLOSED_TAG.match(self._text, start)
        end = match.end() if match else start + 1
        if end >= len(self._text):
            self.is_truncated = True
            return None, end
        boxed = _UNCLOSED_BOXED_TAG.match(self._text, start)
        if boxed:
            return create_start_tag(boxed[1].lower(), boxed[2]), boxed.end()
        name, rest = ((match[1] or "").lower(), match[2]) if match else ("", "")
        if name in BLOCK_TAGS or (name in INLINE_TAGS and "=" in rest):
            return None, end
        if self._text[end] == ">":  # such as "</>"
            end += 1
        return Token("text", text=unescape(self._text[start:end])), end


def create_start_tag(name: str, rest: str) -> Token:
    """Create the token of a start tag from its name and its attributes."""
    kind: Literal["start", "void"] = "void" if name in VOID_TAGS or rest.endswith("/") else "start"
    return Token(kind, name, _parse_attributes(rest))


def _parse_attributes(rest: str) -> dict[str, str]:
    if not rest or rest.isspace():
        return _NO_ATTRIBUTES
    attributes: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(rest):
        attributes.setdefault(name.lower(), unescape(double or single or bare))
    box = _BOX.search(rest)
    if box:  # also if quotes are unbalanced
        attributes["data-bbox"] = box[1]
    return attributes

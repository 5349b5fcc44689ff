"""Read the inline markup of Markdown: emphasis, code, links, escapes, character references, and HTML tags.

The rules differ from CommonMark where page text would be damaged: `2*3*4`, `**12**5`, `snake_case` and `__init__` are
no emphasis, and formulas between `$` are unchanged. That, and the linear time, is why no Markdown library is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

from qwenvl_core.parsing.elements import Inline, format_html, format_placeholder
from qwenvl_core.parsing.html.balance import TagStack
from qwenvl_core.parsing.html.render import RENDERED_TAGS, render_html, split_paragraphs
from qwenvl_core.parsing.html.tokenizer import BLOCK_TAGS, INLINE_TAGS, VOID_TAGS, Token, create_start_tag
from qwenvl_core.parsing.markdown.spans import MATH, read_spans
from qwenvl_core.parsing.text import (
    collapse_whitespace,
    escape_links,
    escape_markdown,
    escape_tags,
    separate_markup,
    unescape,
)

# A sign that has a meaning by itself, or together with one after it. Formulas matter only where there is such a sign.
_SPECIAL = re.compile(
    r"\\|`|\*[^*]*+\*|_[^_]*+_|~[^~]*+~|<[a-zA-Z/!?]|&(?:#|[a-zA-Z][a-zA-Z0-9]{1,31};)|\][(:]", re.DOTALL
)
# Each alternative begins with one sign, so that `re` skips other text quickly.
_LEXEME = re.compile(
    r"\\(?P<escape>[!-/:-@\[-`{-~\n])"
    r"|`(?P<code>`*+)"
    rf"|{MATH}"
    r"|!(?P<picture>\[)"
    r"|\[(?P<bracket>)"
    r"|\](?P<target>\(\s{0,9}<?(?P<url>[^()\s<>]{0,2000}+(?:\([^()\s<>]{0,200}\)[^()\s<>]{0,200}+){0,3})>?"
    r"(?:\s{1,9}(?:\"[^\"\n]{0,200}\"|'[^'\n]{0,200}'))?\s{0,9}\))"
    r"|\](?P<close>)"
    r"|<(?P<address>(?:https?://|mailto:)[^<>\s]{1,2000}+>)"
    r"|<(?P<tag>/?(?P<name>[A-Za-z][A-Za-z0-9]{0,10})(?P<rest>(?:[\s/][^<>]{0,2000}+)?)>)"
    r"|&(?P<reference>(?:\#[0-9a-fA-FxX]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});)"
    r"|\*(?P<stars>\**+)"
    r"|_(?P<underscores>_*+)"
    r"|~(?P<tildes>~*+)"
)
_UNSAFE_URL = re.compile(r"(?!https?:|mailto:)[^/?#]*:", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[a-z0-9_]+|[A-Z0-9_]+")
_STYLES = {
    marks: (Token("start", name), Token("end", name))
    for marks, name in {"*": "em", "**": "strong", "_": "em", "__": "strong", "~~": "del"}.items()
}
_UNMARKED_TAGS = frozenset({"", "em", "strong", "br"})  # text, and tags that change nothing of plain text
_NUMBER_AT_CODE = re.compile(r"\d ?`|` ?\d")  # numbers inside and outside code must not be joined
_SENTENCE_ENDS = frozenset(".:!?)]。：！？）")
# A tag alone on a line begins raw HTML, in which code is no code.
_TAG_LINE = re.compile(r"^([ \t]*</?[a-z][a-z0-9]*(?:\s[^<>\n]*)?/?>)[ \t]*\n", re.MULTILINE | re.IGNORECASE)


@dataclass(slots=True)
class _Piece:
    """A piece of the source.

    Attributes:
        markdown: How it is written in Markdown.
        tokens: What it is.
        marks: For emphasis that is not matched yet, its signs.
    """

    markdown: str
    tokens: list[Token]
    marks: str = ""


def has_markup(source: str) -> bool:
    """Return whether a line may contain anything but plain text."""
    return _SPECIAL.search(source) is not None


def read_inline(source: str, root: Token) -> Inline:
    """Read a line or paragraph in linear time.

    Args:
        source: The Markdown source, without superfluous whitespace.
        root: The tag to write around the HTML.

    Returns:
        Plain text, Markdown in which only known tags are live, and HTML.
    """
    if not has_markup(source):
        return Inline(source, source, format_html(root.name, source, **root.attributes))
    simple = read_spans(source, root)
    if simple:
        return simple
    reader = _InlineReader(source)
    reader.read()
    tokens = list(reader.iterate_tokens())
    if any("\n" in token.text for token in tokens):  # of the source, or a character reference
        tokens = list(_break_lines(tokens))
    root = Token("start", root.name, root.attributes)
    tokens = _balance(root, tokens) if reader.can_overlap else [root, *tokens, Token("end", root.name)]
    is_code_apart = not reader.can_overlap and _NUMBER_AT_CODE.search(source) is None
    unmarked = _UNMARKED_TAGS | {"code"} if is_code_apart else _UNMARKED_TAGS
    return Inline(_join_text(tokens, unmarked), reader.join_markdown(), render_html(tokens))


def _join_text(tokens: Sequence[Token], unmarked: Collection[str]) -> str:
    """Return the plain text of tokens; `unmarked` are the tags inside the outermost one that change nothing of it."""
    if all(token.name in unmarked for token in tokens[1:-1]):
        return collapse_whitespace("".join("\n" if token.name == "br" else token.text for token in tokens))
    return "\n".join(paragraph.text for paragraph in split_paragraphs(tokens))


def _balance(root: Token, tokens: Iterable[Token]) -> list[Token]:
    """Put a tag around tokens, and add the tags that are missing in between."""
    stack = TagStack(root)
    for token in tokens:
        if token.kind == "text":
            stack.add_text(token.text)
        elif token.kind != "end":
            stack.add_start_tag(token)
        elif token.name != root.name:
            stack.add_end_tag(token.name)
    stack.close()
    return stack.tokens


def _break_lines(tokens: Iterable[Token]) -> Iterator[Token]:
    """Yield tokens with a tag for each line break of the source."""
    for token in tokens:
        if "\n" not in token.text:
            yield token
            continue
        first, *lines = token.text.split("\n")
        yield Token(token.kind, token.name, token.attributes, first)
        for line in lines:
            yield Token("void", "br")
            yield Token("text", text=line)


class _InlineReader:
    """Split a source into pieces.

    Attributes:
        can_overlap: Whether there are tags or links, which can overlap with emphasis, or miss an end.
    """

    def __init__(self, source: str) -> None:
        self.can_overlap = False
        self._source = source
        self._pieces: list[_Piece] = []
        self._openers: list[int] = []  # indices of the pieces with marks that may open emphasis
        self._open_count = dict.fromkeys(_STYLES, 0)  # of these, by their marks
        self._brackets: list[int] = []  # indices of the pieces with open square brackets
        self._code_runs: dict[int, list[int]] | None = None  # offsets of runs of backticks, by their length
        self._known_tags: dict[str, bool] = {}

    def read(self) -> None:
        """Read the source to its end; a handler may return the offset to continue at."""
        source, offset = self._source, 0
        while match := _LEXEME.search(source, offset):
            if match.start() > offset:
                self._add_text(source[offset : match.start()])
            offset = self._HANDLERS[match.lastgroup or ""](self, match) or match.end()
        self._add_text(source[offset:])

    def iterate_tokens(self) -> Iterator[Token]:
        """Yield the tags and the text."""
        return chain.from_iterable(piece.tokens for piece in self._pieces)

    def join_markdown(self) -> str:
        """Return the source with only known tags, and without links that run scripts."""
        markdown = escape_links("".join(piece.markdown for piece in self._pieces))
        return _TAG_LINE.sub(r"\1 ", markdown) if self.can_overlap else markdown

    def _add(self, markdown: str, *tokens: Token) -> None:
        self._pieces.append(_Piece(markdown, list(tokens)))

    def _add_text(self, text: str) -> None:
        if text:
            self._pieces.append(_Piece(escape_tags(text), [Token("text", text=text)]))

    def _read_escape(self, match: re.Match[str]) -> int | None:
        sign = match.group()[1]
        if sign in "([" and (end := self._find_math_end(match.start(), sign)):
            self._add_formula(self._source[match.start() : end])
            return end
        # A tag stays inert also where backslashes have no meaning.
        self._add("&lt;" if sign == "<" else match.group(), Token("text", text=sign))
        return None

    def _find_math_end(self, start: int, sign: str) -> int | None:
        line_end = self._source.find("\n", start, start + 400)
        end = self._source.find("\\)" if sign == "(" else "\\]", start, line_end if line_end >= 0 else start + 400)
        return end + 2 if end >= 0 else None

    def _add_formula(self, source: str) -> None:
        self._add(separate_markup(source), Token("text", text=source))

    def _read_math(self, match: re.Match[str]) -> None:
        self._add_formula(match.group())

    def _read_code(self, match: re.Match[str]) -> int | None:
        end = self._find_code_end(match)
        if end is None:
            self._add_text(match.group())
            return None
        code = self._source[match.end() : end].replace("\n", " ")
        if code.startswith(" ") and code.endswith(" ") and code.strip():
            code = code[1:-1]
        length = len(match.group())
        self._add(
            self._source[match.start() : end + length].replace("\n", " "),  # a tag may begin a line, also inside code
            Token("start", "code"),
            Token("text", text=code),
            Token("end", "code"),
        )
        return end + length

    def _find_code_end(self, match: re.Match[str]) -> int | None:
        """Return the offset of the next run of as many backticks."""
        if self._code_runs is None:
            self._code_runs = {}
            for run in reversed(list(re.finditer(r"`+", self._source))):
                self._code_runs.setdefault(len(run.group()), []).append(run.start())
        runs = self._code_runs.get(len(match.group()), [])
        while runs and runs[-1] < match.end():
            runs.pop()
        return runs[-1] if runs else None

    def _read_bracket(self, match: re.Match[str]) -> None:
        self._brackets.append(len(self._pieces))
        self._add_text(match.group())

    def _read_closing_bracket(self, match: re.Match[str]) -> None:
        if self._brackets:
            self._brackets.pop()
        self._add_text(match.group())

    def _read_target(self, match: re.Match[str]) -> int | None:
        if not self._brackets:
            self._add_text("]")
            return match.start() + 1
        self.can_overlap = True
        index = self._brackets.pop()
        opening, url = self._pieces[index], unescape(match["url"])
        url = re.sub(r"\\(?=[!-/:-@\[-`{-~])", "", url)
        is_safe = not _UNSAFE_URL.match("".join(url.split()))
        if opening.markdown.startswith("!"):
            # The text of a picture is not joined to the text around it.
            before = self._pieces[index - 1].markdown[-1:] if index else ""
            after = self._source[match.end() : match.end() + 1]
            opening.tokens = [Token("text", text=" ")] if before.isalnum() or before == ")" else []
            self._add(match.group() if is_safe else "]()", *([Token("text", text=" ")] if after.isalnum() else []))
            return None
        opening.tokens = [Token("start", "a", {"href": url})]
        if not is_safe:
            opening.markdown = ""
        self._add(match.group() if is_safe else "", Token("end", "a"))
        return None

    def _read_address(self, match: re.Match[str]) -> None:
        url = match.group()[1:-1]
        self._add(
            match.group(),
            Token("start", "a", {"href": url}),
            Token("text", text=url.removeprefix("mailto:")),
            Token("end", "a"),
        )

    def _read_tag(self, match: re.Match[str]) -> None:
        name = match["name"].lower()
        if not self._is_tag(name):
            self._add_text(match.group())
            return
        self.can_overlap = True
        is_end = match.group().startswith("</")
        token = Token("end", name) if is_end else create_start_tag(name, match["rest"])
        alternative = token.attributes.get("alt", "").strip() if name == "img" else ""
        if name == "img":
            self._add(format_placeholder(alternative or "image"), Token("text", text=f" {alternative} "))
        elif name in BLOCK_TAGS or name not in RENDERED_TAGS:
            self._add("\n" if name in BLOCK_TAGS and is_end else "", token)
        else:
            is_plain = is_end or not match["rest"].strip(" /")
            self._add(match.group() if is_plain else render_html([token, Token("end")]), token)

    def _is_tag(self, name: str) -> bool:
        """Return whether a name in angle brackets is a tag: one without content, or one that is closed somewhere."""
        if name in VOID_TAGS:
            return name in INLINE_TAGS or name in BLOCK_TAGS
        if name not in self._known_tags:
            is_name = name in INLINE_TAGS or name in BLOCK_TAGS
            source = self._source.lower() if is_name else ""
            self._known_tags[name] = f"</{name}" in source and f"<{name}" in source
        return self._known_tags[name]

    def _read_reference(self, match: re.Match[str]) -> None:
        text = unescape(match.group())
        self._add(match.group() if text != match.group() else escape_markdown(text), Token("text", text=text))

    def _read_marks(self, match: re.Match[str]) -> None:
        marks = match.group()
        start, end = match.span()
        before, after = self._source[max(0, start - 1) : start], self._source[end : end + 1]
        can_open, can_close = _check_sides(marks, before, after)
        length = len(marks)
        parts = [marks] if length < 3 else [marks[:2], marks[2:]]
        if length > 3 or marks == "~" or (length == 3 and marks[0] != "*"):
            self._add_text(marks)
            return
        for part in parts if can_open and not can_close else reversed(parts):
            if not (can_close and self._close_emphasis(part)):
                self._open_emphasis(part, can_open=can_open)

    def _open_emphasis(self, marks: str, *, can_open: bool) -> None:
        if can_open:
            self._openers.append(len(self._pieces))
            self._open_count[marks] += 1
        self._pieces.append(_Piece(marks, [Token("text", text=marks)], marks))

    def _close_emphasis(self, marks: str) -> bool:
        """Match marks with the last open ones of the same kind; return whether there are any."""
        if not self._open_count[marks]:
            return False
        while True:
            index = self._openers.pop()
            opening = self._pieces[index]
            self._open_count[opening.marks] -= 1
            if opening.marks == marks:
                break
        is_single_piece = len(self._pieces) == index + 2
        content = self._pieces[-1].markdown
        if marks == "__" and is_single_piece and _IDENTIFIER.fullmatch(content):
            return False  # such as `__init__`
        if marks[0] == "_" and is_single_piece and (content[:1] in ".,:;/-" or not any(map(str.isalnum, content))):
            return False  # blanks of a form, such as `__/__/____`
        start, end = _STYLES[marks]
        opening.tokens = [start]
        self._pieces.append(_Piece(marks, [end]))
        return True

    # Of the class: a reader is created for each paragraph and cell.
    _HANDLERS: ClassVar[dict[str, Callable[[_InlineReader, re.Match[str]], int | None]]] = {
        "escape": _read_escape,
        "code": _read_code,
        "math": _read_math,
        "picture": _read_bracket,
        "bracket": _read_bracket,
        "target": _read_target,
        "close": _read_closing_bracket,
        "address": _read_address,
        "tag": _read_tag,
        "reference": _read_reference,
        **dict.fromkeys(("stars", "underscores", "tildes"), _read_marks),
    }


def _check_sides(marks: str, before: str, after: str) -> tuple[bool, bool]:
    """Return whether marks may open and may close emphasis, by the characters beside them."""
    can_open = bool(after.strip()) and not (_is_word(before, marks) and marks != "~~")
    can_close = bool(before.strip())
    if marks != "~~" and _is_word(after, marks):
        # Models often write no space after `**Name:**`.
        can_close &= marks == "**" and (before in _SENTENCE_ENDS or (before.isalpha() and after.isalpha()))
    return can_open, can_close


def _is_word(sign: str, marks: str) -> bool:
    """Return whether a character is part of a word; in scripts without spaces, `*` also stands between words."""
    return sign.isalnum() and (sign.isascii() or marks[0] == "_")

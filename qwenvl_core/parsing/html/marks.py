"""Write superscripts, subscripts and struck text of HTML in plain text, so that numbers stay apart.

`10<sup>6</sup>` becomes `10^6`, `3<sup>1</sup>/<sub>2</sub>` becomes `3 1/2`, and `<del>12</del>9` becomes `~~12~~9`.
Without marks, these would be the numbers 106, 31/2 and 129.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwenvl_core.parsing.html.tokenizer import BLOCK_TAGS, Token

STRUCK_TAGS = frozenset({"del", "s", "strike"})
_RAISED_TAGS = frozenset({"sup", "sub"})
_MARKED_TAGS = STRUCK_TAGS | _RAISED_TAGS
# Tags that a number does not cross: the text in them is a note, a reference or code, or is shown raised.
_BOUNDARY_TAGS = frozenset({"a", "code", "small", "q"})
_FOUND_TAGS = _MARKED_TAGS | _BOUNDARY_TAGS

_SLASHES = ("/", "\N{FRACTION SLASH}", "\N{DIVISION SLASH}")
_SIMPLE = re.compile(r"[-+−–]?[^\W_]+(?:[.,'′][^\W_]+)*[-+−*′']?")
_ORDINAL = re.compile(r"st|nd|rd|th|er|ère|re|e|ème|eme|o|a|os|as|º|ª|de|te", re.IGNORECASE)
_SIGN_WORD = re.compile(r"tm|sm|mc|md", re.IGNORECASE)


def mark_inline(tokens: Sequence[Token], *, is_formula: bool = False) -> Sequence[Token]:
    """Replace raised, lowered and struck text in tokens by text with marks.

    Args:
        tokens: Balanced tokens.
        is_formula: Whether the text is the source of a formula, in which every superscript and subscript is marked.

    Returns:
        The tokens; the same object if nothing is marked.
    """
    if _FOUND_TAGS.isdisjoint([token.name for token in tokens]):
        return tokens
    writer = _MarkWriter(is_formula=is_formula)
    for index, token in enumerate(tokens):
        writer.add(token, following=tokens[index + 1 : index + 3])
    return writer.tokens


class _MarkWriter:
    """Copy tokens, and write marks when a marked tag closes.

    Attributes:
        tokens: The tokens so far, without those of marked tags.
    """

    def __init__(self, *, is_formula: bool) -> None:
        self.tokens: list[Token] = []
        self._is_formula = is_formula
        self._open: list[tuple[str, int]] = []  # each open marked tag, and its index in `tokens`
        self._last = ""  # the last character of the text
        self._is_after_mark = False  # whether a mark ends at the last character
        self._is_line_start = True  # whether only whitespace precedes on the line

    def add(self, token: Token, following: Sequence[Token]) -> None:
        """Read a token, with the tokens that follow it."""
        if token.kind == "text":
            self._add_text(token.text)
        elif token.name not in _MARKED_TAGS:
            self.tokens.append(token)
            self._is_after_mark |= token.name in _BOUNDARY_TAGS
            if _is_line_end(token):
                self._is_line_start, self._last = True, ""
        elif token.kind == "start":
            self._open.append((token.name, len(self.tokens)))
        elif token.kind == "end" and self._open:
            self._close(following)

    def _add_text(self, text: str) -> None:
        if not text:
            return
        if self._is_after_mark and self._last.isdigit() and text[0].isdigit():
            text = " " + text
        self.tokens.append(Token("text", text=text))
        self._last, self._is_after_mark = text[-1], False
        if not self._is_raised():
            self._is_line_start &= text.isspace()

    def _is_raised(self) -> bool:
        return bool(self._open) and self._open[-1][0] in _RAISED_TAGS

    def _close(self, following: Sequence[Token]) -> None:
        name, start = self._open.pop()
        inside = self.tokens[start:]
        if name in STRUCK_TAGS:
            self.tokens[start:] = [_strike(token) for token in inside]
        elif any(_is_line_end(token) for token in inside):
            self.tokens[start:] = [Token("text", text=" "), *inside, Token("text", text=" ")]
        else:
            text = "".join(token.text for token in inside)
            previous = _get_last_character(self.tokens[max(0, start - 4) : start])
            raised = self._format_raised(name, text, previous, following)
            self.tokens[start:] = [Token("text", text=raised)]
        self._last, self._is_after_mark = _get_last_character(self.tokens[-4:]), True
        self._is_line_start &= not self._last.strip()

    def _format_raised(self, name: str, text: str, previous: str, following: Sequence[Token]) -> str:
        inner = text.strip()
        if not inner:
            return text
        if self._is_formula:
            return f"{'^' if name == 'sup' else '_'}{inner if len(inner) == 1 else '{' + inner + '}'}"
        if name == "sub":
            return _format_subscript(inner, previous)
        next_text = next((token.text for token in following if token.text), "")
        if next_text.lstrip().startswith(_SLASHES):  # a fraction
            return f" {inner}" if previous.isalnum() else inner
        if self._is_line_start:  # the number of a footnote, before its text
            return f"{inner} " if next_text[:1].isalnum() else inner
        return _format_superscript(inner, previous)


def _is_line_end(token: Token) -> bool:
    return token.name in BLOCK_TAGS or token.name == "br"


def _get_last_character(tokens: Sequence[Token]) -> str:
    """Return the last character of the text in tokens, none after a line break."""
    for token in reversed(tokens):
        if _is_line_end(token):
            return ""
        if token.text:
            return token.text[-1]
    return ""


def _format_superscript(inner: str, previous: str) -> str:
    if not (inner[0].isalnum() or inner[-1].isalnum()) or _SIGN_WORD.fullmatch(inner):  # also `[3]`
        return inner
    if _ORDINAL.fullmatch(inner) and previous.isdigit():
        return inner
    return f"^{inner}" if _SIMPLE.fullmatch(inner) else f"^({inner})"


def _format_subscript(inner: str, previous: str) -> str:
    if not previous or previous.isspace() or previous in _SLASHES:
        return inner
    if inner[0].isdigit() and not previous.isdigit():  # a formula of chemistry, or a numbered variable
        return inner if _SIMPLE.fullmatch(inner) else f"_({inner})"
    return f"_{inner}" if _SIMPLE.fullmatch(inner) else f"_({inner})"


def _strike(token: Token) -> Token:
    """Put marks around the text of a token, inside the whitespace at its ends."""
    text = token.text.strip()
    if not text:
        return token
    start = token.text.index(text)
    return Token("text", text=f"{token.text[:start]}~~{text}~~{token.text[start + len(text) :]}")

"""Answers whose signs were changed on the way, spelled as they were meant.

An answer that was put into a string of JSON has a backslash before each quote; one that was put into HTML has
references instead; and a model that writes Chinese may give JSON full-width signs and curly quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from qwenvl_core.parsing.text import sanitize, unescape

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_WIDE = str.maketrans("：，［］｛｝（）＜＞＝＂“”‘’", ':,[]{}()<>="""\'\'')
_WIDE_SIGN = re.compile("[" + "".join(map(chr, _WIDE)) + "]")


def first_readable_variant(text: str, is_readable: Callable[[str], bool]) -> str:
    """The first spelling of `text` that can be read; as it is, if none can. `text` has to be clean."""
    return next(filter(is_readable, _spellings(text)), text)


def _spellings(text: str) -> Iterator[str]:
    yield text
    if '\\"' in text:
        yield sanitize(unescape_json(text))
    if "&" in text:
        yield unescape(text)
    if _WIDE_SIGN.search(text):
        yield text.translate(_WIDE)


def unescape_json(text: str) -> str:
    """What the inside of a string of JSON stands for; an unknown escape stands for its character."""
    if "\\" not in text:
        return text
    # Characters beyond U+FFFF are written as two escapes, which are joined here; half a pair becomes U+FFFD.
    return _ESCAPE.sub(_unescaped, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1)
    return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)

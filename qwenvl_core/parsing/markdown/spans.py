"""Read lines of Markdown whose only markup are whole spans, such as `**Total:** 5` and `[a](https://b.c)`.

Most lines with markup are such lines. Regular expressions read them in a third to a fifth of the time that
`inline.py` takes for the same result (a list of `- **Name:** text`, pages of links, pages of emphasis); every other
line is left to it.
"""

from __future__ import annotations

import re

from qwenvl_core.parsing.elements import Inline, enclose
from qwenvl_core.parsing.html.tokenizer import Token
from qwenvl_core.parsing.text import collapse_whitespace, escape, escape_links

MATH = r"\$(?P<math>(?![\s$])(?:[^$\n\\]|\\.){1,400}+(?<!\s)\$(?!\d))"
"""Pattern of a formula between `$`, which is not one of two amounts of money."""

# Each alternative begins with one sign, so that `re` skips other text quickly. The signs around `*` and `_` are those
# that `inline.py` asks for, so that no span can begin or end at another place; in a span there is no further sign.
_CONTENT = r"(?![\s*])[^*_`~\\\[\]]++(?<!\s)"
_SPAN = re.compile(
    rf"\*\*(?<![a-zA-Z0-9*]..)(?P<strong>{_CONTENT})\*\*(?!\*)(?:(?![a-zA-Z0-9])|(?<=[.:!?)。：！？）]..))"
    rf"|\*(?<![a-zA-Z0-9*].)(?P<em>{_CONTENT})\*(?![a-zA-Z0-9*])"
    r"|_(?<!\w.)(?P<low>[^\W_][^*_`~\\\[\]]*+(?<!\s))_(?!\w)"
    r"|`(?<!`.)(?P<code>(?! )[^`\n]++)`(?!`)"
    r"|\[(?<!!.)(?=[^*_`~\\\[\]]++\]\((?P<url>https?://[^()\s<>\"'*`\\&\[\]]{0,2000})\))(?P<link>[^\]]++)\]\([^)]++\)",
    re.DOTALL,
)
_FORMATS = {
    "strong": "<strong>%s</strong>",
    "em": "<em>%s</em>",
    "low": "<em>%s</em>",
    "code": "<code>%s</code>",
}
_TAG_OR_REFERENCE = re.compile(r"<[a-zA-Z/!?]|&[#a-zA-Z]")
_FORMULA = re.compile(MATH)
_OTHER_SIGN = re.compile(r"[*_`~\\]|\]\(")
_BREAK = re.compile(r"<br ?/?>")
# Numbers inside and outside code or links must not be joined.
_NUMBER_AT_CODE = re.compile(r"\d ?`|` ?\d")
_NUMBER_AT_LINK = re.compile(r"[\d*_`)]\[|\)[\d*_`\[]")


def read_spans(source: str, root: Token) -> Inline | None:
    """Read a line or paragraph in linear time; return `None` if it has any other markup.

    Args:
        source: The Markdown source, without superfluous whitespace.
        root: The tag to write around the HTML.

    Returns:
        Plain text, Markdown and HTML.
    """
    lines = _BREAK.sub("\n", source) if "<br" in source and "\n" not in source else source
    has_code = "`" in source
    if _TAG_OR_REFERENCE.search(lines) or (has_code and (lines is not source or _NUMBER_AT_CODE.search(source))):
        return None
    if (source.count("$") > 1 and _FORMULA.search(source)) or ("](" in source and _NUMBER_AT_LINK.search(source)):
        return None
    text = _SPAN.sub(_get_content, lines)
    if _OTHER_SIGN.search(_SPAN.sub("", lines) if has_code else text):
        return None
    html = _SPAN.sub(_format_span, escape(lines)).replace("\n", "<br/>")
    return Inline(collapse_whitespace(text), escape_links(source), enclose(root.name, html, **root.attributes))


# A template such as `r"\1\2"` takes `re` several times as long before Python 3.12.
def _get_content(match: re.Match[str]) -> str:
    return match[match.lastgroup or 0]


def _format_span(match: re.Match[str]) -> str:
    name = match.lastgroup or ""
    if name == "link":
        return f'<a href="{match["url"]}">{match["link"]}</a>'
    return _FORMATS[name] % match[name]

"""Format elements as HTML that text splitters find.

LlamaIndex's `HTMLNodeParser` reads paragraphs, headings, list items and sections only, and joins the text inside them
without blanks. So a `<div>` becomes a paragraph or a section, any other element is put into a section, and there is
white space between the cells of a table, which changes nothing on the screen.
"""

from __future__ import annotations

import re
from html import escape

from qwenvl_core.layout import LayoutElement

_ROOT = re.compile(r'<(?P<name>\w+)(?P<attributes>(?:\s+[\w-]+="[^"]*")*)\s*>(?P<content>.*)</(?P=name)>', re.DOTALL)
_BLOCK_TAG = re.compile(r"<(?:p|div|h[1-6]|ul|ol|li|dl|table|pre|blockquote|figure|section|hr)\b")
_FOUND_TAGS = frozenset({"p", "section", "ul", "ol", "li", *(f"h{level}" for level in range(1, 7))})
_CELL_END = re.compile(r"(</t[dh]>)(?=<t[dh])")
_LINE_END = re.compile(r"(</tr>|</caption>|<br\s*/>)(?=\S)")


def format_html(element: LayoutElement) -> str:
    """Format an element as HTML; LaTeX that could not be converted is preformatted text."""
    html = element.html or f"<pre>{escape(element.latex or element.text)}</pre>"
    if "<pre" not in html:
        html = _LINE_END.sub(r"\1\n", _CELL_END.sub(r"\1 ", html))
    root = _ROOT.fullmatch(html)
    if root is None or root["name"] in _FOUND_TAGS:
        return html
    if root["name"] != "div":
        return f"<section>{html}</section>"
    name = "section" if _BLOCK_TAG.search(root["content"]) else "p"
    return f"<{name}{root['attributes']}>{root['content']}</{name}>"

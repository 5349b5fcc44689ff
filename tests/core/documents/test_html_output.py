"""Tests of the HTML of records."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from qwenvl_core.documents.html_output import format_html
from qwenvl_core.layout import LayoutElement, parse_layout
from tests.support.layout_pages import QWEN3, QWEN25


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>a</p>", "<p>a</p>"),
        ("<h2>a</h2>", "<h2>a</h2>"),
        ("<ul><li>a</li></ul>", "<ul><li>a</li></ul>"),
        ('<div class="text">10<br/>6 <b>c</b></div>', '<p class="text">10<br/>\n6 <b>c</b></p>'),
        ('<div class="text">a<p>b</p></div>', '<section class="text">a<p>b</p></section>'),
        ("<pre>a<br/>b</pre>", "<section><pre>a<br/>b</pre></section>"),
        ('<div class="image"><img alt="&gt;"/></div>', '<p class="image"><img alt="&gt;"/></p>'),
        (
            "<table><tr><td>10</td><td>6</td></tr><tr><td>7</td></tr></table>",
            "<section><table><tr><td>10</td> <td>6</td></tr>\n<tr><td>7</td></tr>\n</table></section>",
        ),
    ],
)
def test_format_html_uses_tags_that_splitters_find(html: str, expected: str) -> None:
    assert format_html(LayoutElement("text", "", html)) == expected


def test_format_html_of_latex_is_preformatted_text() -> None:
    element = LayoutElement("table", "", None, "a & b < c")
    assert format_html(element) == "<section><pre>a &amp; b &lt; c</pre></section>"


@pytest.mark.parametrize("page", [QWEN3, QWEN25])
def test_format_html_keeps_text_and_is_well_formed(page: str) -> None:
    for element in parse_layout(page).elements:
        formatted = ET.fromstring(format_html(element))
        original = "".join(ET.fromstring(element.html or "").itertext())
        assert "".join("".join(formatted.itertext()).split()) == "".join(original.split())
        assert formatted.tag in ("p", "h2", "section", "ul", "ol", "li")

"""Test that nothing in a page becomes a live tag, script or link where its HTML or Markdown is shown."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from qwenvl_core.layout import PageLayout, parse_layout, parse_ocr_lines
from qwenvl_core.parsing.html.elements import ELEMENT_TYPES
from tests.support.layout_pages import make_div

PAYLOADS = (
    "<script>alert(1)</script>",
    "<ScRiPt src=//a.b></ScRiPt>",
    "<script\n>alert(1)</script\n>",
    "<img src=x onerror=alert(1)>",
    "<img/src/onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg/onload=alert(1)//",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><script>alert(1)</script></mtext></math>",
    "<math><a xlink:href='javascript:alert(1)'>x</a></math>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href=' java\nscript:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='vbscript:x'>x</a>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=javascript:alert(1)>",
    "<form action=javascript:alert(1)><input type=submit></form>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<input autofocus onfocus=alert(1)>",
    "<input type=checkbox checked onclick=alert(1)>",
    "<select onfocus=alert(1)><option selected>x</select>",
    "<textarea onfocus=alert(1) autofocus>x</textarea>",
    "<details open ontoggle=alert(1)><summary>x</summary></details>",
    "<body onload=alert(1)>",
    "<link rel=stylesheet href=//a.b>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<base href=javascript:alert(1)//>",
    "<style>@import 'javascript:alert(1)'</style>",
    "<p style='background:url(javascript:alert(1))'>x</p>",
    "<b onmouseover=alert(1)>x</b>",
    "<b class='x\" onmouseover=\"alert(1)'>x</b>",
    "<td onclick=alert(1)>x</td>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<video><source onerror=alert(1)></video>",
    "<audio src=x onerror=alert(1)></audio>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--><script>alert(1)</script-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    "<<script>alert(1)//<</script>",
    "<scr<script>ipt>alert(1)</script>",
    "</p><script>alert(1)</script>",
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "]]><script>alert(1)</script>",
    "--><script>alert(1)</script>",
    "`<script>alert(1)</script>",
    "```\n<script>alert(1)</script>",
    "$$<script>alert(1)</script>$$",
    "\\(<img src=x onerror=alert(1)>\\)",
    "[x](javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x]( javascript:alert(1) 'y')",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](javascript\\:alert(1))",
    "[x](data:text/html,x)",
    "![x](javascript:alert(1))",
    "[x]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "<https://a.b/\"onclick=alert(1)>",
    "[![x](y)](javascript:alert(1))",
    "[x][y]\n\n[y]: <javascript:alert(1)>",
    "[x](\njavascript:alert(1))",
    "[x\n](javascript:alert(1))",
    "> [x](\n> javascript:alert(1))",
    "[x\\](javascript:alert(1))",
    "[x\\\\](javascript:alert(1))",
    "~~~\n<script>alert(1)</script>",
    "x\n<div onclick=alert(1)>\n",
)  # fmt: skip
CONTEXTS = {
    "text": lambda text: make_div(text),
    "escaped": lambda text: make_div(html.escape(text)),
    "escaped twice": lambda text: make_div(html.escape(html.escape(text))),
    "cell": lambda text: f"<table data-bbox='1 2 3 4'><tr><td>{text}</td></tr></table>",
    "escaped cell": lambda text: f"<table data-bbox='1 2 3 4'><tr><td rowspan=2>{html.escape(text)}</td></tr></table>",
    "formula": lambda text: make_div(html.escape(text), css_class="formula"),
    "music": lambda text: make_div(html.escape(text), css_class="music sheet"),
    "chemistry": lambda text: make_div(html.escape(text), css_class="chemical formula"),
    "caption": lambda text: make_div(f"<img><p>{html.escape(text)}</p>", css_class="image caption"),
    "alt": lambda text: make_div(f'<img alt="{html.escape(text)}">', css_class="image"),
    "class": lambda text: make_div("x", css_class=html.escape(text)),
    "code": lambda text: make_div(f"<pre>{html.escape(text)}</pre>"),
    "title": lambda text: f"<h1 data-bbox='1 2 3 4'>{html.escape(text)}</h1>",
    "item": lambda text: f"<ul data-bbox='1 2 3 4'><li>{html.escape(text)}</li></ul>",
    "sup": lambda text: make_div(f"x<sup>{html.escape(text)}</sup>"),
    "markdown": lambda text: f"# A\n\n{text}",
    "markdown item": lambda text: f"- {text}",
    "markdown cell": lambda text: f"| a |\n|---|\n| {text.replace(chr(10), ' ')} |\n",
    "markdown rows": lambda text: f"| a | {text} |\n|---|---|\n| {text} | `{text}` |\n",
    "markdown code": lambda text: f"x `{text}` y",
    "markdown quotation": lambda text: f"> {text}\n> ".replace("\n", "\n> "),
    "markdown underlined": lambda text: f"{text}\n===",
    "markdown title": lambda text: f"# {text}",
    "markdown picture": lambda text: f"![{text}](x.png)",
    "markdown escaped": lambda text: f"# A\n\n{html.escape(text)}",
    "markdown comment": lambda text: f"<!-- Image: {text} (1, 2, 3, 4) -->",
    "latex": lambda text: f"\\section{{A}}\n{text}",
    "latex tag": lambda text: f"\\section{{A}}\n10<sup>{text}</sup> \\sout{{{text}}} <b>{text}</b>",
    "latex cell": lambda text: f"\\begin{{tabular}}{{l}} \\textbf{{{text}}} \\\\ \\end{{tabular}}",
}
SAFE_TAGS = frozenset(
    {
        *("a", "b", "blockquote", "br", "caption", "code", "dd", "del", "details", "div", "dl", "dt", "em", "h1", "h2"),
        *("i", "img", "li", "mark", "ol", "p", "pre", "small", "span", "strong", "sub", "summary", "sup", "table"),
        *("tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul"),
    }
)
SAFE_ATTRIBUTES = frozenset({"class", "format", "colspan", "rowspan", "start", "value", "alt", "href"})
SAFE_CLASSES = ELEMENT_TYPES | {"list", "image caption", "image ocr", "figure", "music sheet", "chemical formula"}
UNSAFE_LINK = re.compile(
    r"(?<!\\)(?:\\\\)*\](?:\(|:)[ \t]*\n?[ \t>]*<?[ \t]*(?:javascript|vbscript|data|java)?(?:[:&]|\\\\:)", re.IGNORECASE
)
CODE = re.compile(r"^((?:> )*)(`{3,})\w*\n.*?\n\1\2$|(?<!`)(`+)(?!`)[^\n]*?(?<!`)\3(?!`)", re.MULTILINE | re.DOTALL)


class TagCollector(HTMLParser):
    """Collect the tags and attributes that a browser would find in Markdown."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, str, str]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, name, value or "") for name, value in attrs or [("", None)]}


def check_layout(page: PageLayout) -> None:
    for element in page.elements:
        for node in ET.fromstring(element.html or "<p/>").iter():
            assert node.tag in SAFE_TAGS
            assert set(node.attrib) <= SAFE_ATTRIBUTES
            assert node.get("class", "list") in SAFE_CLASSES
            assert re.match(r"https?://|mailto:|#|\Z", node.get("href", ""))
    markdown = CODE.sub("", page.markdown)
    collector = TagCollector()
    collector.feed(markdown)
    for tag, name, value in collector.found:
        assert tag in SAFE_TAGS or tag.startswith(("https:", "mailto:")), markdown
        assert not name.startswith("on") or tag.startswith("https:"), markdown
        assert name != "href" or re.match(r"https?://|mailto:|#", value), markdown
    assert not UNSAFE_LINK.search(markdown), markdown


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_payload_is_inert_in_html_and_markdown(payload: str, context: str) -> None:
    check_layout(parse_layout(CONTEXTS[context](payload)))
    check_layout(parse_layout(payload))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payload_in_plain_text_and_ocr_lines_is_inert(payload: str) -> None:
    check_layout(parse_layout(payload, format="text"))
    words = {"words_info": [{"text": payload, "location": [1, 1, 9, 1, 9, 5, 1, 5]}]}
    layout = parse_ocr_lines(words, "", size=(10, 10))
    assert layout is not None
    check_layout(layout)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_escaped_text_of_the_page_is_kept(payload: str) -> None:
    (element,) = parse_layout(make_div(html.escape(payload)), format="html").elements
    assert element.text.split() == payload.split()

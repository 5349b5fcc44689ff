"""A page in Qwen-VL's layout formats is read into elements, whatever is wrong with the text."""

from __future__ import annotations

import html
import json
import pickle
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenvl_core.grounding import Box
from qwenvl_core.layout import REPETITION, LayoutElement, PageLayout, parse_layout

QWEN3 = """<html><body>
<div class="text" data-bbox="91 101 346 127">Yearly Report &amp; more</div>
<div class="image" data-bbox="104 29 455 75"></div>
<div class="table" data-bbox="10 200 900 400"><table><thead><tr><th>Year</th><th>Sum</th></tr></thead>
<tbody><tr><td>2023</td><td>1|2</td></tr><tr><td>2024</td><td>a &lt; b<br>c</td></tr></tbody></table></div>
<div class="text" data-bbox="91 501 346 527">two
lines</div>
</body></html>"""

QWEN25 = """```html
<html><body>
<style>table1 { border: 1px }</style>
<h2 data-bbox="120 200 400 600"> Intro</h2>
<p data-bbox="12 80 400 160">Some <b>bold</b> text</p>
<ol data-bbox="10 200 400 400"><li data-bbox="10 200 400 300">first</li><li data-bbox="10 300 400 400">second</li></ol>
<div class="image" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/></div>
<table data-bbox="1 2 300 400" class="table1"><tr><td colspan="2">wide</td></tr><tr><td>b</td><td>c</td></tr></table>
<div class="chart" data-bbox="1 2 300 400"> <img data-bbox="1 2 300 400"/>
<table><tr><td>q1</td><td>7</td></tr></table></div>
<div class="formula" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/><div>$$E=mc^2$$</div></div>
<div class="image caption" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/><p>A dog</p></div>
<div class="image ocr" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/><p>STOP</p></div>
<div class="music sheet" format="abc notation" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/><div>X:1
K:C</div></div>
<div class="chemical formula" format="smile" data-bbox="1 2 300 400"><img data-bbox="1 2 300 400"/><div>CCO</div></div>
<div class="formula.machine_printed" data-polygon="1 2 300 2 300 400 1 400">a+b</div>
</body></html>
```"""

MARKDOWN = r"""# Report

First paragraph
goes on.

<!-- Image (66, 75, 454, 256) -->

- one
- two

<!-- Table (10, 20, 500, 600) -->
\begin{tabular}{|c|c|}
\hline
Year & Sum \\ \hline
2023 & 50\% \\
\end{tabular}

$$
E=mc^2
$$

The end."""


def types(page: PageLayout) -> list[str]:
    return [element.type for element in page.elements]


def texts(page: PageLayout) -> list[str]:
    return [element.text for element in page.elements]


def div(text: str, bbox: str = "100 200 300 400", kind: str = "text") -> str:
    return f'<div class="{kind}" data-bbox="{bbox}">{text}</div>'


def check(page: PageLayout) -> PageLayout:
    """What holds for every page."""
    for index, element in enumerate(page.elements):
        assert element.index == index
        if element.html is not None:
            ET.fromstring(element.html)
            assert "data-bbox" not in element.html
        element.text.encode()
    page.markdown.encode()
    return page


# --- qwenvl html


def test_qwen3_html() -> None:
    page = check(parse_layout(QWEN3))
    title, image, table, text = page.elements
    assert types(page) == ["text", "image", "table", "text"]
    assert (title.text, title.box) == ("Yearly Report & more", Box(0.091, 0.101, 0.346, 0.127))
    assert (image.text, image.box) == ("", Box(0.104, 0.029, 0.455, 0.075))
    assert table.text == "Year | Sum\n2023 | 1|2\n2024 | a < b c"
    assert [[cell.text for cell in row] for row in ET.fromstring(table.html or "").iter("tr")][:2] == [
        ["Year", "Sum"],
        ["2023", "1|2"],
    ]
    assert text.text == "two\nlines"
    assert (page.truncated, page.warnings) == (False, ())
    assert page.markdown == (
        "Yearly Report & more\n\n![image]()\n\n"
        "| Year | Sum |\n| --- | --- |\n| 2023 | 1\\|2 |\n| 2024 | a < b<br>c |\n\ntwo\nlines"
    )


def test_qwen25_html_in_pixels_of_the_image_sent() -> None:
    page = check(parse_layout(QWEN25, space="absolute", size=(1000, 2000)))
    assert list(zip(types(page), texts(page), strict=True)) == [
        ("title", "Intro"),
        ("text", "Some bold text"),
        ("list_item", "first"),
        ("list_item", "second"),
        ("image", ""),
        ("table", "wide\nb | c"),
        ("chart", "q1 | 7"),
        ("formula", "E=mc^2"),
        ("caption", "A dog"),
        ("image", "STOP"),
        ("music_sheet", "X:1\nK:C"),
        ("chemical_formula", "CCO"),
        ("formula", "a+b"),
    ]
    assert page.elements[0].box == Box(0.12, 0.1, 0.4, 0.3)
    assert [element.box for element in page.elements[4:]] == [Box(0.001, 0.001, 0.3, 0.2)] * 9
    assert [element.latex for element in page.elements if element.latex] == ["E=mc^2", "a+b"]
    assert page.elements[5].html == ('<table><tr><td colspan="2">wide</td></tr><tr><td>b</td><td>c</td></tr></table>')
    assert not page.truncated
    for shown in ["## Intro", "1. first\n2. second", '<td colspan="2">wide</td>', "$$E=mc^2$$", "![image]()", "A dog"]:
        assert shown in page.markdown
    assert "border" not in page.markdown


def test_prose_and_fences_are_no_part_of_the_page() -> None:
    expected = parse_layout(QWEN3)
    for text in [
        f"Here is the page: \n```html\n{QWEN3}\n```\nI hope that helps <b>you</b>.",
        f"```html\n{QWEN3}\n```",
        f"```html\n{QWEN3}",
        f"```\n{QWEN3}\n```",
        f"Sure!\n{QWEN3}\nAnything else?",
        f'{QWEN3}\n```\nThe text is 5" wide & <i>fine</i>',
        QWEN3.replace("\n", "\r\n"),
        QWEN3.replace("<html><body>", "").replace("</body></html>", ""),
        "Sure! " + QWEN3.replace("<html><body>", "").replace("</body></html>", "") + " Anything else?",
    ]:
        assert parse_layout(text) == expected, text


def test_several_pages_stay_in_order() -> None:
    first, second = (f"```html\n<html><body>{div(word)}</body></html>\n```" for word in "ab")
    assert texts(parse_layout(f"{first}\nand then\n{second}")) == ["a", "b"]
    assert texts(parse_layout(QWEN3 + QWEN3)) == texts(parse_layout(QWEN3)) * 2


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ('<div class="title" data-bbox="1 1 9 9">', "title"),
        ('<div class="header" data-bbox="1 1 9 9">', "header"),
        ('<div class="footer" data-bbox="1 1 9 9">', "footer"),
        ('<div class="page-number" data-bbox="1 1 9 9">', "footer"),
        ('<div class="figure" data-bbox="1 1 9 9">', "image"),
        ('<div class="list" data-bbox="1 1 9 9">', "list_item"),
        ('<div class="formula.handwritten" data-bbox="1 1 9 9">', "formula"),
        ('<div class="blueprint" data-bbox="1 1 9 9">', "other"),
        ('<div data-bbox="1 1 9 9">', "text"),
        ('<DIV CLASS="Text" DATA-BBOX="1 1 9 9">', "text"),
        ('<p class="caption" data-bbox="1 1 9 9">', "caption"),
        ('<h4 data-bbox="1 1 9 9">', "title"),
        ('<blockquote data-bbox="1 1 9 9">', "text"),
        ('<span data-bbox="1 1 9 9">', "text"),
        ('<header data-bbox="1 1 9 9">', "header"),
        ('<figcaption data-bbox="1 1 9 9">', "caption"),
    ],
)
def test_types_of_elements(tag: str, expected: str) -> None:
    name = tag[1:].split()[0]
    page = check(parse_layout(f"{tag}words</{name}>"))
    assert [(e.type, e.text, e.box is not None) for e in page.elements] == [(expected, "words", True)]


@pytest.mark.parametrize(
    ("bbox", "expected"),
    [
        ("100 200 300 400", Box(0.1, 0.2, 0.3, 0.4)),
        ("300 400 100 200", Box(0.1, 0.2, 0.3, 0.4)),
        ("[100, 200, 300.0, 400]", Box(0.1, 0.2, 0.3, 0.4)),
        ("-10 200 300 1010", Box(0, 0.2, 0.3, 1)),
        ("100 200 100 400", None),
        ("100 200 300", None),
        ("", None),
        ("a b c d", None),
        ("9" * 400 + " 1 2 3", Box(0.002, 0.001, 1, 0.003)),
    ],
)
def test_boxes(bbox: str, expected: Box | None) -> None:
    (element,) = parse_layout(div("words", bbox)).elements
    assert (element.text, element.box) == ("words", expected)


def test_coordinates_far_outside_are_warned_about() -> None:
    assert parse_layout(div("a", "0 0 1040 1000")).warnings == ()
    (warning,) = parse_layout(div("a", "0 0 1080 1400") + div("b")).warnings
    assert "1000" in warning
    (warning,) = parse_layout(div("a", "0 0 900 900"), space="absolute", size=(640, 480)).warnings
    assert "640 x 480" in warning


def test_html_without_boxes_is_a_page_too() -> None:
    page = check(
        parse_layout(
            """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Not on the page</title>
            <style>p > b { color: red }</style><script>if (a < b) { alert("</p>") }</script></head>
            <body><div class="container"><h1>Invoice</h1>loose <b>words</b><p>Dear <i>you</i>,<br>hello</p>
            <ul><li>a<ul><li>b</li></ul></li></ul><ol start="3"><li>c</ol>
            <table class="t"><tr><th>k<th>v<tr><td>1<td>2</table><img src="logo.png" alt="Logo"></div></body></html>"""
        )
    )
    assert list(zip(types(page), texts(page), strict=True)) == [
        ("title", "Invoice"),
        ("text", "loose words"),
        ("text", "Dear you,\nhello"),
        ("list_item", "a"),
        ("list_item", "b"),
        ("list_item", "c"),
        ("table", "k | v\n1 | 2"),
        ("image", "Logo"),
    ]
    assert {element.box for element in page.elements} == {None}
    assert "- a\n  - b\n3. c" in page.markdown
    assert not page.truncated


def test_an_unclosed_element_does_not_swallow_the_next() -> None:
    unclosed = f"{div('a')[:-6]}{div('b')}<p data-bbox='1 1 9 9'>c<h2 data-bbox='1 1 9 9'>d</h2>"
    page = check(parse_layout(f"<html><body>{unclosed}</body></html>"))
    assert texts(page) == ["a", "b", "c", "d"]
    assert not page.truncated


def test_an_unclosed_chart_does_not_swallow_the_next() -> None:
    table = "<table data-bbox='1 1 9 9'><tr><td>1</td></tr></table>"
    chart = f"<div class='chart' data-bbox='1 1 9 9'><img data-bbox='1 1 9 9'/>{table}"
    inside = check(parse_layout(f"<html><body>{chart}{div('b')}</div>{div('c')}</body></html>"))
    assert texts(inside) == ["1\nb", "c"]
    unclosed = check(parse_layout(f"<html><body>{chart}{div('b')}{div('c')}<p data-bbox='1 1 9 9'>d</p></body></html>"))
    assert texts(unclosed) == ["1", "b", "c", "d"]


@pytest.mark.parametrize("kind", ["chart", "formula", "image caption", "image ocr", "music sheet", "chemical formula"])
def test_boxes_inside_of_pictures_are_not_elements(kind: str) -> None:
    picture = div("<img data-bbox='1 1 9 9'><p data-bbox='1 1 9 9'>x</p>", kind=kind)
    assert texts(check(parse_layout(picture + div("y")))) == ["x", "y"]


def test_a_box_inside_serves_an_element_without_one() -> None:
    image = div('<img data-bbox="100 200 300 400"/>', "bad", "image")
    page = parse_layout(image + '<ul><li><p data-bbox="100 200 300 400">x</p></li></ul>')
    assert [(e.type, e.box) for e in page.elements] == [
        ("image", Box(0.1, 0.2, 0.3, 0.4)),
        ("list_item", Box(0.1, 0.2, 0.3, 0.4)),
    ]


def test_content_decides_where_the_tag_says_nothing() -> None:
    for source, kind, markdown in [
        ("<table><tr><td>a</td></tr></table>", "table", "| a |\n| --- |"),
        ("<h2>a</h2>", "title", "# a"),
        ("<ul><li>a</li></ul>", "list_item", "- a"),
        ("<img/>", "image", "![image]()"),
        ("<p>a</p><p>b</p>", "text", "a\n\nb"),
        ("a<table><tr><td>b</td></tr></table>", "text", "a\n\n| b |\n| --- |"),
    ]:
        page = check(parse_layout(f"<div data-bbox='1 1 9 9'>{source}</div>"))
        assert [(e.type, page.markdown) for e in page.elements] == [(kind, markdown)]


@pytest.mark.parametrize(
    "text",
    [
        "<ol start='3'><li data-bbox='1 2 30 40'>a<li data-bbox='1 50 30 60'>b</ol>",
        "<ol start='3'><li>a</li><li value='4'>b</li></ol>",
        "3. a\n4) b",
    ],
)
def test_items_of_ordered_lists_know_their_numbers(text: str) -> None:
    page = check(parse_layout(text))
    assert [(e.type, e.text, e.html) for e in page.elements] == [
        ("list_item", "a", '<li value="3">a</li>'),
        ("list_item", "b", '<li value="4">b</li>'),
    ]
    again = parse_layout("".join(e.html or "" for e in page.elements), format="html")
    assert again.markdown == "3. a\n4. b"


def test_lists_inside_of_an_element() -> None:
    inside = "<ul><li>a<ol start='4'><li>b</li><li>c<br>d</li></ol></li><li>e</li></ul>"
    page = check(parse_layout(div(inside, kind="list")))
    assert page.markdown == "- a\n  4. b\n  5. c\nd\n- e"
    assert page.elements[0].text == "a\nb\nc\nd\ne"


def test_depth_is_bounded_and_text_kept() -> None:
    deep = "<b>" * 5000 + "a" + "</b>" * 5000 + "<div>" * 5000 + "b" + "</div>" * 5000
    page = check(parse_layout(f"<html><body>{div(deep)}{div('c')}</body></html>"))
    assert texts(page) == ["a\nb", "c"]


def test_tables_are_repaired() -> None:
    for source in [
        "<table data-bbox='1 1 9 9'><tr><td>a<td>b<tr><td>c<td>d</table>",
        "<table data-bbox='1 1 9 9'><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>",
        "<div class='table' data-bbox='1 1 9 9'><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></div>",
        "<div class='table' data-bbox='1 1 9 9'><table><tr><td>a</td><td>b</td></tr><tr><td>c<td>d</td></tr></div>",
        "<table data-bbox='1 1 9 9'><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr>",
    ]:
        page = check(parse_layout(f"<html><body>{source}<p data-bbox='1 1 9 9'>after</p></body></html>"))
        assert texts(page) == ["a | b\nc | d", "after"], source


def test_tables_in_tables_and_spans_stay_html() -> None:
    row = "<tr><td>a<table><tr><td>b</td></tr></table></td><td rowspan='2' colspan='x'>c</td></tr>"
    page = check(parse_layout(f"<table data-bbox='1 1 9 9'>{row}</table>"))
    assert page.markdown == '<table><tr><td>a<table><tr><td>b</td></tr></table></td><td rowspan="2">c</td></tr></table>'
    captioned = check(parse_layout("<table data-bbox='1 1 9 9'><caption>Sums</caption><tr><td>a</td></tr></table>"))
    assert captioned.markdown == "Sums\n\n| a |\n| --- |"
    assert captioned.elements[0].text == "Sums\na"


def test_html_is_xml_and_harmless() -> None:
    text = div(
        '<a href="javascript:x()" onclick="y()" style="z">a</a><a href="https://example.org?a=1&b=2">b</a><br>'
        '<foo:bar q="1">c</foo:bar>&nbsp;\x0b<hr> 1 < 2 <String>'
    )
    (element,) = check(parse_layout(text)).elements
    assert element.html == (
        '<div class="text"><a>a</a><a href="https://example.org?a=1&amp;b=2">b</a><br/>'
        "c\xa0<hr/> 1 &lt; 2 &lt;String&gt;</div>"
    )


def test_damaged_tags() -> None:
    whole = f"<html><body>{div('one')}{div('two')}</body></html>"
    expected = parse_layout(whole)
    for damaged in [
        whole.replace('400">one', "400>one"),
        whole.replace('400">one', '400"one'),
        whole.replace('="100', "=100", 1),
        whole.replace('<div class="text', 'div class="text', 1),
        whole.replace('="text"', '="text', 1),
        whole.replace("</div>", "</div", 1),
        whole.replace("one</div>", "one</div></div></p></td>"),
    ]:
        page = check(parse_layout(damaged))
        assert texts(page) == ["one", "two"], damaged
        assert [e.box for e in page.elements] == [e.box for e in expected.elements], damaged


# --- qwenvl markdown


@pytest.mark.parametrize("wrap", ["{}", "```markdown\n{}\n```", "Sure:\n```md\n{}\n```\nDone.", "```\n{}\n```"])
def test_markdown(wrap: str) -> None:
    page = check(parse_layout(wrap.replace("{}", MARKDOWN)))
    assert list(zip(types(page), texts(page), strict=True)) == [
        ("title", "Report"),
        ("text", "First paragraph\ngoes on."),
        ("image", ""),
        ("list_item", "one"),
        ("list_item", "two"),
        ("table", "Year | Sum\n2023 | 50%"),
        ("formula", "E=mc^2"),
        ("text", "The end."),
    ]
    table = page.elements[5]
    assert page.elements[2].box == Box(0.066, 0.075, 0.454, 0.256)
    assert table.box == Box(0.01, 0.02, 0.5, 0.6)
    assert table.html == "<table><tr><td>Year</td><td>Sum</td></tr><tr><td>2023</td><td>50%</td></tr></table>"
    assert (table.latex or "").startswith("\\begin{tabular}")
    assert page.markdown == (
        "# Report\n\nFirst paragraph\ngoes on.\n\n![image]()\n\n- one\n- two\n\n"
        "| Year | Sum |\n| --- | --- |\n| 2023 | 50% |\n\n$$E=mc^2$$\n\nThe end."
    )
    assert not page.truncated


LATEX = [
    (
        r"\multirow{2}{*}{a} & b \\ & c \\ \multicolumn{2}{|c|}{\textbf{d} \& e} \\",
        '<tr><td rowspan="2">a</td><td>b</td></tr><tr><td>c</td></tr><tr><td colspan="2">d &amp; e</td></tr>',
    ),
    (
        r"\multicolumn{2}{c}{\multirow{2}{*}{a}} & b \\ \cline{3-3} \multicolumn{2}{c}{} & c \\ \hline",
        '<tr><td colspan="2" rowspan="2">a</td><td>b</td></tr><tr><td>c</td></tr>',
    ),
    (
        r"\multirow{3}{2cm}{a} & b \\ \cmidrule(lr){1-2} x & c \\[2pt]",
        "<tr><td>a</td><td>b</td></tr><tr><td>x</td><td>c</td></tr>",
    ),
    (r"\multirow{9}{*}{a} & b \\", "<tr><td>a</td><td>b</td></tr>"),
    (
        r"\toprule {\bf a} & \makecell[l]{b\\c} \\ \cline{1-2} $\frac{1}{2}$ & \textcolor{red}{d} \\ \bottomrule",
        "<tr><td>a</td><td>b<br/>c</td></tr><tr><td>$\\frac{1}{2}$</td><td>d</td></tr>",
    ),
    (
        r"a & \begin{tabular}{c} b \\ c \end{tabular} \\ \alpha & \frac{x}{y} \\",
        "<tr><td>a</td><td>b<br/>c</td></tr><tr><td>\\alpha</td><td>\\frac{x}{y}</td></tr>",
    ),
    (
        r"\textbf{[1] a} & \begin{tabular}[c]{@{}l@{}} b \\ c \end{tabular} \\ & \begin{tabular}{l}[2]\end{tabular} \\",
        "<tr><td>[1] a</td><td>b<br/>c</td></tr><tr><td></td><td>[2]</td></tr>",
    ),
    (r"a & \\ \hline & b", "<tr><td>a</td><td></td></tr><tr><td></td><td>b</td></tr>"),
]


@pytest.mark.parametrize(("body", "rows"), LATEX)
@pytest.mark.parametrize(
    "environment", ["tabular}{ll", "tabularx}{\\textwidth}{l|l", "longtable}[h]{p{2cm}l", "tabular*}{5cm}{ll"]
)
def test_latex_tables(body: str, rows: str, environment: str) -> None:
    name = environment.split("}")[0]
    source = f"\\begin{{{environment}}}{body}\\end{{{name}}}"
    for text in (
        source,
        f"$$\n{source}\n$$",
        f"```latex\n{source}\n```",
        f"\\begin{{table}}[h]\n\\centering\n{source}\n\\end{{table}}",
    ):
        page = check(parse_layout(f"<!-- Table (1, 2, 3, 4) -->\n{text}\n\nafter"))
        table, after = page.elements
        assert (table.type, table.html, table.latex, after.text) == ("table", f"<table>{rows}</table>", source, "after")
        assert table.box == Box(0.001, 0.002, 0.003, 0.004)


def test_latex_that_cannot_be_read_is_kept() -> None:
    source = r"\begin{tabular}{l} a & {b \\ c \end{tabular}"
    page = check(parse_layout(source))
    assert [(e.type, e.html, e.latex) for e in page.elements] == [("table", None, source)]
    assert source in page.markdown


@pytest.mark.parametrize("words", ["markdown", "md", "qwenvl markdown"])
def test_a_fence_around_markdown(words: str) -> None:
    page = check(parse_layout(f"```{words}\n# a\n\nb\n```"))
    assert list(zip(types(page), texts(page), strict=True)) == [("title", "a"), ("text", "b")]


SPELLED = f"<html><body>{div('a', '100 200 300 400')}{div('b：“c”', '500 600 700 800')}</body></html>"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(SPELLED, ensure_ascii=False),
        json.dumps({"html": SPELLED}),
        SPELLED.replace("'", '"').replace('"', '\\"'),
        html.escape(SPELLED),
        html.escape(SPELLED, quote=False),
    ],
)
def test_html_that_was_quoted_once_more(text: str) -> None:
    page = check(parse_layout(text))
    assert [(e.type, e.text, e.box) for e in page.elements] == [
        ("text", "a", Box(0.1, 0.2, 0.3, 0.4)),
        ("text", "b：“c”", Box(0.5, 0.6, 0.7, 0.8)),
    ]


def test_html_with_full_width_signs() -> None:
    wide = SPELLED.translate(str.maketrans("<>=", "＜＞＝"))
    assert next((e.text, e.box) for e in check(parse_layout(wide)).elements) == ("a", Box(0.1, 0.2, 0.3, 0.4))


def test_latex_captions_code_and_inner_fences() -> None:
    page = check(
        parse_layout(
            "```markdown\n\\begin{table}\n\\caption{The \\textbf{sums}}\n\\begin{tabular}{l} a \\\\ \\end{tabular}\n"
            "\\end{table}\n```html\n<table><tr><td>b</td></tr></table>\n```\n```sh\nls\n```\nc\n```\nprose"
        )
    )
    assert list(zip(types(page), texts(page), strict=True)) == [
        ("caption", "The sums"),
        ("table", "a"),
        ("table", "b"),
        ("text", "ls"),
        ("text", "c"),
    ]


def test_other_markdown() -> None:
    page = check(
        parse_layout(
            "<!-- Chart (1, 2, 3, 4) -->\n\n<!-- Title (1, 2, 3, 4) -->\nBig\n\n<!-- Signature (1, 2, 3, 4) -->\n"
            "<!-- a remark -->\n| a | b \\| c |\n|---|:-:|\n| 1 |\n\n<!-- Table (5, 6, 7, 8) -->\nTable 1: sums\n\n"
            "<table><tr><td>x</td></tr></table>\n\n```python\n# code\nprint()\n```\n\n![A cat](cat.png)\n\n"
            "1. one\n   more\n---\n\\[ a^2 \\]\n\\begin{align} b \\\\ c \\end{align}\n## Sub ##\n"
        )
    )
    assert list(zip(types(page), texts(page), strict=True)) == [
        ("chart", ""),
        ("title", "Big"),
        ("image", ""),
        ("table", "a | b | c\n1"),
        ("text", "Table 1: sums"),
        ("table", "x"),
        ("text", "# code\nprint()"),
        ("image", "A cat"),
        ("list_item", "one\nmore"),
        ("formula", "a^2"),
        ("formula", "\\begin{align} b \\\\ c \\end{align}"),
        ("title", "Sub"),
    ]
    assert [e.index for e in page.elements if e.box] == [0, 1, 2, 5]
    assert not page.truncated


def test_plain_text_is_text() -> None:
    page = parse_layout("Just words.\n\nMore <b>words</b>, 1 < 2.")
    assert list(zip(types(page), texts(page), strict=True)) == [
        ("text", "Just words."),
        ("text", "More <b>words</b>, 1 < 2."),
    ]
    assert parse_layout("") == PageLayout((), "", False, ())
    assert texts(parse_layout("Just words.", format="html")) == ["Just words."]


def test_the_format_can_be_given() -> None:
    assert texts(parse_layout("a <b>c</b>", format="markdown")) == ["a <b>c</b>"]
    assert texts(parse_layout("<b>c</b> d", format="html")) == ["c d"]
    with pytest.raises(ValueError, match="format"):
        parse_layout("", format="pdf")  # type: ignore[arg-type]


# --- cut and looping answers


@pytest.mark.parametrize("whole", [QWEN3, QWEN25, QWEN3.replace("<html><body>", "").replace("</body></html>", "")])
def test_every_cut_of_html_keeps_the_complete_elements(whole: str) -> None:
    full = parse_layout(whole)
    end_of_page = whole.find("</html>")
    for end in range(len(whole)):
        page = check(parse_layout(whole[:end]))
        assert page.elements[:-1] == full.elements[: len(page.elements[:-1])], end
        for last in page.elements[-1:]:
            assert last.type == full.elements[last.index].type
            assert last.box == full.elements[last.index].box
            assert full.elements[last.index].text.startswith(last.text.rstrip("&amplt;$"))
        if "<html>" in whole[:end] and end < end_of_page:
            assert page.truncated, end


def test_every_cut_of_markdown_keeps_the_complete_elements() -> None:
    full = parse_layout(MARKDOWN)
    for end in range(len(MARKDOWN)):
        page = check(parse_layout(MARKDOWN[:end]))
        assert page.elements[:-1] == full.elements[: len(page.elements[:-1])], end
        if "\\begin" in MARKDOWN[:end] and "\\end{tabular}" not in MARKDOWN[:end]:
            assert page.truncated, end


def test_a_cut_table_keeps_its_complete_rows() -> None:
    rows = "<tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d"
    for start in (
        '<div class="table" data-bbox="1 1 9 9"><table>',
        '<table data-bbox="1 1 9 9">',
        "<html><body><table><tbody>",
    ):
        page = check(parse_layout(start + rows))
        assert (page.truncated, texts(page)) == (True, ["a | b"])
        assert (page.elements[0].html or "").count("<tr>") == 1
    page = check(parse_layout("<!-- Table (1, 2, 3, 4) -->\n\\begin{tabular}{ll} a & b \\\\ c & d"))
    assert (page.truncated, texts(page)) == (True, ["a | b"])
    page = check(parse_layout("\\begin{tabular}{ll}\na & b \\\\\n\nnext\n\n\\begin{tabular}{l} c \\\\ \\end{tabular}"))
    assert (page.truncated, texts(page)) == (False, ["a | b", "next", "c"])


@pytest.mark.parametrize(
    "text",
    [
        "```html\n",
        "<html><body>",
        div("a")[:-4],
        "```markdown\n# a",
        "a\n<!-- Image (1, 2",
        "a\n\n$$\nb",
        "```html\n" + div("a"),
    ],
)
def test_cuts_are_told(text: str) -> None:
    assert check(parse_layout(text)).truncated


def test_loops_are_told() -> None:
    assert parse_layout(div("a") * 3).warnings == ()
    assert parse_layout(div("a") * 4).warnings == (REPETITION,)
    assert len(parse_layout(div("a") * 4).elements) == 4
    assert parse_layout("same words\n\n" * 4).warnings == (REPETITION,)
    moving = "".join(div("The same long sentence again.", f"1 {n} 9 {n + 5}") for n in range(4))
    assert parse_layout(moving).warnings == (REPETITION,)
    apart = "".join(div("N/A", f"1 {n} 9 {n + 5}") + div("", f"2 {n} 9 {n + 5}", "image") * (n % 2) for n in range(6))
    assert parse_layout(apart).warnings == ()


def test_loops_of_several_elements_are_told() -> None:
    turns = [
        div(words, f"1 {n} 9 {n + 5}")
        for n in range(4)
        for words in ("What is the hire price?", "It is 1,480.00 a week.", "And what does a day cost?")
    ]
    assert parse_layout("".join([*turns, div("The end")])).warnings == (REPETITION,)
    assert parse_layout("".join(turns[:-1])).warnings == ()
    answers = "".join(div(words, f"1 {n} 9 {n + 5}") for n in range(20) for words in ("Yes", "No"))
    assert parse_layout(answers).warnings == ()
    assert parse_layout("- Yes\n- No\n" * 20).warnings == ()


def rows(*, columns: str, count: int) -> str:
    return f"<table data-bbox='1 1 9 9'><tr><th>Item</th></tr>{f'<tr>{columns}</tr>' * count}</table>"


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        (div("First this. " + "And the same again. " * 60), True),
        (div("First this. " + "And the same again. " * 60 + "And the s")[:-6], True),
        ("First this. " + "And the same again. " * 60, True),
        (rows(columns="<td>Tea</td><td>1.50</td>", count=90), True),
        ("\\begin{tabular}{ll}\n" + "Tea & 1.50 \\\\\n" * 90, True),
        (div("好的。" * 300), True),
        (div("First this. " + "And the same again. " * 3), False),
        (rows(columns="<td>0</td><td>0</td>", count=20), False),
        (rows(columns="<td></td>" * 5, count=90), False),
        (div("Signature: " + "_" * 900), False),
        (div("".join(f"Chapter {n} {'.' * 60} {n * n}<br>" for n in range(50))), False),
    ],
)
def test_loops_inside_of_an_element_are_told(text: str, loops: bool) -> None:
    assert check(parse_layout(text)).warnings == ((REPETITION,) if loops else ())


# --- what must never happen

ELEMENTS = (
    div("a"),
    div("", kind="chart")[:-6],
    div("", kind="table")[:-6],
    "</div>",
    "<p data-bbox='1 2 3 4'>",
    "</p>",
)
TABLES = (
    "<table>",
    "</table>",
    "<tr>",
    "</tr>",
    "<td colspan='2'>",
    "</td>",
    "<th>",
    "<caption>",
    "<img data-bbox='1 2 3 4'/>",
)
TAGS = (
    "<ul>",
    "<ol>",
    "<li>",
    "</li>",
    "</ol>",
    "<html>",
    "</html>",
    "<body>",
    "<style>",
    "</style>",
    "<b>",
    "<foo>",
    "<h1>",
)
FENCES = ("```", "```html\n", "```markdown\n", "<!--", "-->", "<!-- Table (1,2,3,4) -->", "<!-- Image (1,2,3,4) -->")
LATEX_SIGNS = (
    "\\begin{tabular}{l}",
    "\\end{tabular}",
    "&",
    "\\\\",
    "\\multicolumn{2}{c}{",
    "\\multirow{2}{*}{",
    "}",
    "{",
)
LINES = ("$$", "\\[", "\\]", "| a | b |\n|--|--|\n", "- x\n", "# y\n", "\n\n")
ODD = ("&#9999999999;", "&#" + "9" * 5000 + ";", "\x00", "\ud800", "\ufffe", "<", ">", '"', "'", "=", "x")
FRAGMENTS = st.sampled_from([*ELEMENTS, *TABLES, *TAGS, *FENCES, *LATEX_SIGNS, *LINES, *ODD])


@settings(max_examples=400, deadline=None)
@given(st.lists(FRAGMENTS, max_size=40).map("".join), st.sampled_from(["auto", "html", "markdown"]))
def test_no_text_raises(text: str, format: str) -> None:
    check(parse_layout(text, format=format))  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([QWEN3, QWEN25, MARKDOWN]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), FRAGMENTS), max_size=5),
)
def test_no_damage_raises(text: str, damages: list[tuple[float, int, str]]) -> None:
    for place, length, fragment in damages:
        at = int(place * len(text))
        text = text[:at] + fragment + text[at + length :]
    check(parse_layout(text))


@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])), min_size=1, max_size=6))
def test_escaped_text_comes_back(words: list[str]) -> None:
    escape = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    page = check(
        parse_layout("<html><body>" + "".join(div(word.translate(escape)) for word in words) + "</body></html>")
    )
    assert [text.split() for text in texts(page)] == [word.split() for word in words]
    assert [ET.fromstring(e.html or "").text or "" for e in page.elements] == words


def test_values_are_frozen_hashable_and_picklable() -> None:
    page = parse_layout(QWEN3)
    assert pickle.loads(pickle.dumps(page)) == page
    assert len(set(page.elements)) == 4
    with pytest.raises(AttributeError):
        page.elements[0].text = "x"  # type: ignore[misc]
    assert LayoutElement("text", "a") == LayoutElement("text", "a", None, None, None, 0)


def seconds(parse: Callable[[str], object], text: str) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        parse(text)
        best = min(best, time.process_time() - start)
    return best


HTML_UNITS = ("<div", "<", "<!--", "<a x='", "<style>", "<div>", "<ul><li>", "<td>", "<table><tr><td>", "&#9", "</div>")
BOXED_UNITS = (div("a"), div("a")[:-6], div("a", kind="chart")[:-6], "<li><p data-bbox='1 2 3 4'>")
LATEX_UNITS = ("\\begin{tabular}{l}", "\\begin{tabular}{l}\n\n", "\\multicolumn{99}{c}{a}&", "$$ \n\n", "\\[")
MARKDOWN_UNITS = ("```\n", "<!-- Table (1, 2, 3, 4) -->", "<!-- Image (", "| a | b |\n|--|--|\n", "- a\n", "![a](")


@pytest.mark.parametrize(
    ("format", "unit"),
    [
        *(("html", unit) for unit in (*HTML_UNITS, *BOXED_UNITS)),
        *(("markdown", unit) for unit in (*LATEX_UNITS, *MARKDOWN_UNITS)),
    ],
)
def test_time_grows_in_proportion(format: str, unit: str) -> None:
    size = 4_000
    texts = (unit * (n // len(unit)) for n in (size, 4 * size))
    once, twice = (seconds(lambda text: parse_layout(text, format=format), text) for text in texts)  # type: ignore[arg-type]
    assert twice < 4 * 2.5 * once + 0.01


def test_a_megabyte_of_tags_ends_soon() -> None:
    for unit in ("<div", "<"):
        parse_layout(unit * (1_000_000 // len(unit)))

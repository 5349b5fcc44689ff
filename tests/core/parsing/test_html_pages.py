"""Parse HTML pages: elements, types, boxes, tables and lists."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from qwenvl_core.grounding import Box
from qwenvl_core.layout import parse_layout
from tests.support.layout_pages import QWEN3, QWEN25, check_page, list_texts, list_types, make_div


def test_qwen3_html_gives_elements_boxes_and_markdown() -> None:
    page = check_page(parse_layout(QWEN3))
    title, image, table, text = page.elements
    assert list_types(page) == ["text", "image", "table", "text"]
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


def test_qwen25_html_with_size_converts_pixels() -> None:
    page = check_page(parse_layout(QWEN25, space="absolute", size=(1000, 2000)))
    assert list(zip(list_types(page), list_texts(page), strict=True)) == [
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


def test_prose_and_fences_around_html_are_ignored() -> None:
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


def test_several_html_pages_keep_their_order() -> None:
    first, second = (f"```html\n<html><body>{make_div(word)}</body></html>\n```" for word in "ab")
    assert list_texts(parse_layout(f"{first}\nand then\n{second}")) == ["a", "b"]
    assert list_texts(parse_layout(QWEN3 + QWEN3)) == list_texts(parse_layout(QWEN3)) * 2


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
def test_element_tag_and_class_decide_the_type(tag: str, expected: str) -> None:
    name = tag[1:].split()[0]
    page = check_page(parse_layout(f"{tag}words</{name}>"))
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
def test_bbox_attribute_becomes_a_box(bbox: str, expected: Box | None) -> None:
    (element,) = parse_layout(make_div("words", bbox)).elements
    assert (element.text, element.box) == ("words", expected)


def test_html_without_boxes_gives_elements() -> None:
    page = check_page(
        parse_layout(
            """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Not on the page</title>
            <style>p > b { color: red }</style><script>if (a < b) { alert("</p>") }</script></head>
            <body><div class="container"><h1>Invoice</h1>loose <b>words</b><p>Dear <i>you</i>,<br>hello</p>
            <ul><li>a<ul><li>b</li></ul></li></ul><ol start="3"><li>c</ol>
            <table class="t"><tr><th>k<th>v<tr><td>1<td>2</table><img src="logo.png" alt="Logo"></div></body></html>"""
        )
    )
    assert list(zip(list_types(page), list_texts(page), strict=True)) == [
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


def test_element_without_box_takes_the_box_inside() -> None:
    image = make_div('<img data-bbox="100 200 300 400"/>', "bad", "image")
    page = parse_layout(image + '<ul><li><p data-bbox="100 200 300 400">x</p></li></ul>')
    assert [(e.type, e.box) for e in page.elements] == [
        ("image", Box(0.1, 0.2, 0.3, 0.4)),
        ("list_item", Box(0.1, 0.2, 0.3, 0.4)),
    ]


def test_neutral_tag_takes_the_type_of_its_content() -> None:
    for source, expected_type, markdown in [
        ("<table><tr><td>a</td></tr></table>", "table", "| a |\n| --- |"),
        ("<h2>a</h2>", "title", "# a"),
        ("<ul><li>a</li></ul>", "list_item", "- a"),
        ("<img/>", "image", "![image]()"),
        ("<p>a</p><p>b</p>", "text", "a\n\nb"),
        ("a<table><tr><td>b</td></tr></table>", "text", "a\n\n| b |\n| --- |"),
    ]:
        page = check_page(parse_layout(f"<div data-bbox='1 1 9 9'>{source}</div>"))
        assert [(e.type, page.markdown) for e in page.elements] == [(expected_type, markdown)]


@pytest.mark.parametrize(
    "text",
    [
        "<ol start='3'><li data-bbox='1 2 30 40'>a<li data-bbox='1 50 30 60'>b</ol>",
        "<ol start='3'><li>a</li><li value='4'>b</li></ol>",
        "3. a\n4) b",
    ],
)
def test_ordered_list_items_keep_their_numbers(text: str) -> None:
    page = check_page(parse_layout(text))
    assert [(e.type, e.text, e.html) for e in page.elements] == [
        ("list_item", "a", '<li value="3">a</li>'),
        ("list_item", "b", '<li value="4">b</li>'),
    ]
    again = parse_layout("".join(e.html or "" for e in page.elements), format="html")
    assert again.markdown == "3. a\n4. b"


def test_nested_lists_keep_indentation_and_numbers() -> None:
    inside = "<ul><li>a<ol start='4'><li>b</li><li>c<br>d</li></ol></li><li>e</li></ul>"
    page = check_page(parse_layout(make_div(inside, css_class="list")))
    assert page.markdown == "- a\n  4. b\n  5. c\nd\n- e"
    assert page.elements[0].text == "a\nb\nc\nd\ne"


def test_nested_tables_and_spans_stay_html_in_markdown() -> None:
    row = "<tr><td>a<table><tr><td>b</td></tr></table></td><td rowspan='2' colspan='x'>c</td></tr>"
    page = check_page(parse_layout(f"<table data-bbox='1 1 9 9'>{row}</table>"))
    assert page.markdown == '<table><tr><td>a<table><tr><td>b</td></tr></table></td><td rowspan="2">c</td></tr></table>'
    captioned = check_page(
        parse_layout("<table data-bbox='1 1 9 9'><caption>Sums</caption><tr><td>a</td></tr></table>")
    )
    assert captioned.markdown == "Sums\n\n| a |\n| --- |"
    assert captioned.elements[0].text == "Sums\na"


def test_element_html_is_safe_xml() -> None:
    text = make_div(
        '<a href="javascript:x()" onclick="y()" style="z">a</a><a href="https://example.org?a=1&b=2">b</a><br>'
        '<foo:bar q="1">c</foo:bar>&nbsp;\x0b<hr> 1 < 2 <String>'
    )
    (element,) = check_page(parse_layout(text)).elements
    assert element.html == (
        '<div class="text"><a>a</a><a href="https://example.org?a=1&amp;b=2">b</a><br/>'
        "c\xa0<hr/> 1 &lt; 2 &lt;String&gt;</div>"
    )


def test_caption_with_the_text_img_has_no_picture() -> None:
    page = check_page(parse_layout(make_div("img", css_class="caption")))
    assert (list_texts(page), page.markdown) == (["img"], "img")


@pytest.mark.parametrize(
    "css_class", ["chart", "formula", "image caption", "image ocr", "music sheet", "chemical formula"]
)
def test_boxes_inside_pictures_add_no_elements(css_class: str) -> None:
    picture = make_div("<img data-bbox='1 1 9 9'><p data-bbox='1 1 9 9'>x</p>", css_class=css_class)
    assert list_texts(check_page(parse_layout(picture + make_div("y")))) == ["x", "y"]


def test_code_keeps_its_lines_and_gets_a_fence() -> None:
    page = check_page(parse_layout(make_div("<pre><code>def f():\n    return `1`\n</code></pre>after")))
    assert page.elements[0].text == "def f():\n    return `1`\nafter"
    assert page.markdown == "```\ndef f():\n    return `1`\n```\n\nafter"
    (code,) = parse_layout(make_div("<code>a\n  b\n```</code>")).elements
    assert parse_layout(code.html or "", format="html").markdown == "````\na\n  b\n```\n````"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<input type=checkbox checked>Yes<input type=checkbox>No", "☑ Yes ☐ No"),
        ("<input type='radio' checked='checked'/> Yes <input type='radio' checked='false'/> No", "☑ Yes ☐ No"),
        ("Name: <input value='Bo 5'>6<input type=hidden value=7>", "Name: Bo 5 6"),
        ("<select><option>A<option selected>B</select>", "☐ A ☑ B"),
        ("<select><option value=1>1</option><option>2</option></select>", "1 2"),
        ("12<textarea>34</textarea>56<button>78</button>", "12 34 56 78"),
        ("<progress value=70 max=100></progress>", "70"),
    ],
)
def test_form_controls_keep_ticks_and_values(source: str, text: str) -> None:
    (element,) = check_page(parse_layout(make_div(f"<form action=x>{source}</form>"))).elements
    assert element.text == text
    assert "<form" not in (element.html or "")


def test_list_with_a_box_gives_it_to_items_without_one() -> None:
    page = check_page(
        parse_layout(
            '<ul data-bbox="1 2 300 400"><li>a</li><li data-bbox="5 6 70 80">b</li></ul><p data-bbox="9 9 10 10">c</p>'
        )
    )
    assert [element.box for element in page.elements] == [
        Box(0.001, 0.002, 0.3, 0.4),
        Box(0.005, 0.006, 0.07, 0.08),
        Box(0.009, 0.009, 0.01, 0.01),
    ]


@pytest.mark.parametrize(
    ("content", "markdown"),
    [
        ("$$a$$", "$$a$$"),
        ("$a$", "$$a$$"),
        ("\\[a\\]", "$$a$$"),
        ("$$a$$ and $$b$$", "$$a$$ and $$b$$"),
        ("\\(a\\) or \\(b\\)", "\\(a\\) or \\(b\\)"),
        ("where $x$ is", "where $x$ is"),
        ("x<sup>12</sup>", "$$x^{12}$$"),
        ("a&lt;b&gt;c", "$$a< b>c$$"),
    ],
)
def test_formula_gets_one_pair_of_signs(content: str, markdown: str) -> None:
    assert check_page(parse_layout(make_div(content, css_class="formula"))).markdown == markdown


@pytest.mark.parametrize(
    ("css_class", "rendered"),
    [
        ("image caption", "image caption"),
        ("formula.machine_printed", "formula.machine_printed"),
        ("page-number", "footer"),
        ("image caption btn btn-danger", "image caption"),
        ("blueprint", ""),
        ("Text", "text"),
    ],
)
def test_html_keeps_only_known_classes(css_class: str, rendered: str) -> None:
    (element,) = check_page(parse_layout(make_div("<b class='text-danger'>x</b>", css_class=css_class))).elements
    root = ET.fromstring(element.html or "")
    assert (root.get("class", ""), root[0].attrib) == (rendered, {})


@pytest.mark.parametrize("name", ["p", "h1", "li", "a", "section"])
def test_tag_with_a_picture_only_is_a_picture(name: str) -> None:
    source = f'<p>a</p>\n\n<{name}><img src="x.png" alt="Logo 5"></{name}>\n\n<p>b</p>'
    for page in (check_page(parse_layout(source, format="html")), check_page(parse_layout(source, format="markdown"))):
        assert list(zip(list_types(page), list_texts(page), strict=True))[-1] == ("text", "b")
        assert "![Logo 5]()" in page.markdown

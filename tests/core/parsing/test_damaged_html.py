"""Parse HTML that is unbalanced, damaged or escaped once more."""

from __future__ import annotations

import html
import json

import pytest

from qwenvl_core.grounding import Box
from qwenvl_core.layout import parse_layout
from tests.support.layout_pages import check_page, list_texts, make_div


def test_unclosed_element_ends_at_the_next_box() -> None:
    unclosed = f"{make_div('a')[:-6]}{make_div('b')}<p data-bbox='1 1 9 9'>c<h2 data-bbox='1 1 9 9'>d</h2>"
    page = check_page(parse_layout(f"<html><body>{unclosed}</body></html>"))
    assert list_texts(page) == ["a", "b", "c", "d"]
    assert not page.truncated


def test_unclosed_chart_ends_at_the_next_element() -> None:
    table = "<table data-bbox='1 1 9 9'><tr><td>1</td></tr></table>"
    chart = f"<div class='chart' data-bbox='1 1 9 9'><img data-bbox='1 1 9 9'/>{table}"
    inside = check_page(parse_layout(f"<html><body>{chart}{make_div('b')}</div>{make_div('c')}</body></html>"))
    assert list_texts(inside) == ["1\nb", "c"]
    unclosed = check_page(
        parse_layout(f"<html><body>{chart}{make_div('b')}{make_div('c')}<p data-bbox='1 1 9 9'>d</p></body></html>")
    )
    assert list_texts(unclosed) == ["1", "b", "c", "d"]


def test_deep_nesting_keeps_the_text() -> None:
    deep = "<b>" * 5000 + "a" + "</b>" * 5000 + "<div>" * 5000 + "b" + "</div>" * 5000
    page = check_page(parse_layout(f"<html><body>{make_div(deep)}{make_div('c')}</body></html>"))
    assert list_texts(page) == ["a\nb", "c"]


def test_damaged_tables_are_repaired() -> None:
    for source in [
        "<table data-bbox='1 1 9 9'><tr><td>a<td>b<tr><td>c<td>d</table>",
        "<table data-bbox='1 1 9 9'><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>",
        "<div class='table' data-bbox='1 1 9 9'><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></div>",
        "<div class='table' data-bbox='1 1 9 9'><table><tr><td>a</td><td>b</td></tr><tr><td>c<td>d</td></tr></div>",
        "<table data-bbox='1 1 9 9'><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr>",
    ]:
        page = check_page(parse_layout(f"<html><body>{source}<p data-bbox='1 1 9 9'>after</p></body></html>"))
        assert list_texts(page) == ["a | b\nc | d", "after"], source


def test_damaged_tags_keep_text_and_boxes() -> None:
    whole = f"<html><body>{make_div('one')}{make_div('two')}</body></html>"
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
        page = check_page(parse_layout(damaged))
        assert list_texts(page) == ["one", "two"], damaged
        assert [e.box for e in page.elements] == [e.box for e in expected.elements], damaged


PAGE = f"<html><body>{make_div('a', '100 200 300 400')}{make_div('b：“c”', '500 600 700 800')}</body></html>"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PAGE, ensure_ascii=False),
        json.dumps({"html": PAGE}),
        PAGE.replace("'", '"').replace('"', '\\"'),
        html.escape(PAGE),
        html.escape(PAGE, quote=False),
    ],
)
def test_html_escaped_once_more_is_unescaped(text: str) -> None:
    page = check_page(parse_layout(text))
    assert [(e.type, e.text, e.box) for e in page.elements] == [
        ("text", "a", Box(0.1, 0.2, 0.3, 0.4)),
        ("text", "b：“c”", Box(0.5, 0.6, 0.7, 0.8)),
    ]


def test_html_with_full_width_signs_is_read() -> None:
    wide = PAGE.translate(str.maketrans("<>=", "＜＞＝"))
    assert next((e.text, e.box) for e in check_page(parse_layout(wide)).elements) == ("a", Box(0.1, 0.2, 0.3, 0.4))

"""Test the inline markup of Markdown: what is read, what stays as it is, and linear time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenvl_core.layout import parse_layout
from tests.support.layout_pages import check_page, list_texts
from tests.support.timing import measure_seconds


@pytest.mark.parametrize(
    ("source", "text", "html"),
    [
        ("**Total** *x* __Big words__ _y_", "Total x Big words y",
         "<strong>Total</strong> <em>x</em> <strong>Big words</strong> <em>y</em>"),
        ("***both*** **a *b* c**", "both a b c", "<strong><em>both</em></strong> <strong>a <em>b</em> c</strong>"),
        ("这是**重点**内容", "这是重点内容", "这是<strong>重点</strong>内容"),
        ("**Name:**John **R**etrieval", "Name:John Retrieval", "<strong>Name:</strong>John <strong>R</strong>etrieval"),
        ("~~12~~9", "~~12~~9", "<del>12</del>9"),
        ("`a*b*c` and ``x`y``", "a*b*c and x`y", "<code>a*b*c</code> and <code>x`y</code>"),
        ("1`2`3 `4` 5` 6 `7 x`8`", "1 2 3 4 5 6 7 x8",
         "1<code>2</code>3 <code>4</code> 5<code>6</code>7 x<code>8</code>"),
        ("1<code>2</code>3 `4`", "1 2 3 4", "1<code>2</code>3 <code>4</code>"),
        ("a&#10;b &NewLine;c", "a\nb\nc", "a<br/>b <br/>c"),
        ("**a\nb** *c*\u00a0`d`\ne", "a\nb c d\ne",
         "<strong>a<br/>b</strong> <em>c</em> <code>d</code><br/>e"),
        ("[**a**](https://b.c/d_e_f) <https://g.h>", "a https://g.h",
         '<a href="https://b.c/d_e_f"><strong>a</strong></a> <a href="https://g.h">https://g.h</a>'),
        ("[a [b] c](https://d.e)", "a [b] c", '<a href="https://d.e">a [b] c</a>'),
        ("see ![a plan](plan.png) here", "see a plan here", "see a plan here"),
        ("5![6](a.png)![7](b.png)8", "5 6 7 8", "5 6 7 8"),
        (r"\*a\* \# 1\. \_b\_", "*a* # 1. _b_", "*a* # 1. _b_"),
        ("a &amp; b &lt;c&gt; &eacute; &#233;", "a & b <c> é é", "a &amp; b &lt;c&gt; é é"),
        ("a<br>b<br/>c\\\nd", "a\nb\nc\nd", "a<br/>b<br/>c<br/>d"),
        ("<b>a</b> <I>b</I> 10<sup>6</sup>", "a b 10^6", "<b>a</b> <i>b</i> 10<sup>6</sup>"),
        ("<input type=checkbox checked>Yes `<input>`", "☑ Yes <input>", "☑ Yes <code>&lt;input&gt;</code>"),
        ("$a_1*b*c$ \\(a_b_c\\) costs $5 and $6", "$a_1*b*c$ \\(a_b_c\\) costs $5 and $6",
         "$a_1*b*c$ \\(a_b_c\\) costs $5 and $6"),
    ],
)  # fmt: skip
def test_inline_markup_is_read(source: str, text: str, html: str) -> None:
    (element,) = check_page(parse_layout(source, format="markdown")).elements
    assert (element.text, element.html) == (text, f"<p>{html}</p>")


@pytest.mark.parametrize(
    "text",
    [
        "2*3*4",
        "2**3**4",
        "**12**5",
        "__init__",
        "__main__.py",
        "snake_case_name",
        "5 * 3 * 2",
        "Name: ____ Date: ___",
        "Date: __/__/____",
        "Time __:__",
        "__.__.20__",
        "a < b, c > d, 1 <2",
        "<String> List<Integer>",
        "12[^3] [1] [a][b]",
        "p* and q*",
        "~5 and ~6",
        "C:\\dir\\file",
        "Enter <address> here",
        "100% & more; AT&T",
        "$5 or 5$, a_b & *c, ~d [1] 3 ] 4",
    ],
)
def test_text_that_is_no_markup_is_unchanged(text: str) -> None:
    assert list_texts(check_page(parse_layout(text, format="markdown"))) == [text]


def test_titles_items_and_cells_are_read_inline() -> None:
    page = check_page(parse_layout("# **A** b\n\n- *c* `d`\n\n| **e** |\n|---|\n| f<br>g \\| h |\n"))
    assert list_texts(page) == ["A b", "c d", "e\nf g | h"]
    assert [element.html for element in page.elements] == [
        "<h1><strong>A</strong> b</h1>",
        "<li><em>c</em> <code>d</code></li>",
        "<table><tr><th><strong>e</strong></th></tr><tr><td>f<br/>g | h</td></tr></table>",
    ]
    assert page.markdown == "# **A** b\n\n- *c* `d`\n\n| **e** |\n|---|\n| f<br>g \\| h |"


PIECES = st.sampled_from(
    ["*", "**", "***", "_", "__", "~~", "`", "``", "[", "]", "(u)", "](u)", "!", "<b>", "</b>",
     "<br>", "<sup>", "</sup>",
     "<p>", "</p>", "<td>", "<a href='x'>", "</a>", "\\",
     "$", "&lt;", "&", "<", ">", "a", "1", " ", "é", "\n",
     "<x>", "|"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_any_inline_markup_gives_well_formed_html(text: str) -> None:
    check_page(parse_layout(text, format="markdown"))


@pytest.mark.parametrize(
    "unit",
    ["*a ", "**a ", "*a** ", "_a __b ", "`", "``a`", "[", "[a](", "[a](b", "![", "<b>", "</b>", "<b ", "<a href='",
     "\\(", "$a", "$a$", "&lt;", "&a", "~~a ", "*a_b ", "<math>", "<select><b>", "<input ", "<sup>", "](",
     "> ", ">> a\n", "> 5\n", "a\n===\n"],
)  # fmt: skip
def test_read_time_grows_in_proportion_to_the_text(unit: str) -> None:
    size = 4_000
    texts = (unit * (n // len(unit)) for n in (size, 4 * size))
    short, long = (measure_seconds(lambda text: parse_layout(text, format="markdown"), text) for text in texts)
    assert long < 4 * 2.5 * short + 0.01

"""Parse random, damaged and hostile pages without errors and in linear time."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenvl_core.layout import parse_layout
from tests.support.layout_pages import MARKDOWN, QWEN3, QWEN25, check_page, list_texts, make_div
from tests.support.timing import measure_seconds

ELEMENTS = (
    make_div("a"),
    make_div("", css_class="chart")[:-6],
    make_div("", css_class="table")[:-6],
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
def test_any_text_parses_without_error(text: str, format: str) -> None:
    check_page(parse_layout(text, format=format))  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([QWEN3, QWEN25, MARKDOWN]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), FRAGMENTS), max_size=5),
)
def test_damaged_pages_parse_without_error(text: str, damages: list[tuple[float, int, str]]) -> None:
    for position, length, fragment in damages:
        offset = int(position * len(text))
        text = text[:offset] + fragment + text[offset + length :]
    check_page(parse_layout(text))


@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])), min_size=1, max_size=6))
def test_escaped_text_is_restored(words: list[str]) -> None:
    escape = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    page = check_page(
        parse_layout("<html><body>" + "".join(make_div(word.translate(escape)) for word in words) + "</body></html>")
    )
    assert [text.split() for text in list_texts(page)] == [word.split() for word in words]
    assert [ET.fromstring(e.html or "").text or "" for e in page.elements] == words


HTML_UNITS = ("<div", "<", "<!--", "<a x='", "<style>", "<div>", "<ul><li>", "<td>", "<table><tr><td>", "&#9", "</div>")

BOXED_UNITS = (
    make_div("a"),
    make_div("a")[:-6],
    make_div("a", css_class="chart")[:-6],
    "<li><p data-bbox='1 2 3 4'>",
)

LATEX_UNITS = ("\\begin{tabular}{l}", "\\begin{tabular}{l}\n\n", "\\multicolumn{99}{c}{a}&", "$$ \n\n", "\\[")


MARKDOWN_UNITS = ("```\n", "<!-- Table (1, 2, 3, 4) -->", "<!-- Image (", "| a | b |\n|--|--|\n", "- a\n", "![a](")


@pytest.mark.parametrize(
    ("format", "unit"),
    [
        *(("html", unit) for unit in (*HTML_UNITS, *BOXED_UNITS)),
        *(("markdown", unit) for unit in (*LATEX_UNITS, *MARKDOWN_UNITS)),
    ],
)
def test_parse_time_grows_in_proportion_to_the_text(format: str, unit: str) -> None:
    size = 4_000
    texts = (unit * (n // len(unit)) for n in (size, 4 * size))
    short, long = (measure_seconds(lambda text: parse_layout(text, format=format), text) for text in texts)  # type: ignore[arg-type]
    assert long < 4 * 2.5 * short + 0.01


def test_megabyte_of_open_tags_is_parsed() -> None:
    for unit in ("<div", "<"):
        parse_layout(unit * (1_000_000 // len(unit)))

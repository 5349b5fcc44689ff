"""Test blocks of Markdown: quotations with formulas, tables and code in them, fences of tildes, lines without text."""

from __future__ import annotations

import pytest

from qwenvl_core.grounding import Box
from qwenvl_core.layout import parse_layout
from tests.support.layout_pages import check_page, list_texts, list_types

TABLE = "| a | b |\n|---|---|\n| 1 | 2 |"


def quote(source: str, marks: str = "> ") -> str:
    """Return a source with the marks of a quotation before each line."""
    return "\n".join(marks + line for line in source.split("\n"))


@pytest.mark.parametrize("marks", ["> ", ">", ">> ", "> > "])
@pytest.mark.parametrize(
    "source",
    [
        "$$x^2$$",
        "$$\nx^2\n+ 1\n$$",
        "\\[\na > 0\n\\]",
        "a $$x$$ b",
        "\\begin{align}\na &= b \\\\\n\\end{align}",
        TABLE,
        f"text\n\n{TABLE}\n\nmore",
        "\\begin{tabular}{ll}\na & b \\\\\n\\end{tabular}",
        "<table>\n<tr><td>5</td></tr>\n</table>",
        "# A\n\n1. b\n2. c",
        "```python\n$$x$$\n| *a* |\n```",
        "```\na\n```\nb",
    ],
)
def test_quotation_gives_the_elements_of_what_it_quotes(source: str, marks: str) -> None:
    plain, quoted = (check_page(parse_layout(text, format="markdown")) for text in (source, quote(source, marks)))
    assert [(e.type, e.text, e.latex) for e in quoted.elements] == [(e.type, e.text, e.latex) for e in plain.elements]
    depth_marks = "> " * marks.count(">")
    assert [line for line in quoted.markdown.split("\n") if line] == [
        depth_marks + line for line in plain.markdown.split("\n\n") for line in line.split("\n")
    ]


@pytest.mark.parametrize(
    ("source", "elements"),
    [
        ("```\n> a\n> 5\n```\nb", [("text", "> a\n> 5"), ("text", "b")]),
        ("$$\na\n> b\n$$", [("formula", "a\n> b")]),
        ("$$ x\n> y $$\n> b", [("formula", "x\n> y"), ("text", "b")]),
        ("> ```\n>> *x*\n> ```\n> b", [("text", "> *x*"), ("text", "b")]),
        ("> ```\n> *x*\n\nb", [("text", "*x*"), ("text", "b")]),
        ("> 5 $$x$$\n> 6", [("text", "> 5"), ("formula", "x"), ("text", "> 6")]),
        ("> a\n>\n> $$x$$", [("text", "a"), ("formula", "x")]),
        ("- a\n> $$x$$", [("list_item", "a"), ("formula", "x")]),
    ],
)
def test_quotation_ends_where_code_and_formulas_begin(source: str, elements: list[tuple[str, str]]) -> None:
    page = check_page(parse_layout(f"x\n\n{source}", format="markdown"))
    assert list(zip(list_types(page), list_texts(page), strict=True)) == [("text", "x"), *elements]


@pytest.mark.parametrize(
    "cut", ["> ```\n> x", "> $$\n> x", f"{quote(TABLE)}\n> | 3", "> \\begin{tabular}{l}\n> a \\\\ b"]
)
def test_cut_quotation_is_marked(cut: str) -> None:
    assert parse_layout(cut, format="markdown").truncated
    assert not parse_layout(f"{cut}\n\nmore", format="markdown").truncated


def test_comment_before_quoted_elements_gives_them_their_box_and_type() -> None:
    title, table, text = check_page(
        parse_layout(
            f"<!-- Title (1, 2, 30, 40) -->\n> Big *one*\n\n> <!-- Table (5, 6, 70, 80) -->\n{quote(TABLE)}\n\n"
            "<!-- Text (1, 2, 30, 40) -->\n> q"
        )
    ).elements
    assert (title.type, title.text, title.html) == ("title", "Big one", "<h1>Big <em>one</em></h1>")
    assert (table.type, table.box) == ("table", Box(0.005, 0.006, 0.07, 0.08))
    assert (text.type, text.html) == ("text", "<blockquote><p>q</p></blockquote>")


def test_quoted_title_keeps_its_mark_in_markdown() -> None:
    assert parse_layout("<!-- Title (1, 2, 30, 40) -->\n> a\n> b").markdown == "> # a b"


@pytest.mark.parametrize(
    ("source", "elements"),
    [
        ("~~~python\nif *x*:\n    y\n~~~", [("text", "if *x*:\n    y")]),
        ("~~~\n*x*\n~~~~~", [("text", "*x*")]),
        ("~~~~\n~~~\nx\n~~~~", [("text", "~~~\nx")]),
        ("````\n```\nx\n```\n````", [("text", "```\nx\n```")]),
        ("~~~\n```\nx\n~~~", [("text", "```\nx")]),
        ("```\n~~~\nx\n```", [("text", "~~~\nx")]),
        ("~~~ c++ `a`\nx\n~~~", [("text", "x")]),
        ("> ~~~\n> *x*\n> ~~~", [("text", "*x*")]),
        ("~~~sh\nx", [("text", "x")]),
        ("~~~\nx", [("text", "x")]),
        ("~~~~~\nx", [("text", "~~~~~\nx")]),
        ("~~~~~~~~~~~~\nx\n~~~~~~~~~~~~", [("text", "~~~~~~~~~~~~\nx\n~~~~~~~~~~~~")]),
        ("~~~x~~~\ny", [("text", "~~~x~~~\ny")]),
        ("~~x~~\ny\n~~z~~", [("text", "~~x~~\ny\n~~z~~")]),
        ("a ~~~\nb\n~~~", [("text", "a ~~~\nb"), ]),
    ],
)  # fmt: skip
def test_fence_of_tildes_or_many_backticks_is_code(source: str, elements: list[tuple[str, str]]) -> None:
    page = check_page(parse_layout(f"t\n\n{source}", format="markdown"))
    assert list(zip(list_types(page), list_texts(page), strict=True)) == [("text", "t"), *elements]
    assert page.truncated == (source in ("~~~sh\nx", "~~~\nx"))


@pytest.mark.parametrize("code", ["~~~\n```\n*x*\n~~~", "~~~sh\n*x*\n~~~"])
def test_fence_of_a_page_is_not_ended_by_code_in_it(code: str) -> None:
    page = check_page(parse_layout(f"```markdown\n# A\n\n{code}\n\n$$y$$\n```\nThat is the page."))
    assert list_types(page) == ["title", "text", "formula"]
    assert not page.truncated


def test_line_of_tildes_does_not_keep_a_page_open() -> None:
    page = check_page(parse_layout("```markdown\n# A\n\n~~~~~~\nb\n```\nThat is the page."))
    assert list_texts(page) == ["A", "~~~~~~\nb"]


@pytest.mark.parametrize("source", ["<br>\n---", "<br>\n===", "# <br>", "<br>", "## <b></b>"])
def test_line_without_text_gives_no_element(source: str) -> None:
    page = check_page(parse_layout(f"a\n\n{source}\n\nb", format="markdown"))
    assert (list_texts(page), page.markdown) == (["a", "b"], "a\n\nb")


def test_line_with_pictures_only_is_kept() -> None:
    assert parse_layout("a\n\n![](x.png) ![](y.png)").markdown == "a\n\n![](x.png) ![](y.png)"

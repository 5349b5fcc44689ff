"""Parse Markdown pages: comments with coordinates, LaTeX tables, formulas, code and lines."""

from __future__ import annotations

import pytest

from qwenvl_core.grounding import Box
from qwenvl_core.layout import PageLayout, parse_layout
from tests.support.layout_pages import MARKDOWN, check_page, list_texts, list_types


@pytest.mark.parametrize("wrap", ["{}", "```markdown\n{}\n```", "Sure:\n```md\n{}\n```\nDone.", "```\n{}\n```"])
def test_markdown_page_gives_elements_boxes_and_markdown(wrap: str) -> None:
    page = check_page(parse_layout(wrap.replace("{}", MARKDOWN)))
    assert list(zip(list_types(page), list_texts(page), strict=True)) == [
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
def test_latex_table_becomes_html(body: str, rows: str, environment: str) -> None:
    name = environment.split("}")[0]
    source = f"\\begin{{{environment}}}{body}\\end{{{name}}}"
    for text in (
        source,
        f"$$\n{source}\n$$",
        f"```latex\n{source}\n```",
        f"\\begin{{table}}[h]\n\\centering\n{source}\n\\end{{table}}",
    ):
        page = check_page(parse_layout(f"<!-- Table (1, 2, 3, 4) -->\n{text}\n\nafter"))
        table, after = page.elements
        assert (table.type, table.html, table.latex, after.text) == ("table", f"<table>{rows}</table>", source, "after")
        assert table.box == Box(0.001, 0.002, 0.003, 0.004)


def test_unreadable_latex_table_keeps_its_source() -> None:
    source = r"\begin{tabular}{l} a & {b \\ c \end{tabular}"
    page = check_page(parse_layout(source))
    assert [(e.type, e.html, e.latex) for e in page.elements] == [("table", None, source)]
    assert source in page.markdown


@pytest.mark.parametrize("words", ["markdown", "md", "qwenvl markdown"])
def test_fence_around_markdown_is_removed(words: str) -> None:
    page = check_page(parse_layout(f"```{words}\n# a\n\nb\n```"))
    assert list(zip(list_types(page), list_texts(page), strict=True)) == [("title", "a"), ("text", "b")]


def test_captions_code_and_inner_fences_become_elements() -> None:
    page = check_page(
        parse_layout(
            "```markdown\n\\begin{table}\n\\caption{The \\textbf{sums}}\n\\begin{tabular}{l} a \\\\ \\end{tabular}\n"
            "\\end{table}\n```html\n<table><tr><td>b</td></tr></table>\n```\n```sh\nls\n```\nc\n```\nprose"
        )
    )
    assert list(zip(list_types(page), list_texts(page), strict=True)) == [
        ("caption", "The sums"),
        ("table", "a"),
        ("table", "b"),
        ("text", "ls"),
        ("text", "c"),
    ]


def test_further_markdown_gives_elements() -> None:
    page = check_page(
        parse_layout(
            "<!-- Chart (1, 2, 3, 4) -->\n\n<!-- Title (1, 2, 3, 4) -->\nBig\n\n<!-- Signature (1, 2, 3, 4) -->\n"
            "<!-- a remark -->\n| a | b \\| c |\n|---|:-:|\n| 1 |\n\n<!-- Table (5, 6, 7, 8) -->\nTable 1: sums\n\n"
            "<table><tr><td>x</td></tr></table>\n\n```python\n# code\nprint()\n```\n\n![A cat](cat.png)\n\n"
            "1. one\n   more\n---\n\\[ a^2 \\]\n\\begin{align} b \\\\ c \\end{align}\n## Sub ##\n"
        )
    )
    assert list(zip(list_types(page), list_texts(page), strict=True)) == [
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


@pytest.mark.parametrize(
    ("source", "elements", "markdown"),
    [
        ("> 10<sup>6</sup> of **x**\n> more", [("text", "10^6 of x\nmore")], "> 10<sup>6</sup> of **x**\n> more"),
        ("a\n> b\nc", [("text", "a"), ("text", "b"), ("text", "c")], "a\n\n> b\n\nc"),
        ("> # A\n>\n> - b\n> - c\n\nd", [("title", "A"), ("list_item", "b"), ("list_item", "c"), ("text", "d")],
         "> # A\n\n> - b\n> - c\n\nd"),
        (">> a\n> > b\n> c", [("text", "a\nb"), ("text", "c")], "> > a\n> > b\n\n> c"),
        ("> | a | b |\n> |---|---|\n> | 1 | 2 |", [("table", "a | b\n1 | 2")],
         "> | a | b |\n> |---|---|\n> | 1 | 2 |"),
        ("> below 5\n> 5 kg", [("text", "below 5\n5 kg")], "> below 5\n> 5 kg"),
        ("> 5 kg\n>€ 6\n> -7", [("text", "> 5 kg\n>€ 6\n> -7")], "> 5 kg\n>€ 6\n> -7"),
        ("weight\n> 5 kg", [("text", "weight\n> 5 kg")], "weight\n> 5 kg"),
        (">= a", [("text", ">= a")], ">= a"),
        ("-> a", [("text", "-> a")], "-> a"),
        (">>> a()", [("text", ">>> a()")], ">>> a()"),
        ("> >= 5 mg", [("text", ">= 5 mg")], "> >= 5 mg"),
        ("> >>> a()", [("text", ">>> a()")], "> >>> a()"),
        ("> 1. a\n> 2. b", [("list_item", "a"), ("list_item", "b")], "> 1. a\n> 2. b"),
        ("> ```python\n> if *x*:\n>     y\n> ```", [("text", "if *x*:\n    y")],
         "> ```python\n> if *x*:\n>     y\n> ```"),
        (">", [("text", ">")], ">"),
        ("    > a", [("text", "> a")], "> a"),
    ],
)  # fmt: skip
def test_quotations_are_read_and_comparisons_are_kept(
    source: str, elements: list[tuple[str, str]], markdown: str
) -> None:
    page = check_page(parse_layout(source, format="markdown"))
    assert list(zip(list_types(page), list_texts(page), strict=True)) == elements
    assert page.markdown == markdown


def test_quoted_paragraph_is_a_quotation_in_html() -> None:
    page = parse_layout("> a **b**\n\n> - c\n", format="markdown")
    assert [element.html for element in page.elements] == [
        "<blockquote><p>a <strong>b</strong></p></blockquote>",
        "<li>c</li>",
    ]


@pytest.mark.parametrize(
    ("source", "markdown", "kinds"),
    [
        ("Big *one*\n===", "# Big *one*", "title"),
        ("Small\n-----  \ntext", "## Small\n\ntext", "title text"),
        ("Is it?\n===", "# Is it?", "title"),
        ("A sentence.\n---\nb", "A sentence.\n\nb", "text text"),
        ("Name:\n---\nb", "Name:\n\nb", "text text"),
        ("**A sentence.**\n---\nb", "**A sentence.**\n\nb", "text text"),
        ("TOTAL 12.50\n=======", "TOTAL 12.50\n=======", "text"),
        ("a | b\n---", "a | b", "text"),
        ("Item   Price\n===", "# Item Price", "title"),
        ("a\n\n---\n\nb", "a\n\nb", "text text"),
        ("a\nb\n===", "a\nb\n===", "text"),
        ("a\n==", "a\n==", "text"),
        ("- a\n===", "- a\n\n===", "list_item text"),
        ("| a |\n|---|", "| a |\n|---|", "table"),
    ],
)
def test_underlined_line_is_a_title(source: str, markdown: str, kinds: str) -> None:
    page = check_page(parse_layout(source, format="markdown"))
    assert (page.markdown, " ".join(list_types(page))) == (markdown, kinds)


def test_plain_text_becomes_paragraphs() -> None:
    page = parse_layout("Just words.\n\nMore <b>words</b>, 1 < 2.")
    assert list(zip(list_types(page), list_texts(page), strict=True)) == [
        ("text", "Just words."),
        ("text", "More words, 1 < 2."),
    ]
    assert parse_layout("") == PageLayout((), "", False, ())
    assert list_texts(parse_layout("Just words.", format="html")) == ["Just words."]


@pytest.mark.parametrize(
    "comment",
    [
        "<!-- Image (1, 2, 300, 400) -->",
        "<!-- Image: (1, 2, 300, 400) -->",
        "<!-- Figure 1 (1, 2, 300, 400) -->",
        "<!-- Figure 2: A cat [1, 2, 300, 400] -->",
    ],
)
def test_comment_with_a_picture_keeps_picture_and_box(comment: str) -> None:
    picture, text = check_page(parse_layout(f"{comment}\nA cat")).elements
    assert (picture.type, picture.text, picture.box, text.text) == ("image", "", Box(0.001, 0.002, 0.3, 0.4), "A cat")


@pytest.mark.parametrize("name", ["Table", "Table:", "Table 2", "Table 2:", "table 2: Sums"])
def test_comment_with_a_table_gives_the_table_its_box(name: str) -> None:
    (table,) = check_page(parse_layout(f"<!-- {name} (1, 2, 300, 400) -->\n| a | b |\n|---|---|\n| 1 | 2 |\n")).elements
    assert (table.type, table.box) == ("table", Box(0.001, 0.002, 0.3, 0.4))


@pytest.mark.parametrize("fence", ["", "```markdown\n"])
@pytest.mark.parametrize("row", ["| 3 | 4", "| 3 |", "| 3", "|"])
def test_cut_row_of_a_table_is_left_out_and_marked(fence: str, row: str) -> None:
    whole = f"{fence}text\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    page = check_page(parse_layout(whole + row))
    assert (page.truncated, list_texts(page)) == (True, ["text", "a | b\n1 | 2"])
    assert parse_layout(whole).elements == page.elements


@pytest.mark.parametrize(
    "text", ["| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n--|--\n1 | 2", "| a | b |\n|---|---|\n| 1 |\n"]
)
def test_whole_last_row_of_a_table_is_kept(text: str) -> None:
    page = check_page(parse_layout(text))
    assert not page.truncated
    assert list_texts(page)[0].count("\n") == 1


def test_code_keeps_indentation_language_and_fence() -> None:
    source = "```python\n  def f():\n      return `<b>`\n```"
    page = check_page(parse_layout(source))
    assert list_texts(page) == ["  def f():\n      return `<b>`"]
    assert page.markdown == source
    again = parse_layout(page.elements[0].html or "", format="html")
    assert (list_texts(again), again.markdown) == (list_texts(page), source.replace("python", ""))


def test_html_blocks_in_markdown_become_elements() -> None:
    page = check_page(
        parse_layout(
            "<div align=center>\n\n# T\n\n</div>\n\n<h2>Head</h2>\n<p>a <b>b</b></p>\n<ul><li>x</li></ul>",
            format="markdown",
        )
    )
    assert list(zip(list_types(page), list_texts(page), strict=True)) == [
        ("title", "T"),
        ("title", "Head"),
        ("text", "a b"),
        ("list_item", "x"),
    ]

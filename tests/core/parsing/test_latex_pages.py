r"""Test pages in LaTeX, as OCR models write them for the task `document_parsing`."""

from __future__ import annotations

import time
from xml.etree import ElementTree

import pytest

from qwenvl_core.layout import parse_layout

PAGE = r"""```latex
\documentclass[11pt]{article}
\usepackage{amsmath}
\geometry{margin=1in}
\setmainfont{Noto}

\title{Costs of \textbf{Pens}}
\author{Ann Lee\thanks{Office} \and Bo Li}
\date{\today}

\begin{document}
\maketitle
\begin{abstract}
Prices rose by 50\% \& \textit{stayed \textbf{high}}: $x_{1} < y$.
\end{abstract}
\section{Items}
% no text
First paragraph
in two lines.

Second \emph{one} \underline{now}.
\begin{itemize}
\item Pens
\item \textbf{Ink}
\begin{enumerate}
\item blue
\item black
\end{enumerate}
\end{itemize}
\[ a = b^{2} \]
\subsection*{Table}
\begin{table}[h]
\centering
\caption{Prices}
\begin{tabular}{|l|c|}
\hline
Item & Price \\ \hline
Pen & 9.50 \\
\hline
\end{tabular}
\end{table}
\begin{figure}[t]
\includegraphics[width=0.5\textwidth]{pen.png}
\caption{A pen}
\label{fig:pen}
\end{figure}
\end{document}
```"""
MARKDOWN = """# Costs of **Pens**

Ann Lee, Bo Li

Prices rose by 50% & *stayed **high***: $x_{1} < y$.

## Items

First paragraph in two lines.

Second *one* now.

- Pens
- **Ink**
  1. blue
  2. black

$$a = b^{2}$$

### Table

Prices

| Item | Price |
| --- | --- |
| Pen | 9.50 |

![image]()

A pen"""


def test_page_becomes_markdown() -> None:
    page = parse_layout(PAGE)
    assert page.markdown == MARKDOWN
    assert not page.truncated


def test_page_has_elements_of_every_type_with_well_formed_html() -> None:
    page = parse_layout(PAGE)
    html = [element.html or "" for element in page.elements]
    for xml in html:
        ElementTree.fromstring(xml)
    assert [element.type for element in page.elements] == [
        "title", "text", "text", "title", "text", "text", "list_item", "list_item", "list_item", "list_item",
        "formula", "title", "caption", "table", "image", "caption",
    ]  # fmt: skip
    assert html[0] == "<h1>Costs of <b>Pens</b></h1>"
    assert html[2] == "<p>Prices rose by 50% &amp; <i>stayed <b>high</b></i>: $x_{1} &lt; y$.</p>"
    assert html[5] == "<p>Second <i>one</i> <u>now</u>.</p>"
    assert html[9] == '<li value="2">black</li>'
    assert page.elements[2].text == "Prices rose by 50% & stayed high: $x_{1} < y$."
    assert page.elements[10].latex == "a = b^{2}"


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        (r"\section{A}", "## A"),
        ("Here it is:\n```latex\n\\begin{document}\nHi \\textbf{B}.\n\\end{document}\n```\nDone.", "Hi **B**."),
        ("\\section{A}\nOne.\n```", "## A\n\nOne."),
        (r"\section[Short]{Long \& wide}", "## Long & wide"),
        (r"\paragraph{Run in} text", "##### Run in\n\ntext"),
        ("\\section{A}\n\\textbf{}x \\textbf y \\(a_{b}\\)", "## A\n\nx y $a_{b}$"),
        ("\\section{A}\n\\begin{description}\n\\item[Pen] blue\n\\end{description}", "## A\n\n- Pen blue"),
        ("\\section{A}\n\\begin{minipage}{0.5\\textwidth}\nB\n\\end{minipage}", "## A\n\nB"),
        ("\\section{A}\nB \\\\ C", "## A\n\nB\nC"),
        ("\\section{}\n\\title{ }\nB", "B"),
        ("\\section{A\nB", "A B"),
        ("\\section{A}\n<table><tr><td>1</td></tr></table>", "## A\n\n| 1 |\n| --- |"),
    ],
)  # fmt: skip
def test_pieces_of_latex(text: str, markdown: str) -> None:
    assert parse_layout(text).markdown == markdown


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n\nText with \\textbf{bold} and $x$.",
        "```latex\n\\begin{tabular}{c}\nA \\\\\n\\end{tabular}\n```",
        "<!-- Table (1, 2, 300, 400) -->\n\\begin{tabular}{c}\nA \\\\\n\\end{tabular}",
        "The command `\\section{A}` starts a section.",
    ],
)
def test_markdown_with_latex_is_no_latex_page(text: str) -> None:
    assert parse_layout(text) == parse_layout(text, format="markdown")


@pytest.mark.parametrize(
    ("end", "is_cut"),
    [(0, False), (3, True), (20, True), (200, True)],
)
def test_page_that_was_cut_off_is_marked_and_keeps_its_beginning(end: int, is_cut: bool) -> None:
    page = parse_layout(PAGE[: len(PAGE) - end])
    assert page.truncated is is_cut
    assert page.markdown.startswith(MARKDOWN[:100])


def test_plain_text_keeps_all_characters() -> None:
    page = parse_layout("# 1\n| a |\n\n\n<b> & *c*\n", format="text")
    assert [element.text for element in page.elements] == ["# 1\n| a |", "<b> & *c*"]
    assert page.elements[1].html == "<p>&lt;b&gt; &amp; *c*</p>"
    assert page.markdown == "# 1\n| a |\n\n&lt;b> & *c*"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            r"Stra\ss e, caf\'e, \"{o}, \c{c}, \v s, \'{\i}, na\"\i ve, \~n, \o re",
            "Straße, café, ö, ç, š, í, naïve, ñ, øre",
        ),
        (r"25$^{\circ}$C, 25$^\circ$C, 25\textdegree C, 25\degree C", "25°C, 25°C, 25° C, 25° C"),
        (r"\pounds 5, \euro{}6, \texteuro 7, \S 8", "£ 5, €6, € 7, § 8"),
        (r"\checkmark\ A, \ding{51} B, \ding{55} C, $\checkmark$ D, $\times$", "✓ A, ✓ B, ✗ C, ✓ D, ×"),
        (r"m$^2$, m\textsuperscript{2}, 1\textsuperscript{st}, CO$_2$", "m^2, m^2, 1st, CO2"),
        ("10<sup>6</sup> H<SUB >2</sub>O <del>12</del>9 <b>a <i>b</i></b><br/>c", "10^6 H2O ~~12~~9 a b\nc"),
        ("<code>C:\\</code> <math><mi>a</mi><mo>&lt;</mo><mi>b</mi></math>", "C:\\ a<b"),
        ("1 < 2, <x>, <b>c, a <script>d</script>", "1 < 2, <x>, <b>c, a <script>d</script>"),
        ("<input type='checkbox' checked> yes", "☑ yes"),
        (r"\href{https://a.b}{here}, \url{https://a.b}, $x^2 + y$", "here, https://a.b, $x^2 + y$"),
    ],
)
def test_letters_signs_and_superscripts_become_characters(source: str, text: str) -> None:
    (element,) = parse_layout(source, format="latex").elements
    assert element.text == text


@pytest.mark.parametrize(
    ("begin", "name", "language"),
    [
        ("verbatim", "verbatim", ""),
        ("lstlisting}[language=C", "lstlisting", ""),
        ("minted}{python", "minted", "python"),
    ],
)
def test_code_keeps_indentation_tags_and_comments(begin: str, name: str, language: str) -> None:
    code = "if a<b:\n    % <b>x</b> & {y}\n\n    $z$"
    closing = "]" if "[" in begin else "}"
    source = f"\\section{{A}}\n\\begin{{{begin}{closing}\n{code}\n\\end{{{name}}}\n% left out\nb"
    page = parse_layout(source, format="latex")
    assert [element.text for element in page.elements] == ["A", code, "b"]
    assert page.markdown == f"## A\n\n```{language}\n{code}\n```\n\nb"


def test_tags_in_code_of_a_line_are_kept() -> None:
    (element,) = parse_layout(r"\texttt{<b>x</b>} 10<sup>6</sup> \verb|<i>|", format="latex").elements
    assert element.text == r"<b>x</b> 10^6 \verb|<i>|"


def test_cells_of_several_lines_and_rows_are_read() -> None:
    rows = r"\multirow{2}*{A} & \tabincell{c}{x\\y} \\ & b \\ \sout{12}9 & \'{e} \\"
    (table,) = parse_layout(rf"\begin{{tabular}}{{ll}} {rows} \end{{tabular}}").elements
    assert table.text == "A | x y\nb\n~~12~~9 | é"
    assert table.html == (
        '<table><tr><td rowspan="2">A</td><td>x<br/>y</td></tr><tr><td>b</td></tr>'
        "<tr><td><del>12</del>9</td><td>é</td></tr></table>"
    )


@pytest.mark.parametrize(
    "unit",
    [
        "\\section{",
        "\\textbf{",
        "\\begin{itemize}",
        "{",
        "\\item ",
        "\\title[",
        "%\n",
        "\\(",
        "\\item[a]\n\n",
        "$",
        "<sup>",
        "<b><i>",
        "</b>",
        "<sup ",
        "<s>a</s>",
    ],
)
def test_hostile_latex_is_read_in_linear_time(unit: str) -> None:
    start = time.perf_counter()
    parse_layout(unit * 8_000, format="latex")
    assert time.perf_counter() - start < 5  # seconds; linear time takes a tenth of that

"""Parse pages that were cut off."""

from __future__ import annotations

import pytest

from qwenvl_core.layout import parse_layout
from tests.support.layout_pages import MARKDOWN, QWEN3, QWEN25, check_page, list_texts, make_div


@pytest.mark.parametrize("whole", [QWEN3, QWEN25, QWEN3.replace("<html><body>", "").replace("</body></html>", "")])
def test_cut_html_keeps_the_complete_elements(whole: str) -> None:
    full = parse_layout(whole)
    end_of_page = whole.find("</html>")
    for end in range(len(whole)):
        page = check_page(parse_layout(whole[:end]))
        assert page.elements[:-1] == full.elements[: len(page.elements[:-1])], end
        for last in page.elements[-1:]:
            assert last.type == full.elements[last.index].type
            assert last.box == full.elements[last.index].box
            assert full.elements[last.index].text.startswith(last.text.rstrip("&amplt;$"))
        if "<html>" in whole[:end] and end < end_of_page:
            assert page.truncated, end


def test_cut_markdown_keeps_the_complete_elements() -> None:
    full = parse_layout(MARKDOWN)
    for end in range(len(MARKDOWN)):
        page = check_page(parse_layout(MARKDOWN[:end]))
        assert page.elements[:-1] == full.elements[: len(page.elements[:-1])], end
        if "\\begin" in MARKDOWN[:end] and "\\end{tabular}" not in MARKDOWN[:end]:
            assert page.truncated, end


def test_cut_table_keeps_its_complete_rows() -> None:
    rows = "<tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d"
    for start in (
        '<div class="table" data-bbox="1 1 9 9"><table>',
        '<table data-bbox="1 1 9 9">',
        "<html><body><table><tbody>",
    ):
        page = check_page(parse_layout(start + rows))
        assert (page.truncated, list_texts(page)) == (True, ["a | b"])
        assert (page.elements[0].html or "").count("<tr>") == 1
    page = check_page(parse_layout("<!-- Table (1, 2, 3, 4) -->\n\\begin{tabular}{ll} a & b \\\\ c & d"))
    assert (page.truncated, list_texts(page)) == (True, ["a | b"])
    page = check_page(
        parse_layout("\\begin{tabular}{ll}\na & b \\\\\n\nnext\n\n\\begin{tabular}{l} c \\\\ \\end{tabular}")
    )
    assert (page.truncated, list_texts(page)) == (False, ["a | b", "next", "c"])


@pytest.mark.parametrize(
    "text",
    [
        "```html\n",
        "<html><body>",
        make_div("a")[:-4],
        "```markdown\n# a",
        "a\n<!-- Image (1, 2",
        "a\n\n$$\nb",
        "```html\n" + make_div("a"),
    ],
)
def test_cut_page_is_truncated(text: str) -> None:
    assert check_page(parse_layout(text)).truncated

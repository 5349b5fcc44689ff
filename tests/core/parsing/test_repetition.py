"""Detect answers in which the model repeated itself."""

from __future__ import annotations

import pytest

from qwenvl_core.layout import REPETITION, parse_layout
from tests.support.layout_pages import check_page, make_div


def test_repeated_elements_add_a_warning() -> None:
    assert parse_layout(make_div("a") * 3).warnings == ()
    assert parse_layout(make_div("a") * 4).warnings == (REPETITION,)
    assert len(parse_layout(make_div("a") * 4).elements) == 4
    assert parse_layout("same words\n\n" * 4).warnings == (REPETITION,)
    moving = "".join(make_div("The same long sentence again.", f"1 {n} 9 {n + 5}") for n in range(4))
    assert parse_layout(moving).warnings == (REPETITION,)
    apart = "".join(
        make_div("N/A", f"1 {n} 9 {n + 5}") + make_div("", f"2 {n} 9 {n + 5}", "image") * (n % 2) for n in range(6)
    )
    assert parse_layout(apart).warnings == ()


def test_repeated_groups_of_elements_add_a_warning() -> None:
    turns = [
        make_div(words, f"1 {n} 9 {n + 5}")
        for n in range(4)
        for words in ("What is the hire price?", "It is 1,480.00 a week.", "And what does a day cost?")
    ]
    assert parse_layout("".join([*turns, make_div("The end")])).warnings == (REPETITION,)
    assert parse_layout("".join(turns[:-1])).warnings == ()
    answers = "".join(make_div(words, f"1 {n} 9 {n + 5}") for n in range(20) for words in ("Yes", "No"))
    assert parse_layout(answers).warnings == ()
    assert parse_layout("- Yes\n- No\n" * 20).warnings == ()


def make_table(*, columns: str, count: int) -> str:
    return f"<table data-bbox='1 1 9 9'><tr><th>Item</th></tr>{f'<tr>{columns}</tr>' * count}</table>"


@pytest.mark.parametrize(
    ("text", "is_repetitive"),
    [
        (make_div("First this. " + "And the same again. " * 60), True),
        (make_div("First this. " + "And the same again. " * 60 + "And the s")[:-6], True),
        ("First this. " + "And the same again. " * 60, True),
        ("First this. " + ("." * 500 + " and the same again ") * 5, True),
        ("First this. " + ("x" * 499 + "y") * 3 + "x" * 499, False),
        ("First this. " + ("x" * 499 + "y") * 4, True),
        ("First this. " + ("x" * 374 + "y") * 2, False),
        ("First this. " + "".join(map(chr, range(0x4E00, 0x4E00 + 1000))) * 4, True),
        ("First this. " + "".join(map(chr, range(0x4E00, 0x4E00 + 1001))) * 4, False),
        (make_table(columns="<td>Tea</td><td>1.50</td>", count=90), True),
        ("\\begin{tabular}{ll}\n" + "Tea & 1.50 \\\\\n" * 90, True),
        (make_div("好的。" * 300), True),
        (make_div("First this. " + "And the same again. " * 3), False),
        (make_table(columns="<td>0</td><td>0</td>", count=20), False),
        (make_table(columns="<td></td>" * 5, count=90), False),
        (make_div("Signature: " + "_" * 900), True),
        (make_div("Signature: " + "_" * 90), False),
        (make_div("Signature: " + "_ " * 500), True),
        (make_div("Wow" + "!" * 600), True),
        (make_div("Wow" + "!?" * 600), True),
        ("Page 1" + " " * 600 + "end", True),
        ("Page 1" + "\n" * 600, True),
        (make_div("Page 1" + "&nbsp;" * 600), True),
        (make_div("Page 1" + "&nbsp;" * 90), False),
        ("| a | b |\n|---|---|\n| 1 " + "| " * 600, True),
        ("| a | b |\n|---|---|\n| 1 " + "|" * 600, True),
        ("| a | b |\n|---|---|\n" + "|   |   |\n" * 90, False),
        ("| a | b |\n|---|---|\n" + "|   |   |\n" * 900, True),
        ("----" * 20 + "\n\ntext\n\n" + "=" * 100, False),
        (make_div("Chapter 1 " + "." * 900 + " 5"), False),
        (make_div("Chapter 1 " + ". " * 900 + " 5"), False),
        (make_div("Chapter 1 " + "…" * 900 + " 5"), False),
        (make_div("".join(f"Chapter {n} {'.' * 60} {n * n}<br>" for n in range(50))), False),
    ],
)
def test_repeated_text_inside_an_element_adds_a_warning(text: str, is_repetitive: bool) -> None:
    assert check_page(parse_layout(text)).warnings == ((REPETITION,) if is_repetitive else ())


@pytest.mark.parametrize(
    "line", ["Name: ________  Date: ________", "Name ........ Date ........", "____", "姓名：＿＿＿＿"]
)
@pytest.mark.parametrize("marker", ["", "- ", "1. "])
def test_lines_of_an_empty_form_are_no_repetition(line: str, marker: str) -> None:
    separator = "\n" if marker else "\n\n"
    page = check_page(parse_layout(separator.join([marker + line] * 12), format="markdown"))
    assert page.warnings == ()
    assert len(page.elements) == (0 if marker + line == "____" else 12)

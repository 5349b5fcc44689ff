"""Test that the tables of documentation pages state what the catalog states."""

from __future__ import annotations

import pytest

from tests.support.markdown import list_markdown_files, read_markdown
from tests.support.page_tables import TABLES, fill_tables, find_names


@pytest.mark.parametrize("name", [name for name in list_markdown_files() if find_names(read_markdown(name))])
def test_page_has_the_tables_that_the_rows_give(name: str) -> None:
    text = read_markdown(name)
    assert text == fill_tables(text), "write them: python -m tests.support.page_tables"


def test_each_table_is_in_a_page() -> None:
    used = {name for file in list_markdown_files() for name in find_names(read_markdown(file))}
    assert used == set(TABLES)


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("token_counts", "| `qwen3-vl-plus` | 32 x 32 | 2,562 | 16,"),
        ("limits", "| `qwen3-vl-plus` | 262,144 | 32,768 | "),
    ],
)
def test_table_has_known_row(table: str, row: str) -> None:
    assert row in TABLES[table]()


def test_fill_tables_with_unknown_name_raises() -> None:
    with pytest.raises(KeyError):
        fill_tables("<!-- table: prices -->\n\n| a |\n")

"""Tests of the loaders' options: allowed values and page ranges."""

from __future__ import annotations

from typing import Any

import pytest

from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.errors import QwenVLInputError


@pytest.mark.parametrize(
    ("pages", "numbers"),
    [
        (None, [1, 2, 3, 4, 5]),
        ("1-3", [1, 2, 3]),
        ("5,1 - 2 , 2", [1, 2, 5]),
        ("4-", [4, 5]),
        ("5", [5]),
    ],
)
def test_select_pages_returns_sorted_numbers(pages: str | None, numbers: list[int]) -> None:
    assert LoaderOptions(pages=pages).select_pages(5) == numbers


@pytest.mark.parametrize("pages", ["", "a", "0", "3-1", "1,,2", "-3", "1-2-3", "1.5"])
def test_invalid_page_range_raises_input_error(pages: str) -> None:
    with pytest.raises(QwenVLInputError, match="page numbers"):
        LoaderOptions(pages=pages)


@pytest.mark.parametrize("pages", ["6", "1-6", "7-"])
def test_select_pages_beyond_last_page_raises_input_error(pages: str) -> None:
    with pytest.raises(QwenVLInputError, match="pages 1 to 5"):
        LoaderOptions(pages=pages).select_pages(5)


@pytest.mark.parametrize(
    "option",
    [
        {"mode": "pages"},
        {"output": "json"},
        {"on_error": "ignore"},
        {"coordinates": "auto"},
        {"max_concurrency": 0},
        {"max_concurrency": 1.5},
        {"chunk_size": True},
        {"dpi": 0},
        {"dpi": "high"},
        {"dpi": float("inf")},
        {"pages": 3},
        {"pages": [1, 2]},
        {"high_resolution": "no"},
        {"image_dir": ""},
        {"cache_dir": " "},
        {"cache_dir": 5},
        {"password": b"secret"},
    ],
)
def test_invalid_option_raises_input_error_that_names_it(option: dict[str, Any]) -> None:
    with pytest.raises(QwenVLInputError, match=next(iter(option))):
        LoaderOptions(**option)


def test_repr_of_options_hides_password() -> None:
    assert "secret" not in repr(LoaderOptions(password="secret"))

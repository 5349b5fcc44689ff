"""Parse pages: explicit formats, coordinate warnings and result values."""

from __future__ import annotations

import pickle

import pytest

from qwenvl_core.layout import LayoutElement, parse_layout
from tests.support.layout_pages import QWEN3, list_texts, make_div


def test_explicit_format_overrides_detection() -> None:
    assert list_texts(parse_layout("# a", format="markdown")) == ["a"]
    assert list_texts(parse_layout("# a", format="text")) == ["# a"]
    assert list_texts(parse_layout("<b>c</b> d", format="html")) == ["c d"]
    with pytest.raises(ValueError, match="format"):
        parse_layout("", format="pdf")  # type: ignore[arg-type]


def test_coordinates_far_outside_add_a_warning() -> None:
    assert parse_layout(make_div("a", "0 0 1040 1000")).warnings == ()
    (warning,) = parse_layout(make_div("a", "0 0 1080 1400") + make_div("b")).warnings
    assert "1000" in warning
    (warning,) = parse_layout(make_div("a", "0 0 900 900"), space="absolute", size=(640, 480)).warnings
    assert "640 x 480" in warning


def test_results_are_frozen_hashable_and_picklable() -> None:
    page = parse_layout(QWEN3)
    assert pickle.loads(pickle.dumps(page)) == page
    assert len(set(page.elements)) == 4
    with pytest.raises(AttributeError):
        page.elements[0].text = "x"  # type: ignore[misc]
    assert LayoutElement("text", "a") == LayoutElement("text", "a", None, None, None, 0)

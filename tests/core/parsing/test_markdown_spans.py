"""Compare the two readers of inline Markdown: where the quick one gives a result, the other one gives the same."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenvl_core.parsing.html.tokenizer import Token
from qwenvl_core.parsing.markdown import inline
from qwenvl_core.parsing.markdown.spans import read_spans
from qwenvl_core.parsing.text import collapse_whitespace

WORDS = st.sampled_from(
    ["*a*", "**a**", "**a:**", "_a_", "`a`", "`1`", "[a](https://b.c/d_e)", "[1](https://b.c)", "**a b**", "**重点**",
     "*", "**", "_", "__a__", "`", "[", "](", "![a](https://b.c)", "~~a~~", "<br>", "<b>a</b>", "&amp;", "&", "<", "\"",
     "'", "$1", "$a$", "\\*", "\\", "a", "1", "文", ".", ":", ")", " ", " ", " ", "\n", "data-bbox", "a_b", "é"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=9).map("".join).map(collapse_whitespace), st.sampled_from(["p", "td"]))
def test_read_spans_gives_what_the_whole_reader_gives(source: str, name: str) -> None:
    simple = read_spans(source, Token("start", name)) if inline.has_markup(source) else None
    if simple:
        with mock.patch.object(inline, "read_spans", return_value=None):
            assert simple == inline.read_inline(source, Token("start", name))


@pytest.mark.parametrize(
    "source",
    [
        "**Name:** text",
        "**Name:**text",
        "这是**重点**内容",
        '*a* _b_ "**c\'s & d**", `e_f()`.',
        "see [the guide](https://a.b/c_d?e=f) and [more](https://g.h).",
        "**Total:** $5 and $6",
        "a<br>**b**<br/>c [1] [x]",
    ],
)
def test_read_spans_reads_usual_markup(source: str) -> None:
    assert read_spans(source, Token("start", "p"))


@pytest.mark.parametrize(
    "source",
    ["5`6`", "5[6](https://a.b)", "[5](https://a.b)6", "[5](https://a.b)[6](https://a.b)", "**5**[6](https://a.b)",
     "2*3*4 *a*", "**12**5", "***a***", "**a *b* c**", "__init__", "$*a*$", "[a](b)", "![a](https://b.c)", "_-_ *a*"],
)  # fmt: skip
def test_read_spans_leaves_what_needs_the_whole_reader(source: str) -> None:
    assert read_spans(source, Token("start", "p")) is None

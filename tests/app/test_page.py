"""What the handlers of the page return, without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.documents import Document

from examples.app import scans
from examples.app.connections import Connection
from examples.app.scans import Scan, Turn

gr = pytest.importorskip("gradio")
page = pytest.importorskip("examples.app.page")

SOURCES = tuple(
    Document(text, metadata={"page_number": 1, "page_label": "i", "category": "text"}) for text in ("One", "Two" * 99)
)
USAGE = {"total_tokens": 1234, "input_tokens": 1200, "output_tokens": 34, "output_token_details": {"reasoning": 30}}
RECORDED = Connection("model-studio", "qwen3-vl-plus")


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        ("", [("", None)]),
        ("Yes.", [("Yes.", None)]),
        ("Yes [1], no [2].", [("Yes ", None), ("[1]", "source"), (", no ", None), ("[2]", "source"), (".", None)]),
        ("[3] [0] [99] [1", [("", None), ("[3]", None), (" ", None), ("[0]", None), (" ", None), ("[99]", None),
                             (" [1", None)]),
    ],
)  # fmt: skip
def test_numbers_of_existing_sources_can_be_clicked(answer: str, tokens: list[tuple[str, str | None]]) -> None:
    assert page.show_turn(Turn(SOURCES, answer=answer), RECORDED)[2] == tokens


@pytest.mark.parametrize(
    ("answer", "label", "numbers"),
    [("Yes [2].", "Cited", [2]), ("Yes [2] [1] [7].", "Cited", [1, 2]), ("Yes.", "The answer cites nothing", [1, 2])],
)
def test_sources_are_those_that_are_cited_or_all(answer: str, label: str, numbers: list[int]) -> None:
    radio = page.list_sources(Turn(SOURCES, answer=answer, usage=USAGE))
    assert radio.label.startswith(label)
    assert [number for _, number in radio.choices] == numbers
    assert all(len(text) <= len("[1] page i: ") + page.QUOTE for text, _ in radio.choices)
    assert radio.visible
    *_, radio, usage = page.show_turn(Turn(SOURCES, answer=answer), RECORDED)  # before the end
    assert (radio.visible, usage) == (False, "")


def test_usage_is_billed_unless_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    turn = Turn(SOURCES, usage=USAGE)
    start = "1,234 tokens: 1,200 read, 34 written, 30 of them thinking"
    assert page.describe_usage(turn, RECORDED) == f"{start} (as recorded, nothing is billed)"
    assert page.describe_usage(turn, replace(RECORDED, key="sk")) == f"{start} (the price is the provider’s)"


def test_texts_that_become_html_are_escaped() -> None:
    hostile = "<script>alert(1)</script>"
    assert hostile not in page.show_scan(Scan(hostile, scans.EXAMPLES.joinpath("receipt.png").read_bytes(), 1), 1)[1]
    assert hostile not in page.describe_mode("vllm", hostile, hostile)
    with pytest.raises(gr.Error) as caught:
        list(page.run_alone(fail_with(hostile), "read")({}))
    assert caught.value.message == "&lt;script&gt;alert(1)&lt;/script&gt;"


def fail_with(text: str) -> Callable[[], Iterator[Any]]:
    def fail() -> Iterator[Any]:
        yield ()
        raise ValueError(text)

    return fail


@pytest.mark.parametrize(
    ("first", "second", "ends"),
    [
        (("read", "ask"), ("read", "ask"), True),
        (("ask",), ("read", "ask"), True),
        (("ask",), ("ask",), True),
        (("read", "ask"), ("ask",), False),  # pages are read on while a question is answered
    ],
)
def test_run_ends_when_its_tab_starts_another(first: tuple[str, ...], second: tuple[str, ...], ends: bool) -> None:
    tab: dict[str, Any] = {}
    runs = [page.run_alone(lambda: iter([(1,), (2,)]), *kinds)(tab) for kinds in (first, second)]
    assert [next(run) for run in runs] == [(1,), (1,)]
    assert list(runs[0]) == ([] if ends else [(2,)])
    tab.clear()  # what the button Stop does
    assert list(runs[1]) == []

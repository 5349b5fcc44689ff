"""Accumulate events into replies and parse tool arguments."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import Reply, ReplyAccumulator, accumulate
from qwenvl_core.types.tool_arguments import parse_arguments, parse_partial_json, parse_tool_calls

R, T, C = ReasoningDelta, TextDelta, ToolCallDelta
STOP = Finish("stop")


UNFINISHED = Finish("")


def reply(
    reasoning: str = "", text: str = "", *calls: ToolCall, usage: Usage | None = None, finish: Finish = UNFINISHED
) -> Reply:
    return Reply(reasoning, text, calls, usage, finish)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], reply()),
        ([R("a"), T("b"), R("c"), T("d"), STOP], reply("ac", "bd", finish=STOP)),
        (
            [C(0, "1", "crop", ""), C(0, None, None, '{"x"'), C(1, "2", "zoom", "{}"), C(0, None, None, ":1}")],
            reply("", "", ToolCall("1", "crop", '{"x":1}'), ToolCall("2", "zoom", "{}")),
        ),
        ([C(0, "1", None, "{"), C(0, None, "crop", "}")], reply("", "", ToolCall("1", "crop", "{}"))),
        ([Usage(1, 2, 3), Usage(4, 5, 9)], reply(usage=Usage(4, 5, 9))),
        ([Finish("stop", extras={"a": 1})], reply(finish=Finish("stop", extras={"a": 1}))),
    ],
)
def test_events_are_accumulated_into_reply(events: list[Event], expected: Reply) -> None:
    assert accumulate(events) == expected


EVENTS = st.lists(
    st.one_of(
        st.builds(ReasoningDelta, st.text(max_size=5)),
        st.builds(TextDelta, st.text(max_size=5)),
        st.builds(
            ToolCallDelta,
            st.integers(0, 2),
            st.sampled_from([None, "c"]),
            st.sampled_from([None, "n"]),
            st.text(max_size=5),
        ),
        st.integers(0, 9).map(lambda count: Usage(count, 1, count + 1)),
        st.just(STOP),
    ),
    max_size=12,
)


@given(EVENTS)
def test_snapshot_is_unchanged_by_later_events(events: list[Event]) -> None:
    accumulator, snapshots = ReplyAccumulator(), []
    for event in events:
        accumulator.add(event)
        snapshots.append(accumulator.snapshot())
    expected = [accumulate(events[: count + 1]) for count in range(len(events))]
    assert [snapshot.build_reply() for snapshot in snapshots] == expected
    assert [snapshot.build_reply() for snapshot in reversed(snapshots)] == expected[::-1]
    assert accumulator.build_reply() == accumulate(events)


@given(EVENTS)
def test_accumulated_texts_equal_joined_deltas(events: list[Event]) -> None:
    accumulated = accumulate(events)
    assert accumulated.text == "".join(event.text for event in events if type(event) is TextDelta)
    assert accumulated.reasoning == "".join(event.text for event in events if type(event) is ReasoningDelta)
    assert sum(len(call.arguments) for call in accumulated.tool_calls) == sum(
        len(event.arguments) for event in events if type(event) is ToolCallDelta
    )


def test_accumulation_time_is_linear() -> None:
    def seconds(count: int) -> float:
        start = time.process_time()
        accumulator = ReplyAccumulator()
        for _ in range(count):
            accumulator.add(T("word "))
            accumulator.add(C(0, None, None, "x"))
            accumulator.snapshot()
        assert len(accumulator.build_reply().text) == 5 * count
        return time.process_time() - start

    assert min(seconds(40_000) for _ in range(2)) < 24 * max(min(seconds(5_000) for _ in range(3)), 0.005)


@pytest.mark.parametrize(
    ("arguments", "truncated", "expected"),
    [
        ('{"x": 1}', False, {"x": 1}),
        ('{"x": 1}', True, {"x": 1}),
        ("", False, {}),
        (" \n", False, {}),
        ("", True, None),
        ("{", False, None),
        ("[]", False, None),
        ("null", False, {}),
        (" null\n", False, {}),
        ("\u3000", False, {}),
        ("nul", False, None),
        ("NULL", False, None),
        ("0", False, None),
        ('{"x": NaN}', False, None),
        ('"a"', False, None),
        ("{'x': 1}", False, None),
        ("{}{}", False, None),
        ("[" * 100_000, False, None),
    ],
)
def test_arguments_are_parsed_or_rejected(arguments: str, truncated: bool, expected: Any) -> None:
    assert parse_arguments(ToolCall("1", "crop", arguments), truncated=truncated) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1, "b": "tw', {"a": 1, "b": "tw"}),
        ('{"a": [1, {"b": tru', {"a": [1, {}]}),
        ('{"a": 1}', {"a": 1}),
        ("{", {}),
        ("", {}),
        ("[1, 2", {}),
        ("no", {}),
        ("\ud800", {}),
    ],
)
def test_partial_json_is_parsed_as_far_as_it_goes(text: str, expected: Any) -> None:
    assert parse_partial_json(text) == expected


@pytest.mark.parametrize(
    ("reason", "arguments", "executable"),
    [
        ("tool_calls", ["{}", "{}"], [True, True]),
        ("stop", ["{}", ""], [True, True]),
        ("length", ["{}", ""], [True, False]),
        ("length", ["", "{}"], [True, True]),
        ("length", ['{"x": 1}', '{"x": '], [True, False]),
        ("tool_calls", ["[]", "{}"], [False, True]),
        ("length", [], []),
    ],
)
def test_truncated_or_invalid_call_has_no_arguments(reason: str, arguments: list[str], executable: list[bool]) -> None:
    calls = tuple(ToolCall(str(number), "crop", text) for number, text in enumerate(arguments))
    parsed = parse_tool_calls(Reply("", "", calls, None, Finish(reason)))
    assert [call for call, _ in parsed] == list(calls)
    assert [arguments is not None for _, arguments in parsed] == executable

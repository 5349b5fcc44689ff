"""Read split, truncated, mutated and arbitrary replies of the OpenAI-compatible API."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenvl_core.errors import QwenVLError
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import accumulate
from qwenvl_core.types.request import Request
from tests.core.wire.openai_chunks import (
    CALLED,
    STOP,
    STREAM,
    WHOLE,
    calls,
    fragment,
    usage_chunk,
)
from tests.support.pipeline import chunk, read, sse

VALID = sse(
    chunk(content=None, role="assistant", reasoning_content=""),
    chunk(content=None, reasoning_content="Es 好"),
    chunk(content="Lö", reasoning_content="."),
    chunk(content="we 😀\u2028"),
    calls(fragment(0, "c1", "crop", '{"x":')),
    calls(fragment(0, "", None, " 1}"), fragment(1, "c2", "zoom", "")),
    calls(fragment(1, "", None, "{}")),
    CALLED,
    usage_chunk(),
)
ALL = accumulate(read(VALID))


def is_subsequence(short: str, long: str) -> bool:
    rest = iter(long)
    return all(letter in rest for letter in short)


def check_types(events: list[Event]) -> None:
    for event in events:
        match event:
            case ReasoningDelta(text) | TextDelta(text):
                assert type(text) is str
                assert text
            case ToolCallDelta(index, call_id, name, arguments):
                assert type(index) is int
                assert call_id is None or (type(call_id) is str and call_id)
                assert name is None or (type(name) is str and name)
                assert type(arguments) is str
            case Usage():
                assert all(value is None or isinstance(value, int | float) for value in event[:-1])
            case Finish(reason, model, reply_id, request_id):
                assert reason
                assert {type(item) for item in (reason, model, reply_id, request_id)} == {str}
    assert [type(event) for event in events].count(Finish) <= 1


def outcome(
    segments: list[bytes], chat_request: Request = STREAM, **headers: str
) -> tuple[list[Event], QwenVLError | None]:
    """Return the events and the error; any exception other than `QwenVLError` fails the test."""
    try:
        events, error = read(segments, chat_request=chat_request, headers=headers), None
        assert isinstance(events[-1], Finish)
    except QwenVLError as raised:
        events, error = raised.events, raised  # type: ignore[attr-defined]
        assert not any(isinstance(event, Finish) for event in events)
        assert error.partial == accumulate(events).text
        str(error)
    check_types(events)
    return events, error


@given(st.lists(st.integers(0, len(VALID)), max_size=20))
def test_split_at_any_offset_yields_same_events(offsets: list[int]) -> None:
    bounds = [0, *sorted(offsets), len(VALID)]
    assert read([VALID[start:end] for start, end in pairwise(bounds)]) == read(VALID)


@given(st.integers(0, len(VALID) - 1))
def test_truncated_stream_is_complete_or_raises_error(end: int) -> None:
    events, error = outcome([VALID[:end]])
    reply = accumulate(events)
    assert ALL.text.startswith(reply.text)
    assert ALL.reasoning.startswith(reply.reasoning)
    if error is None:
        assert (reply.text, reply.reasoning, reply.tool_calls) == (ALL.text, ALL.reasoning, ALL.tool_calls)


@st.composite
def mutated_lines(draw: st.DrawFn) -> bytes:
    """Draw the valid stream with some lines dropped, truncated, joined or inserted."""
    lines = VALID.split(b"\n")
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "cut", "join", "insert"])):
            case "drop":
                del lines[index]
            case "cut":
                lines[index] = lines[index][: draw(st.integers(0, 300))]
            case "join" if index + 1 < len(lines):
                lines[index : index + 2] = [lines[index] + lines[index + 1]]
            case _:
                lines.insert(
                    index, draw(st.sampled_from([b"", b": ping", b"event: error", b"data:", b"data: {}", b"\xff"]))
                )
        lines = lines or [b""]
    return b"\n".join(lines)


@given(mutated_lines(), st.booleans())
def test_mutated_stream_adds_no_content(data: bytes, bytewise: bool) -> None:
    segments = [data[start : start + 1] for start in range(len(data))] if bytewise else [data]
    events, error = outcome(segments)
    reply = accumulate(events)
    assert is_subsequence(reply.text, ALL.text)
    assert is_subsequence(reply.reasoning, ALL.reasoning)
    for call in reply.tool_calls:
        assert call.name in ("", "crop", "zoom")
        assert any(is_subsequence(call.arguments, whole.arguments) for whole in ALL.tool_calls)
    if error is None:
        assert reply.finish.finish_reason == "tool_calls"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.sampled_from(["", "x", "null"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["index", "id", "function", "name", "arguments", "content", "text", "code", "message"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
PATHS = [
    ("choices",), ("choices", 0), ("choices", 0, "delta"), ("choices", 0, "delta", "content"),
    ("choices", 0, "delta", "reasoning_content"), ("choices", 0, "delta", "reasoning"),
    ("choices", 0, "delta", "tool_calls"), ("choices", 0, "delta", "tool_calls", 0),
    ("choices", 0, "delta", "tool_calls", 0, "function"), ("choices", 0, "delta", "tool_calls", 0, "index"),
    ("choices", 0, "delta", "tool_calls", 0, "id"), ("choices", 0, "delta", "tool_calls", 0, "function", "name"),
    ("choices", 0, "delta", "tool_calls", 0, "function", "arguments"), ("choices", 0, "finish_reason"),
    ("choices", 0, "index"), ("choices", 0, "logprobs"), ("choices", 0, "message"), ("usage",),
    ("usage", "prompt_tokens"), ("usage", "completion_tokens"), ("usage", "total_tokens"),
    ("usage", "prompt_tokens_details"), ("usage", "completion_tokens_details"),
    ("usage", "prompt_tokens_details", "cached_tokens"), ("model",), ("id",),
    ("error",), ("code",), ("detail",), ("object",), ("search_info",), ("request_id",), ("message",), ("type",),
]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from(PATHS), JSON), min_size=1, max_size=3), st.booleans())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_payload_of_any_shape_yields_events_or_package_error(
    changes: list[tuple[int, tuple[Any, ...], Any]], done: bool
) -> None:
    payloads = [json.loads(line[6:]) for line in VALID.decode().split("\n") if line.startswith("data: {")]
    for number, path, value in changes:
        target: Any = payloads[number % len(payloads)]
        for step, following in pairwise(path):
            try:
                target = target[step]
            except (KeyError, IndexError, TypeError):
                if not isinstance(target, dict):
                    break
                target[step] = [{}] if following == 0 else {}
                target = target[step]
        if isinstance(target, dict):
            target[path[-1]] = value
        elif isinstance(target, list) and target:
            target[0] = value
    outcome([sse(*payloads, done=done)])
    whole = payloads[-1] | {"choices": [{"message": payloads[0].get("choices"), "finish_reason": "stop"}]}
    outcome([json.dumps(whole).encode()], chat_request=WHOLE)


@given(st.binary(max_size=300), st.sampled_from(["", "text/event-stream", "application/json", "text/html"]))
def test_arbitrary_bytes_raise_package_error(data: bytes, kind: str) -> None:
    for chat_request in (STREAM, WHOLE):
        events, error = outcome([data], chat_request=chat_request, **{"content-type": kind})
        assert error is not None
        assert events == []


def test_long_stream_is_read_in_linear_time() -> None:
    def seconds(count: int) -> float:
        data = sse(*[chunk(content="word ")] * count, STOP)
        start = time.process_time()
        assert (
            accumulate(read([data[start : start + 4096] for start in range(0, len(data), 4096)])).text
            == "word " * count
        )
        return time.process_time() - start

    assert min(seconds(16_000) for _ in range(2)) < 24 * max(min(seconds(2000) for _ in range(3)), 0.005)


def test_fragments_are_accumulated_into_calls() -> None:
    assert ALL.tool_calls == (ToolCall("c1", "crop", '{"x": 1}'), ToolCall("c2", "zoom", "{}"))
    assert ALL.text == "Löwe 😀\u2028"
    assert ALL.reasoning == "Es 好."

"""Read randomly damaged replies of both APIs: events or package errors result, and no content is added."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenvl_core.errors import QwenVLError
from qwenvl_core.types.events import Event, Finish
from qwenvl_core.types.reply import accumulate
from qwenvl_core.types.request import Request
from qwenvl_core.wire import dashscope, errors, openai
from qwenvl_core.wire.error_classes import error_from_payload
from tests.support.pipeline import chunk, prepare, read_reply, request, sse

STREAM, WHOLE = request(stream=True), request(enable_thinking=False)
DELTAS: list[tuple[str, str]] = [
    ("reasoning_content", "Es "), ("reasoning_content", "好."), ("content", "Ein "), ("content", "Löwe\u2028"),
    ("content", "😀 \u0085"), ("content", "sah."),
]  # fmt: skip
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "crop", "arguments": '{"x": [1, 2]}'}}
REASONING = "".join(text for name, text in DELTAS if name == "reasoning_content")
TEXT = "".join(text for name, text in DELTAS if name == "content")


def native(name: str = "content", text: Any = (), finish: str = "null", number: int = 1) -> str:
    text = [{"text": text}] if name == "content" and text else text
    message = {"role": "assistant", "content": [], name: text}
    payload = {
        "output": {"choices": [{"message": message, "finish_reason": finish}]},
        "usage": {"input_tokens": 5, "output_tokens": number, "image_tokens": 2},
        "request_id": "r-1",
    }
    data = json.dumps(payload, ensure_ascii=False)
    return f"id:{number}\nevent:result\n:HTTP_STATUS/200\ndata:{data}\n\n"


STREAMS: dict[str, tuple[ModuleType, bytes]] = {
    "openai": (
        openai,
        sse(
            *(chunk(**{name: text}) for name, text in DELTAS),
            chunk(tool_calls=[CALL]),
            chunk("tool_calls"),
            {"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 8}},
        ),
    ),
    "dashscope": (
        dashscope,
        "".join(
            [
                *(native(name, text, number=index) for index, (name, text) in enumerate(DELTAS)),
                native("tool_calls", [CALL]),
                native(finish="tool_calls"),
            ]
        ).encode(),
    ),
}
WHOLES: dict[str, bytes] = {
    "openai": json.dumps(
        {
            "id": "chatcmpl-1", "model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 8},
            "choices": [{"message": {"content": TEXT, "reasoning_content": REASONING, "tool_calls": [CALL]},
                         "finish_reason": "tool_calls"}],
        }, ensure_ascii=False).encode(),
    "dashscope": json.dumps(
        {
            "output": {"choices": [{"message": {"content": [{"text": TEXT}], "reasoning_content": REASONING,
                                                "tool_calls": [CALL]}, "finish_reason": "tool_calls"}]},
            "usage": {"input_tokens": 5, "output_tokens": 8}, "request_id": "r-1",
        }, ensure_ascii=False).encode(),
}  # fmt: skip
per_api = pytest.mark.parametrize("api", STREAMS)


def outcome(
    api: str, segments: list[bytes], chat_request: Request = STREAM, headers: Mapping[str, str] | None = None
) -> tuple[list[Event], QwenVLError | None]:
    """Return the events and the error of a reply; any exception other than `QwenVLError` fails the test."""
    error: QwenVLError | None = None
    try:
        events = read_reply(STREAMS[api][0].Decoder(), prepare(chat_request), segments, headers or {})
    except QwenVLError as raised:
        error, events = raised, raised.events  # type: ignore[attr-defined]
        assert str(error)
        assert error.partial == accumulate(events).text
    finishes = [event for event in events if isinstance(event, Finish)]
    assert len(finishes) == (error is None)
    for event in events:
        assert all(isinstance(value, str | int | float | tuple | Mapping | None) for value in event)
    return events, error


def split(data: bytes, offsets: list[int]) -> list[bytes]:
    """Split bytes at the given offsets."""
    bounds = [0, *sorted(offset % (len(data) + 1) for offset in offsets), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def is_subsequence(short: str, long: str) -> bool:
    rest = iter(long)
    return all(letter in rest for letter in short)


split_offsets = st.lists(st.integers(0, 5000), max_size=6)


@per_api
def test_intact_reply_yields_all_content(api: str) -> None:
    for segments, chat_request in (([STREAMS[api][1]], STREAM), ([WHOLES[api]], WHOLE)):
        events, error = outcome(api, segments, chat_request)
        reply = accumulate(events)
        assert error is None
        assert (reply.text, reply.reasoning, reply.finish.finish_reason) == (TEXT, REASONING, "tool_calls")
        assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [("c1", "crop", '{"x": [1, 2]}')]


# --- any damage: events or package errors -----------------------------------------------------------------------------

Damage = Callable[[bytearray, int, int, int], None]
"""Change data at an offset; length and byte are parameters of the change."""


def _move(data: bytearray, offset: int, length: int, byte: int) -> None:
    """Move one line to another position."""
    lines = bytes(data).splitlines(keepends=True)
    line = lines.pop(offset % len(lines))
    lines.insert(length % (len(lines) + 1), line)
    data[:] = b"".join(lines)


def _double(data: bytearray, offset: int, length: int, byte: int) -> None:
    lines = bytes(data).splitlines(keepends=True)
    lines.insert(offset % len(lines), lines[offset % len(lines)])
    data[:] = b"".join(lines)


def _flip(data: bytearray, offset: int, length: int, byte: int) -> None:
    data[offset] ^= byte or 1


def _drop(data: bytearray, offset: int, length: int, byte: int) -> None:
    del data[offset : offset + length]


def _insert(data: bytearray, offset: int, length: int, byte: int) -> None:
    data[offset:offset] = bytes([byte]) * (length % 4)


def _repeat(data: bytearray, offset: int, length: int, byte: int) -> None:
    data[offset:offset] = data[offset : offset + length]


damages = st.lists(
    st.tuples(
        st.sampled_from([_move, _double, _flip, _drop, _insert, _repeat]),
        st.integers(0, 5000),
        st.integers(0, 200),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=5,
)


@per_api
@given(damages, split_offsets)
@settings(max_examples=150)
def test_damaged_reply_yields_events_or_package_error(
    api: str, changes: list[tuple[Damage, int, int, int]], splits: list[int]
) -> None:
    for original, chat_request in ((STREAMS[api][1], STREAM), (WHOLES[api], WHOLE)):
        data = bytearray(original)
        for damage, offset, length, byte in changes:
            if data:
                damage(data, offset % len(data), length, byte)
        outcome(api, split(bytes(data), splits), chat_request)


# --- removed data: no content is added --------------------------------------------------------------------------------


@per_api
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 300)), min_size=1, max_size=4), split_offsets)
@settings(max_examples=150)
def test_reply_with_gaps_adds_no_content(api: str, gaps: list[tuple[int, int]], splits: list[int]) -> None:
    for original, chat_request in ((STREAMS[api][1], STREAM), (WHOLES[api], WHOLE)):
        data = bytearray(original)
        for offset, length in gaps:
            offset %= max(len(data), 1)
            del data[offset : offset + length]
        events, _ = outcome(api, split(bytes(data), splits), chat_request)
        reply = accumulate(events)
        source = original.decode()
        for text in (reply.text, reply.reasoning, *(call.name for call in reply.tool_calls)):
            assert is_subsequence(text, source)


@per_api
@given(st.lists(st.integers(0, 200), min_size=1, max_size=6))
@settings(max_examples=100)
def test_stream_with_dropped_lines_keeps_order(api: str, indexes: list[int]) -> None:
    lines = STREAMS[api][1].splitlines(keepends=True)
    dropped = {index % len(lines) for index in indexes}
    events, error = outcome(api, [b"".join(line for index, line in enumerate(lines) if index not in dropped)])
    reply = accumulate(events)
    assert is_subsequence(reply.text, TEXT)
    assert is_subsequence(reply.reasoning, REASONING)
    assert all((call.name, call.arguments) == ("crop", '{"x": [1, 2]}') for call in reply.tool_calls)
    if error is None:
        assert reply.finish.finish_reason == "tool_calls"


@per_api
@pytest.mark.parametrize("whole", [False, True])
def test_truncated_reply_is_complete_or_raises_error(api: str, whole: bool) -> None:
    data = WHOLES[api] if whole else STREAMS[api][1]
    for end in range(len(data)):
        events, error = outcome(api, [data[:end]], WHOLE if whole else STREAM)
        reply = accumulate(events)
        assert TEXT.startswith(reply.text)
        assert REASONING.startswith(reply.reasoning)
        if error is None:
            assert (reply.text, reply.reasoning, len(reply.tool_calls)) == (TEXT, REASONING, 1)
        if whole:
            assert error is not None
            assert events == []


@per_api
@given(st.binary(max_size=300), st.sampled_from(["", "text/event-stream", "application/json", "text/html"]))
@settings(max_examples=60)
def test_arbitrary_bytes_raise_package_error(api: str, data: bytes, kind: str) -> None:
    for chat_request in (STREAM, WHOLE):
        events, error = outcome(api, [data], chat_request, {"content-type": kind})
        assert error is not None
        assert events == []


# --- payloads of any shape --------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "x", "null", "stop"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "index", "id", "function", "code", "choices"]), inner, max_size=3)
    ),
    max_leaves=6,
)
STEPS: dict[str, list[tuple[Any, ...]]] = {
    "openai": [("choices",), ("choices", 0), ("choices", 0, "delta"), ("choices", 0, "finish_reason"), ("usage",)],
    "dashscope": [
        ("output",), ("output", "choices"), ("output", "choices", 0), ("output", "choices", 0, "message"),
        ("output", "choices", 0, "message", "content"), ("output", "choices", 0, "message", "content", 0),
        ("output", "choices", 0, "message", "reasoning_content"), ("output", "choices", 0, "message", "tool_calls"),
        ("output", "choices", 0, "message", "tool_calls", 0), ("output", "choices", 0, "finish_reason"),
        ("output", "choices", 0, "logprobs"), ("output", "search_info"), ("output", "text"), ("usage",),
        ("usage", "input_tokens"), ("usage", "input_tokens_details"), ("usage", "output_tokens_details"),
        ("request_id",), ("code",), ("message",), ("error",), ("status_code",),
    ],
}  # fmt: skip


@per_api
@given(st.data())
@settings(max_examples=150)
def test_payload_of_any_shape_yields_events_or_package_error(api: str, data: st.DataObject) -> None:
    lines = STREAMS[api][1].splitlines(keepends=True)
    indexes = [index for index, line in enumerate(lines) if line.startswith(b"data") and b"{" in line]
    index = data.draw(st.sampled_from(indexes))
    head, _, text = lines[index].partition(b":")
    for original, whole in ((json.loads(text), False), (json.loads(WHOLES[api]), True)):
        payload: Any = original
        steps = data.draw(st.sampled_from(STEPS[api]))
        value = data.draw(JSON)
        target = payload
        for step in steps[:-1]:
            if not target:
                break
            target = target[step] if isinstance(step, int) else target.get(step)
        if isinstance(target, dict) or (isinstance(target, list) and target):
            target[steps[-1]] = value
        body = json.dumps(payload).encode()
        if whole:
            outcome(api, [body], WHOLE)
        else:
            outcome(api, [b"".join([*lines[:index], head + b":" + body + b"\n", *lines[index + 1 :]])])


# --- errors of any shape ----------------------------------------------------------------------------------------------

ERROR_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "x", "429", "<429> x", "Throttling"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "detail", "request_id", "object"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(
    ERROR_VALUES,
    st.sampled_from([200, 307, 400, 429, 500]),
    st.sampled_from(["{}", "data: {}\n\n", "event:error\ndata:{}"]),
)
@settings(max_examples=200)
def test_error_payload_of_any_shape_has_typed_fields(value: Any, status: int, error_format: str) -> None:
    body = error_format.replace("{}", json.dumps(value))
    error = error_from_payload(errors.parse_error_body(body, status_code=status, request_id="r-1"))
    assert isinstance(error.code, str | None)
    assert isinstance(error.status_code, int)
    assert isinstance(error.request_id, str)
    assert isinstance(error.message, str)
    assert error.message in str(error)
    assert len(str(error)) < 2000

"""Read replies of the OpenAI-compatible API, as Model Studio and other servers send them, into events."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLContentFilterError,
    QwenVLContextOverflowError,
    QwenVLError,
    QwenVLInvalidRequestError,
    QwenVLRateLimitError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
)
from qwenvl_core.types.events import Event, Finish
from qwenvl_core.types.reply import accumulate
from qwenvl_core.types.request import Request
from qwenvl_core.wire import openai as wire
from qwenvl_core.wire.response_reader import ResponseReader
from tests.core.wire.openai_chunks import (
    STOP,
    STREAM,
    WHOLE,
    T,
    fragment,
    last,
    usage_chunk,
)
from tests.core.wire.openai_streams import GOLDEN
from tests.support.pipeline import chunk, prepare, read, request, sse


def without_identity(events: list[Event]) -> list[Event]:
    """Remove model and id: some payloads of the table hold neither, and the request supplies them."""
    return [event._replace(model="", reply_id="") if isinstance(event, Finish) else event for event in events]


@pytest.mark.parametrize("done", [True, False], ids=["DONE", "no DONE"])
@pytest.mark.parametrize("name", GOLDEN)
def test_stream_of_each_shape_yields_expected_events(name: str, done: bool) -> None:
    payloads, events = GOLDEN[name]
    raw = sse(*payloads, done=done)
    assert without_identity(read(raw)) == without_identity(events)
    assert read([raw[start : start + 1] for start in range(len(raw))]) == read(raw)


STREAMS_ONLY = {"usage on every chunk", "only the first of several choices", "search results next to the choices"}


@pytest.mark.parametrize("name", [name for name in GOLDEN if name not in STREAMS_ONLY])
def test_whole_reply_equals_accumulated_stream(name: str) -> None:
    payloads, events = GOLDEN[name]
    streamed = accumulate(events)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": streamed.text or None,
        "reasoning_content": streamed.reasoning,
        "tool_calls": [fragment(None, call.id, call.name, call.arguments) for call in streamed.tool_calls],
    }
    choice = {
        "message": message,
        "finish_reason": streamed.finish.finish_reason,
        "logprobs": streamed.finish.extras.get("logprobs"),
    }
    whole = {
        "id": "chatcmpl-1",
        "model": "qwen3-vl-plus",
        "choices": [choice],
        "usage": streamed.usage.raw if streamed.usage else None,
    }
    body = json.dumps(whole).encode()
    for headers in ({"content-type": "application/json"}, {}):
        assert accumulate(read(body, chat_request=WHOLE, headers=headers)) == streamed
    # A server may send a whole reply although the request demands a stream, and the reverse.
    assert accumulate(read(body, headers={"content-type": "application/json;charset=UTF-8"})) == streamed
    assert accumulate(read(body, headers={"content-type": "Application/JSON"})) == streamed
    assert accumulate(without_identity(read(sse(*payloads), chat_request=WHOLE))) == accumulate(
        without_identity(events)
    )


@pytest.mark.parametrize("kind", [None, "text/plain", "application/octet-stream", "text/event-stream"])
@pytest.mark.parametrize("lead", ["", "\ufeff", "\r\n\r\n", "\ufeff\n"])
def test_format_without_reliable_headers_is_detected_from_body(kind: str | None, lead: str) -> None:
    """Servers omit the content type or send a wrong one, for whole replies and for streams."""
    headers = {"x-request-id": "r-1"} | ({"content-type": kind} if kind else {})
    whole = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "id": "chatcmpl-1"}
    for body in (json.dumps(whole, indent=1).encode(), sse(chunk(content="Hi"), STOP)):
        data = lead.encode() + body
        for chat_request in (STREAM, WHOLE):
            for segments in ([data], [data[start : start + 1] for start in range(len(data))]):
                reply = accumulate(read(segments, chat_request=chat_request, headers=headers))
                assert (reply.text, reply.finish.finish_reason, reply.finish.request_id) == ("Hi", "stop", "r-1")


@pytest.mark.parametrize("lead", ["", "\ufeff"])
def test_error_event_without_content_type_raises_its_error(lead: str) -> None:
    payload = b'id:1\nevent:error\n:HTTP_STATUS/400\ndata:{"code":"InvalidParameter","message":"Bad.","request_id":"r"}'
    for chat_request in (STREAM, WHOLE):
        with pytest.raises(QwenVLInvalidRequestError) as caught:
            read(lead.encode() + payload, chat_request=chat_request, headers={"x-a": "b"})
        assert (caught.value.code, caught.value.status_code) == ("InvalidParameter", 400)


def test_request_id_header_is_in_finish() -> None:
    finish = read(sse(STOP), headers={"x-request-id": "r-1", "content-type": "text/event-stream"})[-1]
    assert finish == last(request_id="r-1")


def test_adjustments_of_policy_are_in_finish() -> None:
    chat_request = request(stream=True, enable_thinking=False, thinking_budget=5)
    (adjustment,) = prepare(chat_request).adjustments
    assert read(sse(STOP), chat_request=chat_request)[-1] == last(adjustments=(adjustment,))


def test_partial_response_header_sets_finish_reason_length() -> None:
    whole = {"choices": [{"message": {"content": "Half an ans"}, "finish_reason": None}], "model": "m", "id": "i"}
    headers = {"content-type": "application/json", "x-dashscope-partialresponse": "true", "x-request-id": "r"}
    reply = accumulate(read(json.dumps(whole).encode(), chat_request=WHOLE, headers=headers))
    assert reply.text == "Half an ans"
    assert reply.finish == Finish("length", "m", "i", "r", extras={"partial_response": True})
    with pytest.raises(QwenVLStreamInterruptedError):
        read(
            json.dumps(whole).encode(), chat_request=WHOLE, headers={**headers, "x-dashscope-partialresponse": "false"}
        )


# --- errors -----------------------------------------------------------------------------------------------------------

CHUNKS = [chunk(reasoning_content="Hm."), chunk(content="Ein "), chunk(content="Löwe")]
LIMIT = {"error": {"code": "limit_requests", "message": "Slow down.", "type": "limit_requests"}, "request_id": "r-2"}

FAILURES: dict[str, tuple[bytes, type[QwenVLError], str | None, str]] = {
    # bytes, class of the error, its code, part of its message
    "error object": (sse(*CHUNKS, LIMIT, done=False), QwenVLRateLimitError, "limit_requests", "Slow down."),
    "error object, then [DONE]": (sse(*CHUNKS, LIMIT), QwenVLRateLimitError, "limit_requests", "Slow down."),
    "integer code": (
        sse(*CHUNKS, {"error": {"message": "Bad.", "type": "BadRequestError", "param": None, "code": 400}}),
        QwenVLInvalidRequestError,
        "BadRequestError",
        "Bad.",
    ),
    "error string": (sse(*CHUNKS, {"error": "CUDA out of memory"}), QwenVLAPIError, None, "CUDA out of memory"),
    "event named error": (
        b"data: " + json.dumps(chunk(content="Ein Löwe")).encode() + b'\n\nevent: error\ndata: "Out of memory"\n\n',
        QwenVLAPIError,
        None,
        "Out of memory",
    ),
    "detail": (sse(*CHUNKS, {"detail": "Not now."}), QwenVLAPIError, None, "Not now."),
    "flat error object": (
        sse(*CHUNKS, {"object": "error", "message": "Bad.", "type": "BadRequestError", "code": 400}),
        QwenVLInvalidRequestError,
        "BadRequestError",
        "Bad.",
    ),
    "context overflow": (
        sse(*CHUNKS, {"error": {"message": "This model's maximum context length is 4096 tokens.", "code": 400}}),
        QwenVLContextOverflowError,
        "400",
        "maximum context length",
    ),
    "status in the message": (
        sse(*CHUNKS, {"error": {"message": "<429> InternalError.Algo: Too many requests.", "code": "internal_error"}}),
        QwenVLRateLimitError,
        "internal_error",
        "Too many requests.",
    ),
    "status as a string": (
        sse(*CHUNKS, {"error": {"message": "Slow down.", "type": "throttled", "code": "429"}}),
        QwenVLRateLimitError,
        "throttled",
        "Slow down.",
    ),
    "content filter": (
        sse(
            *CHUNKS,
            {"error": {"code": "data_inspection_failed", "message": "Output data may contain inappropriate content."}},
        ),
        QwenVLContentFilterError,
        "data_inspection_failed",
        "inappropriate",
    ),
    "broken JSON": (sse(*CHUNKS, '{"error": {"message": "Ba'), QwenVLStreamInterruptedError, None, "ended within"),
    "broken JSON at the end": (
        sse(*CHUNKS, done=False) + b'data: {"error": {"mess',
        QwenVLStreamInterruptedError,
        None,
        "ended within",
    ),
    "no finish reason": (sse(*CHUNKS), QwenVLStreamInterruptedError, None, "finish reason"),
    "no finish reason, no [DONE]": (sse(*CHUNKS, done=False), QwenVLStreamInterruptedError, None, "finish reason"),
    "no finish reason but usage": (sse(*CHUNKS, usage_chunk()), QwenVLStreamInterruptedError, None, "finish reason"),
    "truncated within a chunk": (
        sse(*CHUNKS, chunk("stop", content="x"), done=False)[:-20],
        QwenVLStreamInterruptedError,
        None,
        "ended within",
    ),
    "number": (sse(*CHUNKS, 5), QwenVLAPIError, None, "unknown shape"),
    "list": (sse(*CHUNKS, [chunk("stop")]), QwenVLAPIError, None, "unknown shape"),
    "null": (sse(*CHUNKS, None), QwenVLAPIError, None, "unknown shape"),
    "string": (sse(*CHUNKS, '"hello"'), QwenVLAPIError, None, "unknown shape"),
    "choices of another shape": (sse(*CHUNKS, {"choices": {"0": "x"}}), QwenVLAPIError, None, "unknown shape"),
    "usage of another shape": (sse(*CHUNKS, chunk("stop", usage=[1])), QwenVLAPIError, None, "unknown shape"),
    "usage of another shape, no [DONE]": (
        sse(*CHUNKS, chunk("stop", usage="many"), done=False),
        QwenVLAPIError,
        None,
        "unknown shape",
    ),
    "token counts of wrong types": (
        sse(*CHUNKS, chunk("stop", usage={"prompt_tokens": "3", "completion_tokens": {}}), done=False),
        QwenVLAPIError,
        None,
        "unknown shape",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_stream_failure_raises_error_with_partial_text(name: str) -> None:
    raw, cls, code, words = FAILURES[name]
    headers = {"x-request-id": "r-1", "content-type": "text/event-stream"}
    for segments in ([raw], [raw[start : start + 1] for start in range(len(raw))]):
        with pytest.raises(QwenVLError, match=re.escape(words)) as caught:
            read(segments, headers=headers)
        error = caught.value
        assert type(error) is cls
        assert error.code == code
        assert error.partial == "Ein Löwe"
        assert error.request_id == ("r-2" if "request_id" in raw.decode() else "r-1")
        assert error.message in str(error)
        if error.hint:
            assert error.hint in str(error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"<html><head><title>Welcome</title></head></html>", "HTML"),
        (b"  <!DOCTYPE html><html></html>", "HTML"),
        (b"Bad gateway", "Bad gateway"),
        (b'{"choices": [{"message": {"con', "not valid JSON"),
        (b'{"choices": []}', "finish reason"),
        (b'{"choices": [{"message": {"content": "Half"}, "finish_reason": null}]}', "finish reason"),
        (b"{}", "finish reason"),
        (b"[]", "unknown shape"),
        (b"null", "unknown shape"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"error": {"message": "Bad."}}', "Bad."),
        (b'{"code": "InternalError", "message": "Bad.", "request_id": "r"}', "Bad."),
        (b"\xff\xfe\x00", "not valid JSON"),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
@pytest.mark.parametrize("chat_request", [STREAM, WHOLE], ids=["stream", "whole"])
def test_incomplete_body_raises_error(body: bytes, words: str, kind: str, chat_request: Request) -> None:
    with pytest.raises(QwenVLError, match=words):
        read(body, chat_request=chat_request, headers={"content-type": kind})


def test_error_of_long_body_is_short() -> None:
    with pytest.raises(QwenVLAPIError) as caught:
        read(b"x" * 1_000_000, chat_request=WHOLE, headers={"content-type": "text/plain"})
    assert len(str(caught.value)) < 1000


def test_error_with_echoed_media_omits_base64() -> None:
    payload = {"detail": [{"loc": ["body"], "input": "data:image/png;base64," + "iVBORw0KGgo" * 5000}]}
    with pytest.raises(QwenVLError) as caught:
        read(sse(payload))
    assert "iVBORw0KGgoiVBORw0KGgo" not in str(caught.value)


# --- timeouts ---------------------------------------------------------------------------------------------------------


class Clock:
    """Replace the clock; time passes only when a test adds to `now`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def reader_with_limit(limit: float | None) -> ResponseReader:
    reader = ResponseReader(wire.Decoder(), prepare(STREAM), chunk_timeout=limit)
    reader.start({"content-type": "text/event-stream"})
    return reader


@pytest.mark.parametrize("data", [b": keep-alive\n\n", b"x", b"\n", b"id: 1\n"])
def test_incomplete_data_does_not_reset_chunk_timeout(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reader = Clock(monkeypatch), reader_with_limit(5.0)
    list(reader.decode(sse(chunk(content="a"), done=False)))
    for _ in range(5):
        clock.now += 1.0
        assert list(reader.decode(data)) == []
    clock.now += 1.0
    with pytest.raises(QwenVLTimeoutError, match="5 seconds"):
        list(reader.decode(data))


def test_chunks_within_limit_do_not_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reader = Clock(monkeypatch), reader_with_limit(5.0)
    for _ in range(10):
        clock.now += 4.0
        list(reader.decode(b": keep-alive\n\n"))
        clock.now += 0.9
        assert list(reader.decode(sse(chunk(content="a"), done=False))) == [T("a")]


def test_slow_consumer_does_not_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reader = Clock(monkeypatch), reader_with_limit(5.0)
    for _ in reader.decode(sse(chunk(content="a"), chunk(content="b"), done=False)):
        clock.now += 60.0  # the consumer's own work
    assert list(reader.decode(b": keep-alive\n\n")) == []  # arrived meanwhile
    clock.now += 1.0
    assert list(reader.decode(sse(chunk(content="c"), done=False))) == [T("c")]


def test_no_limit_does_not_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reader = Clock(monkeypatch), reader_with_limit(None)
    clock.now += 10_000.0
    assert list(reader.decode(b": keep-alive\n\n")) == []

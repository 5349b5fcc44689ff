"""Read replies of the OpenAI-compatible API, as Model Studio and other servers send them, into events."""

from __future__ import annotations

import json
import re
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLContentFilterError,
    QwenVLContextOverflowError,
    QwenVLError,
    QwenVLInvalidRequestError,
    QwenVLOutputError,
    QwenVLRateLimitError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
)
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import accumulate
from qwenvl_core.types.request import Request
from qwenvl_core.wire import openai as wire
from qwenvl_core.wire.response_reader import ResponseReader
from tests.support.pipeline import chunk, prepare, read, request, sse

R, T, C = ReasoningDelta, TextDelta, ToolCallDelta
USAGE = {
    "prompt_tokens": 544,
    "completion_tokens": 590,
    "total_tokens": 1134,
    "completion_tokens_details": {"text_tokens": 90, "reasoning_tokens": 500},
    "prompt_tokens_details": {"text_tokens": 24, "image_tokens": 500, "video_tokens": 20, "cached_tokens": 4},
}
COUNTED = Usage(544, 590, 1134, reasoning=500, cached=4, image=500, video=20, raw=USAGE)
STREAM = request(stream=True)
WHOLE = request(enable_thinking=False)


def last(reason: str = "stop", **facts: Any) -> Finish:
    return Finish(reason, "qwen3-vl-plus", "chatcmpl-1", **facts)


def usage_chunk(usage: Any = USAGE) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "model": "qwen3-vl-plus", "choices": [], "usage": usage}


def fragment(index: int | None = 0, call_id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    payload: dict[str, Any] = {"function": {}, "type": "function"}
    payload |= {} if index is None else {"index": index}
    payload |= {} if call_id is None else {"id": call_id}
    payload["function"] |= {} if name is None else {"name": name}
    payload["function"] |= {} if arguments is None else {"arguments": arguments}
    return payload


def calls(*fragments: dict[str, Any], finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return chunk(finish, tool_calls=list(fragments), **delta)


STOP = chunk("stop", content="", reasoning_content=None)
CALLED = chunk("tool_calls")

# The payloads of a stream and the events they yield.
GOLDEN: dict[str, tuple[list[Any], list[Event]]] = {
    "reasoning, then text": (
        [
            chunk(content=None, role="assistant", reasoning_content=""),
            chunk(content=None, reasoning_content="We"),
            chunk(content=None, reasoning_content=" see."),
            chunk(content="Fo", reasoning_content=None),
            chunk(content="ur.", reasoning_content=None),
            STOP,
            usage_chunk(),
        ],
        [R("We"), R(" see."), T("Fo"), T("ur."), COUNTED, last()],
    ),
    # --- Model Studio
    "reasoning opens with text": ([chunk(reasoning_content="a", content=None), STOP], [R("a"), last()]),
    "content null, empty, a list, missing": (
        [
            chunk(content=None, reasoning_content="a"),
            chunk(content="", reasoning_content="b"),
            chunk(content=[], reasoning_content="c"),
            chunk(reasoning_content="d"),
            chunk(content="e"),
            STOP,
        ],
        [R("a"), R("b"), R("c"), R("d"), T("e"), last()],
    ),
    "content as a list of parts": (
        [chunk(content=[{"type": "text", "text": "a"}, {"text": "b"}, {"text": None}, {}]), STOP],
        [T("ab"), last()],
    ),
    "content as one part": ([chunk(content={"type": "text", "text": "a"}), STOP], [T("a"), last()]),
    "reasoning and text in one chunk": (
        [chunk(reasoning_content="a", content="b"), chunk("stop", reasoning_content="c", content="d")],
        [R("a"), T("b"), R("c"), T("d"), last()],
    ),
    "text with reasoning null, empty, absent": (
        [
            chunk(content="a", reasoning_content=None),
            chunk(content="b", reasoning_content=""),
            chunk(content="c"),
            STOP,
        ],
        [T("a"), T("b"), T("c"), last()],
    ),
    'finish reason "null", null, absent': (
        [
            chunk("null", content="a"),
            chunk(None, content="b"),
            {"choices": [{"delta": {"content": "c"}}], "model": "qwen3-vl-plus"},
            STOP,
        ],
        [T("a"), T("b"), T("c"), last()],
    ),
    'id "" in later fragments': (
        [
            calls(fragment(0, "c1", "crop", ""), content=None, role="assistant"),
            calls(fragment(0, "", None, '{"x":')),
            calls(fragment(0, "", "", " 1}")),
            CALLED,
        ],
        [C(0, "c1", "crop", ""), C(0, None, None, '{"x":'), C(0, None, None, " 1}"), last("tool_calls")],
    ),
    "two indexes in one chunk": (
        [
            calls(fragment(0, "c1", "crop", "{")),
            calls(fragment(0, "", None, "}"), fragment(1, "c2", "zoom", "")),
            calls(fragment(1, "", None, "{}"), finish="tool_calls"),
        ],
        [
            C(0, "c1", "crop", "{"),
            C(0, None, None, "}"),
            C(1, "c2", "zoom", ""),
            C(1, None, None, "{}"),
            last("tool_calls"),
        ],
    ),
    "interleaved fragments": (
        [
            calls(fragment(0, "c1", "crop", "{"), fragment(1, "c2", "zoom", "[")),
            calls(fragment(1, "", None, "]"), fragment(0, "", None, "}")),
            CALLED,
        ],
        [
            C(0, "c1", "crop", "{"),
            C(1, "c2", "zoom", "["),
            C(1, None, None, "]"),
            C(0, None, None, "}"),
            last("tool_calls"),
        ],
    ),
    "text, reasoning and a call in one chunk": (
        [calls(fragment(0, "c1", "crop", "{}"), content="b", reasoning_content="a"), CALLED],
        [R("a"), T("b"), C(0, "c1", "crop", "{}"), last("tool_calls")],
    ),
    "a chunk without finish reason and logprobs": (
        [
            calls(fragment(0, "c1", "crop", "{}")),
            {"choices": [{"delta": {"tool_calls": [fragment(0, "", None, "")]}, "index": 0}]},
            {"choices": [{"finish_reason": "tool_calls", "delta": {}, "index": 0}]},
        ],
        [C(0, "c1", "crop", "{}"), C(0, None, None, ""), last("tool_calls")],
    ),
    "the finish reason with the last arguments": (
        [calls(fragment(0, "c1", "crop", "{")), calls(fragment(0, "", None, "}"), finish="tool_calls")],
        [C(0, "c1", "crop", "{"), C(0, None, None, "}"), last("tool_calls")],
    ),
    "thinking without an answer": (
        [chunk(reasoning_content="Hm"), chunk("length", content="")],
        [R("Hm"), last("length")],
    ),
    "usage without details": (
        [STOP, usage_chunk({"prompt_tokens": 3, "completion_tokens": 4})],
        [Usage(3, 4, 7, raw={"prompt_tokens": 3, "completion_tokens": 4}), last()],
    ),
    "usage with empty or null details": (
        [
            STOP,
            usage_chunk(
                {
                    "prompt_tokens": 3,
                    "completion_tokens": 4,
                    "prompt_tokens_details": {},
                    "completion_tokens_details": None,
                }
            ),
        ],
        [
            Usage(
                3,
                4,
                7,
                raw={
                    "prompt_tokens": 3,
                    "completion_tokens": 4,
                    "prompt_tokens_details": {},
                    "completion_tokens_details": None,
                },
            ),
            last(),
        ],
    ),
    "usage that counts thinking as text": (
        [
            STOP,
            usage_chunk(
                {
                    "prompt_tokens": 3,
                    "completion_tokens": 4,
                    "total_tokens": 7,
                    "completion_tokens_details": {"text_tokens": 4},
                }
            ),
        ],
        [
            Usage(
                3,
                4,
                7,
                raw={
                    "prompt_tokens": 3,
                    "completion_tokens": 4,
                    "total_tokens": 7,
                    "completion_tokens_details": {"text_tokens": 4},
                },
            ),
            last(),
        ],
    ),
    "search results next to the choices": (
        [{**chunk(content="a"), "search_info": {"search_results": [1]}}, STOP],
        [T("a"), last(extras={"search_info": {"search_results": [1]}})],
    ),
    "log probabilities": (
        [
            chunk(content="a", choice={"logprobs": {"content": [{"token": "a", "logprob": -1}]}}),
            chunk(content="b", choice={"logprobs": {"content": [{"token": "b", "logprob": 0}]}}),
            chunk("stop", choice={"logprobs": None}),
        ],
        [
            T("a"),
            T("b"),
            last(extras={"logprobs": {"content": [{"token": "a", "logprob": -1}, {"token": "b", "logprob": 0}]}}),
        ],
    ),
    "tags and calls within text are text": (
        [chunk(reasoning_content='<tool_call>{"name": "crop"}</tool_call>'), chunk(content="<think>a</think>b"), STOP],
        [R('<tool_call>{"name": "crop"}</tool_call>'), T("<think>a</think>b"), last()],
    ),
    # --- vLLM, SGLang, transformers, Ollama
    "reasoning under its other key": (
        [chunk(reasoning="a", content=None), chunk(reasoning=None, content="b"), STOP],
        [R("a"), T("b"), last()],
    ),
    "reasoning under both keys": ([chunk(reasoning="a", reasoning_content="a"), STOP], [R("a"), last()]),
    "reasoning under its other key, the first empty": (
        [chunk(reasoning="a", reasoning_content=""), STOP],
        [R("a"), last()],
    ),
    "reasoning alone, content null": (
        [chunk(reasoning="a", content=None), chunk("stop", content=None)],
        [R("a"), last()],
    ),
    "usage on every chunk": (
        [
            chunk(content="a", usage={"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}),
            chunk(content="b", usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}),
            chunk("stop", usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}),
        ],
        [T("a"), T("b"), Usage(5, 2, 7, raw={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}), last()],
    ),
    "usage with the finish reason": (
        [chunk(content="a"), chunk("stop", content="b", usage=USAGE)],
        [T("a"), T("b"), COUNTED, last()],
    ),
    "reasoning tokens next to the counters": (
        [STOP, usage_chunk({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "reasoning_tokens": 2})],
        [
            Usage(
                3,
                4,
                7,
                reasoning=2,
                raw={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "reasoning_tokens": 2},
            ),
            last(),
        ],
    ),
    "no usage": ([chunk("stop", content="a")], [T("a"), last()]),
    "the finish reason on the last text": ([chunk(content="a"), chunk("stop", content="b")], [T("a"), T("b"), last()]),
    "finish reason stop with tool calls": (
        [calls(fragment(0, "c1", "crop", "{}")), chunk("stop")],
        [C(0, "c1", "crop", "{}"), last("stop")],
    ),
    "fragments without id, type, arguments": (
        [
            calls({"index": 0, "id": "c1", "function": {"name": "crop"}}),
            calls({"index": 0, "function": {"arguments": "{}"}}),
            calls({"index": 0, "function": {}}),
            calls({"index": 0}),
            CALLED,
        ],
        [
            C(0, "c1", "crop", ""),
            C(0, None, None, "{}"),
            C(0, None, None, ""),
            C(0, None, None, ""),
            last("tool_calls"),
        ],
    ),
    "calls without any id get one": (
        [calls(fragment(0, None, "crop", "{}")), calls(fragment(1, "", "zoom", "{}")), CALLED],
        [
            C(0, "call_chatcmpl-1_0", "crop", "{}"),
            C(1, "call_chatcmpl-1_1", "zoom", "{}"),
            last("tool_calls"),
        ],
    ),
    "whole calls without index": (
        [calls(fragment(None, "c1", "crop", "{}"), fragment(None, "c2", "zoom", "{}")), CALLED],
        [C(0, "c1", "crop", "{}"), C(1, "c2", "zoom", "{}"), last("tool_calls")],
    ),
    "whole calls that all have index 0": (
        [calls(fragment(0, "c1", "crop", "{}")), calls(fragment(0, "c2", "crop", '{"x":1}')), CALLED],
        [C(0, "c1", "crop", "{}"), C(1, "c2", "crop", '{"x":1}'), last("tool_calls")],
    ),
    "another id for each fragment of one call": (
        [
            calls(fragment(0, "tool-1", "crop", "")),
            calls(fragment(0, "tool-2", None, "{")),
            calls(fragment(0, "tool-3", None, "}")),
            CALLED,
        ],
        [C(0, "tool-1", "crop", ""), C(0, None, None, "{"), C(0, None, None, "}"), last("tool_calls")],
    ),
    "the name in every fragment": (
        [calls(fragment(0, "c1", "crop", "{")), calls(fragment(0, "c1", "crop", "}")), CALLED],
        [C(0, "c1", "crop", "{"), C(0, None, None, "}"), last("tool_calls")],
    ),
    "indexes that do not begin with 0": (
        [calls(fragment(3, "c1", "crop", "{")), calls(fragment(3, None, None, "}")), CALLED],
        [C(0, "c1", "crop", "{"), C(0, None, None, "}"), last("tool_calls")],
    ),
    "arguments as an object": (
        [calls(fragment(0, "c1", "crop", {"x": "ö"})), CALLED],
        [C(0, "c1", "crop", '{"x": "ö"}'), last("tool_calls")],
    ),
    "arguments with surrounding space are unchanged": (
        [calls(fragment(0, "c1", "crop", ' {"x":')), calls(fragment(0, "", None, ' " a " } ')), CALLED],
        [C(0, "c1", "crop", ' {"x":'), C(0, None, None, ' " a " } '), last("tool_calls")],
    ),
    "tool_calls empty or null": (
        [chunk(content="a", tool_calls=[]), chunk(content="b", tool_calls=None), STOP],
        [T("a"), T("b"), last()],
    ),
    "only the first of several choices": (
        [
            {"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "x"}}]},
            {"choices": [{"index": 1, "delta": {"content": "y"}, "finish_reason": "stop"}]},
            {"choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": "stop"}]},
        ],
        [T("a"), T("b"), Finish("stop", "qwen3-vl-plus")],
    ),
    "delta null": ([{"choices": [{"delta": None, "index": 0}]}, chunk("stop", content="a")], [T("a"), last()]),
    "choices null": ([{"choices": None}, chunk("stop", content="a")], [T("a"), last()]),
    "error null": ([{**chunk("stop", content="a"), "error": None}], [T("a"), last()]),
    "Unicode line separators are text": (
        [chunk(content="a\u2028b\u2029c\u0085d\u000be\u001cf\u00a0"), STOP],
        [T("a\u2028b\u2029c\u0085d\u000be\u001cf\u00a0"), last()],
    ),
}


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


# --- required output --------------------------------------------------------------------------------------------------

TOOL = {"type": "function", "function": {"name": "crop", "parameters": {}}}
MUST_CALL = request(stream=True, tools=(TOOL,), tool_choice="required", forced_tool_choice="auto")
MUST_JSON = request(model="qvq-max", response_format={"type": "json_object"})


def test_reply_without_required_tool_call_raises_output_error() -> None:
    read(sse(calls(fragment(0, "c1", "crop", "{}")), CALLED), chat_request=MUST_CALL)
    with pytest.raises(QwenVLOutputError, match=r"called no tool.*'required'.*thinks") as caught:
        read(sse(chunk("stop", content="No."), usage_chunk()), chat_request=MUST_CALL)
    assert isinstance(caught.value, ValueError)
    assert caught.value.partial == "No."
    assert COUNTED in caught.value.events  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        "[1]",
        ' \n{"a": 1}\n',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```',
        'Here it is:\n```json\n{"a": 1}\n```\nDone.',
        json.dumps({"code": "```py\nprint(1)\n```"}),  # a fence within a string
        json.dumps({"code": "```json\n{'a'}\n```"}),
        '```json\n{"a": 1}\n',  # a fence without its end
        '```python\nprint(1)\n```\n```json\n{"a": 1}\n```',  # a later fence
        '{"a": "first line\nsecond line"}',  # a control character within a string
    ],
)
def test_answer_with_required_json_is_accepted(text: str) -> None:
    assert accumulate(read(sse(chunk("stop", content=text)), chat_request=MUST_JSON)).text == text


@pytest.mark.parametrize("text", ["", "No.", '{"a": 1', "```json\n{'a'}\n```", "[" * 100_000])
def test_answer_without_required_json_raises_output_error(text: str) -> None:
    with pytest.raises(QwenVLOutputError, match=r"not valid JSON.*always thinks") as caught:
        read(sse(chunk("stop", content=text)), chat_request=MUST_JSON)
    assert caught.value.partial == text


def test_tool_call_satisfies_required_json() -> None:
    read(sse(calls(fragment(0, "c1", "crop", "{}")), CALLED), chat_request=MUST_JSON)


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


# --- properties -------------------------------------------------------------------------------------------------------

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

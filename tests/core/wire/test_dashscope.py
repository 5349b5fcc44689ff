"""Decode replies of the native API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwenvl_core.errors import (
    QwenVLArrearageError,
    QwenVLAuthenticationError,
    QwenVLContentFilterError,
    QwenVLContextOverflowError,
    QwenVLError,
    QwenVLInvalidRequestError,
    QwenVLPermissionDeniedError,
    QwenVLRateLimitError,
    QwenVLStreamInterruptedError,
)
from qwenvl_core.types.events import Event, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import accumulate
from tests.core.wire.native_chunks import WHOLE, chunk, event, read

EVENTS: dict[str, tuple[bytes, list[Event]]] = {
    "thinking, a chunk with both, text": (
        chunk({"content": [], "reasoning_content": "用"})
        + chunk({"content": [{"text": "Yes"}], "reasoning_content": "户"})
        + chunk({"content": [{"text": "."}]}, "stop"),
        [ReasoningDelta("用"), ReasoningDelta("户"), TextDelta("Yes"), TextDelta("."), WHOLE],
    ),
    "empty content in every form": (
        chunk({"content": []})
        + chunk({"content": ""})
        + chunk({"content": None, "reasoning_content": None})
        + chunk({"reasoning_content": ""}, None)
        + chunk({"content": [{"text": ""}]})
        + chunk({"content": [{"text": None}]})
        + chunk({"content": "A", "tool_calls": []})
        + chunk({"content": [{"text": "B"}, {"text": "C"}]})
        + chunk({"content": []}, "stop"),
        [TextDelta("A"), TextDelta("BC"), WHOLE],
    ),
    "reasoning under its other key": (
        chunk({"content": None, "reasoning": "Hm"}) + chunk({"content": "A"}, "stop"),
        [ReasoningDelta("Hm"), TextDelta("A"), WHOLE],
    ),
    "two calls, two indexes in a chunk, each id sent once": (
        chunk(
            {
                "content": [],
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_a",
                        "type": "function",
                        "function": {"name": "crop", "arguments": '{"x": '},
                    }
                ],
            }
        )
        + chunk(
            {"content": [], "tool_calls": [{"index": 0, "id": "", "type": "function", "function": {"arguments": "1}"}}]}
        )
        + chunk(
            {
                "content": [],
                "tool_calls": [
                    {"index": 0, "id": "", "type": "function", "function": {"arguments": ""}},
                    {"index": 1, "id": "call_b", "type": "function", "function": {"name": "zoom", "arguments": ""}},
                ],
            }
        )
        + chunk(
            {
                "content": [],
                "tool_calls": [{"index": 1, "id": "", "type": "function", "function": {"arguments": "{}"}}],
            },
            "tool_calls",
        ),
        [
            ToolCallDelta(0, "call_a", "crop", ""),
            ToolCallDelta(0, None, None, '{"x": '),
            ToolCallDelta(0, None, None, "1}"),
            ToolCallDelta(0, None, None, ""),
            ToolCallDelta(1, "call_b", "zoom", ""),
            ToolCallDelta(1, None, None, "{}"),
            WHOLE._replace(finish_reason="tool_calls"),
        ],
    ),
    "growing usage: the last is used": (
        chunk({"content": [{"text": "A"}]}, usage={"input_tokens": 5, "output_tokens": 1})
        + chunk({"content": [{"text": "B"}]}, "stop", usage={"input_tokens": 5, "output_tokens": 2}),
        [
            TextDelta("A"),
            TextDelta("B"),
            Usage(5, 2, 7, raw={"input_tokens": 5, "output_tokens": 2}),
            WHOLE,
        ],
    ),
    "truncated thinking": (
        chunk({"content": "", "reasoning_content": "Hm"}, "length"),
        [ReasoningDelta("Hm"), WHOLE._replace(finish_reason="length")],
    ),
    "fields next to text go to extras": (
        chunk({"content": [{"text": "A"}]})
        + chunk({"content": [{"text": "B", "ocr_result": {"kv_result": {"a": 1}}}]}, "stop"),
        [TextDelta("A"), TextDelta("B"), WHOLE._replace(extras={"ocr_result": {"kv_result": {"a": 1}}})],
    ),
    "a part without text goes to extras": (
        chunk({"content": [{"ocr_result": {"words_info": []}}, {"text": "A"}]}, "stop"),
        [TextDelta("A"), WHOLE._replace(extras={"ocr_result": {"words_info": []}})],
    ),
    "content that is one part": (
        chunk({"content": {"text": "A", "ocr_result": {"a": 1}}}, "stop"),
        [TextDelta("A"), WHOLE._replace(extras={"ocr_result": {"a": 1}})],
    ),
    "fields next to the choices go to extras": (
        event(
            {
                "output": {
                    "choices": [{"message": {"content": "A"}, "finish_reason": "stop"}],
                    "search_info": {"search_results": [1]},
                    "finish_reason": None,
                },
                "request_id": "r-1",
            }
        ),
        [TextDelta("A"), WHOLE._replace(extras={"search_info": {"search_results": [1]}})],
    ),
    "log probabilities": (
        event(
            {
                "output": {
                    "choices": [
                        {
                            "message": {"content": "A"},
                            "finish_reason": "stop",
                            "logprobs": {"content": [{"token": "A"}]},
                        }
                    ]
                },
                "request_id": "r-1",
            }
        ),
        [TextDelta("A"), WHOLE._replace(extras={"logprobs": {"content": [{"token": "A"}]}})],
    ),
    "Unicode line ends are text": (
        chunk({"content": [{"text": "a\u2028b\u0085c\x0cd"}]}, "stop"),
        [TextDelta("a\u2028b\u0085c\x0cd"), WHOLE],
    ),
    "events without the blank line between them": (
        chunk({"content": [{"text": "A"}]}).rstrip() + b"\n" + chunk({"content": [{"text": "B"}]}, "stop").rstrip(),
        [TextDelta("A"), TextDelta("B"), WHOLE],
    ),
    "comments and heartbeats": (
        b": hello\n\n" + chunk({"content": [{"text": "A"}]}) + b":\n\n" + chunk({"content": []}, "stop") + b": bye\n\n",
        [TextDelta("A"), WHOLE],
    ),
    "an empty event": (
        event("") + chunk({"content": [{"text": "A"}]}, "stop") + event({"output": {}, "usage": None}),
        [TextDelta("A"), WHOLE],
    ),
}


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("crlf", [False, True])
@pytest.mark.parametrize("name", EVENTS)
def test_chunks_of_each_shape_yield_expected_events(name: str, crlf: bool, cut: int) -> None:
    body, expected = EVENTS[name]
    assert read(body.replace(b"\n", b"\r\n") if crlf else body, cut=cut) == expected


def test_line_of_a_megabyte_is_decoded() -> None:
    text = "好" * 400_000
    assert read(chunk({"content": [{"text": text}]}, "stop"), cut=4096) == [TextDelta(text), WHOLE]


USAGES: dict[str, tuple[dict[str, Any], Usage]] = {
    "2026": (
        {
            "input_tokens_details": {"image_tokens": 2503, "text_tokens": 304},
            "prompt_tokens_details": {"cached_tokens": 7},
            "total_tokens": 2810,
            "output_tokens": 3,
            "input_tokens": 2807,
            "output_tokens_details": {"reasoning_tokens": 3, "text_tokens": 0},
            "image_tokens": 2503,
        },
        Usage(2807, 3, 2810, reasoning=3, cached=7, image=2503),
    ),
    "2024": ({"input_tokens": 10, "output_tokens": 2, "image_tokens": 8}, Usage(10, 2, 12, image=8)),
    "2024, video": (
        {"output_tokens": 180, "video_tokens": 1440, "input_tokens": 1466},
        Usage(1466, 180, 1646, video=1440),
    ),
    "no reasoning tokens": (
        {
            "total_tokens": 547,
            "input_tokens": 544,
            "output_tokens": 3,
            "input_tokens_details": {"image_tokens": 520, "text_tokens": 24},
            "output_tokens_details": {"text_tokens": 3},
        },
        Usage(544, 3, 547, image=520),
    ),
    "empty details": (
        {"input_tokens": 1, "output_tokens": 1, "prompt_tokens_details": {}, "output_tokens_details": {}},
        Usage(1, 1, 2),
    ),
    "cache written and read": (
        {
            "input_tokens": 3019,
            "output_tokens": 104,
            "input_tokens_details": {"image_tokens": 1240, "text_tokens": 1779},
            "prompt_tokens_details": {
                "cached_tokens": 1500,
                "cache_creation_input_tokens": 1400,
                "cache_creation": {"ephemeral_5m_input_tokens": 1400},
                "cache_type": "ephemeral",
            },
        },
        Usage(3019, 104, 3123, cached=1500, cache_creation=1400, image=1240),
    ),
    "cache written, in the older place": (
        {
            "input_tokens": 1500,
            "output_tokens": 1,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_creation": {"cache_creation_input_tokens": 1400, "ephemeral_5m_input_tokens": 1400},
            },
        },
        Usage(1500, 1, 1501, cached=0, cache_creation=1400),
    ),
    "cache written, by lifetime only": (
        {
            "input_tokens": 1500,
            "output_tokens": 1,
            "prompt_tokens_details": {"cache_creation": {"ephemeral_5m_input_tokens": 1400}},
        },
        Usage(1500, 1, 1501, cache_creation=1400),
    ),
    "cache details without counts": (
        {"input_tokens": 9, "output_tokens": 1, "prompt_tokens_details": {"cache_creation": None}},
        Usage(9, 1, 10),
    ),
    "video in the details": (
        {"input_tokens": 9, "output_tokens": 1, "input_tokens_details": {"video_tokens": 8}},
        Usage(9, 1, 10, video=8),
    ),
}


@pytest.mark.parametrize("name", USAGES)
def test_usage_of_each_shape_is_read(name: str) -> None:
    payload, expected = USAGES[name]
    events = read(chunk({"content": "A"}, "stop", usage=payload))
    assert events[1] == expected._replace(raw=payload)


def test_request_id_header_takes_precedence() -> None:
    assert read(chunk({"content": "A"}, "stop"), headers={"x-request-id": "r-2"})[-1] == WHOLE._replace(
        request_id="r-2"
    )


def test_call_without_id_gets_generated_id() -> None:
    fragments = [{"index": 0, "function": {"name": "crop", "arguments": "{}"}}]
    (call,) = accumulate(read(chunk({"content": [], "tool_calls": fragments}, "tool_calls"))).tool_calls
    assert call == ToolCall("call_r-1_0", "crop", "{}")


@pytest.mark.parametrize("content", ["Four.", [{"text": "Four."}], [{"text": "Fo"}, {"text": "ur."}]])
def test_whole_reply_yields_all_events(content: Any) -> None:
    message = {"role": "assistant", "content": content, "reasoning_content": "Hm"}
    body = json.dumps(
        {
            "output": {"choices": [{"finish_reason": "stop", "message": message}]},
            "usage": {"output_tokens": 3, "input_tokens": 3613, "image_tokens": 3577},
            "request_id": "r-1",
        }
    ).encode()
    expected = [ReasoningDelta("Hm"), TextDelta("Four."), Usage(3613, 3, 3616, image=3577), WHOLE]
    events = read(body, cut=5, stream=False, headers={"content-type": "application/json"})
    assert [item._replace(raw={}) if isinstance(item, Usage) else item for item in events] == expected


# --- errors -----------------------------------------------------------------------------------------------------

FAILURES: list[tuple[str, str, int, type[QwenVLError]]] = [
    ("InvalidParameter", "url error", 400, QwenVLInvalidRequestError),
    ("InvalidParameter", "Range of input length should be [1, 9]", 400, QwenVLContextOverflowError),
    ("DataInspectionFailed", "Output data may contain inappropriate content.", 400, QwenVLContentFilterError),
    ("Arrearage", "Access denied.", 400, QwenVLArrearageError),
    ("InvalidApiKey", "Invalid API-key provided.", 401, QwenVLAuthenticationError),
    ("Throttling.RateQuota", "Requests rate limit exceeded.", 429, QwenVLRateLimitError),
    ("SomethingNew", "No.", 403, QwenVLPermissionDeniedError),
]


@pytest.mark.parametrize(("code", "message", "status", "cls"), FAILURES)
@pytest.mark.parametrize("spaced", [False, True])
def test_error_in_stream_raises_matching_class(
    code: str, message: str, status: int, cls: type[QwenVLError], spaced: bool
) -> None:
    payload = event({"code": code, "message": message, "request_id": "r-9"}, kind="error", status=status)
    body = chunk({"content": [{"text": "So far"}]}) + (payload.replace(b"event:", b"event: ") if spaced else payload)
    with pytest.raises(cls, match=message[:9]) as caught:
        read(body, cut=3)
    error = caught.value
    assert type(error) is cls
    assert (error.code, error.status_code, error.request_id, error.partial) == (code, status, "r-9", "So far")


def test_error_without_status_comment_has_no_status_code() -> None:
    payload = b'data:{"code":"Throttling","message":"Slow down","request_id":"r-9"}\n\n'
    with pytest.raises(QwenVLRateLimitError) as caught:
        read(chunk({"content": "A"}) + payload)
    assert caught.value.status_code is None


@pytest.mark.parametrize(
    "end",
    [b"", chunk({"content": []}), b'data:{"output":{"choices":[{"mess', event({"output": {}})],
    ids=["nothing", "null", "truncated event", "no choices"],
)
def test_stream_without_finish_reason_raises_interrupted_error(end: bytes) -> None:
    with pytest.raises(QwenVLStreamInterruptedError) as caught:
        read(chunk({"content": [{"text": "So far"}]}) + end)
    assert (caught.value.partial, caught.value.request_id) == ("So far", "r-1")

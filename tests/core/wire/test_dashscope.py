"""Encode requests to the native API and decode its replies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from qwenvl_core.catalog.models import describe
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
from qwenvl_core.media.sources import DataUri
from qwenvl_core.request import policy
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.media import InlineSource, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, TextPart, ToolCall, VideoPart
from qwenvl_core.types.reply import Reply, accumulate
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.types.settings import ModelSettings, NamedTool
from qwenvl_core.wire import dashscope as wire
from qwenvl_core.wire import openai
from qwenvl_core.wire.response_reader import ResponseReader
from tests.support.paths import RECORDINGS

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40\x08\x02\0\0\0"
TOOL = {"type": "function", "function": {"name": "crop", "parameters": {"type": "object", "properties": {}}}}
USER = Message("user", (TextPart("Hi"),))
FOUR = tuple(UrlSource(f"https://e.com/{n}.jpg") for n in range(4))


def prepare_request(*messages: Message, stream: bool = False, **settings: Any) -> PreparedRequest:
    settings = {"enable_thinking": False, **settings}
    return policy.prepare(
        Request(messages=messages or (USER,), settings=ModelSettings(**settings), stream=stream),
        describe(settings.get("model", "qwen3-vl-plus")),
    )


# --- encode -----------------------------------------------------------------------------------------------------

MESSAGES: dict[str, tuple[Sequence[Message], list[dict[str, Any]]]] = {
    "text": ([USER], [{"role": "user", "content": [{"text": "Hi"}]}]),
    "system": (
        [Message("system", (TextPart("Be brief."),)), USER],
        [{"role": "system", "content": [{"text": "Be brief."}]}, {"role": "user", "content": [{"text": "Hi"}]}],
    ),
    "empty text": ([Message("user", (TextPart(""),))], [{"role": "user", "content": [{"text": ""}]}]),
    "image": (
        [
            Message(
                "user",
                (ImagePart(UrlSource("https://e.com/a.png"), min_pixels=3136, max_pixels=1003520), TextPart("What?")),
            )
        ],
        [
            {
                "role": "user",
                "content": [
                    {"image": "https://e.com/a.png", "min_pixels": 3136, "max_pixels": 1003520},
                    {"text": "What?"},
                ],
            }
        ],
    ),
    "video": (
        [
            Message(
                "user",
                (VideoPart(UrlSource("https://e.com/a.mp4"), fps=0.5, min_pixels=1, max_pixels=2, total_pixels=3),),
            )
        ],
        [
            {
                "role": "user",
                "content": [
                    {"video": "https://e.com/a.mp4", "fps": 0.5, "min_pixels": 1, "max_pixels": 2, "total_pixels": 3}
                ],
            }
        ],
    ),
    "frames": (
        [Message("user", (FramesPart(FOUR, fps=2, total_pixels=9),))],
        [
            {
                "role": "user",
                "content": [{"video": [frame.url for frame in FOUR], "fps": 2, "total_pixels": 9}],
            }
        ],
    ),
    "cache markers": (
        [Message("user", (ImagePart(UrlSource("oss://a/b.png"), cache=True), TextPart("What?", cache=True)))],
        [
            {
                "role": "user",
                "content": [
                    {"image": "oss://a/b.png", "cache_control": {"type": "ephemeral"}},
                    {"text": "What?", "cache_control": {"type": "ephemeral"}},
                ],
            }
        ],
    ),
    "tool calls": (
        [
            USER,
            Message("assistant", tool_calls=(ToolCall("call_1", "crop", '{"x": 1}'), ToolCall("call_2", "crop", "["))),
            Message("tool", (TextPart("done"), TextPart("twice")), tool_call_id="call_1"),
            Message("tool", (), tool_call_id="call_2"),
        ],
        [
            {"role": "user", "content": [{"text": "Hi"}]},
            {
                "role": "assistant",
                "content": [],
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "crop", "arguments": '{"x": 1}'}},
                    {"id": "call_2", "type": "function", "function": {"name": "crop", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "content": [{"text": "done\ntwice"}], "tool_call_id": "call_1"},
            {"role": "tool", "content": [{"text": ""}], "tool_call_id": "call_2"},
        ],
    ),
    "assistant": (
        [USER, Message("assistant", (TextPart("One"), TextPart("two")), name="Bo", reasoning="Hm"), USER],
        [
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": [{"text": "One\ntwo"}], "name": "Bo"},
            {"role": "user", "content": [{"text": "Hi"}]},
        ],
    ),
    "partial": (
        [USER, Message("assistant", (TextPart("Once"),), partial=True)],
        [
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": [{"text": "Once"}], "partial": True},
        ],
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_are_encoded(name: str) -> None:
    messages, expected = MESSAGES[name]
    assert wire.encode(prepare_request(*messages)) == {
        "model": "qwen3-vl-plus",
        "input": {"messages": expected},
        "parameters": {"result_format": "message", "incremental_output": True, "enable_thinking": False},
    }


PARAMETERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "thinking": (
        {"enable_thinking": True, "thinking_budget": 50},
        {"enable_thinking": True, "thinking_budget": 50},
    ),
    "sampling, where 0 is a value": (
        {"temperature": 0, "top_p": 0.5, "top_k": 0, "seed": 0, "presence_penalty": 0, "repetition_penalty": 1.1},
        {"temperature": 0, "top_p": 0.5, "top_k": 0, "seed": 0, "presence_penalty": 0, "repetition_penalty": 1.1},
    ),
    "other settings": (
        {"max_tokens": 9, "stop": ("a",), "logprobs": True, "top_logprobs": 2, "vl_high_resolution_images": True},
        {"max_tokens": 9, "stop": ("a",), "logprobs": True, "top_logprobs": 2, "vl_high_resolution_images": True},
    ),
    "tools": (
        {"tools": (TOOL,), "tool_choice": "auto", "parallel_tool_calls": True},
        {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True},
    ),
    "named tool": (
        {"tools": (TOOL,), "tool_choice": NamedTool("crop")},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "crop"}}},
    ),
    "extra_body comes last": (
        {"temperature": 1, "extra_body": {"temperature": 0.5, "ocr_options": {"task": "table_parsing"}}},
        {"temperature": 0.5, "ocr_options": {"task": "table_parsing"}},
    ),
    "preserve_thinking": (
        {"model": "qwen3.6-plus", "preserve_thinking": True, "enable_thinking": True},
        {"enable_thinking": True, "preserve_thinking": True},
    ),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_encoded(name: str) -> None:
    settings, expected = PARAMETERS[name]
    sent = wire.encode(prepare_request(**settings))["parameters"]
    assert sent == {"result_format": "message", "incremental_output": True, "enable_thinking": False, **expected}


def test_response_format_is_sent_as_parameter() -> None:
    sent = wire.encode(prepare_request(Message("user", (TextPart("json"),)), response_format={"type": "json_object"}))
    assert sent["parameters"]["response_format"] == {"type": "json_object"}


def test_both_apis_send_the_same_parameters() -> None:
    prepared = prepare_request(
        enable_thinking=True, thinking_budget=9, tools=(TOOL,), temperature=0.1, seed=1, stop=("x",)
    )
    native = wire.encode(prepared)["parameters"]
    compatible = openai.encode(prepared)
    assert {name: native[name] for name in native if name not in ("result_format", "incremental_output")} == {
        name: compatible[name] for name in compatible if name not in ("model", "messages", "stream", "stream_options")
    }


def test_default_options_are_sent_with_each_part() -> None:
    parts = (
        ImagePart(UrlSource("https://e.com/a.png")),
        VideoPart(UrlSource("https://e.com/a.mp4"), fps=1),
        FramesPart(FOUR),
    )
    content = wire.encode(prepare_request(Message("user", parts), fps=3, max_pixels=7))["input"]["messages"][0][
        "content"
    ]
    assert content == [
        {"image": "https://e.com/a.png", "max_pixels": 7},
        {"video": "https://e.com/a.mp4", "fps": 1, "max_pixels": 7},
        {"video": [frame.url for frame in FOUR], "fps": 3, "max_pixels": 7},
    ]


def test_inline_image_becomes_lazy_data_uri() -> None:
    sent = wire.encode(prepare_request(Message("user", (ImagePart(InlineSource(PNG)),))))
    uri = sent["input"]["messages"][0]["content"][0]["image"]
    assert isinstance(uri, DataUri)
    assert b"".join(uri.blocks()).startswith(b"data:image/png;base64,iVBOR")


@pytest.mark.parametrize(
    ("prepared", "expected"),
    [
        (prepare_request(), {}),
        (prepare_request(stream=True), {"X-DashScope-SSE": "enable"}),
        (
            prepare_request(Message("user", (ImagePart(UrlSource("oss://a/b.png")),))),
            {"X-DashScope-OssResourceResolve": "enable"},
        ),
        (
            prepare_request(Message("user", (FramesPart((*FOUR[:3], UrlSource("OSS://a/b.png"))),)), stream=True),
            {"X-DashScope-SSE": "enable", "X-DashScope-OssResourceResolve": "enable"},
        ),
        (prepare_request(Message("user", (TextPart("oss://a/b.png"),))), {}),
    ],
)
def test_headers_per_request(prepared: PreparedRequest, expected: dict[str, str]) -> None:
    assert wire.headers(prepared) == expected


@pytest.mark.parametrize("fps", [0.1, 0.5, 2, 10])
def test_fps_is_sent_with_part(fps: float) -> None:
    for part in (VideoPart(UrlSource("https://e.com/a.mp4"), fps=fps), FramesPart(FOUR, fps=fps)):
        content = wire.encode(prepare_request(Message("user", (part,))))["input"]["messages"][0]["content"]
        assert content[0]["fps"] == fps


# --- decode -----------------------------------------------------------------------------------------------------


def event(payload: Any, *, kind: str = "result", status: int = 200, number: int = 1) -> bytes:
    body = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"id:{number}\nevent:{kind}\n:HTTP_STATUS/{status}\ndata:{body}\n\n".encode()


def chunk(message: dict[str, Any], finish: str | None = "null", **extra_fields: Any) -> bytes:
    choice = {"message": {"role": "assistant", **message}, "finish_reason": finish}
    return event({"output": {"choices": [choice]}, "request_id": "r-1", **extra_fields})


def read(
    body: bytes, *, cut: int = 0, stream: bool = True, headers: dict[str, str] | None = None, model: str = "qwen-x"
) -> list[Event]:
    prepared = policy.prepare(
        Request(messages=(USER,), settings=ModelSettings(model=model), stream=stream), describe(model)
    )
    reader = ResponseReader(wire.Decoder(), prepared)
    events: list[Event] = []
    try:
        reader.start(headers or {})
        for start in range(0, len(body), cut or len(body)):
            events += reader.decode(body[start : start + (cut or len(body))])
        events += reader.flush()
    except QwenVLError as error:
        reader.add_context(error)
        raise
    return events


WHOLE = Finish("stop", "qwen-x", "r-1", "r-1")

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
            ToolCallDelta(0, "call_a", "crop", '{"x": '),
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


# --- real traffic -----------------------------------------------------------------------------------------------

needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are absent")


def headers_of(name: str) -> dict[str, str]:
    lines = (RECORDINGS / f"{name}.response.header.txt").read_text("utf-8-sig").splitlines()
    return {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}


def replay(name: str, cut: int) -> Reply:
    body = (RECORDINGS / f"{name}.response.body.txt").read_bytes()
    return accumulate(read(body, cut=cut, stream=not name.endswith("nosse"), headers=headers_of(name)))


def reference(name: str) -> dict[str, Any]:
    """Read a recording line by line and join the texts, as a reference."""
    lines = (RECORDINGS / f"{name}.response.body.txt").read_text("utf-8-sig").split("\n")
    if name.endswith("nosse"):
        payloads = [json.loads("\n".join(lines))]
    else:
        payloads = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    messages = [payload["output"]["choices"][0]["message"] for payload in payloads]
    contents = [message["content"] for message in messages]
    return {
        "text": "".join(
            content if isinstance(content, str) else "".join(item["text"] for item in content) for content in contents
        ),
        "reasoning": "".join(message.get("reasoning_content") or "" for message in messages),
        "reason": payloads[-1]["output"]["choices"][0]["finish_reason"],
        "usage": payloads[-1]["usage"],
        "request_id": payloads[-1]["request_id"],
    }


@needs_recordings
@pytest.mark.parametrize("cut", [0, 1, 1000])
@pytest.mark.parametrize(
    "name",
    [
        "multimodal-generation-message-with-tools-sse",
        "multimodal-generation-vl-sse",
        "single-generation-message-reasoning-sse",
        "multimodal-generation-vl-nosse",
        "multimodal-generation-vl-ocr-nosse",
        "multimodal-generation-vl-ocr-key-information-extraction-nosse",
        "multimodal-generation-vl-video-nosse",
        "multimodal-generation-with-websearch-nosse",
        "conversation-generation-message-partial-nosse",
        "single-generation-message-json-nosse",
        "single-generation-message-reasoning-nosse",
        "single-generation-message-with-tools-nosse",
    ],
)
def test_recording_is_decoded(name: str, cut: int) -> None:
    reply, expected = replay(name, cut), reference(name)
    assert reply.text == expected["text"]
    assert reply.reasoning == expected["reasoning"]
    assert reply.text or reply.reasoning or reply.tool_calls
    assert reply.finish.finish_reason == expected["reason"]
    assert reply.usage is not None
    assert reply.usage.raw == expected["usage"]
    assert reply.usage.input == expected["usage"]["input_tokens"]
    assert reply.usage.output == expected["usage"]["output_tokens"]
    assert reply.finish.reply_id == expected["request_id"]
    # The headers and the body of one recording are from two different runs.
    assert reply.finish.request_id == headers_of(name).get("x-request-id", expected["request_id"])


@needs_recordings
def test_recordings_hold_known_details() -> None:
    thought = replay("multimodal-generation-message-with-tools-sse", 100)
    assert thought.reasoning.startswith("用户需要编写一个基于图片的小故事")
    assert thought.text
    assert thought.usage is not None
    assert (thought.usage.image, thought.usage.input) == (2503, 2891)
    assert thought.usage.reasoning
    called = replay("single-generation-message-with-tools-nosse", 0)
    assert called.tool_calls == (
        ToolCall("call_cec4c19d27624537b583af", "get_current_weather", '{"location": "浙江省杭州市"}'),
    )
    found = replay("multimodal-generation-vl-ocr-key-information-extraction-nosse", 0)
    assert found.finish.extras["ocr_result"]["kv_result"]["发票"]["发票号码"] == "10283819"
    searched = replay("multimodal-generation-with-websearch-nosse", 0)
    assert searched.finish.extras["search_info"]["search_results"][0]["index"] == 1
    watched = replay("multimodal-generation-vl-video-nosse", 0)
    assert watched.usage is not None
    assert watched.usage.video == 1440
    cut = replay("single-generation-message-reasoning-nosse", 0)
    assert (cut.text, cut.finish.finish_reason) == ("", "length")


@needs_recordings
def test_recorded_error_in_stream_raises_error() -> None:
    name = "parameter-error-sse"
    body = (RECORDINGS / f"{name}.response.body.txt").read_bytes()
    with pytest.raises(QwenVLInvalidRequestError, match="Role must be user or assistant") as caught:
        read(body, headers=headers_of(name))
    error = caught.value
    assert (error.code, error.status_code) == ("InvalidParameter", 400)
    assert error.request_id == "7671ecd8-93cc-9ee9-bc89-739f0fd8b809"


@needs_recordings
def test_recorded_stream_of_stream_only_model_is_decoded() -> None:
    body = (RECORDINGS / "openai-compatible" / "qvq-max.native.excerpt.sse").read_bytes()
    reply = accumulate(read(body, cut=11))
    assert (reply.reasoning, reply.text, reply.finish.finish_reason) == ("好的", "厘米", "stop")
    assert reply.usage is not None
    assert (reply.usage.total, reply.usage.reasoning) == (1134, None)

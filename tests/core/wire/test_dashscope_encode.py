"""Encode requests to the native API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from qwenvl_core.catalog.models import describe
from qwenvl_core.media.sources import DataUri
from qwenvl_core.request import policy
from qwenvl_core.types.media import InlineSource, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, TextPart, ToolCall, VideoPart
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.types.settings import ModelSettings, NamedTool
from qwenvl_core.wire import dashscope as wire
from qwenvl_core.wire import openai
from tests.core.wire.native_chunks import FOUR, USER

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40\x08\x02\0\0\0"
TOOL = {"type": "function", "function": {"name": "crop", "parameters": {"type": "object", "properties": {}}}}


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


TEXT_MESSAGES: dict[str, tuple[Sequence[Message], list[dict[str, Any]]]] = {
    "text": ([USER], [{"role": "user", "content": "Hi"}]),
    "empty text": ([Message("user", (TextPart(""),))], [{"role": "user", "content": ""}]),
    "several texts": ([Message("user", (TextPart("a"), TextPart("b")))], [{"role": "user", "content": "a\nb"}]),
    "cache marker": (
        [Message("system", (TextPart("a"), TextPart("b", cache=True))), USER],
        [
            {
                "role": "system",
                "content": [{"text": "a"}, {"text": "b", "cache_control": {"type": "ephemeral"}}],
            },
            {"role": "user", "content": "Hi"},
        ],
    ),
    "tool calls": (
        [
            USER,
            Message("assistant", tool_calls=(ToolCall("call_1", "crop", "{}"),)),
            Message("tool", (TextPart("done"),), tool_call_id="call_1"),
        ],
        [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "crop", "arguments": "{}"}}],
            },
            {"role": "tool", "content": "done", "tool_call_id": "call_1"},
        ],
    ),
}


@pytest.mark.parametrize("name", TEXT_MESSAGES)
def test_messages_to_a_text_model_hold_strings(name: str) -> None:
    messages, expected = TEXT_MESSAGES[name]
    prepared = prepare_request(*messages, model="qwen3.7-max")
    assert wire.encode(prepared)["input"]["messages"] == expected


@pytest.mark.parametrize(
    ("model", "endpoint"),
    [
        ("qwen3.7-max", "text-generation"),
        ("qwen3.6-max-preview", "text-generation"),
        ("qwen3.8-max", "multimodal-generation"),
        ("qwen3.5-ocr", "multimodal-generation"),
        ("qwen3.9-max", "multimodal-generation"),
        ("my-own-model", "multimodal-generation"),
    ],
)
def test_get_path_follows_the_abilities_of_the_model(model: str, endpoint: str) -> None:
    prepared = prepare_request(model=model)
    assert wire.get_path(prepared) == f"/services/aigc/{endpoint}/generation"
    assert openai.get_path(prepared) == "/chat/completions"


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
    "OCR task, whose rotation is sent with the images": (
        {"ocr_options": {"task": "table_parsing", "task_config": {"a": 1}, "enable_rotate": True}},
        {"ocr_options": {"task": "table_parsing", "task_config": {"a": 1}}},
    ),
    "rotation without an OCR task": ({"ocr_options": {"enable_rotate": True}}, {}),
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


def test_rotation_is_sent_with_each_image_unless_it_has_its_own() -> None:
    url = UrlSource("https://e.com/a.png")
    parts = (ImagePart(url), ImagePart(url, enable_rotate=False), FramesPart((url,) * 4), TextPart("Hi"))
    content = wire.encode(prepare_request(Message("user", parts), ocr_options={"enable_rotate": True}))["input"][
        "messages"
    ][0]["content"]
    assert [part.get("enable_rotate") for part in content] == [True, False, None, None]


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

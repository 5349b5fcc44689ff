"""List conversations, each as LangChain messages, as LlamaIndex messages and as messages on the wire."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from llama_index_qwenvl import video, video_frames
from tests.emulator import Reply, ToolCall
from tests.support.media_files import MP4_HEAD, data_uri, solid_image

PNG, JPEG = solid_image(), solid_image(kind="JPEG")
PATH = Path(gettempdir()) / f"qwenvl-parity-{os.getpid()}.png"
"""An image file that the tests write."""
URL, VIDEO_URL = "https://example.com/a.png?x=%2B", "https://example.com/walk.mp4"
HELLO = [{"role": "user", "content": "Hello."}]
THINKS = {"enable_thinking": True}
CROP = {
    "type": "function",
    "function": {"name": "crop", "description": "Cut.", "parameters": {"type": "object", "properties": {}}},
}


@dataclass(frozen=True)
class Row:
    """A conversation with its settings, the body that is sent for it, and the reply."""

    langchain: Sequence[AnyMessage]
    llama_index: Sequence[ChatMessage]
    messages: Sequence[Mapping[str, Any]]
    """Messages on the wire."""
    body: Mapping[str, Any] = field(default_factory=lambda: THINKS)
    """The other fields of the body, without model and streaming."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of the call in both frameworks."""
    model: str = "qwen3-vl-plus"
    reply: Reply = field(default_factory=lambda: Reply(reasoning="Hm, 好。", text="Hello, you."))
    adjustments: int = 0
    """Number of adjustments of the request."""
    invalid: tuple[str, str, str] | None = None
    """Id, name and arguments of the second call of the reply, if it must be invalid."""


def human(*blocks: Any, **fields: Any) -> HumanMessage:
    return HumanMessage(list(blocks) if blocks else "Hello.", **fields)


def user(*blocks: Any, **extra: Any) -> ChatMessage:
    return ChatMessage(role="user", blocks=list(blocks) or [TextBlock(text="Hello.")], additional_kwargs=extra)


def assistant(*blocks: Any, **extra: Any) -> ChatMessage:
    return ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=extra)


def user_message(*parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def text(content: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": content, **fields}


def image_part(url: str, **hints: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **hints}


def video_part(url: str, **hints: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}, **hints}


def call(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "crop", "arguments": arguments}}


def _media_row(langchain: Mapping[str, Any], llama_index: Any, part: Mapping[str, Any], **settings: Any) -> Row:
    """Return a row with one image or video and a question."""
    return Row(
        [human(langchain, {"type": "text", "text": "?"})],
        [user(llama_index, TextBlock(text="?"))],
        user_message(part, text("?")),
        settings=settings,
    )


def _settings_row(body: Mapping[str, Any], settings: Mapping[str, Any], **fields: Any) -> Row:
    """Return a row with a greeting and settings."""
    return Row([human()], [user()], HELLO, body=body, settings=settings, **fields)


def _demand_row(body: Mapping[str, Any], settings: Mapping[str, Any], **fields: Any) -> Row:
    """Return a row with a forced tool that the model is asked for, because it thinks."""
    content = f"{HELLO[0]['content']}\n\nAnswer with a call of the tool crop."
    return Row(
        [human()],
        [user()],
        [{**HELLO[0], "content": content}],
        body={**body, "tools": [CROP], "tool_choice": "auto"},
        settings=settings,
        reply=_CROP_REPLY,
        adjustments=1,
        **fields,
    )


def _history_row(langchain: Sequence[Any], llama_index: Sequence[ChatMessage], *messages: Any, **fields: Any) -> Row:
    """Return a row with messages between two greetings."""
    return Row([human(), *langchain, human()], [user(), *llama_index, user()], [*HELLO, *messages, *HELLO], **fields)


MEDIA: dict[str, Row] = {
    "image by URL": _media_row({"type": "image", "url": URL}, ImageBlock(url=URL), image_part(URL)),
    "image by OpenAI's block": _media_row(
        {"type": "image_url", "image_url": {"url": URL}}, ImageBlock(url=URL), image_part(URL)
    ),
    "image in base64": _media_row(
        {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"},
        ImageBlock(image=PNG),
        image_part(data_uri(PNG)),
    ),
    "image by data URI of a wrong type": _media_row(
        {"type": "image_url", "image_url": {"url": data_uri(JPEG, "None")}},
        ImageBlock(url=data_uri(JPEG, "None")),
        image_part(data_uri(JPEG, "image/jpeg")),
    ),
    "image by path": _media_row(
        {"type": "image", "url": PATH}, ImageBlock.model_construct(path=PATH), image_part(data_uri(PNG))
    ),
    "image with bounds": _media_row(
        {"type": "image", "url": URL, "extras": {"min_pixels": 4096, "max_pixels": 1310720}},
        ImageBlock(url=URL, detail='{"min_pixels": 4096, "max_pixels": 1310720}'),
        image_part(URL, min_pixels=4096, max_pixels=1310720),
        max_pixels=99999,
    ),
    "bounds of the call": _media_row(
        {"type": "image", "url": URL}, ImageBlock(url=URL), image_part(URL, max_pixels=99999), max_pixels=99999
    ),
    "video": _media_row(
        {"type": "video_url", "video_url": {"url": VIDEO_URL}, "fps": 2},
        VideoBlock(url=VIDEO_URL, fps=2),
        video_part(VIDEO_URL, fps=2),
    ),
    "video at a fraction": _media_row(
        {"type": "video", "url": VIDEO_URL, "extras": {"fps": 0.5}},
        video(VIDEO_URL, 0.5),
        video_part(VIDEO_URL, fps=0.5),
        fps=3,
    ),
    "video in base64": _media_row(
        {"type": "video", "base64": base64.b64encode(MP4_HEAD).decode(), "mime_type": "video/mp4"},
        VideoBlock(video=MP4_HEAD),
        video_part(data_uri(MP4_HEAD, "video/mp4"), fps=3),
        fps=3,
    ),
    "frames": _media_row(
        {"type": "video", "video": [URL, data_uri(PNG), URL, URL], "fps": 0.5, "total_pixels": 8192000},
        video_frames([URL, PNG, URL, URL], fps=0.5, total_pixels=8192000),
        {"type": "video", "video": [URL, data_uri(PNG), URL, URL], "fps": 0.5, "total_pixels": 8192000},
    ),
    "cache marker": Row(
        [human({"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}, text("?"))],
        [user(TextBlock(text="Long."), CachePoint(cache_control=CacheControl(type="ephemeral")), TextBlock(text="?"))],
        user_message(text("Long.", cache_control={"type": "ephemeral"}), text("?")),
    ),
    "cache marker after empty text": Row(
        [human(text("Long."), text("", cache_control={"type": "ephemeral"}), text("?"))],
        [
            user(
                TextBlock(text="Long."),
                TextBlock(text=""),
                CachePoint(cache_control=CacheControl(type="ephemeral")),
                TextBlock(text="?"),
            )
        ],
        user_message(text("Long.", cache_control={"type": "ephemeral"}), text("?")),
    ),
    "text document": Row(
        [human({"type": "text-plain", "text": "Hello.", "mime_type": "text/plain"})],
        [user(DocumentBlock(data=b"Hello.", document_mimetype="text/plain"))],
        HELLO,
    ),
    "text like a path": Row(
        [human(text("/etc/hosts"), text("file:///etc/hosts"))],
        [user(TextBlock(text="/etc/hosts"), TextBlock(text="file:///etc/hosts"))],
        user_message(text("/etc/hosts"), text("file:///etc/hosts")),
    ),
}

_REASONING = "Let me crop."


def _call_without_id(name: str) -> Any:
    return {"name": name, "args": {}, "id": None, "type": "tool_call"}


_MESSAGE_WITH_CALLS = AIMessage(
    "I crop.",
    additional_kwargs={"reasoning_content": _REASONING},
    tool_calls=[
        {"name": "crop", "args": {"x": 1, "ü": "→"}, "id": "call_1"},
        {"name": "crop", "args": {}, "id": "call_2"},
    ],
)
_CALL_BLOCKS = [
    ToolCallBlock(tool_call_id="call_1", tool_name="crop", tool_kwargs={"x": 1, "ü": "→"}),
    ToolCallBlock(tool_call_id="call_2", tool_name="crop", tool_kwargs={}),
]


def _tool_message(call_id: str, *blocks: Any) -> ChatMessage:
    return ChatMessage(role="tool", blocks=list(blocks), additional_kwargs={"tool_call_id": call_id})


HISTORIES: dict[str, Row] = {
    "several messages": _history_row(
        [AIMessage("Yes."), human(name="ann"), AIMessage("No.")],
        [assistant(TextBlock(text="Yes.")), user(name="ann"), assistant(TextBlock(text="No."))],
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Hello.", "name": "ann"},
        {"role": "assistant", "content": "No."},
    ),
    "tool results": _history_row(
        [
            _MESSAGE_WITH_CALLS,
            ToolMessage([text("a"), text("b")], tool_call_id="call_1"),
            ToolMessage("c", tool_call_id="call_2"),
        ],
        [
            assistant(ThinkingBlock(content=_REASONING), TextBlock(text="I crop."), *_CALL_BLOCKS),
            _tool_message("call_1", TextBlock(text="a"), TextBlock(text="b")),
            _tool_message("call_2", TextBlock(text="c")),
        ],
        {
            "role": "assistant",
            "content": "I crop.",
            "tool_calls": [call("call_1", '{"x": 1, "ü": "→"}'), call("call_2")],
        },
        {"role": "tool", "content": "a\nb", "tool_call_id": "call_1"},
        {"role": "tool", "content": "c", "tool_call_id": "call_2"},
    ),
    "images of tools": _history_row(
        [
            _MESSAGE_WITH_CALLS,
            ToolMessage([text("a"), {"type": "image", "url": URL}], tool_call_id="call_1"),
            ToolMessage([{"type": "image", "base64": base64.b64encode(PNG).decode()}], tool_call_id="call_2"),
        ],
        [
            assistant(TextBlock(text="I crop."), *_CALL_BLOCKS),
            _tool_message("call_1", TextBlock(text="a"), ImageBlock(url=URL)),
            _tool_message("call_2", ImageBlock(image=PNG)),
        ],
        {
            "role": "assistant",
            "content": "I crop.",
            "tool_calls": [call("call_1", '{"x": 1, "ü": "→"}'), call("call_2")],
        },
        {"role": "tool", "content": "a", "tool_call_id": "call_1"},
        {"role": "tool", "content": "The result follows as media in the next user message.", "tool_call_id": "call_2"},
        *user_message(
            text("Result of the tool call call_1:"),
            image_part(URL),
            text("Result of the tool call call_2:"),
            image_part(data_uri(PNG)),
        ),
        adjustments=1,
    ),
    "invalid call": _history_row(
        [
            AIMessage("", invalid_tool_calls=[{"name": "crop", "args": '{"x": ', "id": "call_1", "error": None}]),
            ToolMessage("No.", tool_call_id="call_1"),
        ],
        [
            assistant(ToolCallBlock(tool_call_id="call_1", tool_name="crop", tool_kwargs='{"x": ')),
            _tool_message("call_1", TextBlock(text="No.")),
        ],
        {"role": "assistant", "content": "", "tool_calls": [call("call_1")]},
        {"role": "tool", "content": "No.", "tool_call_id": "call_1"},
    ),
    "calls without ids or names": _history_row(
        [
            AIMessage("", tool_calls=[_call_without_id("crop"), _call_without_id("")]),
            ToolMessage("a", tool_call_id=""),
            ToolMessage("b", tool_call_id=""),
        ],
        [
            assistant(ToolCallBlock(tool_name="crop", tool_kwargs={}), ToolCallBlock(tool_name="", tool_kwargs={})),
            ChatMessage(role="tool", content="a"),
            ChatMessage(role="tool", content="b"),
        ],
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                call("call_1_0"),
                {"id": "call_1_1", "type": "function", "function": {"name": "unnamed", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "content": "a", "tool_call_id": "call_1_0"},
        {"role": "tool", "content": "b", "tool_call_id": "call_1_1"},
    ),
    "calls that were not executed": _history_row(
        [AIMessage("", tool_calls=[{"name": "crop", "args": {}, "id": "call_1", "type": "tool_call"}])],
        [assistant(ToolCallBlock(tool_call_id="call_1", tool_name="crop", tool_kwargs={}))],
        {"role": "assistant", "content": "", "tool_calls": [call("call_1")]},
        {"role": "tool", "content": "This call was not executed.", "tool_call_id": "call_1"},
        adjustments=1,
    ),
    "system messages": Row(
        [SystemMessage("Be brief."), human(), SystemMessage("Be kind.")],
        [
            ChatMessage(role="system", content="Be brief."),
            user(),
            ChatMessage(role="developer", content="Be kind."),
        ],
        [{"role": "system", "content": "Be brief."}, *HELLO, {"role": "system", "content": "Be kind."}],
    ),
    "system message folded": Row(
        [SystemMessage("Be brief."), human({"type": "image", "url": URL}, text("?"))],
        [ChatMessage(role="system", content="Be brief."), user(ImageBlock(url=URL), TextBlock(text="?"))],
        user_message(text("Be brief."), image_part(URL), text("?")),
        settings={"fold_system_prompt": True},
        adjustments=1,
    ),
    "reasoning replayed": _history_row(
        [AIMessage("Yes.", additional_kwargs={"reasoning_content": "Hm."})],
        [assistant(ThinkingBlock(content="Hm."), TextBlock(text="Yes."))],
        {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."},
        body={**THINKS, "preserve_thinking": True},
        settings={"preserve_thinking": True},
        model="qwen3.6-plus",
    ),
    "reasoning not replayed": _history_row(
        [AIMessage("Yes.", additional_kwargs={"reasoning_content": "Hm."})],
        [assistant(TextBlock(text="Yes."), reasoning_content="Hm.")],
        {"role": "assistant", "content": "Yes."},
    ),
    "reasoning expected by the model": _history_row(
        [AIMessage("Yes.", additional_kwargs={"reasoning_content": "Hm."})],
        [assistant(ThinkingBlock(content="Hm."), TextBlock(text="Yes."))],
        {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."},
        body=THINKS,
        model="qwen3.8-max",
    ),
    "reasoning kept from a model that expects it": _history_row(
        [AIMessage("Yes.", additional_kwargs={"reasoning_content": "Hm."})],
        [assistant(ThinkingBlock(content="Hm."), TextBlock(text="Yes."))],
        {"role": "assistant", "content": "Yes."},
        body={**THINKS, "preserve_thinking": False},
        settings={"preserve_thinking": False},
        model="qwen3.8-max",
    ),
    "partial answer": Row(
        [human(), AIMessage("It is", additional_kwargs={"partial": True})],
        [user(), assistant(TextBlock(text="It is"), partial=True)],
        [*HELLO, {"role": "assistant", "content": "It is", "partial": True}],
        body={"enable_thinking": False},
        reply=Reply(text=" blue."),
        adjustments=1,
    ),
}

_CROP_REPLY = Reply(
    reasoning="Hm.", text="I crop.",
    tool_calls=[ToolCall("call_1", "crop", ['{"x": ', '1, "y": "a b', ' é"}']), ToolCall("call_2", "crop", "")],
)  # fmt: skip
_CROP_CHOICE = {"type": "function", "function": {"name": "crop"}}
_LOGPROB = {"token": "Yes", "logprob": -0.1, "bytes": None, "top_logprobs": []}

SETTINGS: dict[str, Row] = {
    "thinking": _settings_row(THINKS, {}),
    "not thinking": _settings_row({"enable_thinking": False}, {"enable_thinking": False}, reply=Reply(text="Yes.")),
    "a budget": _settings_row({**THINKS, "thinking_budget": 50}, {"thinking_budget": 50}),
    "an effort": _settings_row(
        {**THINKS, "reasoning_effort": "low"}, {"reasoning_effort": "low"}, model="qwen3.8-max"
    ),
    "an alias of an effort": _settings_row(
        {**THINKS, "reasoning_effort": "xhigh"}, {"reasoning_effort": "max"}, model="qwen3.8-flash"
    ),
    "no effort": _settings_row(
        {"enable_thinking": False}, {"reasoning_effort": "none"}, model="qwen3.8-max", reply=Reply(text="Yes.")
    ),
    "an effort with a forced tool": _settings_row(
        {"enable_thinking": False, "tools": [CROP], "tool_choice": _CROP_CHOICE},
        {"tools": [CROP], "tool_choice": "crop", "reasoning_effort": "low", "forced_output": "no_thinking"},
        model="qwen3.8-max",
        reply=Reply(tool_calls=[ToolCall("call_1", "crop", "{}")]),
        adjustments=2,
    ),
    "a low temperature that is raised": _settings_row(
        {**THINKS, "temperature": 0.2}, {"temperature": 0.2}, model="qwen3.8-max", adjustments=1
    ),
    "zeros": _settings_row(
        {**THINKS, "temperature": 0.0, "top_k": 0, "seed": 0, "presence_penalty": 0.0},
        {"temperature": 0.0, "top_k": 0, "seed": 0, "presence_penalty": 0.0},
    ),
    "sampling": _settings_row(
        {**THINKS, "top_p": 0.5, "max_tokens": 9, "stop": ["a"], "repetition_penalty": 1.1},
        {"top_p": 0.5, "max_tokens": 9, "stop": ["a"], "repetition_penalty": 1.1},
    ),
    "high resolution": _settings_row(
        {**THINKS, "vl_high_resolution_images": True}, {"vl_high_resolution_images": True}
    ),
    "extra body": _settings_row({**THINKS, "enable_search": True}, {"extra_body": {"enable_search": True}}),
    "tools": _settings_row({**THINKS, "tools": [CROP]}, {"tools": [CROP]}, reply=_CROP_REPLY),
    "tools, one at a time": _settings_row(
        {**THINKS, "tools": [CROP], "tool_choice": "auto", "parallel_tool_calls": False},
        {"tools": [CROP], "tool_choice": "auto", "parallel_tool_calls": False},
        reply=Reply(reasoning="Crop it.", tool_calls=[ToolCall("call_1", "crop", "{}")]),
    ),
    "a forced tool": _settings_row(
        {"enable_thinking": False, "tools": [CROP], "tool_choice": _CROP_CHOICE},
        {"tools": [CROP], "tool_choice": "crop", "forced_output": "no_thinking"},
        reply=Reply(tool_calls=[ToolCall("call_1", "crop", "{}")]),
        adjustments=1,
    ),
    "a forced tool while thinking": _demand_row({**THINKS}, {"tools": [CROP], "tool_choice": "any"}),
    "a forced tool of a model that always thinks": _demand_row(
        {}, {"tools": [CROP], "tool_choice": "required"}, model="qwen3-vl-32b-thinking"
    ),
    "JSON": Row(
        [human(text("Give me JSON."))],
        [user(TextBlock(text="Give me JSON."))],
        [{"role": "user", "content": "Give me JSON."}],
        body={"enable_thinking": False, "response_format": {"type": "json_object"}},
        settings={"response_format": {"type": "json_object"}, "forced_output": "no_thinking"},
        reply=Reply(text="{}"),
        adjustments=1,
    ),
    "JSON while thinking": Row(
        [human(text("Give me it."))],
        [user(TextBlock(text="Give me it."))],
        [{"role": "user", "content": "Give me it.\n\nAnswer with one JSON object and nothing else."}],
        body=THINKS,
        settings={"response_format": {"type": "json_object"}},
        reply=Reply(reasoning="Hm.", text="{}"),
        adjustments=1,
    ),
    "a model that only streams": _settings_row({}, {}, model="qvq-max"),
    "a model that never thinks": _settings_row({}, {}, model="qwen-vl-max", reply=Reply(text="Yes.")),
    "usage in detail": _settings_row(
        THINKS, {}, reply=Reply(
            reasoning="Hm.", text="Yes.",
            usage={
                "prompt": 900, "completion": 50, "reasoning": 40, "image": 600, "video": 100, "cached": 128,
                "cache_creation": 64,
            },
        ),
    ),
    "thinking only": _settings_row(THINKS, {"output_retries": 0}, reply=Reply(reasoning="Hm."), adjustments=1),
    "cut off": _settings_row(THINKS, {}, reply=Reply(reasoning="Hm.", text="I was about", finish="length")),
    "a call that is cut off": _settings_row(
        {**THINKS, "tools": [CROP]},
        {"tools": [CROP]},
        reply=Reply(
            reasoning="Hm.", finish="length",
            tool_calls=[ToolCall("call_1", "crop", '{"x": 1}'), ToolCall("call_2", "crop", '{"x": ')],
        ),
        invalid=("call_2", "crop", '{"x": '),
    ),
    "log probabilities": _settings_row(
        {**THINKS, "logprobs": True, "top_logprobs": 1},
        {"logprobs": True, "top_logprobs": 1},
        reply=Reply(text=["Yes"], choice_extra={"logprobs": {"content": [_LOGPROB]}}),
    ),
}  # fmt: skip

ROWS: dict[str, Row] = {**MEDIA, **HISTORIES, **SETTINGS}

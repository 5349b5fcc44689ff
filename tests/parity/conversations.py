"""One table of conversations: each in LangChain's words, in LlamaIndex's words, and as it stands on the wire."""

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
from tests.llama_index.media import MP4, image, uri

PNG, JPEG = image(), image(kind="JPEG")
PATH = Path(gettempdir()) / f"qwenvl-parity-{os.getpid()}.png"
"""A picture that the tests write."""
URL, FILM = "https://example.com/a.png?x=%2B", "https://example.com/walk.mp4"
HELLO = [{"role": "user", "content": "Hello."}]
THINKS = {"enable_thinking": True}
CROP = {
    "type": "function",
    "function": {"name": "crop", "description": "Cut.", "parameters": {"type": "object", "properties": {}}},
}


@dataclass(frozen=True)
class Row:
    """A conversation, how it is asked, what is sent for it, and what is answered."""

    langchain: Sequence[AnyMessage]
    llama_index: Sequence[ChatMessage]
    messages: Sequence[Mapping[str, Any]]
    """On the wire."""
    body: Mapping[str, Any] = field(default_factory=lambda: THINKS)
    """The rest of the body, without model and streaming."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of the call, the same for both."""
    model: str = "qwen3-vl-plus"
    reply: Reply = field(default_factory=lambda: Reply(reasoning="Hm, 好。", text="Hello, you."))
    adjustments: int = 0
    """How many things policy changed."""
    invalid: tuple[str, str, str] | None = None
    """The second of the calls in the reply, if it must not be executed."""


def human(*blocks: Any, **more: Any) -> HumanMessage:
    return HumanMessage(list(blocks) if blocks else "Hello.", **more)


def user(*blocks: Any, **beside: Any) -> ChatMessage:
    return ChatMessage(role="user", blocks=list(blocks) or [TextBlock(text="Hello.")], additional_kwargs=beside)


def assistant(*blocks: Any, **beside: Any) -> ChatMessage:
    return ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=beside)


def said(*parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def picture(url: str, **hints: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **hints}


def film(url: str, **hints: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}, **hints}


def call(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "crop", "arguments": arguments}}


def _medium(block: Mapping[str, Any], li_block: Any, part: Mapping[str, Any], **settings: Any) -> Row:
    """One medium and a question."""
    return Row(
        [human(block, {"type": "text", "text": "?"})],
        [user(li_block, TextBlock(text="?"))],
        said(part, text("?")),
        settings=settings,
    )


def _asked(body: Mapping[str, Any], settings: Mapping[str, Any], **more: Any) -> Row:
    """A greeting, asked in a special way."""
    return Row([human()], [user()], HELLO, body=body, settings=settings, **more)


def _history(langchain: Sequence[AnyMessage], llama_index: Sequence[ChatMessage], *messages: Any, **more: Any) -> Row:
    """What came between two greetings."""
    return Row([human(), *langchain, human()], [user(), *llama_index, user()], [*HELLO, *messages, *HELLO], **more)


MEDIA: dict[str, Row] = {
    "image by URL": _medium({"type": "image", "url": URL}, ImageBlock(url=URL), picture(URL)),
    "image by OpenAI's block": _medium(
        {"type": "image_url", "image_url": {"url": URL}}, ImageBlock(url=URL), picture(URL)
    ),
    "image in base64": _medium(
        {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"},
        ImageBlock(image=PNG),
        picture(uri(PNG)),
    ),
    "image by data URI of a wrong type": _medium(
        {"type": "image_url", "image_url": {"url": uri(JPEG, "None")}},
        ImageBlock(url=uri(JPEG, "None")),
        picture(uri(JPEG, "image/jpeg")),
    ),
    "image by path": _medium({"type": "image", "url": str(PATH)}, ImageBlock(url=PATH.as_uri()), picture(uri(PNG))),
    "image with bounds": _medium(
        {"type": "image", "url": URL, "extras": {"min_pixels": 4096, "max_pixels": 1310720}},
        ImageBlock(url=URL, detail='{"min_pixels": 4096, "max_pixels": 1310720}'),
        picture(URL, min_pixels=4096, max_pixels=1310720),
        max_pixels=99999,
    ),
    "bounds of the call": _medium(
        {"type": "image", "url": URL}, ImageBlock(url=URL), picture(URL, max_pixels=99999), max_pixels=99999
    ),
    "video": _medium(
        {"type": "video_url", "video_url": {"url": FILM}, "fps": 2}, VideoBlock(url=FILM, fps=2), film(FILM, fps=2)
    ),
    "video at a fraction": _medium(
        {"type": "video", "url": FILM, "extras": {"fps": 0.5}}, video(FILM, 0.5), film(FILM, fps=0.5), fps=3
    ),
    "video in base64": _medium(
        {"type": "video", "base64": base64.b64encode(MP4).decode(), "mime_type": "video/mp4"},
        VideoBlock(video=MP4),
        film(uri(MP4, "video/mp4"), fps=3),
        fps=3,
    ),
    "frames": _medium(
        {"type": "video", "video": [URL, uri(PNG), URL, URL], "fps": 0.5, "total_pixels": 8192000},
        video_frames([URL, PNG, URL, URL], fps=0.5, total_pixels=8192000),
        {"type": "video", "video": [URL, uri(PNG), URL, URL], "fps": 0.5, "total_pixels": 8192000},
    ),
    "cache marker": Row(
        [human({"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}, text("?"))],
        [user(TextBlock(text="Long."), CachePoint(cache_control=CacheControl(type="ephemeral")), TextBlock(text="?"))],
        said(text("Long.", cache_control={"type": "ephemeral"}), text("?")),
    ),
    "cache marker behind empty words": Row(
        [human(text("Long."), text("", cache_control={"type": "ephemeral"}), text("?"))],
        [
            user(
                TextBlock(text="Long."),
                TextBlock(text=""),
                CachePoint(cache_control=CacheControl(type="ephemeral")),
                TextBlock(text="?"),
            )
        ],
        said(text("Long.", cache_control={"type": "ephemeral"}), text("?")),
    ),
    "text document": Row(
        [human({"type": "text-plain", "text": "Hello.", "mime_type": "text/plain"})],
        [user(DocumentBlock(data=b"Hello.", document_mimetype="text/plain"))],
        HELLO,
    ),
    "text like a path": Row(
        [human(text("/etc/hosts"), text("file:///etc/hosts"))],
        [user(TextBlock(text="/etc/hosts"), TextBlock(text="file:///etc/hosts"))],
        said(text("/etc/hosts"), text("file:///etc/hosts")),
    ),
}

_THOUGHT = "Let me crop."


def _nameless(name: str) -> Any:
    return {"name": name, "args": {}, "id": None, "type": "tool_call"}


_CALLED = AIMessage(
    "I crop.",
    additional_kwargs={"reasoning_content": _THOUGHT},
    tool_calls=[
        {"name": "crop", "args": {"x": 1, "ü": "→"}, "id": "call_1"},
        {"name": "crop", "args": {}, "id": "call_2"},
    ],
)
_CALLS = [
    ToolCallBlock(tool_call_id="call_1", tool_name="crop", tool_kwargs={"x": 1, "ü": "→"}),
    ToolCallBlock(tool_call_id="call_2", tool_name="crop", tool_kwargs={}),
]


def _tool(call_id: str, *blocks: Any) -> ChatMessage:
    return ChatMessage(role="tool", blocks=list(blocks), additional_kwargs={"tool_call_id": call_id})


HISTORIES: dict[str, Row] = {
    "turns": _history(
        [AIMessage("Yes."), human(name="ann"), AIMessage("No.")],
        [assistant(TextBlock(text="Yes.")), user(name="ann"), assistant(TextBlock(text="No."))],
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Hello.", "name": "ann"},
        {"role": "assistant", "content": "No."},
    ),
    "tool results": _history(
        [_CALLED, ToolMessage([text("a"), text("b")], tool_call_id="call_1"), ToolMessage("c", tool_call_id="call_2")],
        [
            assistant(ThinkingBlock(content=_THOUGHT), TextBlock(text="I crop."), *_CALLS),
            _tool("call_1", TextBlock(text="a"), TextBlock(text="b")),
            _tool("call_2", TextBlock(text="c")),
        ],
        {
            "role": "assistant",
            "content": "I crop.",
            "tool_calls": [call("call_1", '{"x": 1, "ü": "→"}'), call("call_2")],
        },
        {"role": "tool", "content": "a\nb", "tool_call_id": "call_1"},
        {"role": "tool", "content": "c", "tool_call_id": "call_2"},
    ),
    "pictures of tools": _history(
        [
            _CALLED,
            ToolMessage([text("a"), {"type": "image", "url": URL}], tool_call_id="call_1"),
            ToolMessage([{"type": "image", "base64": base64.b64encode(PNG).decode()}], tool_call_id="call_2"),
        ],
        [
            assistant(TextBlock(text="I crop."), *_CALLS),
            _tool("call_1", TextBlock(text="a"), ImageBlock(url=URL)),
            _tool("call_2", ImageBlock(image=PNG)),
        ],
        {
            "role": "assistant",
            "content": "I crop.",
            "tool_calls": [call("call_1", '{"x": 1, "ü": "→"}'), call("call_2")],
        },
        {"role": "tool", "content": "a", "tool_call_id": "call_1"},
        {"role": "tool", "content": "The result follows as media in the next user message.", "tool_call_id": "call_2"},
        *said(
            text("Result of the tool call call_1:"),
            picture(URL),
            text("Result of the tool call call_2:"),
            picture(uri(PNG)),
        ),
        adjustments=1,
    ),
    "a broken call": _history(
        [
            AIMessage("", invalid_tool_calls=[{"name": "crop", "args": '{"x": ', "id": "call_1", "error": None}]),
            ToolMessage("No.", tool_call_id="call_1"),
        ],
        [
            assistant(ToolCallBlock(tool_call_id="call_1", tool_name="crop", tool_kwargs='{"x": ')),
            _tool("call_1", TextBlock(text="No.")),
        ],
        {"role": "assistant", "content": "", "tool_calls": [call("call_1")]},
        {"role": "tool", "content": "No.", "tool_call_id": "call_1"},
    ),
    "calls without ids or names": _history(
        [
            AIMessage("", tool_calls=[_nameless("crop"), _nameless("")]),
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
    "calls that were not executed": _history(
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
        said(text("Be brief."), picture(URL), text("?")),
        settings={"fold_system_prompt": True},
        adjustments=1,
    ),
    "reasoning replayed": _history(
        [AIMessage("Yes.", additional_kwargs={"reasoning_content": "Hm."})],
        [assistant(ThinkingBlock(content="Hm."), TextBlock(text="Yes."))],
        {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."},
        body={**THINKS, "preserve_thinking": True},
        settings={"preserve_thinking": True},
        model="qwen3.6-plus",
    ),
    "reasoning not replayed": _history(
        [AIMessage("Yes.", additional_kwargs={"reasoning_content": "Hm."})],
        [assistant(TextBlock(text="Yes."), reasoning_content="Hm.")],
        {"role": "assistant", "content": "Yes."},
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

_CROPS = Reply(
    reasoning="Hm.", text="I crop.",
    tool_calls=[ToolCall("call_1", "crop", ['{"x": ', '1, "y": "a b', ' é"}']), ToolCall("call_2", "crop", "")],
)  # fmt: skip
_NAMED = {"type": "function", "function": {"name": "crop"}}
_LOGPROB = {"token": "Yes", "logprob": -0.1, "bytes": None, "top_logprobs": []}

ASKED: dict[str, Row] = {
    "thinking": _asked(THINKS, {}),
    "not thinking": _asked({"enable_thinking": False}, {"enable_thinking": False}, reply=Reply(text="Yes.")),
    "a budget": _asked({**THINKS, "thinking_budget": 50}, {"thinking_budget": 50}),
    "zeros": _asked(
        {**THINKS, "temperature": 0.0, "top_k": 0, "seed": 0, "presence_penalty": 0.0},
        {"temperature": 0.0, "top_k": 0, "seed": 0, "presence_penalty": 0.0},
    ),
    "sampling": _asked(
        {**THINKS, "top_p": 0.5, "max_tokens": 9, "stop": ["a"], "repetition_penalty": 1.1},
        {"top_p": 0.5, "max_tokens": 9, "stop": ["a"], "repetition_penalty": 1.1},
    ),
    "high resolution": _asked({**THINKS, "vl_high_resolution_images": True}, {"vl_high_resolution_images": True}),
    "extra body": _asked({**THINKS, "enable_search": True}, {"extra_body": {"enable_search": True}}),
    "tools": _asked({**THINKS, "tools": [CROP]}, {"tools": [CROP]}, reply=_CROPS),
    "tools, one at a time": _asked(
        {**THINKS, "tools": [CROP], "tool_choice": "auto", "parallel_tool_calls": False},
        {"tools": [CROP], "tool_choice": "auto", "parallel_tool_calls": False},
        reply=_CROPS,
    ),
    "a forced tool": _asked(
        {"enable_thinking": False, "tools": [CROP], "tool_choice": _NAMED},
        {"tools": [CROP], "tool_choice": "crop"},
        reply=Reply(tool_calls=[ToolCall("call_1", "crop", "{}")]),
        adjustments=1,
    ),
    "a forced tool while thinking": _asked(
        {**THINKS, "tools": [CROP], "tool_choice": "auto"},
        {"tools": [CROP], "tool_choice": "any", "forced_tool_choice": "auto"},
        reply=_CROPS,
        adjustments=1,
    ),
    "a forced tool of a model that always thinks": _asked(
        {"tools": [CROP], "tool_choice": "auto"},
        {"tools": [CROP], "tool_choice": "required"},
        model="qwen3-vl-32b-thinking",
        reply=_CROPS,
        adjustments=1,
    ),
    "JSON": Row(
        [human(text("Give me JSON."))],
        [user(TextBlock(text="Give me JSON."))],
        [{"role": "user", "content": "Give me JSON."}],
        body={"enable_thinking": False, "response_format": {"type": "json_object"}},
        settings={"response_format": {"type": "json_object"}},
        reply=Reply(text="{}"),
        adjustments=1,
    ),
    "a model that only streams": _asked({}, {}, model="qvq-max"),
    "a model that never thinks": _asked({}, {}, model="qwen-vl-max", reply=Reply(text="Yes.")),
    "usage in detail": _asked(
        THINKS, {}, reply=Reply(
            reasoning="Hm.", text="Yes.",
            usage={"prompt": 900, "completion": 50, "reasoning": 40, "image": 700, "video": 100, "cached": 256},
        ),
    ),
    "thinking only": _asked(THINKS, {}, reply=Reply(reasoning="Hm.")),
    "cut off": _asked(THINKS, {}, reply=Reply(reasoning="Hm.", text="I was about", finish="length")),
    "a call that is cut off": _asked(
        {**THINKS, "tools": [CROP]},
        {"tools": [CROP]},
        reply=Reply(
            reasoning="Hm.", finish="length",
            tool_calls=[ToolCall("call_1", "crop", '{"x": 1}'), ToolCall("call_2", "crop", '{"x": ')],
        ),
        invalid=("call_2", "crop", '{"x": '),
    ),
    "log probabilities": _asked(
        {**THINKS, "logprobs": True, "top_logprobs": 1},
        {"logprobs": True, "top_logprobs": 1},
        reply=Reply(text=["Yes"], choice_extra={"logprobs": {"content": [_LOGPROB]}}),
    ),
}  # fmt: skip

ROWS: dict[str, Row] = {**MEDIA, **HISTORIES, **ASKED}

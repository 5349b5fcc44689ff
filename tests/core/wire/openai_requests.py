"""Requests to the OpenAI-compatible API and the bodies that they become."""

from __future__ import annotations

from typing import Any, NamedTuple

from qwenvl_core.types.messages import Message, TextPart, ToolCall
from qwenvl_core.types.request import Request
from tests.support.pipeline import body_of, prepare

HYBRID = "qwen3-vl-plus"
THINKER = "qwen3-vl-8b-thinking"
QVQ = "qvq-max"
PLAIN = "qwen-vl-max"
NEWER = "qwen3.7-plus"
UNKNOWN = "my-model"

HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
ON: dict[str, Any] = {**STREAM, "enable_thinking": True}
OFF: dict[str, Any] = {"enable_thinking": False}

TOOL = {"type": "function", "function": {"name": "crop", "parameters": {"type": "object", "properties": {}}}}
ZOOM = {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object", "properties": {}}}}
NAMED = {"type": "function", "function": {"name": "crop"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "description": "größer"}}}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
JSON_OBJECT = {"type": "json_object"}
CALL_TOOL = "Answer with a tool call."
CALL_CROP = "Answer with a call of the tool crop."
INSTRUCTION = "Answer with one JSON object and nothing else."
WITH_SCHEMA = (
    f"{INSTRUCTION} It must match this JSON schema:\n"
    '{"type": "object", "properties": {"a": {"type": "integer", "description": "größer"}}}'
)


class Case(NamedTuple):
    """A request, and the fields of its body in addition to model and messages."""

    chat_request: Request
    sent: dict[str, Any]
    messages: list[dict[str, Any]] = HI
    adjustments: tuple[str, ...] = ()
    """Part of each adjustment."""


def check(case: Case) -> None:
    expected = {"model": case.chat_request.settings.model, "messages": case.messages, **case.sent}
    assert body_of(case.chat_request) == expected
    adjustments = prepare(case.chat_request).adjustments
    assert len(adjustments) == len(case.adjustments), adjustments
    for words, adjustment in zip(case.adjustments, adjustments, strict=True):
        assert words in adjustment


def call(call_id: str = "call_1", name: str = "crop", arguments: str = "{}") -> ToolCall:
    return ToolCall(call_id, name, arguments)


def sent_call(call_id: str = "call_1", name: str = "crop", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(*texts: str, **facts: Any) -> Message:
    return Message("assistant", tuple(map(TextPart, texts)), **facts)


def tool(call_id: str, *parts: Any) -> Message:
    return Message(
        "tool", tuple(TextPart(part) if isinstance(part, str) else part for part in parts), tool_call_id=call_id
    )


def user_text(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def image_url(url: str, **options: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **options}


def video_url(url: str, **options: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}, **options}

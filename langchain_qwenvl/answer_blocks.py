"""Convert the content of assistant messages, which any provider's model may have written.

Text, reasoning, calls and media are kept. Records of a provider's own tools are left out and reported: Qwen-VL can't
read them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_qwenvl.foreign_blocks import REASONING_TYPES, TEXT_KEYS, get_type, unwrap
from langchain_qwenvl.input_blocks import convert_block
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.location import Location
from qwenvl_core.types.messages import Omission, Part, TextPart, ToolCall
from qwenvl_core.types.omissions import MEDIA_LEFT_OUT, RECORDS_LEFT_OUT
from qwenvl_core.wire.foreign_reasoning import read_reasoning_text

_MEDIA_TYPES = frozenset({"text", "text-plain", "image", "image_url", "video", "video_url", "file", "document", ""})
"""Blocks that are converted like those of the user; the vendor's blocks have no type."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The text of a reasoning block."""

    text: str


AnswerItem = Part | Omission | ToolCall | Reasoning


def convert_answer_block(block: Any, location: Location) -> Iterator[AnswerItem]:
    """Convert a block of an assistant message; never raises for content of other providers.

    Args:
        block: A string or a dict of any provider.
        location: Where the block is.
    """
    block = unwrap(block)
    if isinstance(block, str):
        yield TextPart(block)
        return
    block_type = get_type(block)
    location = replace(location, role="tool", block_type=block_type or "no type")  # as in results, no path is read
    if block_type in REASONING_TYPES:
        yield Reasoning(read_reasoning_text(block))
    elif block_type in _CALL_CONVERTERS:
        yield _CALL_CONVERTERS[block_type](block)
    elif block_type in TEXT_KEYS:
        yield TextPart(str(block.get(TEXT_KEYS[block_type]) or ""))
    elif transcript := read_transcript(block):
        yield TextPart(transcript)
    else:
        yield _convert_media(block, location)


def _convert_media(block: Any, location: Location) -> Part | Omission:
    block_type = get_type(block)
    if block_type == "image_generation_call" and block.get("result"):
        block, block_type = {"type": "image", "base64": block["result"]}, "image"
    if block_type == "text" and block.get("text") is None:
        return TextPart("")
    if block_type not in _MEDIA_TYPES:
        change = MEDIA_LEFT_OUT if block_type in ("audio", "input_audio") else RECORDS_LEFT_OUT
        return Omission(change, str(location))
    try:
        return convert_block(block, location)
    except QwenVLInputError as error:
        change = MEDIA_LEFT_OUT if block_type else RECORDS_LEFT_OUT
        return Omission(change, error.message.rstrip(".") if block_type else str(location))


def read_transcript(block: Any) -> str:
    """Return the transcript of an audio block, or of the audio in `additional_kwargs`; "" without one."""
    if not isinstance(block, Mapping):
        return ""
    extras = block.get("extras")
    transcript = block.get("transcript") or (extras.get("transcript") if isinstance(extras, Mapping) else "")
    return str(transcript or "")


def read_extra_text(extra_fields: Mapping[str, Any], *, has_text: bool) -> list[TextPart]:
    """Return the text that OpenAI's integration keeps outside the content: a refusal, and the transcript of audio.

    Args:
        extra_fields: The message's `additional_kwargs`.
        has_text: Whether the content has text; a transcript is that of audio without text.
    """
    refusal = extra_fields.get("refusal")
    transcript = "" if has_text else read_transcript(extra_fields.get("audio"))
    return [TextPart(text) for text in (transcript, refusal) if isinstance(text, str) and text]


def read_function_call(extra_fields: Mapping[str, Any]) -> list[ToolCall]:
    """Return the call in `additional_kwargs["function_call"]`, OpenAI's former form; it has no id."""
    call = extra_fields.get("function_call")
    if not isinstance(call, Mapping) or not call.get("name"):
        return []
    return [create_call("", call["name"], call.get("arguments"))]


def create_call(call_id: Any, name: Any, arguments: Any) -> ToolCall:
    """Create a call; its arguments are an object, or the JSON text as a model wrote it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False, default=str)
    return ToolCall(str(call_id or ""), str(name or ""), text)


def _convert_call_block(block: Mapping[str, Any]) -> ToolCall:
    return create_call(block.get("id"), block.get("name"), block.get("args"))


def _convert_function_call(block: Mapping[str, Any]) -> ToolCall:
    """Convert a call of OpenAI Responses, or of Gemini, which has `args` and may have no id."""
    arguments = block.get("arguments", block.get("args"))
    return create_call(block.get("call_id") or block.get("id"), block.get("name"), arguments)


_CALL_CONVERTERS: dict[str, Callable[[Mapping[str, Any]], ToolCall]] = {
    "tool_call": _convert_call_block,
    "tool_call_chunk": _convert_call_block,
    "invalid_tool_call": _convert_call_block,
    "tool_use": lambda block: create_call(block.get("id"), block.get("name"), block.get("input")),
    "function_call": _convert_function_call,
    # LangChain gives the text input of such a tool this name.
    "custom_tool_call": lambda block: create_call(
        block.get("call_id") or block.get("id"), block.get("name"), {"__arg1": block.get("input")}
    ),
}
"""Converters of tool call blocks by type: LangChain's, Anthropic's, OpenAI's and Gemini's."""

"""LlamaIndex messages as core messages. Nothing is dropped silently: what can't be said to Qwen-VL raises."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llama_index.core.base.llms.types import (
    CachePoint,
    ChatMessage,
    CitationBlock,
    ImageBlock,
    MessageRole,
    ThinkingBlock,
    ToolCallBlock,
)

from llama_index_qwenvl.input_blocks import Place, convert_blocks
from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import HINTS
from qwenvl_core.types.messages import Message, Part, Role, ToolCall

_ROLES: dict[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def convert_messages(messages: Iterable[ChatMessage], facts: ModelFacts) -> tuple[Message, ...]:
    """The conversation in core's terms; the given messages are not changed.

    Args:
        messages: The conversation.
        facts: Of the model that is asked: what `detail="high"` is in pixels depends on it.

    Raises:
        QwenVLInputError: A message or block that Qwen-VL can't take; the error names its index and type.
    """
    messages = list(messages)
    answered = {message.additional_kwargs.get("tool_call_id") for message in messages if _role(message) == "tool"}
    return tuple(_message(index, message, facts, answered) for index, message in enumerate(messages))


def _role(message: ChatMessage) -> Role:
    return _ROLES[message.role]


def _message(index: int, message: ChatMessage, facts: ModelFacts, answered: set[Any]) -> Message:
    role, beside = _role(message), message.additional_kwargs
    hints = _hints(index, beside.get("qwen_vl") or {})
    parts: list[Part] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for at, block in enumerate(_blocks(message)):
        place = Place(f"messages[{index}].blocks[{at}] ({block.block_type})", role, facts, hints)
        match block:
            case ThinkingBlock():
                thoughts.append(block.content or "")
            case ToolCallBlock() if role == "assistant":
                calls.append(ToolCall(block.tool_call_id or "", block.tool_name, _arguments(block.tool_kwargs)))
            case CachePoint() if parts:
                parts[-1] = replace(parts[-1], cache=True)
            case CachePoint():  # there is nothing before it to cache
                continue
            case CitationBlock() if role == "assistant" and message.content:  # it backs the text beside it
                continue
            case _:
                parts += convert_blocks(block, place)
    if role == "assistant":
        calls = calls or [_call(told) for told in beside.get("tool_calls") or ()]
        # An agent does not answer a call that it could not make; without a result the service refuses it.
        calls += [_call(told) for told in beside.get("invalid_tool_calls") or () if told.get("id") in answered]
    return Message(
        role,
        tuple(parts),
        tool_calls=tuple(calls),
        tool_call_id=beside.get("tool_call_id") if role == "tool" else None,
        name=beside.get("name") if role == "user" else None,
        reasoning="\n".join(thoughts) or str(beside.get("reasoning_content") or "") if role == "assistant" else "",
        partial=bool(beside.get("partial")),
    )


def _hints(index: int, given: Any) -> Mapping[str, Any]:
    """What the message says of all its images and videos, in `additional_kwargs["qwen_vl"]`."""
    if not isinstance(given, Mapping):
        raise QwenVLInputError(
            f'messages[{index}]: additional_kwargs["qwen_vl"] is a dict of {", ".join(HINTS["video"])}, not {given!r}.'
        )
    if unknown := sorted(given.keys() - set(HINTS["video"])):
        raise QwenVLInputError(
            f'messages[{index}]: additional_kwargs["qwen_vl"] holds {unknown}; known are {", ".join(HINTS["video"])}.'
        )
    return given


def _blocks(message: ChatMessage) -> Sequence[Any]:
    """A message's blocks, each image of the legacy `additional_kwargs["images"]` once.

    LlamaIndex appends those images as blocks each time that it validates the message, also for its own events.
    """
    blocks, count = message.blocks, len(message.additional_kwargs.get("images") or ())
    end = len(blocks)
    while (
        0 < count <= end - count
        and all(isinstance(block, ImageBlock) for block in blocks[end - 2 * count : end])
        and blocks[end - 2 * count : end - count] == blocks[end - count : end]
    ):
        end -= count
    return blocks[:end]


def _arguments(kwargs: Any) -> str:
    return kwargs if isinstance(kwargs, str) else json.dumps(kwargs, ensure_ascii=False, default=str)


def _call(told: Any) -> ToolCall:
    """A call from `additional_kwargs`: of ours, of an older history, or an object of another vendor's SDK."""
    function = _field(told, "function") or told
    arguments = _field(function, "arguments")
    arguments = _field(function, "args") if arguments is None else arguments
    return ToolCall(_field(told, "id") or "", _field(function, "name") or "", _arguments(arguments or ""))


def _field(of: Any, name: str) -> Any:
    return of.get(name) if isinstance(of, Mapping) else getattr(of, name, None)

"""Convert LangChain messages to core messages.

Nothing is dropped silently: what the user wrote and cannot be sent raises; what tools and other models wrote is
converted as far as possible, and the rest is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.messages.ai import AIMessage
from langchain_core.messages.base import BaseMessage
from langchain_core.messages.chat import ChatMessage
from langchain_core.messages.function import FunctionMessage
from langchain_core.messages.human import HumanMessage
from langchain_core.messages.system import SystemMessage
from langchain_core.messages.tool import ToolMessage

from langchain_qwenvl.answer_blocks import (
    Reasoning,
    convert_answer_block,
    create_call,
    read_extra_text,
    read_function_call,
)
from langchain_qwenvl.content_blocks import split_tool_calls
from langchain_qwenvl.foreign_blocks import convert_input_block
from langchain_qwenvl.result_blocks import convert_result_block
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.location import Location
from qwenvl_core.types.messages import Message, Omission, Part, Role, TextPart, ToolCall, create_message
from qwenvl_core.wire.foreign_reasoning import read_message_reasoning

_ROLES: tuple[tuple[type[BaseMessage], Role], ...] = (
    (SystemMessage, "system"),
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
    (ToolMessage, "tool"),
    (FunctionMessage, "tool"),
)
_NAMED_ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "ai": "assistant", "model": "assistant", "tool": "tool", "function": "tool",
}  # fmt: skip


def convert_messages(messages: Iterable[BaseMessage]) -> tuple[Message, ...]:
    """Convert LangChain messages to core messages; the messages are not changed.

    Raises:
        QwenVLInputError: A message or block is not supported; the error names its index and type.
    """
    return tuple(converted for index, message in enumerate(messages) for converted in _convert_message(index, message))


def _convert_message(index: int, message: BaseMessage) -> Iterator[Message]:
    role = _find_role(index, message)
    blocks = [message.content] if isinstance(message.content, str) else message.content
    match role:
        case "assistant":
            yield _convert_assistant_message(index, message, blocks)
        case "tool":
            yield create_message("tool", _convert_results(index, blocks), tool_call_id=_get_tool_call_id(message))
        case _:
            yield from _convert_input_message(index, message, role, blocks)


def _convert_results(index: int, blocks: Iterable[Any]) -> Iterator[Part | Omission]:
    for block_index, block in enumerate(blocks):
        yield from convert_result_block(block, Location(index, block_index, "tool"))


def _get_tool_call_id(message: BaseMessage) -> str:
    """Return the id of the call that a result answers; results of OpenAI's former functions have a name only."""
    if isinstance(message, ToolMessage):
        return message.tool_call_id
    return str(message.additional_kwargs.get("tool_call_id") or message.name or "")


def _convert_input_message(index: int, message: BaseMessage, role: Role, blocks: Iterable[Any]) -> Iterator[Message]:
    """Convert a user or system message; `tool_result` blocks (Anthropic's form) become tool messages before it."""
    parts: list[Part | Omission] = []
    has_results = False
    for block_index, block in enumerate(blocks):
        location = Location(index, block_index, role)
        if role == "user" and isinstance(block, Mapping) and block.get("type") == "tool_result":
            has_results = True
            result = convert_result_block(block, replace(location, role="tool"))
            yield create_message("tool", result, tool_call_id=str(block.get("tool_use_id") or ""))
        else:
            parts += convert_input_block(block, location)
    if parts or not has_results:
        is_user = role == "user"
        partial = is_user and bool(message.additional_kwargs.get("partial"))
        yield create_message(role, parts, name=message.name if is_user else None, partial=partial)


def _convert_assistant_message(index: int, message: BaseMessage, blocks: Iterable[Any]) -> Message:
    calls = _convert_tool_calls(message)
    known_ids = {call.id for call in calls}  # blocks usually repeat the message's `tool_calls`
    parts: list[Part | Omission] = []
    reasoning: list[str] = []
    for block_index, block in enumerate(blocks):
        for item in convert_answer_block(block, Location(index, block_index, "assistant")):
            match item:
                case ToolCall():
                    is_repeated = item.id in known_ids or (known_ids and not item.id)  # or the fragment of a call
                    calls += [] if is_repeated else [item]
                case Reasoning(text):
                    reasoning.append(text)
                case _:
                    parts.append(item)
    extra_fields = message.additional_kwargs
    has_text = any(isinstance(part, TextPart) and part.text for part in parts)
    return create_message(
        "assistant",
        [*parts, *read_extra_text(extra_fields, has_text=has_text)],
        tool_calls=tuple(calls or read_function_call(extra_fields)),
        reasoning=read_message_reasoning(extra_fields) or "\n".join(filter(None, reasoning)),
        partial=bool(extra_fields.get("partial")),
    )


def _find_role(index: int, message: BaseMessage) -> Role:
    if isinstance(message, ChatMessage) and message.role.lower() in _NAMED_ROLES:
        return _NAMED_ROLES[message.role.lower()]
    for cls, role in _ROLES:
        if isinstance(message, cls):
            return role
    if isinstance(message, ChatMessage):
        raise QwenVLInputError(
            f"messages[{index}]: unsupported role {message.role!r}. Supported: {', '.join(_NAMED_ROLES)}."
        )
    supported = ", ".join(cls.__name__ for cls, _ in _ROLES)
    raise QwenVLInputError(
        f"messages[{index}]: unsupported message type {type(message).__name__}. Supported: {supported}."
    )


def _convert_tool_calls(message: BaseMessage) -> list[ToolCall]:
    """Convert the calls of an assistant message; invalid calls keep their arguments as received."""
    if not isinstance(message, AIMessage):
        return []
    valid, invalid = split_tool_calls(message)
    return [create_call(call["id"], call["name"], call["args"]) for call in (*valid, *invalid)]

"""Convert LangChain messages to core messages.

Nothing is dropped silently: a message or block that cannot be sent raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from langchain_core.messages.ai import AIMessage
from langchain_core.messages.base import BaseMessage
from langchain_core.messages.chat import ChatMessage
from langchain_core.messages.function import FunctionMessage
from langchain_core.messages.human import HumanMessage
from langchain_core.messages.system import SystemMessage
from langchain_core.messages.tool import ToolMessage

from langchain_qwenvl.content_blocks import split_tool_calls
from langchain_qwenvl.input_blocks import convert_block
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.location import Location
from qwenvl_core.types.messages import Message, Part, Role, ToolCall

_ROLES: tuple[tuple[type[BaseMessage], Role], ...] = (
    (SystemMessage, "system"),
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
    (ToolMessage, "tool"),
)
_NAMED_ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "ai": "assistant", "model": "assistant",
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
        case "user":
            yield from _convert_user_message(index, message, blocks)
        case _:
            parts = tuple(
                convert_block(block, Location(index, block_index, role)) for block_index, block in enumerate(blocks)
            )
            tool_call_id = message.tool_call_id if isinstance(message, ToolMessage) else None
            yield Message(role, parts, tool_call_id=tool_call_id)


def _convert_user_message(index: int, message: BaseMessage, blocks: list[Any]) -> Iterator[Message]:
    """Convert a user message; its `tool_result` blocks (Anthropic's form) become tool messages before it."""
    parts: list[Part] = []
    has_results = False
    for block_index, block in enumerate(blocks):
        if isinstance(block, Mapping) and block.get("type") == "tool_result":
            has_results = True
            yield _convert_tool_result(block, Location(index, block_index, "tool", "tool_result"))
        else:
            parts.append(convert_block(block, Location(index, block_index, "user")))
    if parts or not has_results:
        partial = bool(message.additional_kwargs.get("partial"))
        yield Message("user", tuple(parts), name=message.name, partial=partial)


def _convert_tool_result(block: Mapping[str, Any], location: Location) -> Message:
    content = block.get("content") or ""
    parts = tuple(convert_block(inner, location) for inner in ([content] if isinstance(content, str) else content))
    return Message("tool", parts, tool_call_id=str(block.get("tool_use_id") or ""))


def _convert_assistant_message(index: int, message: BaseMessage, blocks: list[Any]) -> Message:
    parts: list[Part] = []
    reasoning: list[str] = []
    calls = _convert_tool_calls(message)
    known_ids = {call.id for call in calls}  # blocks usually repeat the message's `tool_calls`
    for block_index, block in enumerate(blocks):
        block_type = str(block.get("type")) if isinstance(block, Mapping) else ""
        if block_type in _CALL_CONVERTERS:
            call = _CALL_CONVERTERS[block_type](block)
            if call.id not in known_ids:
                calls.append(call)
        elif block_type in _REASONING_KEYS:
            reasoning.append(str(block.get(_REASONING_KEYS[block_type]) or ""))
        else:
            parts.append(convert_block(block, Location(index, block_index, "assistant")))
    return Message(
        "assistant",
        tuple(parts),
        tool_calls=tuple(calls),
        reasoning=str(message.additional_kwargs.get("reasoning_content") or "") or "\n".join(filter(None, reasoning)),
        partial=bool(message.additional_kwargs.get("partial")),
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
    hint = " Use ToolMessage instead." if isinstance(message, FunctionMessage) else ""
    supported = ", ".join(cls.__name__ for cls, _ in _ROLES)
    raise QwenVLInputError(
        f"messages[{index}]: unsupported message type {type(message).__name__}. Supported: {supported}.{hint}"
    )


def _convert_tool_calls(message: BaseMessage) -> list[ToolCall]:
    """Convert the calls of an assistant message; invalid calls keep their arguments as received."""
    if not isinstance(message, AIMessage):
        return []
    valid, invalid = split_tool_calls(message)
    return [_convert_tool_call(call["id"], call["name"], call["args"]) for call in (*valid, *invalid)]


def _convert_tool_call(call_id: Any, name: Any, arguments: Any) -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False, default=str)
    return ToolCall(call_id or "", name or "", text)


def _convert_call_block(block: Mapping[str, Any]) -> ToolCall:
    return _convert_tool_call(block.get("id"), block.get("name"), block.get("args"))


_CALL_CONVERTERS: dict[str, Callable[[Mapping[str, Any]], ToolCall]] = {
    "tool_call": _convert_call_block,
    "tool_call_chunk": _convert_call_block,
    "invalid_tool_call": _convert_call_block,
    "tool_use": lambda block: _convert_tool_call(block.get("id"), block.get("name"), block.get("input")),
    "function_call": lambda block: _convert_tool_call(block.get("call_id"), block.get("name"), block.get("arguments")),
}
"""Converters of tool call blocks by type: LangChain's, Anthropic's and OpenAI's."""

_REASONING_KEYS = {"reasoning": "reasoning", "thinking": "thinking", "redacted_thinking": "thinking"}
"""Key of the text in a reasoning block, by the block's type; a redacted block has no text."""

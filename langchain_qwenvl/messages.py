"""LangChain messages as core messages. Nothing is dropped silently: what can't be said to Qwen-VL raises."""

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
from langchain_qwenvl.input_blocks import Place, convert_block
from qwenvl_core.errors import QwenVLInputError
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
    """The conversation in core's terms; the given messages are not changed.

    Raises:
        QwenVLInputError: A message or block that Qwen-VL can't take; the error names its index and type.
    """
    return tuple(said for index, message in enumerate(messages) for said in _messages(index, message))


def _messages(index: int, message: BaseMessage) -> Iterator[Message]:
    role = _role(index, message)
    blocks = [message.content] if isinstance(message.content, str) else message.content
    match role:
        case "assistant":
            yield _assistant(index, message, blocks)
        case "user":
            yield from _user(index, message, blocks)
        case _:
            parts = tuple(convert_block(block, Place(index, at, role)) for at, block in enumerate(blocks))
            answers = message.tool_call_id if isinstance(message, ToolMessage) else None
            yield Message(role, parts, tool_call_id=answers)


def _user(index: int, message: BaseMessage, blocks: list[Any]) -> Iterator[Message]:
    """A user's message; results of tools in it, as Anthropic has them, come before it as messages of their own."""
    parts: list[Part] = []
    results = False
    for at, block in enumerate(blocks):
        if isinstance(block, Mapping) and block.get("type") == "tool_result":
            results = True
            yield _tool_result(block, Place(index, at, "tool").of("tool_result"))
        else:
            parts.append(convert_block(block, Place(index, at, "user")))
    if parts or not results:
        partial = bool(message.additional_kwargs.get("partial"))
        yield Message("user", tuple(parts), name=message.name, partial=partial)


def _tool_result(block: Mapping[str, Any], place: Place) -> Message:
    said = block.get("content") or ""
    parts = tuple(convert_block(inner, place) for inner in ([said] if isinstance(said, str) else said))
    return Message("tool", parts, tool_call_id=str(block.get("tool_use_id") or ""))


def _assistant(index: int, message: BaseMessage, blocks: list[Any]) -> Message:
    parts: list[Part] = []
    thoughts: list[str] = []
    calls = _calls(message)
    known = {call.id for call in calls}  # blocks usually say once more what the message's tool_calls say
    for at, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind in _CALLS:
            call = _CALLS[kind](block)
            if call.id not in known:
                calls.append(call)
        elif kind in _REASONING:
            thoughts.append(_REASONING[kind](block))
        else:
            parts.append(convert_block(block, Place(index, at, "assistant")))
    return Message(
        "assistant",
        tuple(parts),
        tool_calls=tuple(calls),
        reasoning=str(message.additional_kwargs.get("reasoning_content") or "") or "\n".join(filter(None, thoughts)),
        partial=bool(message.additional_kwargs.get("partial")),
    )


def _role(index: int, message: BaseMessage) -> Role:
    if isinstance(message, ChatMessage) and message.role.lower() in _NAMED_ROLES:
        return _NAMED_ROLES[message.role.lower()]
    for cls, role in _ROLES:
        if isinstance(message, cls):
            return role
    kind = f"role {message.role!r}" if isinstance(message, ChatMessage) else type(message).__name__
    hint = " Use ToolMessage instead." if isinstance(message, FunctionMessage) else ""
    raise QwenVLInputError(f"messages[{index}] ({kind}): no such message can be sent to Qwen-VL.{hint}")


def _calls(message: BaseMessage) -> list[ToolCall]:
    """The calls of an assistant's message; of one that must not be executed, the text as it came."""
    if not isinstance(message, AIMessage):
        return []
    valid, broken = split_tool_calls(message)
    return [_call(call["id"], call["name"], call["args"]) for call in (*valid, *broken)]


def _call(call_id: Any, name: Any, arguments: Any) -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False, default=str)
    return ToolCall(call_id or "", name or "", text)


_CALLS: dict[Any, Callable[[Mapping[str, Any]], ToolCall]] = {
    **dict.fromkeys(
        ("tool_call", "tool_call_chunk", "invalid_tool_call"),
        lambda block: _call(block.get("id"), block.get("name"), block.get("args")),
    ),
    "tool_use": lambda block: _call(block.get("id"), block.get("name"), block.get("input")),
    "function_call": lambda block: _call(block.get("call_id"), block.get("name"), block.get("arguments")),
}
_REASONING: dict[Any, Callable[[Mapping[str, Any]], str]] = {
    "reasoning": lambda block: str(block.get("reasoning") or ""),
    "thinking": lambda block: str(block.get("thinking") or ""),
    "redacted_thinking": lambda block: "",
}

"""Write tool calls and results as text for models without tools, which refuse conversations that contain them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from qwenvl_core.types.messages import Message, TextPart


def write_tools_as_text(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Replace each tool call by a line of the assistant's text, and each result by a user message."""
    adapted: list[Message] = []
    names: dict[str, str] = {}  # of the calls of the last assistant message, by id
    for message in messages:
        if message.tool_calls:
            names = {call.id: call.name or "unnamed" for call in message.tool_calls}
            lines = (TextPart(f"Tool call: {call.name or 'unnamed'}({call.arguments})") for call in message.tool_calls)
            message = replace(message, parts=(*message.parts, *lines), tool_calls=())
        elif message.role == "tool":
            heading = TextPart(f"Result of the tool call {names.get(message.tool_call_id or '', '')}:")
            message = replace(message, role="user", parts=(heading, *message.parts), tool_call_id=None)
        adapted.append(message)
    return tuple(adapted)

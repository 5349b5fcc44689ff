"""Parse the arguments of tool calls, whole or partial."""

from __future__ import annotations

import json
from typing import Any

from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import Reply


def parse_arguments(call: ToolCall, *, cut: bool = False) -> dict[str, Any] | None:
    """The arguments of a call as an object, or `None` when it must not be executed.

    Args:
        call: A call whose pieces have all arrived.
        cut: The reply ended by `length` within this call, so an empty text is a missing one.

    Returns:
        The object; `{}` for a tool without arguments; `None` for broken JSON or JSON that is no object.
    """
    if not call.arguments.strip(" \t\r\n"):  # what JSON takes for white space
        return None if cut else {}
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def parse_partial_json(text: str) -> dict[str, Any]:
    """As much of a JSON object as `text` has of it; `{}` where it is none."""
    from jiter import from_json  # here, so that importing an adapter loads nothing but its framework

    try:
        value = from_json(text.encode(errors="replace"), partial_mode="trailing-strings")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def parse_tool_calls(reply: Reply) -> list[tuple[ToolCall, dict[str, Any] | None]]:
    """Each call of a reply with its arguments, `None` where the call must not be executed."""
    last = len(reply.tool_calls) - 1
    cut = reply.finish.finish_reason == "length"
    return [
        (call, parse_arguments(call, cut=cut and position == last)) for position, call in enumerate(reply.tool_calls)
    ]

"""Parse the arguments of tool calls, whole or partial."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import Reply

INVALID_ARGUMENTS = "The arguments are not a complete JSON object."
"""The error of a call that must not be executed, in the messages of both frameworks."""


def parse_arguments(call: ToolCall, *, truncated: bool = False) -> dict[str, Any] | None:
    """Parse the arguments of a complete call.

    Args:
        call: A call whose pieces have all arrived.
        truncated: Whether the reply ended by `length` within this call, so that empty text means missing arguments.

    Returns:
        The object; `{}` for a call without arguments (no text, white space, or the word null); `None` for invalid JSON
        or JSON other than an object: such a call must not be executed.
    """
    text = call.arguments.strip()
    if not text:
        return None if truncated else {}
    if text == "null":
        return {}
    try:
        arguments = json.loads(call.arguments, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def _reject_constant(name: str) -> None:
    """Raise on `NaN` and `Infinity`, which Python reads but JSON does not have."""
    raise ValueError(f"{name} is not JSON")


def parse_partial_json(text: str) -> dict[str, Any]:
    """Parse the beginning of a JSON object as far as it goes; `{}` if `text` does not begin one."""
    value = parse_partial_value(text)
    return value if isinstance(value, dict) else {}


def parse_partial_value(text: str) -> Any:
    """Parse the beginning of a JSON value as far as it goes; `None` if `text` does not begin one."""
    from jiter import from_json  # imported on first use, so that importing an adapter loads its framework only

    try:
        return from_json(text.encode(errors="replace"), partial_mode="trailing-strings")
    except ValueError:
        return None


def keep_first_call(reply: Reply) -> Reply:
    """Drop all calls that may be executed but the first, and report that; calls that must not be executed stay."""
    parsed = parse_tool_calls(reply)
    executable = [call for call, arguments in parsed if arguments is not None]
    if len(executable) < 2:
        return reply
    first = executable[0]
    # Blank arguments would count as cut off if the call became the last one of a truncated reply.
    kept = first if first.arguments.strip() else replace(first, arguments="{}")
    calls = [kept if call is first else call for call, arguments in parsed if call is first or arguments is None]
    note = f"{len(executable) - 1} of {len(executable)} tool calls dropped: parallel tool calls are not allowed"
    finish = reply.finish._replace(adjustments=(*reply.finish.adjustments, note))
    return replace(reply, tool_calls=tuple(calls), finish=finish)


def parse_tool_calls(reply: Reply) -> list[tuple[ToolCall, dict[str, Any] | None]]:
    """Parse the arguments of each call of a reply; `None` marks a call that must not be executed."""
    last = len(reply.tool_calls) - 1
    truncated = reply.finish.finish_reason == "length"
    return [
        (call, parse_arguments(call, truncated=truncated and index == last))
        for index, call in enumerate(reply.tool_calls)
    ]

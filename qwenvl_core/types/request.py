"""A request before and after policy."""

from __future__ import annotations

from dataclasses import dataclass

from qwenvl_core.types.messages import Message
from qwenvl_core.types.settings import ModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A conversation and how to answer it. `stream` is what the caller asked for; policy has the last word."""

    messages: tuple[Message, ...]
    settings: ModelSettings
    stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequest:
    """A request as it goes on the wire.

    Attributes:
        messages: The conversation, rewritten where the service demands it.
        settings: The settings, likewise.
        enable_thinking: What is sent; `None` sends nothing.
        stream: Whether the wire streams, whatever the caller asked for.
        adjustments: What was changed, a sentence each.
        needs_tool_call: The reply must call a tool, though the service could not be told so; why.
        needs_json: The reply must be JSON, though the service could not be told so; why.
    """

    messages: tuple[Message, ...]
    settings: ModelSettings
    enable_thinking: bool | None
    stream: bool
    adjustments: tuple[str, ...] = ()
    needs_tool_call: str | None = None
    needs_json: str | None = None

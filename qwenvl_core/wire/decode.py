"""What both APIs spell alike in a reply: a choice with its reasoning, text and tool calls, and the usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwenvl_core.types.events import Event, ReasoningDelta, TextDelta, Usage
from qwenvl_core.wire.fields import count, string
from qwenvl_core.wire.tool_call_deltas import ToolCallAssembler


class ReplyDecoder:
    """Reads the choices of one reply, streamed or whole, and says the events in them.

    Attributes:
        reason: Why the reply ended; empty until the server says so.
        model: The model that answered.
        reply_id: The server's id of the reply.
        request_id: The vendor's id of the request, where the body tells it.
        extras: What else came with the reply.
    """

    def __init__(self) -> None:
        self.finish_reason = ""
        self.model = ""
        self.reply_id = ""
        self.request_id = ""
        self.extras: dict[str, Any] = {}
        self._usage: Mapping[str, Any] | None = None
        self._calls = ToolCallAssembler()

    @property
    def usage(self) -> Usage | None:
        """The last usage the server told: it repeats, and never adds up."""
        return usage_of(self._usage) if self._usage else None

    def _choice(self, choice: Mapping[str, Any]) -> list[Event]:
        """The events of a chunk's `delta`, or of a whole `message`: one may hold several kinds at once."""
        events: list[Event] = []  # no generator: there is hardly ever more than one, and there are thousands of chunks
        delta = choice.get("delta") or choice.get("message") or {}
        # vLLM and its kin say `reasoning`.
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning and (thought := text_of(reasoning)):
            events.append(ReasoningDelta(thought))
        content = delta.get("content")
        if content:
            text = content if type(content) is str else self._text(content)
            if text:
                events.append(TextDelta(text))
        if delta.get("tool_calls"):
            events += self._calls.add_fragments(delta["tool_calls"], self.reply_id)
        if choice.get("logprobs"):
            self._add_logprobs(choice["logprobs"])
        reason = choice.get("finish_reason")
        if reason and reason != "null":
            self.finish_reason = string(reason)
        return events

    def _text(self, content: Any) -> str:
        """The text of content that came as a list of parts."""
        return text_of(content)

    def _add_logprobs(self, logprobs: Mapping[str, Any]) -> None:
        if logprobs.get("content"):
            self.extras.setdefault("logprobs", {"content": []})["content"].extend(logprobs["content"])


def text_of(content: Any) -> str:
    """Content as a string, also where it came as a list of parts."""
    if isinstance(content, str):
        return content
    parts = [content] if isinstance(content, dict) else content
    return "".join([part if isinstance(part, str) else string(part.get("text")) for part in parts])


def usage_of(told: Mapping[str, Any]) -> Usage:
    """Token counts, whichever of the APIs' names they have."""
    of_input = told.get("prompt_tokens_details") or {}
    of_input = {**(told.get("input_tokens_details") or {}), **of_input}
    of_output = told.get("completion_tokens_details") or told.get("output_tokens_details") or {}
    input_tokens = count(told.get("prompt_tokens", told.get("input_tokens"))) or 0
    output_tokens = count(told.get("completion_tokens", told.get("output_tokens"))) or 0
    return Usage(
        input=input_tokens,
        output=output_tokens,
        total=count(told.get("total_tokens")) or input_tokens + output_tokens,
        reasoning=count(of_output.get("reasoning_tokens", told.get("reasoning_tokens"))),
        cached=count(of_input.get("cached_tokens")),
        image=count(of_input.get("image_tokens", told.get("image_tokens"))),
        video=count(of_input.get("video_tokens", told.get("video_tokens"))),
        raw=told,
    )

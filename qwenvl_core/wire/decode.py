"""Decode what both APIs share in a reply: a choice with reasoning, text and tool calls, and the usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwenvl_core.types.events import Event, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.wire.fields import read_count, read_string
from qwenvl_core.wire.tool_call_deltas import ToolCallAssembler


class ReplyDecoder:
    """Decode the choices of one reply, streamed or whole, into events.

    Attributes:
        finish_reason: Why the reply ended; empty until the server reports it.
        model: The model that answered.
        reply_id: The server's id of the reply.
        request_id: The vendor's id of the request, if the body contains it.
        extras: Further fields of the reply.
    """

    separates_names = False
    """Whether a fragment of a call that holds a name and arguments becomes two events."""

    def __init__(self) -> None:
        self.finish_reason = ""
        self.model = ""
        self.reply_id = ""
        self.request_id = ""
        self.extras: dict[str, Any] = {}
        self._usage: Mapping[str, Any] | None = None
        self._calls = ToolCallAssembler(separates_names=self.separates_names)

    @property
    def usage(self) -> Usage | None:
        """The last usage that the server reported; each report covers the whole reply so far."""
        return read_usage(self._usage) if self._usage else None

    def flush(self) -> list[ToolCallDelta]:
        """Return the events that were held back until the end of the reply."""
        return self._calls.flush()

    def _decode_choice(self, choice: Mapping[str, Any]) -> list[Event]:
        """Decode a chunk's `delta` or a whole `message`, which may contain several kinds of events at once."""
        events: list[Event] = []  # a list costs less than a generator: most chunks contain one event
        delta = choice.get("delta") or choice.get("message") or {}
        # vLLM and servers derived from it send `reasoning`.
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning and (reasoning_text := read_text(reasoning)):
            events.append(ReasoningDelta(reasoning_text))
        content = delta.get("content")
        if content:
            text = content if type(content) is str else self._read_content(content)
            if text:
                events.append(TextDelta(text))
        if delta.get("tool_calls"):
            events += self._calls.add_fragments(delta["tool_calls"], self.reply_id)
        if choice.get("logprobs"):
            self._add_logprobs(choice["logprobs"])
        reason = choice.get("finish_reason")
        if reason and reason != "null":
            self.finish_reason = read_string(reason)
        return events

    def _read_content(self, content: Any) -> str:
        """Return the text of content that is a list of parts."""
        return read_text(content)

    def _add_logprobs(self, logprobs: Mapping[str, Any]) -> None:
        if logprobs.get("content"):
            self.extras.setdefault("logprobs", {"content": []})["content"].extend(logprobs["content"])


def read_text(content: Any) -> str:
    """Return content as a string, whether it is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts = [content] if isinstance(content, dict) else content
    return "".join([part if isinstance(part, str) else read_string(part.get("text")) for part in parts])


def read_usage(payload: Mapping[str, Any]) -> Usage:
    """Read the token counts of a usage object under the field names of either API."""
    input_details = payload.get("prompt_tokens_details") or {}
    input_details = {**(payload.get("input_tokens_details") or {}), **input_details}
    output_details = payload.get("completion_tokens_details") or payload.get("output_tokens_details") or {}
    input_tokens = read_count(payload.get("prompt_tokens", payload.get("input_tokens"))) or 0
    output_tokens = read_count(payload.get("completion_tokens", payload.get("output_tokens"))) or 0
    return Usage(
        input=input_tokens,
        output=output_tokens,
        total=read_count(payload.get("total_tokens")) or input_tokens + output_tokens,
        reasoning=read_count(output_details.get("reasoning_tokens", payload.get("reasoning_tokens"))),
        cached=read_count(input_details.get("cached_tokens")),
        cache_creation=_read_cache_creation(input_details),
        image=read_count(input_details.get("image_tokens", payload.get("image_tokens"))),
        video=read_count(input_details.get("video_tokens", payload.get("video_tokens"))),
        raw=payload,
    )


def _read_cache_creation(input_details: Mapping[str, Any]) -> int | None:
    """Read how many input tokens were written to the context cache.

    The count stands beside `cached_tokens`, in older replies in `cache_creation`, which also has it by lifetime.
    Source: "Context cache".
    """
    if "cache_creation_input_tokens" in input_details:
        return read_count(input_details["cache_creation_input_tokens"])
    by_lifetime = input_details.get("cache_creation")
    if not isinstance(by_lifetime, Mapping):
        return None
    return read_count(by_lifetime.get("cache_creation_input_tokens", by_lifetime.get("ephemeral_5m_input_tokens")))

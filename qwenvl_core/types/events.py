"""Define the closed set of events that a reply consists of.

Streamed and whole replies yield the same events, so the result of `invoke` equals the accumulated stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


# Named tuples instead of dataclasses: an event is created for every chunk, and named tuples are created faster.
class ReasoningDelta(NamedTuple):
    """The next piece of the reasoning text."""

    text: str


class TextDelta(NamedTuple):
    """The next piece of the answer text."""

    text: str


class ToolCallDelta(NamedTuple):
    """The next piece of a tool call.

    Attributes:
        call_index: Index of the call in the reply, from 0.
        id: The call's id, in its first piece only.
        name: The tool's name, once per call: in the first piece whose fragment holds it.
        arguments: The next piece of the arguments' JSON text.
    """

    call_index: int
    id: str | None
    name: str | None
    arguments: str


class Usage(NamedTuple):
    """Tokens billed for the whole reply; details that the server does not report are `None`.

    Attributes:
        input: All input tokens, including those of the details, which may overlap: images may be cached.
        output: All output tokens, including `reasoning`.
        total: Input and output tokens together.
        reasoning: Output tokens of the reasoning.
        cached: Input tokens read from the context cache.
        cache_creation: Input tokens that were written to the context cache.
        image: Input tokens of images.
        video: Input tokens of videos.
        raw: The server's own usage object.
    """

    input: int
    output: int
    total: int
    reasoning: int | None = None
    cached: int | None = None
    cache_creation: int | None = None
    image: int | None = None
    video: int | None = None
    raw: Mapping[str, Any] = {}


def add_usage(first: Usage | None, second: Usage | None) -> Usage | None:
    """Add the token counts of two replies; a detail that only one of them reports keeps its count."""
    if first is None or second is None:
        return first or second
    details = {
        name: _add_counts(getattr(first, name), getattr(second, name))
        for name in ("reasoning", "cached", "cache_creation", "image", "video")
    }
    return Usage(
        first.input + second.input,
        first.output + second.output,
        first.total + second.total,
        **details,
        raw=_add_fields(first.raw, second.raw),
    )


def _add_counts(first: int | None, second: int | None) -> int | None:
    return (first or 0) + (second or 0) if first is not None or second is not None else None


def _add_fields(first: Any, second: Any) -> Any:
    """Add the numbers in two usage objects; of other values the second one is kept."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return {
            **first,
            **{name: _add_fields(first[name], value) if name in first else value for name, value in second.items()},
        }
    is_number = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (first, second))
    return first + second if is_number else first if second is None else second


_OCR_RESULT = "ocr_result"


class Finish(NamedTuple):
    """The end of a complete reply.

    Attributes:
        finish_reason: The reason that the server reports: `stop`, `length`, `tool_calls`, ….
        model: The model that answered, as the server reports it.
        reply_id: The server's id of the reply.
        request_id: The vendor's id of the request, from the response's header or body.
        adjustments: The changes that policy made to the request, one sentence each.
        extras: Further fields of the reply (`logprobs`, `search_info`, `ocr_result`, …).
        provider: Name of the provider row whose dialect the request had.
    """

    finish_reason: str
    model: str = ""
    reply_id: str = ""
    request_id: str = ""
    adjustments: tuple[str, ...] = ()
    extras: Mapping[str, Any] = {}
    provider: str = "model-studio"

    @property
    def ocr_result(self) -> Any:
        """What an OCR task located or extracted: `words_info` or `kv_result`; `None` without such a result."""
        return self.extras.get(_OCR_RESULT)

    @property
    def server_fields(self) -> dict[str, Any]:
        """`extras` without `ocr_result`, which the frameworks' messages have in a place of its own."""
        return {name: value for name, value in self.extras.items() if name != _OCR_RESULT}


Event = ReasoningDelta | TextDelta | ToolCallDelta | Usage | Finish

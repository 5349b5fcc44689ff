"""Define the replies, tool calls and faults that a test scripts."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Literal

from tests.emulator.quirks import Quirks

_DELTA_LENGTHS = (2, 4, 7, 5, 11, 3)
"""Characters per delta of a split string, in turn; unequal, like the deltas of the service."""

_CHARACTERS_PER_TOKEN = 4
_USAGE_KEYS = ("prompt", "completion", "reasoning", "image", "video", "cached", "cache_creation")


def split_text(value: str | Sequence[str]) -> list[str]:
    """Return the deltas of a text: a sequence unchanged, a string split at fixed positions."""
    if not isinstance(value, str):
        return list(value)
    deltas, start = [], 0
    for length in cycle(_DELTA_LENGTHS):
        if start >= len(value):
            break
        deltas.append(value[start : start + length])
        start += length
    return deltas


@dataclass(frozen=True)
class ToolCall:
    """A tool call of the model; ``arguments`` is JSON text, whole or as the deltas to stream."""

    id: str
    name: str
    arguments: str | Sequence[str] = "{}"


@dataclass(frozen=True)
class Reply:
    """One reply of the model, independent of the API that renders it."""

    reasoning: str | Sequence[str] = ""
    text: str | Sequence[str] = ""
    tool_calls: Sequence[ToolCall] = ()
    finish: str | None = None
    """Default: ``tool_calls`` if there are any, else ``stop``."""
    usage: Mapping[str, int] | None = None
    """Tokens by the names in ``_USAGE_KEYS``; missing ones are computed or left out."""
    model: str | None = None
    request_id: str | None = None
    created: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields to merge into the whole reply or the first event: at the top level (compat) or the output (native)."""
    content_extra: Mapping[str, Any] = field(default_factory=dict)
    """Native: more keys of the (last) content item, for instance ``ocr_result``."""
    choice_extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields to merge into the choice of the whole reply or of each chunk with text, for instance ``logprobs``."""
    delay: float = 0.0
    """Seconds to wait before each event except the first."""
    gates: Sequence[threading.Event] = ()
    """Events to wait for, one before each event of the stream, so that a test controls when it is sent."""
    quirks: Quirks | None = None

    def __post_init__(self) -> None:
        unknown = set(self.usage or ()) - set(_USAGE_KEYS)
        if unknown:
            raise ValueError(f"Unknown usage keys: {sorted(unknown)}. Supported: {_USAGE_KEYS}.")

    @property
    def finish_reason(self) -> str:
        """The finish reason, by default derived from the tool calls."""
        return self.finish or ("tool_calls" if self.tool_calls else "stop")


@dataclass(frozen=True)
class Fault:
    """A failure of the HTTP response, the stream or the connection.

    Without any field it is an HTTP 500. A fault of only the connection or the stream (``reset``, ``stall``,
    ``close_without_finish``, ``truncate_json``, ``truncate_body``) sends the first ``after`` events of ``reply`` (or of
    a default reply) and then fails.
    """

    status: int | None = None
    code: str | int | None = None
    """The code in either API; the other API sends its own code for the same error if there is one."""
    message: str | None = None
    error_format: Literal["json", "data-body", "in-stream", "html", "text", "empty"] | None = None
    """By default JSON with the HTTP status, or an error event with HTTP 200 for a 400 in a native stream."""
    headers: Mapping[str, str] = field(default_factory=dict)
    reply: Reply | None = None
    after: int = 0
    reset: Literal["before-headers", "after-events", "mid-character"] | None = None
    """When to reset the connection (RST) instead of closing it."""
    stall: float = 0.0
    """Seconds to send nothing: before the headers, or after ``after`` events if there is a ``reply``."""
    close_without_finish: bool = False
    """End the stream cleanly without finish reason, usage and ``[DONE]``."""
    truncate_json: bool = False
    """Truncate the JSON of a whole reply, or of the last event of a stream."""
    truncate_body: bool = False
    """Close the connection (FIN) before the announced body is complete."""
    non_json_200: bool = False
    """Send HTTP 200 with an HTML page."""
    redirect: str | None = None
    """Location of an HTTP 307 redirect."""
    quirks: Quirks | None = None

    @property
    def is_interruption(self) -> bool:
        """Whether a reply starts and is interrupted without an error message."""
        interrupted = self.reset or self.stall or self.close_without_finish or self.truncate_json or self.truncate_body
        return bool(interrupted) and self.status is None and self.code is None and self.error_format is None


def compute_usage(reply: Reply, prompt_characters: int, images: int, videos: int) -> dict[str, int]:
    """Compute the usage of a reply from the lengths of prompt and reply; the keys of `reply.usage` take precedence."""
    reasoning = _estimate_tokens(len("".join(split_text(reply.reasoning))))
    answer = "".join(split_text(reply.text)) + "".join(
        call.name + "".join(split_text(call.arguments)) for call in reply.tool_calls
    )
    image, video = images * 258, videos * 1026
    counted = {
        "prompt": 8 + _estimate_tokens(prompt_characters) + image + video,
        "completion": reasoning + _estimate_tokens(len(answer)),
        "reasoning": reasoning,
    }
    counted |= {"image": image} if image else {}
    counted |= {"video": video} if video else {}
    return counted | dict(reply.usage or {})


def _estimate_tokens(characters: int) -> int:
    return math.ceil(characters / _CHARACTERS_PER_TOKEN)

"""What a test tells the emulator to say: answers, tool calls and faults, as values."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.emulator.quirks import Quirks

_PIECE_LENGTHS = (2, 4, 7, 5, 11, 3)
"""Characters per delta when a string has to be cut, in turn; unequal, as the service's deltas are."""

_CHARACTERS_PER_TOKEN = 4
_NEUTRAL_USAGE = ("prompt", "completion", "reasoning", "image", "video", "cached")


def pieces(value: str | Sequence[str]) -> list[str]:
    """The deltas of a text: a sequence as it is, a string cut the same way each time."""
    if not isinstance(value, str):
        return list(value)
    cut, start, turn = [], 0, 0
    while start < len(value):
        end = start + _PIECE_LENGTHS[turn % len(_PIECE_LENGTHS)]
        cut.append(value[start:end])
        start, turn = end, turn + 1
    return cut


@dataclass(frozen=True)
class ToolCall:
    """A call that the model makes; ``arguments`` is JSON text, whole or in the pieces to stream."""

    id: str
    name: str
    arguments: str | Sequence[str] = "{}"


@dataclass(frozen=True)
class Reply:
    """One answer of the model, in no API's own words."""

    reasoning: str | Sequence[str] = ""
    text: str | Sequence[str] = ""
    tool_calls: Sequence[ToolCall] = ()
    finish: str | None = None
    """Default: ``tool_calls`` if there are any, else ``stop``."""
    usage: Mapping[str, int] | None = None
    """prompt, completion, reasoning, image, video, cached; those left out are computed or not written."""
    model: str | None = None
    request_id: str | None = None
    created: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Merged into the whole answer, or the first event: the top level (compat), the output (native)."""
    content_extra: Mapping[str, Any] = field(default_factory=dict)
    """Native: more keys on the (last) content item, for instance ``ocr_result``."""
    choice_extra: Mapping[str, Any] = field(default_factory=dict)
    """Merged into the choice of the whole answer, or of each chunk with text: for instance ``logprobs``."""
    delay: float = 0.0
    """Seconds to wait before each event but the first."""
    gates: Sequence[threading.Event] = ()
    """Waited for, one before each event, so that a test decides when each event is sent."""
    quirks: Quirks | None = None

    def __post_init__(self) -> None:
        unknown = set(self.usage or ()) - set(_NEUTRAL_USAGE)
        if unknown:
            raise ValueError(f"unknown usage {sorted(unknown)}; known: {_NEUTRAL_USAGE}")

    def finish_reason(self) -> str:
        return self.finish or ("tool_calls" if self.tool_calls else "stop")


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, at the level of HTTP, of the stream or of the connection.

    Without any field it is an HTTP 500. A fault of the connection or of the stream alone (``reset``, ``stall``,
    ``close_without_finish``, ``truncate_json``, ``truncate_body``) plays ``reply`` (or a default answer) and
    strikes after ``after`` of its events.
    """

    status: int | None = None
    code: str | int | None = None
    """The code in either API's words; the other API gets its own word for it if there is one."""
    message: str | None = None
    error_format: Literal["json", "data-body", "in-stream", "html", "text", "empty"] | None = None
    """Default: JSON with the HTTP status; for a 400 in a native stream, an error event with HTTP 200."""
    headers: Mapping[str, str] = field(default_factory=dict)
    reply: Reply | None = None
    after: int = 0
    reset: Literal["before-headers", "after-events", "mid-character"] | None = None
    """The connection is reset (RST), not closed."""
    stall: float = 0.0
    """Seconds without a byte: before the headers, or after ``after`` events if there is a ``reply``."""
    close_without_finish: bool = False
    """The stream ends cleanly without finish reason, usage and ``[DONE]``."""
    truncate_json: bool = False
    """A whole answer's JSON breaks off; in a stream, the last event's JSON."""
    truncate_body: bool = False
    """The connection closes (FIN) before the body that was announced is complete."""
    non_json_200: bool = False
    """HTTP 200 with a page of HTML."""
    redirect: str | None = None
    """HTTP 307 to this location."""
    quirks: Quirks | None = None

    @property
    def only_breaks_off(self) -> bool:
        """Whether an answer starts and breaks off, and no error is told."""
        struck = self.reset or self.stall or self.close_without_finish or self.truncate_json or self.truncate_body
        return bool(struck) and self.status is None and self.code is None and self.error_format is None


def usage_of(reply: Reply, prompt_characters: int, images: int, videos: int) -> dict[str, int]:
    """The neutral usage of an answer: what the reply says, else a count that depends on the lengths only."""
    reasoning = _tokens(len("".join(pieces(reply.reasoning))))
    answer = "".join(pieces(reply.text)) + "".join(
        call.name + "".join(pieces(call.arguments)) for call in reply.tool_calls
    )
    image, video = images * 258, videos * 1026
    counted = {
        "prompt": 8 + _tokens(prompt_characters) + image + video,
        "completion": reasoning + _tokens(len(answer)),
        "reasoning": reasoning,
    }
    counted |= {"image": image} if image else {}
    counted |= {"video": video} if video else {}
    return counted | dict(reply.usage or {})


def _tokens(characters: int) -> int:
    return math.ceil(characters / _CHARACTERS_PER_TOKEN)

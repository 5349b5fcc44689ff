"""What is answered: a small closed set of events, and the one accumulator that folds them into a reply.

A streamed and a whole reply are the same events, so `invoke` and the folded stream can't differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


# Named tuples, not dataclasses: one of them is built for every chunk of every stream.
class ReasoningDelta(NamedTuple):
    """More of the model's thinking."""

    text: str


class TextDelta(NamedTuple):
    """More of the answer."""

    text: str


class ToolCallDelta(NamedTuple):
    """A piece of the call at `call_index`, numbered from 0. `id` and `name` come once, with the call's first piece."""

    call_index: int
    id: str | None
    name: str | None
    arguments: str


class Usage(NamedTuple):
    """Tokens billed for the whole reply; a detail is `None` where the server does not tell it.

    `input` and `output` include their details: `cached`, `image` and `video` are of the input, `reasoning`
    is of the output. `raw` is the server's own object.
    """

    input: int
    output: int
    total: int
    reasoning: int | None = None
    cached: int | None = None
    image: int | None = None
    video: int | None = None
    raw: Mapping[str, Any] = {}


class Finish(NamedTuple):
    """The reply is whole.

    Attributes:
        finish_reason: The server's word: `stop`, `length`, `tool_calls`, ….
        model: The model that answered, by the server's word.
        reply_id: The server's id of the reply.
        request_id: The vendor's id of the request, from the response's header or body.
        adjustments: What policy changed in the request, one sentence each.
        extras: What else came with the reply (`logprobs`, `search_info`, `ocr_result`, …).
    """

    finish_reason: str
    model: str = ""
    reply_id: str = ""
    request_id: str = ""
    adjustments: tuple[str, ...] = ()
    extras: Mapping[str, Any] = {}


Event = ReasoningDelta | TextDelta | ToolCallDelta | Usage | Finish

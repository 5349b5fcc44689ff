"""What is answered: a small closed set of events, and the one reducer that folds them into a reply.

A streamed and a whole reply are the same events, so `invoke` and the folded stream can't differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qwenvl_core.request import ToolCall


# Named tuples, not dataclasses: one of them is built for every chunk of every stream.
class ReasoningDelta(NamedTuple):
    """More of the model's thinking."""

    text: str


class TextDelta(NamedTuple):
    """More of the answer."""

    text: str


class ToolCallDelta(NamedTuple):
    """A piece of the call in `slot`, numbered from 0. `id` and `name` come once, with the call's first piece."""

    slot: int
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
        reason: The server's word: `stop`, `length`, `tool_calls`, ….
        model: The model that answered, by the server's word.
        reply_id: The server's id of the reply.
        request_id: The vendor's id of the request, from the response's header or body.
        adjustments: What policy changed in the request, one sentence each.
        extras: What else came with the reply (`logprobs`, `search_info`, `ocr_result`, …).
    """

    reason: str
    model: str = ""
    reply_id: str = ""
    request_id: str = ""
    adjustments: tuple[str, ...] = ()
    extras: Mapping[str, Any] = {}


Event = ReasoningDelta | TextDelta | ToolCallDelta | Usage | Finish


_UNFINISHED = Finish("")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply: the fold of its events."""

    reasoning: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    usage: Usage | None
    finish: Finish


class Pieces(list[str]):
    """A text that grows by pieces, and can be had as it was when it had fewer."""

    _known: tuple[int, str] = (0, "")

    def first(self, count: int) -> str:
        """The text of the first `count` pieces; asked for ever more of them, only the new ones are joined."""
        known, text = self._known
        if count < known:
            return "".join(self[:count])
        if count > known:
            text += "".join(self[known:count])
            self._known = (count, text)
        return text


class Moment(NamedTuple):
    """What a reducer held at one moment: taken in O(1), folded when it is asked for, unchanged by later events."""

    reasoning: tuple[Pieces, int]
    text: tuple[Pieces, int]
    calls: tuple[tuple[str, str, Pieces, int], ...]
    usage: Usage | None
    finish: Finish

    def reply(self) -> Reply:
        """The fold of the events up to this moment."""
        return Reply(
            reasoning=self.reasoning[0].first(self.reasoning[1]),
            text=self.text[0].first(self.text[1]),
            tool_calls=tuple(
                ToolCall(call_id, name, pieces.first(count)) for call_id, name, pieces, count in self.calls
            ),
            usage=self.usage,
            finish=self.finish,
        )


@dataclass(slots=True)
class Reducer:
    """Collects events in O(total length): pieces are kept, and joined once by `reply`."""

    _reasoning: Pieces = field(default_factory=Pieces)
    _text: Pieces = field(default_factory=Pieces)
    _calls: dict[int, tuple[str, str, Pieces]] = field(default_factory=dict)
    _usage: Usage | None = None
    _finish: Finish = field(default=_UNFINISHED)

    def add(self, event: Event) -> None:
        """Take one event."""
        # Asked for by class, not matched: that takes half of the time, and this is done with every chunk.
        if type(event) is TextDelta:
            self._text.append(event.text)
        elif type(event) is ReasoningDelta:
            self._reasoning.append(event.text)
        elif type(event) is ToolCallDelta:
            known_id, known_name, pieces = self._calls.get(event.slot) or ("", "", Pieces())
            pieces.append(event.arguments)
            self._calls[event.slot] = (known_id or event.id or "", known_name or event.name or "", pieces)
        elif type(event) is Usage:
            self._usage = event
        elif type(event) is Finish:
            self._finish = event

    def moment(self) -> Moment:
        """What has been collected so far, to be folded later or never."""
        return Moment(
            (self._reasoning, len(self._reasoning)),
            (self._text, len(self._text)),
            tuple((*call, len(call[2])) for call in self._calls.values()) if self._calls else (),
            self._usage,
            self._finish,
        )

    def reply(self) -> Reply:
        """What has been collected so far."""
        return self.moment().reply()


def fold(events: Iterable[Event]) -> Reply:
    """The reply that `events` make up."""
    reducer = Reducer()
    for event in events:
        reducer.add(event)
    return reducer.reply()


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


def partial_object(text: str) -> dict[str, Any]:
    """As much of a JSON object as `text` has of it; `{}` where it is none."""
    from jiter import from_json  # here, so that importing an adapter loads nothing but its framework

    try:
        value = from_json(text.encode(errors="replace"), partial_mode="trailing-strings")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def judged_calls(reply: Reply) -> list[tuple[ToolCall, dict[str, Any] | None]]:
    """Each call of a reply with its arguments, `None` where the call must not be executed."""
    last = len(reply.tool_calls) - 1
    cut = reply.finish.reason == "length"
    return [
        (call, parse_arguments(call, cut=cut and position == last)) for position, call in enumerate(reply.tool_calls)
    ]

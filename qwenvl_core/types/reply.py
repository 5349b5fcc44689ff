"""A whole reply, and the one accumulator that builds it from events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.messages import ToolCall

_UNFINISHED = Finish("")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply: the fold of its events."""

    reasoning: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    usage: Usage | None
    finish: Finish


class TextBuffer(list[str]):
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


class Snapshot(NamedTuple):
    """What a accumulator held at one moment: taken in O(1), folded when it is asked for, unchanged by later events."""

    reasoning: tuple[TextBuffer, int]
    text: tuple[TextBuffer, int]
    calls: tuple[tuple[str, str, TextBuffer, int], ...]
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
class ReplyAccumulator:
    """Collects events in O(total length): pieces are kept, and joined once by `reply`."""

    _reasoning: TextBuffer = field(default_factory=TextBuffer)
    _text: TextBuffer = field(default_factory=TextBuffer)
    _calls: dict[int, tuple[str, str, TextBuffer]] = field(default_factory=dict)
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
            known_id, known_name, pieces = self._calls.get(event.call_index) or ("", "", TextBuffer())
            pieces.append(event.arguments)
            self._calls[event.call_index] = (known_id or event.id or "", known_name or event.name or "", pieces)
        elif type(event) is Usage:
            self._usage = event
        elif type(event) is Finish:
            self._finish = event

    def snapshot(self) -> Snapshot:
        """What has been collected so far, to be folded later or never."""
        return Snapshot(
            (self._reasoning, len(self._reasoning)),
            (self._text, len(self._text)),
            tuple((*call, len(call[2])) for call in self._calls.values()) if self._calls else (),
            self._usage,
            self._finish,
        )

    def reply(self) -> Reply:
        """What has been collected so far."""
        return self.snapshot().reply()


def accumulate(events: Iterable[Event]) -> Reply:
    """The reply that `events` make up."""
    accumulator = ReplyAccumulator()
    for event in events:
        accumulator.add(event)
    return accumulator.reply()

"""Accumulate events into a reply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.messages import ToolCall

_UNFINISHED = Finish("")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply, accumulated from its events."""

    reasoning: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    usage: Usage | None
    finish: Finish


class TextBuffer(list[str]):
    """A list of the pieces of a text, from which earlier states of the text can be read."""

    _joined: tuple[int, str] = (0, "")

    def join_first(self, count: int) -> str:
        """Join the first `count` pieces.

        The longest text so far is cached, so calls with a growing `count` join only the new pieces.
        """
        joined_count, text = self._joined
        if count < joined_count:
            return "".join(self[:count])
        if count > joined_count:
            text += "".join(self[joined_count:count])
            self._joined = (count, text)
        return text


class Snapshot(NamedTuple):
    """The state of an accumulator at one time: created in O(1), unchanged by later events.

    Each text is a buffer that the accumulator keeps growing, with the number of its pieces at that time.
    """

    reasoning: tuple[TextBuffer, int]
    text: tuple[TextBuffer, int]
    calls: tuple[tuple[str, str, TextBuffer, int], ...]
    usage: Usage | None
    finish: Finish

    def build_reply(self) -> Reply:
        """Build the reply from the events up to this snapshot."""
        reasoning, reasoning_count = self.reasoning
        text, text_count = self.text
        return Reply(
            reasoning=reasoning.join_first(reasoning_count),
            text=text.join_first(text_count),
            tool_calls=tuple(
                ToolCall(call_id, name, arguments.join_first(count)) for call_id, name, arguments, count in self.calls
            ),
            usage=self.usage,
            finish=self.finish,
        )


@dataclass(slots=True)
class ReplyAccumulator:
    """Accumulate events in O(total length): pieces of text are kept in lists and joined by `build_reply`.

    Attributes:
        reasoning: Pieces of the reasoning.
        text: Pieces of the text.
    """

    reasoning: TextBuffer = field(default_factory=TextBuffer)
    text: TextBuffer = field(default_factory=TextBuffer)
    _calls: dict[int, tuple[str, str, TextBuffer]] = field(default_factory=dict)
    _usage: Usage | None = None
    _finish: Finish = field(default=_UNFINISHED)

    def add(self, event: Event) -> None:
        """Add one event."""
        # `type(...) is` takes half the time of `match`, and this runs for every chunk.
        if type(event) is TextDelta:
            self.text.append(event.text)
        elif type(event) is ReasoningDelta:
            self.reasoning.append(event.text)
        elif type(event) is ToolCallDelta:
            call_id, name, arguments = self._calls.get(event.call_index) or ("", "", TextBuffer())
            arguments.append(event.arguments)
            self._calls[event.call_index] = (call_id or event.id or "", name or event.name or "", arguments)
        elif type(event) is Usage:
            self._usage = event
        elif type(event) is Finish:
            self._finish = event

    def snapshot(self) -> Snapshot:
        """Return the state so far, without joining any text yet."""
        return Snapshot(
            (self.reasoning, len(self.reasoning)),
            (self.text, len(self.text)),
            tuple((*call, len(call[2])) for call in self._calls.values()) if self._calls else (),
            self._usage,
            self._finish,
        )

    def build_reply(self) -> Reply:
        """Build the reply from the events so far."""
        return self.snapshot().build_reply()


def accumulate(events: Iterable[Event]) -> Reply:
    """Accumulate events into a reply."""
    accumulator = ReplyAccumulator()
    for event in events:
        accumulator.add(event)
    return accumulator.build_reply()

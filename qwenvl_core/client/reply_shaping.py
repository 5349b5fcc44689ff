"""Shape the events of one reply as they arrive: hold text back until it is known what the text is.

A shaper gives the caller the same reply that `request.reply_check.normalize_reply` makes of the whole one. Requests
whose text needs no shaping have no shaper, so that their events are passed on unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qwenvl_core.parsing.json_stream import JsonSplitter
from qwenvl_core.parsing.text_calls import TextCallReader
from qwenvl_core.request.reply_check import find_callable_names, is_valid_json
from qwenvl_core.types.events import Event, ReasoningDelta, TextDelta, ToolCallDelta
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.request import PreparedRequest

_PARAGRAPH = "\n\n"


class EventWriter:
    """Write the events of several replies so that they are one reply.

    Calls are counted on, and the texts of a later reply begin a new paragraph.

    Attributes:
        call_count: Number of the calls of earlier replies.
    """

    def __init__(self) -> None:
        self.call_count = 0
        self._has_text = self._has_reasoning = False
        self._text_prefix = self._reasoning_prefix = ""

    def begin_reply(self, earlier: Reply) -> None:
        """Prepare for the next reply; `earlier` is what the caller has received so far."""
        self.call_count = len(earlier.tool_calls)
        self._has_text, self._has_reasoning = bool(earlier.text), bool(earlier.reasoning)
        self._text_prefix = _PARAGRAPH if self._has_text else ""
        self.begin_paragraph()

    def begin_paragraph(self) -> None:
        """Begin a new paragraph of the reasoning with its next piece."""
        self._reasoning_prefix = _PARAGRAPH if self._has_reasoning else ""

    def write_text(self, text: str) -> TextDelta:
        """Write the next piece of the text."""
        prefix, self._text_prefix, self._has_text = self._text_prefix, "", True
        return TextDelta(prefix + text)

    def write_reasoning(self, text: str) -> ReasoningDelta:
        """Write the next piece of the reasoning."""
        prefix, self._reasoning_prefix, self._has_reasoning = self._reasoning_prefix, "", True
        return ReasoningDelta(prefix + text)

    def write_words(self, words: str) -> Iterator[ReasoningDelta]:
        """Write words around the output as a paragraph of the reasoning."""
        if words.strip():
            self.begin_paragraph()
            yield self.write_reasoning(words.strip())

    def write_call(self, event: ToolCallDelta) -> ToolCallDelta:
        """Write a piece of a tool call."""
        return event._replace(call_index=event.call_index + self.call_count) if self.call_count else event


class ReplyShaper:
    """Pass the events of a reply on, as one of several replies; subclasses hold text back.

    Attributes:
        has_shown_output: Whether the caller has received a piece of an output that can't be replaced.
    """

    has_shown_output = False

    def __init__(self, writer: EventWriter) -> None:
        self._writer = writer

    def shape(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield the events that the caller receives for the next events of the reply."""
        for event in events:
            if type(event) is TextDelta:
                yield from self._add_text(event.text)
            elif type(event) is ReasoningDelta:
                yield self._writer.write_reasoning(event.text)
            elif type(event) is ToolCallDelta:
                yield from self._add_call(event)
            else:
                yield event

    def finish(self, reply: Reply, *, is_followed: bool) -> Iterator[Event]:
        """Yield what was held back.

        Args:
            reply: The whole reply, normalized.
            is_followed: Whether another request follows because the reply is unusable.
        """
        return iter(())

    def _add_text(self, text: str) -> Iterator[Event]:
        yield self._writer.write_text(text)

    def _add_call(self, event: ToolCallDelta) -> Iterator[Event]:
        yield self._writer.write_call(event)


class CallShaper(ReplyShaper):
    """Hold text back as long as it can become one tool call, and turn such a text into the call."""

    def __init__(self, writer: EventWriter, names: list[str]) -> None:
        super().__init__(writer)
        self._reader: TextCallReader | None = TextCallReader(names)

    def finish(self, reply: Reply, *, is_followed: bool) -> Iterator[Event]:
        """Yield the call that the text is, or the text. See the base class."""
        held = self._release()
        if held and reply.text:
            yield self._writer.write_text(held)
        elif held:
            for index, call in enumerate(reply.tool_calls):
                yield self._writer.write_call(ToolCallDelta(index, call.id, call.name, call.arguments))

    def _add_text(self, text: str) -> Iterator[Event]:
        if self._reader is None:
            yield self._writer.write_text(text)
        elif not self._reader.push(text):
            yield self._writer.write_text(self._release())

    def _add_call(self, event: ToolCallDelta) -> Iterator[Event]:
        held = self._release()  # text beside a call is no call
        if held:
            yield self._writer.write_text(held)
        yield self._writer.write_call(event)

    def _release(self) -> str:
        held = self._reader.text if self._reader else ""
        self._reader = None
        return held


class JsonShaper(ReplyShaper):
    """Hold text back until it begins as JSON; words around the JSON become reasoning."""

    def __init__(self, writer: EventWriter, types: tuple[type, ...], *, is_streamed: bool) -> None:
        """Prepare to shape a reply; for a caller who does not stream, all text is held back."""
        super().__init__(writer)
        self._splitter = JsonSplitter(types)
        self._is_streamed = is_streamed

    def finish(self, reply: Reply, *, is_followed: bool) -> Iterator[Event]:
        """Yield the held text: as reasoning if a request follows, else as the answer. See the base class."""
        splitter = self._splitter
        rest = reply.text
        if self.has_shown_output:
            rest = rest[len(splitter.json_text) :]
        elif splitter.has_begun:
            yield from self._writer.write_words(splitter.words_before)
        if is_followed:
            yield from self._writer.write_words(rest)
        elif rest:
            yield self._writer.write_text(rest)
        if is_valid_json(splitter):
            yield from self._writer.write_words(splitter.words_after)

    def _add_text(self, text: str) -> Iterator[Event]:
        json_text = self._splitter.push(text)
        if not json_text or not self._is_streamed:
            return
        if not self.has_shown_output:
            self.has_shown_output = True
            yield from self._writer.write_words(self._splitter.words_before)
        yield self._writer.write_text(json_text)


def create_shaper(prepared: PreparedRequest, writer: EventWriter) -> ReplyShaper | None:
    """Create the shaper of a request's reply; `None` if its events are passed on unchanged."""
    if prepared.demand and prepared.demand.kind == "json":
        return JsonShaper(writer, prepared.demand.types, is_streamed=prepared.is_streamed_to_caller)
    names = find_callable_names(prepared)
    if names:
        return CallShaper(writer, names)
    return ReplyShaper(writer) if prepared.attempt else None

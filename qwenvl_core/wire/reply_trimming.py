"""Trim what servers put around a reply: line breaks in front of text and reasoning, and a repeated beginning.

Servers of open weights send the line breaks of the chat template: vLLM begins the text with two, transformers sends
reasoning of line breaks alone while thinking is off. Other white space is the model's, and kept. A whole reply of
llama.cpp to a partial message repeats it.
"""

from __future__ import annotations

from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.types.events import Event, ReasoningDelta, TextDelta
from qwenvl_core.types.request import PreparedRequest

_LINE_BREAKS = "\r\n"


class ReplyTrimmer:
    """Trim the events of one reply.

    Attributes:
        has_reasoning: Whether reasoning other than white space has arrived.
        is_whole: Whether the reply is read as a whole.
    """

    def __init__(self, prepared: PreparedRequest) -> None:
        last = prepared.messages[-1] if prepared.messages else None
        self._prefix = last.text if last is not None and last.partial else None
        self._repeats_prefix = get_provider(prepared.settings.provider).repeats_prefix
        self._has_text = self._has_reasoning_start = False
        self.has_reasoning = False
        self.is_whole = False

    def trim(self, event: Event) -> Event | None:
        """Return the event to pass on, `None` for one that holds nothing else."""
        if type(event) is TextDelta:
            return event if self._has_text else self._trim_text(event.text)
        if type(event) is ReasoningDelta:
            return event if self.has_reasoning else self._trim_reasoning(event.text)
        return event

    def _trim_text(self, text: str) -> TextDelta | None:
        if self._prefix is None:
            text = text.lstrip(_LINE_BREAKS)
        elif self.is_whole and self._repeats_prefix:
            text = text.removeprefix(self._prefix)
        self._has_text = bool(text)
        return TextDelta(text) if text else None

    def _trim_reasoning(self, text: str) -> ReasoningDelta | None:
        if not self._has_reasoning_start:
            text = text.lstrip(_LINE_BREAKS)
        self._has_reasoning_start = self._has_reasoning_start or bool(text)
        self.has_reasoning = bool(text.strip())
        return ReasoningDelta(text) if text else None

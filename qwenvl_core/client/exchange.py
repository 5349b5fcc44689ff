"""Conduct the requests of one call, without I/O: their replies appear to the caller as one reply.

Most calls are one request. Another one follows a reply that lacks the required output or holds nothing usable, as
`request.follow_up` decides.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.client.reply_shaping import EventWriter, create_shaper
from qwenvl_core.errors import QwenVLError
from qwenvl_core.request.follow_up import plan_follow_up
from qwenvl_core.request.reply_check import Fault, build_output_error, find_fault, join_paragraphs, normalize_reply
from qwenvl_core.types.events import Event, add_usage
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.wire.response_reader import ResponseReader

_LOG = logging.getLogger("qwenvl_core")


class Exchange:
    """The requests of one call and their replies.

    Attributes:
        prepared: The request to send; `None` once the reply is complete.
    """

    def __init__(self, prepared: PreparedRequest, facts: ModelFacts) -> None:
        self.prepared: PreparedRequest | None = prepared
        self._facts = facts
        self._earlier: Reply | None = None  # what the earlier replies of the call add up to
        self._texts: list[str] = []  # as the model wrote them
        self._writer = EventWriter()
        self._shaper = create_shaper(prepared, self._writer)

    def shape(self, events: Iterator[Event]) -> Iterator[Event]:
        """Return the events that the caller receives for the next events of the current reply."""
        # Most replies need no shaping. A loop over their events here would cost as much as their decoding.
        return events if self._shaper is None else self._shaper.shape(events)

    def finish(self, reader: ResponseReader) -> Iterator[Event]:
        """Yield the events at the end of the current reply, and set the request that follows it, if one does.

        Args:
            reader: What has read the whole reply to `prepared`.

        Raises:
            QwenVLOutputError: The reply is unusable and no request follows.
        """
        prepared = self.prepared
        assert prepared is not None
        yield from self.shape(iter(reader.last_events))
        reply = reader.reply
        self._texts.append(reply.text)
        reply = normalize_reply(prepared, reply)
        fault = find_fault(prepared, reply)
        following = self._plan(prepared, reply, fault) if fault else None
        if self._shaper:
            yield from self._shaper.finish(reply, is_followed=following is not None)
        self.prepared = following
        if following:
            if prepared.demand and prepared.demand.kind == "json":
                reply = replace(reply, text="", reasoning=join_paragraphs(reply.reasoning, reply.text))
            self._earlier = self._add_to_earlier(reply)
            self._writer.begin_reply(self._earlier)
            self._shaper = create_shaper(following, self._writer)
            return
        whole = self._add_to_earlier(reply)
        if whole.usage:
            yield whole.usage
        if fault and fault.is_error:
            raise build_output_error(prepared, whole, fault, join_paragraphs(*self._texts))
        if fault:
            note = f"the reply is empty (requests: {prepared.attempt + 1})"
            yield whole.finish._replace(adjustments=(*whole.finish.adjustments, note))
        else:
            yield whole.finish

    def add_context(self, error: QwenVLError) -> QwenVLError:
        """Add the text of earlier replies to an error of the current request."""
        if self._texts:
            error.partial = join_paragraphs(*self._texts, error.partial)
        return error

    def _plan(self, prepared: PreparedRequest, reply: Reply, fault: Fault) -> PreparedRequest | None:
        if self._shaper and self._shaper.has_shown_output:
            return None
        following = plan_follow_up(prepared, reply, fault, self._facts)
        if following:
            _LOG.info("Sending another request (%d in this call): %s reply", following.attempt + 1, fault.kind)
        return following

    def _add_to_earlier(self, reply: Reply) -> Reply:
        earlier = self._earlier
        if earlier is None:
            return reply
        return Reply(
            reasoning=_join(earlier.reasoning, reply.reasoning),
            text=_join(earlier.text, reply.text),
            tool_calls=(*earlier.tool_calls, *reply.tool_calls),
            usage=add_usage(earlier.usage, reply.usage),
            finish=reply.finish._replace(extras={**earlier.finish.extras, **reply.finish.extras}),
        )


def _join(first: str, second: str) -> str:
    return f"{first}\n\n{second}" if first and second else first or second

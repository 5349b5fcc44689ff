"""Read a reply: decode the bytes of a response to events, and build the whole reply, without I/O.

The same class reads sync and async, streamed and whole replies; only the loops that fetch the bytes differ.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.catalog.providers import MODEL_STUDIO, get_provider
from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLConnectionError,
    QwenVLContentFilterError,
    QwenVLError,
    QwenVLNotFoundError,
    QwenVLPermissionDeniedError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
)
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.reply import Reply, ReplyAccumulator
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.wire import errors, tool_names
from qwenvl_core.wire.error_classes import error_from_payload
from qwenvl_core.wire.error_hints import choose_hint
from qwenvl_core.wire.reply_trimming import ReplyTrimmer
from qwenvl_core.wire.sse import DONE, SSEDecodeError, SSEDecoder

_BOM_AND_SPACE = b"\xef\xbb\xbf \t\r\n"  # may precede either kind of body
_SHAPE_ERRORS = (AttributeError, IndexError, KeyError, TypeError)  # raised by decoders for payloads of another shape

_FAILED_REASONS: dict[str, type[QwenVLError]] = {"content_filter": QwenVLContentFilterError, "error": QwenVLAPIError}
"""Finish reasons of answers that must not be used."""


class Decoder(Protocol):
    """Decode the payloads of one reply of an API; see `qwenvl_core.wire.decode.ReplyDecoder`."""

    finish_reason: str
    model: str
    reply_id: str
    request_id: str
    extras: dict[str, Any]

    def decode_payload(self, payload: Mapping[str, Any]) -> list[Event]:
        """Decode one payload."""

    def flush(self) -> list[ToolCallDelta]:
        """Return the events that were held back until the end of the reply."""

    @property
    def usage(self) -> Usage | None:
        """The last usage that the server reported."""


class ResponseReader:
    """Read one reply.

    Attributes:
        started: Whether response data has arrived, so that the request must not be retried. An error event alone does
            not count.
        last_events: Events that the decoder held back until the end of the reply.
        done: Whether the reply is complete, so that further data need not be awaited.
    """

    def __init__(
        self,
        decoder: Decoder,
        prepared: PreparedRequest,
        *,
        timeout: float | None = None,
        chunk_timeout: float | None = None,
    ) -> None:
        self._decoder = decoder
        self._prepared = prepared
        self._timeout = timeout
        self._chunk_timeout = chunk_timeout
        self._trimmer = ReplyTrimmer(prepared)
        self._sse = SSEDecoder()
        self._body_chunks: list[bytes] | None = None  # of a whole reply; `None` for a stream
        self._is_format_unknown = False
        self._accumulator = ReplyAccumulator()
        self._add_reasoning, self._add_text = self._accumulator.reasoning.append, self._accumulator.text.append
        self._caller_names: dict[str, str] | None = None  # read with the first call
        self._request_id = ""
        self._is_partial_response = False
        self._payload_count = 0
        self._last_progress = 0.0
        self.last_events: list[ToolCallDelta] = []
        self.started = False
        self.done = False

    def start(self, headers: Mapping[str, str]) -> None:
        """Read the response's headers.

        Args:
            headers: A case-insensitive mapping.
        """
        self._request_id = headers.get("x-request-id") or ""
        self._is_partial_response = headers.get("x-dashscope-partialresponse", "").lower() == "true"
        # Even if the request demands a stream, the server may send a single payload or an HTML page.
        content_type = headers.get("content-type", "").lower()
        if not self._prepared.stream or "json" in content_type or "html" in content_type:
            self._body_chunks = []
        self._is_format_unknown = self._body_chunks is None
        self._last_progress = time.monotonic()
        self.started = True

    def decode(self, data: bytes) -> Iterator[Event]:
        """Return the events that are complete with `data`, the next bytes of the body.

        Raises:
            QwenVLError: The server reports an error, the reply has an unknown shape, or the reply takes too long.
        """
        if self._is_format_unknown:
            self._detect_format(data)
        if self._body_chunks is not None:
            self._body_chunks.append(data)
            self._check_progress(self._timeout, "The reply was not complete after", has_progress=False)
            return iter(())
        return self._read(self._sse.decode(data))

    def _detect_format(self, data: bytes) -> None:
        """Detect a JSON payload or an HTML page by its first character, which never begins a line of a stream."""
        first_character = data.lstrip(_BOM_AND_SPACE)[:1]
        if first_character:
            self._is_format_unknown = False
            if first_character in (b"{", b"<"):
                self._body_chunks = []

    def flush(self) -> Iterator[Event]:
        """Yield the remaining events at the end of the body.

        Raises:
            QwenVLError: As `decode`, or the reply ended before the answer was complete.
        """
        if self.done:
            return
        if self._body_chunks is not None:
            self._trimmer.is_whole = True
            yield from self._read(self._decode_whole(b"".join(self._body_chunks)))
        else:
            yield from self._read(self._sse.flush())
        if not self.done:
            self._finish()

    def finish_after_error(self, error: QwenVLError) -> None:
        """Finish the reply despite `error`, or raise it.

        The reply is finished if the connection failed or stalled after the finish reason had arrived.

        Raises:
            QwenVLError: `error` with the context of this reply, in all other cases.
        """
        is_disconnect = isinstance(error, (QwenVLConnectionError, QwenVLTimeoutError))
        if not (is_disconnect and self._decoder.finish_reason):
            raise self.add_context(error)
        if not self.done:
            self._finish()

    @property
    def reply(self) -> Reply:
        """Return the reply so far; the whole one, with usage and finish, once it is complete."""
        return self._accumulator.build_reply()

    def add_context(self, error: QwenVLError) -> QwenVLError:
        """Add the request id and the text received so far to `error`, and a hint if the model is retired."""
        error.partial = error.partial or self.reply.text
        error.request_id = error.request_id or self._request_id or self._decoder.request_id or None
        if isinstance(error, QwenVLNotFoundError) or type(error) is QwenVLPermissionDeniedError:
            settings = self._prepared.settings
            error.hint = describe_at(settings.model, settings.provider).retired or error.hint
        error.hint = choose_hint(error, get_provider(self._prepared.settings.provider)) or error.hint
        return error

    def _read(self, payloads: Iterator[tuple[str, Any]]) -> Iterator[Event]:
        count_before = self._payload_count
        try:
            for name, payload in payloads:
                if payload is DONE:
                    self._finish()
                    return
                if name == "error" or errors.is_error_payload(payload):
                    self.started = self._payload_count > 0
                    error_payload = errors.parse_error_payload(
                        payload, status_code=self._sse.status, request_id=self._request_id or None
                    )
                    raise error_from_payload(error_payload)
                self._payload_count += 1
                for decoded in self._decoder.decode_payload(payload):
                    event = self._trimmer.trim(decoded)
                    if event is None:
                        continue
                    # A call of `ReplyAccumulator.add` for each chunk would cost a tenth of its decoding.
                    if type(event) is ReasoningDelta:
                        self._add_reasoning(event.text)
                    elif type(event) is TextDelta:
                        self._add_text(event.text)
                    else:
                        event = self._add_call(event)
                    yield event
        except SSEDecodeError as error:
            raise QwenVLStreamInterruptedError(f"The stream ended within an event: {error}") from error
        except _SHAPE_ERRORS as error:
            raise _unknown_shape_error(error) from error
        self._check_progress(
            self._chunk_timeout, "No chunk arrived for", has_progress=self._payload_count > count_before
        )

    def _add_call(self, event: Event) -> Event:
        """Accumulate an event of a tool call under the name that the caller knows."""
        if type(event) is ToolCallDelta:
            event = self._restore_name(event)
        self._accumulator.add(event)
        return event

    def _restore_name(self, event: ToolCallDelta) -> ToolCallDelta:
        """Replace the name of a tool that was sent by the name that the caller knows."""
        if event.name is None:
            return event
        if self._caller_names is None:
            self._caller_names = tool_names.read_caller_names(self._prepared.settings.tools)
        name = self._caller_names.get(event.name)
        return event if name is None else event._replace(name=name)

    def _decode_whole(self, body: bytes) -> Iterator[tuple[str, Any]]:
        with suppress(ValueError, RecursionError):  # not chained to later errors, because it references the whole body
            yield "", json.loads(body)
            return
        if body.lstrip(_BOM_AND_SPACE).startswith((b"data:", b"id:", b"event:", b":")):
            yield from self._sse.decode(body)
            yield from self._sse.flush()
            return
        error_payload = errors.parse_error_body(body.decode(errors="replace"), status_code=200)
        raise QwenVLAPIError(f"The reply is not valid JSON: {error_payload.message}", status_code=200)

    def _check_progress(self, limit: float | None, problem: str, *, has_progress: bool) -> None:
        """Raise a timeout if no payload arrived for `limit` seconds, although comments may keep the connection alive.

        `problem` begins the message: the limit in seconds follows.
        """
        now = time.monotonic()
        if has_progress:
            self._last_progress = now
        elif limit is not None and now - self._last_progress > limit:
            raise QwenVLTimeoutError(f"{problem} {limit:g} seconds.")

    def _finish(self) -> None:
        decoder = self._decoder
        self.done = True
        if self._is_partial_response:
            decoder.finish_reason = decoder.finish_reason or "length"
            decoder.extras["partial_response"] = True
        if not decoder.finish_reason:
            raise QwenVLStreamInterruptedError("The stream ended without a finish reason: the answer is incomplete.")
        self.last_events = [self._restore_name(event) for event in decoder.flush()]
        for event in self.last_events:
            self._accumulator.add(event)
        usage = self._read_usage()
        if usage:
            self._accumulator.add(usage)
        self._check_finish_reason()
        self._accumulator.add(
            Finish(
                decoder.finish_reason,
                decoder.model or self._prepared.settings.model,
                decoder.reply_id,
                self._request_id or decoder.request_id,
                self._list_adjustments(),
                decoder.extras,
                self._prepared.settings.provider,
            )
        )

    def _list_adjustments(self) -> tuple[str, ...]:
        """Return what policy changed, and whether a server of another provider thinks against the request."""
        is_off = self._prepared.enable_thinking is False and self._prepared.settings.provider != MODEL_STUDIO.name
        if not is_off or not self._trimmer.has_reasoning:
            return self._prepared.adjustments
        return (*self._prepared.adjustments, "the server thinks although enable_thinking=False was sent")

    def _read_usage(self) -> Usage | None:
        try:
            return self._decoder.usage
        except _SHAPE_ERRORS as error:
            raise _unknown_shape_error(error) from error

    def _check_finish_reason(self) -> None:
        """Raise if the answer was blocked or broken off: agents would use the part of it that arrived."""
        reason = self._decoder.finish_reason
        if reason in _FAILED_REASONS:
            raise _FAILED_REASONS[reason](
                f"The answer ended with finish_reason {reason!r}; the text that arrived before is in .partial."
            )


def _unknown_shape_error(error: Exception) -> QwenVLAPIError:
    return QwenVLAPIError(f"The reply has an unknown shape ({type(error).__name__}: {error}).")

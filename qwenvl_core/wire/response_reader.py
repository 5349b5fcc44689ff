"""A reply on its way in: from the bytes of a response to events, with no I/O of its own.

Sync and async, streamed and whole replies are read by this one class; only the loops that bring the bytes differ.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLConnectionError,
    QwenVLError,
    QwenVLOutputError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
    error_from_payload,
)
from qwenvl_core.types.events import Event, Finish, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.wire import errors
from qwenvl_core.wire.sse import DONE, SSEDecodeError, SSEDecoder

_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_SAYS_NOTHING = b"\xef\xbb\xbf \t\r\n"  # a byte order mark and white space, in front of either kind of body
_SHAPE_ERRORS = (AttributeError, IndexError, KeyError, TypeError)  # raised by readers that meet what they don't expect


class Decoder(Protocol):
    """What reads the payloads of one API's reply."""

    finish_reason: str
    model: str
    reply_id: str
    request_id: str
    extras: dict[str, Any]

    def decode_payload(self, payload: Mapping[str, Any]) -> list[Event]:
        """The events of one payload."""

    @property
    def usage(self) -> Usage | None:
        """The last usage error_payload."""


class ResponseReader:
    """One reply as it is read.

    Attributes:
        started: Response data has arrived, so the request must not be retried; an error event alone does not
            count.
        done: The server has said everything; what it may still send is nothing to wait for.
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
        self._plan = prepared
        self._timeout = timeout
        self._chunk_timeout = chunk_timeout
        self._sse = SSEDecoder()
        self._whole: list[bytes] | None = None
        self._format_unknown = False
        self._text: list[str] = []
        self._called = False
        self._request_id = ""
        self._partial_response = False
        self._payloads = 0
        self._paced_at = 0.0
        self.started = False
        self.done = False

    def start(self, headers: Mapping[str, str]) -> None:
        """Take the response's headers (a case-insensitive mapping)."""
        self._request_id = headers.get("x-request-id") or ""
        self._partial_response = headers.get("x-dashscope-partialresponse", "").lower() == "true"
        # A server that was asked to stream may still answer with one payload or a page.
        kind = headers.get("content-type", "").lower()
        if not self._plan.stream or "json" in kind or "html" in kind:
            self._whole = []
        self._format_unknown = self._whole is None
        self._paced_at = time.monotonic()
        self.started = True

    def decode(self, block: bytes) -> Iterator[Event]:
        """The events that a block of the body completes.

        Raises:
            QwenVLError: The server says that it failed, or can't be understood, or is too slow.
        """
        if self._format_unknown:
            self._detect_format(block)
        if self._whole is not None:
            self._whole.append(block)
            self._check_progress(self._timeout, "The answer was not whole after", made_progress=False)
            return iter(())
        return self._read(self._sse.decode(block))

    def _detect_format(self, block: bytes) -> None:
        """Tell a payload or a page by its first character, where the headers don't: no line of a stream has it."""
        first = block.lstrip(_SAYS_NOTHING)[:1]
        if first:
            self._format_unknown = False
            if first in (b"{", b"<"):
                self._whole = []

    def flush(self) -> Iterator[Event]:
        """The events that the end of the body completes: the rest, then usage and finish.

        Raises:
            QwenVLError: As `decode`; and when the reply ended before the answer did.
        """
        if self.done:
            return
        if self._whole is not None:
            yield from self._read(self._whole_payloads(b"".join(self._whole)))
        else:
            yield from self._read(self._sse.flush())
        if not self.done:
            yield from self._finish()

    def finish_after_error(self, error: QwenVLError) -> Iterator[Event]:
        """What an error within the answer leaves: the error, or the end of a reply that had said why it ended.

        The latter where the connection broke or fell silent afterwards.
        """
        hung_up = isinstance(error, (QwenVLConnectionError, QwenVLTimeoutError))
        if not (hung_up and self._decoder.finish_reason):
            raise self.add_context(error)
        if not self.done:
            yield from self._finish()

    def add_context(self, error: QwenVLError) -> QwenVLError:
        """The `error` with what is known of this reply: its request id and the text so far."""
        error.partial = error.partial or "".join(self._text)
        error.request_id = error.request_id or self._request_id or self._decoder.request_id or None
        return error

    def _read(self, payloads: Iterator[tuple[str, Any]]) -> Iterator[Event]:
        before = self._payloads
        try:
            for name, payload in payloads:
                if payload is DONE:
                    yield from self._finish()
                    return
                if name == "error" or errors.is_failure(payload):
                    self.started = self._payloads > 0
                    error_payload = errors.from_payload(
                        payload, status_code=self._sse.status, request_id=self._request_id or None
                    )
                    raise error_from_payload(error_payload)
                self._payloads += 1
                for event in self._decoder.decode_payload(payload):
                    if type(event) is TextDelta:
                        self._text.append(event.text)
                    elif type(event) is ToolCallDelta:
                        self._called = True
                    yield event
        except SSEDecodeError as error:
            raise QwenVLStreamInterruptedError(f"The stream broke off within an event: {error}") from error
        except _SHAPE_ERRORS as error:
            raise _not_understood(error) from error
        self._check_progress(self._chunk_timeout, "No chunk came for", made_progress=self._payloads > before)

    def _whole_payloads(self, body: bytes) -> Iterator[tuple[str, Any]]:
        with suppress(ValueError, RecursionError):  # and forgotten: such an error holds all of the body
            yield "", json.loads(body)
            return
        if body.lstrip(_SAYS_NOTHING).startswith((b"data:", b"id:", b"event:", b":")):
            yield from self._sse.decode(body)
            yield from self._sse.flush()
            return
        error_payload = errors.from_body(body.decode(errors="replace"), status_code=200)
        raise QwenVLAPIError(f"The reply is no JSON: {error_payload.message}", status_code=200)

    def _check_progress(self, limit: float | None, missed: str, *, made_progress: bool) -> None:
        """Comments and scraps keep a connection alive, but they are no chunk of an answer, and no whole one."""
        now = time.monotonic()
        if made_progress:
            self._paced_at = now
        elif limit is not None and now - self._paced_at > limit:
            raise QwenVLTimeoutError(f"{missed} {limit:g} seconds.")

    def _finish(self) -> Iterator[Event]:
        decoder = self._decoder
        self.done = True
        if self._partial_response:
            decoder.finish_reason = decoder.finish_reason or "length"
            decoder.extras["partial_response"] = True
        if not decoder.finish_reason:
            raise QwenVLStreamInterruptedError("The stream ended without a finish reason: the answer is not whole.")
        usage = self._usage()
        if usage:
            yield usage
        finish = Finish(
            decoder.finish_reason,
            decoder.model or self._plan.settings.model,
            decoder.reply_id,
            self._request_id or decoder.request_id,
            self._plan.adjustments,
            decoder.extras,
        )
        try:
            self._check_required_output()
        except QwenVLOutputError as error:
            error.finish = finish
            raise
        yield finish

    def _usage(self) -> Usage | None:
        try:
            return self._decoder.usage
        except _SHAPE_ERRORS as error:
            raise _not_understood(error) from error

    def _check_required_output(self) -> None:
        """What could not be demanded of the service is demanded of its reply."""
        if self._plan.needs_tool_call and not self._called:
            raise QwenVLOutputError(f"The model called no tool: {self._plan.needs_tool_call}.")
        if self._plan.needs_json and not self._called:
            _check_json("".join(self._text), self._plan.needs_json)


def _not_understood(error: Exception) -> QwenVLAPIError:
    return QwenVLAPIError(f"The reply has an unknown shape ({type(error).__name__}: {error}).")


def _check_json(text: str, why: str) -> None:
    """Raise if `text` is no JSON, as it is or within the first fence: a string in JSON may hold a fence too."""
    fenced = _FENCE.search(text)
    try:
        with suppress(ValueError):
            json.loads(text)
            return
        json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError) as error:
        raise QwenVLOutputError(f"The answer is no JSON ({error}): {why}.") from error

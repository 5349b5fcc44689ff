"""Decode server-sent events from bytes to JSON payloads.

Source: the WHATWG HTML standard, "Server-sent events", as sent by the vendor's two APIs, vLLM and transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jiter import from_json

_BLANK = (b"\n", b"\r\n", b"\r")
_STATUS = b"HTTP_STATUS/"

DONE = object()
"""The payload of the `[DONE]` that ends an OpenAI-style stream."""


class SSEDecodeError(ValueError):
    """The data of an event is not valid JSON."""


class SSEDecoder:
    """Decode a byte stream into pairs of an event name and a JSON payload, however the bytes were split.

    Lines end at CR, LF or CRLF only; U+2028, U+0085 and similar characters are text. A `data:` line that is complete
    JSON is delivered at once, without the blank line after it, which some servers omit. Other `data:` lines are joined
    up to the blank line, as the standard requires.

    Attributes:
        status: The HTTP status of an error, which the native API sends in a comment before the event's data.
    """

    def __init__(self) -> None:
        self._buffer: list[bytes] = []
        self._pending: list[bytes] = []
        self._name = ""
        self._has_started = False
        self.status: int | None = None

    def decode(self, data: bytes) -> Iterator[tuple[str, Any]]:
        """Yield the payloads that are complete with `data`.

        Raises:
            SSEDecodeError: The data of a complete event is not valid JSON.
        """
        for line in self._split_lines(data):
            field, _, value = line.partition(b":")
            if field == b"data":
                if self._pending:
                    self._pending.append(value)
                    continue
                try:
                    payload = from_json(value)
                except ValueError:
                    if value.strip() == b"[DONE]":
                        yield self._name, DONE
                    elif value.strip():
                        self._pending.append(value)
                else:
                    yield self._name, payload
            elif field in _BLANK:
                if self._pending:
                    yield self._decode_pending()
                self._name = ""
                self.status = None
            else:
                self._read_field(field, value)

    def _split_lines(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete with `data`; an unfinished line is buffered."""
        if self._buffer:
            self._buffer.append(data)
            if b"\n" not in data and b"\r" not in data:
                return []
            data = b"".join(self._buffer)
            self._buffer.clear()
        lines = data.splitlines(keepends=True)  # splits bytes at CR, LF and CRLF only
        if lines and not data.endswith(b"\n"):  # an unfinished line, or a CR whose LF may follow
            self._buffer.append(lines.pop())
        if not self._has_started and lines:
            self._has_started = True
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        return lines

    def flush(self) -> Iterator[tuple[str, Any]]:
        """Yield the payload that is unfinished at the end of the stream, if any.

        Raises:
            SSEDecodeError: The stream ended within an event.
        """
        yield from self.decode(b"\n")
        if self._pending:
            yield self._decode_pending()

    def _decode_pending(self) -> tuple[str, Any]:
        """Decode the data of a complete event that took several lines."""
        data = b"".join(self._pending)
        self._pending.clear()
        try:
            payload = from_json(data)
        except ValueError as error:
            raise SSEDecodeError(data[:200].decode(errors="replace")) from error
        return self._name, payload

    def _read_field(self, field: bytes, value: bytes) -> None:
        """Read the event's name, or the status in a comment; ignore all other fields and comments."""
        if field == b"event":
            self._name = value.decode(errors="replace").strip()
        elif not field and value.startswith(_STATUS):
            status = value[len(_STATUS) :].strip()
            is_error = status >= b"400" and len(status) == 3 and status.isdigit()
            self.status = int(status) if is_error else None

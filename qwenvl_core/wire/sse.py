"""Server-sent events, from bytes to JSON documents.

Source: the WHATWG HTML standard, "Server-sent events", as the vendor's two APIs, vLLM and transformers send it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jiter import from_json

_BLANK = (b"\n", b"\r\n", b"\r")
_STATUS = b"HTTP_STATUS/"

DONE = object()
"""Stands for the `[DONE]` that ends an OpenAI-style stream."""


class SSEDecodeError(ValueError):
    """An event whose data is no JSON."""


class SSEDecoder:
    """Cuts a byte stream into `(event name, document)` pairs, whatever its reads were cut into.

    Lines end at CR, LF or CRLF only: U+2028, U+0085 and their like are text. A `data:` line that is whole JSON is
    delivered at once, without waiting for the blank line after it (some servers leave that out); only where a line
    alone is not whole are the lines up to the blank one joined, as the standard says.

    Attributes:
        status: The HTTP status of a failure that the native API tells in a comment, for the event it belongs to.
    """

    def __init__(self) -> None:
        self._buffer: list[bytes] = []
        self._pending: list[bytes] = []
        self._name = ""
        self._started = False
        self.status: int | None = None

    def decode(self, block: bytes) -> Iterator[tuple[str, Any]]:
        """The documents that `block` completes.

        Raises:
            BrokenEventError: An event is over and its data is no JSON.
        """
        for line in self._lines(block):
            field, _, value = line.partition(b":")
            if field == b"data":
                if self._pending:
                    self._pending.append(value)
                    continue
                try:
                    document = from_json(value)
                except ValueError:
                    if value.strip() == b"[DONE]":
                        yield self._name, DONE
                    elif value.strip():
                        self._pending.append(value)
                else:
                    yield self._name, document
            elif field in _BLANK:
                if self._pending:
                    yield self._joined()
                self._name = ""
                self.status = None
            else:
                self._read_field(field, value)

    def _lines(self, block: bytes) -> list[bytes]:
        """The lines that `block` completes; the rest is kept, and joined only when its end has come."""
        if self._buffer:
            self._buffer.append(block)
            if b"\n" not in block and b"\r" not in block:
                return []
            block = b"".join(self._buffer)
            self._buffer.clear()
        lines = block.splitlines(keepends=True)  # of bytes, it knows CR, LF and CRLF, and no other line end
        if lines and not block.endswith(b"\n"):  # an unfinished line, or a CR whose LF may be still to come
            self._buffer.append(lines.pop())
        if not self._started and lines:
            self._started = True
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        return lines

    def flush(self) -> Iterator[tuple[str, Any]]:
        """The document that the end of the stream completes, if any.

        Raises:
            BrokenEventError: The stream was cut within an event.
        """
        yield from self.decode(b"\n")
        if self._pending:
            yield self._joined()

    def _joined(self) -> tuple[str, Any]:
        """The document of an event that took several lines, now that it is over."""
        data = b"".join(self._pending)
        self._pending.clear()
        try:
            document = from_json(data)
        except ValueError as error:
            raise SSEDecodeError(data[:200].decode(errors="replace")) from error
        return self._name, document

    def _read_field(self, field: bytes, value: bytes) -> None:
        """Of all other fields, and of comments, one each means something here."""
        if field == b"event":
            self._name = value.decode(errors="replace").strip()
        elif not field and value.startswith(_STATUS):
            told = value[len(_STATUS) :].strip()
            self.status = int(told) if told >= b"400" and len(told) == 3 and told.isdigit() else None

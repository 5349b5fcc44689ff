"""Write responses to a connection with delays and interruptions, and detect a client that has disconnected."""

from __future__ import annotations

import http.client
import select
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_POLL_SECONDS = 0.01
_DELIVERY_SECONDS = 0.02
"""Time for the client to read the data already sent, which a reset would discard."""


class ClientGoneError(Exception):
    """The client closed the connection, or the emulator is closing."""


@dataclass(frozen=True)
class Stream:
    """A response that is written event by event."""

    headers: Mapping[str, str]
    events: list[bytes]
    delay: float = 0.0
    gates: tuple[threading.Event, ...] = ()
    split_bytes: int = 0
    gzip: bool = False
    stall_before: int | None = None
    """Index of the event before which to send nothing for ``stall`` seconds."""
    stall: float = 0.0
    reset: bool = False
    """Whether to reset the connection after the last event."""
    unfinished: bool = False
    """Whether to close the connection after the last event, without the chunk that ends the body."""


@dataclass
class Connection:
    """The socket of a client, and whether it can serve another request."""

    socket: socket.socket
    closing: threading.Event
    """Set when the emulator closes."""
    alive: bool = True
    """Whether another request may follow."""
    reset_on_close: bool = False

    def send_whole(self, status: int, headers: Mapping[str, str], body: bytes, *, cut: bool = False) -> None:
        """Send a response of known length; with ``cut``, announce the whole body and send half of it."""
        head = dict(headers) | {"Content-Length": str(len(body))}
        self._send(self._head(status, head) + (body[: len(body) // 2] if cut else body))
        if cut:
            self.alive = False

    def send_stream(self, stream: Stream) -> None:
        """Send a chunked response, with one write per event."""
        coding = {"Content-Encoding": "gzip"} if stream.gzip else {}
        self._send(self._head(200, dict(stream.headers) | coding | {"Transfer-Encoding": "chunked"}))
        for index, data in enumerate(_encode_events(stream)):
            self._pause(stream, index)
            for part in _split_bytes(data, stream.split_bytes):
                self._send(b"%x\r\n%s\r\n" % (len(part), part))
        if stream.stall_before == len(stream.events):
            self.wait(stream.stall)
        if stream.reset:
            self.reset()
        elif stream.unfinished:
            self.alive = False
        else:
            self._send(b"0\r\n\r\n")

    def reset(self) -> None:
        """Close the connection with RST instead of FIN, so that the client gets an error."""
        time.sleep(_DELIVERY_SECONDS)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.alive, self.reset_on_close = False, True

    def wait(self, seconds: float) -> None:
        """Send nothing for a time.

        Raises:
            ClientGoneError: The client closed the connection meanwhile.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._check_client()
            self.closing.wait(min(left, _POLL_SECONDS))

    def _pause(self, stream: Stream, index: int) -> None:
        if index and stream.delay:
            self.wait(stream.delay)
        if stream.stall_before == index:
            self.wait(stream.stall)
        if index < len(stream.gates):
            while not stream.gates[index].wait(_POLL_SECONDS):
                self._check_client()
        self._check_client()

    def _check_client(self) -> None:
        """Raise if the client has disconnected; a readable socket without data means that it has."""
        if self.closing.is_set():
            raise ClientGoneError
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        if poll.poll(0) and not self._peek():
            raise ClientGoneError

    def _peek(self) -> bytes:
        try:
            return self.socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return b""

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        connection_header = {} if self.alive else {"Connection": "close"}
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in (dict(headers) | connection_header).items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise ClientGoneError from error


def _encode_events(stream: Stream) -> Iterator[bytes]:
    if not stream.gzip:
        yield from stream.events
        return
    compressor = zlib.compressobj(wbits=31)
    for number, event in enumerate(stream.events, 1):
        flush = zlib.Z_FINISH if number == len(stream.events) else zlib.Z_SYNC_FLUSH
        yield compressor.compress(event) + compressor.flush(flush)


def _split_bytes(data: bytes, size: int) -> Iterator[bytes]:
    if size <= 0:
        yield data
        return
    for start in range(0, len(data), size):
        yield data[start : start + size]

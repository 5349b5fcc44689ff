"""A server that answers with scripted raw bytes, for faults that an HTTP server library can't produce."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

Step = bytes | float | threading.Event


class RawServer:
    """Answers each request with scripted bytes, and pauses between them, on connections that stay open.

    A script is a sequence of bytes to send, seconds to wait, and events to wait for. After the last script, the first
    one is used again. A script that ends in `b""` closes the connection.
    """

    def __init__(self, scripts: Sequence[Sequence[Step]]) -> None:
        self.scripts = scripts
        self.bodies: list[bytes] = []
        self.connections = 0
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def close(self) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(0.02)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while (body := self._read_request(connection)) is not None:
                self.bodies.append(body)
                if not self._play(connection, self.scripts[(len(self.bodies) - 1) % len(self.scripts)]):
                    return

    def _read_request(self, connection: socket.socket) -> bytes | None:
        data = b""
        while not self._closing.is_set():
            head, found, body = data.partition(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                ),
                0,
            )
            if found and len(body) >= length:
                return body
            try:
                received = connection.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return None
            if not received:
                return None
            data += received
        return None

    def _play(self, connection: socket.socket, script: Sequence[Step]) -> bool:
        for step in script:
            if step == b"":
                return False
            try:
                if isinstance(step, bytes):
                    connection.sendall(step)
                elif isinstance(step, threading.Event):
                    while not step.wait(0.01) and not self._closing.is_set():
                        pass
                else:
                    self._closing.wait(step)
            except OSError:
                return False
            if self._closing.is_set():
                return False
        return True


@contextmanager
def raw_server(*scripts: Sequence[Step]) -> Iterator[RawServer]:
    server = RawServer(scripts)
    try:
        yield server
    finally:
        server.close()


def head(*lines: str, status: str = "200 OK", kind: str = "text/event-stream") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", *lines, "", ""]).encode()


def chunked(*chunks: bytes, end: bool = True) -> bytes:
    """Return chunks of a body in chunked coding."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + (b"0\r\n\r\n" if end else b"")

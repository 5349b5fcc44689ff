"""Serve HTTP/1.1 on the loopback, with one thread per connection, keep-alive and a complete shutdown."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.emulator.chat_request import RecordedRequest
from tests.emulator.socket_writer import ClientGoneError, Connection


class HttpServer(socketserver.ThreadingTCPServer):
    """Server that reads requests and passes them to ``handle``, which writes the response to the connection."""

    allow_reuse_address = True
    request_queue_size = 256
    daemon_threads = False

    def __init__(self, port: int, handle: Callable[[RecordedRequest, Connection], None]) -> None:
        self.handle = handle
        self.failures: list[BaseException] = []
        """Exceptions of ``handle``, except those about a client that has disconnected."""
        self.accepted = 0
        """Number of TCP connections accepted so far."""
        self.open_connections: dict[Any, Connection] = {}
        """Open connections by their sockets."""
        self._closing = threading.Event()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="emulator")
        self._thread.start()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self.open_connections[request] = Connection(request, self._closing)
            self.accepted += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            connection = self.open_connections.pop(request)
        if connection.reset_on_close:
            request.close()  # a shutdown would send FIN before RST
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ClientGoneError | ConnectionError):
            self.failures.append(error)

    def stop(self) -> None:
        """Close every connection and join every thread."""
        self._closing.set()
        self.shutdown()
        with self._lock:
            for request in self.open_connections:
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:  # the client has already closed it
                    continue
        self.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HttpServer

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def _serve(self) -> None:
        connection = self.server.open_connections[self.request]
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = RecordedRequest(self.command, self.path, headers, self._body(headers))
        connection.alive = headers.get("connection", "").lower() != "close"
        self.close_connection = True
        self.server.handle(request, connection)
        self.close_connection = not connection.alive

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, format: str, *args: object) -> None:
        """Discard the access log."""

"""What the tests of the core share: tiny media, requests in one line, replies from bytes, a server of raw bytes."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from qwenvl_core.catalog.models import describe
from qwenvl_core.client.client import Client
from qwenvl_core.errors import QwenVLError
from qwenvl_core.request import policy
from qwenvl_core.transport.connection import Connection
from qwenvl_core.types.events import Event
from qwenvl_core.types.messages import Message, Part, Text
from qwenvl_core.types.reply import Reply, fold
from qwenvl_core.types.request import Plan, Request
from qwenvl_core.types.settings import Settings
from qwenvl_core.wire import openai as wire
from qwenvl_core.wire.json_body import SyncBody, encode_body
from qwenvl_core.wire.response_reader import Reading

KEY = "sk-test-0a1b2c3d"
Way = Literal["sync", "async"]
WAYS: tuple[Way, ...] = ("sync", "async")


# --- media ------------------------------------------------------------------------------------------------------------


def png(width: int = 32, height: int = 32, *, padding: int = 0) -> bytes:
    """A grey picture; `padding` bytes behind it make its file larger."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    picture = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + picture + bytes(padding)


PNG = png()
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(50)
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(100)


# --- requests ---------------------------------------------------------------------------------------------------------


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def request(*messages: Message | str, stream: bool = False, **settings: Any) -> Request:
    said = tuple(user(message) if isinstance(message, str) else message for message in messages)
    return Request(messages=said or (user("Hi"),), settings=Settings(**settings), stream=stream)


def plan(asked: Request) -> Plan:
    return policy.apply(asked, describe(asked.settings.model))


def body_of(asked: Request) -> dict[str, Any]:
    """The JSON body that goes on the wire, as a server parses it."""
    body = encode_body(wire.encode(plan(asked)), SyncBody)
    return json.loads(body if isinstance(body, bytes) else b"".join(body.blocks()))


# --- replies ----------------------------------------------------------------------------------------------------------


def read(
    blocks: bytes | Iterable[bytes],
    *,
    asked: Request | None = None,
    headers: Mapping[str, str] | None = None,
) -> list[Event]:
    """The events of a reply, as the client's loop reads it; an error has the partial text and the request id."""
    reading = Reading(wire.Decoder(), plan(asked or request(stream=True)))
    events: list[Event] = []
    try:
        reading.begin(headers or {"content-type": "text/event-stream"})
        for block in [blocks] if isinstance(blocks, bytes) else blocks:
            events += reading.feed(block)
            if reading.done:
                break
        events += reading.close()
    except QwenVLError as error:
        reading.described(error)
        error.events = events  # type: ignore[attr-defined]
        raise
    return events


def sse(*documents: Any, done: bool = True) -> bytes:
    """A stream of JSON documents; a string stands in it as it is."""
    said = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in documents]
    return "".join(f"data: {item}\n\n" for item in (*said, *(["[DONE]"] if done else []))).encode()


def chunk(finish: str | None = None, *, usage: Any = None, choice: Any = None, **delta: Any) -> dict[str, Any]:
    """One chunk of the compatible API."""
    told = {"delta": delta, "index": 0, "finish_reason": finish, **(choice or {})}
    return {"id": "chatcmpl-1", "model": "qwen3-vl-plus", "choices": [told], "usage": usage}


# --- clients ----------------------------------------------------------------------------------------------------------


def client(base_url: str, **connection: Any) -> Client:
    given = {"api": "openai", "api_key": KEY, "timeout": 5.0, "stream_chunk_timeout": 5.0, "max_retries": 0}
    return Client(Connection(base_url=base_url, **(given | connection)))


def events_of(asking: Client, asked: Request, way: Way) -> list[Event]:
    """All events of a reply, by the sync or the async way; the client is closed afterwards."""
    if way == "sync":
        try:
            return list(asking.events(asked))
        finally:
            asking.close()

    async def collect() -> list[Event]:
        return [event async for event in asking.aevents(asked)]

    return asyncio.run(collect())


def reply_of(asking: Client, asked: Request, way: Way) -> Reply:
    return fold(events_of(asking, asked, way))


def until(condition: Callable[[], object], seconds: float = 3.0) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.002)


# --- a server of raw bytes --------------------------------------------------------------------------------------------

Step = bytes | float | threading.Event


class RawServer:
    """Answers each request with scripted bytes, and pauses between them, on connections that stay open.

    A script is a sequence of bytes to send, seconds to wait, and events to wait for; after the last script the first
    one's turn comes again. The connection is closed where a script ends in `b""`.
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
            while (body := self._request(connection)) is not None:
                self.bodies.append(body)
                if not self._play(connection, self.scripts[(len(self.bodies) - 1) % len(self.scripts)]):
                    return

    def _request(self, connection: socket.socket) -> bytes | None:
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


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    """Pieces of a body in chunked coding."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if end else b"")

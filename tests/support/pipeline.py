"""What the tests of the core share: tiny media, requests in one line, replies from bytes, a server of raw bytes."""

from __future__ import annotations

import asyncio
import json
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from qwenvl_core.catalog.models import describe
from qwenvl_core.client.client import Client
from qwenvl_core.errors import QwenVLError
from qwenvl_core.request import policy
from qwenvl_core.transport.connection import Connection
from qwenvl_core.types.events import Event
from qwenvl_core.types.messages import Message, Part, TextPart
from qwenvl_core.types.reply import Reply, accumulate
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.types.settings import ModelSettings
from qwenvl_core.wire import openai as wire
from qwenvl_core.wire.json_body import SyncBody, encode_body
from qwenvl_core.wire.response_reader import ResponseReader

KEY = "sk-test-0a1b2c3d"
CallMode = Literal["sync", "async"]
CALL_MODES: tuple[CallMode, ...] = ("sync", "async")


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
    return Message("user", tuple(TextPart(part) if isinstance(part, str) else part for part in parts))


def request(*messages: Message | str, stream: bool = False, **settings: Any) -> Request:
    said = tuple(user(message) if isinstance(message, str) else message for message in messages)
    return Request(messages=said or (user("Hi"),), settings=ModelSettings(**settings), stream=stream)


def prepare(asked: Request) -> PreparedRequest:
    return policy.prepare(asked, describe(asked.settings.model))


def body_of(asked: Request) -> dict[str, Any]:
    """The JSON body that goes on the wire, as a server parses it."""
    body = encode_body(wire.encode(prepare(asked)), SyncBody)
    return json.loads(body if isinstance(body, bytes) else b"".join(body.blocks()))


# --- replies ----------------------------------------------------------------------------------------------------------


def read(
    blocks: bytes | Iterable[bytes],
    *,
    chat_request: Request | None = None,
    headers: Mapping[str, str] | None = None,
) -> list[Event]:
    """The events of a reply, as the client's loop reads it; an error has the partial text and the request id."""
    reading = ResponseReader(wire.Decoder(), prepare(chat_request or request(stream=True)))
    events: list[Event] = []
    try:
        reading.start(headers or {"content-type": "text/event-stream"})
        for block in [blocks] if isinstance(blocks, bytes) else blocks:
            events += reading.decode(block)
            if reading.done:
                break
        events += reading.flush()
    except QwenVLError as error:
        reading.add_context(error)
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


def events_of(asking: Client, asked: Request, call_mode: CallMode) -> list[Event]:
    """All events of a reply, by the sync or the async way; the client is closed afterwards."""
    if call_mode == "sync":
        try:
            return list(asking.stream(asked))
        finally:
            asking.close()

    async def collect() -> list[Event]:
        return [event async for event in asking.astream(asked)]

    return asyncio.run(collect())


def reply_of(asking: Client, asked: Request, call_mode: CallMode) -> Reply:
    return accumulate(events_of(asking, asked, call_mode))


def until(condition: Callable[[], object], seconds: float = 3.0) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.002)


# --- a server of raw bytes --------------------------------------------------------------------------------------------

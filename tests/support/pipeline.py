"""Helpers for the tests of the core: tiny media, requests in one line, replies from bytes, clients."""

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
    """Return a grey PNG; `padding` bytes after its end make the file larger."""

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
    converted = tuple(user(message) if isinstance(message, str) else message for message in messages)
    return Request(messages=converted or (user("Hi"),), settings=ModelSettings(**settings), stream=stream)


def prepare(chat_request: Request) -> PreparedRequest:
    return policy.prepare(chat_request, describe(chat_request.settings.model))


def body_of(chat_request: Request) -> dict[str, Any]:
    """Return the JSON body that is sent, as a server parses it."""
    body = encode_body(wire.encode(prepare(chat_request)), SyncBody)
    parsed: dict[str, Any] = json.loads(body if isinstance(body, bytes) else b"".join(body.blocks()))
    return parsed


# --- replies ----------------------------------------------------------------------------------------------------------


def read(
    blocks: bytes | Iterable[bytes],
    *,
    chat_request: Request | None = None,
    headers: Mapping[str, str] | None = None,
) -> list[Event]:
    """Return the events of a reply, read as the client does; an error carries the partial text and the request id."""
    prepared = prepare(chat_request or request(stream=True))
    return read_reply(wire.Decoder(), prepared, [blocks] if isinstance(blocks, bytes) else blocks, headers)


def read_reply(
    decoder: Any, prepared: PreparedRequest, blocks: Iterable[bytes], headers: Mapping[str, str] | None = None
) -> list[Event]:
    """Return the events of one reply as they are decoded, with its usage and finish."""
    reader = ResponseReader(decoder, prepared)
    events: list[Event] = []
    try:
        reader.start({"content-type": "text/event-stream"} if headers is None else headers)
        for block in blocks:
            events += reader.decode(block)
            if reader.done:
                break
        events += reader.flush()
    except QwenVLError as error:
        reader.add_context(error)
        error.events = events  # type: ignore[attr-defined]
        raise
    reply = reader.reply
    return [*events, *reader.last_events, *([reply.usage] if reply.usage else []), reply.finish]


def sse(*payloads: Any, done: bool = True) -> bytes:
    """Return a stream of JSON payloads; a string is used as it is."""
    texts = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in payloads]
    return "".join(f"data: {item}\n\n" for item in (*texts, *(["[DONE]"] if done else []))).encode()


def chunk(finish: str | None = None, *, usage: Any = None, choice: Any = None, **delta: Any) -> dict[str, Any]:
    """Return one chunk of the OpenAI-compatible API."""
    only_choice = {"delta": delta, "index": 0, "finish_reason": finish, **(choice or {})}
    return {"id": "chatcmpl-1", "model": "qwen3-vl-plus", "choices": [only_choice], "usage": usage}


# --- clients ----------------------------------------------------------------------------------------------------------


def client(base_url: str, **connection: Any) -> Client:
    options: dict[str, Any] = {"api": "openai", "api_key": KEY, "timeout": 5.0, "stream_chunk_timeout": 5.0}
    return Client(Connection(base_url=base_url, **(options | {"max_retries": 0} | connection)))


def events_of(core_client: Client, chat_request: Request, call_mode: CallMode) -> list[Event]:
    """Return all events of a reply, fetched in either mode; the client is closed afterwards."""
    if call_mode == "sync":
        try:
            return list(core_client.stream(chat_request))
        finally:
            core_client.close()

    async def collect() -> list[Event]:
        return [event async for event in core_client.astream(chat_request)]

    return asyncio.run(collect())


def reply_of(core_client: Client, chat_request: Request, call_mode: CallMode) -> Reply:
    return accumulate(events_of(core_client, chat_request, call_mode))


def until(condition: Callable[[], object], seconds: float = 3.0) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.002)

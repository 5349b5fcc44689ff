"""The load: a loopback HTTP server that streams replies rendered beforehand, in a process of its own.

It is told what to send through its standard input and answers with what it saw; see `child.py`. Each event is an HTTP
chunk of its own, as the service sends them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=UTF-8\r\n"
    b"x-request-id: 0d95e615-76a9-9b3f-8c5e-0c4f5d8a2b11\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_WORDS = ("The", " receipt", " in", " the", " image", " shows", " a", " total", " of", " 42", ".", "\n")
_CUT = '{"boxes": ["'  # a tool's arguments, before and after the pieces
_TAIL = '"]}'


@dataclass(frozen=True)
class Script:
    """What to send: `chunks` deltas of `kind` ("text": half of them reasoning, or "tools"), `gap` seconds apart."""

    chunks: int = 200
    kind: str = "text"
    gap: float = 0.0


@dataclass
class Seen:
    """One request. Times are `perf_counter_ns`, which processes share on Linux."""

    body: int = 0
    sent: list[int] = field(default_factory=list)


@cache
def rendered(api: str, script: Script) -> list[bytes]:
    """The HTTP chunks of a reply; the deltas come first, and what ends the reply is one more."""
    event = {"openai": _compatible, "dashscope": _native}[api]
    deltas = [event(position, *_delta(position, script)) for position in range(script.chunks)]
    reason = "tool_calls" if script.kind == "tools" else "stop"
    return [*map(_chunk, deltas), b"".join(map(_chunk, _ends(api, reason, script.chunks))) + b"0\r\n\r\n"]


def _delta(position: int, script: Script) -> tuple[str, Any]:
    word = _WORDS[position % len(_WORDS)]
    if script.kind == "tools":
        first, last = position == 0, position == script.chunks - 1
        piece = _CUT if first else _TAIL if last else f"box {position}, "
        call = {"name": "crop", "arguments": piece} if first else {"arguments": piece}
        return "tool_calls", [{"index": 0, "id": "call_0f3d" if first else "", "type": "function", "function": call}]
    return ("reasoning_content" if position < script.chunks // 2 else "content"), word


def _compatible(position: int, name: str, value: Any, reason: str | None = None) -> str:
    delta = {"content": None, "reasoning_content": None, name: value}
    if position == 0:
        delta["role"] = "assistant"
    choice = {"delta": delta, "finish_reason": reason, "index": 0, "logprobs": None}
    return f"data: {_json(choices=[choice], usage=None, **_COMPATIBLE)}\n\n"


_COMPATIBLE = {
    "object": "chat.completion.chunk",
    "created": 1763640000,
    "system_fingerprint": None,
    "model": "qwen3-vl-plus",
    "id": "chatcmpl-0d95e615-76a9-9b3f-8c5e-0c4f5d8a2b11",
}


def _native(position: int, name: str, value: Any, reason: str = "null") -> str:
    told = {name: [{"text": value}] if name == "content" and value else value}
    message = {"content": [], **told, "role": "assistant"}
    output = {"choices": [{"message": message, "finish_reason": reason}]}
    document = _json(output=output, usage=_usage("input", "output", position + 1), request_id="0d95e615-76a9-9b3f")
    return f"id:{position + 1}\nevent:result\n:HTTP_STATUS/200\ndata:{document}\n\n"


def _ends(api: str, reason: str, chunks: int) -> list[str]:
    if api == "dashscope":
        return [_native(chunks, "content", [], reason)]
    usage = _json(choices=[], usage=_usage("prompt", "completion", chunks), **_COMPATIBLE)
    return [_compatible(chunks, "content", "", reason), f"data: {usage}\n\n", "data: [DONE]\n\n"]


def _usage(asked: str, answered: str, count: int) -> dict[str, Any]:
    return {f"{asked}_tokens": 24, f"{answered}_tokens": count, "total_tokens": 24 + count}


def _json(**document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _chunk(event: str) -> bytes:
    data = event.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


class Connection(asyncio.Protocol):
    """A kept-alive connection. Bodies are counted and thrown away; they tell their length, or are refused."""

    script = Script()
    seen: list[Seen] = []  # noqa: RUF012  # of all connections, until it is asked for

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._head = b""
        self._left = 0  # bytes of a body that are still to come

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._begin(head)
        self._left -= len(data)
        if not self._left:
            self._head = b""
            self._answer()

    def _begin(self, head: bytes) -> None:
        lines = head.decode("latin-1").lower().split("\r\n")
        lengths = [line.partition(":")[2] for line in lines if line.startswith("content-length:")]
        if not lengths:
            self._transport.write(b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()
        self._api = "openai" if "/chat/completions" in lines[0] else "dashscope"
        self._left = int(lengths[0]) if lengths else -1
        self._request = Seen(body=self._left)
        self.seen.append(self._request)

    def _answer(self) -> None:
        chunks = rendered(self._api, self.script)
        if self.script.gap:
            self._send(_HEAD, chunks, 0)
        else:
            self._transport.write(_joined(self._api, self.script))

    def _send(self, head: bytes, chunks: list[bytes], position: int) -> None:
        """Send one chunk now and the next ones later."""
        self._request.sent.append(time.perf_counter_ns())
        self._transport.write(head + chunks[position])
        if position + 1 < len(chunks):
            asyncio.get_running_loop().call_later(self.script.gap, self._send, b"", chunks, position + 1)


@cache
def _joined(api: str, script: Script) -> bytes:
    return _HEAD + b"".join(rendered(api, script))


def _told(line: bytes) -> dict[str, Any]:
    """Take the next script, and say what was seen since the last one."""
    seen, Connection.seen = Connection.seen, []
    Connection.script = Script(**json.loads(line))
    return {"seen": [asdict(request) for request in seen]}


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        print(json.dumps(_told(line)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

"""A service that fails at random: a loopback HTTP server of both APIs, in a process of its own.

It prints its port, then answers each line of its standard input with what it has played and how many connections are
open. The same seed gives the same faults, in the order in which the requests come.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, Literal

REASONING = ["Hm", ", ", "好的", " …"]
WORDS = ["Ein ", "Löwe ", "😀 ", "sah ", "in ", "den ", "Spiegel", "."]
Step = bytes | float | Literal["close", "reset"]  # to send, seconds to say nothing, or an end of the connection


def _head(status: str, kind: str, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", "x-request-id: r-1", *lines, "", ""]).encode()


def _whole(status: str, body: str, *lines: str, kind: str = "application/json") -> list[Step]:
    data = body.encode()
    return [_head(status, kind, f"Content-Length: {len(data)}", *lines) + data]


_STREAM = _head("200 OK", "text/event-stream;charset=UTF-8", "Transfer-Encoding: chunked")


def _json(**document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _event(api: str, name: str = "content", said: str = "", reason: str | None = None) -> bytes:
    """One event of a stream, as a chunk of HTTP's chunked coding."""
    if api == "openai":
        choice = {"delta": {name: said}, "finish_reason": reason, "index": 0}
        text = f"data: {_json(choices=[choice], id='chatcmpl-1', model='qwen3-vl-plus')}\n\n"
    else:
        message = {"role": "assistant", "content": [], name: [{"text": said}] if name == "content" and said else said}
        output = {"choices": [{"message": message, "finish_reason": reason or "null"}]}
        text = f"id:1\nevent:result\n:HTTP_STATUS/200\ndata:{_json(output=output, request_id='r-1')}\n\n"
    return _chunk(text.encode())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _error(api: str, status: int, code: str) -> str:
    if api == "openai":
        return _json(error={"message": "It failed.", "type": code, "code": code}, request_id="r-1")
    return _json(code=code, message="It failed.", request_id="r-1")


def _told_in_stream(api: str, status: int, code: str) -> bytes:
    data = _error(api, status, code)
    if api == "openai":
        return _chunk(f"data: {data}\n\n".encode())
    return _chunk(f"id:9\nevent:error\n:HTTP_STATUS/{status}\ndata:{data}\n\n".encode())


def _answer(api: str) -> list[bytes]:
    said = [*(("reasoning_content", word) for word in REASONING), *(("content", word) for word in WORDS)]
    done = _chunk(b"data: [DONE]\n\n") if api == "openai" else b""
    return [*(_event(api, *each) for each in said), _event(api, reason="stop") + done + b"0\r\n\r\n"]


def _paced(events: list[bytes], dice: random.Random) -> list[Step]:
    """The events with pauses between them, or all at once."""
    if dice.random() < 0.5:
        return [_STREAM + b"".join(events)]
    return [_STREAM, *(step for event in events for step in (event, dice.uniform(0, 0.03)))]


def _begun(api: str, dice: random.Random) -> list[Step]:
    events = _answer(api)
    return _paced(events[: dice.randrange(len(events))], dice)


def _within_a_character(api: str) -> list[Step]:
    event = _event(api, "content", "😀")
    return [_STREAM, event[: event.index("😀".encode()) + 2], 0.02, "reset"]


Play = Callable[[str, random.Random, float], list[Step]]
"""Takes the API, the dice, and how long the client waits, in seconds."""

PLAYS: dict[str, tuple[int, Play]] = {
    # How often, and what is done.
    "answer": (40, lambda api, dice, patience: _paced(_answer(api), dice)),
    "closed": (5, lambda api, dice, patience: [*_begun(api, dice), "close"]),
    "reset": (5, lambda api, dice, patience: [*_begun(api, dice), 0.02, "reset"]),
    "reset before the headers": (4, lambda api, dice, patience: ["reset"]),
    "reset within a character": (3, lambda api, dice, patience: _within_a_character(api)),
    "ended without a reason": (3, lambda api, dice, patience: [*_begun(api, dice), b"0\r\n\r\n"]),
    "stall before the headers": (2, lambda api, dice, patience: [3 * patience, "close"]),
    "stall within the stream": (3, lambda api, dice, patience: [*_begun(api, dice), 3 * patience, "close"]),
    "comments and no chunk": (
        2, lambda api, dice, patience: [*_begun(api, dice), *[_chunk(b": ping\n\n"), patience / 5] * 15, "close"]),
    "broken event": (
        3, lambda api, dice, patience: [*_begun(api, dice), _chunk(b'data: {"choices": [{"de\n\n') + b"0\r\n\r\n"]),
    "throttled in the stream": (
        3, lambda api, dice, patience: [*_begun(api, dice), _told_in_stream(api, 429, "Throttling"), b"0\r\n\r\n"]),
    "failed in the stream": (
        3, lambda api, dice, patience: [*_begun(api, dice), _told_in_stream(api, 500, "InternalError"), b"0\r\n\r\n"]),
    "400": (3, lambda api, dice, patience: _whole("400 Bad", _error(api, 400, "InvalidParameter"))),
    "401": (2, lambda api, dice, patience: _whole("401 No", _error(api, 401, "InvalidApiKey"))),
    "429": (5, lambda api, dice, patience: _whole("429 Slow", _error(api, 429, "Throttling"), "Retry-After: 0.01")),
    "quota": (2, lambda api, dice, patience: _whole("429 Slow", _error(api, 429, "PrepaidBillOverdue"))),
    "500": (4, lambda api, dice, patience: _whole("500 Oh", _error(api, 500, "InternalError"))),
    "503, a page": (3, lambda api, dice, patience: _whole("503 Oh", "<html>" + "x" * 50_000, kind="text/html")),
    "200, a page": (2, lambda api, dice, patience: _whole("200 OK", "<html>Hi</html>", kind="text/html")),
    "redirect": (2, lambda api, dice, patience: _whole("307 There", "", "Location: http://127.0.0.1:9/v1")),
    "no HTTP": (1, lambda api, dice, patience: [b"SSH-2.0-OpenSSH_9.6\r\n", "close"]),
}  # fmt: skip


class Connection(asyncio.Protocol):
    """A kept-alive connection; each request on it gets one play."""

    dice: random.Random
    patience: float
    played: ClassVar[Counter[str]] = Counter()
    open = 0  # connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Connection.open += 1
        self._transport: Any = transport
        self._data = b""
        self._playing: asyncio.Task[None] | None = None

    def connection_lost(self, error: Exception | None) -> None:
        Connection.open -= 1
        if self._playing:
            self._playing.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if end and len(body) >= length:
            self._data = b""
            name = self.dice.choices(list(PLAYS), [weight for weight, _ in PLAYS.values()])[0]
            self.played[name] += 1
            api = "openai" if b"/chat/completions" in head.split(b"\r\n")[0] else "dashscope"
            steps = PLAYS[name][1](api, self.dice, self.patience)
            self._playing = asyncio.get_running_loop().create_task(self._play(steps))

    async def _play(self, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, bytes):
                self._transport.write(step)
            elif step == "close":
                self._transport.close()
            else:
                self._transport.abort()


async def _serve(seed: int, patience: float) -> None:
    Connection.dice, Connection.patience = random.Random(seed), patience
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        print(json.dumps({"open": Connection.open, "played": Connection.played}), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))

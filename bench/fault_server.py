"""A service that fails at random: a loopback HTTP server of both APIs, in a process of its own.

It prints its port. Then it responds to each line of its standard input with the number of open connections and the
number of uses of each scenario. The same seed gives the same scenarios, in the order in which the requests come.
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
ANSWER = ["Ein ", "Löwe ", "😀 ", "sah ", "in ", "den ", "Spiegel", "."]
Step = bytes | float | Literal["close", "reset"]
"""Bytes to send, seconds to wait, or how to end the connection."""


def _encode_head(status: str, content_type: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", "x-request-id: r-1", *headers, "", ""]
    return "\r\n".join(lines).encode()


def _encode_response(status: str, body: str, *headers: str, content_type: str = "application/json") -> list[Step]:
    data = body.encode()
    return [_encode_head(status, content_type, f"Content-Length: {len(data)}", *headers) + data]


_STREAM_HEAD = _encode_head("200 OK", "text/event-stream;charset=UTF-8", "Transfer-Encoding: chunked")
_STREAM_END = b"0\r\n\r\n"


def _dump_json(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _encode_event(api: str, name: str = "content", text: str = "", finish_reason: str | None = None) -> bytes:
    """Encode a delta as an event of a stream, and the event as an HTTP chunk."""
    if api == "openai":
        choice = {"delta": {name: text}, "finish_reason": finish_reason, "index": 0}
        event = f"data: {_dump_json(choices=[choice], id='chatcmpl-1', model='qwen3-vl-plus')}\n\n"
    else:
        value = [{"text": text}] if name == "content" and text else text
        message = {"role": "assistant", "content": [], name: value}
        output = {"choices": [{"message": message, "finish_reason": finish_reason or "null"}]}
        event = f"id:1\nevent:result\n:HTTP_STATUS/200\ndata:{_dump_json(output=output, request_id='r-1')}\n\n"
    return _encode_chunk(event.encode())


def _encode_chunk(data: bytes) -> bytes:
    """Encode data as a chunk of HTTP's chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _dump_error(api: str, status: int, code: str) -> str:
    if api == "openai":
        return _dump_json(error={"message": "It failed.", "type": code, "code": code}, request_id="r-1")
    return _dump_json(code=code, message="It failed.", request_id="r-1")


def _encode_error_event(api: str, status: int, code: str) -> bytes:
    payload = _dump_error(api, status, code)
    if api == "openai":
        return _encode_chunk(f"data: {payload}\n\n".encode())
    return _encode_chunk(f"id:9\nevent:error\n:HTTP_STATUS/{status}\ndata:{payload}\n\n".encode())


def _encode_answer(api: str) -> list[bytes]:
    """Encode the events of a complete answer."""
    deltas = [*(("reasoning_content", text) for text in REASONING), *(("content", text) for text in ANSWER)]
    done = _encode_chunk(b"data: [DONE]\n\n") if api == "openai" else b""
    last = _encode_event(api, finish_reason="stop") + done + _STREAM_END
    return [*(_encode_event(api, name, text) for name, text in deltas), last]


def _pace(events: list[bytes], rng: random.Random) -> list[Step]:
    """Send the events with pauses between them, or all at once."""
    if rng.random() < 0.5:
        return [_STREAM_HEAD + b"".join(events)]
    return [_STREAM_HEAD, *(step for event in events for step in (event, rng.uniform(0, 0.03)))]


def _start_answer(api: str, rng: random.Random) -> list[Step]:
    """Send a random number of an answer's first events, not all of them."""
    events = _encode_answer(api)
    return _pace(events[: rng.randrange(len(events))], rng)


def _reset_within_character(api: str) -> list[Step]:
    event = _encode_event(api, "content", "😀")
    return [_STREAM_HEAD, event[: event.index("😀".encode()) + 2], 0.02, "reset"]


def _send_comments(api: str, rng: random.Random, timeout: float) -> list[Step]:
    """Start an answer, then send SSE comments instead of events for three timeouts."""
    comments: list[Step] = [_encode_chunk(b": ping\n\n"), timeout / 5]
    return [*_start_answer(api, rng), *comments * 15, "close"]


BuildSteps = Callable[[str, random.Random, float], list[Step]]
"""Takes the API, the random numbers, and the timeout of the client in seconds."""

SCENARIOS: dict[str, tuple[int, BuildSteps]] = {
    # The weight of the scenario, and its steps.
    "answer": (40, lambda api, rng, timeout: _pace(_encode_answer(api), rng)),
    "close": (5, lambda api, rng, timeout: [*_start_answer(api, rng), "close"]),
    "reset": (5, lambda api, rng, timeout: [*_start_answer(api, rng), 0.02, "reset"]),
    "reset before the headers": (4, lambda api, rng, timeout: ["reset"]),
    "reset within a character": (3, lambda api, rng, timeout: _reset_within_character(api)),
    "end without a finish reason": (3, lambda api, rng, timeout: [*_start_answer(api, rng), _STREAM_END]),
    "stall before the headers": (2, lambda api, rng, timeout: [3 * timeout, "close"]),
    "stall within the stream": (3, lambda api, rng, timeout: [*_start_answer(api, rng), 3 * timeout, "close"]),
    "comments without events": (2, _send_comments),
    "broken event": (
        3, lambda api, rng, timeout: [
            *_start_answer(api, rng), _encode_chunk(b'data: {"choices": [{"de\n\n') + _STREAM_END]),
    "throttling within the stream": (
        3, lambda api, rng, timeout: [
            *_start_answer(api, rng), _encode_error_event(api, 429, "Throttling"), _STREAM_END]),
    "server error within the stream": (
        3, lambda api, rng, timeout: [
            *_start_answer(api, rng), _encode_error_event(api, 500, "InternalError"), _STREAM_END]),
    "400": (3, lambda api, rng, timeout: _encode_response("400 Bad", _dump_error(api, 400, "InvalidParameter"))),
    "401": (2, lambda api, rng, timeout: _encode_response("401 No", _dump_error(api, 401, "InvalidApiKey"))),
    "429": (
        5, lambda api, rng, timeout: _encode_response(
            "429 Slow", _dump_error(api, 429, "Throttling"), "Retry-After: 0.01")),
    "429, quota": (
        2, lambda api, rng, timeout: _encode_response("429 Slow", _dump_error(api, 429, "PrepaidBillOverdue"))),
    "500": (4, lambda api, rng, timeout: _encode_response("500 Oh", _dump_error(api, 500, "InternalError"))),
    "503, HTML": (
        3, lambda api, rng, timeout: _encode_response(
            "503 Oh", "<html>" + "x" * 50_000, content_type="text/html")),
    "200, HTML": (
        2, lambda api, rng, timeout: _encode_response("200 OK", "<html>Hi</html>", content_type="text/html")),
    "redirect": (2, lambda api, rng, timeout: _encode_response("307 There", "", "Location: http://127.0.0.1:9/v1")),
    "not HTTP": (1, lambda api, rng, timeout: [b"SSH-2.0-OpenSSH_9.6\r\n", "close"]),
}  # fmt: skip


class Connection(asyncio.Protocol):
    """A kept-alive connection; each request on it gets a random scenario."""

    rng: ClassVar[random.Random]
    timeout: ClassVar[float]
    scenario_counts: ClassVar[Counter[str]] = Counter()
    open_count: ClassVar[int] = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepare for the first request."""
        Connection.open_count += 1
        self._transport: Any = transport
        self._data = b""
        self._response: asyncio.Task[None] | None = None

    def connection_lost(self, error: Exception | None) -> None:
        """Stop the response."""
        Connection.open_count -= 1
        if self._response:
            self._response.cancel()

    def data_received(self, data: bytes) -> None:
        """Read a request, and respond at its end."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if end and len(body) >= length:
            self._data = b""
            name = self.rng.choices(list(SCENARIOS), [weight for weight, _ in SCENARIOS.values()])[0]
            self.scenario_counts[name] += 1
            api = "openai" if b"/chat/completions" in head.split(b"\r\n")[0] else "dashscope"
            steps = SCENARIOS[name][1](api, self.rng, self.timeout)
            self._response = asyncio.get_running_loop().create_task(self._respond(steps))

    async def _respond(self, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, bytes):
                self._transport.write(step)
            elif step == "close":
                self._transport.close()
            else:
                self._transport.abort()


async def main(seed: int, timeout: float) -> None:
    """Print the port, then serve until standard input is closed."""
    Connection.rng, Connection.timeout = random.Random(seed), timeout
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        stats = {"open_connections": Connection.open_count, "scenarios": Connection.scenario_counts}
        print(json.dumps(stats), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))

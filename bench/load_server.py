"""A loopback HTTP server that streams replies rendered beforehand, in a process of its own.

Each line on its standard input is the script of the next replies. It responds with a log of the requests since the
last line; see `worker_process.py`. Each event is an HTTP chunk of its own, as the service sends them. Uploads to the
temporary storage are received, and their bytes counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, ClassVar

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=UTF-8\r\n"
    b"x-request-id: 0d95e615-76a9-9b3f-8c5e-0c4f5d8a2b11\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_WORDS = ("The", " receipt", " in", " the", " image", " shows", " a", " total", " of", " 42", ".", "\n")
_ARGUMENTS_START = '{"boxes": ["'
_ARGUMENTS_END = '"]}'


@dataclass(frozen=True)
class Script:
    """What to send.

    Attributes:
        chunks: Number of deltas.
        kind: "text" (the first half is reasoning, the second half is the answer) or "tools" (one tool call).
        gap: Pause between two chunks, in seconds.
    """

    chunks: int = 200
    kind: str = "text"
    gap: float = 0.0


@dataclass
class RequestLog:
    """What the server records of one request.

    Attributes:
        body_size: Size of the body in bytes.
        sent: When each chunk was sent, by `perf_counter_ns`, which processes share on Linux. Empty without a gap.
    """

    body_size: int = 0
    sent: list[int] = field(default_factory=list)


@cache
def render(api: str, script: Script) -> list[bytes]:
    """Render the HTTP chunks of a reply: one for each delta, then one that ends the reply."""
    render_event = {"openai": _render_openai_event, "dashscope": _render_dashscope_event}[api]
    deltas = [render_event(index, *_build_delta(index, script)) for index in range(script.chunks)]
    finish_reason = "tool_calls" if script.kind == "tools" else "stop"
    end = _render_last_events(api, finish_reason, script.chunks)
    return [*map(_encode_chunk, deltas), b"".join(map(_encode_chunk, end)) + b"0\r\n\r\n"]


def _build_delta(index: int, script: Script) -> tuple[str, Any]:
    """Return the name and the value of a delta's field."""
    if script.kind == "tools":
        is_first, is_last = index == 0, index == script.chunks - 1
        fragment = _ARGUMENTS_START if is_first else _ARGUMENTS_END if is_last else f"box {index}, "
        call = {"name": "crop", "arguments": fragment} if is_first else {"arguments": fragment}
        call_id = "call_0f3d" if is_first else ""
        return "tool_calls", [{"index": 0, "id": call_id, "type": "function", "function": call}]
    return ("reasoning_content" if index < script.chunks // 2 else "content"), _WORDS[index % len(_WORDS)]


def _render_openai_event(index: int, name: str, value: Any, finish_reason: str | None = None) -> str:
    delta = {"content": None, "reasoning_content": None, name: value}
    if index == 0:
        delta["role"] = "assistant"
    choice = {"delta": delta, "finish_reason": finish_reason, "index": 0, "logprobs": None}
    return f"data: {_dump_json(choices=[choice], usage=None, **_OPENAI_FIELDS)}\n\n"


_OPENAI_FIELDS = {
    "object": "chat.completion.chunk",
    "created": 1763640000,
    "system_fingerprint": None,
    "model": "qwen3-vl-plus",
    "id": "chatcmpl-0d95e615-76a9-9b3f-8c5e-0c4f5d8a2b11",
}


def _render_dashscope_event(index: int, name: str, value: Any, finish_reason: str = "null") -> str:
    fields = {name: [{"text": value}] if name == "content" and value else value}
    message = {"content": [], **fields, "role": "assistant"}
    output = {"choices": [{"message": message, "finish_reason": finish_reason}]}
    usage = _build_usage("input", "output", index + 1)
    payload = _dump_json(output=output, usage=usage, request_id="0d95e615-76a9-9b3f")
    return f"id:{index + 1}\nevent:result\n:HTTP_STATUS/200\ndata:{payload}\n\n"


def _render_last_events(api: str, finish_reason: str, chunks: int) -> list[str]:
    if api == "dashscope":
        return [_render_dashscope_event(chunks, "content", [], finish_reason)]
    usage = _dump_json(choices=[], usage=_build_usage("prompt", "completion", chunks), **_OPENAI_FIELDS)
    return [_render_openai_event(chunks, "content", "", finish_reason), f"data: {usage}\n\n", "data: [DONE]\n\n"]


def _build_usage(input_name: str, output_name: str, output_tokens: int) -> dict[str, Any]:
    return {f"{input_name}_tokens": 24, f"{output_name}_tokens": output_tokens, "total_tokens": 24 + output_tokens}


def _dump_json(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _encode_chunk(event: str) -> bytes:
    """Encode an event as a chunk of HTTP's chunked transfer coding."""
    data = event.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


class Connection(asyncio.Protocol):
    """A kept-alive connection. Bodies are counted and discarded; requests without a Content-Length are rejected."""

    script: ClassVar[Script] = Script()
    requests: ClassVar[list[RequestLog]] = []
    """The requests of all connections since the last script."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepare for the first request."""
        self._transport: Any = transport
        self._head = b""
        self._remaining = 0  # bytes of a body that are still to come

    def data_received(self, data: bytes) -> None:
        """Read a request, and respond at its end."""
        if not self._remaining:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._start_request(head)
        self._remaining -= len(data)
        if not self._remaining:
            self._head = b""
            self._respond()

    def _start_request(self, head: bytes) -> None:
        lines = head.decode("latin-1").lower().split("\r\n")
        self._target = lines[0]
        self._host = next((line.partition(":")[2].strip() for line in lines if line.startswith("host:")), "")
        lengths = [line.partition(":")[2] for line in lines if line.startswith("content-length:")]
        lengths = lengths or ["0"] * self._target.startswith("get ")
        if not lengths:
            self._transport.write(b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()
        self._api = "openai" if "/chat/completions" in lines[0] else "dashscope"
        self._remaining = int(lengths[0]) if lengths else -1
        self._log = RequestLog(body_size=self._remaining)
        self.requests.append(self._log)

    def _respond(self) -> None:
        if "/uploads?" in self._target:
            self._transport.write(_render_whole(_build_upload_policy(self._host)))
        elif self._target.startswith("post /oss"):
            self._transport.write(_render_whole(b""))
        elif self.script.gap:
            self._send(_HEAD, render(self._api, self.script), 0)
        else:
            self._transport.write(_render_response(self._api, self.script))

    def _send(self, head: bytes, chunks: list[bytes], index: int) -> None:
        """Send one chunk now and schedule the next one."""
        self._log.sent.append(time.perf_counter_ns())
        self._transport.write(head + chunks[index])
        if index + 1 < len(chunks):
            asyncio.get_running_loop().call_later(self.script.gap, self._send, b"", chunks, index + 1)


def _build_upload_policy(host: str) -> bytes:
    names = ("policy", "signature", "oss_access_key_id", "x_oss_object_acl", "x_oss_forbid_overwrite")
    fields = {**dict.fromkeys(names, "x"), "upload_dir": "bench", "upload_host": f"http://{host}/oss"}
    return _dump_json(data=fields, request_id="0d95e615-76a9-9b3f").encode()


def _render_whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@cache
def _render_response(api: str, script: Script) -> bytes:
    return _HEAD + b"".join(render(api, script))


def _set_script(line: bytes) -> dict[str, Any]:
    """Set the script of the next replies, and return the log of the requests since the last one."""
    requests, Connection.requests = Connection.requests, []
    Connection.script = Script(**json.loads(line))
    return {"requests": [asdict(request) for request in requests]}


async def main() -> None:
    """Print the port, then serve until standard input is closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        print(json.dumps(_set_script(line)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

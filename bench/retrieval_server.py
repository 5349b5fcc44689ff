"""A server for vectors and scores that refuses what exceeds a model's limits, and counts the requests.

It answers as the vendor's pages show: items in an order of their own, with their indexes. Parameters that it does not
know are ignored, so that a library is not refused for more than it must be.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, ClassVar, NamedTuple

from bench.venvs import ROOT, build_process_environ, python_path

DIMENSIONS = 256
MAX_TEXTS, MAX_ITEMS, MAX_IMAGES = 10, 20, 5

_PREFIX = "/api/v1/services"
_MEDIA = f"{_PREFIX}/embeddings/multimodal-embedding/multimodal-embedding"
_TEXT = f"{_PREFIX}/embeddings/text-embedding/text-embedding"
_RERANK = f"{_PREFIX}/rerank/text-rerank/text-rerank"
_MODELS = {_MEDIA: "qwen3-vl-embedding", _TEXT: "text-embedding-v4", _RERANK: "qwen3-vl-rerank"}


def compute_mark(item: str) -> float:
    """Compute the first number of an item's vector, by which a measured process checks the order."""
    return zlib.crc32(item.encode()) / 2**32


class RetrievalServer:
    """The server in a process of its own.

    Attributes:
        host: Its address.
    """

    def __init__(self, refused: int = 0) -> None:
        """Start the server.

        Args:
            refused: Number of the request, from 1, that is answered with status 400; 0 for none.
        """
        command = [str(python_path("ours")), "-m", "bench.retrieval_server", str(refused)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=build_process_environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.host = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"

    def stop(self) -> int:
        """Stop the server and return the number of requests."""
        requests, _ = self._process.communicate("\n")
        return int(requests)


class _Reply(NamedTuple):
    status: int
    payload: dict[str, Any]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count: ClassVar[int] = 0
    refused: ClassVar[int] = 0
    lock: ClassVar[Lock] = Lock()

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.lock:
            type(self).count += 1
            is_refused = self.count == self.refused
        reply = _refuse("DataInspectionFailed") if is_refused else _answer(self.path, payload)
        body = json.dumps({"request_id": "1", **reply.payload}).encode()
        self.send_response(reply.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def _answer(path: str, payload: dict[str, Any]) -> _Reply:
    if _MODELS.get(path) != payload["model"]:
        return _Reply(404, {"code": "ModelNotFound", "message": f"No model {payload['model']!r} at {path}."})
    if path == _RERANK:
        return _rank(payload["input"], payload.get("parameters", {}))
    key = "texts" if path == _TEXT else "contents"
    items = payload["input"][key]
    images = sum("image" in item for item in items if isinstance(item, dict))
    if len(items) > (MAX_TEXTS if path == _TEXT else MAX_ITEMS) or images > MAX_IMAGES:
        return _refuse("InvalidParameter")
    index_key = "text_index" if path == _TEXT else "index"
    marks = [compute_mark(item if isinstance(item, str) else item.get("text", "")) for item in items]
    vectors = [{index_key: index, "embedding": [mark] + [0.5] * (DIMENSIONS - 1)} for index, mark in enumerate(marks)]
    return _Reply(200, {"output": {"embeddings": vectors[::-1]}, "usage": {"total_tokens": 1}})


def _rank(ranked: dict[str, Any], parameters: dict[str, Any]) -> _Reply:
    """Rank the last document first."""
    count = len(ranked["documents"])
    results = [{"index": index, "relevance_score": (index + 1) / count} for index in reversed(range(count))]
    return _Reply(200, {"output": {"results": results[: parameters.get("top_n")]}, "usage": {"total_tokens": 1}})


def _refuse(code: str) -> _Reply:
    return _Reply(400, {"code": code, "message": "The request was refused."})


def main() -> None:
    """Print the port; after a line of input, print the number of requests."""
    _Handler.refused = int(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.readline()
    print(_Handler.count, flush=True)


if __name__ == "__main__":
    main()

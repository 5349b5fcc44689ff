"""Measure embeddings: the requests for 1,000 texts and 200 pictures over the least possible, and the peak memory."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from bench.venvs import ROOT, build_process_environ, python_path

TABLE = "Embeddings"
TEXTS, FEW_PICTURES, MANY_PICTURES = 1000, 50, 200
PICTURE_BYTES = 1_000_000
_MAX_ITEMS, _MAX_IMAGES = 20, 5  # of qwen3-vl-embedding
_DIMENSIONS = 256
_PNG_HEAD = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40\x08\0\0\0\0\xee\x7b\x1c\x59"  # 64 × 64, padded with zero bytes
)


class EmbeddingCost(NamedTuple):
    """What a library needs for all texts and pictures.

    Attributes:
        library: The adapter.
        requests: Number of requests.
        few_pictures: Peak memory over that at the start with `FEW_PICTURES`, in MB.
        many_pictures: The same with `MANY_PICTURES`.
    """

    library: str
    requests: int
    few_pictures: float
    many_pictures: float

    @property
    def ratio(self) -> float:
        """The requests over the least that the limits allow."""
        return self.requests / count_needed_requests(TEXTS, MANY_PICTURES)


def count_needed_requests(texts: int, pictures: int) -> int:
    """Count the requests that are needed within the model's limits on elements and images."""
    return max(math.ceil((texts + pictures) / _MAX_ITEMS), math.ceil(pictures / _MAX_IMAGES))


def measure(folder: Path) -> list[EmbeddingCost]:
    """Measure both adapters with pictures of 1 MB that are read from disk."""
    picture = folder / "picture.png"
    picture.write_bytes(_PNG_HEAD + bytes(PICTURE_BYTES - len(_PNG_HEAD)))
    costs = []
    for library in ("langchain_qwenvl", "llama_index_qwenvl"):
        few, many = (_measure_run(library, picture, count) for count in (FEW_PICTURES, MANY_PICTURES))
        costs.append(EmbeddingCost(library, many[0], few[1], many[1]))
    return costs


def _measure_run(library: str, picture: Path, pictures: int) -> tuple[int, float]:
    """Return the number of requests and the peak memory in MB of one call in a new process."""
    with _start_operation("serve") as server:
        assert server.stdout
        port = server.stdout.readline().strip()
        with _start_operation("embed", library, f"http://127.0.0.1:{port}", picture, pictures) as client:
            output, _ = client.communicate()
        requests, _ = server.communicate("\n")
    return int(requests), float(output)


def _start_operation(*arguments: Any) -> subprocess.Popen[str]:
    command = [str(python_path("ours")), "-m", "bench.embedding_requests", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=build_process_environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


class _Handler(BaseHTTPRequestHandler):
    """Answers requests for vectors, refuses those over the limits, and counts them."""

    protocol_version = "HTTP/1.1"
    count: ClassVar[int] = 0

    def do_POST(self) -> None:
        contents = json.loads(self.rfile.read(int(self.headers["content-length"])))["input"]["contents"]
        type(self).count += 1
        is_valid = len(contents) <= _MAX_ITEMS and sum("image" in content for content in contents) <= _MAX_IMAGES
        vectors = [{"index": index, "embedding": [0.5] * _DIMENSIONS, "type": "x"} for index in range(len(contents))]
        body = json.dumps({"output": {"embeddings": vectors}, "usage": {"total_tokens": 1}}).encode()
        self.send_response(200 if is_valid else 400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def _serve() -> None:
    """Print the port; after a line of input, print the number of requests."""
    from threading import Thread

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.readline()
    print(_Handler.count, flush=True)


def _embed(library: str, host: str, picture: str, pictures: str) -> None:
    """Embed all items in one call, and print the growth of the memory in MB."""
    from bench.worker import measure_peak_memory

    keywords: dict[str, Any] = {"base_url": f"{host}/compatible-mode/v1", "dimensions": _DIMENSIONS, "api_key": "k"}
    model: Any
    if library == "langchain_qwenvl":
        from langchain_qwenvl import QwenVLEmbeddings

        model = QwenVLEmbeddings(**keywords)
    else:
        from llama_index_qwenvl import QwenVLEmbedding

        model = QwenVLEmbedding(**keywords)
    items = [f"text {index}" for index in range(TEXTS)] + [Path(picture)] * int(pictures)

    def embed() -> None:
        assert len(model.embed(items)) == len(items)

    model._embed_items([])  # loads the modules of the first call; no request
    print(measure_peak_memory(embed) / 1e6)


_OPERATIONS: dict[str, Callable[..., None]] = {"serve": _serve, "embed": _embed}

if __name__ == "__main__":
    _OPERATIONS[sys.argv[1]](*sys.argv[2:])

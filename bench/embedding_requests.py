"""Measure embeddings: the requests for 1,000 texts and 200 pictures over the least possible, and the peak memory."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from bench.retrieval_server import DIMENSIONS, MAX_IMAGES, MAX_ITEMS, RetrievalServer
from bench.venvs import ROOT, build_process_environ, python_path

TABLE = "Embeddings"
TEXTS, FEW_PICTURES, MANY_PICTURES = 1000, 50, 200
PICTURE_BYTES = 1_000_000
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
    return max(math.ceil((texts + pictures) / MAX_ITEMS), math.ceil(pictures / MAX_IMAGES))


def write_picture(folder: Path) -> Path:
    """Write a PNG of `PICTURE_BYTES`."""
    picture = folder / "picture.png"
    picture.write_bytes(_PNG_HEAD + bytes(PICTURE_BYTES - len(_PNG_HEAD)))
    return picture


def measure(folder: Path) -> list[EmbeddingCost]:
    """Measure both adapters with pictures of 1 MB that are read from disk."""
    picture = write_picture(folder)
    costs = []
    for library in ("langchain_qwenvl", "llama_index_qwenvl"):
        few, many = (_measure_run(library, picture, count) for count in (FEW_PICTURES, MANY_PICTURES))
        costs.append(EmbeddingCost(library, many[0], few[1], many[1]))
    return costs


def _measure_run(library: str, picture: Path, pictures: int) -> tuple[int, float]:
    """Return the number of requests and the peak memory in MB of one call in a new process."""
    server = RetrievalServer()
    command = [str(python_path("ours")), "-m", "bench.embedding_requests", library, server.host, str(picture)]
    output = subprocess.run(
        [*command, str(pictures)], cwd=ROOT, env=build_process_environ(), stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    return server.stop(), float(output)


def _embed(library: str, host: str, picture: str, pictures: str) -> None:
    """Embed all items in one call, and print the growth of the memory in MB."""
    from bench.worker import measure_peak_memory

    keywords: dict[str, Any] = {"base_url": f"{host}/compatible-mode/v1", "dimensions": DIMENSIONS, "api_key": "k"}
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


if __name__ == "__main__":
    _embed(*sys.argv[1:])

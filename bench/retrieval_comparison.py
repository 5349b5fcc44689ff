"""Compare embeddings and reranking with the community packages: requests, memory, order, and what an error becomes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.retrieval_libraries import RERANKER, RETRIEVAL_LIBRARIES, TEXT_MODEL, RetrievalLibrary
from bench.retrieval_server import MAX_IMAGES, MAX_TEXTS, RetrievalServer, compute_mark
from bench.venvs import ROOT, build_process_environ, python_path

TABLE = "Embeddings and reranking, beside the community packages"
HEAD = [
    "",
    f"1,000 texts, `{TEXT_MODEL}`: requests over the least possible",
    "peak memory, MB",
    "order",
    "third request refused",
    "200 pictures: requests over the least possible",
    f"`{RERANKER}`: 50 texts",
    "20 pictures",
]
NOTE = """\
The server returns vectors in reverse order, each with its index, as the service may; it ignores unknown parameters, and
knows three models: `gte-rerank`, which langchain-community always asks for, was discontinued on 2026-05-30. The
packages of LlamaIndex are llama-index-embeddings-dashscope and llama-index-postprocessor-dashscope-rerank."""
_TEXTS, _PICTURES, _RANKED_TEXTS, _RANKED_PICTURES = 1000, 200, 50, 20
_REFUSED_REQUEST = 3


class Outcome(NamedTuple):
    """What became of one operation.

    Attributes:
        is_supported: Whether the library has the operation.
        error: Class and message of the exception, or `""`.
        missing: Number of items without a vector.
        is_ordered: Whether the results are in order.
        megabytes: Peak memory over that before the call.
        requests: Number of requests.
    """

    is_supported: bool = True
    error: str = ""
    missing: int = 0
    is_ordered: bool = True
    megabytes: float = 0.0
    requests: int = 0


def measure(picture: Path) -> list[list[str]]:
    """Measure all libraries and return the rows of the table.

    Args:
        picture: A PNG of 1 MB or less.
    """
    return [_measure_library(library, picture) for library in RETRIEVAL_LIBRARIES.values()]


def _measure_library(library: RetrievalLibrary, picture: Path) -> list[str]:
    def run(operation: str, refused: int = 0) -> Outcome:
        return _run_operation(library, operation, picture, refused)

    texts = run("embed_texts")
    return [
        library.name,
        _format_outcome(texts, math.ceil(_TEXTS / MAX_TEXTS)),
        f"{texts.megabytes:.0f}",
        "–" if texts.error or texts.missing else _format_order(texts),
        _format_refusal(run("embed_texts", _REFUSED_REQUEST)),
        _format_outcome(run("embed_pictures"), math.ceil(_PICTURES / MAX_IMAGES)),
        _format_outcome(run("rank_texts")),
        _format_outcome(run("rank_pictures")),
    ]


def _format_outcome(outcome: Outcome, needed: int = 0) -> str:
    """Format the requests over those that are needed, or whether the order is right; else what went wrong."""
    if not outcome.is_supported:
        return "cannot: takes texts only"
    if outcome.error:
        return f"cannot: {outcome.error}"
    if outcome.missing:
        return f"cannot: returns {outcome.missing:,} items without a vector, and no error"
    return f"{outcome.requests / needed:.2f}" if needed else _format_order(outcome)


def _format_order(outcome: Outcome) -> str:
    return "right" if outcome.is_ordered else "wrong"


def _format_refusal(outcome: Outcome) -> str:
    if outcome.error:
        return f"raises {outcome.error.partition(':')[0]}"
    return f"returns {outcome.missing:,} items without a vector, and no error"


def _run_operation(library: RetrievalLibrary, operation: str, picture: Path, refused: int) -> Outcome:
    server = RetrievalServer(refused)
    command = [str(python_path(library.venv)), "-m", "bench.retrieval_comparison", library.name, server.host]
    process = subprocess.run(
        [*command, operation, str(picture)],
        cwd=ROOT,
        env=build_process_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    requests = server.stop() - (operation == "embed_texts")  # without that of the warm-up
    if process.returncode:
        raise RuntimeError(f"{library.name}, {operation}: {process.stderr}")
    return Outcome(**json.loads(process.stdout.splitlines()[-1]))._replace(requests=requests)


# --- in the measured process ------------------------------------------------------------------------------------------


def _check_texts(call: Callable[[Sequence[str]], Sequence[Any]], picture: Path) -> tuple[int, bool]:
    texts = [f"text {index}" for index in range(_TEXTS)]
    vectors = call(texts)
    marks = [vector[0] if vector else None for vector in vectors]
    return marks.count(None), marks == [compute_mark(text) for text in texts]


def _check_pictures(call: Callable[[Sequence[Path]], Sequence[Any]], picture: Path) -> tuple[int, bool]:
    vectors = call([picture] * _PICTURES)
    return sum(not vector for vector in vectors), len(vectors) == _PICTURES


def _check_ranked_texts(call: Callable[[Sequence[str]], Sequence[int]], picture: Path) -> tuple[int, bool]:
    ranks = call([f"text {index}" for index in range(_RANKED_TEXTS)])
    return 0, list(ranks) == list(reversed(range(_RANKED_TEXTS)))


def _check_ranked_pictures(call: Callable[[Sequence[Path]], Sequence[int]], picture: Path) -> tuple[int, bool]:
    return 0, list(call([picture] * _RANKED_PICTURES)) == list(reversed(range(_RANKED_PICTURES)))


_OPERATIONS: dict[str, Callable[[Any, Path], tuple[int, bool]]] = {
    "embed_texts": _check_texts,
    "embed_pictures": _check_pictures,
    "rank_texts": _check_ranked_texts,
    "rank_pictures": _check_ranked_pictures,
}


def _measure_operation(name: str, host: str, operation: str, picture: Path) -> Outcome:
    from bench.worker import measure_peak_memory

    call = getattr(RETRIEVAL_LIBRARIES[name].connect(host), operation)
    if call is None:
        return Outcome(is_supported=False)
    results: list[tuple[int, bool]] = []
    try:
        if operation == "embed_texts":
            call(["Load the modules and open the connection."])
        memory = measure_peak_memory(lambda: results.append(_OPERATIONS[operation](call, picture)))
    except Exception as error:
        return Outcome(error=f"{type(error).__name__}: {error}".partition("\n")[0][:80])
    missing, is_ordered = results[0]
    return Outcome(missing=missing, is_ordered=is_ordered, megabytes=memory / 1e6)


if __name__ == "__main__":
    _name, _host, _operation, _picture = sys.argv[1:]
    print(json.dumps(_measure_operation(_name, _host, _operation, Path(_picture))._asdict()))

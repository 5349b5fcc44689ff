"""The metrics, one for each column of the tables, and the goals that they must reach."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

WorkerResult = dict[str, Any]
"""The response of a worker to one request."""
RequestLogs = Sequence[dict[str, Any]]
"""What the server recorded of each request: `body_size` in bytes, and when it `sent` each chunk."""

CPU = "CPU per streamed chunk"
TOOLS = "CPU per chunk of a tool call"
INVOKE = "CPU per chunk of invoke and chat over a streaming wire"
THROUGHPUT = "Chunks per second of concurrent async streams"
FIRST_TOKEN = "Time from the server's first byte to the first token"
IN_TIME = "Share of tokens delivered before the server sends the next one, 3 ms later"
AGENT = "Bytes on the wire of an agent of 20 turns over 10 local images of 5 MB, over the size of the images"
MEMORY = "Peak memory of a request with 20 images of 5 MB, over their size as base64"


def read_value(result: WorkerResult, logs: RequestLogs) -> float | None:
    """Return the worker's own figure; `None` for a library without such a call."""
    value: float | None = result["value"]
    return value


def compute_first_token_delay(result: WorkerResult, logs: RequestLogs) -> float | None:
    """Return the median time from the server's first byte to the first text for the user, in µs."""
    rounds = zip(result["arrivals"], logs, strict=False)
    delays = [arrivals[0] - log["sent"][0] for arrivals, log in rounds]
    return statistics.median(delays) / 1000 if delays else None


def compute_share_in_time(result: WorkerResult, logs: RequestLogs) -> float | None:
    """Return the share of tokens that reached the user before the next one was sent. A lost token counts as late."""
    rounds = zip(result["arrivals"], logs, strict=False)
    shares = [
        sum(arrival < sent for arrival, sent in zip(arrivals, log["sent"][1:], strict=False)) / result["chunks"]
        for arrivals, log in rounds
    ]
    return statistics.mean(shares) if shares else None


def read_peak_memory(result: WorkerResult, logs: RequestLogs) -> float:
    """Return the worker's figure, after a check that the images were sent.

    Raises:
        RuntimeError: No request was as large as the images.
    """
    largest = max(log["body_size"] for log in logs)
    if largest < result["size"]:
        raise RuntimeError(f"The largest request has {largest:,} bytes. The images have {result['size']:,} as base64.")
    return float(result["value"])


def compute_sent_bytes(result: WorkerResult, logs: RequestLogs) -> float:
    """Return the bytes of all requests, over the size of the images."""
    return sum(float(log["body_size"]) for log in logs) / float(result["size"])


@dataclass(frozen=True, eq=False)
class Metric:
    """One column of a table.

    Attributes:
        table: Title of the table.
        column: Heading of the column.
        unit: Format of the absolute values.
        request: What is sent to the worker.
        script: What is sent to the server.
        repetitions: How often each library is measured.
        compute: Computes the figure from the worker's result and the server's logs.
        is_absolute: The figure is reported as it is, instead of as a ratio to the SDK.
        has_fresh_process: Each measurement has a process of its own.
        is_quick: `--quick` measures it, too.
        excluded: Names of the libraries that it does not apply to.
    """

    table: str
    column: str
    unit: str
    request: dict[str, Any]
    script: dict[str, Any]
    repetitions: int
    compute: Callable[[WorkerResult, RequestLogs], float | None] = read_value
    is_absolute: bool = False
    has_fresh_process: bool = False
    is_quick: bool = False
    excluded: tuple[str, ...] = ()


def _create_cpu_metric(table: str, column: str, mode: str, chunks: int, repetitions: int, kind: str = "text") -> Metric:
    rounds = {200: 10, 2000: 3, 20000: 1}[chunks]
    request = {"operation": "cpu", "mode": mode, "chunks": chunks, "rounds": rounds}
    script = {"chunks": chunks, "kind": kind}
    is_quick = chunks == 2000 and table != TOOLS
    return Metric(table, column, "{:.1f} µs", request, script, repetitions, is_quick=is_quick)


def _create_throughput_metric(streams: int, repetitions: int) -> Metric:
    request = {"operation": "throughput", "streams": streams, "chunks": 200, "rounds": max(1, 32 // streams)}
    script = {"chunks": 200}
    return Metric(THROUGHPUT, str(streams), "{:,.0f}/s", request, script, repetitions, is_quick=streams == 64)


def _create_arrival_metric(table: str, column: str, mode: str, repetitions: int) -> Metric:
    request = {"operation": "arrivals", "mode": mode, "chunks": 12, "rounds": 12}
    script = {"chunks": 12, "gap": 0.003}
    if table == IN_TIME:
        return Metric(table, column, "{:.2f}", request, script, repetitions, compute_share_in_time, is_absolute=True)
    return Metric(table, column, "{:.0f} µs", request, script, repetitions, compute_first_token_delay, is_quick=True)


def _create_memory_metric(column: str, mode: str, form: str, excluded: tuple[str, ...]) -> Metric:
    return Metric(
        MEMORY,
        column,
        "{:.2f}",
        {"operation": "memory", "mode": mode, "form": form},
        {"chunks": 2},
        repetitions=1,
        compute=read_peak_memory,
        is_absolute=True,
        has_fresh_process=True,
        is_quick=mode == "stream" and form != "path",
        excluded=(*excluded, "bare langchain-core", "bare llama-index-core"),
    )


_AGENT_METRIC = Metric(
    AGENT,
    "sync",
    "{:.2f}",
    {"operation": "agent", "turns": 20},
    {"chunks": 2},
    repetitions=1,
    compute=compute_sent_bytes,
    is_absolute=True,
    excluded=("bare langchain-core", "bare llama-index-core"),
)

_MODES = (("sync", "stream"), ("async", "astream"))
_LANGCHAIN = ("langchain-openai", "langchain_qwenvl", "langchain_qwenvl, native")
_LLAMA_INDEX = ("llama-index-openai-like", "llama_index_qwenvl", "llama_index_qwenvl, native")
_SDKS = ("openai", "dashscope")

METRICS = (
    *(
        _create_cpu_metric(CPU, f"{chunks:,} {name}", mode, chunks, repetitions)
        for chunks, repetitions in ((200, 7), (2000, 7), (20000, 4))
        for name, mode in _MODES
    ),
    *(_create_cpu_metric(TOOLS, f"2,000 {name}", mode, 2000, 4, "tools") for name, mode in _MODES),
    _create_cpu_metric(INVOKE, "2,000", "invoke", 2000, 7),
    _create_cpu_metric(INVOKE, "20,000", "invoke", 20000, 4),
    *(_create_throughput_metric(streams, repetitions) for streams, repetitions in ((1, 5), (16, 5), (64, 5), (256, 3))),
    *(_create_arrival_metric(FIRST_TOKEN, name, mode, 7) for name, mode in _MODES),
    *(_create_arrival_metric(IN_TIME, name, mode, 2) for name, mode in _MODES),
    *(
        _create_memory_metric(f"{title} {name}", mode, form, excluded)
        for title, form, excluded in (
            ("data URIs", "data-uri", _LLAMA_INDEX),
            ("bytes", "bytes", _LANGCHAIN + _SDKS),
            ("paths", "path", ()),
        )
        for name, mode in _MODES
    ),
    _AGENT_METRIC,
)


class Goal(NamedTuple):
    """A figure that a library must reach: `limit` is the highest allowed, or the lowest for throughput."""

    library: str
    table: str
    column: str
    limit: float

    @property
    def sign(self) -> str:
        """The sign of the comparison."""
        return "≥" if self.table == THROUGHPUT else "≤"

    def is_reached(self, figure: float) -> bool:
        """Return whether a measured figure reaches the goal."""
        return figure >= self.limit if self.table == THROUGHPUT else figure <= self.limit


def _create_goals(library: str, image_form: str, *cpu: tuple[str, float]) -> list[Goal]:
    return [
        *(Goal(library, CPU, column, limit) for column, limit in cpu),
        *(Goal(library, INVOKE, column, 0.15) for column in ("2,000", "20,000")),
        *(Goal(library, FIRST_TOKEN, name, 0.80) for name, _ in _MODES),
        Goal(library, THROUGHPUT, "64", 2.5),
        *(Goal(library, MEMORY, f"{image_form} {name}", 2.1) for name, _ in _MODES),
        *(Goal(library, MEMORY, f"paths {name}", 0.01) for name, _ in _MODES),
        Goal(library, AGENT, "sync", 1.1),
    ]


GOALS = (
    *_create_goals(
        "langchain_qwenvl", "data URIs",
        ("2,000 sync", 0.25), ("2,000 async", 0.25), ("20,000 sync", 0.32), ("20,000 async", 0.32),
    ),
    *_create_goals(
        "llama_index_qwenvl", "bytes",
        ("2,000 sync", 0.25), ("2,000 async", 0.27), ("20,000 sync", 0.25), ("20,000 async", 0.27),
    ),
)  # fmt: skip

MAX_OWN_IMPORT_MS = 40.0
"""Highest allowed self time of our modules at import, in ms."""
MIN_PAGE_SPEEDUP = 5.0
"""Lowest allowed ratio of pages per second: ours over PNG files at 200 DPI."""

MAX_EMBEDDING_GROWTH_MB = 20.0
"""Highest allowed growth of the memory with 150 pictures of 1 MB more; about the size of three requests."""
MAX_BATCH_GROWTH_MB = 20.0
"""Highest allowed growth of a loader's memory with 1,800 pages more in its batch."""

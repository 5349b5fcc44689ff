"""What is measured: one row of data for each column of the tables, and the figures to reach."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Answer = dict[str, Any]
"""A worker's answer."""
Seen = Sequence[dict[str, Any]]
"""What the server saw of each request: `body` in bytes, and when it `sent` each chunk."""

CPU = "CPU per streamed chunk"
TOOLS = "CPU per chunk of a tool call"
WHOLE = "CPU per chunk of a whole answer over a streaming wire (invoke, chat)"
STREAMS = "Chunks per second of concurrent async streams"
FIRST = "First token, after the server's first byte"
IN_TIME = "Tokens delivered before the server sends the next one, 3 ms later"
MEMORY = "Peak memory of 20 pictures of 5 MB in one request, over their size as base64"


def value(answer: Answer, seen: Seen) -> float | None:
    """The worker's own figure; none for a contender that has no such call."""
    figure: float | None = answer["value"]
    return figure


def first_token(answer: Answer, seen: Seen) -> float | None:
    """µs from the server's first byte to the first words that the user reads; none where nothing was asked."""
    waits = [told[0] - request["sent"][0] for told, request in zip(answer["arrivals"], seen, strict=False)]
    return statistics.median(waits) / 1000 if waits else None


def in_time(answer: Answer, seen: Seen) -> float | None:
    """Share of the tokens that reached the user before the next was sent. A token that is lost was not in time."""
    rounds = zip(answer["arrivals"], seen, strict=False)
    shares = [
        sum(arrival < sent for arrival, sent in zip(told, request["sent"][1:], strict=False)) / answer["chunks"]
        for told, request in rounds
    ]
    return statistics.mean(shares) if shares else None


def peak(answer: Answer, seen: Seen) -> float:
    """The worker's figure, once it is sure that the pictures were sent."""
    if max(request["body"] for request in seen) < answer["size"]:
        raise RuntimeError("The server got less than the pictures.")
    return float(answer["value"])


@dataclass(frozen=True, eq=False)
class Cell:
    """One column of a table.

    Attributes:
        table: Its title.
        column: Its heading.
        unit: Of the absolute values, as a format.
        question: What the worker is asked.
        script: What the server is told to send.
        repetitions: How often everyone is measured.
        metric: How the answer becomes a figure.
        absolute: The figure stands for itself, not for a ratio to the SDK.
        fresh: Each measurement has a process of its own.
        quick: `--quick` measures it too.
        without: Contenders that it is nothing for.
    """

    table: str
    column: str
    unit: str
    question: dict[str, Any]
    script: dict[str, Any]
    repetitions: int
    metric: Callable[[Answer, Seen], float | None] = value
    absolute: bool = False
    fresh: bool = False
    quick: bool = False
    without: tuple[str, ...] = ()


def _cpu(table: str, column: str, how: str, chunks: int, repetitions: int, kind: str = "text") -> Cell:
    rounds = {200: 10, 2000: 3, 20000: 1}[chunks]
    question = {"operation": "cpu", "how": how, "chunks": chunks, "rounds": rounds}
    script = {"chunks": chunks, "kind": kind}
    return Cell(table, column, "{:.1f} µs", question, script, repetitions, quick=chunks == 2000 and table != TOOLS)


def _streams(streams: int, repetitions: int) -> Cell:
    question = {"operation": "fan_out", "streams": streams, "chunks": 200, "rounds": max(1, 32 // streams)}
    return Cell(STREAMS, str(streams), "{:,.0f}/s", question, {"chunks": 200}, repetitions, quick=streams == 64)


def _arrivals(table: str, name: str, how: str, repetitions: int) -> Cell:
    question = {"operation": "arrivals", "how": how, "chunks": 12, "rounds": 12}
    script = {"chunks": 12, "gap": 0.003}
    if table == IN_TIME:
        return Cell(table, name, "{:.2f}", question, script, repetitions, in_time, absolute=True)
    return Cell(table, name, "{:.0f} µs", question, script, repetitions, first_token, quick=True)


def _memory(form: str, how: str, column: str, without: tuple[str, ...]) -> Cell:
    question = {"operation": "memory", "how": how, "form": form}
    without += ("bare langchain-core", "bare llama-index-core")
    quick = how == "stream" and form != "path"
    return Cell(
        MEMORY, column, "{:.2f}", question, {"chunks": 2}, 1, peak,
        absolute=True, fresh=True, quick=quick, without=without,
    )  # fmt: skip


_HOW = (("sync", "stream"), ("async", "astream"))
_LANGCHAIN = ("langchain-openai", "langchain_qwenvl", "langchain_qwenvl, native")
_LLAMA_INDEX = ("llama-index-openai-like", "llama_index_qwenvl", "llama_index_qwenvl, native")
_SDKS = ("openai", "dashscope")

CELLS = (
    *(
        _cpu(CPU, f"{chunks:,} {name}", how, chunks, repetitions)
        for chunks, repetitions in ((200, 7), (2000, 7), (20000, 4))
        for name, how in _HOW
    ),
    *(_cpu(TOOLS, f"2,000 {name}", how, 2000, 4, "tools") for name, how in _HOW),
    _cpu(WHOLE, "2,000", "whole", 2000, 7),
    _cpu(WHOLE, "20,000", "whole", 20000, 4),
    *(_streams(streams, repetitions) for streams, repetitions in ((1, 5), (16, 5), (64, 5), (256, 3))),
    *(_arrivals(FIRST, name, how, 7) for name, how in _HOW),
    *(_arrivals(IN_TIME, name, how, 2) for name, how in _HOW),
    *(
        _memory(form, how, f"{title} {name}", without)
        for title, form, without in (
            ("data URIs", "data-uri", _LLAMA_INDEX),
            ("bytes", "bytes", _LANGCHAIN + _SDKS),
            ("paths", "path", ()),
        )
        for name, how in _HOW
    ),
)


class Goal(NamedTuple):
    """A figure that `who` must reach: at most `limit`, or at least it."""

    who: str
    table: str
    column: str
    limit: float

    @property
    def sign(self) -> str:
        return "≥" if self.table == STREAMS else "≤"

    def reached(self, figure: float) -> bool:
        return figure >= self.limit if self.table == STREAMS else figure <= self.limit


def _goals(who: str, in_hand: str, *cpu: tuple[str, float]) -> list[Goal]:
    return [
        *(Goal(who, CPU, column, limit) for column, limit in cpu),
        *(Goal(who, WHOLE, column, 0.15) for column in ("2,000", "20,000")),
        *(Goal(who, FIRST, name, 0.80) for name, _ in _HOW),
        Goal(who, STREAMS, "64", 2.2),
        *(Goal(who, MEMORY, f"{in_hand} {name}", 2.1) for name, _ in _HOW),
        *(Goal(who, MEMORY, f"paths {name}", 1.3) for name, _ in _HOW),
    ]


GOALS = (
    *_goals(
        "langchain_qwenvl", "data URIs",
        ("2,000 sync", 0.30), ("2,000 async", 0.32), ("20,000 sync", 0.42), ("20,000 async", 0.42),
    ),
    *_goals(
        "llama_index_qwenvl", "bytes",
        ("2,000 sync", 0.27), ("2,000 async", 0.27), ("20,000 sync", 0.27), ("20,000 async", 0.27),
    ),
)  # fmt: skip

GOAL_OWN_MS = 40.0
"""Longest self time of our modules at import, ms."""
GOAL_PAGES = 4.0
"""Least ratio of pages per second, ours over PNG files of 200 dots per inch."""

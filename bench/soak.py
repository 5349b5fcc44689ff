"""`python -m bench.soak`: read many concurrent streams for a minute, from a service that fails at random.

Both adapters stream over both APIs; some readers stop early, and some are cancelled. Every request must end within its
time limit, with the complete answer or with a `QwenVLError`. At the end, connections, tasks, threads and memory must be
back at their level after the warm-up. The exit status is 1 if they are not.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from langchain_core.messages import AIMessageChunk
from llama_index.core.base.llms.types import ChatMessage

from bench.fault_server import ANSWER
from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLError

_ANSWER = "".join(ANSWER)
_TIME_LIMIT = 60.0  # seconds for a request: more than its retries and timeouts can add up to
_MEMORY_TOLERANCE = 24 * 1024 * 1024  # bytes that allocators may keep; a leak in each request exceeds it
_QUESTION = [ChatMessage(role="user", content="What?")]


class ResourceUsage(NamedTuple):
    """What this process holds: numbers of sockets, threads and objects, and resident memory in bytes."""

    sockets: int
    threads: int
    objects: int
    memory: int

    @classmethod
    def measure(cls) -> ResourceUsage:
        """Measure the current usage, after a garbage collection."""
        gc.collect()
        sockets = sum("socket:" in target for target in _list_descriptors())
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(sockets, threading.active_count(), len(gc.get_objects()), pages * os.sysconf("SC_PAGE_SIZE"))


def _list_descriptors() -> Iterator[str]:
    for name in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the descriptor of the listing itself is closed again
            continue


_NO_USAGE = ResourceUsage(0, 0, 0, 0)


@dataclass
class SoakReport:
    """The result of a soak test.

    Attributes:
        outcomes: How often the requests ended in which way: "answer", the name of an error, "stopped", "cancelled".
        failures: What went wrong in single requests, a sentence each.
        before: Resource usage after the warm-up.
        after: Resource usage at the end.
        tasks: Number of tasks that remained at the end.
        server_stats: The server's statistics: `open_connections`, and how often it used which of its `scenarios`.
        seconds: Duration of the test.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    before: ResourceUsage = _NO_USAGE
    after: ResourceUsage = _NO_USAGE
    tasks: int = 0
    server_stats: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def find_faults(self) -> list[str]:
        """Return everything that is wrong, a sentence each."""
        faults = list(self.failures)
        if not self.outcomes["answer"]:
            faults.append("No request ended with an answer.")
        if self.after.sockets > self.before.sockets:
            faults.append(f"{self.after.sockets - self.before.sockets} sockets are still open.")
        if self.after.threads > self.before.threads:
            faults.append(f"{self.after.threads - self.before.threads} threads still run.")
        if self.tasks:
            faults.append(f"{self.tasks} tasks still run.")
        if self.server_stats["open_connections"]:
            faults.append(f"The server has {self.server_stats['open_connections']} open connections.")
        if self.after.objects > 1.1 * self.before.objects:
            faults.append(f"There are {self.after.objects - self.before.objects:,} more objects.")
        if self.after.memory > self.before.memory + _MEMORY_TOLERANCE:
            faults.append(f"Memory has grown by {(self.after.memory - self.before.memory) / 1e6:.1f} MB.")
        return faults


@contextmanager
def _start_server(seed: int, timeout: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.fault_server", str(seed), str(timeout)]
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def _read_payload(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    payload: dict[str, Any] = json.loads(process.stdout.readline())
    return payload


def _request_stats(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()
    return _read_payload(process)


Stream = Callable[[], AsyncGenerator[str]]
"""Sends a request and yields the text of the answer."""


def _create_models(url: str, timeout: float) -> list[ChatQwenVL | QwenVL]:
    """Create a model of each adapter for each API."""
    settings: dict[str, Any] = {
        "api_key": "sk-soak-0123456789", "timeout": timeout, "stream_chunk_timeout": timeout, "max_retries": 1,
    }  # fmt: skip
    apis: list[dict[str, Any]] = [
        {"api": "openai", "base_url": f"{url}/compatible-mode/v1", **settings},
        {"api": "dashscope", "base_url": f"{url}/api/v1", **settings},
    ]
    return [*(ChatQwenVL(**api) for api in apis), *(QwenVL(**api) for api in apis)]


def _create_stream(model: ChatQwenVL | QwenVL) -> Stream:
    return _create_langchain_stream(model) if isinstance(model, ChatQwenVL) else _create_llama_index_stream(model)


def _create_langchain_stream(model: ChatQwenVL) -> Stream:
    async def stream() -> AsyncGenerator[str]:
        # LangChain declares an iterator, which has no `aclose`; it is a generator.
        generator = cast("AsyncGenerator[AIMessageChunk]", model.astream("What?"))
        async with aclosing(generator) as chunks:
            async for chunk in chunks:
                yield chunk.text

    return stream


def _create_llama_index_stream(model: QwenVL) -> Stream:
    async def stream() -> AsyncGenerator[str]:
        async with aclosing(await model.astream_chat(_QUESTION)) as chunks:
            async for chunk in chunks:
                yield chunk.delta or ""

    return stream


async def _run_request(stream: Stream, rng: random.Random, report: SoakReport) -> None:
    """Read one stream, to its end or until the reader stops early, and record the outcome."""
    max_texts = rng.randrange(10) if rng.random() < 0.05 else None
    received: list[str] = []
    try:
        async with asyncio.timeout(_TIME_LIMIT), aclosing(stream()) as texts:
            async for text in texts:
                received.append(text)
                if max_texts is not None and len(received) > max_texts:
                    report.outcomes["stopped"] += 1
                    return
    except QwenVLError as error:
        report.outcomes[type(error).__name__] += 1
        if not _ANSWER.startswith(error.partial) or error.partial != "".join(received):
            report.failures.append(f"{type(error).__name__}.partial is {error.partial!r}. Received: {received!r}.")
    except asyncio.CancelledError:
        report.outcomes["cancelled"] += 1
        raise
    except BaseException as error:
        report.outcomes[type(error).__name__] += 1
        report.failures.append(f"{type(error).__name__}: {error}")
    else:
        report.outcomes["answer"] += 1
        if "".join(received) != _ANSWER:
            report.failures.append(f"Wrong answer: {''.join(received)!r}.")


async def _run_requests(streams: list[Stream], end: float, rng: random.Random, report: SoakReport) -> None:
    """Run one request after the other until the time `end`; some are cancelled."""
    while time.monotonic() < end:
        task = asyncio.create_task(_run_request(rng.choice(streams), rng, report))
        if rng.random() < 0.05:
            await asyncio.wait([task], timeout=rng.uniform(0, 0.2))
            task.cancel()
        await asyncio.wait([task])


async def _run(url: str, streams: int, seconds: float, timeout: float, rng: random.Random, report: SoakReport) -> None:
    models = _create_models(url, timeout)
    functions = [_create_stream(model) for model in models]
    end = time.monotonic() + seconds
    await asyncio.gather(*(_run_requests(functions, end, rng, report) for _ in range(streams)))
    for model in models:
        await model.aclose()
    await asyncio.sleep(0.1)  # for the last callbacks of closed connections
    report.tasks = len(asyncio.all_tasks()) - 1


def soak(*, streams: int, seconds: float, timeout: float, seed: int = 1) -> SoakReport:
    """Run concurrent streams against the fault server.

    Args:
        streams: Number of concurrent streams.
        seconds: How long new requests are started, after a warm-up of a fifth of that.
        timeout: The timeouts of the models, in seconds.
        seed: Seed of the faults.
    """
    report, rng, start = SoakReport(), random.Random(seed), time.monotonic()
    with _start_server(seed, timeout) as server:
        url = f"http://127.0.0.1:{_read_payload(server)['port']}"
        warm_up = SoakReport()
        asyncio.run(_run(url, streams, seconds / 5, timeout, rng, warm_up))
        report.before = ResourceUsage.measure()
        asyncio.run(_run(url, streams, seconds, timeout, rng, report))
        report.after = ResourceUsage.measure()
        report.failures += warm_up.failures
        report.server_stats = _request_stats(server)
    report.seconds = time.monotonic() - start
    return report


def main() -> int:
    """Run a soak test and print its report.

    Returns:
        The exit status: 1 if there are faults.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--timeout", type=float, default=2.0, help="timeouts of the models, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    report = soak(**vars(arguments))
    print(f"{report.outcomes.total():,} requests, {arguments.streams} at a time, in {report.seconds:.0f} s\n")
    scenarios = Counter(report.server_stats["scenarios"])
    for title, counts in (("Outcomes of the requests", report.outcomes), ("Scenarios of the server", scenarios)):
        print(title)
        for name, count in counts.most_common():
            print(f"  {count:8,}  {name}")
    print("\n            before      after")
    for name, before, after in zip(ResourceUsage._fields, report.before, report.after, strict=True):
        print(f"{name:8}{before:12,}{after:12,}")
    faults = report.find_faults()
    print("\n" + ("No faults." if not faults else f"{len(faults)} faults:"))
    for fault in faults[:20]:
        print(f"  {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())

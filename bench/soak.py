"""`python -m bench.soak`: many streams at a time, against a service that fails at random, for a minute.

Both adapters over both APIs; some readers leave early, and some are cancelled. Every request has to end in the whole
answer or in an error of ours, in time. Afterwards connections, tasks, threads and memory have to be where they were.
Exits with 1 where that is not so.
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
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from llama_index.core.base.llms.types import ChatMessage

from bench.fault_server import WORDS
from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLError

_ANSWER = "".join(WORDS)
_HANG = 60.0  # seconds; no retries and timeouts add up to that
_GROWTH = 24 * 1024 * 1024  # bytes that memory may have grown by: what allocators keep, not what each request leaves
_QUESTION = [ChatMessage(role="user", content="What?")]


class Level(NamedTuple):
    """What a process holds."""

    sockets: int
    threads: int
    objects: int
    memory: int

    @classmethod
    def now(cls) -> Level:
        gc.collect()
        sockets = sum("socket:" in target for target in _descriptors())
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(sockets, threading.active_count(), len(gc.get_objects()), pages * os.sysconf("SC_PAGE_SIZE"))


def _descriptors() -> Iterator[str]:
    for name in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the one of the listing itself
            continue


_NOTHING = Level(0, 0, 0, 0)


@dataclass
class Report:
    """One soak.

    Attributes:
        ended: How the requests ended: `answer`, the name of an error, `left`, `cancelled`.
        wrong: What must not be, a sentence each.
        before: After the warm-up.
        after: In the end.
        tasks: Tasks that were left over.
        served: What the service says of itself: what it played, and its open connections.
        seconds: How long it took.
    """

    ended: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    before: Level = _NOTHING
    after: Level = _NOTHING
    tasks: int = 0
    served: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def faults(self) -> list[str]:
        """All that is wrong, a sentence each."""
        found = list(self.wrong)
        if not self.ended["answer"]:
            found.append("Not one request was answered.")
        if self.after.sockets > self.before.sockets:
            found.append(f"{self.after.sockets - self.before.sockets} sockets are still open.")
        if self.after.threads > self.before.threads:
            found.append(f"{self.after.threads - self.before.threads} threads are still there.")
        if self.tasks:
            found.append(f"{self.tasks} tasks are still there.")
        if self.served["open"]:
            found.append(f"The service has {self.served['open']} open connections.")
        if self.after.objects > 1.1 * self.before.objects:
            found.append(f"There are {self.after.objects - self.before.objects:,} more objects.")
        if self.after.memory > self.before.memory + _GROWTH:
            found.append(f"Memory has grown by {(self.after.memory - self.before.memory) / 1e6:.1f} MB.")
        return found


@contextmanager
def _service(seed: int, patience: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.fault_server", str(seed), str(patience)]
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def _asked(process: subprocess.Popen[str], line: str | None = None) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    if line is not None:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer


Stream = Callable[[], AsyncIterator[str]]


def _streams(url: str, patience: float) -> tuple[list[Stream], list[Any]]:
    """A way to stream of each adapter over each API, and the models."""
    given: dict[str, Any] = {
        "api_key": "sk-soak-0123456789", "timeout": patience, "stream_chunk_timeout": patience, "max_retries": 1,
    }  # fmt: skip
    apis: list[dict[str, Any]] = [
        {"api": "openai", "base_url": f"{url}/compatible-mode/v1", **given},
        {"api": "dashscope", "base_url": f"{url}/api/v1", **given},
    ]
    chains = [ChatQwenVL(**each) for each in apis]
    indices = [QwenVL(**each) for each in apis]
    streams = [_of_langchain(model) for model in chains] + [_of_llama_index(model) for model in indices]
    return streams, [*chains, *indices]


def _of_langchain(model: ChatQwenVL) -> Stream:
    async def texts() -> AsyncIterator[str]:
        async with aclosing(model.astream("What?")) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield str(chunk.content)

    return texts


def _of_llama_index(model: QwenVL) -> Stream:
    async def texts() -> AsyncIterator[str]:
        async with aclosing(await model.astream_chat(_QUESTION)) as chunks:
            async for chunk in chunks:
                yield chunk.delta or ""

    return texts


async def _once(stream: Stream, dice: random.Random, report: Report) -> None:
    """One request, to its end or until its reader leaves."""
    leaves = dice.randrange(10) if dice.random() < 0.05 else None  # after so many chunks
    said: list[str] = []
    try:
        async with asyncio.timeout(_HANG), aclosing(stream()) as texts:  # type: ignore[type-var]
            async for text in texts:
                said.append(text)
                if leaves is not None and len(said) > leaves:
                    report.ended["left"] += 1
                    return
    except QwenVLError as error:
        report.ended[type(error).__name__] += 1
        if not _ANSWER.startswith(error.partial) or error.partial != "".join(said):
            report.wrong.append(f"{type(error).__name__} has the partial text {error.partial!r}, {said!r} was given.")
    except asyncio.CancelledError:
        report.ended["cancelled"] += 1
        raise
    except BaseException as error:
        report.ended[type(error).__name__] += 1
        report.wrong.append(f"{type(error).__name__}: {error}")
    else:
        report.ended["answer"] += 1
        if "".join(said) != _ANSWER:
            report.wrong.append(f"An answer is {''.join(said)!r}.")


async def _reader(streams: list[Stream], until: float, dice: random.Random, report: Report) -> None:
    """One request after the other; some are cancelled."""
    while time.monotonic() < until:
        task = asyncio.create_task(_once(dice.choice(streams), dice, report))
        if dice.random() < 0.05:
            await asyncio.wait([task], timeout=dice.uniform(0, 0.2))
            task.cancel()
        await asyncio.wait([task])


async def _soak(url: str, streams: int, seconds: float, patience: float, dice: random.Random, report: Report) -> None:
    ways, models = _streams(url, patience)
    until = time.monotonic() + seconds
    await asyncio.gather(*(_reader(ways, until, dice, report) for _ in range(streams)))
    for model in models:
        await model.aclose()
    await asyncio.sleep(0.1)  # for the last callbacks of closed connections
    report.tasks = len(asyncio.all_tasks()) - 1


def soak(*, streams: int, seconds: float, patience: float, seed: int = 1) -> Report:
    """Run `streams` streams at a time.

    Args:
        streams: How many at a time.
        seconds: How long new requests are begun, after a warm-up of a fifth of that.
        patience: The models' timeouts, in seconds.
        seed: Of the faults.
    """
    report, dice, began = Report(), random.Random(seed), time.monotonic()
    with _service(seed, patience) as service:
        url = f"http://127.0.0.1:{_asked(service)['port']}"
        preload = Report()
        asyncio.run(_soak(url, streams, seconds / 5, patience, dice, preload))
        report.before = Level.now()
        asyncio.run(_soak(url, streams, seconds, patience, dice, report))
        report.after = Level.now()
        report.wrong += preload.wrong
        report.served = _asked(service, "?")
    report.seconds = time.monotonic() - began
    return report


def main() -> int:
    """Run it and print what came of it; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--patience", type=float, default=2.0, help="the models' timeouts, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    report = soak(streams=given.streams, seconds=given.seconds, patience=given.patience, seed=given.seed)
    print(f"{report.ended.total():,} requests, {given.streams} at a time, in {report.seconds:.0f} s\n")
    for title, counted in (("They ended in", report.ended), ("The service played", Counter(report.served["played"]))):
        print(title)
        for name, count in counted.most_common():
            print(f"  {count:8,}  {name}")
    print("\n            before      after")
    for name, before, after in zip(Level._fields, report.before, report.after, strict=True):
        print(f"{name:8}{before:12,}{after:12,}")
    found = report.faults()
    print("\n" + ("All of them ended as they should." if not found else f"{len(found)} faults:"))
    for fault in found[:20]:
        print(f"  {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())

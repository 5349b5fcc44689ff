"""One contender in a process of its own, measured when it is asked; see `child.py`."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.libraries import CONTENDERS, PATHS, Calls, Load, Picture

_LOOP = asyncio.new_event_loop()  # one for all: connections stay warm


def _drain(calls: Calls, prompt: Any) -> int:
    """Read a stream as a user does; how many characters came."""
    return sum(len(calls.words(chunk)) for chunk in calls.stream(prompt))


async def _adrain(calls: Calls, prompt: Any) -> int:
    said = 0
    async for chunk in await calls.astream(prompt):
        said += len(calls.words(chunk))
    return said


def _call(calls: Calls, how: str) -> Callable[[Any], Any] | None:
    return {
        "stream": lambda prompt: _drain(calls, prompt),
        "astream": lambda prompt: _LOOP.run_until_complete(_adrain(calls, prompt)),
        "whole": calls.whole,
    }[how]


def cpu(calls: Calls, how: str, chunks: int, rounds: int) -> dict[str, Any]:
    """CPU of all threads, in µs per chunk; of the best round, for others use the machine too."""
    call = _call(calls, how)
    if call is None:
        return {"value": None}
    prompt = calls.prompt(Load(chunks))

    def round_() -> float:
        gc.collect()
        start = time.process_time()
        call(prompt)
        return time.process_time() - start

    return {"value": min(round_() for _ in range(rounds)) * 1e6 / chunks}


def fan_out(calls: Calls, streams: int, chunks: int, rounds: int) -> dict[str, Any]:
    """Chunks per second of `streams` concurrent streams."""
    prompt = calls.prompt(Load(chunks))

    async def all_at_once() -> None:
        await asyncio.gather(*(_adrain(calls, prompt) for _ in range(streams)))

    gc.collect()
    start = time.perf_counter()
    for _ in range(rounds):
        _LOOP.run_until_complete(all_at_once())
    return {"value": streams * chunks * rounds / (time.perf_counter() - start)}


def arrivals(calls: Calls, how: str, chunks: int, rounds: int) -> dict[str, Any]:
    """When each chunk with something to read reached the user, in ns of `perf_counter_ns`, for each round."""
    prompt = calls.prompt(Load(chunks))
    gc.collect()

    async def timed() -> list[int]:
        return [time.perf_counter_ns() async for chunk in await calls.astream(prompt) if calls.words(chunk)]

    def round_() -> list[int]:
        if how == "astream":
            return _LOOP.run_until_complete(timed())
        return [time.perf_counter_ns() for chunk in calls.stream(prompt) if calls.words(chunk)]

    return {"arrivals": [round_() for _ in range(rounds)], "chunks": chunks}


def memory(calls: Calls, how: str, form: str, files: list[str]) -> dict[str, Any]:
    """Growth of the resident memory at its peak, over the size of all pictures as base64."""
    call = _call(calls, how)
    assert call is not None
    call(calls.prompt(Load(2)))  # what the first request alone needs
    size = sum(-(-Path(file).stat().st_size // 3) * 4 for file in files)
    pictures = [_in_hand(Path(file), form) for file in files]
    return {"value": peak_of(lambda: call(calls.prompt(Load(2, pictures)))) / size, "size": size}


def peak_of(work: Callable[[], Any]) -> int:
    """Growth of this process's resident memory at its peak within `work`, in bytes."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def _in_hand(file: Path, form: str) -> Picture:
    if form == "path":
        return file
    data = file.read_bytes()
    return data if form == "bytes" else "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _status(name: str) -> int:
    """A figure of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


_OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    operation.__name__: operation for operation in (cpu, fan_out, arrivals, memory)
}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    name, host = sys.argv[1:]
    contender = CONTENDERS[name]
    try:
        calls = contender.open(host + PATHS[contender.api])
    except ImportError as error:
        say({"missing": str(error)})
        return
    say({})
    for line in sys.stdin:
        question = json.loads(line)
        say(_OPERATIONS[question.pop("operation")](calls, **question))
    os._exit(0)  # asked for the last time: not all contenders end quietly


if __name__ == "__main__":
    main()

"""Measure one library in a process of its own: an operation for each line of input, see `worker_process.py`."""

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

from bench.libraries import API_PATHS, LIBRARIES, ImageSource, LibraryCalls, Workload

_LOOP = asyncio.new_event_loop()  # one for all operations, so that connections are reused


def _drain(calls: LibraryCalls, prompt: Any) -> int:
    """Read a stream as a user does, and return the number of characters."""
    return sum(len(calls.text_of_chunk(chunk)) for chunk in calls.stream(prompt))


async def _adrain(calls: LibraryCalls, prompt: Any) -> int:
    """Read a stream asynchronously; see `_drain`."""
    characters = 0
    async for chunk in await calls.astream(prompt):
        characters += len(calls.text_of_chunk(chunk))
    return characters


def _select_call(calls: LibraryCalls, mode: str) -> Callable[[Any], Any] | None:
    return {
        "stream": lambda prompt: _drain(calls, prompt),
        "astream": lambda prompt: _LOOP.run_until_complete(_adrain(calls, prompt)),
        "invoke": calls.invoke,
    }[mode]


def measure_cpu(calls: LibraryCalls, mode: str, chunks: int, rounds: int) -> dict[str, Any]:
    """Measure the CPU time of all threads, in µs per chunk.

    The result is that of the best round, because other processes share the machine.
    """
    call = _select_call(calls, mode)
    if call is None:
        return {"value": None}
    prompt = calls.build_prompt(Workload(chunks))

    def run_round() -> float:
        gc.collect()
        start = time.process_time()
        call(prompt)
        return time.process_time() - start

    return {"value": min(run_round() for _ in range(rounds)) * 1e6 / chunks}


def measure_throughput(calls: LibraryCalls, streams: int, chunks: int, rounds: int) -> dict[str, Any]:
    """Measure the chunks per second of concurrent asynchronous streams."""
    prompt = calls.build_prompt(Workload(chunks))

    async def run_round() -> None:
        await asyncio.gather(*(_adrain(calls, prompt) for _ in range(streams)))

    gc.collect()
    start = time.perf_counter()
    for _ in range(rounds):
        _LOOP.run_until_complete(run_round())
    return {"value": streams * chunks * rounds / (time.perf_counter() - start)}


def measure_arrivals(calls: LibraryCalls, mode: str, chunks: int, rounds: int) -> dict[str, Any]:
    """Measure when each chunk that has text reaches the user, by `perf_counter_ns`, for each round."""
    prompt = calls.build_prompt(Workload(chunks))
    gc.collect()

    async def arun_round() -> list[int]:
        return [time.perf_counter_ns() async for chunk in await calls.astream(prompt) if calls.text_of_chunk(chunk)]

    def run_round() -> list[int]:
        if mode == "astream":
            return _LOOP.run_until_complete(arun_round())
        return [time.perf_counter_ns() for chunk in calls.stream(prompt) if calls.text_of_chunk(chunk)]

    return {"arrivals": [run_round() for _ in range(rounds)], "chunks": chunks}


def measure_memory(calls: LibraryCalls, mode: str, form: str, files: list[str]) -> dict[str, Any]:
    """Measure the peak growth of resident memory during a request, over the size of all its images as base64."""
    call = _select_call(calls, mode)
    assert call is not None
    call(calls.build_prompt(Workload(2)))  # allocate what only the first request needs
    size = sum(-(-Path(file).stat().st_size // 3) * 4 for file in files)
    images = [_load_image(Path(file), form) for file in files]
    peak = measure_peak_memory(lambda: call(calls.build_prompt(Workload(2, images))))
    return {"value": peak / size, "size": size}


def measure_agent(calls: LibraryCalls, turns: int, files: list[str]) -> dict[str, Any]:
    """Send a conversation with local images once a turn; the server counts the bytes."""
    call = calls.invoke_uploaded or calls.invoke
    assert call is not None
    images: list[ImageSource] = [Path(file) for file in files]
    for _ in range(turns):
        call(calls.build_prompt(Workload(2, images)))
    return {"size": sum(Path(file).stat().st_size for file in files)}


def measure_peak_memory(work: Callable[[], Any]) -> int:
    """Measure the peak growth of this process's resident memory during `work`, in bytes."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak, see proc_pid_clear_refs(5)
    before = _read_status("VmRSS")
    work()
    return _read_status("VmHWM") - before


def _load_image(file: Path, form: str) -> ImageSource:
    if form == "path":
        return file
    data = file.read_bytes()
    return data if form == "bytes" else "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _read_status(name: str) -> int:
    """Read a memory figure of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


_OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "cpu": measure_cpu,
    "throughput": measure_throughput,
    "arrivals": measure_arrivals,
    "memory": measure_memory,
    "agent": measure_agent,
}


def main() -> None:
    """Import the library, then respond to requests until standard input is closed."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keep what a library prints out of the responses

    def write(payload: dict[str, Any]) -> None:
        print(json.dumps(payload), file=output, flush=True)

    name, host = sys.argv[1:]
    library = LIBRARIES[name]
    try:
        calls = library.connect(host + API_PATHS[library.api])
    except ImportError as error:
        write({"import_error": str(error)})
        return
    write({})
    for line in sys.stdin:
        request = json.loads(line)
        write(_OPERATIONS[request.pop("operation")](calls, **request))
    os._exit(0)  # some libraries print errors or hang at a normal exit


if __name__ == "__main__":
    main()

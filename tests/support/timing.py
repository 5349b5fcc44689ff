"""Measure the processor time of parsers, and the pauses of event loops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def measure_seconds(parse: Callable[[str], object], text: str) -> float:
    """Return the shortest processor time of three calls."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        parse(text)
        best = min(best, time.process_time() - start)
    return best


class LoopMonitor:
    """Measures the longest time for which the event loop was blocked."""

    longest = 0.0

    async def watch(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last)
            last = now


def measure_slowdown() -> float:
    """Return how much longer a computation takes than its processor time: 1 on an idle machine."""
    start, start_of_thread = time.perf_counter(), time.thread_time()
    while time.thread_time() - start_of_thread < 0.05:
        pass
    return max(1.0, (time.perf_counter() - start) / 0.05)

"""Measure the processor time of parsers."""

from __future__ import annotations

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

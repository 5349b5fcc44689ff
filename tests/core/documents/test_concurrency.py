"""Tests of `map_ordered` alone; `test_transcription.py` covers the rest."""

from __future__ import annotations

import threading

from qwenvl_core.documents.concurrency import map_ordered


def test_map_ordered_closed_in_worker_does_not_join_itself() -> None:
    """The garbage collector may close the generator in one of its own threads."""
    has_first_result, is_closed = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def close_in_worker(item: int) -> None:
        if item == 1:
            return
        has_first_result.wait(10)
        try:
            results.close()
        except BaseException as error:
            errors.append(error)
        is_closed.set()

    results = map_ordered(close_in_worker, [1, 2], 2, finish_on_close=lambda: True)
    next(results)
    has_first_result.set()
    assert is_closed.wait(10)
    assert errors == []

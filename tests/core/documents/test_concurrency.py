"""Tests of `map_ordered` alone; `test_transcription.py` covers the rest."""

from __future__ import annotations

import threading
import time

import pytest

from qwenvl_core.documents.concurrency import map_ordered
from qwenvl_core.errors import QwenVLInputError
from tests.support.forks import can_fork, run_in_fork


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


@can_fork
@pytest.mark.parametrize("waits", [False, True])
def test_map_ordered_continued_in_forked_child_raises_instead_of_waiting(waits: bool) -> None:
    results = map_ordered(lambda item: time.sleep(item / 50), [0, 1, 2], 2, finish_on_close=lambda: waits)
    next(results)

    def continue_in_child() -> None:
        with pytest.raises(QwenVLInputError, match="Load the document again"):
            next(results)

    assert run_in_fork(continue_in_child) == 0
    assert len(list(results)) == 2

"""Submit and collect a batch of pages in a process that is killed at a step; see `tests/parity/test_batch_crashes.py`.

`python -m tests.support.batch_process URL FILE FOLDER` prints "ready", reads the numbers of steps from standard input,
and prints the exit code of the process that it forked for each: 9 if that ended at the step.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenvl_core.documents.batch_state import BatchState
from qwenvl_core.documents.page_cache import PageCache
from qwenvl_core.transport import batch_calls, batch_io
from qwenvl_core.transport.batch_files import BatchFileWriter
from tests.support.batch_documents import LangChainDocuments

BOUNDARIES: tuple[tuple[Any, str], ...] = (
    (batch_io, "_perform"),  # each request, and each look at the disk
    (batch_io, "_consume"),  # each group of lines of a result file
    (BatchFileWriter, "write"),
    (BatchState, "save"),
    (PageCache, "put"),
    (Path, "replace"),  # between a whole file and its name
    (os, "fsync"),
)
"""The functions before and after whose calls a process may end."""


def end_at(step: int, end: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Let the program end before or after the call with this number of a function in `BOUNDARIES`."""
    count = 0
    for owner, name in BOUNDARIES:
        original = getattr(owner, name)

        def wrapped(*args: Any, original: Any = original) -> Any:
            nonlocal count
            count += 2
            number = count
            if number - 1 == step:
                end()
            result = original(*args)
            if number == step:
                end()
            return result

        patch.setattr(owner, name, wrapped)


def shorten_pauses(patch: pytest.MonkeyPatch) -> None:
    """Do not wait between looks at a batch, nor for the disk: what a process wrote outlives it anyway."""
    patch.setattr(os, "fsync", lambda _: None)
    patch.setattr(batch_calls, "_FIRST_PAUSE", 0.01)
    patch.setattr(batch_calls, "_LOOK_UP_PAUSE", 0.01)


def _run(url: str, file: Path, cache: Path, step: int) -> None:
    patch = pytest.MonkeyPatch()
    shorten_pauses(patch)
    end_at(step, lambda: os._exit(9), patch)  # without any clean-up, as after SIGKILL
    documents = LangChainDocuments(url, file, cache_dir=cache)
    documents.submit()
    documents.collect(wait=True)
    documents.llm.close()
    patch.undo()


def main(url: str, file: str, folder: str) -> None:
    """Fork a process for each step; all modules are loaded before, by a batch that nothing interrupts."""
    _run(url, Path(file), Path(folder) / "loaded", 0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        process = os.fork()
        if not process:
            _run(url, Path(file), Path(folder) / line.strip(), int(line))
            os._exit(0)
        _, status = os.waitpid(process, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

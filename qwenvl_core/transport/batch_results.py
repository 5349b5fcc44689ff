"""Read the result files of finished batches, and read them again where something may still arrive.

A service may report the end of a batch before its files can be read, and a connection may end within a file without an
error. A result that was taken for missing would be paid for again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qwenvl_core.errors import QwenVLAPIError, QwenVLError
from qwenvl_core.transport import batch_calls
from qwenvl_core.transport.batch_steps import Flow, Pause, ReadLines
from qwenvl_core.types.batch import Batch
from qwenvl_core.wire.batches import ResultReader


@dataclass(frozen=True, slots=True)
class ResultSink:
    """What receives the results of a batch.

    Attributes:
        reader: Reads the lines.
        add_line: Called with each line; one that was read before may arrive again.
        has_all: Returns whether each request has a result.
    """

    reader: ResultReader
    add_line: Callable[[bytes], object]
    has_all: Callable[[], bool]


def read_results(batch: Batch, sink: ResultSink) -> Flow[QwenVLError | None]:
    """Read the files of a finished batch, several times if results are missing that may exist.

    Returns:
        Why answers that exist can't be read; `None` if what is missing does not exist.

    Raises:
        QwenVLError: A request failed.
    """
    pauses = batch_calls.list_pauses()
    while True:
        problem, may_change = yield from _read_once(batch, sink)
        if sink.has_all() or not may_change or not pauses:
            return None if sink.has_all() else problem
        yield Pause(pauses.pop(0))
        batch = yield from batch_calls.read_batch(batch.id)


def _read_once(batch: Batch, sink: ResultSink) -> Flow[tuple[QwenVLError | None, bool]]:
    """Read both files; return why answers can't be read, and whether reading again may give more."""
    reader, status = sink.reader, batch.status
    reader.start_file()
    failures = yield from _read_file(batch.error_file_id, sink)
    unreadable = reader.unreadable
    reader.start_file()
    problem = yield from _read_file(batch.output_file_id, sink)
    if problem is None and reader.unreadable and not reader.has_results:
        problem = _build_foreign_error(batch)
    reader.unreadable += unreadable
    is_short = reader.unreadable > 0 or failures is not None or sum(reader.answered.values()) < status.completed
    if batch.output_file_id:
        return problem, problem is not None or is_short
    is_expected = status.completed > 0 or (status.state == "completed" and not status.total)
    may_follow = is_short or is_expected or (status.state == "completed" and status.failed < status.total)
    return _build_not_ready_error(batch) if is_expected else None, may_follow


def _read_file(file_id: str, sink: ResultSink) -> Flow[QwenVLError | None]:
    """Read a file, if there is one; return the error of one that does not exist."""
    if not file_id:
        return None
    try:
        yield ReadLines(file_id, sink.add_line)
    except QwenVLError as error:
        if error.status_code not in batch_calls.GONE:
            raise
        error.hint = "The service may not have written it yet, or deleted it."
        return error
    return None


def _build_not_ready_error(batch: Batch) -> QwenVLError:
    status = batch.status
    return QwenVLAPIError(
        f"Batch {batch.id} is {status.state} with {status.completed} answers of {status.total} requests, but has no "
        "file of answers.",
        hint="The service may not have written it yet.",
    )


def _build_foreign_error(batch: Batch) -> QwenVLError:
    return QwenVLAPIError(
        f"The file {batch.output_file_id} with the answers of batch {batch.id} arrived as something else, without a "
        "result in it.",
        hint="A proxy may have answered. Check base_url=.",
    )

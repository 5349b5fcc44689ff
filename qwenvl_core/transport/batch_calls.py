"""Describe the requests that submit, follow and cancel batches, as flows of steps (`transport.batch_steps`)."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLError,
    QwenVLInputError,
    QwenVLInvalidRequestError,
    QwenVLTimeoutError,
)
from qwenvl_core.transport.batch_steps import Call, Flow, Pause
from qwenvl_core.transport.connection import Connection, HttpRequest
from qwenvl_core.transport.multipart import MultipartForm
from qwenvl_core.transport.retry import RetryPolicy
from qwenvl_core.types.batch import Batch, BatchStatus, merge_statuses
from qwenvl_core.wire import batches, files

Progress = Callable[[BatchStatus], object]

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE = 2.0  # seconds
_MAX_PAUSE = 60.0  # seconds
_LOOK_UP_PAUSE = 0.5  # seconds, doubled with each look: what exists may appear some seconds later
_LOOKS = 4  # after the first one
_MAX_PAGES = 100  # of the list of batches, for a server that would list them without an end
_UNCERTAIN = (408, 409, 429)  # statuses below 500 after which a request may be sent again
GONE = (400, 404, 410)
"""Statuses for a file or a batch that does not exist."""


@dataclass(frozen=True, slots=True)
class Order:
    """What all batches of one submission share.

    Attributes:
        connection: The connection, for its retries.
        model: The model.
        window: The time within which the service answers, e.g. `"24h"`.
    """

    connection: Connection
    model: str
    window: str


def check_window(window: str) -> None:
    """Check the time within which a batch is answered.

    Raises:
        QwenVLInputError: It is not a number of hours or days, or is below 24 hours.
    """
    match = re.fullmatch(r"([0-9]{1,5})([hd])", str(window))
    if match is None or int(match[1]) * (24 if match[2] == "d" else 1) < 24:
        raise QwenVLInputError(f'window={window!r} is invalid. Pass at least 24 hours, such as "24h" or "7d".')


def submit_files(order: Order, paths: Sequence[Path]) -> Flow[list[str]]:
    """Upload files and create a batch for each; return the ids of the batches.

    Raises:
        QwenVLError: A request failed; the hint names the batches that were created before. An interruption and a
            cancellation name them in a note.
    """
    ids: list[str] = []
    with name_created(ids):
        for path in paths:
            file_id = yield from upload_file(path)
            batch = yield from create_batch(order, file_id)
            ids.append(batch.id)
    return ids


@contextmanager
def name_created(ids: Sequence[str]) -> Iterator[None]:
    """Name the batches that were created, `ids`, in the hint or a note of an error."""
    try:
        yield
    except BaseException as error:
        if ids and isinstance(error, QwenVLError):
            error.hint = f"{_describe_created(ids)} {error.hint}"
        elif ids:
            error.add_note(_describe_created(ids))
        raise


def _describe_created(ids: Sequence[str]) -> str:
    return f"Batches created before the error, which batch_job({ids!r}) finds again."


def upload_file(path: Path) -> Flow[str]:
    """Upload an input file; return its id."""

    def build(file: BinaryIO | None) -> HttpRequest:
        assert file is not None
        form = MultipartForm(files.FIELDS, file, name=files.NAME, mime=files.MIME)
        return HttpRequest("POST", files.PATH, form, reads_files=True)

    return files.read_file_id((yield Call(build, path)))


def create_batch(order: Order, file_id: str, *, may_exist: bool = False, is_recent: bool = True) -> Flow[Batch]:
    """Create the batch of an input file, once: it is looked up before the request is ever repeated.

    Args:
        order: What the batch shares with others.
        file_id: The input file.
        may_exist: Whether an earlier request may have created it.
        is_recent: Whether that was so recently that the batch may not be in the list yet.
    """
    body = batches.encode_create(file_id, model=order.model, window=order.window, metadata={})
    policy = RetryPolicy(order.connection)
    looks = _LOOKS if is_recent else 0
    while True:
        if may_exist:
            found = yield from _look_for_batch(file_id, looks)
            if found:
                return found
        try:
            payload = yield Call(lambda _: HttpRequest("POST", batches.PATH, body), is_repeated=False)
            batch = batches.decode_batch(payload)
            _LOG.info("Created batch %s.", batch.id)
            return batch
        except QwenVLError as error:
            if is_refused(error):
                raise
            failure = error
        may_exist, looks = True, 0 if failure.status_code == 429 else _LOOKS
        delay = _find_delay(policy, failure)
        yield Pause(_LOOK_UP_PAUSE if delay is None else delay)
        if delay is None:  # the last attempt may have created it too
            found = yield from _look_for_batch(file_id, looks)
            if found:
                return found
            raise failure


def list_pauses(looks: int = _LOOKS) -> list[float]:
    """Return the seconds before each further look for what the service may show later: 7.5 in all."""
    return [_LOOK_UP_PAUSE * 2**index for index in range(looks)]


def _look_for_batch(file_id: str, looks: int) -> Flow[Batch | None]:
    """Find the batch of an input file, which may appear in the list some seconds after its creation."""
    found = yield from find_batch(file_id)
    for pause in list_pauses(looks):
        if found:
            break
        yield Pause(pause)
        found = yield from find_batch(file_id)
    return found


def find_batch(file_id: str) -> Flow[Batch | None]:
    """Find the newest batch of an input file."""
    after, visited = "", {""}
    while len(visited) <= _MAX_PAGES:
        query = batches.build_query(file_id, after=after)
        request = HttpRequest("GET", batches.PATH, params=query)
        payload = yield Call(partial(_return_request, request))
        found, after = batches.decode_page(payload, file_id)
        if found or after in visited:
            return found[0] if found else None
        visited.add(after)
    return None


def read_batch(batch_id: str) -> Flow[Batch]:
    """Read the description of a batch.

    Raises:
        QwenVLError: The request failed; the hint of a batch that does not exist says why that may be.
    """
    try:
        payload = yield Call(lambda _: HttpRequest("GET", batches.build_path(batch_id)))
    except QwenVLError as error:
        if error.status_code in GONE:
            error.message = f"Batch {batch_id} was not found: {error.message}"
            error.hint = (
                "Use the API key, region= and base_url= that it was submitted with; the service may have deleted it."
            )
        raise
    return batches.decode_batch(payload)


def read_batches(ids: Sequence[str]) -> Flow[list[Batch]]:
    """Read the descriptions of batches."""
    found: list[Batch] = []
    for batch_id in ids:
        batch = yield from read_batch(batch_id)
        found.append(batch)
    return found


def read_status(ids: Sequence[str]) -> Flow[BatchStatus]:
    """Read the status of batches together."""
    found = yield from read_batches(ids)
    return merge_statuses(batch.status for batch in found)


def cancel_batches(ids: Sequence[str]) -> Flow[BatchStatus]:
    """Cancel the batches that are not finished; return the status of all.

    Raises:
        QwenVLError: A request failed; the other batches were cancelled nevertheless.
    """
    statuses: list[BatchStatus] = []
    failure: QwenVLError | None = None
    for batch_id in ids:
        try:
            batch = yield from _cancel(batch_id)
            statuses.append(batch.status)
        except QwenVLError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return merge_statuses(statuses)


def _cancel(batch_id: str) -> Flow[Batch]:
    batch = yield from read_batch(batch_id)
    if batch.status.is_finished:
        return batch
    try:
        request = HttpRequest("POST", batches.build_path(batch_id, "cancel"))
        return batches.decode_batch((yield Call(lambda _: request)))
    except QwenVLError as error:
        if not is_refused(error):
            raise
        batch = yield from read_batch(batch_id)  # it may have ended meanwhile
        if not batch.status.is_finished:
            raise
        return batch


def poll_batches(
    ids: Sequence[str], timeout: float | None, progress: Progress | None, *, skips_gone: bool = False
) -> Flow[BatchStatus]:
    """Wait until batches are finished; return their status.

    Args:
        ids: The batches.
        timeout: Seconds to wait at most; `None` for no limit.
        progress: Called with each status.
        skips_gone: Whether that a batch does not exist is raised only when the others are finished.

    Raises:
        QwenVLTimeoutError: They are not finished in time.
        QwenVLError: A request failed.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    finished: dict[str, BatchStatus] = {}
    gone: dict[str, QwenVLError] = {}
    pause = _FIRST_PAUSE
    while True:
        waiting = [batch_id for batch_id in ids if batch_id not in finished and batch_id not in gone]
        current = finished | (yield from _read_waiting(waiting, gone))
        for error in gone.values():
            if not skips_gone or not current:
                raise error
        finished = {batch_id: status for batch_id, status in current.items() if status.is_finished}
        status = merge_statuses(current.values())
        if progress is not None:
            progress(status)
        if status.is_finished:
            break
        left = pause if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise QwenVLTimeoutError(
                f"The batch is not finished after {timeout:g} seconds: its state is {status.state!r}.",
                hint="It goes on. Wait again with a longer timeout=, or later.",
            )
        yield Pause(min(pause, left))
        pause = min(pause * 2, _MAX_PAUSE)
    for error in gone.values():
        raise error
    return status


def _read_waiting(ids: Sequence[str], gone: dict[str, QwenVLError]) -> Flow[dict[str, BatchStatus]]:
    """Read the status of batches; put the errors of those that do not exist into `gone`."""
    current: dict[str, BatchStatus] = {}
    for batch_id in ids:
        try:
            batch = yield from read_batch(batch_id)
            current[batch_id] = batch.status
        except QwenVLError as error:
            if error.status_code not in GONE:
                raise
            gone[batch_id] = error
    return current


def is_refused(error: QwenVLError) -> bool:
    """Return whether the service refused a request, so that it had no effect and is not sent again."""
    status = error.status_code
    return status is not None and 400 <= status < 500 and status not in _UNCERTAIN


def check_finished(found: Iterable[Batch]) -> None:
    """Check that batches have results.

    Raises:
        QwenVLInputError: A batch is not finished.
    """
    for batch in found:
        if not batch.status.is_finished:
            raise QwenVLInputError(
                f"Batch {batch.id} has no results yet: its state is {batch.status.state!r}. Wait for it with poll()."
            )


def build_missing_error(batch: Batch, custom_id: str, *, unreadable: int = 0) -> QwenVLError:
    """Build the error of a request that is in neither file.

    Args:
        batch: The batch.
        custom_id: The id of the request.
        unreadable: Number of lines in the files that can't be read, one of which may be its result.
    """
    state = batch.status.state
    if batch.errors:
        return QwenVLInvalidRequestError(f"Batch {batch.id} is {state}: {'; '.join(batch.errors)}")
    lines = f" Lines of its results that can't be read: {unreadable}." if unreadable else ""
    return QwenVLAPIError(
        f"Batch {batch.id} is {state} and has no result for request {custom_id!r}.{lines}",
        hint="Submit the request again.",
    )


def _return_request(request: HttpRequest, _file: BinaryIO | None) -> HttpRequest:
    return request


def _find_delay(policy: RetryPolicy, error: QwenVLError) -> float | None:
    """Return the seconds before the next attempt; `None` if there is none."""
    try:
        return policy.next_delay(error)
    except QwenVLError:
        return None

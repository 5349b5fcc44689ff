"""Submit chat requests as batch files, and follow the batches."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from qwenvl_core.client.batch_results import Convert, ResultCollector, number_requests
from qwenvl_core.errors import QwenVLError, QwenVLInputError
from qwenvl_core.request.batch_demand import reduce_request
from qwenvl_core.transport import batch_calls
from qwenvl_core.transport.batch_calls import GONE, Order, Progress, check_finished
from qwenvl_core.transport.batch_files import BatchFileWriter, check_length, encode_line
from qwenvl_core.transport.batch_io import arun, run
from qwenvl_core.transport.batch_results import read_results
from qwenvl_core.transport.batch_steps import Flow, ReadLines, Work, write_all
from qwenvl_core.types.batch import Batch, BatchStatus
from qwenvl_core.types.request import PreparedRequest, Request

if TYPE_CHECKING:
    from qwenvl_core.client.client import Client
    from qwenvl_core.client.config import ModelConfig

T = TypeVar("T")
BuildRequest = Callable[[], Request]
ErrorContext = Callable[[], AbstractContextManager[object]]
"""Raises core errors as those of a framework."""


class BatchJob(Generic[T]):
    """Batches that were submitted together.

    A job can be pickled, and found again by its ids. It holds no key: the model reads it from the environment.

    Attributes:
        ids: The vendor's ids of the batches; none without requests.

    Example:
        ```python
        from langchain_qwenvl import ChatQwenVL

        llm = ChatQwenVL(enable_thinking=False)
        job = llm.submit_batch(["What is 17 times 23?", "And 18 times 23?"])
        print(job.poll(timeout=86_400).state)
        for reply in llm.batch_job(job.ids).results():  # in another process too
            print(reply)
        ```
    """

    def __init__(
        self,
        ids: Iterable[str],
        llm: ModelConfig,
        convert: Convert[T] | None,
        requests: Sequence[Sequence[PreparedRequest]] | None = None,
        *,
        error_context: ErrorContext = nullcontext,
    ) -> None:
        """Set the batches and how their results are read.

        Args:
            ids: Ids of the batches.
            llm: The model, for its connection.
            convert: Converts an outcome to a framework's message or error, a module's function; `None` for a job whose
                results are collected by a loader.
            requests: The requests of each batch, reduced to what checks their replies; by default they are read from
                the input files.
            error_context: Raises core errors as those of the framework, a module's function.
        """
        self.ids = list(ids)
        self._llm = llm
        self._convert = convert
        self._requests = requests
        self._error_context = error_context

    def __repr__(self) -> str:
        return f"{type(self).__name__}(ids={self.ids!r})"

    @property
    def _client(self) -> Client:
        return self._llm._client

    def status(self) -> BatchStatus:
        """Return the status of the batches together.

        Raises:
            QwenVLError: A request failed.
        """
        with self._error_context():
            return run(self._client, batch_calls.read_status(self.ids))

    async def astatus(self) -> BatchStatus:
        """Return the status asynchronously; see `status`."""
        with self._error_context():
            return await arun(self._client, batch_calls.read_status(self.ids))

    def poll(self, timeout: float | None = None, progress: Progress | None = None) -> BatchStatus:
        """Wait until all batches are finished; return their status.

        Args:
            timeout: Seconds to wait at most; `None` for no limit.
            progress: Called with each `BatchStatus`.

        Raises:
            QwenVLTimeoutError: They are not finished in time.
            QwenVLError: A request failed.
        """
        with self._error_context():
            return run(self._client, batch_calls.poll_batches(self.ids, timeout, progress))

    async def apoll(self, timeout: float | None = None, progress: Progress | None = None) -> BatchStatus:
        """Wait asynchronously; see `poll`."""
        with self._error_context():
            return await arun(self._client, batch_calls.poll_batches(self.ids, timeout, progress))

    def cancel(self) -> BatchStatus:
        """Cancel the batches that are not finished; return the status. What was done is billed and has results."""
        with self._error_context():
            return run(self._client, batch_calls.cancel_batches(self.ids))

    async def acancel(self) -> BatchStatus:
        """Cancel the batches asynchronously; see `cancel`."""
        with self._error_context():
            return await arun(self._client, batch_calls.cancel_batches(self.ids))

    def results(self) -> list[T]:
        """Return one reply or error for each request, in the order of the requests.

        Raises:
            QwenVLInputError: A batch is not finished, or the results are collected by a loader.
            QwenVLError: A request failed.
        """
        with self._error_context():
            return run(self._client, self._read_results(self._check_convert()))

    async def aresults(self) -> list[T]:
        """Return the replies and errors asynchronously; see `results`."""
        with self._error_context():
            return await arun(self._client, self._read_results(self._check_convert()))

    def _read_results(self, convert: Convert[T]) -> Flow[list[T]]:
        found = yield from batch_calls.read_batches(self.ids)
        check_finished(found)
        outcomes: list[T] = []
        for collector in self._create_collectors(found, convert):
            if collector.requests is None and collector.batch.input_file_id:
                yield from _read_requests(collector)
            problem = yield from read_results(collector.batch, collector.sink)
            if problem is not None and collector.batch.output_file_id:
                raise problem
            outcomes += collector.finish(problem)
        return outcomes

    def _check_convert(self) -> Convert[T]:
        if self._convert is None:
            raise QwenVLInputError(
                "This batch holds the pages of a loader. Call collect_batch() of the loader instead."
            )
        return self._convert

    def _create_collectors(self, found: list[Batch], convert: Convert[T]) -> list[ResultCollector[T]]:
        numbered = [None] * len(found) if self._requests is None else number_requests(self._requests)
        return [ResultCollector(batch, convert, requests) for batch, requests in zip(found, numbered, strict=True)]


def _read_requests(collector: ResultCollector[T]) -> Flow[None]:
    """Read the requests of a batch from its input file; where it is gone, replies are not checked."""
    try:
        yield ReadLines(collector.batch.input_file_id, collector.add_request)
    except QwenVLError as error:
        if error.status_code not in GONE:
            raise
        collector.requests = None


def submit(
    llm: ModelConfig,
    requests: Iterable[BuildRequest],
    convert: Convert[T],
    *,
    window: str,
    error_context: ErrorContext = nullcontext,
) -> BatchJob[T]:
    """Submit chat requests as batches.

    Args:
        llm: The model.
        requests: Functions that build the requests, so that an error names the index of its request.
        convert: Converts an outcome; see `BatchJob`.
        window: The time within which the service answers, at least `"24h"`.
        error_context: See `BatchJob`.

    Raises:
        QwenVLInputError: A request can't be sent in a batch; nothing was sent.
        QwenVLError: A request failed.
    """
    return run(llm._client, _submit(llm, requests, convert, window, error_context))


async def asubmit(
    llm: ModelConfig,
    requests: Iterable[BuildRequest],
    convert: Convert[T],
    *,
    window: str,
    error_context: ErrorContext = nullcontext,
) -> BatchJob[T]:
    """Submit chat requests asynchronously; files are written in a thread. See `submit`."""
    return await arun(llm._client, _submit(llm, requests, convert, window, error_context))


def _submit(
    llm: ModelConfig,
    requests: Iterable[BuildRequest],
    convert: Convert[T],
    window: str,
    error_context: ErrorContext,
) -> Flow[BatchJob[T]]:
    batch_calls.check_window(window)
    folder = _Folder()
    try:
        lines = _RequestLines(llm._client, requests, (yield Work(folder.create)))
        yield from lines.write()
        model = lines.groups[0][0].settings.model if lines.groups else llm.model
        order = Order(llm._client.connection, model, window)
        ids = yield from batch_calls.submit_files(order, lines.writer.paths)
    except BaseException:
        yield Work(folder.remove)
        raise
    with batch_calls.name_created(ids):
        yield Work(folder.remove)
    return BatchJob(ids, llm, convert, lines.groups, error_context=error_context)


class _Folder:
    """A temporary folder, which is removed even if a cancellation meets its creation in a thread."""

    def __init__(self) -> None:
        self._path: Path | None = None

    def create(self) -> Path:
        """Create the folder."""
        self._path = Path(tempfile.mkdtemp(prefix="qwenvl-batch-"))
        return self._path

    def remove(self) -> None:
        """Remove the folder, if it was created."""
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)


class _RequestLines:
    """Write the lines of requests to files.

    Attributes:
        writer: Has the files.
        groups: The requests of each file, reduced to what checks their replies.
    """

    def __init__(self, client: Client, requests: Iterable[BuildRequest], folder: Path) -> None:
        self.writer = BatchFileWriter(folder)
        self.groups: list[list[PreparedRequest]] = []
        self._client = client
        self._requests = enumerate(requests)

    def write(self) -> Flow[None]:
        """Write all lines, one after the other."""
        return write_all(self._write_next, self.writer.close)

    def _write_next(self) -> bool:
        """Write the line of the next request; return whether there is one."""
        index, build = next(self._requests, (0, None))
        if build is None:
            return False
        try:
            prepared, body = self._client.prepare_batch_body(build())
            line = encode_line(str(index), body)
            check_length(line)
        except QwenVLError as error:
            error.message = f"inputs[{index}]: {error.message}"
            raise
        number = self.writer.write(line)
        if number == len(self.groups):
            self.groups.append([])
        self.groups[number].append(reduce_request(prepared))
        return True

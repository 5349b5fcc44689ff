"""Submit chat requests as batch files, and follow the batches."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from qwenvl_core.client.batch_results import Convert, ResultCollector, number_requests
from qwenvl_core.errors import QwenVLError, QwenVLInputError
from qwenvl_core.request.batch_demand import reduce_request
from qwenvl_core.transport import batch_calls
from qwenvl_core.transport.batch_calls import Order, Progress, check_finished, list_result_files
from qwenvl_core.transport.batch_files import BatchFileWriter, check_length, encode_line
from qwenvl_core.transport.batch_io import aiterate_lines, arun, iterate_lines, run
from qwenvl_core.types.batch import Batch, BatchStatus
from qwenvl_core.types.request import PreparedRequest, Request

if TYPE_CHECKING:
    from qwenvl_core.client.client import Client
    from qwenvl_core.client.config import ModelConfig

T = TypeVar("T")
BuildRequest = Callable[[], Request]
ErrorContext = Callable[[], AbstractContextManager[object]]
"""Raises core errors as those of a framework."""

_GONE = (400, 404, 410)  # statuses for a file that does not exist


class BatchJob(Generic[T]):
    """Batches that were submitted together.

    A job can be pickled, and found again by its ids. It holds no key: the model reads it from the environment.

    Attributes:
        ids: The vendor's ids of the batches; none without requests.
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
            return self._read_results()

    async def aresults(self) -> list[T]:
        """Return the replies and errors asynchronously; see `results`."""
        with self._error_context():
            return await self._aread_results()

    def _read_results(self) -> list[T]:
        convert = self._check_convert()
        found = run(self._client, batch_calls.read_batches(self.ids))
        check_finished(found)
        outcomes: list[T] = []
        for collector in self._create_collectors(found, convert):
            if collector.requests is None and collector.batch.input_file_id:
                self._read_requests(collector)
            for file_id in list_result_files(collector.batch):
                for line in iterate_lines(self._client, file_id):
                    collector.add_result(line)
            outcomes += collector.finish()
        return outcomes

    async def _aread_results(self) -> list[T]:
        convert = self._check_convert()
        found = await arun(self._client, batch_calls.read_batches(self.ids))
        check_finished(found)
        outcomes: list[T] = []
        for collector in self._create_collectors(found, convert):
            if collector.requests is None and collector.batch.input_file_id:
                await self._aread_requests(collector)
            for file_id in list_result_files(collector.batch):
                async for line in aiterate_lines(self._client, file_id):
                    collector.add_result(line)
            outcomes += collector.finish()
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

    def _read_requests(self, collector: ResultCollector[T]) -> None:
        """Read the requests from the input file; where it is gone, replies are not checked."""
        try:
            for line in iterate_lines(self._client, collector.batch.input_file_id):
                collector.add_request(line)
        except QwenVLError as error:
            _forget_requests(collector, error)

    async def _aread_requests(self, collector: ResultCollector[T]) -> None:
        try:
            async for line in aiterate_lines(self._client, collector.batch.input_file_id):
                collector.add_request(line)
        except QwenVLError as error:
            _forget_requests(collector, error)


def _forget_requests(collector: ResultCollector[T], error: QwenVLError) -> None:
    """Go on without the requests if the input file is gone, else raise."""
    if error.status_code not in _GONE:
        raise error
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
    batch_calls.check_window(window)
    with tempfile.TemporaryDirectory(prefix="qwenvl-batch-") as folder:
        paths, groups = _write_files(llm._client, requests, Path(folder))
        order = _build_order(llm, groups, window)
        ids = run(llm._client, batch_calls.submit_files(order, paths))
        return BatchJob(ids, llm, convert, groups, error_context=error_context)


async def asubmit(
    llm: ModelConfig,
    requests: Iterable[BuildRequest],
    convert: Convert[T],
    *,
    window: str,
    error_context: ErrorContext = nullcontext,
) -> BatchJob[T]:
    """Submit chat requests asynchronously; files are written in a thread. See `submit`."""
    batch_calls.check_window(window)
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="qwenvl-batch-")
    try:
        paths, groups = await asyncio.to_thread(_write_files, llm._client, requests, Path(folder.name))
        order = _build_order(llm, groups, window)
        ids = await arun(llm._client, batch_calls.submit_files(order, paths))
        return BatchJob(ids, llm, convert, groups, error_context=error_context)
    finally:
        await asyncio.to_thread(folder.cleanup)


def _build_order(llm: ModelConfig, groups: Sequence[Sequence[PreparedRequest]], window: str) -> Order:
    model = groups[0][0].settings.model if groups else llm.model
    return Order(llm._client.connection, model, window)


def _write_files(
    client: Client, requests: Iterable[BuildRequest], folder: Path
) -> tuple[list[Path], list[list[PreparedRequest]]]:
    """Write the lines of all requests; return the files, and the reduced requests of each."""
    groups: list[list[PreparedRequest]] = []
    with BatchFileWriter(folder) as writer:
        for index, build in enumerate(requests):
            try:
                prepared, body = client.prepare_batch_body(build())
                line = encode_line(str(index), body)
                check_length(line)
            except QwenVLError as error:
                error.message = f"inputs[{index}]: {error.message}"
                raise
            number = writer.write(line)
            if number == len(groups):
                groups.append([])
            groups[number].append(reduce_request(prepared))
    return writer.paths, groups

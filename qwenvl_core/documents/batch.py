"""Transcribe the pages of documents by batch files: submit those that the cache lacks, and collect the answers.

The custom id of a line is the cache key of its page, so that the answers of any batch go to the cache, also in another
process.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Generator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from qwenvl_core.documents.batch_state import (
    BatchRecord,
    BatchState,
    build_record,
    describe_error,
    describe_transcription,
)
from qwenvl_core.documents.page_cache import PageCache, PageTranscription
from qwenvl_core.errors import QwenVLError, QwenVLInputError
from qwenvl_core.layout import REPETITION, parse_layout
from qwenvl_core.rendering.pages import PageImage, shrink_jpeg
from qwenvl_core.transport import batch_calls
from qwenvl_core.transport.batch_calls import GONE, Order, Progress, build_missing_error
from qwenvl_core.transport.batch_files import BatchFileWriter, check_length, encode_line, get_excess, is_too_long
from qwenvl_core.transport.batch_io import TransportSource
from qwenvl_core.transport.batch_results import ResultSink, read_results
from qwenvl_core.transport.batch_steps import Flow, Work, write_all
from qwenvl_core.types.batch import Batch, BatchResult, BatchStatus, merge_statuses
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.wire.batches import ResultReader

_SETTLING_TIME = 60.0  # seconds; a batch that was requested earlier is in the list, if it was created

Page = tuple[PageImage, str]
"""A page and its cache key."""


class BatchClient(TransportSource, Protocol):
    """What builds and reads the lines of batches: `qwenvl_core.client.client.Client`."""

    def prepare_batch_body(self, request: Request) -> tuple[PreparedRequest, dict[str, Any]]:
        """Return a request as batch files have it, and its body."""

    def decode_batch_result(self, result: BatchResult, model: str) -> Reply | QwenVLError:
        """Decode a result."""


class RequestBuilder(Protocol):
    """What builds the requests of pages: `qwenvl_core.documents.chat_transcriber.ChatTranscriber`."""

    def get_client(self) -> BatchClient:
        """Return the client of the model."""

    def build_request(self, page: PageImage, prompt: str) -> Request:
        """Build the request of a page."""


def get_state(cache_dir: str | Path | None) -> BatchState:
    """Return the state of the batches of a cache folder.

    Raises:
        QwenVLInputError: There is no cache folder.
    """
    if cache_dir is None:
        raise QwenVLInputError("Missing cache_dir: batches keep their ids and answers there. Pass cache_dir=.")
    return BatchState(cache_dir)


def submit_pages(
    state: BatchState, builder: RequestBuilder, pages: Generator[Page], prompt: str, window: str
) -> Flow[list[str]]:
    """Submit pages that are not in the cache, except those that wait in a batch.

    Args:
        state: The batches so far; a submission that a crash interrupted is completed first.
        builder: Builds the requests.
        pages: The pages; they are rendered while they are written, and not kept.
        prompt: The prompt.
        window: The time within which the service answers.

    Returns:
        The ids of all batches that the pages wait in.
    """
    batch_calls.check_window(window)
    client = builder.get_client()
    lock = yield from state.acquire_lock()
    try:
        try:
            yield from _resume(state, client)
        except QwenVLError as error:
            if error.retryable:
                raise
            # A batch that the service refuses does not keep other pages from being submitted; it is raised below.
        folder: Path = yield Work(state.create_folder)
        try:
            lines = _PageLines(state, builder, pages, prompt, window, folder)
            yield from lines.write()
            for path, record in zip(lines.writer.paths, lines.records, strict=True):
                yield Work(partial(state.add_record, path, record))
        finally:
            yield Work(partial(shutil.rmtree, folder, ignore_errors=True))
        yield from _resume(state, client)
        return [record.batch_id for record in state.list_pending() if not lines.keys.isdisjoint(record.pages)]
    finally:
        lock.release()


def collect_pages(
    state: BatchState,
    client: BatchClient,
    cache: PageCache,
    *,
    wait: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Flow[BatchStatus]:
    """Fetch the answers of all finished batches into the cache; return the status of those that were waited for.

    Raises:
        QwenVLTimeoutError: With `wait`, they are not finished in time; those that are were fetched.
        QwenVLError: A request failed; what could be fetched was.
    """
    lock = yield from state.acquire_lock()
    try:
        failure = None
        try:
            yield from _resume(state, client)
        except QwenVLError as error:  # what was created before is fetched nevertheless
            failure = error
        pending = [record for record in state.list_pending() if record.batch_id]
        if not pending and failure is not None:
            raise failure
        if not pending:
            return state.get_last_status() if state.read_records() else merge_statuses(())
    finally:
        lock.release()
    unfinished = None
    if wait:
        try:
            ids = [record.batch_id for record in pending]
            yield from batch_calls.poll_batches(ids, timeout, progress, skips_gone=True)
        except QwenVLError as error:
            unfinished = error
    names = {record.name for record in pending}
    lock = yield from state.acquire_lock()
    try:
        status, failure = yield from _collect_all(state, client, cache, names, failure)
    finally:
        lock.release()
    failure = failure or unfinished
    if failure is not None:
        raise failure
    if progress is not None and not wait:
        progress(status)
    return status


class _PageLines:
    """Write the lines of pages to files.

    Attributes:
        writer: Has the files.
        records: The record of each file.
        keys: The cache keys of all pages.
    """

    def __init__(
        self,
        state: BatchState,
        builder: RequestBuilder,
        pages: Generator[Page],
        prompt: str,
        window: str,
        folder: Path,
    ) -> None:
        self.writer = BatchFileWriter(folder)
        self.records: list[BatchRecord] = []
        self.keys: set[str] = set()
        self._state = state
        self._builder = builder
        self._pages = pages
        self._prompt = prompt
        self._window = window
        self._group = uuid.uuid4().hex

    def write(self) -> Flow[None]:
        """Write all lines, page by page."""
        return write_all(self._write_next, self._close)

    def _write_next(self) -> bool:
        """Render and write the next page; return whether there is one."""
        for page, key in self._pages:
            is_known = key in self.keys or self._state.find_pending(key) is not None
            self.keys.add(key)
            if not is_known:
                self._write_page(page, key)
            return True
        return False

    def _write_page(self, page: PageImage, key: str) -> None:
        model, line, is_reduced = _encode_page(self._builder, page, key, self._prompt)
        index = self.writer.write(line)
        if index == len(self.records):
            self.records.append(build_record(self._group, index, model, self._window))
        self.records[index].pages[key] = page.number
        if is_reduced:
            self.records[index].reduced.append(key)

    def _close(self) -> None:
        self.writer.close()
        self._pages.close()


def _encode_page(builder: RequestBuilder, page: PageImage, key: str, prompt: str) -> tuple[str, Any, bool]:
    """Return the model, the line of a page, and whether its image was reduced to fit."""
    client = builder.get_client()
    prepared, body = client.prepare_batch_body(builder.build_request(page, prompt))
    line = encode_line(key, body)
    if not is_too_long(line):
        return prepared.settings.model, line, False
    limit = len(page.jpeg) - get_excess(line) * 3 // 4 - 8  # base64 has four characters for three bytes
    reduced = replace(page, jpeg=shrink_jpeg(page.jpeg, limit))
    prepared, body = client.prepare_batch_body(builder.build_request(reduced, prompt))
    line = encode_line(key, body)
    check_length(line)
    return prepared.settings.model, line, True


def _resume(state: BatchState, client: BatchClient) -> Flow[None]:
    """Upload and create what is written and not created yet."""
    failure: QwenVLError | None = None
    for record in state.list_pending():
        if not record.batch_id:
            try:
                yield from _create(state, client, record)
            except QwenVLError as error:
                failure = failure or error
                if error.retryable:
                    break
    if failure is not None:
        raise failure


def _create(state: BatchState, client: BatchClient, record: BatchRecord) -> Flow[None]:
    path = state.get_input_path(record)
    may_exist, age = bool(record.file_id), abs(time.time() - record.requested)
    if not record.file_id:
        if not (yield Work(partial(state.has_whole_input, record))):  # never uploaded, so nothing is paid for
            yield Work(partial(state.remove, record))
            return
        record.file_id = yield from batch_calls.upload_file(path)
    record.requested = time.time()
    yield Work(partial(state.save, record))
    order = Order(client.connection, record.model, record.window)
    try:
        batch = yield from batch_calls.create_batch(
            order, record.file_id, may_exist=may_exist, is_recent=age < _SETTLING_TIME
        )
    except QwenVLError as error:
        if batch_calls.is_refused(error):
            record.requested = 0
            yield Work(partial(state.save, record))
            state.add_way_out(error, record)
        raise
    record.batch_id = batch.id
    yield Work(partial(state.save, record))
    yield Work(partial(path.unlink, missing_ok=True))


def _collect_all(
    state: BatchState, client: BatchClient, cache: PageCache, names: set[str], failure: QwenVLError | None
) -> Flow[tuple[BatchStatus, QwenVLError | None]]:
    """Fetch the answers of all batches that are finished; return their status, and the first error.

    An error of one batch, such as a file that is gone, does not keep the answers of others from being fetched; one that
    others would have too, such as a server that is down, ends the work.
    """
    statuses: list[BatchStatus] = []
    for record in [record for record in state.read_records() if record.name in names]:
        try:
            status, problem = yield from _collect(state, client, cache, record)
            statuses.append(status)
            failure = failure or problem
        except QwenVLError as error:
            failure = failure or error
            if error.retryable:
                break
    return merge_statuses(statuses), failure


def _collect(
    state: BatchState, client: BatchClient, cache: PageCache, record: BatchRecord
) -> Flow[tuple[BatchStatus, QwenVLError | None]]:
    """Fetch the answers of one batch if it is finished; return its status, and why its answers can't be read."""
    try:
        batch = yield from batch_calls.read_batch(record.batch_id)
    except QwenVLError as error:
        if error.status_code in GONE:
            state.add_way_out(error, record)
        raise
    status = batch.status
    if record.is_collected or not status.is_finished:
        return status, None
    results = _PageResults(client, cache, record, batch)
    problem = yield from read_results(batch, results.sink)
    if problem is not None:
        state.add_way_out(problem, record)
        return status, problem
    results.add_missing()
    record.status = asdict(status)
    record.is_collected = True
    yield Work(partial(state.save, record))
    return status, None


class _PageResults:
    """Keep the results of one batch: answers in the cache, other outcomes in its record."""

    def __init__(self, client: BatchClient, cache: PageCache, record: BatchRecord, batch: Batch) -> None:
        self._client = client
        self._cache = cache
        self._record = record
        self._batch = batch
        self._reader = ResultReader()

    @property
    def sink(self) -> ResultSink:
        """What receives the lines of the results."""
        return ResultSink(self._reader, self._keep_line, self._has_all)

    def _has_all(self) -> bool:
        return self._record.pages.keys() <= self._reader.answered.keys()

    def _keep_line(self, line: bytes) -> None:
        """Keep the result of a line; one that can't be read, or of no page of the batch, is left out."""
        result = self._reader.read(line)
        if result is not None and result.custom_id in self._record.pages:
            self._keep(result.custom_id, self._client.decode_batch_result(result, self._record.model))

    def add_missing(self) -> None:
        """Add an error for each page without a result."""
        for key in self._record.pages:
            if key not in self._reader.answered:
                error = build_missing_error(self._batch, key, unreadable=self._reader.unreadable)
                self._record.outcomes[key] = describe_error(error)

    def _keep(self, key: str, outcome: Reply | QwenVLError) -> None:
        """Put an answer into the cache; one that is cut off or runs in a loop, and an error, go to the record."""
        self._record.outcomes.pop(key, None)
        if isinstance(outcome, QwenVLError):
            self._record.outcomes[key] = describe_error(outcome)
            return
        transcription = _build_transcription(outcome, is_reduced=key in self._record.reduced)
        if transcription.finish_reason == "length" or REPETITION in parse_layout(transcription.text).warnings:
            self._record.outcomes[key] = describe_transcription(transcription)
        else:
            self._cache.put(key, transcription)


def _build_transcription(reply: Reply, *, is_reduced: bool) -> PageTranscription:
    usage = reply.usage
    counts = (
        {}
        if usage is None
        else {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "total_tokens": usage.total,
            "reasoning_tokens": usage.reasoning or 0,
            "image_tokens": usage.image or 0,
        }
    )
    finish = reply.finish
    return PageTranscription(
        reply.text, finish.finish_reason, finish.model, counts, finish.ocr_result, True if is_reduced else None
    )

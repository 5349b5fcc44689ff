"""Transcribe the pages of documents by batch files: submit those that the cache lacks, and collect the answers.

The custom id of a line is the cache key of its page, so that the answers of any batch go to the cache, also in another
process.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from dataclasses import replace
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
from qwenvl_core.transport.batch_calls import Order, Progress, build_missing_error, list_result_files
from qwenvl_core.transport.batch_files import BatchFileWriter, check_length, encode_line, get_excess, is_too_long
from qwenvl_core.transport.batch_io import TransportSource, iterate_lines, run
from qwenvl_core.types.batch import Batch, BatchResult, BatchStatus, merge_statuses
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.wire import batches

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
    state: BatchState, builder: RequestBuilder, pages: Iterable[Page], prompt: str, window: str
) -> list[str]:
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
    keys: set[str] = set()
    with state.lock():
        _resume(state, client)
        folder = state.create_folder()
        try:
            for path, record in _write_pages(state, builder, pages, prompt, window, folder, keys):
                state.add_record(path, record)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _resume(state, client)
        return [record.batch_id for record in state.list_pending() if not keys.isdisjoint(record.pages)]


def collect_pages(
    state: BatchState,
    client: BatchClient,
    cache: PageCache,
    *,
    wait: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> BatchStatus:
    """Fetch the answers of all finished batches into the cache; return the status of those that were waited for.

    Raises:
        QwenVLTimeoutError: With `wait`, they are not finished in time.
        QwenVLError: A request failed.
    """
    with state.lock():
        _resume(state, client)
        pending = state.list_pending()
        if not pending:
            return state.get_last_status() if state.read_records() else merge_statuses(())
    if wait:
        run(client, batch_calls.poll_batches([record.batch_id for record in pending], timeout, progress))
    names = {record.name for record in pending}
    with state.lock():
        records = [record for record in state.read_records() if record.name in names]
        statuses = [_collect(state, client, cache, record) for record in records]
    status = merge_statuses(statuses)
    if progress is not None and not wait:
        progress(status)
    return status


def _write_pages(
    state: BatchState,
    builder: RequestBuilder,
    pages: Iterable[Page],
    prompt: str,
    window: str,
    folder: Path,
    keys: set[str],
) -> list[tuple[Path, BatchRecord]]:
    """Write the lines of pages; return the files with their records, and add the pages' keys to `keys`."""
    group = uuid.uuid4().hex
    records: list[BatchRecord] = []
    with BatchFileWriter(folder) as writer:
        for page, key in pages:
            is_known = key in keys or state.find_pending(key) is not None
            keys.add(key)
            if is_known:
                continue
            model, line, is_reduced = _encode_page(builder, page, key, prompt)
            index = writer.write(line)
            if index == len(records):
                records.append(build_record(group, index, model, window))
            records[index].pages[key] = page.number
            if is_reduced:
                records[index].reduced.append(key)
    return list(zip(writer.paths, records, strict=True))


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


def _resume(state: BatchState, client: BatchClient) -> None:
    """Upload and create what is written and not created yet."""
    for record in list(state.list_pending()):
        if not record.batch_id:
            _create(state, client, record)


def _create(state: BatchState, client: BatchClient, record: BatchRecord) -> None:
    path = state.get_input_path(record)
    may_exist = bool(record.file_id)
    if not record.file_id:
        if not path.exists():  # it was never uploaded, so nothing is paid for
            state.remove(record)
            return
        record.file_id = run(client, batch_calls.upload_file(path))
        state.save(record)
    order = Order(client.connection, record.model, record.window)
    batch = run(client, batch_calls.create_batch(order, record.file_id, may_exist=may_exist))
    record.batch_id = batch.id
    state.save(record)
    path.unlink(missing_ok=True)


def _collect(state: BatchState, client: BatchClient, cache: PageCache, record: BatchRecord) -> BatchStatus:
    """Fetch the answers of one batch if it is finished; return its status."""
    batch = run(client, batch_calls.read_batch(record.batch_id))
    status = batch.status
    if record.is_collected or not status.is_finished:
        return status
    answered: set[str] = set()
    for file_id in list_result_files(batch):
        for line in iterate_lines(client, file_id):
            result = batches.decode_result(line)
            if result.custom_id in record.pages:
                answered.add(result.custom_id)
                outcome = client.decode_batch_result(result, record.model)
                _keep_outcome(cache, record, result.custom_id, outcome)
    _add_missing(record, batch, answered)
    record.status = {
        "state": status.state, "total": status.total, "completed": status.completed, "failed": status.failed,
    }  # fmt: skip
    record.is_collected = True
    state.save(record)
    return status


def _keep_outcome(cache: PageCache, record: BatchRecord, key: str, outcome: Reply | QwenVLError) -> None:
    """Put an answer into the cache; one that is cut off or runs in a loop, and an error, go to the record."""
    record.outcomes.pop(key, None)
    if isinstance(outcome, QwenVLError):
        record.outcomes[key] = describe_error(outcome)
        return
    transcription = _build_transcription(outcome, is_reduced=key in record.reduced)
    is_cut = transcription.finish_reason == "length" or REPETITION in parse_layout(transcription.text).warnings
    if is_cut:
        record.outcomes[key] = describe_transcription(transcription)
    else:
        cache.put(key, transcription)


def _add_missing(record: BatchRecord, batch: Batch, answered: set[str]) -> None:
    for key in record.pages:
        if key not in answered:
            record.outcomes[key] = describe_error(build_missing_error(batch, key))


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

"""Share the batches of loaders between both adapters: the flows of `qwenvl_core.documents.batch`, sync or async."""

from __future__ import annotations

from collections.abc import Callable

from qwenvl_core.documents import batch
from qwenvl_core.documents.batch import RequestBuilder
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.documents.page_cache import PageCache
from qwenvl_core.documents.transcription import Transcription
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.transport.batch_io import arun, run
from qwenvl_core.transport.batch_steps import Flow
from qwenvl_core.types.batch import BatchStatus

Progress = Callable[[BatchStatus], object] | None


def build_mode_error() -> QwenVLInputError:
    """Build the error for a mode without batches."""
    return QwenVLInputError('mode="image" asks no model, so it has no batches. Use another mode.')


def submit_pages(transcription: Transcription, builder: RequestBuilder, window: str) -> list[str]:
    """Submit the pages that the cache lacks; see `Transcription.submit_batch`."""
    return run(builder.get_client(), transcription.submit_batch(builder, window))


async def asubmit_pages(transcription: Transcription, builder: RequestBuilder, window: str) -> list[str]:
    """Submit the pages asynchronously; see `submit_pages`."""
    return await arun(builder.get_client(), transcription.submit_batch(builder, window))


def collect_pages(
    options: LoaderOptions, builder: RequestBuilder, wait: bool, timeout: float | None, progress: Progress
) -> BatchStatus:
    """Fetch the answers of all finished batches of a loader; see `qwenvl_core.documents.batch.collect_pages`."""
    return run(builder.get_client(), _collect(options, builder, wait, timeout, progress))


async def acollect_pages(
    options: LoaderOptions, builder: RequestBuilder, wait: bool, timeout: float | None, progress: Progress
) -> BatchStatus:
    """Fetch the answers asynchronously; see `collect_pages`."""
    return await arun(builder.get_client(), _collect(options, builder, wait, timeout, progress))


def _collect(
    options: LoaderOptions, builder: RequestBuilder, wait: bool, timeout: float | None, progress: Progress
) -> Flow[BatchStatus]:
    state = batch.get_state(options.cache_dir)
    cache = PageCache(options.cache_dir)
    return batch.collect_pages(state, builder.get_client(), cache, wait=wait, timeout=timeout, progress=progress)

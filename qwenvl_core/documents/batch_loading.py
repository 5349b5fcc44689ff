"""Share the batches of loaders between both adapters."""

from __future__ import annotations

from collections.abc import Callable

from qwenvl_core.documents import batch
from qwenvl_core.documents.batch import RequestBuilder
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.documents.page_cache import PageCache
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.batch import BatchStatus


def build_mode_error() -> QwenVLInputError:
    """Build the error for a mode without batches."""
    return QwenVLInputError('mode="image" asks no model, so it has no batches. Use another mode.')


def collect_loader_pages(
    options: LoaderOptions,
    builder: RequestBuilder,
    *,
    wait: bool,
    timeout: float | None,
    progress: Callable[[BatchStatus], object] | None,
) -> BatchStatus:
    """Fetch the answers of all finished batches of a loader; see `qwenvl_core.documents.batch.collect_pages`."""
    state = batch.get_state(options.cache_dir)
    cache = PageCache(options.cache_dir)
    return batch.collect_pages(state, builder.get_client(), cache, wait=wait, timeout=timeout, progress=progress)

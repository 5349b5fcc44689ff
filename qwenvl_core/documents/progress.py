"""Report the progress of a transcription to a callable, or show it as a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from qwenvl_core.documents.options import Progress
from qwenvl_core.rendering.open import missing_extra_error

Reporter = Callable[[int, Mapping[str, int]], object]
"""Function that takes the number of pages done, and the usage so far."""


@contextmanager
def report_progress(progress: Progress, total: int, name: str) -> Generator[Reporter]:
    """Show a progress bar if requested, and yield the function to call after each page.

    Args:
        progress: `True` for a bar, or a callable that takes the pages done, `total`, and the usage so far.
        total: Number of pages to transcribe.
        name: Name of the document, shown beside the bar.

    Raises:
        ImportError: `progress` is `True`, and tqdm is missing.
    """
    if callable(progress):
        callback = progress
        yield lambda done, usage: callback(done, total, usage)
    elif progress:
        with _create_bar(total, name) as bar:
            yield lambda done, usage: _update_bar(bar, done, usage)
    else:
        yield lambda done, usage: None


def _create_bar(total: int, name: str) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise missing_extra_error("progress=True", "tqdm", error) from error
    return tqdm(total=total, desc=name, unit="page")


def _update_bar(bar: Any, done: int, usage: Mapping[str, int]) -> None:
    bar.set_postfix(tokens=usage["total_tokens"], refresh=False)
    bar.update(done - bar.n)

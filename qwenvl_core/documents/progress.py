"""How far a document has been read: told to a callable, or shown as a bar."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from qwenvl_core.documents.options import Progress
from qwenvl_core.rendering.open import missing_documents_extra

Report = Callable[[int, Mapping[str, int]], object]
"""Takes how many pages are done, and the usage so far."""


@contextmanager
def reporting(progress: Progress, total: int, name: str) -> Generator[Report]:
    """What to call after each page.

    Args:
        progress: `True` for a bar, or a callable that gets done, total and usage.
        total: How many pages there are to be read.
        name: Of the document, for the bar.

    Raises:
        ImportError: A bar is wished for, and tqdm is missing.
    """
    if callable(progress):
        tell = progress
        yield lambda done, usage: tell(done, total, usage)
    elif progress:
        with _bar(total, name) as bar:
            yield lambda done, usage: _show(bar, done, usage)
    else:
        yield lambda done, usage: None


def _bar(total: int, name: str) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise missing_documents_extra("progress=True", "tqdm", error) from error
    return tqdm(total=total, desc=name, unit="page")


def _show(bar: Any, done: int, usage: Mapping[str, int]) -> None:
    bar.set_postfix(tokens=usage["total_tokens"], refresh=False)
    bar.update(done - bar.n)

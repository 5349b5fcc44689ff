"""Define the interface of an open document, which `PdfPages` and `ImagePages` implement."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Self

from qwenvl_core.media.images import encode_jpeg
from qwenvl_core.rendering.lock import OwnedLock
from qwenvl_core.rendering.page_size import PageExtent

if TYPE_CHECKING:
    from PIL.Image import Image

SizeFunction = Callable[[PageExtent], tuple[int, int]]
"""Compute the width and height, in pixels, at which a page of this extent is rendered."""


_SHRINK_QUALITIES = (80, 65, 50, 35)  # JPEG qualities
_SMALLEST_SIDE = 64  # pixels


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page as it is sent to the model.

    Attributes:
        number: Page number, from 1.
        label: The document's own label of the page ("iv"), else its number; see `Pages.display_label`.
        width: Width in pixels.
        height: Height in pixels.
        jpeg: The JPEG file.
    """

    number: int
    label: str
    width: int
    height: int
    jpeg: bytes = field(repr=False)


class Pages(ABC):
    """An open document. Threads may share it; close it after use.

    Attributes:
        count: Number of pages.
        lock: Held by the thread that reads from the document.
        warnings: Problems with the whole document.
    """

    count: int
    warnings: tuple[str, ...] = ()
    lock: OwnedLock
    _known_labels: frozenset[str] | None = None

    @abstractmethod
    def label(self, number: int) -> str:
        """Return the document's own label of a page; an empty string if it has none."""

    def display_label(self, number: int) -> str:
        """Return the label under which a page is cited: its own, else its number.

        The number is in brackets if another page is labelled with it: the page after an unlabelled cover may be "1".
        """
        label = self.label(number)
        if label:
            return label
        label = str(number)
        while label in self._labels:
            label = f"[{label}]"
        return label

    @property
    def _labels(self) -> frozenset[str]:
        """The document's own labels of all its pages.

        Not a `cached_property`: that holds one lock for all objects on Python 3.11, and a child process that is forked
        meanwhile would wait for it forever (`test_fork_while_another_thread_renders_does_not_deadlock`).
        """
        if self._known_labels is None:
            self._known_labels = frozenset(self.label(number) for number in range(1, self.count + 1))
        return self._known_labels

    @abstractmethod
    def size(self, number: int, fit: SizeFunction) -> tuple[int, int]:
        """Return the width and height in pixels at which a page would be rendered; raises as `render` does."""

    @abstractmethod
    def render(self, number: int, fit: SizeFunction) -> Image:
        """Render a page.

        Args:
            number: Page number, from 1.
            fit: Computes the size in pixels from the extent of the page.

        Raises:
            QwenVLInputError: The page is broken, or `fit` rejects its extent.
        """

    def close(self) -> None:
        """Close the file; in a new thread if the calling thread holds the lock, see `qwenvl_core.rendering.lock`."""
        if self.lock.is_owned:
            Thread(target=self.close, name="qwenvl-close").start()
            return
        with self.lock:
            self._close()

    @abstractmethod
    def _close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def render_page(pages: Pages, number: int, fit: SizeFunction) -> PageImage:
    """Render a page and encode it as JPEG.

    Args:
        pages: The open document.
        number: Page number, from 1.
        fit: Computes the size in pixels from the extent of the page.

    Raises:
        QwenVLInputError: The page is broken, or `fit` rejects its extent.
    """
    image = pages.render(number, fit)
    width, height = image.size
    return PageImage(number, pages.display_label(number), width, height, encode_jpeg(image))


def shrink_jpeg(jpeg: bytes, max_bytes: int) -> bytes:
    """Encode a JPEG again with a lower quality, then with fewer pixels, until it has at most `max_bytes`."""
    import PIL.Image

    image = PIL.Image.open(io.BytesIO(jpeg))
    scale = 1.0
    while True:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        scaled = image if size == image.size else image.resize(size)
        for quality in _SHRINK_QUALITIES:
            buffer = io.BytesIO()
            scaled.save(buffer, "JPEG", quality=quality)
            if buffer.tell() <= max_bytes or max(size) < _SMALLEST_SIDE:
                return buffer.getvalue()
        scale *= 0.8

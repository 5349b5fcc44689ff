"""Pages of a document as pictures: what PDFs, scans with several frames and single images have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Self

from qwenvl_core.media.images import encode_jpeg
from qwenvl_core.rendering.lock import OwnedLock
from qwenvl_core.rendering.page_size import Extent

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Callable[[Extent], tuple[int, int]]
"""From what there is of a page to the width and height, in pixels, at which it is rendered."""


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page as it is sent.

    Attributes:
        number: Its place in the document, from 1.
        label: What the document calls it ("iv"); its number, if nothing.
        width: In pixels.
        height: In pixels.
        jpeg: The file.
    """

    number: int
    label: str
    width: int
    height: int
    jpeg: bytes = field(repr=False)


class Pages(ABC):
    """An open document. Threads may share it; close it when it is done with.

    Attributes:
        count: How many pages it has.
        turns: In which threads work on it.
    """

    count: int
    turns: OwnedLock

    @abstractmethod
    def label(self, number: int) -> str:
        """What the document calls the page with this number, or nothing."""

    @abstractmethod
    def size(self, number: int, fit: Fit) -> tuple[int, int]:
        """Width and height at which the page with this number would be rendered; raises as `picture`."""

    @abstractmethod
    def picture(self, number: int, fit: Fit) -> Image:
        """The page with this number, from 1, at the size that `fit` says.

        Raises:
            QwenVLInputError: The page is broken, or `fit` finds no size for it.
        """

    def close(self) -> None:
        """Let go of the file; a moment later, if this thread is at work on a page, as the garbage collector may be."""
        if self.turns.here:
            Thread(target=self.close, name="qwenvl-close").start()
            return
        with self.turns:
            self._close()

    @abstractmethod
    def _close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def page_image(pages: Pages, number: int, fit: Fit) -> PageImage:
    """A page, rendered and encoded.

    Raises:
        QwenVLInputError: The page is broken, or of a shape that no model takes.
    """
    picture = pages.picture(number, fit)
    width, height = picture.size
    return PageImage(number, pages.label(number) or str(number), width, height, encode_jpeg(picture))

"""From a record back to the page: what to cite, and the place to show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwenvl_core.catalog.models import describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.grounding import Box
from qwenvl_core.rendering.open import Document, open_pages
from qwenvl_core.rendering.page_size import Sizing
from qwenvl_core.vision.drawing import draw

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a piece of text stands.

    Attributes:
        source: The document: its path, or what it was loaded as.
        page_number: The page, from 1; `None` for a text of several pages.
        page_label: What the document calls the page.
        box: Around the whole text, in fractions of the page's sides; `None` if that is not known.
        boxes: Of each element in the text that has one.
        text: The text.
        page_size: Width and height in pixels at which the model saw the page.
    """

    source: str
    page_number: int | None
    page_label: str
    box: Box | None
    boxes: tuple[Box, ...]
    text: str
    page_size: tuple[int, int] | None = None

    @property
    def page(self) -> int | None:
        """The page's number, from 1."""
        return self.page_number

    def __str__(self) -> str:
        return f"{self.source}, page {self.page_label}" if self.page_label else self.source


def citation_from_metadata(text: str, metadata: Mapping[str, Any]) -> Citation:
    """The citation of a record, by the metadata that the loader gave it.

    Raises:
        ValueError: A box in it is no box.
    """
    box, number = metadata.get("bbox"), metadata.get("page_number")
    boxes = metadata.get("bboxes") or (f"[{box}]" if box else "[]")
    size = metadata.get("page_width"), metadata.get("page_height")
    return Citation(
        source=str(metadata.get("source") or metadata.get("file_path") or metadata.get("file_name") or ""),
        page_number=None if number is None else int(number),  # some stores give back floats for whole numbers
        page_label=str(metadata.get("page_label") or ""),
        box=Box(*json.loads(box)) if box else None,
        boxes=tuple(Box(*sides) for sides in json.loads(boxes)),
        text=text,
        page_size=(int(size[0]), int(size[1])) if size[0] and size[1] else None,
    )


def draw_citation(citation: Citation, file: Document, *, password: str | None = None) -> Image:
    """The page that a citation is about, with its boxes drawn, at the size at which the model saw it.

    Args:
        citation: Of one page.
        file: The document.
        password: Of a PDF that has one.

    Raises:
        ImportError: pypdfium2 or Pillow is missing.
        QwenVLInputError: The citation names no page, or the document does not have it.
    """
    number, size = citation.page_number, citation.page_size
    if number is None:
        raise QwenVLInputError("This text is of several pages; load the document by page, element or chunk to show it.")
    with open_pages(file, password=password) as pages:
        if not 1 <= number <= pages.count:
            raise QwenVLInputError(f"The citation is of page {number}; this document has {pages.count}.")
        picture = pages.picture(number, (lambda extent: size) if size else Sizing(describe("")).fit)
    return draw(picture, citation.boxes, labels=False)

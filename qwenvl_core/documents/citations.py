"""Build citations of records, and draw their boxes on the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwenvl_core.catalog.models import describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.grounding import Box
from qwenvl_core.rendering.open import File, open_pages
from qwenvl_core.rendering.page_size import PageSizing
from qwenvl_core.vision.drawing import draw

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Citation:
    """The position of a text in a document.

    Attributes:
        source: Path of the document, or the name under which it was loaded.
        page_number: Page number, from 1; `None` for a text of several pages.
        page_label: The document's own label of the page.
        box: Box around the whole text, in fractions of the page's sides; `None` if it is unknown.
        boxes: The boxes of the text's elements; an element without a box has no entry.
        text: The text.
        page_size: Width and height in pixels of the page as it was sent to the model.

    Example:
        ```python
        from qwenvl_core.grounding import Box

        cited = Citation("agreement.pdf", 1, "1", Box(0.1, 0.2, 0.9, 0.3), (), "Payment is due.")
        print(cited)  # agreement.pdf, page 1
        print(cited.box.to_pixels(1000, 1400))  # (100, 280, 900, 420)
        ```
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
        """Page number, from 1; the same as `page_number`."""
        return self.page_number

    def __str__(self) -> str:
        return f"{self.source}, page {self.page_label}" if self.page_label else self.source


def build_citation(text: str, metadata: Mapping[str, Any]) -> Citation:
    """Build the citation of a document from the metadata that a loader wrote.

    Text splitters copy the metadata to each piece of a document: the boxes of a piece are those of the whole document.

    Args:
        text: Text of the document, or of a piece of it.
        metadata: Its metadata.

    Raises:
        ValueError: The metadata holds an invalid box.
    """
    box, number = metadata.get("bbox"), metadata.get("page_number")
    boxes = metadata.get("bboxes") or (f"[{box}]" if box else "[]")
    size = metadata.get("page_width"), metadata.get("page_height")
    return Citation(
        source=str(metadata.get("source") or metadata.get("file_path") or metadata.get("file_name") or ""),
        page_number=None if number is None else int(number),  # some stores return whole numbers as floats
        page_label=str(metadata.get("page_label") or ""),
        box=Box(*json.loads(box)) if box else None,
        boxes=tuple(Box(*sides) for sides in json.loads(boxes)),
        text=text,
        page_size=(int(size[0]), int(size[1])) if size[0] and size[1] else None,
    )


def draw_citation(citation: Citation, file: File, *, password: str | None = None) -> Image:
    """Render the cited page and draw the boxes of the citation on it.

    Args:
        citation: A citation of one page.
        file: The scanned document: its path, its bytes, or a file opened in binary mode.
        password: Password of the PDF, if it has one.

    Returns:
        A new Pillow image, at the size at which the page was sent to the model.

    Raises:
        ImportError: pypdfium2 or Pillow is missing.
        QwenVLInputError: The citation covers several pages, or `file` does not have its page.
    """
    number, size = citation.page_number, citation.page_size
    if number is None:
        raise QwenVLInputError(
            "Unsupported citation: it covers several pages. "
            'Load the document with mode="page", "element" or "chunk" to draw it.'
        )
    with open_pages(file, password=password) as pages:
        if not 1 <= number <= pages.count:
            raise QwenVLInputError(
                f"Page out of range: the citation refers to page {number}. The document has pages 1 to {pages.count}. "
                "Pass the file that was loaded."
            )
        image = pages.render(number, (lambda extent: size) if size else PageSizing(describe("")).fit)
    return draw(image, citation.boxes, labels=False)

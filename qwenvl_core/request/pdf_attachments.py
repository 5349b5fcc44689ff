"""PDFs in a conversation: the service takes none, so their pages are sent as images.

Pages are rendered as for the loaders, at exactly the size at which the model sees them. pypdfium2 and Pillow are
imported when the first PDF is met.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from qwenvl_core.catalog.models import ModelFacts, describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.inspection import read_bytes
from qwenvl_core.types.media import InlineSource, UrlSource
from qwenvl_core.types.messages import ImagePart, Message, PdfPart
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings

if TYPE_CHECKING:
    from qwenvl_core.rendering.pages import Fit, Pages

MAX_PAGES = 50
"""Most pages of one PDF that are sent. At the default size of a page, these are half of the context of Qwen3-VL."""


def any_in(request: Request) -> bool:
    """Whether there is a PDF in a request."""
    return any(isinstance(part, PdfPart) for message in request.messages for part in message.parts)


def with_pages(request: Request) -> Request:
    """A request with the pages of its PDFs as images, in their places.

    Raises:
        QwenVLInputError: A PDF can't be read or is too long, or pypdfium2 or Pillow is missing.
    """
    if not any_in(request):
        return request
    facts = describe(request.settings.model)
    return replace(
        request, messages=tuple(_with_pages(message, request.settings, facts) for message in request.messages)
    )


def page_sizes(pdf: PdfPart, settings: ModelSettings) -> list[tuple[int, int]]:
    """Width and height in pixels at which the pages of a PDF are sent.

    Raises:
        QwenVLInputError: As `with_pages`.
    """
    fit = _fit(pdf, settings, describe(settings.model))
    with _opened(pdf) as pages:
        return [pages.size(number, fit) for number in range(1, pages.count + 1)]


def _with_pages(message: Message, settings: ModelSettings, facts: ModelFacts) -> Message:
    parts = (
        part
        for given in message.parts
        for part in (_images(given, settings, facts) if isinstance(given, PdfPart) else (given,))
    )
    return replace(message, parts=tuple(parts))


def _images(pdf: PdfPart, settings: ModelSettings, facts: ModelFacts) -> Iterator[ImagePart]:
    from qwenvl_core.rendering.pages import page_image

    fit = _fit(pdf, settings, facts)
    with _opened(pdf) as pages:
        for number in range(1, pages.count + 1):
            location = f"{pdf.location}, page {number}"
            try:
                jpeg = page_image(pages, number, fit).jpeg
            except QwenVLInputError as error:
                raise QwenVLInputError(f"{location}: {error.message}") from error
            last = number == pages.count
            yield ImagePart(
                InlineSource(jpeg, mime="image/jpeg"),
                max_pixels=pdf.max_pixels,
                cache=pdf.cache and last,
                location=location,
            )


def _fit(pdf: PdfPart, settings: ModelSettings, facts: ModelFacts) -> Fit:
    from qwenvl_core.rendering.page_size import Sizing

    return Sizing(
        facts,
        high_resolution=bool(settings.vl_high_resolution_images),
        max_pixels=settings.for_part(pdf).max_pixels,
    ).fit


@contextmanager
def _opened(pdf: PdfPart) -> Iterator[Pages]:
    from qwenvl_core.rendering.open import open_pages

    if isinstance(pdf.source, UrlSource):
        raise QwenVLInputError(f"{pdf.location}: a PDF is not fetched from the web; give its bytes, base64 or path.")
    try:
        pages = open_pages(read_bytes(pdf.source))
    except (ImportError, OSError, ValueError) as error:
        said = error.message if isinstance(error, QwenVLInputError) else str(error)
        raise QwenVLInputError(f"{pdf.location}: {said}") from error
    with pages:
        if pages.count > MAX_PAGES:
            raise QwenVLInputError(
                f"{pdf.location}: this PDF has {pages.count} pages, and at most {MAX_PAGES} of one are sent. Send the "
                "pages that matter as images, or load it with QwenVLLoader or QwenVLReader and send what is found."
            )
        yield pages

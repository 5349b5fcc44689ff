"""Replace PDFs and TIFFs of several pages in a conversation by images of their pages.

The service does not accept PDFs, and of a TIFF it reads the first page.

Pages are rendered as for the loaders, at exactly the size that the model gets. pypdfium2 and Pillow are imported when
the first PDF is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.inspection import find_tiff_pages, read_bytes
from qwenvl_core.media.local_files import map_file_errors
from qwenvl_core.request.tool_media import replace_part
from qwenvl_core.types.media import InlineSource, UrlSource
from qwenvl_core.types.messages import ImagePart, Message, Omission, Part, PdfPart
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings

if TYPE_CHECKING:
    from qwenvl_core.rendering.pages import Pages, SizeFunction

_INCOMPLETE = "documents sent in part"

MAX_PAGES = 50
"""Maximum pages of one document. At the default size of a page, they fill half of the context of Qwen3-VL."""


def has_pdfs(request: Request) -> bool:
    """Return whether a request has a PDF, or a TIFF of several pages."""
    return any(has_pages(part) for message in request.messages for part in message.parts)


def has_pages(part: Part) -> TypeGuard[ImagePart]:
    """Return whether a part is a PDF, or a TIFF whose pages are more than its first frame, or another one."""
    return isinstance(part, PdfPart) or (isinstance(part, ImagePart) and find_tiff_pages(part.source) != (0,))


def replace_pdfs(request: Request) -> Request:
    """Replace each PDF, and each TIFF of several pages, by images of its pages; in a tool result by words if broken.

    Raises:
        QwenVLInputError: A document of a user message can't be read or has too many pages, or pypdfium2 or Pillow is
            missing.
    """
    if not has_pdfs(request):
        return request
    facts = describe_at(request.settings.model, request.settings.provider)
    return replace(
        request, messages=tuple(_replace_pdfs(message, request.settings, facts) for message in request.messages)
    )


def measure_pages(pdf: ImagePart, settings: ModelSettings) -> list[tuple[int, int]]:
    """Return width and height in pixels of the images of a document's pages.

    Raises:
        QwenVLInputError: As `replace_pdfs`.
    """
    fit = _get_fit(pdf, settings, describe_at(settings.model, settings.provider))
    with _open(pdf) as pages:
        return [pages.size(number, fit) for number in range(1, pages.count + 1)]


def _replace_pdfs(message: Message, settings: ModelSettings, facts: ModelFacts) -> Message:
    parts: list[Part] = []
    omissions = list(message.omissions)
    for part in message.parts:
        if not has_pages(part):
            parts.append(part)
            continue
        try:
            parts += list(_render_pages(part, settings, facts, omissions))
        except QwenVLInputError as error:
            if message.role == "user":
                raise
            texts, omission = replace_part(message, part, error)
            parts += texts
            omissions.append(omission)
    return replace(message, parts=tuple(parts), omissions=tuple(omissions))


def _render_pages(
    pdf: ImagePart, settings: ModelSettings, facts: ModelFacts, omissions: list[Omission]
) -> Iterator[ImagePart]:
    from qwenvl_core.rendering.pages import render_page

    fit = _get_fit(pdf, settings, facts)
    with _open(pdf) as pages:
        omissions += [Omission(_INCOMPLETE, f"{pdf.location}: {warning}") for warning in pages.warnings]
        for number in range(1, pages.count + 1):
            location = f"{pdf.location}, page {number}"
            try:
                jpeg = render_page(pages, number, fit).jpeg
            except QwenVLInputError as error:
                raise QwenVLInputError(f"{location}: {error.message}") from error
            yield ImagePart(
                InlineSource(jpeg, mime="image/jpeg"),
                max_pixels=pdf.max_pixels,
                cache=pdf.cache and number == pages.count,
                location=location,
                enable_rotate=pdf.enable_rotate,
            )


def _get_fit(pdf: ImagePart, settings: ModelSettings, facts: ModelFacts) -> SizeFunction:
    from qwenvl_core.rendering.page_size import PageSizing

    return PageSizing(
        facts,
        high_resolution=bool(settings.vl_high_resolution_images),
        max_pixels=settings.for_part(pdf).max_pixels,
    ).fit


@contextmanager
def _open(pdf: ImagePart) -> Iterator[Pages]:
    from qwenvl_core.rendering.open import open_pages

    if isinstance(pdf.source, UrlSource):
        raise QwenVLInputError(f"{pdf.location}: a PDF is not fetched from a URL. Give its bytes, base64 text or path.")
    with map_file_errors(pdf.source, pdf.location):
        try:
            pages = open_pages(read_bytes(pdf.source))
        except (ImportError, ValueError) as error:
            reason = error.message if isinstance(error, QwenVLInputError) else str(error)
            raise QwenVLInputError(f"{pdf.location}: {reason}") from error
    with pages:
        if pages.count > MAX_PAGES:
            raise QwenVLInputError(
                f"{pdf.location}: this document has {pages.count} pages, and at most {MAX_PAGES} are sent. Send "
                "single pages as images, or load it with QwenVLLoader or QwenVLReader and send the relevant documents."
            )
        yield pages

"""Stand in for a model where pages are loaded as pictures only (`mode="image"`)."""

from __future__ import annotations

from dataclasses import replace

from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.types.settings import ModelSettings


class PictureTranscriber:
    """Returns no text for any page, and sends no request.

    Attributes:
        settings: The settings of the model that the pictures are for; they decide the size of the pictures.
    """

    def __init__(self, settings: ModelSettings, options: LoaderOptions) -> None:
        self.settings = replace(settings, vl_high_resolution_images=True) if options.high_resolution else settings

    def transcribe(self, page: PageImage, prompt: str) -> PageTranscription:
        """Return an empty transcription."""
        return PageTranscription("")

    async def atranscribe(self, page: PageImage, prompt: str) -> PageTranscription:
        """Return an empty transcription; see `transcribe`."""
        return self.transcribe(page, prompt)

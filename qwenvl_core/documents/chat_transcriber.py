"""Share the transcription of pages with a chat model between both adapters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.documents.batch import BatchClient
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.documents.page_task import choose_ocr_options
from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings

Message = TypeVar("Message")
Reply = TypeVar("Reply")


class ChatTranscriber(ABC, Generic[Message, Reply]):
    """Base of the adapters' transcribers, which send one chat message per page.

    Attributes:
        settings: The settings of the requests, including `call_settings`.
        call_settings: The keywords of each call.
    """

    settings: ModelSettings

    def __init__(self, options: LoaderOptions) -> None:
        """Choose the keywords of each call.

        Raises:
            QwenVLInputError: The model can't transcribe pages with these options.
        """
        self.call_settings: dict[str, Any] = {"vl_high_resolution_images": True} if options.high_resolution else {}
        api, settings = self._resolve_settings()
        ocr_options = choose_ocr_options(options, settings, api)
        if ocr_options != settings.ocr_options:
            self.call_settings["ocr_options"] = ocr_options
        self.settings = self._resolve_settings()[1]

    def transcribe(self, page: PageImage, prompt: str) -> PageTranscription:
        """Transcribe a page."""
        return self._read_reply(self._chat(self._build_message(page, prompt)))

    async def atranscribe(self, page: PageImage, prompt: str) -> PageTranscription:
        """Transcribe a page asynchronously; see `transcribe`."""
        return self._read_reply(await self._achat(self._build_message(page, prompt)))

    def build_request(self, page: PageImage, prompt: str) -> Request:
        """Build the request of a page, as `transcribe` would send it."""
        return self._build_request(self._build_message(page, prompt))

    @abstractmethod
    def get_client(self) -> BatchClient:
        """Return the client of the model."""

    @abstractmethod
    def _build_request(self, message: Message) -> Request:
        """Build the request of a message with `call_settings`."""

    @abstractmethod
    def _resolve_settings(self) -> tuple[Api, ModelSettings]:
        """Return the model's API, and the settings of its requests with `call_settings`."""

    @abstractmethod
    def _build_message(self, page: PageImage, prompt: str) -> Message:
        """Build the user message: the page's image, then the prompt if there is one."""

    @abstractmethod
    def _chat(self, message: Message) -> Reply:
        """Call the model with `call_settings`."""

    @abstractmethod
    async def _achat(self, message: Message) -> Reply:
        """Call the model asynchronously; see `_chat`."""

    @abstractmethod
    def _read_reply(self, reply: Reply) -> PageTranscription:
        """Read the text, finish reason, model name, token counts and OCR result of a reply."""

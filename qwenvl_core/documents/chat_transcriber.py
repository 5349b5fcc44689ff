"""Share the transcription of pages with a chat model between both adapters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.types.settings import ModelSettings

Message = TypeVar("Message")
Reply = TypeVar("Reply")


class ChatTranscriber(ABC, Generic[Message, Reply]):
    """Base of the adapters' transcribers, which send one chat message per page.

    Attributes:
        settings: The settings of the requests, including `call_settings`; set by the adapter.
        call_settings: The keywords of each call.
    """

    settings: ModelSettings

    def __init__(self, *, high_resolution: bool) -> None:
        """Set the keywords of each call.

        Args:
            high_resolution: Whether to pass `vl_high_resolution_images=True`.
        """
        self.call_settings: dict[str, Any] = {"vl_high_resolution_images": True} if high_resolution else {}

    def transcribe(self, page: PageImage, prompt: str) -> PageTranscription:
        """Transcribe a page."""
        return self._read_reply(self._chat(self._build_message(page, prompt)))

    async def atranscribe(self, page: PageImage, prompt: str) -> PageTranscription:
        """Transcribe a page asynchronously; see `transcribe`."""
        return self._read_reply(await self._achat(self._build_message(page, prompt)))

    @abstractmethod
    def _build_message(self, page: PageImage, prompt: str) -> Message:
        """Build the user message: the page's image, then the prompt."""

    @abstractmethod
    def _chat(self, message: Message) -> Reply:
        """Call the model with `call_settings`."""

    @abstractmethod
    async def _achat(self, message: Message) -> Reply:
        """Call the model asynchronously; see `_chat`."""

    @abstractmethod
    def _read_reply(self, reply: Reply) -> PageTranscription:
        """Read the text, finish reason, model name and token counts of a reply."""

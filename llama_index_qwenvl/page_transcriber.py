"""Transcribe the pages of documents with the LLM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ImageBlock, MessageRole, TextBlock
from typing_extensions import override

from llama_index_qwenvl.llm import QwenVL
from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.client.lazy_import import lazy_module
from qwenvl_core.documents.batch import BatchClient
from qwenvl_core.documents.chat_transcriber import ChatTranscriber
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.documents.page_cache import PageTranscription, Transcriber
from qwenvl_core.documents.page_pictures import PictureTranscriber
from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings

if TYPE_CHECKING:
    from llama_index_qwenvl import pipeline
else:
    pipeline = lazy_module("llama_index_qwenvl.pipeline")


def create_transcriber(llm: QwenVL | None, options: LoaderOptions) -> Transcriber:
    """Create what transcribes pages; with `mode="image"` it asks no model, so no key is read."""
    if options.mode == "image":
        return PictureTranscriber(ModelSettings() if llm is None else llm._settings({}), options)
    return PageTranscriber(QwenVL() if llm is None else llm, options)


class PageTranscriber(ChatTranscriber[ChatMessage, ChatResponse]):
    """Transcribe pages with a LlamaIndex LLM."""

    def __init__(self, llm: QwenVL, options: LoaderOptions) -> None:
        self._llm = llm
        super().__init__(options)

    @property
    def model(self) -> QwenVL:
        """The model itself, without keywords that are bound to it."""
        return self._llm

    @override
    def get_client(self) -> BatchClient:
        return self.model._client

    @override
    def _build_request(self, message: ChatMessage) -> Request:
        return pipeline.build_request(self._llm, [message], self.call_settings)

    @override
    def _resolve_settings(self) -> tuple[Api, ModelSettings]:
        return self._llm.api, self._llm._settings(self.call_settings)

    @override
    def _build_message(self, page: PageImage, prompt: str) -> ChatMessage:
        image = ImageBlock(image=page.jpeg, image_mimetype="image/jpeg")
        return ChatMessage(role=MessageRole.USER, blocks=[image, *([TextBlock(text=prompt)] if prompt else [])])

    @override
    def _chat(self, message: ChatMessage) -> ChatResponse:
        reply: ChatResponse = self._llm.chat([message], **self.call_settings)
        return reply

    @override
    async def _achat(self, message: ChatMessage) -> ChatResponse:
        reply: ChatResponse = await self._llm.achat([message], **self.call_settings)
        return reply

    @override
    def _read_reply(self, reply: ChatResponse) -> PageTranscription:
        metadata = reply.additional_kwargs
        counts = {
            "input_tokens": metadata.get("prompt_tokens", 0),
            "output_tokens": metadata.get("completion_tokens", 0),
            "total_tokens": metadata.get("total_tokens", 0),
            "reasoning_tokens": metadata.get("reasoning_tokens", 0),
            "image_tokens": metadata.get("image_tokens", 0),
        }
        raw = reply.raw if isinstance(reply.raw, Mapping) else {}
        return PageTranscription(
            reply.message.content or "",
            metadata.get("finish_reason", ""),
            raw.get("model") or "",
            counts,
            reply.message.additional_kwargs.get("ocr_result"),
        )

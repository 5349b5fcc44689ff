"""Transcribe the pages of documents with the chat model."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages.ai import AIMessage
from langchain_core.messages.human import HumanMessage
from typing_extensions import override

from langchain_qwenvl.chat_models import ChatQwenVL
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
    from langchain_core.language_models.base import LanguageModelInput
    from langchain_core.runnables.base import Runnable

    from langchain_qwenvl import pipeline

    Model = Runnable[LanguageModelInput, AIMessage]
else:
    pipeline = lazy_module("langchain_qwenvl.pipeline")


def create_transcriber(llm: Model | None, options: LoaderOptions) -> Transcriber:
    """Create what transcribes pages; with `mode="image"` it asks no model, so no key is read."""
    if options.mode == "image":
        return PictureTranscriber(ModelSettings() if llm is None else _resolve_settings(llm, {})[1], options)
    return PageTranscriber(ChatQwenVL() if llm is None else llm, options)


class PageTranscriber(ChatTranscriber[HumanMessage, AIMessage]):
    """Transcribe pages with a LangChain chat model."""

    def __init__(self, llm: Any, options: LoaderOptions) -> None:
        self._llm = llm
        super().__init__(options)

    @property
    def model(self) -> ChatQwenVL:
        """The model itself, without keywords that are bound to it."""
        return _unwrap(self._llm, {})[0]

    @override
    def get_client(self) -> BatchClient:
        return self.model._client

    @override
    def _build_request(self, message: HumanMessage) -> Request:
        model, settings = _unwrap(self._llm, self.call_settings)
        return pipeline.build_request(model, [message], None, settings, stream=False)

    @override
    def _resolve_settings(self) -> tuple[Api, ModelSettings]:
        return _resolve_settings(self._llm, self.call_settings)

    @override
    def _build_message(self, page: PageImage, prompt: str) -> HumanMessage:
        image = {"type": "image", "base64": base64.b64encode(page.jpeg).decode(), "mime_type": "image/jpeg"}
        return HumanMessage([image, *([{"type": "text", "text": prompt}] if prompt else [])])

    @override
    def _chat(self, message: HumanMessage) -> AIMessage:
        reply: AIMessage = self._llm.invoke([message], **self.call_settings)
        return reply

    @override
    async def _achat(self, message: HumanMessage) -> AIMessage:
        reply: AIMessage = await self._llm.ainvoke([message], **self.call_settings)
        return reply

    @override
    def _read_reply(self, reply: AIMessage) -> PageTranscription:
        usage: Any = reply.usage_metadata or {}
        counts = {
            **{name: usage[name] for name in ("input_tokens", "output_tokens", "total_tokens") if name in usage},
            "reasoning_tokens": usage.get("output_token_details", {}).get("reasoning", 0),
            "image_tokens": usage.get("input_token_details", {}).get("image", 0),
        }
        metadata = reply.response_metadata
        return PageTranscription(
            reply.text,
            metadata.get("finish_reason", ""),
            metadata.get("model_name", ""),
            counts,
            reply.additional_kwargs.get("ocr_result"),
        )


def _resolve_settings(llm: Any, call_settings: Mapping[str, Any]) -> tuple[Api, ModelSettings]:
    """Return the API of the model in `llm` and the settings of its requests, with the keywords that are bound to it."""
    model, settings = _unwrap(llm, call_settings)
    return model.api, model._settings(settings)


def _unwrap(llm: Any, call_settings: Mapping[str, Any]) -> tuple[ChatQwenVL, Mapping[str, Any]]:
    """Return the model in `llm`, and the keywords of its calls."""
    bound = llm
    while not isinstance(bound, ChatQwenVL):
        call_settings = {**getattr(bound, "kwargs", {}), **call_settings}
        bound = getattr(bound, "bound", None)
        if bound is None:
            raise TypeError(
                f"Unsupported llm: {type(llm).__name__}. "
                "Pass a ChatQwenVL, or one with keywords, a config or retries bound to it."
            )
    return bound, call_settings

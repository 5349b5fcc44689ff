"""How a model is asked: messages go in, a response or chunks come out.

Apart from the model's class, whose import is to load nothing of this: it is imported with the first model. LlamaIndex
reports each call of the class's own methods once, so none of those calls another; what is here is not reported.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    MessageRole,
    TextBlock,
)

from llama_index_qwenvl import streaming
from llama_index_qwenvl.image_documents import blocks_of
from llama_index_qwenvl.messages import to_core
from llama_index_qwenvl.responses import completion_of, response_of
from llama_index_qwenvl.tools import spec_of
from qwenvl_core.catalog.models import describe
from qwenvl_core.types.events import Event
from qwenvl_core.types.reply import Reducer
from qwenvl_core.types.request import Request

if TYPE_CHECKING:
    from qwenvl_core.client.config import Keywords


def chat(llm: Keywords, messages: Sequence[ChatMessage], call: Mapping[str, Any]) -> ChatResponse:
    """The whole answer, whether the wire streams or not."""
    reducer = Reducer()
    for event in _events(llm, messages, call):
        reducer.add(event)
    return response_of(reducer.reply())


async def achat(llm: Keywords, messages: Sequence[ChatMessage], call: Mapping[str, Any]) -> ChatResponse:
    """As `chat`, for async."""
    reducer = Reducer()
    async for event in _aevents(llm, messages, call):
        reducer.add(event)
    return response_of(reducer.reply())


def stream_chat(llm: Keywords, messages: Sequence[ChatMessage], call: Mapping[str, Any]) -> ChatResponseGen:
    """The chunks of the answer; the last one holds all of it."""
    return streaming.chunks(_events(llm, messages, call, stream=True))


def astream_chat(llm: Keywords, messages: Sequence[ChatMessage], call: Mapping[str, Any]) -> ChatResponseAsyncGen:
    """As `stream_chat`, for async."""
    return streaming.achunks(_aevents(llm, messages, call, stream=True))


def complete(llm: Keywords, prompt: str, call: Mapping[str, Any]) -> CompletionResponse:
    """As `chat`, of one prompt."""
    return completion_of(chat(llm, *_as_chat(prompt, call)))


async def acomplete(llm: Keywords, prompt: str, call: Mapping[str, Any]) -> CompletionResponse:
    """As `complete`, for async."""
    return completion_of(await achat(llm, *_as_chat(prompt, call)))


def stream_complete(llm: Keywords, prompt: str, call: Mapping[str, Any]) -> CompletionResponseGen:
    """As `stream_chat`, of one prompt."""
    return streaming.completions(_events(llm, *_as_chat(prompt, call), stream=True))


def astream_complete(llm: Keywords, prompt: str, call: Mapping[str, Any]) -> CompletionResponseAsyncGen:
    """As `stream_complete`, for async."""
    return streaming.acompletions(_aevents(llm, *_as_chat(prompt, call), stream=True))


def request(
    llm: Keywords, messages: Sequence[ChatMessage], call: Mapping[str, Any], *, stream: bool = False
) -> Request:
    """The request that a call makes.

    Raises:
        QwenVLInputError: The messages or keywords can't be sent.
    """
    if call.get("tools"):
        call = {**call, "tools": [spec_of(tool) for tool in call["tools"]]}
    settings = llm._settings(call)
    return Request(messages=to_core(messages, describe(settings.model)), settings=settings, stream=stream)


def _events(
    llm: Keywords, messages: Sequence[ChatMessage], call: Mapping[str, Any], *, stream: bool = False
) -> Generator[Event]:
    return llm._client.events(request(llm, messages, call, stream=stream))


def _aevents(
    llm: Keywords, messages: Sequence[ChatMessage], call: Mapping[str, Any], *, stream: bool = False
) -> AsyncGenerator[Event]:
    return llm._client.aevents(request(llm, messages, call, stream=stream))


def _as_chat(prompt: str, call: Mapping[str, Any]) -> tuple[list[ChatMessage], dict[str, Any]]:
    """A completion as a chat of one message, its images before its words."""
    images = blocks_of(call.get("image_documents"))
    others = {name: value for name, value in call.items() if name != "image_documents"}
    return [ChatMessage(role=MessageRole.USER, blocks=[*images, TextBlock(text=prompt)])], others

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
from llama_index_qwenvl.image_documents import convert_image_documents
from llama_index_qwenvl.messages import convert_messages
from llama_index_qwenvl.responses import to_chat_response, to_completion_response
from llama_index_qwenvl.tools import to_openai_tool
from qwenvl_core.catalog.models import describe
from qwenvl_core.types.events import Event
from qwenvl_core.types.reply import ReplyAccumulator
from qwenvl_core.types.request import Request

if TYPE_CHECKING:
    from qwenvl_core.client.config import ModelConfig


def chat(llm: ModelConfig, messages: Sequence[ChatMessage], call: Mapping[str, Any]) -> ChatResponse:
    """The whole answer, whether the wire streams or not."""
    accumulator = ReplyAccumulator()
    for event in _events(llm, messages, call):
        accumulator.add(event)
    return to_chat_response(accumulator.reply())


async def achat(llm: ModelConfig, messages: Sequence[ChatMessage], call: Mapping[str, Any]) -> ChatResponse:
    """As `chat`, for async."""
    accumulator = ReplyAccumulator()
    async for event in _aevents(llm, messages, call):
        accumulator.add(event)
    return to_chat_response(accumulator.reply())


def stream_chat(llm: ModelConfig, messages: Sequence[ChatMessage], call: Mapping[str, Any]) -> ChatResponseGen:
    """The chunks of the answer; the last one holds all of it."""
    return streaming.chunks(_events(llm, messages, call, stream=True))


def astream_chat(llm: ModelConfig, messages: Sequence[ChatMessage], call: Mapping[str, Any]) -> ChatResponseAsyncGen:
    """As `stream_chat`, for async."""
    return streaming.achunks(_aevents(llm, messages, call, stream=True))


def complete(llm: ModelConfig, prompt: str, call: Mapping[str, Any]) -> CompletionResponse:
    """As `chat`, of one prompt."""
    return to_completion_response(chat(llm, *_as_chat(prompt, call)))


async def acomplete(llm: ModelConfig, prompt: str, call: Mapping[str, Any]) -> CompletionResponse:
    """As `complete`, for async."""
    return to_completion_response(await achat(llm, *_as_chat(prompt, call)))


def stream_complete(llm: ModelConfig, prompt: str, call: Mapping[str, Any]) -> CompletionResponseGen:
    """As `stream_chat`, of one prompt."""
    return streaming.completions(_events(llm, *_as_chat(prompt, call), stream=True))


def astream_complete(llm: ModelConfig, prompt: str, call: Mapping[str, Any]) -> CompletionResponseAsyncGen:
    """As `stream_complete`, for async."""
    return streaming.acompletions(_aevents(llm, *_as_chat(prompt, call), stream=True))


def request(
    llm: ModelConfig, messages: Sequence[ChatMessage], call: Mapping[str, Any], *, stream: bool = False
) -> Request:
    """The request that a call makes.

    Raises:
        QwenVLInputError: The messages or keywords can't be sent.
    """
    if call.get("tools"):
        call = {**call, "tools": [to_openai_tool(tool) for tool in call["tools"]]}
    settings = llm._settings(call)
    return Request(messages=convert_messages(messages, describe(settings.model)), settings=settings, stream=stream)


def _events(
    llm: ModelConfig, messages: Sequence[ChatMessage], call: Mapping[str, Any], *, stream: bool = False
) -> Generator[Event]:
    return llm._client.stream(request(llm, messages, call, stream=stream))


def _aevents(
    llm: ModelConfig, messages: Sequence[ChatMessage], call: Mapping[str, Any], *, stream: bool = False
) -> AsyncGenerator[Event]:
    return llm._client.astream(request(llm, messages, call, stream=stream))


def _as_chat(prompt: str, call: Mapping[str, Any]) -> tuple[list[ChatMessage], dict[str, Any]]:
    """A completion as a chat of one message, its images before its words."""
    images = convert_image_documents(call.get("image_documents"))
    others = {name: value for name, value in call.items() if name != "image_documents"}
    return [ChatMessage(role=MessageRole.USER, blocks=[*images, TextBlock(text=prompt)])], others

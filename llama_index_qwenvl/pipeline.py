"""Run chat requests and completions: messages in, chunks or a response out.

This module is loaded with the first model, so that importing the adapter does not load the client. LlamaIndex reports
each call of the model's methods as an event, so these methods call the functions here, not each other.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import replace
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
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.types.events import Event
from qwenvl_core.types.reply import ReplyAccumulator
from qwenvl_core.types.request import Request
from qwenvl_core.types.tool_arguments import keep_first_call

if TYPE_CHECKING:
    from qwenvl_core.client.config import ModelConfig

_IMPLIED = frozenset(("parallel_tool_calls",))
"""Settings that LlamaIndex adds to calls with tools; this adapter keeps to them whatever the server does."""


def chat(llm: ModelConfig, messages: Sequence[ChatMessage], call_settings: Mapping[str, Any]) -> ChatResponse:
    """Return the whole answer, whether or not the response is streamed on the wire."""
    accumulator = ReplyAccumulator()
    for event in _stream_events(llm, messages, call_settings):
        accumulator.add(event)
    return _to_response(accumulator, call_settings)


async def achat(llm: ModelConfig, messages: Sequence[ChatMessage], call_settings: Mapping[str, Any]) -> ChatResponse:
    """Return the whole answer asynchronously; see `chat`."""
    accumulator = ReplyAccumulator()
    async for event in _astream_events(llm, messages, call_settings):
        accumulator.add(event)
    return _to_response(accumulator, call_settings)


def stream_chat(llm: ModelConfig, messages: Sequence[ChatMessage], call_settings: Mapping[str, Any]) -> ChatResponseGen:
    """Stream the chunks of the answer; the last one contains the whole answer."""
    events = _stream_events(llm, messages, call_settings, stream=True)
    return streaming.stream_chunks(events, is_single_call=_is_single_call(call_settings))


def astream_chat(
    llm: ModelConfig, messages: Sequence[ChatMessage], call_settings: Mapping[str, Any]
) -> ChatResponseAsyncGen:
    """Stream the chunks of the answer asynchronously; see `stream_chat`."""
    events = _astream_events(llm, messages, call_settings, stream=True)
    return streaming.astream_chunks(events, is_single_call=_is_single_call(call_settings))


def complete(llm: ModelConfig, prompt: str, call_settings: Mapping[str, Any]) -> CompletionResponse:
    """Return the answer to one prompt; see `chat`."""
    return to_completion_response(chat(llm, *_convert_prompt(llm, prompt, call_settings)))


async def acomplete(llm: ModelConfig, prompt: str, call_settings: Mapping[str, Any]) -> CompletionResponse:
    """Return the answer to one prompt asynchronously; see `complete`."""
    return to_completion_response(await achat(llm, *_convert_prompt(llm, prompt, call_settings)))


def stream_complete(llm: ModelConfig, prompt: str, call_settings: Mapping[str, Any]) -> CompletionResponseGen:
    """Stream the answer to one prompt; see `stream_chat`."""
    return streaming.stream_completions(_stream_events(llm, *_convert_prompt(llm, prompt, call_settings), stream=True))


def astream_complete(llm: ModelConfig, prompt: str, call_settings: Mapping[str, Any]) -> CompletionResponseAsyncGen:
    """Stream the answer to one prompt asynchronously; see `stream_complete`."""
    return streaming.astream_completions(
        _astream_events(llm, *_convert_prompt(llm, prompt, call_settings), stream=True)
    )


def build_request(
    llm: ModelConfig, messages: Sequence[ChatMessage], call_settings: Mapping[str, Any], *, stream: bool = False
) -> Request:
    """Build the request of a call.

    Raises:
        QwenVLInputError: The messages or settings cannot be sent.
    """
    if call_settings.get("tools"):
        call_settings = {**call_settings, "tools": [to_openai_tool(tool) for tool in call_settings["tools"]]}
    settings = replace(llm._settings(call_settings), implied=_IMPLIED)
    converted = convert_messages(messages, describe_at(settings.model, settings.provider))
    return Request(messages=converted, settings=settings, stream=stream, local_files=llm.local_files)


def _to_response(accumulator: ReplyAccumulator, call_settings: Mapping[str, Any]) -> ChatResponse:
    reply = accumulator.build_reply()
    return to_chat_response(keep_first_call(reply) if _is_single_call(call_settings) else reply)


def _is_single_call(call_settings: Mapping[str, Any]) -> bool:
    """Return whether the reply may have one tool call only: the service does not always keep to that."""
    return call_settings.get("parallel_tool_calls") is False


def _stream_events(
    llm: ModelConfig, messages: Sequence[ChatMessage], call_settings: Mapping[str, Any], *, stream: bool = False
) -> Generator[Event]:
    return llm._client.stream(build_request(llm, messages, call_settings, stream=stream))


def _astream_events(
    llm: ModelConfig, messages: Sequence[ChatMessage], call_settings: Mapping[str, Any], *, stream: bool = False
) -> AsyncGenerator[Event]:
    return llm._client.astream(build_request(llm, messages, call_settings, stream=stream))


def _convert_prompt(
    llm: ModelConfig, prompt: str, call_settings: Mapping[str, Any]
) -> tuple[list[ChatMessage], dict[str, Any]]:
    """Convert a prompt to a chat of one message, with its images before the text."""
    images = convert_image_documents(call_settings.get("image_documents"), llm.local_files)
    others = {name: value for name, value in call_settings.items() if name != "image_documents"}
    return [ChatMessage(role=MessageRole.USER, blocks=[*images, TextBlock(text=prompt)])], others

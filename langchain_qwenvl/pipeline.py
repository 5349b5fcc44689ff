"""Run chat requests: messages in, chunks or a message out.

This module is separate from the model's class, so that importing the class does not load it; constructing a model does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, cast

from langchain_core.outputs.chat_generation import ChatGeneration, ChatGenerationChunk
from langchain_core.outputs.chat_result import ChatResult

from langchain_qwenvl import structured_output
from langchain_qwenvl.content_blocks import finalize_tool_calls
from langchain_qwenvl.exceptions import map_core_errors
from langchain_qwenvl.messages import convert_messages
from langchain_qwenvl.responses import build_llm_output, to_ai_message
from langchain_qwenvl.streaming import ChunkBuilder
from langchain_qwenvl.tools import to_openai_tool
from qwenvl_core.types.reply import ReplyAccumulator
from qwenvl_core.types.request import Request

if TYPE_CHECKING:
    from langchain_core.callbacks.manager import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.messages.ai import AIMessage
    from langchain_core.messages.base import BaseMessage

    from qwenvl_core.client.config import ModelConfig
    from qwenvl_core.types.events import Event

INCLUDE_RAW = "include_raw"
"""Keyword of a call whose answer is returned even if it lacks the required tool call or JSON."""

_INTERNAL_KEYWORDS = frozenset({"ls_structured_output_format", "structured_output_format", INCLUDE_RAW})
"""Keywords of a call that are for LangChain or this adapter, not for the request."""


def stream(
    llm: ModelConfig,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    call_settings: Mapping[str, Any],
    run_manager: CallbackManagerForLLMRun | None,
) -> Iterator[ChatGenerationChunk]:
    """Stream the answer as chunks.

    Args:
        llm: The model.
        messages: The conversation.
        stop: Stop sequences of this call.
        call_settings: Other keywords of this call.
        run_manager: LangChain passes one only if it converts the chunks to v3 events.
    """
    builder = ChunkBuilder(has_block_indices=run_manager is not None)
    with map_core_errors(), closing(_stream_events(llm, messages, stop, call_settings, stream=True)) as events:
        for event in events:
            chunk = builder.build(event)
            if chunk is None:
                continue
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


async def astream(
    llm: ModelConfig,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    call_settings: Mapping[str, Any],
    run_manager: AsyncCallbackManagerForLLMRun | None,
) -> AsyncIterator[ChatGenerationChunk]:
    """Stream the answer asynchronously; see `stream`."""
    builder = ChunkBuilder(has_block_indices=run_manager is not None)
    with map_core_errors():
        async with aclosing(_astream_events(llm, messages, stop, call_settings, stream=True)) as events:
            async for event in events:
                chunk = builder.build(event)
                if chunk is None:
                    continue
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk


def generate(
    llm: ModelConfig, messages: Sequence[BaseMessage], stop: list[str] | None, call_settings: Mapping[str, Any]
) -> ChatResult:
    """Return the whole answer, whether or not the response is streamed on the wire."""
    accumulator = ReplyAccumulator()
    with map_core_errors():
        for event in _stream_events(llm, messages, stop, call_settings):
            accumulator.add(event)
    return _to_chat_result(accumulator)


async def agenerate(
    llm: ModelConfig, messages: Sequence[BaseMessage], stop: list[str] | None, call_settings: Mapping[str, Any]
) -> ChatResult:
    """Return the whole answer asynchronously; see `generate`."""
    accumulator = ReplyAccumulator()
    with map_core_errors():
        async for event in _astream_events(llm, messages, stop, call_settings):
            accumulator.add(event)
    return _to_chat_result(accumulator)


def finalize_result(result: ChatResult) -> ChatResult:
    """Make results that LangChain merged from chunks equal to those of a call that does not stream."""
    for generation in result.generations:
        generation.message = finalize_tool_calls(cast("AIMessage", generation.message))
        if result.llm_output is None and not _is_from_cache(generation.message):
            result.llm_output = build_llm_output(generation.message)
    return result


def _is_from_cache(message: AIMessage) -> bool:
    """Return whether LangChain took the message from its cache: it states then that the answer cost nothing."""
    return "total_cost" in (message.usage_metadata or {})


def normalize_call_settings(call_settings: dict[str, Any]) -> dict[str, Any]:
    """Convert the tools and the response format of a call from any form that LangChain accepts to the service's."""
    if not all(isinstance(tool, Mapping) for tool in call_settings.get("tools") or ()):
        call_settings = {**call_settings, "tools": [to_openai_tool(tool) for tool in call_settings["tools"]]}
    if isinstance(call_settings.get("response_format"), type):
        response_format = structured_output.to_response_format(call_settings["response_format"], strict=None)
        call_settings = {**call_settings, "response_format": response_format}
    return call_settings


def _stream_events(
    llm: ModelConfig,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    call_settings: Mapping[str, Any],
    *,
    stream: bool = False,
) -> Generator[Event]:
    events = llm._client.stream(build_request(llm, messages, stop, call_settings, stream=stream))
    return structured_output.suppress_output_errors(events) if call_settings.get(INCLUDE_RAW) else events


def _astream_events(
    llm: ModelConfig,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    call_settings: Mapping[str, Any],
    *,
    stream: bool = False,
) -> AsyncGenerator[Event]:
    events = llm._client.astream(build_request(llm, messages, stop, call_settings, stream=stream))
    return structured_output.asuppress_output_errors(events) if call_settings.get(INCLUDE_RAW) else events


def build_request(
    llm: ModelConfig,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    call_settings: Mapping[str, Any],
    *,
    stream: bool,
) -> Request:
    """Build the request of a call.

    Raises:
        QwenVLInputError: The messages or settings can't be sent.
    """
    overrides = normalize_call_settings(
        {name: value for name, value in call_settings.items() if name not in _INTERNAL_KEYWORDS}
    )
    stream = bool(overrides.pop("stream", stream))
    settings = llm._settings({**overrides, "stop": stop or None})
    return Request(messages=convert_messages(messages), settings=settings, stream=stream, local_files=llm.local_files)


def _to_chat_result(accumulator: ReplyAccumulator) -> ChatResult:
    message = to_ai_message(accumulator.build_reply())
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output=build_llm_output(message))

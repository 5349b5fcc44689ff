"""How a model is asked: messages go in, chunks or a message come out.

Apart from the model's class, whose import is to load nothing of this: it is imported with the first model.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, cast

from langchain_core.outputs.chat_generation import ChatGeneration, ChatGenerationChunk
from langchain_core.outputs.chat_result import ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_qwenvl import structured_output
from langchain_qwenvl.content_blocks import finalize_tool_calls
from langchain_qwenvl.exceptions import langchain_errors
from langchain_qwenvl.messages import convert_messages
from langchain_qwenvl.responses import to_ai_message
from langchain_qwenvl.streaming import ChunkBuilder
from qwenvl_core.types.reply import ReplyAccumulator
from qwenvl_core.types.request import Request

if TYPE_CHECKING:
    from langchain_core.callbacks.manager import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.messages.ai import AIMessage
    from langchain_core.messages.base import BaseMessage

    from qwenvl_core.client.config import ModelConfig
    from qwenvl_core.types.events import Event

INCLUDE_RAW = "include_raw"
"""The keyword of a call whose answer is wanted even when it is not what was demanded."""

# What is passed along with a call for LangChain itself, and for this adapter.
_LANGCHAIN_ONLY = frozenset({"ls_structured_output_format", "structured_output_format", INCLUDE_RAW})


def stream(
    llm: ModelConfig,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    call: Mapping[str, Any],
    run_manager: CallbackManagerForLLMRun | None,
) -> Iterator[ChatGenerationChunk]:
    """The chunks of the answer. LangChain passes a run manager only where it makes v3 events of them."""
    chunks = ChunkBuilder(indexed=run_manager is not None)
    with langchain_errors(), closing(_events(llm, messages, stop, call, stream=True)) as events:
        for event in events:
            chunk = chunks.build(event)
            if chunk is None:
                continue
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


async def astream(
    llm: ModelConfig,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    call: Mapping[str, Any],
    run_manager: AsyncCallbackManagerForLLMRun | None,
) -> AsyncIterator[ChatGenerationChunk]:
    """As `stream`, for async."""
    chunks = ChunkBuilder(indexed=run_manager is not None)
    with langchain_errors():
        async with aclosing(_aevents(llm, messages, stop, call, stream=True)) as events:
            async for event in events:
                chunk = chunks.build(event)
                if chunk is None:
                    continue
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk


def generate(
    llm: ModelConfig, messages: Sequence[BaseMessage], stop: list[str] | None, call: Mapping[str, Any]
) -> ChatResult:
    """The whole answer, whether the wire streams or not."""
    accumulator = ReplyAccumulator()
    with langchain_errors():
        for event in _events(llm, messages, stop, call):
            accumulator.add(event)
    return _result(accumulator)


async def agenerate(
    llm: ModelConfig, messages: Sequence[BaseMessage], stop: list[str] | None, call: Mapping[str, Any]
) -> ChatResult:
    """As `generate`, for async."""
    accumulator = ReplyAccumulator()
    with langchain_errors():
        async for event in _aevents(llm, messages, stop, call):
            accumulator.add(event)
    return _result(accumulator)


def finalize_result(result: ChatResult) -> ChatResult:
    """A result whose messages LangChain may have added up from chunks, made as they are without a stream."""
    for generation in result.generations:
        generation.message = finalize_tool_calls(cast("AIMessage", generation.message))
    return result


def normalize_call_options(call: dict[str, Any]) -> dict[str, Any]:
    """A call's keywords, with tools and a schema in any form that LangChain knows in the service's."""
    if not all(isinstance(tool, Mapping) for tool in call.get("tools") or ()):
        call = {**call, "tools": [convert_to_openai_tool(tool) for tool in call["tools"]]}
    if isinstance(call.get("response_format"), type):
        call = {**call, "response_format": structured_output.response_format(call["response_format"], strict=None)}
    return call


def _events(
    llm: ModelConfig,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    call: Mapping[str, Any],
    *,
    stream: bool = False,
) -> Generator[Event]:
    events = llm._client.stream(_request(llm, messages, stop, call, stream=stream))
    return structured_output.suppress_output_errors(events) if call.get(INCLUDE_RAW) else events


def _aevents(
    llm: ModelConfig,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    call: Mapping[str, Any],
    *,
    stream: bool = False,
) -> AsyncGenerator[Event]:
    events = llm._client.astream(_request(llm, messages, stop, call, stream=stream))
    return structured_output.asuppress_output_errors(events) if call.get(INCLUDE_RAW) else events


def _request(
    llm: ModelConfig, messages: Sequence[BaseMessage], stop: list[str] | None, call: Mapping[str, Any], *, stream: bool
) -> Request:
    asked = normalize_call_options({name: value for name, value in call.items() if name not in _LANGCHAIN_ONLY})
    stream = bool(asked.pop("stream", stream))
    settings = llm._settings({**asked, "stop": stop or None})
    return Request(messages=convert_messages(messages), settings=settings, stream=stream)


def _result(accumulator: ReplyAccumulator) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=to_ai_message(accumulator.reply()))])

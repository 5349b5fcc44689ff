"""Convert response events to LlamaIndex chunks: those of chats and those of completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator

from llama_index.core.base.llms.types import (
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)

from llama_index_qwenvl.lazy_response import to_chunk
from llama_index_qwenvl.responses import to_completion_response
from llama_index_qwenvl.stream_lifetime import AsyncMap, AsyncOwnershipTransfer, OwnershipTransfer, map_stream
from qwenvl_core.types.events import Event
from qwenvl_core.types.reply import ReplyAccumulator


def stream_chunks(events: Generator[Event], *, is_single_call: bool = False) -> ChatResponseGen:
    """Stream the chunks of a reply; closing them, or leaving the loop over them, closes the events.

    Args:
        events: The events of the reply.
        is_single_call: Whether the reply may have one tool call only, so that others are dropped.
    """
    return OwnershipTransfer(map_stream(events, _create_chunk_converter(is_single_call)))


def astream_chunks(events: AsyncGenerator[Event], *, is_single_call: bool = False) -> ChatResponseAsyncGen:
    """Stream the chunks of a reply asynchronously; see `stream_chunks`."""
    return AsyncOwnershipTransfer(AsyncMap(events, _create_chunk_converter(is_single_call)))


def stream_completions(events: Generator[Event]) -> CompletionResponseGen:
    """Stream the chunks of a reply as completion chunks; see `stream_chunks`."""
    return OwnershipTransfer(map_stream(events, _create_completion_converter()))


def astream_completions(events: AsyncGenerator[Event]) -> CompletionResponseAsyncGen:
    """Stream the chunks of a reply as completion chunks asynchronously; see `stream_chunks`."""
    return AsyncOwnershipTransfer(AsyncMap(events, _create_completion_converter()))


def _create_chunk_converter(is_single_call: bool = False) -> Callable[[Event], ChatResponse | None]:
    accumulator = ReplyAccumulator()

    def convert(event: Event) -> ChatResponse | None:
        accumulator.add(event)
        return to_chunk(event, accumulator.snapshot(), is_single_call=is_single_call)

    return convert


def _create_completion_converter() -> Callable[[Event], CompletionResponse | None]:
    convert_to_chunk = _create_chunk_converter()

    def convert(event: Event) -> CompletionResponse | None:
        chunk = convert_to_chunk(event)
        return to_completion_response(chunk) if chunk is not None else None

    return convert

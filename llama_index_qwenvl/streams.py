"""Streams: the events of a reply, turned one by one into what LlamaIndex streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import closing
from types import TracebackType
from typing import Any, TypeVar

from llama_index.core.base.llms.types import (
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)

from llama_index_qwenvl.chunks import chunk_of
from llama_index_qwenvl.responses import completion_of
from qwenvl_core.events import Event, Reducer

S = TypeVar("S")
T = TypeVar("T")


def chunks(events: Generator[Event]) -> ChatResponseGen:
    """The chunks of a reply; closing them closes the events."""
    return _turned(events, _to_chunks())


def achunks(events: AsyncGenerator[Event]) -> ChatResponseAsyncGen:
    """As `chunks`, for async."""
    return _Turned(events, _to_chunks())


def completions(responses: ChatResponseGen) -> CompletionResponseGen:
    """The chunks of a chat as those of a completion."""
    return _turned(responses, completion_of)


def acompletions(responses: ChatResponseAsyncGen) -> CompletionResponseAsyncGen:
    """As `completions`, for async."""
    return _Turned(responses, completion_of)


def _to_chunks() -> Callable[[Event], ChatResponse | None]:
    reducer = Reducer()

    def to_chunk(event: Event) -> ChatResponse | None:
        reducer.add(event)
        return chunk_of(event, reducer.moment())

    return to_chunk


def _turned(source: Generator[S], turn: Callable[[S], T | None]) -> Generator[T]:
    with closing(source):
        for item in source:
            turned = turn(item)
            if turned is not None:
                yield turned


class _Turned(AsyncGenerator[T, None]):
    """As `_turned`, for async, and no generator of its own.

    A loop that ends closes all generators it knows at once: of two, one within the other, the inner one is closed
    twice, and breaks off with its connection half closed. This is none that a loop knows.
    """

    def __init__(self, source: AsyncGenerator[S], turn: Callable[[S], T | None]) -> None:
        self._source = source
        self._turn = turn

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self.asend(None)  # the base class's own is one more coroutine for each chunk

    async def asend(self, value: None) -> T:
        async for item in self._source:
            turned = self._turn(item)
            if turned is not None:
                return turned
        raise StopAsyncIteration

    async def athrow(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> T:
        await self._source.athrow(error if isinstance(error, BaseException) else kind)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._source.aclose()

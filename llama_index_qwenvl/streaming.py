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
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)

from llama_index_qwenvl.lazy_response import chunk_of
from llama_index_qwenvl.responses import completion_of
from qwenvl_core.types.events import Event
from qwenvl_core.types.reply import Reducer

S = TypeVar("S")
T = TypeVar("T")


def chunks(events: Generator[Event]) -> ChatResponseGen:
    """The chunks of a reply; closing them, or leaving the loop over them, closes the events."""
    return _HandedOver(_turned(events, _to_chunks()))


def achunks(events: AsyncGenerator[Event]) -> ChatResponseAsyncGen:
    """As `chunks`, for async."""
    return _AsyncHandedOver(_Turned(events, _to_chunks()))


def completions(events: Generator[Event]) -> CompletionResponseGen:
    """As `chunks`, as those of a completion."""
    return _HandedOver(_turned(events, _to_completions()))


def acompletions(events: AsyncGenerator[Event]) -> CompletionResponseAsyncGen:
    """As `completions`, for async."""
    return _AsyncHandedOver(_Turned(events, _to_completions()))


def _to_chunks() -> Callable[[Event], ChatResponse | None]:
    reducer = Reducer()

    def to_chunk(event: Event) -> ChatResponse | None:
        reducer.add(event)
        return chunk_of(event, reducer.moment())

    return to_chunk


def _to_completions() -> Callable[[Event], CompletionResponse | None]:
    to_chunk = _to_chunks()

    def to_completion(event: Event) -> CompletionResponse | None:
        chunk = to_chunk(event)
        return completion_of(chunk) if chunk is not None else None

    return to_completion


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


class _HandedOver(Generator[T, None, None]):
    """A generator that the loop over this one has to itself.

    LlamaIndex's callbacks tell their handlers of the exception that ended an abandoned stream, and some handlers keep
    it: with it the frame of the callbacks' loop, and what that loop went over. The connection can't wait for these. A
    loop that is left drops its iterator at once, so that is the only one to hold the connection.
    """

    def __init__(self, held: Generator[T]) -> None:
        self._held = held

    def __iter__(self) -> Generator[T]:
        handed, self._held = self._held, _nothing()
        return handed

    def send(self, value: None) -> T:
        return self._held.send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> T:
        return self._held.throw(error if isinstance(error, BaseException) else kind)


class _AsyncHandedOver(AsyncGenerator[T, None]):
    """As `_HandedOver`, for async."""

    def __init__(self, held: AsyncGenerator[T]) -> None:
        self._held = held

    def __aiter__(self) -> AsyncGenerator[T]:
        handed, self._held = self._held, _anothing()
        return handed

    async def asend(self, value: None) -> T:
        return await self._held.asend(value)

    async def athrow(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> T:
        return await self._held.athrow(error if isinstance(error, BaseException) else kind)

    async def aclose(self) -> None:
        await self._held.aclose()


def _nothing() -> Generator[Any]:
    yield from ()


async def _anothing() -> AsyncGenerator[Any]:
    return
    yield

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

from llama_index_qwenvl.lazy_response import to_chunk
from llama_index_qwenvl.responses import to_completion_response
from qwenvl_core.types.events import Event
from qwenvl_core.types.reply import ReplyAccumulator

S = TypeVar("S")
T = TypeVar("T")


def chunks(events: Generator[Event]) -> ChatResponseGen:
    """The chunks of a reply; closing them, or leaving the loop over them, closes the events."""
    return _OwnershipTransfer(_turned(events, _to_chunks()))


def achunks(events: AsyncGenerator[Event]) -> ChatResponseAsyncGen:
    """As `chunks`, for async."""
    return _AsyncOwnershipTransfer(_MappedStream(events, _to_chunks()))


def completions(events: Generator[Event]) -> CompletionResponseGen:
    """As `chunks`, as those of a completion."""
    return _OwnershipTransfer(_turned(events, _to_completions()))


def acompletions(events: AsyncGenerator[Event]) -> CompletionResponseAsyncGen:
    """As `completions`, for async."""
    return _AsyncOwnershipTransfer(_MappedStream(events, _to_completions()))


def _to_chunks() -> Callable[[Event], ChatResponse | None]:
    accumulator = ReplyAccumulator()

    def convert(event: Event) -> ChatResponse | None:
        accumulator.add(event)
        return to_chunk(event, accumulator.snapshot())

    return convert


def _to_completions() -> Callable[[Event], CompletionResponse | None]:
    convert = _to_chunks()

    def to_completion(event: Event) -> CompletionResponse | None:
        chunk = convert(event)
        return to_completion_response(chunk) if chunk is not None else None

    return to_completion


def _turned(source: Generator[S], turn: Callable[[S], T | None]) -> Generator[T]:
    with closing(source):
        for item in source:
            turned = turn(item)
            if turned is not None:
                yield turned


class _MappedStream(AsyncGenerator[T, None]):
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


class _OwnershipTransfer(Generator[T, None, None]):
    """A generator that the loop over this one has to itself.

    LlamaIndex's callbacks tell their handlers of the exception that ended an abandoned stream, and some handlers keep
    it: with it the frame of the callbacks' loop, and what that loop went over. The connection can't wait for these. A
    loop that is left drops its iterator at once, so that is the only one to hold the connection.
    """

    def __init__(self, held: Generator[T]) -> None:
        self._client_cache = held

    def __iter__(self) -> Generator[T]:
        handed, self._client_cache = self._client_cache, _nothing()
        return handed

    def send(self, value: None) -> T:
        return self._client_cache.send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> T:
        return self._client_cache.throw(error if isinstance(error, BaseException) else kind)


class _AsyncOwnershipTransfer(AsyncGenerator[T, None]):
    """As `_OwnershipTransfer`, for async."""

    def __init__(self, held: AsyncGenerator[T]) -> None:
        self._client_cache = held

    def __aiter__(self) -> AsyncGenerator[T]:
        handed, self._client_cache = self._client_cache, _anothing()
        return handed

    async def asend(self, value: None) -> T:
        return await self._client_cache.asend(value)

    async def athrow(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> T:
        return await self._client_cache.athrow(error if isinstance(error, BaseException) else kind)

    async def aclose(self) -> None:
        await self._client_cache.aclose()


def _nothing() -> Generator[Any]:
    yield from ()


async def _anothing() -> AsyncGenerator[Any]:
    return
    yield

"""Close the connection of a stream when its consumer leaves the loop.

Two properties of the environment would prevent that; `tests/llama_index/test_connection_cleanup.py` tests both:

- LlamaIndex's callbacks report the exception that ended an abandoned stream to their handlers, and some handlers keep
  it. The exception keeps the frame of the loop in the callbacks alive, and with it the generator that it iterates over.
  `OwnershipTransfer` hands that generator to the loop and keeps no reference, so it is closed when the loop ends.
- An event loop that ends closes all async generators that it tracks at once. Of two nested generators, the inner one is
  closed twice, and fails with its connection half closed. `AsyncMap` is not an async generator function, so the loop
  does not track it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import closing
from types import TracebackType
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")


def map_stream(source: Generator[S], convert: Callable[[S], T | None]) -> Generator[T]:
    """Convert the items of a generator and drop those converted to `None`; closing it closes the source."""
    with closing(source):
        for item in source:
            converted = convert(item)
            if converted is not None:
                yield converted


class AsyncMap(AsyncGenerator[T, None]):
    """Convert the items of an async generator; see `map_stream`."""

    def __init__(self, source: AsyncGenerator[S], convert: Callable[[S], T | None]) -> None:
        self._source = source
        self._convert = convert

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self.asend(None)  # the base class adds one more coroutine for each item

    async def asend(self, value: None) -> T:
        """Return the next item."""
        async for item in self._source:
            converted = self._convert(item)
            if converted is not None:
                return converted
        raise StopAsyncIteration

    async def athrow(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> T:
        """Raise an exception within the source."""
        await self._source.athrow(error if isinstance(error, BaseException) else kind)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the source."""
        await self._source.aclose()


class OwnershipTransfer(Generator[T, None, None]):
    """Hand the wrapped generator to the consuming loop, so that leaving the loop closes the connection."""

    def __init__(self, source: Generator[T]) -> None:
        self._source = source

    def __iter__(self) -> Generator[T]:
        source, self._source = self._source, _yield_nothing()
        return source

    def send(self, value: None) -> T:
        """Return the next item."""
        return self._source.send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> T:
        """Raise an exception within the source."""
        return self._source.throw(error if isinstance(error, BaseException) else kind)


class AsyncOwnershipTransfer(AsyncGenerator[T, None]):
    """Hand the wrapped async generator to the consuming loop; see `OwnershipTransfer`."""

    def __init__(self, source: AsyncGenerator[T]) -> None:
        self._source = source

    def __aiter__(self) -> AsyncGenerator[T]:
        source, self._source = self._source, _ayield_nothing()
        return source

    async def asend(self, value: None) -> T:
        """Return the next item."""
        return await self._source.asend(value)

    async def athrow(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> T:
        """Raise an exception within the source."""
        return await self._source.athrow(error if isinstance(error, BaseException) else kind)

    async def aclose(self) -> None:
        """Close the source."""
        await self._source.aclose()


def _yield_nothing() -> Generator[Any]:
    yield from ()


async def _ayield_nothing() -> AsyncGenerator[Any]:
    return
    yield

"""Streams as LlamaIndex's callbacks report them, without an event for each chunk where nobody hears it.

The callbacks make an event of every chunk, which costs as much as all else that is done with it. As long as no handler
of events is there, the first and the last chunk alone go by way of the callbacks, and those between go past them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from functools import wraps
from typing import Any

from llama_index.core.instrumentation.event_handlers import NullEventHandler
from llama_index.core.llms.callbacks import dispatcher

Stream = Callable[..., Generator[Any, None, None]]
AsyncStream = Callable[..., Coroutine[Any, Any, AsyncGenerator[Any, None]]]


def stream_callback(callback: Callable[[Any], Any]) -> Callable[[Stream], Stream]:
    """A decorator of methods that stream: `callback` is LlamaIndex's own for them."""

    def decorate(method: Stream) -> Stream:
        heard: Stream = callback(method)

        @wraps(heard)
        def stream(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
            if _has_event_handlers():
                return heard(*args, **kwargs)
            relay = _CallbackProbe()
            report = callback(lambda *args, **kwargs: relay.over(method(*args, **kwargs)))
            return _bypass(relay, report(*args, **kwargs))

        return stream

    return decorate


def astream_callback(callback: Callable[[Any], Any]) -> Callable[[AsyncStream], AsyncStream]:
    """As `reported`, for async."""

    def decorate(method: AsyncStream) -> AsyncStream:
        heard: AsyncStream = callback(method)

        @wraps(heard)
        async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            if _has_event_handlers():
                return await heard(*args, **kwargs)
            relay = _AsyncCallbackProbe()

            async def relayed(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
                return relay.over(await method(*args, **kwargs))

            return _abypass(relay, await callback(relayed)(*args, **kwargs))

        return stream

    return decorate


def _has_event_handlers() -> bool:
    """Whether any handler gets the events of these callbacks."""
    at: Any = dispatcher
    while at:
        if any(type(handler) is not NullEventHandler for handler in at.event_handlers):
            return True
        at = at.parent if at.propagate else None
    return False


class _CallbackProbe(Generator[Any, None, None]):
    """What the callbacks go over: a stream's first chunk, and its last one, which `_bypass` sets.

    Attributes:
        rest: The stream itself. Callbacks may keep this relay for long, with an exception: the stream is not kept.
        last: Its last chunk.
    """

    rest: Iterator[Any] = iter(())
    last: Any = None

    def over(self, stream: Generator[Any, None, None]) -> _CallbackProbe:
        self.rest = iter(stream)
        return self

    def send(self, value: None) -> Any:
        last, self.last = self.last, None
        return next(self.rest) if last is None else last

    def throw(self, *error: Any) -> Any:
        return super().throw(*error)


def _bypass(relay: _CallbackProbe, report: Generator[Any, None, None]) -> Generator[Any, None, None]:
    for chunk in report:
        try:
            yield chunk
            for chunk in relay.rest:  # the last one is told by what it says of the whole answer
                if chunk.raw is not None:
                    relay.last = chunk
                    break
                yield chunk
        except BaseException as error:
            relay.rest = iter(())
            report.throw(error)  # which raises it again, once it is reported
            raise


class _AsyncCallbackProbe(AsyncGenerator[Any, None]):
    """As `_CallbackProbe`, for async."""

    rest: AsyncIterator[Any]
    last: Any = None

    def over(self, stream: AsyncGenerator[Any, None]) -> _AsyncCallbackProbe:
        self.rest = aiter(stream)
        return self

    async def asend(self, value: None) -> Any:
        last, self.last = self.last, None
        return await anext(self.rest) if last is None else last

    async def athrow(self, *error: Any) -> Any:
        return await super().athrow(*error)


async def _abypass(relay: _AsyncCallbackProbe, report: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    async for chunk in report:
        try:
            yield chunk
            async for chunk in relay.rest:
                if chunk.raw is not None:
                    relay.last = chunk
                    break
                yield chunk
        except BaseException as error:
            del relay.rest
            await report.athrow(error)
            raise

"""The body of a response, as it comes off the network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from qwenvl_core.transport.connection import Response


def iterate_data(response: Any) -> Iterator[bytes]:
    """The blocks of a response's body. The caller closes the response.

    The HTTP library's own way leads each block through two more generators, a tenth of all that a block costs. It is
    taken where the library has something to do: with a body that is compressed, or that was read before.
    """
    blocks: Iterator[bytes] = response.iter_bytes() if _is_for_library(response) else iter(response.stream)
    return blocks


def aiterate_data(response: Any) -> AsyncIterator[bytes]:
    """As `iterate_data`, for async."""
    blocks: AsyncIterator[bytes] = response.aiter_bytes() if _is_for_library(response) else aiter(response.stream)
    return blocks


def _is_for_library(response: Any) -> bool:
    return response.is_stream_consumed or "content-encoding" in response.headers


class AsyncResponseContext:
    """An async response for as long as it is read, and no async generator as `@asynccontextmanager` makes one.

    A loop that ends closes all generators it knows at once. One that waits for another one is closed twice then: the
    loop reports that, and connections stay half closed.

    Args:
        send: Gets the response, its body still to be read.
        guard: Raises our errors for those of reading it.
        ended: Called with the response and its blocks when they were read without an error.
    """

    def __init__(
        self,
        send: Callable[[], Awaitable[Any]],
        guard: AbstractContextManager[None],
        ended: Callable[[Any, AsyncIterator[bytes]], Awaitable[None]] | None = None,
    ) -> None:
        self._send = send
        self._guard = guard
        self._ended = ended

    async def __aenter__(self) -> Response:
        self._response = await self._send()
        self._guard.__enter__()
        self._blocks = aiterate_data(self._response)
        return Response(self._response.headers, self._blocks)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            if error is None and self._ended is not None:
                await self._ended(self._response, self._blocks)
            return self._guard.__exit__(kind, error, trace)
        finally:
            await self._response.aclose()

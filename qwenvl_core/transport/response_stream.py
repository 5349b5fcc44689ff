"""Iterate over the body of a response as it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any

from qwenvl_core.transport.connection import Response
from qwenvl_core.transport.connection_reuse import adrain
from qwenvl_core.transport.http_errors import map_read_errors


def iterate_data(response: Any) -> Iterator[bytes]:
    """Return the body of a response as an iterator of bytes. The caller closes the response.

    `iter_bytes` passes all data through two more generators, a tenth of the cost of a streamed chunk. It is used only
    for a body that is compressed or was read before.
    """
    data: Iterator[bytes] = response.iter_bytes() if _should_decode(response) else iter(response.stream)
    return data


def aiterate_data(response: Any) -> AsyncIterator[bytes]:
    """Return the body of a response as an async iterator of bytes; see `iterate_data`."""
    data: AsyncIterator[bytes] = response.aiter_bytes() if _should_decode(response) else aiter(response.stream)
    return data


def _should_decode(response: Any) -> bool:
    return response.is_stream_consumed or "content-encoding" in response.headers


class AsyncResponseContext:
    """Open a response, and close it after reading.

    This is a class, because `@asynccontextmanager` would need an async generator. When an event loop ends, it closes
    all its async generators at once; a generator that waits for another one is then closed twice, which asyncio
    reports as an error, and connections stay half closed.

    Args:
        send: Sends the request and returns the response, its body unread.
        should_drain: Whether the rest of the body is read on a normal exit, so that the connection can be reused.
    """

    def __init__(self, send: Callable[[], Awaitable[Any]], *, should_drain: bool) -> None:
        self._send = send
        self._should_drain = should_drain

    async def __aenter__(self) -> Response:
        self._response = await self._send()
        self._data = aiterate_data(self._response)
        self._read_errors = map_read_errors()
        self._read_errors.__enter__()
        return Response(self._response.headers, self._data)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            if error is None and self._should_drain:
                await adrain(self._data)
            return self._read_errors.__exit__(kind, error, trace)
        finally:
            await self._response.aclose()

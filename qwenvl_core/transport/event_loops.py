"""Async clients, one for each event loop, closed when their loop ends.

An HTTP client's connections belong to the loop they were opened in: using them from another raises "Event loop is
closed", and leaving them open when the loop ends leaks sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class PerEventLoop(Generic[T]):
    """Builds one client for each running event loop, on demand.

    Args:
        build: Makes a client; called within the loop.
        close: Closes one; awaited within the same loop.
    """

    def __init__(self, build: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._build = build
        self._close = close
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = (
            WeakKeyDictionary()
        )

    async def get(self) -> T:
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
        held = self._clients.get(loop)
        if held is None:
            self._forget_ended()
            client = self._build()
            # Loops close the async generators that were begun in them before they end: the one hook they offer.
            keeper = self._keep(loop, client)
            held = self._clients[loop] = (client, keeper)
            await anext(keeper)
        return held[0]

    async def _keep(self, loop: asyncio.AbstractEventLoop, client: T) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            # The keeper refers to its loop, so the loop would be held for ever.
            self._clients.pop(loop, None)
            await self._close(client)

    def _forget_ended(self) -> None:
        """Let go of loops that ended without a farewell to their generators; their sockets went with them."""
        for loop in [loop for loop in self._clients if loop.is_closed()]:
            self._clients.pop(loop, None)

    async def aclose(self) -> None:
        """Close the running loop's client; the next `get` builds another."""
        held = self._clients.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await held[1].aclose()

"""Keep one async client for each event loop, and close it when its loop ends.

The connections of an async HTTP client belong to the event loop that opened them: using them in another loop raises
"Event loop is closed", and their sockets leak if they are open when their loop ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary, finalize

T = TypeVar("T")
_Clients = WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]]


class PerEventLoop(Generic[T]):
    """Create one client for each running event loop, on demand.

    Args:
        create: Creates a client; called in another thread, since SDKs read files and the platform when they do.
        close: Closes a client; awaited within the client's loop. It must not refer to the owner of this object, which
            it would keep alive.
    """

    def __init__(self, create: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._create = create
        self._close = close
        self._clients: _Clients[T] = WeakKeyDictionary()
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        # The finalizer keeps the clients out of the garbage that this object becomes part of: there, a connection could
        # be finalized, with a warning, before the generator that closes it. Dropping the entries closes the generators.
        finalize(self, self._clients.clear).atexit = False

    async def get(self) -> T:
        """Return the client of the running loop."""
        loop = asyncio.get_running_loop()
        entry = self._clients.get(loop)
        if entry is None:
            async with self._locks.setdefault(loop, asyncio.Lock()):
                entry = self._clients.get(loop) or await self._add_client(loop)
        return entry[0]

    async def _add_client(self, loop: asyncio.AbstractEventLoop) -> tuple[T, AsyncGenerator[None, None]]:
        self._discard_closed_loops()
        client = await asyncio.to_thread(self._create)
        # A loop has no other shutdown hook: before it ends, it closes the async generators that were started in it.
        closer = _close_with_loop(self._clients, loop, client, self._close)
        entry = self._clients[loop] = (client, closer)
        await anext(closer)
        return entry

    def _discard_closed_loops(self) -> None:
        """Drop the entries of loops that were closed without closing their generators; their sockets are gone."""
        for loop in [loop for loop in self._clients if loop.is_closed()]:
            self._clients.pop(loop, None)

    async def aclose(self) -> None:
        """Close the client of the running loop; the next `get` creates another one."""
        entry = self._clients.pop(asyncio.get_running_loop(), None)
        if entry is not None:
            await entry[1].aclose()


async def _close_with_loop(
    clients: _Clients[T], loop: asyncio.AbstractEventLoop, client: T, close: Callable[[T], Awaitable[None]]
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        # This generator refers to the loop, so the weak dictionary would keep the entry.
        clients.pop(loop, None)
        await close(client)

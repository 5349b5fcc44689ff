"""Limit how many requests are sent at once, in all threads and event loops together."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future


class RequestSlots:
    """A number of slots that sync and async calls share; those who wait get one in their order.

    Args:
        count: How many requests may be sent at once.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[Future[None]] = deque()
        # Reentrant: the garbage collector may close a coroutine that waits, in a thread that holds the lock.
        self._lock = threading.RLock()

    def acquire(self) -> None:
        """Wait for a slot."""
        slot = self._claim()
        try:
            slot.result()
        except BaseException:
            self._abandon(slot)
            raise

    async def aacquire(self) -> None:
        """Wait asynchronously for a slot."""
        slot = self._claim()
        if slot.done():
            return
        try:
            await asyncio.wrap_future(slot)
        except BaseException:
            self._abandon(slot)
            raise

    def release(self) -> None:
        """Give a slot back, to the first that waits for one."""
        with self._lock:
            while self._waiting:
                slot = self._waiting.popleft()
                if slot.set_running_or_notify_cancel():
                    slot.set_result(None)
                    return
            self._free += 1

    def _claim(self) -> Future[None]:
        """Return a future that is done when the caller has a slot."""
        slot: Future[None] = Future()
        with self._lock:
            if self._free:
                self._free -= 1
                slot.set_result(None)
            else:
                self._waiting.append(slot)
        return slot

    def _abandon(self, slot: Future[None]) -> None:
        """Stop waiting for a slot, or give back the one that was granted at the same time."""
        if not slot.cancel():
            self.release()

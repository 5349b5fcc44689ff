"""Provide a lock that records its owner, so that a thread never waits for itself when it closes a document.

Python's garbage collector runs in any thread that allocates memory, and closes generators there that were dropped
before their end. A loader's generator waits when it is closed: for the lock of its document, and with a cache also
for the threads that transcribe pages. If the collector runs in a thread that holds the lock, or in one of those
threads, the thread would wait for itself forever. Three functions prevent that:

- `Pages.close` closes the file in a new thread if the calling thread holds the lock
  (`test_close_by_lock_owner_does_not_deadlock`).
- `Transcription.records` does not wait for pages in progress if the calling thread holds the lock
  (`test_records_closed_by_lock_owner_does_not_deadlock`).
- `map_ordered` does not wait for its threads if the calling thread is one of them
  (`test_map_ordered_closed_in_worker_does_not_join_itself`).
"""

from __future__ import annotations

from threading import get_ident

from qwenvl_core.types.fork_lock import ForkSafeLock


class OwnedLock(ForkSafeLock):
    """A lock that reports whether the calling thread holds it; see the module's docstring for the reason."""

    def __init__(self) -> None:
        super().__init__()
        self._owner = 0

    def acquire(self) -> None:
        """Acquire the lock; see `ForkSafeLock.acquire`."""
        super().acquire()
        self._owner = get_ident()

    def release(self) -> None:
        """Release the lock."""
        self._owner = 0
        super().release()

    def renew(self) -> None:
        """Replace the lock; see `ForkSafeLock.renew`."""
        self._owner = 0
        super().renew()

    @property
    def is_owned(self) -> bool:
        """Whether the calling thread holds the lock."""
        return self._owner == get_ident()

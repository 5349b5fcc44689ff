"""A lock that knows its owner, so that closing a document never waits for the calling thread.

Python's garbage collector runs in whichever thread allocates memory, and there it closes generators that were dropped
half-read. A loader's generator waits when it is closed: for the lock of its document, and with a cache also for the
threads that transcribe pages. If the collector runs in a thread that holds the lock, or in one of those threads, the
thread would wait for itself. Three places prevent that:

- `Pages.close` leaves closing to a new thread if the calling thread holds the lock
  (`test_close_by_lock_owner_does_not_deadlock`).
- `Transcription.records` does not wait for pages in progress if the calling thread holds the lock
  (`test_records_closed_by_lock_owner_does_not_deadlock`).
- `map_ordered` does not wait for its threads if the calling thread is one of them
  (`test_map_ordered_closed_in_worker_does_not_join_itself`).
"""

from __future__ import annotations

import threading
from threading import get_ident


class OwnedLock:
    """A lock that knows whether the calling thread holds it. See the module's docstring for the reason."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Wait until the lock is free, and take it."""
        self._lock.acquire()
        self._owner = get_ident()

    def release(self) -> None:
        """Release the lock."""
        self._owner = 0
        self._lock.release()

    @property
    def is_owned(self) -> bool:
        """Whether the calling thread holds the lock."""
        return self._owner == get_ident()

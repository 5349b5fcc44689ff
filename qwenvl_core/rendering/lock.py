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

import threading
from threading import get_ident


class OwnedLock:
    """A lock that reports whether the calling thread holds it; see the module's docstring for the reason."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Wait until the lock is free, and acquire it."""
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

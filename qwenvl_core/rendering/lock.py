"""Turns: one thread at a time is at work on a document, or inside of PDFium."""

from __future__ import annotations

import threading
from threading import get_ident


class OwnedLock:
    """A lock that knows whether this thread has it.

    Python's garbage collector works in whatever thread asks for memory. There it may close a reading that was
    forgotten, and to wait for a lock that its own thread has would be to wait forever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder = 0

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Wait for a turn."""
        self._lock.acquire()
        self._holder = get_ident()

    def release(self) -> None:
        """End it."""
        self._holder = 0
        self._lock.release()

    @property
    def here(self) -> bool:
        """Whether it is this thread's turn."""
        return self._holder == get_ident()

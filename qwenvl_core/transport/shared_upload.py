"""Share an upload between the calls that need it at the same time, in any threads and event loops.

One call uploads, the others wait for its result. Nobody waits for a call that can't go on: that of an event loop that
is closed, or blocked, perhaps by the very call that would wait.
"""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from qwenvl_core.errors import QwenVLError

_POLL_SECONDS = 0.2  # between two looks at whether the uploading call can go on
_PATIENCE_SECONDS = 0.5  # for which an event loop may be blocked before others stop waiting for it

Result = str | QwenVLError | None
"""The URL of an upload; its error; or `None` if the call ended without either, so that another call must upload."""


@dataclass(slots=True)
class SharedUpload:
    """An upload in progress.

    Attributes:
        loop: The event loop of the uploading call; `None` for a sync call.
    """

    loop: asyncio.AbstractEventLoop | None = None
    _thread: int = field(default_factory=threading.get_ident)
    _result: Future[Result] = field(default_factory=Future)
    _pinged_at: float | None = None

    def finish(self, result: Result) -> None:
        """Pass the result to all calls that wait for it."""
        self._result.set_result(result)

    def wait(self) -> Result:
        """Wait for the result; `None` also if the uploading call can't go on."""
        while not self._is_stuck():
            try:
                return copy_error(self._result.result(timeout=_POLL_SECONDS))
            except TimeoutError:
                continue
        return None

    async def await_result(self) -> Result:
        """Wait for the result asynchronously; see `wait`."""
        future = asyncio.wrap_future(self._result)
        while not self._is_stuck():
            done, _ = await asyncio.wait((future,), timeout=_POLL_SECONDS)
            if done:
                return copy_error(future.result())
        return None

    def is_blocked_by(self, thread: int) -> bool:
        """Return whether the uploading call's event loop can't go on while a sync call in this thread waits."""
        return self.loop is not None and self._thread == thread

    def _is_stuck(self) -> bool:
        """Return whether the uploading call's event loop is closed, or has not answered for a while."""
        if self.loop is None or self._result.done():
            return False
        if self._pinged_at is not None:
            return time.monotonic() - self._pinged_at > _PATIENCE_SECONDS
        self._pinged_at = time.monotonic()
        try:
            self.loop.call_soon_threadsafe(self._answer)
        except RuntimeError:  # the loop is closed
            return True
        return False

    def _answer(self) -> None:
        self._pinged_at = None


def copy_error(result: Result) -> Result:
    """Return a copy of an error, so that each call adds its own context to it."""
    if not isinstance(result, QwenVLError):
        return result
    error = copy.copy(result)
    error.__dict__ = dict(result.__dict__)  # Dask registers a way to copy exceptions that shares their attributes
    error.__cause__ = result.__cause__
    return error

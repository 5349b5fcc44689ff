"""When a request that failed is sent again: the one retry rule, of both APIs."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from qwenvl_core.errors import QwenVLError
from qwenvl_core.transport.connection import Connection

_FIRST_PAUSE = 0.5  # seconds
_LONGEST_PAUSE = 8.0  # seconds, where the server names none
_PATIENCE = 300.0  # seconds, where `timeout` sets no limit: a server may ask for a year


class RetryPolicy:
    """Counts the tries of one request. No pause between two of them is longer than `timeout`."""

    def __init__(self, connection: Connection) -> None:
        self._most = connection.max_retries
        self._longest = _PATIENCE if connection.timeout is None else connection.timeout
        self._done = 0

    def next_delay(self, error: QwenVLError) -> float:
        """Seconds to wait before the next try.

        Args:
            error: Why the last one failed, before anything of an answer came.

        Raises:
            QwenVLError: `error` itself, when there is no next try.
        """
        if self._done >= self._most or not _is_transient(error):
            raise error
        asked = error.retry_after
        if asked is not None and asked > self._longest:
            error.hint = f"The server asks to wait for {asked:.0f} seconds, which is longer than timeout=. {error.hint}"
            raise error
        self._done += 1
        # Clients that were refused together must not come back together.
        pause = min(_FIRST_PAUSE * 2 ** (self._done - 1), _LONGEST_PAUSE) * random.uniform(0.75, 1)
        return min(pause, self._longest) if asked is None else asked


def _is_transient(error: QwenVLError) -> bool:
    """Whether waiting may help: no response, a server in trouble, or a limit that refills."""
    status = error.status_code
    return status == 409 or (error.retryable and (status is None or status in (408, 429) or status >= 500))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The pause that a server asks for, in seconds; `None` where it names none that makes sense."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if seconds >= 0 and not math.isnan(seconds):
            return seconds
    try:
        return max(parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time(), 0.0)
    except (KeyError, ValueError, OverflowError, OSError):
        return None

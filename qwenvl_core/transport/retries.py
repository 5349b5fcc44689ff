"""When a request that failed is sent again: the one retry rule, of both transports."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from qwenvl_core.errors import QwenVLError

_FIRST_PAUSE = 0.5  # seconds
_LONGEST_PAUSE = 8.0  # seconds, where the server names none
_LONGEST_OBEYED = 120.0  # seconds; a server that asks for more is not waited for


class Retries:
    """Counts the tries of one request.

    Args:
        most: Tries after the first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._done = 0

    def pause_after(self, error: QwenVLError, headers: Mapping[str, str]) -> float:
        """Seconds to wait before the next try.

        Args:
            error: Why the last one failed, before anything of an answer came.
            headers: The response's, if there was one.

        Raises:
            QwenVLError: `error` itself, when there is no next try.
        """
        asked = retry_after(headers)
        if self._done >= self._most or not _may_pass(error) or (asked or 0) > _LONGEST_OBEYED:
            raise error
        self._done += 1
        # Clients that were refused together must not come back together.
        pause = min(_FIRST_PAUSE * 2 ** (self._done - 1), _LONGEST_PAUSE) * random.uniform(0.75, 1)
        return pause if asked is None else asked


def _may_pass(error: QwenVLError) -> bool:
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
    except (KeyError, ValueError, OverflowError):
        return None

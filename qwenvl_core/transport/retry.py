"""Decide whether and when to repeat a failed request, in the same way for both APIs."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TypeVar

from qwenvl_core.errors import QwenVLError
from qwenvl_core.transport.connection import Connection

T = TypeVar("T")

_LOG = logging.getLogger("qwenvl_core")

_FIRST_DELAY = 0.5  # seconds
_MAX_DELAY = 8.0  # seconds, unless the server requests another delay
_MAX_DELAY_WITHOUT_TIMEOUT = 300.0  # seconds; limits the delay that a server can request with `timeout=None`


class RetryPolicy:
    """Count the retries of one request. No delay is longer than the connection's `timeout`."""

    def __init__(self, connection: Connection) -> None:
        self._max_retries = connection.max_retries
        self._max_delay = _MAX_DELAY_WITHOUT_TIMEOUT if connection.timeout is None else connection.timeout
        self._retries = 0

    def next_delay(self, error: QwenVLError) -> float:
        """Return the seconds to wait before the next attempt.

        Args:
            error: Why the last attempt failed; no part of an answer had arrived.

        Raises:
            QwenVLError: `error` itself, if there is no next attempt.
        """
        if self._retries >= self._max_retries or not _is_transient(error):
            raise error
        requested = error.retry_after
        if requested is not None and requested > self._max_delay:
            error.hint = (
                f"The server requests a delay of {requested:.0f} seconds, which is longer than timeout=. {error.hint}"
            )
            raise error
        self._retries += 1
        # Jitter, so that throttled clients do not retry in lockstep.
        delay = min(_FIRST_DELAY * 2 ** (self._retries - 1), _MAX_DELAY) * random.uniform(0.75, 1)
        delay = min(delay, self._max_delay) if requested is None else requested
        _LOG.info(  # nothing that the server wrote: it may quote the request
            "Retry %d of %d in %.1f s after %s (status %s).",
            self._retries, self._max_retries, delay, type(error).__name__, error.status_code,
        )  # fmt: skip
        return delay


def call_with_retries(connection: Connection, attempt: Callable[[], T]) -> T:
    """Return the result of the first attempt that succeeds.

    Raises:
        QwenVLError: The last attempt's error.
    """
    policy = RetryPolicy(connection)
    while True:
        try:
            return attempt()
        except QwenVLError as error:
            time.sleep(policy.next_delay(error))


async def acall_with_retries(connection: Connection, attempt: Callable[[], Awaitable[T]]) -> T:
    """Return the result of the first attempt that succeeds, asynchronously; see `call_with_retries`."""
    policy = RetryPolicy(connection)
    while True:
        try:
            return await attempt()
        except QwenVLError as error:
            await asyncio.sleep(policy.next_delay(error))


def _is_transient(error: QwenVLError) -> bool:
    """Return whether a retry can succeed: after no response, 408, 409, 429 for a rate limit, or 5xx."""
    status = error.status_code
    return status == 409 or (error.retryable and (status is None or status in (408, 429) or status >= 500))


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Parse the delay that a server requests, in seconds; `None` if the headers have no valid one."""
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

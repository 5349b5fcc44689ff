"""The retry create_policy: how long to wait, and when to give up."""

from __future__ import annotations

import email.utils
import logging
import math
import time

import pytest

from qwenvl_core.errors import (
    QwenVLConnectionError,
    QwenVLRateLimitError,
)
from qwenvl_core.transport import retry
from qwenvl_core.transport.connection import Connection
from qwenvl_core.transport.retry import RetryPolicy, parse_retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Fri, 99 Foo 2020 00:00:00 GMT"}, None),
        ({"retry-after": email.utils.formatdate(0, usegmt=True)}, 0.0),
    ],
)
def test_retry_after_reads_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers) == seconds


def test_retry_after_reads_a_date() -> None:
    seconds = parse_retry_after({"retry-after": email.utils.formatdate(time.time() + 30, usegmt=True)})
    assert seconds is not None
    assert 28 < seconds <= 30


def create_policy(max_retries: int, timeout: float | None = 300.0) -> RetryPolicy:
    return RetryPolicy(Connection(api="openai", base_url="", api_key="", max_retries=max_retries, timeout=timeout))


def throttled(seconds: float | None) -> QwenVLRateLimitError:
    error = QwenVLRateLimitError(status_code=429)
    error.retry_after = seconds
    return error


def test_retry_is_logged_without_what_the_server_wrote(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="qwenvl_core")
    policy = create_policy(max_retries=1)
    error = QwenVLRateLimitError("sk-secret", code="sk-secret", request_id="sk-secret", status_code=429)
    error.retry_after = 2.0
    policy.next_delay(error)
    with pytest.raises(QwenVLRateLimitError):
        policy.next_delay(error)
    assert caplog.messages == ["Retry 1 of 1 in 2.0 s after QwenVLRateLimitError (status 429)."]


def test_delays_double_up_to_a_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_DELAY", 0.5)
    error = QwenVLConnectionError("gone")
    for timeout in (300.0, None, 3.0):
        policy = create_policy(7, timeout)
        delays = [policy.next_delay(error) for _ in range(7)]
        for delay, longest in zip(delays, (0.5, 1, 2, 4, 8, 8, 8), strict=True):
            assert min(longest * 0.75, timeout or 300) <= delay <= min(longest, timeout or 300)
        with pytest.raises(QwenVLConnectionError) as caught:
            policy.next_delay(error)
        assert caught.value is error


@pytest.mark.parametrize(
    ("timeout", "requested"), [(300.0, 300.0), (300.0, 301.0), (3.0, 3.1), (0.5, 0.5), (None, 300.0), (None, math.inf)]
)
def test_no_delay_is_longer_than_the_timeout(timeout: float | None, requested: float) -> None:
    error = throttled(requested)
    if requested <= (timeout or 300):
        assert create_policy(1, timeout).next_delay(error) == requested
        return
    with pytest.raises(QwenVLRateLimitError, match=f"requests a delay of {requested:.0f} seconds") as caught:
        create_policy(1, timeout).next_delay(error)
    assert caught.value is error
    assert "timeout=" in error.hint
    assert QwenVLRateLimitError.hint in error.hint

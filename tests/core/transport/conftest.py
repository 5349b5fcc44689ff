"""Fixtures for the tests of the transports."""

from __future__ import annotations

import pytest

from qwenvl_core.transport import retry


@pytest.fixture(autouse=True)
def no_retry_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a delay, unless the server asks for one."""
    monkeypatch.setattr(retry, "_FIRST_DELAY", 0.0)

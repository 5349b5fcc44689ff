"""What every test has: no network but the loopback, no keys or regions of the machine it runs on, an emulator."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.emulator import Emulator

_VENDOR_VARIABLES = ("DASHSCOPE_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "LC_")


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith(_VENDOR_VARIABLES)]:
        del os.environ[name]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A strict emulator of the service, on the loopback."""
    with Emulator() as server:
        yield server

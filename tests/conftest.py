"""Isolate tests from the keys and regions of the machine, and provide an emulator.

The network is limited to the loopback in pyproject.toml.
"""

from __future__ import annotations

import gc
import os
import ssl
from collections.abc import Iterator

import hypothesis
import pytest

from tests.emulator import Emulator

# Without deadlines, because the duration of an example depends on the load of the machine.
hypothesis.settings.register_profile(
    "steady", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], derandomize=True
)
hypothesis.settings.load_profile("steady")

_VENDOR_VARIABLES = ("DASHSCOPE_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "LC_")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="Record the cassettes of a suite again (for `make record`).")


def pytest_configure(config: pytest.Config) -> None:
    kept = {"DASHSCOPE_API_KEY"} if config.getoption("record") else set()
    for name in [name for name in os.environ if name.startswith(_VENDOR_VARIABLES) and name not in kept]:
        del os.environ[name]


def pytest_collection_finish() -> None:
    """Exempt the collected tests from garbage collection: they are most objects of the process, and are kept."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_certificates(pytestconfig: pytest.Config) -> Iterator[None]:
    """Load no CA certificates: no test uses TLS, and loading is most of the time to create a client."""
    with pytest.MonkeyPatch.context() as patch:
        if not pytestconfig.getoption("record"):
            patch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **kwargs: None)
        yield


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Run a strict emulator of the service on the loopback."""
    with Emulator() as server:
        yield server

"""Preload the modules of HTTP clients, and report errors in the environment that they read."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from qwenvl_core.errors import QwenVLInputError

_HINT = (
    "The HTTP client reads these environment variables: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY (a SOCKS proxy needs the "
    "package socksio), NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR. Correct them, or pass http_client= and "
    "http_async_client=."
)


@contextmanager
def map_setup_errors() -> Iterator[None]:
    """Raise `QwenVLInputError` if the HTTP library can't create a client from the environment."""
    try:
        yield
    except Exception as error:  # of many types: missing file, invalid certificate, missing package, invalid URL
        raise QwenVLInputError(f"The HTTP client can't be set up: {error}.", hint=_HINT) from error


def preload_modules(http_core: str) -> None:
    """Import the modules that an HTTP library would import during its first request, on the event loop.

    Args:
        http_core: The package that the HTTP library is built on: `"httpcore"` or `"httpcore2"`.
    """
    for name in (http_core, "anyio._backends._asyncio"):
        with suppress(ImportError):
            importlib.import_module(name)

"""Making an HTTP client: what takes long in it, and what the environment may break."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from qwenvl_core.errors import QwenVLInputError

_HINT = (
    "It reads the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY (a SOCKS proxy needs the package socksio), NO_PROXY, "
    "SSL_CERT_FILE, SSL_CERT_DIR. Mend what is wrong there, or pass http_client= and http_async_client=."
)


@contextmanager
def client_setup_errors() -> Iterator[None]:
    """Raises our error where the HTTP library can't work with what the environment says."""
    try:
        yield
    except Exception as error:  # of many kinds: no file, no certificate, no such package, no URL
        raise QwenVLInputError(f"The HTTP client can't be set up: {error}.", hint=_HINT) from error


def preload(core: str) -> None:
    """Import what an HTTP library imports with its first client and its first request: on the event loop, that is.

    Args:
        core: The package below the HTTP library.
    """
    for name in (core, "anyio._backends._asyncio"):
        with suppress(ImportError):
            importlib.import_module(name)

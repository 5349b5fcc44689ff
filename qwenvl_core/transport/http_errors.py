"""Map the exceptions of the HTTP libraries to the errors of this package."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qwenvl_core.errors import QwenVLError, QwenVLStreamInterruptedError, QwenVLTimeoutError
from qwenvl_core.transport.retry import parse_retry_after
from qwenvl_core.wire import errors
from qwenvl_core.wire.error_classes import error_from_payload


def get_http_classes(*names: str) -> tuple[type[Any], ...]:
    """Return the classes of these names from httpx and its successor httpx2, as far as they are imported.

    An SDK uses one of the two; a client that the caller passes may be from the other one.
    """
    libraries = [library for name in ("httpx", "httpx2") if (library := sys.modules.get(name)) is not None]
    return tuple(getattr(library, name) for library in libraries for name in names)


def get_network_errors() -> tuple[type[Exception], ...]:
    """Return the exception classes for a request or response that was interrupted.

    httpx2 does not map two of anyio's TLS failures: https://github.com/pydantic/httpx2/issues/854.
    """
    anyio = sys.modules.get("anyio")
    unmapped = (ssl.SSLError,) if anyio is None else (ssl.SSLError, anyio.EndOfStream)
    return (*get_http_classes("RequestError", "StreamError"), *unmapped)


@contextmanager
def map_read_errors() -> Iterator[None]:
    """Raise this package's errors for failures while a response is read; the library's exception is the cause."""
    try:
        yield
    except get_http_classes("TimeoutException") as error:
        raise QwenVLTimeoutError("The server stopped sending before the response was complete.") from error
    except get_network_errors() as error:
        raise QwenVLStreamInterruptedError(f"The connection broke during the response: {error}.") from error


def build_error(response: Any, body: str) -> QwenVLError:
    """Build the error for a response with an HTTP error status.

    Args:
        response: The response.
        body: Its body, as text.
    """
    payload = errors.parse_error_body(
        body, status_code=response.status_code, request_id=response.headers.get("x-request-id")
    )
    error = error_from_payload(payload)
    error.retry_after = parse_retry_after(response.headers)
    return error

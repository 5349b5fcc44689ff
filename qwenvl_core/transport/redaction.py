"""Keep keys and media out of errors: the SDKs' exceptions contain the request, and servers may repeat it in a reply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from qwenvl_core.transport.http_errors import get_http_classes

_MIN_SECRET_LENGTH = 8  # characters; a shorter key is a placeholder such as "EMPTY", which can occur in any text


def redact(error: BaseException, secret: str) -> None:
    """Remove the sent headers and body from an error and its causes, and a secret from all their texts."""
    for cause in _iterate_causes(error):
        cause.args = _mask(secret, cause.args)
        for name, value in list(vars(cause).items()):
            with suppress(AttributeError):  # attributes of a library's exception may be read-only
                setattr(cause, name, _mask(secret, _strip_http(secret, value)))


def _iterate_causes(error: BaseException) -> Iterator[BaseException]:
    visited: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is not None and id(current) not in visited:
            visited.add(id(current))
            pending += [current.__cause__, current.__context__]
            yield current


def _strip_http(secret: str, value: Any) -> Any:
    """Return an HTTP request without headers and body, and a response without its body, which may repeat the request.

    Some libraries send exceptions with all their attributes to other processes; Dask is one of them.
    """
    for request_class in get_http_classes("Request"):
        if isinstance(value, request_class):
            return request_class(value.method, value.url)
    for response_class in get_http_classes("Response"):
        if isinstance(value, response_class):
            request = None
            with suppress(RuntimeError):  # a response may have no request
                request = _strip_http(secret, value.request)
            return response_class(
                value.status_code, headers=_mask(secret, value.headers.multi_items()), request=request
            )
    return value


def _mask(secret: str, value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(secret, "…") if len(secret) >= _MIN_SECRET_LENGTH else value
    if isinstance(value, dict):
        return {_mask(secret, name): _mask(secret, item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_mask(secret, item) for item in value)
    return value

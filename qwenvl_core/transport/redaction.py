"""Keeping keys and media out of errors: the SDKs' hold the request, and some servers repeat it in what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_SHORTEST = 8  # characters; what is shorter is a placeholder ("EMPTY"), and may be part of any word


def redact(error: BaseException, secret: str) -> None:
    """Take out of an error and of its causes what was sent, and a secret from all of their texts."""
    for told in _with_causes(error):
        told.args = _without(secret, told.args)
        for name, value in list(vars(told).items()):
            with suppress(AttributeError):  # a library's own may be fixed
                setattr(told, name, _without(secret, _bare(secret, value)))


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        told = left.pop()
        if told is not None and id(told) not in seen:
            seen.add(id(told))
            left += [told.__cause__, told.__context__]
            yield told


def _bare(secret: str, held: Any) -> Any:
    """A request without headers and body, a response without body: the latter may repeat the former.

    Some libraries send errors to other processes with all that they hold: Dask does.
    """
    match type(held).__name__:  # of httpx, or of httpx2
        case "Request":
            return type(held)(held.method, held.url)
        case "Response":
            request = _bare(secret, vars(held).get("_request"))
            return type(held)(held.status_code, headers=_without(secret, held.headers.multi_items()), request=request)
        case _:
            return held


def _without(secret: str, value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(secret, "…") if len(secret) >= _SHORTEST else value
    if isinstance(value, dict):
        return {_without(secret, name): _without(secret, item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_without(secret, item) for item in value)
    return value

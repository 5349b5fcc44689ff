"""Keeping a key out of errors: some servers repeat the request, or its key, in what they answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

_SHORTEST = 8  # characters; what is shorter is a placeholder ("EMPTY"), and may be part of any word


def redact(error: BaseException, secret: str) -> None:
    """Take a secret out of the texts of an error and of its causes, and out of what they hold of a reply."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error] if len(secret) >= _SHORTEST else []
    while left:
        told = left.pop()
        if told is None or id(told) in seen:
            continue
        seen.add(id(told))
        told.args = _without(secret, told.args)
        for name, value in list(vars(told).items()):
            with suppress(AttributeError):  # a library's own may be fixed
                setattr(told, name, _without(secret, value))
        left += [told.__cause__, told.__context__]


def _without(secret: str, value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(secret, "…")
    if isinstance(value, dict):
        return {_without(secret, name): _without(secret, item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_without(secret, item) for item in value)
    return value

"""Keeping a key out of the texts of errors: some servers repeat the request, or its key, in what they answer."""

from __future__ import annotations

from contextlib import suppress

_SHORTEST = 8  # characters; what is shorter is a placeholder ("EMPTY"), and may be part of any word


def redact(error: BaseException, secret: str) -> None:
    """Take a secret out of the texts of an error and of its causes."""
    seen: set[int] = set()
    told: BaseException | None = error
    while told is not None and len(secret) >= _SHORTEST and id(told) not in seen:
        seen.add(id(told))
        told.args = tuple(arg.replace(secret, "…") if isinstance(arg, str) else arg for arg in told.args)
        message = getattr(told, "message", None)
        if isinstance(message, str) and secret in message:
            with suppress(AttributeError):  # a library's own may be fixed
                told.message = message.replace(secret, "…")  # type: ignore[attr-defined]
        told = told.__cause__ or told.__context__

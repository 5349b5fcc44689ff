"""Read typed fields of a reply; a field of another type raises `TypeError`, as an unknown shape of the reply."""

from __future__ import annotations

from typing import Any


def read_string(value: Any) -> str:
    """Return a string field; `""` if it is absent.

    Raises:
        TypeError: The value is not a string.
    """
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError(f"expected a string, not {type(value).__name__}")


def read_count(value: Any) -> int | None:
    """Return a number of tokens; `None` if it is absent.

    Raises:
        TypeError: The value is not a whole number.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise TypeError(f"expected a number of tokens, not {type(value).__name__}")

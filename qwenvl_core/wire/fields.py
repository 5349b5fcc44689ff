"""What a reply is made of: a value of another type is no value, but a reply that is not understood."""

from __future__ import annotations

from typing import Any


def string(value: Any) -> str:
    """A string; `""` where there is none.

    Raises:
        TypeError: It is something else.
    """
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError(f"{type(value).__name__} where text belongs")


def count(value: Any) -> int | None:
    """A number of tokens; `None` where there is none.

    Raises:
        TypeError: It is something else.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise TypeError(f"{type(value).__name__} where a number of tokens belongs")

"""Define the numbers that a parameter may have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a parameter may have.

    Attributes:
        low: Lower limit, `None` for no limit.
        high: Upper limit, `None` for no limit.
        open_low: `low` itself is excluded.
        open_high: `high` itself is excluded.
        whole: Only whole numbers are included.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    whole: bool = False

    def contains(self, value: Any) -> bool:
        """Return whether `value` is a number in this range."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        is_above = self.low is None or value > self.low or (value == self.low and not self.open_low)
        is_below = self.high is None or value < self.high or (value == self.high and not self.open_high)
        return is_above and is_below and (isinstance(value, int) or math.isfinite(value))

    def find_violations(self, name: str, value: Any, *, model: str = "") -> Iterator[str]:
        """Yield a sentence where a value is outside; `None` is never sent, so it passes.

        Args:
            name: Name of the parameter.
            value: Its value.
            model: The model that has this range, where it is not the same for all models.
        """
        if value is not None and not self.contains(value):
            yield f"{name}={value!r}: the service accepts {self}{f' for {model}' if model else ''}."

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        low = "" if self.low is None else f" {'above' if self.open_low else 'from'} {_format_number(self.low)}"
        high = "" if self.high is None else f" {'to below' if self.open_high else 'to'} {_format_number(self.high)}"
        return kind + (f"{low}{high}" if high or self.open_low else f" of {_format_number(self.low or 0)} or more")


def _format_number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"

"""Find the numbers that models write as coordinates."""

from __future__ import annotations

import re
from collections.abc import Sequence

NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?")
"""A number in decimal notation."""

_SEPARATORS = re.compile(r"[\s,;()\[\]]+")
_MAX_NUMBERS_TEXT = 400  # characters


def find_numbers(text: str) -> list[float]:
    """Return all numbers of a text in their order."""
    return [float(number) for number in NUMBER.findall(text)]


def parse_numbers(text: str) -> list[float]:
    """Return the numbers of a text that holds only numbers and separators; an empty list for other text."""
    words = _SEPARATORS.split(text) if len(text) <= _MAX_NUMBERS_TEXT else ["-"]
    numbers = [word for word in words if word]
    return [float(number) for number in numbers] if all(map(NUMBER.fullmatch, numbers)) else []


def is_number(value: object) -> bool:
    """Return whether a value is an `int` or a `float`; `bool`, a subclass of `int`, does not count."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def enclose_corners(numbers: Sequence[float]) -> list[float]:
    """Return left, top, right and bottom of the upright rectangle around the corners x, y, x, y, ..."""
    xs, ys = numbers[::2], numbers[1::2]
    return [min(xs), min(ys), max(xs), max(ys)]

"""Boxes, and the two coordinate worlds of Qwen-VL's answers.

Qwen3-VL and newer answer in thousandths of the image, Qwen2.5-VL in pixels of the image that the model saw (vendor
page "Visual understanding (Qwen-VL)", last question of its FAQ). That page says 0 to 999, the vendor's notebooks
divide by 1000 in most places and by 999 in some; 1000 is used here, which differs by at most one thousandth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Space = Literal["auto", "relative", "absolute"]
Size = tuple[float, float]

_SPACES = ("auto", "relative", "absolute")
_FULL = 1000.0
_TOLERANCE = 1.05  # a little outside is imprecision; more is likely the other coordinate world


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on an image, in fractions of its sides. The origin is the top left corner.

    Attributes:
        x0: Left, 0 to 1.
        y0: Top, 0 to 1.
        x1: Right, `x0` to 1.
        y1: Bottom, `y0` to 1.

    Raises:
        ValueError: A side lies outside 0..1, is not a number, or the sides are reversed.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        for name in ("x0", "y0", "x1", "y1"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not (0.0 <= self.x0 <= self.x1 <= 1.0 and 0.0 <= self.y0 <= self.y1 <= 1.0):
            raise ValueError(
                f"{self!r} is no box: it needs 0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1. "
                "Box.from_model() takes the numbers of a model's answer."
            )

    @classmethod
    def from_model(cls, numbers: Iterable[float], space: Space = "auto", size: Size | None = None) -> Box | None:
        """The box that four numbers of a model's answer stand for.

        Args:
            numbers: x, y of one corner, then x, y of the opposite one, in the model's unit.
            space: `"relative"` for thousandths of the image, `"absolute"` for pixels of the image that was sent,
                `"auto"` for relative.
            size: Width and height of the image that was sent, in pixels. Needed by `"absolute"`.

        Returns:
            The box, with reversed corners swapped and what lies outside cut off. `None` when these are not four
            numbers, or when no area is left.

        Raises:
            ValueError: `space` is unknown, or `size` is missing or no size.
        """
        return CoordinateSpace.of(space, size).box(list(numbers))

    @property
    def area(self) -> float:
        """Share of the image that the box covers, 0 to 1."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def to_pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels of an image of this width and height, rounded."""
        return (
            round(self.x0 * width),
            round(self.y0 * height),
            round(self.x1 * width),
            round(self.y1 * height),
        )

    def union(self, other: Box) -> Box:
        """The smallest box that holds both."""
        return Box(
            min(self.x0, other.x0),
            min(self.y0, other.y0),
            max(self.x1, other.x1),
            max(self.y1, other.y1),
        )


@dataclass(frozen=True, slots=True)
class CoordinateSpace:
    """What a model's coordinates are measured against.

    Attributes:
        width: The x coordinate of the right edge, in the model's unit.
        height: The y coordinate of the bottom edge, in the model's unit.
    """

    width: float
    height: float

    @classmethod
    def of(cls, space: str, size: Size | None) -> CoordinateSpace:
        """The frame for a coordinate space; see `Box.from_model` for the arguments.

        Raises:
            ValueError: `space` is unknown, or `size` is missing or no size.
        """
        if space not in _SPACES:
            raise ValueError(f"space={space!r} is none of {', '.join(_SPACES)}.")
        if space != "absolute":
            return cls(_FULL, _FULL)
        if size is None:
            raise ValueError('space="absolute" needs size=(width, height) of the image that was sent, in pixels.')
        width, height = size
        if not (0 < width < math.inf and 0 < height < math.inf):
            raise ValueError(f"size={size!r} is no size: it needs a positive width and height in pixels.")
        return cls(float(width), float(height))

    def box(self, numbers: Sequence[float]) -> Box | None:
        """The box between two corners, or `None`; see `Box.from_model`."""
        if len(numbers) != 4 or any(math.isnan(n) for n in numbers):
            return None
        (xa, ya), (xb, yb) = self.point(*numbers[:2]), self.point(*numbers[2:])
        box = Box(min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb))
        return box if box.x0 < box.x1 and box.y0 < box.y1 else None

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A point in fractions of the sides; outside is moved to the nearest edge."""
        return _fraction(x, self.width), _fraction(y, self.height)

    def exceeded_by(self, numbers: Sequence[float]) -> bool:
        """Whether a coordinate lies far outside, as happens when the space is the wrong one."""
        limits = (self.width, self.height, self.width, self.height)
        return any(n > limit * _TOLERANCE for n, limit in zip(numbers, limits, strict=False))


def _fraction(value: float, full: float) -> float:
    return min(max(value / full, 0.0), 1.0)

"""Convert coordinates of Qwen-VL's answers to boxes and points in fractions of the image.

Qwen3-VL and newer answer in thousandths of the image, Qwen2.5-VL in pixels of the image that was sent (vendor page
"Visual understanding (Qwen-VL)", last question of its FAQ). That page states the range 0 to 999; the vendor's notebooks
divide by 1000 in most places and by 999 in some. 1000 is used here, which differs by at most one thousandth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Space = Literal["auto", "relative", "absolute"]
Size = tuple[float, float]

_SPACES = ("auto", "relative", "absolute")
_THOUSANDTHS = 1000.0
_TOLERANCE = 1.05  # up to 5% outside is imprecision; more suggests another coordinate space


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on an image, in fractions of its sides. The origin is the top left corner.

    Attributes:
        x0: Left, 0 to 1.
        y0: Top, 0 to 1.
        x1: Right, `x0` to 1.
        y1: Bottom, `y0` to 1.

    Raises:
        ValueError: A side is outside 0 to 1 or not a number, or the sides are reversed.

    Example:
        ```python
        box = Box(0.1, 0.2, 0.4, 0.6)
        print(box.to_pixels(1000, 500))  # (100, 100, 400, 300)
        print(box.union(Box(0.5, 0.5, 0.9, 0.9)))  # Box(x0=0.1, y0=0.2, x1=0.9, y1=0.9)
        ```
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        for name, value in (("x0", self.x0), ("y0", self.y0), ("x1", self.x1), ("y1", self.y1)):
            if type(value) is not float:
                object.__setattr__(self, name, float(value))
        if not (0.0 <= self.x0 <= self.x1 <= 1.0 and 0.0 <= self.y0 <= self.y1 <= 1.0):
            raise ValueError(
                f"Invalid box: {self!r}. A box has 0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1. "
                "Use Box.from_model() for the numbers of a model's answer."
            )

    @classmethod
    def from_model(cls, numbers: Iterable[float], space: Space = "auto", size: Size | None = None) -> Box | None:
        """Create a box from four numbers of a model's answer.

        Args:
            numbers: x, y of one corner, then x, y of the opposite one, in the model's unit.
            space: `"relative"` for thousandths of the image, `"absolute"` for pixels of the image that was sent,
                `"auto"` for relative.
            size: Width and height of the image that was sent, in pixels. Needed by `"absolute"`.

        Returns:
            The box, with reversed corners swapped and clipped to the image. `None` if there are not four numbers, or
            if the box has no area.

        Raises:
            ValueError: `space` is unknown, or `size` is missing or not positive.
        """
        return CoordinateSpace.create(space, size).to_box(list(numbers))

    @property
    def area(self) -> float:
        """The fraction of the image that the box covers, 0 to 1."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def to_pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Convert to left, top, right and bottom in whole pixels of an image of this width and height."""
        return (
            round(self.x0 * width),
            round(self.y0 * height),
            round(self.x1 * width),
            round(self.y1 * height),
        )

    def union(self, other: Box) -> Box:
        """Return the smallest box that contains both."""
        return Box(
            min(self.x0, other.x0),
            min(self.y0, other.y0),
            max(self.x1, other.x1),
            max(self.y1, other.y1),
        )


@dataclass(frozen=True, slots=True)
class CoordinateSpace:
    """The coordinate space of a model's answer.

    Attributes:
        width: The x coordinate of the right edge, in the model's unit.
        height: The y coordinate of the bottom edge, in the model's unit.
    """

    width: float
    height: float

    @classmethod
    def create(cls, space: str, size: Size | None) -> CoordinateSpace:
        """Create the coordinate space for a `space` and `size`; see `Box.from_model` for both.

        Raises:
            ValueError: `space` is unknown, or `size` is missing or not positive.
        """
        if space not in _SPACES:
            raise ValueError(f"Unknown space: {space!r}. Supported: {', '.join(_SPACES)}.")
        if space != "absolute":
            return cls(_THOUSANDTHS, _THOUSANDTHS)
        if size is None:
            raise ValueError(
                'Missing size for space="absolute". Pass size=(width, height) of the image that was sent, in pixels.'
            )
        width, height = size
        if not (0 < width < math.inf and 0 < height < math.inf):
            raise ValueError(f"Invalid size: {size!r}. Width and height must be positive numbers of pixels.")
        return cls(float(width), float(height))

    def to_box(self, numbers: Sequence[float]) -> Box | None:
        """Convert the coordinates of two opposite corners to a box; see `Box.from_model`."""
        if len(numbers) != 4 or any(map(math.isnan, numbers)):
            return None
        x0, x1 = sorted((_to_fraction(numbers[0], self.width), _to_fraction(numbers[2], self.width)))
        y0, y1 = sorted((_to_fraction(numbers[1], self.height), _to_fraction(numbers[3], self.height)))
        return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def to_point(self, x: float, y: float) -> tuple[float, float]:
        """Convert a point to fractions of the image's sides; a point outside moves to the nearest edge."""
        return _to_fraction(x, self.width), _to_fraction(y, self.height)

    def is_exceeded_by(self, numbers: Sequence[float]) -> bool:
        """Return whether a coordinate lies far outside the image, which suggests the wrong coordinate space."""
        limits = (self.width, self.height, self.width, self.height)
        return any(number > limit * _TOLERANCE for number, limit in zip(numbers, limits, strict=False))


def _to_fraction(value: float, length: float) -> float:
    return min(max(value / length, 0.0), 1.0)

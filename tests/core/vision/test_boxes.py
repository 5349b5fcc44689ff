"""Validate boxes and convert coordinates."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.grounding import Box, parse_grounding
from qwenvl_core.layout import parse_layout


def test_box_converts_its_sides_to_floats() -> None:
    box = Box(0, 0.25, 1, 0.75)
    assert (box.x0, box.y0, box.x1, box.y1) == (0.0, 0.25, 1.0, 0.75)
    assert box.area == 0.5


def test_box_with_invalid_sides_raises_value_error() -> None:
    for sides in [(0.5, 0, 0.4, 1), (0, 0, 1.1, 1), (-0.1, 0, 1, 1), (0, 0, float("nan"), 1), (0, float("inf"), 1, 1)]:
        with pytest.raises(ValueError, match="Invalid box"):
            Box(*sides)


def test_box_converts_to_pixels_and_unions() -> None:
    assert Box(0.1, 0.2, 0.3, 0.4).to_pixels(1000, 500) == (100, 100, 300, 200)
    assert Box(0.1, 0.2, 0.3, 0.4).union(Box(0.2, 0.1, 0.9, 0.3)) == Box(0.1, 0.1, 0.9, 0.4)


@pytest.mark.parametrize(
    ("numbers", "space", "size", "expected"),
    [
        ([100, 200, 300, 400], "auto", None, Box(0.1, 0.2, 0.3, 0.4)),
        ([100, 200, 300, 400], "relative", (50, 50), Box(0.1, 0.2, 0.3, 0.4)),
        ([100, 200, 300, 400], "absolute", (1000, 800), Box(0.1, 0.25, 0.3, 0.5)),
        ([300, 400, 100, 200], "auto", None, Box(0.1, 0.2, 0.3, 0.4)),
        ([-5, 200, 1300, 1000], "auto", None, Box(0, 0.2, 1, 1)),
        ([100, 200, 100, 400], "auto", None, None),
        ([1100, 200, 1300, 400], "auto", None, None),
        ([100, 200, 300], "auto", None, None),
        ([100, 200, 300, float("nan")], "auto", None, None),
        ([100, 200, 300, float("inf")], "auto", None, Box(0.1, 0.2, 0.3, 1)),
    ],
)
def test_from_model_converts_numbers_to_fractions(
    numbers: list[float], space: str, size: tuple[int, int] | None, expected: Box | None
) -> None:
    assert Box.from_model(numbers, space, size) == expected  # type: ignore[arg-type]


@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_to_pixels_returns_the_absolute_coordinates(width: int, height: int, data: st.DataObject) -> None:
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    box = Box.from_model([x0, y0, x1, y1], "absolute", (width, height))
    assert box is not None
    assert box.to_pixels(width, height) == (x0, y0, x1, y1)


@pytest.mark.parametrize("parse", [parse_grounding, parse_layout])
def test_invalid_space_or_size_raises_value_error(parse: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="size"):
        parse("", space="absolute")
    with pytest.raises(ValueError, match="size"):
        parse("", space="absolute", size=(0, 10))
    with pytest.raises(ValueError, match="space"):
        parse("", space="pixels")

"""Boxes and points drawn on images, and regions cut out of them. Pillow is imported when a function is called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwenvl_core.media.colour import to_rgb
from qwenvl_core.parsing.text import one_line, sanitize
from qwenvl_core.vision.boxes import Box

if TYPE_CHECKING:
    from PIL import Image, ImageFont
    from PIL.ImageDraw import ImageDraw

_COLORS = (
    (220, 38, 38),
    (37, 99, 235),
    (22, 163, 74),
    (217, 119, 6),
    (147, 51, 234),
    (8, 145, 178),
    (219, 39, 119),
    (77, 124, 15),
)
_WHITE = (255, 255, 255)
_LINES_PER_SIDE = 300  # the longer side of the image is this many lines wide
_LETTERS_PER_SIDE = 50
_MIN_LETTER = 10  # pixels
_MAX_LABEL = 60  # characters


def draw(image: Image.Image, items: Iterable[object] | object, *, labels: bool = True) -> Image.Image:
    """A copy of `image` with the boxes and points of `items` on it.

    Things with the same name have the same colour. Items without a box or a point are passed over.

    Args:
        image: A Pillow image of any mode and size. It is left as it is.
        items: What `parse_grounding` gives, the elements or the whole of what `parse_layout` gives, or boxes.
        labels: Whether to write the label (of a layout element: its index and type) beside each.

    Returns:
        A new image in mode RGB. Transparent parts are white, as paper; 16-bit and float values are scaled to
        8 bits.

    Raises:
        ImportError: Pillow is missing.
        TypeError: An item is none of these.
    """
    _pillow()
    from PIL import ImageDraw

    marks = [_mark(item) for item in _each(items)]
    canvas = to_rgb(image)
    pen = ImageDraw.Draw(canvas)
    long_side = max(canvas.size, default=0)
    line = max(1, round(long_side / _LINES_PER_SIDE))
    colors: dict[str, tuple[int, int, int]] = {}
    for mark in marks:
        color = colors.setdefault(mark.group, _COLORS[len(colors) % len(_COLORS)])
        for corners in _outline(pen, canvas, mark, line, color):
            if labels and mark.text:
                _write(pen, canvas, mark.text, corners, max(_MIN_LETTER, long_side // _LETTERS_PER_SIDE), color)
    return canvas


def crop(image: Image.Image, box: Box, margin: float = 0.01) -> Image.Image:
    """The part of `image` inside of `box`.

    Args:
        image: A Pillow image. It is left as it is.
        box: Where, in fractions of the image's sides.
        margin: What to add on each side, as a share of the box's width and height. It stops at the image's edge.

    Returns:
        A new image in the same mode, at least one pixel wide and high.

    Raises:
        ImportError: Pillow is missing.
        ValueError: `margin` is negative or no number.
    """
    _pillow()
    if not 0 <= margin < math.inf:
        raise ValueError(f"margin={margin!r} needs to be 0 or more.")
    pad_x, pad_y = (box.x1 - box.x0) * margin, (box.y1 - box.y0) * margin
    left, right = _span(box.x0 - pad_x, box.x1 + pad_x, image.width)
    top, bottom = _span(box.y0 - pad_y, box.y1 + pad_y, image.height)
    return image.crop((left, top, right, bottom))


def _span(low: float, high: float, length: int) -> tuple[int, int]:
    """First pixel and the one behind the last of all that `low` to `high` touches, inside of the image."""
    tiny = 1e-6  # pixels: what floating point adds to a whole number
    first = min(max(math.floor(low * length + tiny), 0), length - 1)
    return first, min(max(math.ceil(high * length - tiny), first + 1), length)


def _pillow() -> None:
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Drawing and cropping need Pillow: pip install 'qwenvl-adapters[documents]'", name="PIL"
        ) from error


@dataclass(frozen=True, slots=True)
class _Mark:
    group: str  # what shares a colour
    text: str
    box: Box | None
    points: tuple[tuple[float, float], ...]


def _each(items: Any) -> Iterator[Any]:
    if isinstance(items, Box) or hasattr(items, "box"):
        yield items
    else:
        yield from getattr(items, "elements", items)


def _mark(item: Any) -> _Mark:
    if isinstance(item, Box):
        return _Mark("", "", item, ())
    if hasattr(item, "kind"):
        label = _printable(item.label or "")
        return _Mark(label, label, item.box, item.points)
    if hasattr(item, "box") and hasattr(item, "type"):
        return _Mark(item.type, f"{item.index} {item.type}", item.box, ())
    raise TypeError(f"draw() takes boxes, grounded items and layout elements, not {type(item).__name__}.")


def _printable(label: str) -> str:
    text = one_line(sanitize(label))
    return text if len(text) <= _MAX_LABEL else text[: _MAX_LABEL - 1] + "…"


def _outline(
    pen: ImageDraw, canvas: Image.Image, mark: _Mark, line: int, color: tuple[int, int, int]
) -> Iterator[tuple[int, int]]:
    """Draws a mark, and yields the place where each part of it begins."""
    width, height = canvas.size
    if mark.box is not None and width and height:
        left, top, right, bottom = mark.box.to_pixels(width, height)
        left, top = min(left, width - 1), min(top, height - 1)
        pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=color, width=line)
        yield left, top
    for x, y in mark.points:
        at_x, at_y = round(x * (width - 1)), round(y * (height - 1))
        radius = 2 * line
        around = (at_x - radius, at_y - radius, at_x + radius, at_y + radius)
        pen.ellipse(around, fill=color, outline=_WHITE)
        yield at_x, at_y


def _write(
    pen: ImageDraw, canvas: Image.Image, text: str, at: tuple[int, int], size: int, color: tuple[int, int, int]
) -> None:
    """Writes `text` on a plate above `at`, or below where there is no room above."""
    font = _font(size)
    try:
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    except (UnicodeError, ValueError, OSError):  # a font without this script, or without FreeType
        text = text.encode("ascii", "replace").decode("ascii")
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    x = max(0, min(at[0], canvas.width - int(right)))
    y = at[1] - int(bottom) if at[1] >= bottom else at[1]
    pen.rectangle((x + left, y + top, x + right, y + bottom), fill=color)
    pen.text((x, y), text, fill=_WHITE, font=font)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except (ImportError, OSError):  # Pillow was built without FreeType: one small font, of one size
        return ImageFont.load_default()

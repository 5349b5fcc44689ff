"""Draw boxes and points on images, and crop boxes. Pillow is imported when a function is called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwenvl_core.media.colour import to_rgb
from qwenvl_core.media.pillow import require_pillow
from qwenvl_core.parsing.text import join_lines, sanitize
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
_LINES_PER_SIDE = 300  # lines drawn side by side fill the longer side of the image
_LETTERS_PER_SIDE = 50
_MIN_FONT_SIZE = 10  # pixels
_MAX_LABEL = 60  # characters

_Color = tuple[int, int, int]


def draw(image: Image.Image, items: Iterable[object] | object, *, labels: bool = True) -> Image.Image:
    """Draw boxes and points on a copy of an image.

    Items with the same label, and layout elements of the same type, have the same colour. Items without a box or a
    point are skipped.

    Args:
        image: A Pillow image of any mode and size. It is not changed.
        items: The items of `parse_grounding`, the page of `parse_layout` or its elements, boxes, or one of these.
        labels: Whether to write the label of each item, or the index and type of a layout element.

    Returns:
        A new image in mode RGB. Transparent parts become white; 16-bit and float values are scaled to 8 bits.

    Raises:
        ImportError: Pillow is missing.
        TypeError: An item is of another type.

    Example:
        ```python
        from PIL import Image

        image = Image.open("receipt.png")
        draw(image, parse_grounding('[{"bbox_2d": [100, 850, 800, 950], "label": "total"}]')).save("marked.png")
        ```
    """
    require_pillow("Drawing")
    from PIL import ImageDraw

    marks = [_create_mark(item) for item in _iterate_items(items)]
    canvas = to_rgb(image)
    pen = ImageDraw.Draw(canvas)
    longer_side = max(canvas.size, default=0)
    line_width = max(1, round(longer_side / _LINES_PER_SIDE))
    font_size = max(_MIN_FONT_SIZE, longer_side // _LETTERS_PER_SIDE)
    colors: dict[str, _Color] = {}
    for mark in marks:
        color = colors.setdefault(mark.group, _COLORS[len(colors) % len(_COLORS)])
        for corner in _draw_mark(pen, canvas, mark, line_width, color):
            if labels and mark.text:
                _write_label(pen, canvas, mark.text, corner, font_size, color)
    return canvas


def crop(image: Image.Image, box: Box, margin: float = 0.01) -> Image.Image:
    """Crop a box from an image.

    Args:
        image: A Pillow image. It is not changed.
        box: The box, in fractions of the image's sides.
        margin: Margin on each side, as a share of the box's width and height; clipped to the image.

    Returns:
        A new image in the same mode, at least one pixel wide and high.

    Raises:
        ImportError: Pillow is missing.
        ValueError: `margin` is negative or not a finite number.

    Example:
        ```python
        from PIL import Image

        print(crop(Image.open("receipt.png"), Box(0.1, 0.8, 0.9, 1.0)).size)  # (294, 85)
        ```
    """
    require_pillow("Cropping")
    if not 0 <= margin < math.inf:
        raise ValueError(f"Invalid margin: {margin!r}. It must be a finite number, 0 or more.")
    pad_x, pad_y = (box.x1 - box.x0) * margin, (box.y1 - box.y0) * margin
    left, right = _to_pixel_range(box.x0 - pad_x, box.x1 + pad_x, image.width)
    top, bottom = _to_pixel_range(box.y0 - pad_y, box.y1 + pad_y, image.height)
    return image.crop((left, top, right, bottom))


def _to_pixel_range(start: float, end: float, length: int) -> tuple[int, int]:
    """Return the first and the last pixel plus one of all pixels between two fractions of a side of `length` pixels."""
    epsilon = 1e-6  # pixels; absorbs floating-point error at whole numbers
    first = min(max(math.floor(start * length + epsilon), 0), length - 1)
    return first, min(max(math.ceil(end * length - epsilon), first + 1), length)


@dataclass(frozen=True, slots=True)
class _Mark:
    """The box or points to draw for an item.

    Attributes:
        group: Marks of one group have the same colour.
        text: The label to write.
        box: The box, if there is one.
        points: The points in fractions of the image's sides.
    """

    group: str
    text: str
    box: Box | None
    points: tuple[tuple[float, float], ...]


def _iterate_items(items: Any) -> Iterator[Any]:
    if isinstance(items, Box) or hasattr(items, "box"):
        yield items
    else:
        yield from getattr(items, "elements", items)


def _create_mark(item: Any) -> _Mark:
    if isinstance(item, Box):
        return _Mark("", "", item, ())
    if hasattr(item, "kind"):
        label = _to_printable(item.label or "")
        return _Mark(label, label, item.box, item.points)
    if hasattr(item, "box") and hasattr(item, "type"):
        return _Mark(item.type, f"{item.index} {item.type}", item.box, ())
    raise TypeError(
        f"Unsupported item for draw(): {type(item).__name__}. Supported: Box, Grounded, LayoutElement, PageLayout."
    )


def _to_printable(label: str) -> str:
    text = join_lines(sanitize(label))
    return text if len(text) <= _MAX_LABEL else text[: _MAX_LABEL - 1] + "…"


def _draw_mark(
    pen: ImageDraw, canvas: Image.Image, mark: _Mark, line_width: int, color: _Color
) -> Iterator[tuple[int, int]]:
    """Draw the box and the points of a mark, and yield for each the pixel to put its label at."""
    width, height = canvas.size
    if mark.box is not None and width and height:
        left, top, right, bottom = mark.box.to_pixels(width, height)
        left, top = min(left, width - 1), min(top, height - 1)
        pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=color, width=line_width)
        yield left, top
    radius = 2 * line_width
    for point_x, point_y in mark.points:
        x, y = round(point_x * (width - 1)), round(point_y * (height - 1))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline=_WHITE)
        yield x, y


def _write_label(
    pen: ImageDraw, canvas: Image.Image, text: str, corner: tuple[int, int], size: int, color: _Color
) -> None:
    """Write a label on a filled rectangle above `corner`, or below it if there is no space above."""
    font = _load_font(size)
    try:
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    except (UnicodeError, ValueError, OSError):  # a font without this script, or without FreeType
        text = text.encode("ascii", "replace").decode("ascii")
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    x = max(0, min(corner[0], canvas.width - int(right)))
    y = corner[1] - int(bottom) if corner[1] >= bottom else corner[1]
    pen.rectangle((x + left, y + top, x + right, y + bottom), fill=color)
    pen.text((x, y), text, fill=_WHITE, font=font)


def _load_font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except (ImportError, OSError):  # Pillow without FreeType has one small font of a fixed size
        return ImageFont.load_default()

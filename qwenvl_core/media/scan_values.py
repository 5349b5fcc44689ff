"""Repair the values of images of more than 8 bits: 12 bits in a file of 16, white as zero, separate planes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from qwenvl_core.media.colour import stretch_scan, to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

# TIFF tags
_WIDTH, _HEIGHT, _BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANES = 256, 257, 258, 262, 284
_MAX_VALUES = (281, 341)
_WHITE_IS_ZERO = 0
_SEPARATE_PLANES = 2
_HIGH_BITS_OF_12 = 15  # largest high byte of a 12-bit value in 16 bits
_COLOURS = ("RGB", "RGBA", "CMYK")


def repair_values(image: Image, *, is_scan: bool) -> Image:
    """Return an image whose values of more than 8 bits mean what they meant, with white as the highest.

    Args:
        image: An image as Pillow opened it, not decoded yet. It is returned itself if nothing has to be repaired.
        is_scan: Whether the bits that its values use tell what is white. Else only its header tells it, since a photo
            may be dark.
    """
    from PIL import ImageOps

    bits, photometric = _read_bits(image), _read_tag(image, _PHOTOMETRIC)
    is_stretched = is_scan or has_unused_bits(image)
    if bits == 16:
        _decode_planes(image)
    if image.mode.startswith("I") and (is_stretched or photometric == _WHITE_IS_ZERO):
        grey = stretch_scan(image) if is_stretched else to_rgb(image).convert("L")
        return ImageOps.invert(grey) if photometric == _WHITE_IS_ZERO else grey
    # Of 16-bit colours, Pillow keeps the high byte.
    if bits == 16 and image.mode == "RGB" and is_stretched:
        extremes = cast("tuple[tuple[int, int], ...]", image.getextrema())
        if max(high for _, high in extremes) <= _HIGH_BITS_OF_12:
            return image.point(lambda value: value * 255 // _HIGH_BITS_OF_12)
    return image


def has_unused_bits(image: Image) -> bool:
    """Return whether the header of a 16-bit TIFF states a lower highest value, as scanners of 12 bits write it."""
    if _read_bits(image) != 16:
        return False
    values = [value for tag in _MAX_VALUES if isinstance(value := _read_tag(image, tag), int | float)]
    return bool(values) and 0 < max(values) < 2**15


def _decode_planes(image: Image) -> None:
    """Let libtiff decode 16-bit colours in separate planes; Pillow's own decoder takes their bytes for 8-bit values."""
    tiles: Any = getattr(image, "tile", None)
    if _read_tag(image, _PLANES) != _SEPARATE_PLANES or image.mode not in _COLOURS or not tiles:
        return
    first = tiles[0]
    if first[0] == "raw":
        tiff: Any = image
        area = (0, 0, _read_tag(image, _WIDTH), _read_tag(image, _HEIGHT))  # as stored, while `image.size` is upright
        tiff.tile = [type(first)("libtiff", area, 0, (f"{image.mode};16N", False, tiff.tag_v2.offset))]
        tiff.use_load_libtiff = True


def _read_bits(image: Image) -> int:
    """Return the bits per sample of a TIFF, of its deepest channel; 8 for other images."""
    values: Any = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)
    return int(max(values)) if isinstance(values, tuple) else int(values)


def _read_tag(image: Image, tag: int) -> Any:
    """Return the value of a TIFF tag, of several values the highest; `None` if there is none."""
    value = getattr(image, "tag_v2", {}).get(tag)
    return max(value, default=None) if isinstance(value, tuple) else value

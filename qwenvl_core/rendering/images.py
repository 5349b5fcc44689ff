"""Render images as documents: each frame of a TIFF is a page; any other image, or a NumPy array, is one page."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.images import normalize_image, oriented_size, set_draft_size
from qwenvl_core.rendering.lock import OwnedLock
from qwenvl_core.rendering.page_size import PageExtent
from qwenvl_core.rendering.pages import Pages, SizeFunction

_NPY_MAGIC = b"\x93NUMPY"

# Errors that Pillow raises for bytes that it can't read.
_READ_ERRORS = (Image.DecompressionBombError, OSError, SyntaxError, EOFError)


class ImagePages(Pages):
    """The frames of a TIFF, or one image.

    Images above Pillow's limit (`PIL.Image.MAX_IMAGE_PIXELS`) are rejected, as by Pillow itself.
    """

    def __init__(self, file: Path | bytes) -> None:
        """Open the image.

        Raises:
            QwenVLInputError: Pillow can't read the file, or the image is too large to be decoded.
        """
        self.lock = OwnedLock()
        try:
            self._image = _open_image(file)
            # In other formats, frames are an animation or the same image in other sizes.
            self.count = getattr(self._image, "n_frames", 1) if self._image.format == "TIFF" else 1
        except _READ_ERRORS as error:
            raise QwenVLInputError(_explain(error)) from error

    def label(self, number: int) -> str:
        """Return an empty string: images have no page labels."""
        return ""

    def size(self, number: int, fit: SizeFunction) -> tuple[int, int]:
        """Return the size at which a page would be rendered; see `Pages.size`."""
        with self.lock:
            try:
                return self._select_frame(number, fit)
            except _READ_ERRORS as error:
                raise QwenVLInputError(_explain(error)) from error

    def render(self, number: int, fit: SizeFunction) -> Image.Image:
        """Render a page; see `Pages.render`."""
        with self.lock:
            try:
                target = self._select_frame(number, fit)
                set_draft_size(self._image, target)
                frame = self._image.copy()
            except _READ_ERRORS as error:
                raise QwenVLInputError(_explain(error)) from error
        return normalize_image(frame, target)

    def _close(self) -> None:
        self._image.close()

    def _select_frame(self, number: int, fit: SizeFunction) -> tuple[int, int]:
        """Select a frame of the image, and return the size at which it is rendered."""
        if self.count > 1:
            self._image.seek(number - 1)
        return fit(_measure(self._image))


def _open_image(file: Path | bytes) -> Image.Image:
    stream = file.open("rb") if isinstance(file, Path) else io.BytesIO(file)
    if stream.read(len(_NPY_MAGIC)) == _NPY_MAGIC:
        with stream:
            stream.seek(0)
            return _load_array(stream)
    stream.close()
    return Image.open(file if isinstance(file, Path) else io.BytesIO(file))


def _load_array(stream: BinaryIO) -> Image.Image:
    import numpy  # not in the `documents` extra; installed wherever NumPy files are used

    try:
        array = numpy.load(stream, allow_pickle=False)
        if array.ndim not in (2, 3):
            raise ValueError(f"it has {array.ndim} dimensions")
        has_one_channel = array.ndim == 3 and array.shape[2] == 1
        return Image.fromarray(array[:, :, 0] if has_one_channel else array)
    except (TypeError, ValueError) as error:  # a type or a shape that Pillow has no mode for
        raise QwenVLInputError(
            f"Unsupported NumPy array: {error}. Supported: numbers in the shape (height, width) or "
            "(height, width, channels), as PIL.Image.fromarray takes them."
        ) from error


def _measure(image: Image.Image) -> PageExtent:
    width, height = oriented_size(image)
    dpi_x, dpi_y = image.info.get("dpi") or (0, 0)
    units_per_inch = float(dpi_x) if dpi_x > 1 and dpi_y > 1 else None  # some programs write 0 or 1 for "unknown"
    return PageExtent(width, height, units_per_inch, is_scalable=False)


def _explain(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "Unsupported document: it is neither a PDF nor an image that Pillow can read."
    return f"This image can't be read: {error}"

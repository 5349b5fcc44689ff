"""Images as documents: the frames of a TIFF are pages, any other image is one page, and so is an array of NumPy's."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.images import normalize_image, oriented_size, set_draft_size
from qwenvl_core.rendering.lock import OwnedLock
from qwenvl_core.rendering.page_size import Extent
from qwenvl_core.rendering.pages import Fit, Pages

_NUMPY = b"\x93NUMPY"  # how a `.npy` file begins

# What Pillow raises for bytes that it can't read.
_BROKEN = (Image.DecompressionBombError, OSError, SyntaxError, EOFError)


class PicturePages(Pages):
    """The frames of a TIFF, or one image.

    Images that are larger than Pillow takes for harmless (`PIL.Image.MAX_IMAGE_PIXELS`) are refused by its rules.
    """

    def __init__(self, file: Path | bytes) -> None:
        """Open it.

        Raises:
            QwenVLInputError: It is no image that Pillow can read, or one that is too large to be decoded.
        """
        self.turns = OwnedLock()
        try:
            self._image = _opened(file)
            # The frames of other formats are a film, or the same picture in other sizes.
            self.count = getattr(self._image, "n_frames", 1) if self._image.format == "TIFF" else 1
        except _BROKEN as error:
            raise QwenVLInputError(_why(error)) from error

    def label(self, number: int) -> str:
        """What the document calls a page."""
        return ""

    def size(self, number: int, fit: Fit) -> tuple[int, int]:
        """See `Pages.size`."""
        with self.turns:
            try:
                return self._target(number, fit)
            except _BROKEN as error:
                raise QwenVLInputError(_why(error)) from error

    def picture(self, number: int, fit: Fit) -> Image.Image:
        """See `Pages.picture`."""
        with self.turns:
            try:
                target = self._target(number, fit)
                set_draft_size(self._image, target)
                frame = self._image.copy()
            except _BROKEN as error:
                raise QwenVLInputError(_why(error)) from error
        return normalize_image(frame, target)

    def _close(self) -> None:
        self._image.close()

    def _target(self, number: int, fit: Fit) -> tuple[int, int]:
        """The size of a frame, which is the current one then."""
        if self.count > 1:
            self._image.seek(number - 1)
        return fit(_extent(self._image))


def _opened(file: Path | bytes) -> Image.Image:
    opened = file.open("rb") if isinstance(file, Path) else io.BytesIO(file)
    if opened.read(len(_NUMPY)) == _NUMPY:
        with opened:
            opened.seek(0)
            return _of_array(opened)
    opened.close()
    return Image.open(file if isinstance(file, Path) else io.BytesIO(file))


def _of_array(file: BinaryIO) -> Image.Image:
    import numpy  # whoever saved an array has it

    try:
        array = numpy.load(file, allow_pickle=False)
        if array.ndim not in (2, 3):
            raise ValueError(f"it has {array.ndim} dimensions")
        grey = array.ndim == 3 and array.shape[2] == 1
        return Image.fromarray(array[:, :, 0] if grey else array)
    except (TypeError, ValueError) as error:  # not a kind of numbers, or not a shape, that a picture has
        raise QwenVLInputError(f"This array is no picture: {error}") from error


def _extent(image: Image.Image) -> Extent:
    width, height = oriented_size(image)
    across, down = image.info.get("dpi") or (0, 0)
    per_inch = float(across) if across > 1 and down > 1 else None  # some write 0 or 1 for "unknown"
    return Extent(width, height, per_inch, scalable=False)


def _why(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "This is neither a PDF nor an image that Pillow can read."
    return f"This image can't be read: {error}"

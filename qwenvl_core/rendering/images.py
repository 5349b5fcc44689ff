"""Render images as documents: each page of a TIFF is a page; any other image, or a NumPy array, is one page."""

from __future__ import annotations

import io
import struct
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.byte_reader import create_file_reader
from qwenvl_core.media.images import get_square_size, normalize_image, set_draft_size
from qwenvl_core.media.scan_values import repair_values
from qwenvl_core.media.sniffing import HEIF_TYPES
from qwenvl_core.media.tiff_frames import MAX_FRAMES, find_tiff_frames
from qwenvl_core.rendering.lock import OwnedLock
from qwenvl_core.rendering.page_size import PageExtent
from qwenvl_core.rendering.pages import Pages, SizeFunction

_NPY_MAGIC = b"\x93NUMPY"

# Errors that Pillow raises for bytes that it can't read.
_READ_ERRORS = (
    OSError,
    SyntaxError,
    EOFError,
    ValueError,
    TypeError,
    struct.error,
)


class ImagePages(Pages):
    """The pages of a TIFF, or one image.

    Images above Pillow's limit (`PIL.Image.MAX_IMAGE_PIXELS`) are rejected, as by Pillow itself.
    """

    def __init__(self, file: Path | bytes, mime: str | None = None) -> None:
        """Open the image.

        Args:
            file: The image.
            mime: Its MIME type if it is known, for the error where Pillow can't read it.

        Raises:
            QwenVLInputError: Pillow can't read the file, or the image is too large to be decoded.
        """
        self.lock = OwnedLock()
        self._frames: Sequence[int] = (0,)
        self._extents: dict[int, PageExtent] = {}
        # Not opened by its path: Pillow would map the file into memory, and misread TIFFs that are stored sideways.
        self._stream = file.open("rb") if isinstance(file, Path) else io.BytesIO(file)
        try:
            with _explain_errors():
                self._image = _open_image(self._stream, mime)
                # In other formats, frames are an animation or the same image in other sizes.
                if self._image.format == "TIFF":
                    self._find_frames()
        except BaseException:
            self._stream.close()
            raise
        self.count = len(self._frames)

    def label(self, number: int) -> str:
        """Return an empty string: images have no page labels."""
        return ""

    def size(self, number: int, fit: SizeFunction) -> tuple[int, int]:
        """Return the size at which a page would be rendered; see `Pages.size`."""
        with self.lock, _explain_errors():
            return fit(self._select_frame(number))

    def render(self, number: int, fit: SizeFunction) -> Image.Image:
        """Render a page; see `Pages.render`."""
        with self.lock, _explain_errors():
            target = fit(self._select_frame(number))
            set_draft_size(self._image, target)
            frame = repair_values(self._image, is_scan=True)
            if frame is self._image:
                frame = frame.copy()
        return normalize_image(frame, target)

    def _close(self) -> None:
        self._image.close()
        self._stream.close()

    def _find_frames(self) -> None:
        position = self._stream.tell()
        frames = find_tiff_frames(create_file_reader(self._stream))
        self._stream.seek(position)
        if len(frames.pages) > MAX_FRAMES:
            raise QwenVLInputError(f"This TIFF has more than {MAX_FRAMES:,} pages. Split it.")
        self._frames = frames.pages
        if not frames.is_complete:
            self.warnings = ("the TIFF ends early, and pages may be missing",)

    def _select_frame(self, number: int) -> PageExtent:
        """Select the frame of a page, and return its extent."""
        frame = self._frames[number - 1]
        if frame != self._image.tell():
            self._image.seek(frame)
        if number not in self._extents:  # a frame that is decoded has lost its orientation
            self._extents[number] = _measure(self._image)
        return self._extents[number]


def _open_image(stream: BinaryIO, mime: str | None) -> Image.Image:
    head = stream.read(len(_NPY_MAGIC))
    stream.seek(0)
    if head == _NPY_MAGIC:
        return _load_array(stream)
    try:
        return Image.open(stream)
    except UnidentifiedImageError as error:
        reason = "Unsupported document: it is neither a PDF nor an image that Pillow can read"
        raise QwenVLInputError(f"{reason}{_describe_unread(head, mime)}") from error


def _describe_unread(head: bytes, mime: str | None) -> str:
    if not head:
        return ", but empty. Pass a file with content; a stream gives its bytes only once."
    found = f"; it looks like {mime}" if mime else ""
    plugin = " (or install pillow-heif, and call pillow_heif.register_heif_opener())" if mime in HEIF_TYPES else ""
    return f"{found}. Convert it to PDF, PNG or JPEG{plugin}."


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
    limit = Image.MAX_IMAGE_PIXELS
    if limit and image.width * image.height > 2 * limit:  # Pillow checks the first frame only
        raise Image.DecompressionBombError(
            f"Image size ({image.width} x {image.height} pixels) exceeds limit of {2 * limit} pixels, "
            "could be decompression bomb DOS attack."
        )
    width, height = get_square_size(image)
    resolutions = image.info.get("dpi") or (0, 0)
    # Some programs write 0 or 1 for "unknown". The axis with the lower resolution is enlarged to the other's.
    units_per_inch = float(max(resolutions)) if min(resolutions) > 1 else None
    return PageExtent(width, height, units_per_inch, is_scalable=False)


@contextmanager
def _explain_errors() -> Generator[None]:
    """Raise a `QwenVLInputError` for bytes that Pillow can't read."""
    try:
        yield
    except (QwenVLInputError, FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise QwenVLInputError(
            f"This image can't be read: {error} Scale it down or split it into tiles, or raise "
            "PIL.Image.MAX_IMAGE_PIXELS if you trust the file."
        ) from error
    except _READ_ERRORS as error:
        raise QwenVLInputError(f"This image can't be read: {error}") from error

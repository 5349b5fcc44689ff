"""Export pages, and the pictures on them, as JPEG files."""

from __future__ import annotations

import hashlib
import io
import tempfile
from pathlib import Path

from qwenvl_core.documents.whole_files import write_file
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.grounding import crop
from qwenvl_core.layout import PageLayout
from qwenvl_core.media.images import encode_jpeg
from qwenvl_core.rendering.pages import PageImage

_PICTURE_TYPES = ("image", "chart", "music_sheet", "chemical_formula")
_MAX_STEM_BYTES = 120  # of a document's name; most file systems allow 255 for a whole name


def check_folder(folder: str | Path | None) -> None:
    """Create the folder for images and check that it can be written, before pages are paid for.

    Raises:
        QwenVLInputError: The folder can't be created or written.
    """
    if folder is None:
        return
    path = Path(folder).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise QwenVLInputError(
            f"Unusable image_dir: {str(folder)!r} ({error}). Pass a folder that can be created and written."
        ) from error


def export_images(
    folder: str | Path | None, document: str, page: PageImage, layout: PageLayout
) -> tuple[str | None, dict[int, str]]:
    """Write a page and the pictures on it to a folder.

    Args:
        folder: The folder, created if it does not exist; `None` to write nothing.
        document: Name of the document; the file names begin with it.
        page: The page.
        layout: The elements of the page. Each picture with a box is cropped from it.

    Returns:
        The path of the page, and the paths of its pictures by the index of their element.

    Raises:
        OSError: The folder can't be written.
    """
    if folder is None:
        return None, {}
    from PIL import Image

    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    # The digest distinguishes documents of the same name from different folders.
    stem = f"{_sanitize_name(document)}_{page.number:04}_{hashlib.sha256(page.jpeg).hexdigest()[:8]}"
    path = folder / f"{stem}.jpg"
    write_file(path, page.jpeg)
    crops = {}
    for element in layout.elements:
        if element.type in _PICTURE_TYPES and element.box is not None:
            crop_path = folder / f"{stem}_{element.index:03}.jpg"
            with Image.open(io.BytesIO(page.jpeg)) as image:
                write_file(crop_path, encode_jpeg(crop(image, element.box)))
            crops[element.index] = str(crop_path)
    return str(path), crops


def _sanitize_name(document: str) -> str:
    """Make a document's name usable as part of a file name: also a signed URL, or a name of any length."""
    stem = Path(document.partition("?")[0]).stem or "document"
    name = "".join(character if character.isalnum() or character in "-_." else "_" for character in stem)
    return name.encode()[:_MAX_STEM_BYTES].decode(errors="ignore")

"""Export pages, and the pictures on them, as JPEG files."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from qwenvl_core.grounding import crop
from qwenvl_core.layout import PageLayout
from qwenvl_core.media.images import encode_jpeg
from qwenvl_core.rendering.pages import PageImage

_PICTURE_TYPES = ("image", "chart", "music_sheet", "chemical_formula")


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
    path.write_bytes(page.jpeg)
    crops = {}
    for element in layout.elements:
        if element.type in _PICTURE_TYPES and element.box is not None:
            crop_path = folder / f"{stem}_{element.index:03}.jpg"
            with Image.open(io.BytesIO(page.jpeg)) as image:
                crop_path.write_bytes(encode_jpeg(crop(image, element.box)))
            crops[element.index] = str(crop_path)
    return str(path), crops


def _sanitize_name(document: str) -> str:
    """Make a document's name usable as part of a file name."""
    stem = Path(document).stem or "document"
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in stem)

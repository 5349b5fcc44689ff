"""Pages, and the pictures on them, kept as JPEG files beside the text."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from qwenvl_core.grounding import crop
from qwenvl_core.layout import PageLayout
from qwenvl_core.media.images import encode_jpeg
from qwenvl_core.rendering.pages import PageImage

_PICTURES = ("image", "chart", "music_sheet", "chemical_formula")  # elements that are kept as images of their own


def keep_images(
    folder: str | Path | None, document: str, page: PageImage, layout: PageLayout
) -> tuple[str | None, dict[int, str]]:
    """Write a page and its pictures, if there is a folder for them.

    Args:
        folder: Where to; made if it is not there.
        document: Name of the document.
        page: The page.
        layout: What is on it.

    Returns:
        The path of the page, and those of its pictures by the index of their element.

    Raises:
        OSError: The folder can't be written.
    """
    if folder is None:
        return None, {}
    from PIL import Image

    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    # Documents of other folders may have the same name, but not the same page.
    stem = f"{_file_name(document)}_{page.number:04}_{hashlib.sha256(page.jpeg).hexdigest()[:8]}"
    path = folder / f"{stem}.jpg"
    path.write_bytes(page.jpeg)
    pictures = {}
    for element in layout.elements:
        if element.type in _PICTURES and element.box is not None:
            cut = folder / f"{stem}_{element.index:03}.jpg"
            with Image.open(io.BytesIO(page.jpeg)) as image:
                cut.write_bytes(encode_jpeg(crop(image, element.box)))
            pictures[element.index] = str(cut)
    return str(path), pictures


def _file_name(document: str) -> str:
    """A document's name as part of a file's name."""
    stem = Path(document).stem or "document"
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in stem)

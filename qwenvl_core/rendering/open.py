"""Opening a document: what it is, is told by its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sniffing import HEAD_BYTES, sniff, sniff_file

if TYPE_CHECKING:
    from qwenvl_core.rendering.pages import Pages

Document = str | Path | bytes | BinaryIO
"""A document: its path, its bytes, or a file open for bytes."""


def missing_documents_extra(what: str, packages: str, error: ImportError) -> ImportError:
    """The error that says which extra brings a package that is not installed."""
    return ImportError(f'{what} needs {packages}: pip install "qwenvl-adapters[documents]"', name=error.name)


def open_pages(file: Document, *, password: str | None = None) -> Pages:
    """The pages of a PDF, of a TIFF, or of any other image.

    Args:
        file: Its path, its bytes (also an array in NumPy's `.npy` format), or a file open for bytes.
        password: Of a PDF that has one.

    Raises:
        ImportError: pypdfium2 or Pillow is missing.
        OSError: There is no such file, or it can't be read.
        QwenVLInputError: It is none of these, or the password is not right.
    """
    source = _source(file)
    kind = sniff_file(source).kind if isinstance(source, Path) else sniff(source[:HEAD_BYTES]).kind
    try:
        from qwenvl_core.rendering.images import PicturePages
        from qwenvl_core.rendering.pdf import PdfPages
    except ImportError as error:
        raise missing_documents_extra("Reading documents", "pypdfium2 and Pillow", error) from error
    if kind == "pdf":
        return PdfPages(source, password=password)
    return PicturePages(source)


def file_name(file: Document) -> str:
    """What a document is called: its path, or something by which its bytes are known again."""
    if isinstance(file, str | Path):
        return str(file)
    name = getattr(file, "name", None)
    if isinstance(name, str):
        return name
    return f"sha256:{hashlib.sha256(_bytes(file)).hexdigest()[:16]}"


def _source(file: Document) -> Path | bytes:
    if isinstance(file, str) and file.lower().startswith(("http://", "https://")):
        raise QwenVLInputError(f"{file}: documents are not fetched from the web; give a path, or the bytes.")
    if isinstance(file, str | Path):
        return Path(file).expanduser()
    return _bytes(file)


def _bytes(file: Any) -> bytes:
    if isinstance(file, bytes | bytearray | memoryview):
        return bytes(file)
    if not callable(getattr(file, "read", None)):
        raise QwenVLInputError(f"A document is a path, bytes, or a file open for bytes, not {type(file).__name__}.")
    if file.seekable():
        file.seek(0)
    data = file.read()
    if not isinstance(data, bytes):
        raise QwenVLInputError("This file is open for text; open it for bytes.")
    return data

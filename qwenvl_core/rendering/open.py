"""Open documents; the type is read from the bytes, not from the name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sniffing import HEAD_BYTES, sniff, sniff_file

if TYPE_CHECKING:
    from qwenvl_core.rendering.pages import Pages

Document = str | Path | bytes | BinaryIO
"""A document: its path, its bytes, or a file opened in binary mode."""


def missing_extra_error(purpose: str, packages: str, error: ImportError) -> ImportError:
    """Build the error for a missing package of the `documents` extra.

    Args:
        purpose: What needs the packages, as the beginning of a sentence.
        packages: The packages.
        error: The failed import.
    """
    return ImportError(f'{purpose} needs {packages}: pip install "qwenvl-adapters[documents]"', name=error.name)


def open_pages(file: Document, *, password: str | None = None) -> Pages:
    """Open a PDF, a TIFF or another image.

    Args:
        file: A path, bytes (also a NumPy array in `.npy` format), or a file opened in binary mode.
        password: Password of the PDF, if it has one.

    Raises:
        ImportError: pypdfium2 or Pillow is missing.
        OSError: The file does not exist, or can't be read.
        QwenVLInputError: The file is none of these, or the password is missing or wrong.
    """
    source = _resolve_source(file)
    kind = sniff_file(source).kind if isinstance(source, Path) else sniff(source[:HEAD_BYTES]).kind
    try:
        from qwenvl_core.rendering.images import ImagePages
        from qwenvl_core.rendering.pdf import PdfPages
    except ImportError as error:
        raise missing_extra_error("Reading documents", "pypdfium2 and Pillow", error) from error
    if kind == "pdf":
        return PdfPages(source, password=password)
    return ImagePages(source)


def get_document_name(file: Document) -> str:
    """Return the path or the file's name; for bytes, a name built from their digest."""
    if isinstance(file, str | Path):
        return str(file)
    name = getattr(file, "name", None)
    if isinstance(name, str):
        return name
    return f"sha256:{hashlib.sha256(_read_bytes(file)).hexdigest()[:16]}"


def _resolve_source(file: Document) -> Path | bytes:
    if isinstance(file, str) and file.lower().startswith(("http://", "https://")):
        raise QwenVLInputError(
            f"Unsupported document URL: {file}. Documents are not fetched from the web. Pass a path or the bytes."
        )
    if isinstance(file, str | Path):
        return Path(file).expanduser()
    return _read_bytes(file)


def _read_bytes(file: Any) -> bytes:
    if isinstance(file, bytes | bytearray | memoryview):
        return bytes(file)
    if not callable(getattr(file, "read", None)):
        raise QwenVLInputError(
            f"Unsupported document type: {type(file).__name__}. Pass a path, bytes, or a file opened in binary mode."
        )
    if file.seekable():
        file.seek(0)
    data = file.read()
    if not isinstance(data, bytes):
        raise QwenVLInputError("The file is opened in text mode. Open it in binary mode: open(path, 'rb').")
    return data

"""Open documents; the type is read from the bytes, not from the name."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.file_objects import can_seek, get_file_name, is_file_object, read_file_object
from qwenvl_core.media.inspection import read_bytes
from qwenvl_core.media.local_files import expand_home
from qwenvl_core.media.sniffing import HEAD_BYTES, sniff, sniff_file
from qwenvl_core.media.sources import parse_url_source
from qwenvl_core.types.fork_lock import ForkSafeLock
from qwenvl_core.types.media import FileSource, UrlSource

if TYPE_CHECKING:
    from qwenvl_core.rendering.pages import Pages

File = str | Path | bytes | BinaryIO
"""A document: its path or `file://` URL, its bytes, or a file object that gives bytes."""

_URL = re.compile(r"(?:file:/|data:|[a-z][a-z0-9+.-]+://)", re.IGNORECASE)


def missing_extra_error(purpose: str, packages: str, error: ImportError) -> ImportError:
    """Build the error for a missing package of the `documents` extra.

    Args:
        purpose: What needs the packages, as the beginning of a sentence.
        packages: The packages.
        error: The failed import.
    """
    return ImportError(f'{purpose} needs {packages}: pip install "qwenvl-adapters[documents]"', name=error.name)


class DocumentFile:
    """A document as the caller gave it, which is read when its content or its digest is needed, and once.

    Attributes:
        file: The document.
    """

    # Not `cached_property`: on Python 3.11 that holds one lock for all objects while one of them is read.

    def __init__(self, file: File) -> None:
        self.file = _to_path(file)
        self._lock = ForkSafeLock()  # threads share a stream, which gives its bytes once
        self._source: Path | bytes | None = None
        self._identity: str | None = None

    @property
    def source(self) -> Path | bytes:
        """The path of the document, or its bytes.

        Raises:
            OSError: The file object can't be read.
            QwenVLInputError: It is neither a path nor readable as bytes, or a URL that would have to be fetched.
        """
        with self._lock:
            if self._source is None:
                self._source = _resolve_source(self.file)
            return self._source

    @property
    def path(self) -> str | None:
        """The path of the document as the caller wrote it; `None` for bytes and file objects."""
        if not isinstance(self.file, str | Path):
            return None
        if isinstance(self.file, str) and _URL.match(self.file):
            return str(self.source) if isinstance(self.source, Path) else None
        return str(self.file)

    @property
    def name(self) -> str:
        """The path or the file object's name; for bytes, a name built from their digest."""
        return self.path or get_file_name(self.file) or self.identity[: len("sha256:") + 16]

    @property
    def identity(self) -> str:
        """The path, else the digest of the content: two uploads may have one name."""
        if self._identity is None:
            self._identity = self._digest() if self.path is None else self.path
        return self._identity

    def _digest(self) -> str:
        data = self.source if isinstance(self.source, bytes) else self.source.read_bytes()
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def reopen(self) -> DocumentFile:
        """Return the document to be read anew; itself if it is a stream that cannot be read twice."""
        return self if is_file_object(self.file) and not can_seek(self.file) else DocumentFile(self.file)


def open_pages(file: File | DocumentFile, *, password: str | None = None) -> Pages:
    """Open a PDF, a TIFF or another image.

    Args:
        file: A path or `file://` URL, bytes (also a NumPy array in `.npy` format), or a file object: an open file, a
            response of an HTTP client, an upload. One that cannot seek is read from where it is.
        password: Password of the PDF, if it has one.

    Raises:
        ImportError: pypdfium2 or Pillow is missing.
        OSError: The file does not exist, or can't be read.
        QwenVLInputError: The file is none of these, or the password is missing or wrong.
    """
    source = file.source if isinstance(file, DocumentFile) else _resolve_source(file)
    if isinstance(source, Path):
        _check_regular(source)
        info = sniff_file(source)
    else:
        info = sniff(source[:HEAD_BYTES])
    try:
        from qwenvl_core.rendering.images import ImagePages
        from qwenvl_core.rendering.pdf import PdfPages
    except ImportError as error:
        raise missing_extra_error("Reading documents", "pypdfium2 and Pillow", error) from error
    if info.kind == "pdf":
        return PdfPages(source, password=password)
    return ImagePages(source, info.mime)


def _check_regular(path: Path) -> None:
    """Raise for a pipe or a device, on which a read could wait forever."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise QwenVLInputError(
            f"Unsupported document: {path} is not a regular file. Pass the path of a file, its bytes, or an open file."
        )


def _to_path(file: File) -> File:
    """Convert other path-like objects than `Path`, such as `os.DirEntry`, to a `Path`."""
    value: object = file
    return Path(os.fsdecode(value)) if isinstance(value, os.PathLike) and not isinstance(value, Path) else file


def _resolve_source(file: File) -> Path | bytes:
    file = _to_path(file)
    if isinstance(file, str) and _URL.match(file):
        return _resolve_url(file)
    if isinstance(file, str | Path):
        if not str(file).strip() or "\0" in str(file):
            raise QwenVLInputError(f"Invalid path: {str(file)!r}. Pass the path of a PDF or an image.")
        return expand_home(Path(file))
    if isinstance(file, bytes | bytearray | memoryview):
        return bytes(file)
    if is_file_object(file):
        return read_file_object(file)
    raise QwenVLInputError(
        f"Unsupported document type: {type(file).__name__}. Pass a path, bytes, or a file opened in binary mode."
    )


def _resolve_url(url: str) -> Path | bytes:
    if url.lower().startswith(("file:", "data:")):
        source = parse_url_source(url, location="file", files=True)
        if not isinstance(source, UrlSource):
            return source.path if isinstance(source, FileSource) else read_bytes(source)
    raise QwenVLInputError(
        f"Unsupported document URL: {url[:200]}. Documents are not fetched from the web. "
        "Pass a path, the bytes, or an open file object, such as urllib.request.urlopen(url)."
    )

"""Define the sources of the bytes of images and videos."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A URL that the server fetches itself: `http(s)://`, or `oss://` in the vendor's storage."""

    url: str


@dataclass(frozen=True, slots=True)
class InlineSource:
    """Bytes or base64 text in memory.

    Attributes:
        data: The bytes; or base64 text, if `base64_from` is set.
        mime: The MIME type that the caller stated; the type sniffed from the bytes takes precedence.
        base64_from: Offset in `data` at which the base64 text begins (after `data:…;base64,` in a data URI).
    """

    data: bytes | str = field(repr=False)
    mime: str | None = None
    base64_from: int | None = None


LocalFiles = str | Path | bool | None
"""The setting `local_files`: see `media.local_files`."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A local file, read only when the request is sent.

    Attributes:
        path: The file's path.
        origin: How the caller named the file, which decides whether it is read: by a `pathlib.Path`, in a field of the
            framework that is typed as a path, or by a string in a message.
    """

    path: Path
    origin: Literal["path", "field", "string"] = field(default="path", compare=False)


Source = UrlSource | InlineSource | FileSource

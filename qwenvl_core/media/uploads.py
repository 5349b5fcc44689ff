"""Local media that are too large for a data URI: which they are, and the request once they are uploaded.

Only the native API takes them, from the vendor's temporary storage. Nothing is sent here; the transport does that.

Source: the vendor's page "Visual understanding (Qwen-VL)", file limits ("pass a local path").
"""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import DATA_URI_LIMIT, SHRINK_HINT, DataUri, MediaKind, data_uri, may_exceed_data_uri
from qwenvl_core.types.media import FileSource, Source, UrlSource
from qwenvl_core.types.messages import FramesPart, Part, TextPart, VideoPart, media_sources
from qwenvl_core.types.request import PreparedRequest

LIMITS: dict[MediaKind, int] = {"image": 10 * 1024 * 1024, "video": 100 * 1024 * 1024}
"""Largest file of each kind, in bytes."""

_TYPES = mimetypes.MimeTypes()  # without the machine's own files, so that names are the same everywhere
_BLOCK = 64 * 1024  # characters of base64 that are decoded at once; a multiple of 4


@dataclass(frozen=True, slots=True)
class Upload:
    """A medium to be uploaded.

    Attributes:
        source: The medium; what the request has in its place may name the same file by another path.
        kind: Whether it is an image or a video.
        name: What its file is called in the storage; the caller's own file name stays here.
        uri: Its bytes and MIME type.
        location: Its place in the caller's messages, for errors.
    """

    source: Source
    kind: MediaKind
    name: str
    uri: DataUri
    location: str

    def open(self) -> BinaryIO:
        """The medium's bytes, as a binary file from its beginning.

        Raises:
            QwenVLInputError: The file is gone.
        """
        data = self.uri.source
        if isinstance(data, Path):
            try:
                return data.open("rb")
            except OSError as error:
                raise QwenVLInputError(f"{self.location}: can't read {data}: {error.strerror or error}.") from error
        if self.uri.base64_from is None:
            return io.BytesIO(cast("bytes", data))  # shares the bytes, and copies none
        return cast("BinaryIO", _Decoded(data, self.uri.base64_from, _size(self.uri)))


def any_needed(prepared: PreparedRequest) -> bool:
    """Whether there may be something to upload, by sizes alone: cheap enough for an event loop."""
    return any(may_exceed_data_uri(source) for part in _parts(prepared) for source in media_sources(part))


def needed(prepared: PreparedRequest) -> list[Upload]:
    """What must be uploaded before `prepared` can be sent, each medium once.

    Raises:
        QwenVLInputError: A medium can't be read, is not of its kind, or is too large for an upload too.
    """
    uploads: list[Upload] = []
    for part in _parts(prepared):
        kind: MediaKind = "video" if isinstance(part, VideoPart) else "image"
        for at, source in enumerate(media_sources(part)):
            if not may_exceed_data_uri(source):
                continue
            source = _medium(source)
            # Compared, not hashed: a hash reads all of a large medium, a comparison stops at its length.
            if not any(upload.source == source and upload.kind == kind for upload in uploads):
                location = part.frame_location(at) if isinstance(part, FramesPart) else getattr(part, "location", "")
                uploads += _upload(source, kind, location, len(uploads))
    return uploads


def _medium(source: Source) -> Source:
    """What is the same for the same medium: a file's path does not depend on how it was written."""
    return FileSource(source.path.absolute()) if isinstance(source, FileSource) else source


def _parts(prepared: PreparedRequest) -> Iterator[Part]:
    return (part for message in prepared.messages for part in message.parts)


def _upload(source: Source, kind: MediaKind, location: str, position: int) -> Iterator[Upload]:
    if isinstance(source, UrlSource):
        return
    uri = data_uri(source, kind, location)
    if len(uri) <= DATA_URI_LIMIT:
        return
    size = _size(uri)
    if size > LIMITS[kind]:
        raise QwenVLInputError(
            f"{location}: this {kind} has {size:,} bytes; "
            f"the service takes local files of up to {LIMITS[kind]:,} bytes ({LIMITS[kind] // 1024**2} MB). "
            f"{SHRINK_HINT[kind]}, or give a public URL."
        )
    suffix = _TYPES.guess_extension(uri.mime, strict=False) or ""
    yield Upload(source, kind, f"{position + 1}{suffix}", uri, location)


def _size(uri: DataUri) -> int:
    """Bytes of the medium itself."""
    if isinstance(uri.source, Path):
        return uri.source.stat().st_size
    if uri.base64_from is None:
        return len(uri.source)
    end = uri.source[-2:]
    return uri.length // 4 * 3 - (end.count(b"=") if isinstance(end, bytes) else end.count("="))


def replaced(prepared: PreparedRequest, uploads: Sequence[Upload], urls: Sequence[str]) -> PreparedRequest:
    """`prepared` with the `urls` of `uploads` in the place of their media."""

    def located(source: Source) -> Source:
        medium = _medium(source)
        return next(
            (UrlSource(url) for upload, url in zip(uploads, urls, strict=True) if upload.source == medium), source
        )

    def rewritten(part: Part) -> Part:
        if isinstance(part, TextPart):
            return part
        if isinstance(part, FramesPart):
            return replace(part, sources=tuple(located(source) for source in part.sources))
        return replace(part, source=located(part.source))

    return replace(
        prepared,
        messages=tuple(
            replace(message, parts=tuple(rewritten(part) for part in message.parts)) for message in prepared.messages
        ),
    )


class _Decoded(io.RawIOBase):
    """Base64 text as the file it stands for, decoded while it is read."""

    def __init__(self, data: bytes | str, start: int, size: int) -> None:
        self._data = data
        self._start = start
        self._size = size
        self._at = 0  # position, in bytes of the file

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move there."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Decode into `buffer`; it need not get full."""
        begin = self._start + self._at // 3 * 4
        block = base64.b64decode(self._data[begin : begin + _BLOCK])[self._at % 3 :][: len(buffer)]
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)

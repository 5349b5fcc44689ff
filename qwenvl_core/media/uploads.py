"""Find local media that are too large for a data URI, and replace them with the URLs of their uploads.

Only the native API accepts such URLs, of the vendor's temporary storage. `qwenvl_core.transport.upload` uploads.

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
from qwenvl_core.media.local_files import open_file
from qwenvl_core.media.sources import (
    SHRINK_HINT,
    DataUri,
    MediaKind,
    data_uri,
    get_data_uri_limit,
    may_exceed_data_uri,
)
from qwenvl_core.types.media import FileSource, Source, UrlSource
from qwenvl_core.types.messages import FramesPart, Part, TextPart, VideoPart, media_sources
from qwenvl_core.types.request import PreparedRequest

LIMITS: dict[MediaKind, int] = {"image": 20 * 1024 * 1024, "video": 100 * 1024 * 1024}
"""Largest file of each kind, in bytes."""

_MIME_TYPES = mimetypes.MimeTypes()  # without the system's own tables, so that file names are the same everywhere
_DECODE_LENGTH = 64 * 1024  # characters of base64 that are decoded at once; a multiple of 4


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to upload.

    Attributes:
        source: The source of its bytes, as `_normalize_source` returns it.
        kind: Whether it is an image or a video.
        name: Its file name in the storage; the caller's own file name is not sent.
        uri: Its bytes and MIME type.
        location: Where it is in the caller's messages, for errors.
    """

    source: Source
    kind: MediaKind
    name: str
    uri: DataUri
    location: str

    def open(self) -> BinaryIO:
        """Open its bytes as a binary file.

        Raises:
            QwenVLInputError: The file can't be read any more.
        """
        data = self.uri.source
        if isinstance(data, Path):
            try:
                return open_file(data)
            except OSError as error:
                raise QwenVLInputError(f"{self.location}: can't read {data}: {error.strerror or error}.") from error
        if self.uri.base64_from is None:
            return io.BytesIO(cast("bytes", data))  # BytesIO shares the bytes, it does not copy them
        return cast("BinaryIO", _Base64File(data, self.uri.base64_from, _file_size(self.uri)))


def may_need_upload(prepared: PreparedRequest) -> bool:
    """Return whether any medium may need an upload, by sizes alone: cheap enough for an event loop."""
    return any(
        may_exceed_data_uri(source, _get_inline_limit(part, prepared))
        for part in _iterate_parts(prepared)
        for source in media_sources(part)
    )


def find_uploads(prepared: PreparedRequest) -> list[Upload]:
    """Return the uploads that a request needs, each medium once.

    Raises:
        QwenVLInputError: A medium can't be read, is not of its kind, or is too large even for an upload.
    """
    uploads: list[Upload] = []
    for part in _iterate_parts(prepared):
        kind, limit = _get_kind(part), _get_inline_limit(part, prepared)
        for index, source in enumerate(media_sources(part)):
            if not may_exceed_data_uri(source, limit):
                continue
            source = _normalize_source(source)
            # Compared, not hashed: a hash reads all of a large medium, a comparison stops at its length.
            if any(upload.source == source and upload.kind == kind for upload in uploads):
                continue
            location = part.frame_location(index) if isinstance(part, FramesPart) else getattr(part, "location", "")
            upload = _create_upload(source, kind, location, limit, number=len(uploads) + 1)
            if upload is not None:
                uploads.append(upload)
    return uploads


def _normalize_source(source: Source) -> Source:
    """Return a source that is equal for equal media: the path of a file becomes absolute."""
    return FileSource(source.path.absolute()) if isinstance(source, FileSource) else source


def _iterate_parts(prepared: PreparedRequest) -> Iterator[Part]:
    return (part for message in prepared.messages for part in message.parts)


def _get_kind(part: Part) -> MediaKind:
    return "video" if isinstance(part, VideoPart) else "image"


def _get_inline_limit(part: Part, prepared: PreparedRequest) -> int:
    return get_data_uri_limit(_get_kind(part), prepared.data_uri_max_bytes)


def _create_upload(source: Source, kind: MediaKind, location: str, limit: int, *, number: int) -> Upload | None:
    """Return the upload of one medium; `None` if it is a URL or fits into a data URI of this length.

    Raises:
        QwenVLInputError: The medium is too large for an upload.
    """
    if isinstance(source, UrlSource):
        return None
    uri = data_uri(source, kind, location)
    if len(uri) <= limit:
        return None
    size = _file_size(uri)
    if size > LIMITS[kind]:
        raise QwenVLInputError(
            f"{location}: this {kind} has {size:,} bytes. "
            f"The service accepts local files of up to {LIMITS[kind]:,} bytes ({LIMITS[kind] // 1024**2} MB). "
            f"{SHRINK_HINT[kind]}, or pass a public URL."
        )
    suffix = _MIME_TYPES.guess_extension(uri.mime, strict=False) or ""
    return Upload(source, kind, f"{number}{suffix}", uri, location)


def _file_size(uri: DataUri) -> int:
    """Return the size of the medium itself, in bytes."""
    if isinstance(uri.source, Path):
        return uri.source.stat().st_size
    if uri.base64_from is None:
        return len(uri.source)
    end = uri.source[-2:]
    return uri.length // 4 * 3 - (end.count(b"=") if isinstance(end, bytes) else end.count("="))


def replace_sources(prepared: PreparedRequest, uploads: Sequence[Upload], urls: Sequence[str]) -> PreparedRequest:
    """Return a request in which the `urls` of `uploads` replace their sources."""

    def replace_source(source: Source) -> Source:
        normalized = _normalize_source(source)
        return next(
            (UrlSource(url) for upload, url in zip(uploads, urls, strict=True) if upload.source == normalized), source
        )

    def replace_in_part(part: Part) -> Part:
        if isinstance(part, TextPart):
            return part
        if isinstance(part, FramesPart):
            return replace(part, sources=tuple(replace_source(source) for source in part.sources))
        return replace(part, source=replace_source(part.source))

    return replace(
        prepared,
        messages=tuple(
            replace(message, parts=tuple(replace_in_part(part) for part in message.parts))
            for message in prepared.messages
        ),
    )


class _Base64File(io.RawIOBase):
    """A binary file over base64 text, which is decoded while it is read."""

    def __init__(self, data: bytes | str, start: int, size: int) -> None:
        self._data = data
        self._start = start
        self._size = size
        self._position = 0  # in bytes of the file

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position and return it."""
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Decode into `buffer` and return the number of bytes, which may be less than its length."""
        start = self._start + self._position // 3 * 4
        data = base64.b64decode(self._data[start : start + _DECODE_LENGTH])[self._position % 3 :][: len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

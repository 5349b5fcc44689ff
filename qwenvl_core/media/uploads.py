"""Decide which local media of a request are uploaded, and replace them with the URLs of their uploads.

By the setting `upload`, local media that do not fit inline, or all of them, go to the vendor's temporary storage.
`qwenvl_core.transport.uploader` uploads them. Functions here are pure, except that they read the media.

Sources: the vendor's pages "Visual understanding (Qwen-VL)", file limits, and "Upload local files to get temporary
URLs".
"""

from __future__ import annotations

import hashlib
import io
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from qwenvl_core.catalog.endpoints import STORAGE_REGIONS
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.base64_text import CHUNK_SIZE, decode_range
from qwenvl_core.media.local_files import map_file_errors, open_file
from qwenvl_core.media.sources import (
    SHRINK_HINT,
    DataUri,
    MediaKind,
    data_uri,
    get_data_uri_limit,
    may_exceed_data_uri,
)
from qwenvl_core.types.media import Source, UrlSource
from qwenvl_core.types.messages import FramesPart, Part, TextPart, VideoPart, media_sources
from qwenvl_core.types.request import PreparedRequest

MB = 1024 * 1024
IMAGE_LIMIT = 20 * MB
"""Largest image that is uploaded, in bytes: the service reads no larger one by URL."""
VIDEO_LIMIT = 1024 * MB
"""Largest video that is uploaded, in bytes, unless the model takes less: the storage holds no larger file."""

_MIME_TYPES = mimetypes.MimeTypes()  # without the system's own tables, so that file names are the same everywhere
for _suffix, _mime in (
    *((".flv", "video/x-flv"), (".mkv", "video/x-matroska"), (".wmv", "video/x-ms-wmv"), (".m4v", "video/x-m4v")),
    *((".ts", "video/mp2t"), (".heic", "image/heic"), (".heif", "image/heif"), (".webp", "image/webp")),
):
    _MIME_TYPES.add_type(_mime, _suffix)
_NAME_LENGTH = 32  # characters of the digest in the name of an upload


class Slot(NamedTuple):
    """The position of a medium in a request: indices of the message, of its part, and of the part's source."""

    message: int
    part: int
    source: int


@dataclass(frozen=True, slots=True)
class Upload:
    """A medium to upload.

    Attributes:
        kind: Whether it is an image or a video.
        uri: Its bytes and MIME type.
        size: Its size, in bytes.
        digest: The SHA-256 of its bytes, in hexadecimal.
        location: Where it is in the caller's messages, for errors.
    """

    kind: MediaKind
    uri: DataUri
    size: int
    digest: str
    location: str

    @property
    def name(self) -> str:
        """Its file name in the storage; the caller's own file name is not sent."""
        suffix = _MIME_TYPES.guess_extension(self.uri.mime, strict=False) or ""
        return self.digest[:_NAME_LENGTH] + suffix

    def open(self) -> BinaryIO:
        """Open its bytes as a binary file.

        Raises:
            QwenVLInputError: The file can't be read any more.
        """
        return _open_uri(self.uri, self.size, self.location)


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """The uploads of a request.

    Attributes:
        uploads: The media to upload, each content once.
        slots: The positions whose sources are uploaded, with the index of the upload.
    """

    uploads: tuple[Upload, ...] = ()
    slots: Mapping[Slot, int] | None = None

    def replace_sources(self, prepared: PreparedRequest, urls: Sequence[str]) -> PreparedRequest:
        """Return the request in which the `urls` of the uploads replace their sources."""
        slots = self.slots or {}

        def replace_source(slot: Slot, source: Source) -> Source:
            return UrlSource(urls[slots[slot]]) if slot in slots else source

        def replace_in_part(message_index: int, part_index: int, part: Part) -> Part:
            sources = tuple(
                replace_source(Slot(message_index, part_index, index), source)
                for index, source in enumerate(media_sources(part))
            )
            if sources == () or isinstance(part, TextPart):
                return part
            return replace(part, sources=sources) if isinstance(part, FramesPart) else replace(part, source=sources[0])

        return replace(
            prepared,
            messages=tuple(
                replace(
                    message,
                    parts=tuple(
                        replace_in_part(message_index, index, part) for index, part in enumerate(message.parts)
                    ),
                )
                for message_index, message in enumerate(prepared.messages)
            ),
        )


def may_need_upload(prepared: PreparedRequest) -> bool:
    """Return whether any medium may need an upload, or can't be sent without one, by sizes alone."""
    return any(_should_consider(source, kind, prepared) for _, source, kind, _ in _iterate_media(prepared))


def should_upload(source: Source, kind: MediaKind, prepared: PreparedRequest) -> bool:
    """Return whether a medium will be uploaded, by its size alone."""
    is_enabled = prepared.has_storage and prepared.settings.upload != "never"
    return is_enabled and _should_consider(source, kind, prepared)


def get_upload_limit(kind: MediaKind, prepared: PreparedRequest) -> int:
    """Return the largest file of a kind that is uploaded, in bytes."""
    if kind == "image":
        return IMAGE_LIMIT
    return VIDEO_LIMIT if prepared.video_max_bytes is None else min(prepared.video_max_bytes, VIDEO_LIMIT)


def find_uploaded_media(prepared: PreparedRequest) -> Iterator[tuple[Slot, DataUri, MediaKind, str]]:
    """Yield position, data URI, kind and location of each medium that is not sent inline.

    Raises:
        QwenVLInputError: A medium can't be read, is not of its kind, is too large, or can't be uploaded.
    """
    for slot, source, kind, location in _iterate_media(prepared):
        if isinstance(source, UrlSource) or not _should_consider(source, kind, prepared):
            continue
        uri = data_uri(source, kind, location)
        limit = get_data_uri_limit(kind, prepared.data_uri_max_bytes)
        if prepared.settings.upload == "always" or len(uri) > limit:
            _check_storage(uri, kind, location, limit, prepared)
            _check_size(uri, kind, location, get_upload_limit(kind, prepared))
            yield slot, uri, kind, location


def plan_uploads(prepared: PreparedRequest) -> UploadPlan:
    """Return the uploads that a request needs. Reads all media that are uploaded, to identify them.

    Raises:
        QwenVLInputError: As `find_uploaded_media`.
    """
    uploads: dict[tuple[str, MediaKind, str], tuple[int, Upload]] = {}
    slots: dict[Slot, int] = {}
    for slot, uri, kind, location in find_uploaded_media(prepared):
        upload = create_upload(uri, kind, location, limit=get_upload_limit(kind, prepared))
        index, _ = uploads.setdefault((upload.digest, kind, uri.mime), (len(uploads), upload))
        slots[slot] = index
    return UploadPlan(tuple(upload for _, upload in uploads.values()), slots)


def create_upload(uri: DataUri, kind: MediaKind, location: str, *, limit: int) -> Upload:
    """Create the upload of a medium, whose bytes are read to identify it.

    Args:
        uri: The medium; see `qwenvl_core.media.sources.data_uri`.
        kind: The kind of the medium.
        location: Where it is in the caller's input, for errors.
        limit: The largest size, in bytes; see `get_upload_limit`.

    Raises:
        QwenVLInputError: The medium is too large, or can't be read.
    """
    size = _check_size(uri, kind, location, limit)
    return Upload(kind, uri, size, _compute_digest(uri, size, location), location)


def _iterate_media(prepared: PreparedRequest) -> Iterator[tuple[Slot, Source, MediaKind, str]]:
    """Yield position, source, kind and location of each medium."""
    for message_index, message in enumerate(prepared.messages):
        for part_index, part in enumerate(message.parts):
            kind: MediaKind = "video" if isinstance(part, VideoPart) else "image"
            for index, source in enumerate(media_sources(part)):
                location = part.frame_location(index) if isinstance(part, FramesPart) else getattr(part, "location", "")
                yield Slot(message_index, part_index, index), source, kind, location


def _should_consider(source: Source, kind: MediaKind, prepared: PreparedRequest) -> bool:
    """Return whether a medium must be uploaded by the setting, or may be too large to send inline."""
    if isinstance(source, UrlSource):
        return False
    limit = get_data_uri_limit(kind, prepared.data_uri_max_bytes)
    return prepared.settings.upload == "always" or may_exceed_data_uri(source, limit)


def _check_storage(uri: DataUri, kind: MediaKind, location: str, limit: int, prepared: PreparedRequest) -> None:
    """Raise if a medium that is not sent inline can't be uploaded."""
    mode = prepared.settings.upload
    if prepared.has_storage and mode != "never":
        return
    regions = " and ".join(STORAGE_REGIONS)
    if mode == "always":
        raise QwenVLInputError(
            f'{location}: upload="always", but this server has no temporary storage for uploads. '
            f'Only the regions {regions} of Model Studio have one. Use one of them, or upload="auto".'
        )
    upload_hint = 'or use upload="auto", which uploads larger local files'
    if not prepared.has_storage:
        upload_hint = (
            "or use a server with temporary storage for larger files (see upload=): "
            f"only the regions {regions} of Model Studio have one"
        )
    raise QwenVLInputError(
        f"{location}: this {kind} is {len(uri):,} characters long as a data URI. The service accepts at most "
        f"{limit:,} (about {limit / MB * 3 / 4:g} MB of file). {SHRINK_HINT[kind]}, give a public URL, {upload_hint}."
    )


def _check_size(uri: DataUri, kind: MediaKind, location: str, limit: int) -> int:
    """Return the size of a medium in bytes; raise if it is above the limit."""
    size = compute_size(uri, location)
    if size > limit:
        raise QwenVLInputError(
            f"{location}: this {kind} has {size:,} bytes. "
            f"The service accepts uploads of up to {limit:,} bytes ({limit // MB} MB). "
            f"{SHRINK_HINT[kind]}, or pass a public URL."
        )
    return size


def compute_size(uri: DataUri, location: str) -> int:
    """Return the size of a medium, in bytes."""
    data = uri.source
    if isinstance(data, Path):
        with map_file_errors(data, location):
            return data.stat().st_size
    if uri.base64_from is None:
        return len(data)
    end = data[-2:]
    return uri.length // 4 * 3 - (end.count(b"=") if isinstance(end, bytes) else end.count("="))


def _compute_digest(uri: DataUri, size: int, location: str) -> str:
    if isinstance(uri.source, bytes) and uri.base64_from is None:
        return hashlib.sha256(uri.source).hexdigest()
    with _open_uri(uri, size, location) as file, map_file_errors(uri.source, location):
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _open_uri(uri: DataUri, size: int, location: str) -> BinaryIO:
    data = uri.source
    if isinstance(data, Path):
        with map_file_errors(data, location):
            return open_file(data)
    if uri.base64_from is None:
        return io.BytesIO(cast("bytes", data))  # BytesIO shares the bytes, it does not copy them
    return cast("BinaryIO", _Base64File(data, uri.base64_from, size))


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
        count = min(len(buffer), CHUNK_SIZE)
        data = decode_range(self._data, self._start, self._position, count)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

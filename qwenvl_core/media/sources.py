"""Parse media values into sources, and encode local media as data URIs while they are sent.

A data URI is up to 20 MB and a request may hold dozens. So a `DataUri` keeps the bytes, base64 text or path that the
caller gave and encodes it in chunks when the body is written: memory never holds a second full copy.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from qwenvl_core.catalog.provider_models import UNLIMITED
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.base64_text import (
    CHUNK_SIZE,
    canonicalize,
    compute_base64_length,
    is_canonical,
    iter_chunks,
    to_bytes,
)
from qwenvl_core.media.local_files import map_file_errors, open_file
from qwenvl_core.media.sniffing import HEAD_BYTES, sniff
from qwenvl_core.types.media import FileSource, InlineSource, Source, UrlSource

DATA_URI_LIMIT = 10 * 1024 * 1024
"""Maximum length in characters of a video's data URI, and of an image's where the model's row has no larger one.

Sources: the vendor's pages "Visual understanding", file limits, and "Error codes".
"""

_MAX_HEAD_LENGTH = 256  # characters before the base64 text
_MAX_PATH_LENGTH = 4096  # characters
_MIME = re.compile(r"[a-z]+/[a-z0-9.+-]+")
_REMOTE_SCHEMES = ("http", "https", "oss")
_URL_START = re.compile(r"data:|[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}\s*")
_STANDARD_ALPHABET = str.maketrans("-_", "+/")
_MIN_BASE64_LENGTH = 24  # characters; a shorter text may be the name of a file
_FRAME_FORMATS = ("jpeg", "jpg", "png", "webp")
_PNG_MODES = ("1", "L", "LA", "I;16", "I;16B", "P", "RGB", "RGBA")  # Pillow's names

MediaKind = Literal["image", "video"]

HINTS: dict[MediaKind, tuple[str, ...]] = {
    "image": ("min_pixels", "max_pixels", "enable_rotate"),
    "video": ("fps", "min_pixels", "max_pixels", "total_pixels"),
}
"""The vendor's options of each kind of medium."""

SHRINK_HINT: dict[MediaKind, str] = {
    "image": 'Make it smaller (media_policy="fit" does)',
    "video": 'Make it smaller (media_policy="fit" sends its frames)',
}
"""The first advice in an error about a medium that is too large."""

_WAYS_OUT = {
    "image": "Pass it as an image.",
    "video": "Pass it as a video.",
    "pdf": "Pass it as a file block (LlamaIndex: DocumentBlock), or its pages as images.",
    "audio": "Audio is not supported: transcribe it first.",
    None: "Convert it to JPEG or PNG (a video: to MP4).",
}
"""What to do with a medium of another kind than it is passed as."""


@dataclass(frozen=True, slots=True)
class DataUri:
    """A data URI that is encoded in chunks.

    Attributes:
        mime: MIME type of the medium.
        source: The medium's bytes, its base64 text, or its file.
        length: Length of the base64 text, in characters.
        base64_from: Offset of the base64 text in a source that holds it already; `None` for bytes and files.
    """

    mime: str
    source: bytes | str | Path = field(repr=False)
    length: int
    base64_from: int | None = None

    @property
    def head(self) -> bytes:
        """The part before the base64 text."""
        return f"data:{self.mime};base64,".encode()

    @property
    def is_file(self) -> bool:
        """Whether the medium is read from disk while it is encoded."""
        return isinstance(self.source, Path)

    def __len__(self) -> int:
        return len(self.head) + self.length

    def blocks(self) -> Iterator[bytes]:
        """Yield the URI in chunks.

        Raises:
            QwenVLInputError: The file has become shorter since its size was taken, or is gone.
        """
        yield self.head
        source = self.source
        if isinstance(source, Path):
            yield from self._encode_file(source)
        elif self.base64_from is None:
            yield from map(base64.b64encode, iter_chunks(source, 0, len(source)))
        else:
            yield from iter_chunks(source, self.base64_from, len(source))

    def _encode_file(self, path: Path) -> Iterator[bytes]:
        remaining = self.length
        try:
            with open_file(path) as file:
                for raw in iter(partial(file.read, CHUNK_SIZE), b""):
                    chunk = base64.b64encode(raw)[:remaining]
                    remaining -= len(chunk)
                    yield chunk
        except OSError as error:
            raise QwenVLInputError(f"The file {path} can't be read any more: {error.strerror or error}.") from error
        if remaining:
            raise QwenVLInputError(f"The file {path} changed while it was being sent.")


def parse_source(
    value: Any,
    *,
    location: str,
    files: bool,
    is_path_field: bool = False,
    base64_text: bool = False,
    mime: str | None = None,
) -> Source:
    """Parse the value of a media block. No file is opened; `media.local_files` decides whether one is read later.

    Args:
        value: A URL or path, `Path`, bytes, a binary file object, or a Pillow image.
        location: Where the value is in the caller's input, for errors.
        files: Whether a string may name a file: only in media blocks of user messages. A `Path` always may, since
            code made it, not a model.
        is_path_field: Whether the framework types the value as a path, so that a string counts as one.
        base64_text: A string or bytes is base64 text, not a URL or a medium.
        mime: The MIME type that the caller gave.

    Raises:
        QwenVLInputError: The value is not a medium.
    """
    match value:
        case str() if base64_text and not _URL_START.match(value):
            return InlineSource(value, mime=mime, base64_from=0)
        case str() if not value or value.isspace():
            raise QwenVLInputError(f"{location}: the URL or path is empty.")
        case str():
            source = parse_url_source(value, location=location, files=files)
            return replace(source, origin="field") if is_path_field and isinstance(source, FileSource) else source
        case Path():
            return FileSource(value, origin="field" if is_path_field else "path")
        case bytes() if base64_text and sniff(value[:HEAD_BYTES]).kind is None:
            return InlineSource(value, mime=mime, base64_from=0)
        case bytes() | bytearray() | memoryview():
            return InlineSource(bytes(value), mime=mime)
    if callable(getattr(value, "read", None)):
        return InlineSource(_read_file_object(value, location), mime=mime)
    if callable(getattr(value, "save", None)) and hasattr(value, "mode"):
        return InlineSource(_encode_png(value, location))
    raise QwenVLInputError(
        f"{location}: unsupported media value of type {type(value).__name__}. Give a URL, a data URI, bytes or a path."
    )


def _read_file_object(file: Any, location: str) -> bytes:
    """Read a file object from its start, and restore its position."""
    seekable = getattr(file, "seekable", None)
    position = file.tell() if seekable is not None and seekable() else None
    if position is not None:
        file.seek(0)
    data = file.read()
    if position is not None:
        file.seek(position)
    if not isinstance(data, bytes):
        raise QwenVLInputError(f"{location}: this file is open for text; open it for bytes.")
    return data


def _encode_png(image: Any, location: str) -> bytes:
    """Encode a Pillow image as PNG: without loss in the modes that PNG has, else as RGB."""
    from qwenvl_core.media.colour import to_rgb

    buffer = io.BytesIO()
    try:
        (image if image.mode in _PNG_MODES else to_rgb(image)).save(buffer, format="PNG")
    except Exception as error:  # the image may be decoded only now, and decoders raise anything for broken bytes
        raise QwenVLInputError(f"{location}: this image can't be encoded ({type(error).__name__}: {error}).") from error
    return buffer.getvalue()


def parse_url_source(url: str, *, location: str, files: bool) -> Source:
    """Parse the URL or path of a media block.

    Args:
        url: `http(s)://`, `oss://`, `data:`, `file://`, or a path.
        location: Where the value is in the caller's input, for errors.
        files: Whether a path may be read from disk: only in media blocks of user messages.

    Raises:
        QwenVLInputError: The scheme is unknown, the data URI is broken, or a path is not allowed here.
    """
    # Only the first characters decide, so that a 10 MB data URI is neither split nor copied.
    scheme, colon, _ = url[:16].partition(":")
    scheme = scheme.lower()
    if colon and scheme == "data":
        return _parse_data_uri(url, location)
    if colon and scheme in _REMOTE_SCHEMES:
        start = len(scheme) + len("://")
        if url[len(scheme) : start] != "://" or not url[start : start + 1].strip("/ "):
            raise QwenVLInputError(f"{location}: the URL {url[:100]!r} names no host.")
        return UrlSource(url)
    is_path = not colon or len(scheme) < 2 or "/" in scheme  # "C:\a.png" is a path
    if not is_path and scheme != "file":
        raise QwenVLInputError(
            f"{location}: unsupported URL scheme {scheme!r}. "
            "Use an http(s) or oss URL, a data URI, bytes, or a local file."
        )
    if not files:
        if is_path:
            _check_path(url, location)
        raise QwenVLInputError(
            f"{location}: a path or file:// URL is read from disk only in the media parts of user messages. "
            "Give the bytes or a pathlib.Path here."
        )
    path = _check_path(url, location) if is_path else _parse_file_url(url, location)
    return FileSource(Path(path), origin="string")


def _check_path(path: str, location: str) -> str:
    """Return a path unless it is base64 text, which may begin with a slash and be as short as a path."""
    if len(path) > _MAX_PATH_LENGTH or _is_base64_file(path):
        raise QwenVLInputError(
            f"{location}: this string of {len(path):,} characters is not a URL, data URI or path. Base64 text needs "
            '"data:image/png;base64," (or similar) in front.'
        )
    return path


def _is_base64_file(text: str) -> bool:
    """Return whether a string is base64 text of a file of a known format."""
    if len(text) < _MIN_BASE64_LENGTH or not _BASE64.fullmatch(text):
        return False
    head = text[: HEAD_BYTES // 3 * 4].translate(_STANDARD_ALPHABET)
    return sniff(base64.b64decode(head[: len(head) // 4 * 4])).mime is not None


def _parse_file_url(url: str, location: str) -> str:
    parts = urlsplit(url)
    if parts.netloc.lower() not in ("", "localhost"):
        raise QwenVLInputError(f"{location}: {parts.netloc!r} in this file:// URL is a host; begin with three slashes.")
    return _check_path(url2pathname(parts.path), location)


def _parse_data_uri(uri: str, location: str) -> InlineSource:
    head, comma, _ = uri[:256].partition(",")
    if not comma:
        raise QwenVLInputError(f"{location}: this data URI has no data.")
    mime = head[len("data:") :].partition(";")[0]
    if head.lower().rpartition(";")[2].strip() != "base64":
        return InlineSource(unquote_to_bytes(uri[len(head) + 1 :].encode(errors="replace")), mime=mime)
    return InlineSource(uri, mime=mime, base64_from=len(head) + 1)


def split_frames(source: Source) -> tuple[Source, ...] | None:
    """Split the frames of a video that is written as `data:video/jpeg;base64,<frame>,<frame>,…`.

    Returns:
        The frames; `None` for any other source. Source: vLLM, `multimodal/media/video.py`.
    """
    if not isinstance(source, InlineSource) or source.base64_from is None or not isinstance(source.data, str):
        return None
    kind, _, image_format = (source.mime or "").lower().partition("/")
    if kind != "video" or image_format not in _FRAME_FORMATS:
        return None
    texts = source.data[source.base64_from :].split(",")
    return tuple(InlineSource(text, mime=f"image/{image_format}", base64_from=0) for text in texts if text.strip())


def get_data_uri_limit(kind: MediaKind, image_limit: int) -> int:
    """Return the maximum length of a data URI of a medium of this kind, where `image_limit` is that of images."""
    return image_limit if kind == "image" or image_limit == UNLIMITED else DATA_URI_LIMIT


def to_url_or_data_uri(
    source: Source, kind: MediaKind, location: str, image_limit: int = DATA_URI_LIMIT
) -> str | DataUri:
    """Convert a source to its URL, or to a data URI that is encoded into the request.

    Args:
        source: The medium.
        kind: The kind of medium that the request has here.
        location: Where the value is in the caller's input, for errors.
        image_limit: Maximum length of an image's data URI.

    Raises:
        QwenVLInputError: The file can't be read, is not of this kind, or is too large to inline.
    """
    if isinstance(source, UrlSource):
        return source.url
    uri = data_uri(source, kind, location)
    limit = get_data_uri_limit(kind, image_limit)
    if len(uri) > limit:
        raise QwenVLInputError(
            f"{location}: this {kind} is {len(uri):,} characters long as a data URI. The service accepts at most "
            f"{limit:,} (about {limit / 1024**2 * 3 / 4:g} MB of file). {SHRINK_HINT[kind]}, or give a public URL."
        )
    return uri


def data_uri(source: InlineSource | FileSource, kind: MediaKind, location: str) -> DataUri:
    """Build the data URI of a local medium of any size; the medium is encoded later.

    Args:
        source: The medium.
        kind: The kind of medium that the request has here.
        location: Where the value is in the caller's input, for errors.

    Raises:
        QwenVLInputError: The file can't be read or is not of this kind.
    """
    match source:
        case FileSource(path):
            return _build_from_file(path, kind, location)
        case InlineSource(data, mime, None):
            content = to_bytes(data)
            mime = _choose_mime(content[:HEAD_BYTES], mime, kind, location)
            return DataUri(mime, content, compute_base64_length(len(content)))
        case InlineSource(data, mime, start):
            return _build_from_base64(data, start or 0, mime, kind, location)


def may_exceed_data_uri(source: Source, limit: int = DATA_URI_LIMIT) -> bool:
    """Return whether a medium may be too large for a data URI, by its size alone; `data_uri` gives the exact length.

    Args:
        source: The medium.
        limit: Maximum length of the data URI, in characters.
    """
    match source:
        case UrlSource():
            length = 0
        case FileSource(path):
            try:
                length = compute_base64_length(path.stat().st_size)
            except OSError:
                length = 0  # reported when the file is read
        case InlineSource(data, _, None):
            length = compute_base64_length(len(data))
        case InlineSource(data, _, start):
            length = len(data) - (start or 0)
    return length > limit - _MAX_HEAD_LENGTH


def _build_from_file(path: Path, kind: MediaKind, location: str) -> DataUri:
    with map_file_errors(path, location), open_file(path) as file:
        head = file.read(HEAD_BYTES)
        size = file.seek(0, 2)
    return DataUri(_choose_mime(head, None, kind, location), path, compute_base64_length(size))


def _build_from_base64(data: bytes | str, start: int, mime: str | None, kind: MediaKind, location: str) -> DataUri:
    if not is_canonical(data, start):
        try:
            data, start = canonicalize(data[start:]), 0
        except ValueError as error:
            raise QwenVLInputError(f"{location}: {error}.") from error
    head = base64.b64decode(data[start : start + HEAD_BYTES // 3 * 4])
    return DataUri(_choose_mime(head, mime, kind, location), data, len(data) - start, start)


def _choose_mime(head: bytes, declared: str | None, kind: MediaKind, location: str) -> str:
    """Return the MIME type of the bytes, or the declared one where the format of the bytes is unknown."""
    if not head:
        raise QwenVLInputError(f"{location}: this {kind} is empty. Check how its bytes were read.")
    info = sniff(head)
    if info.kind == kind and info.mime:
        return info.mime
    declared = (declared or "").partition(";")[0].strip().lower()
    if info.kind is None and declared.startswith(f"{kind}/") and _MIME.fullmatch(declared):
        return declared
    found = f"it looks like {info.mime}" if info.mime else "its bytes are of no known format"
    expected = "an image" if kind == "image" else "a video"
    raise QwenVLInputError(f"{location}: this is not {expected}; {found}. {_WAYS_OUT[info.kind]}")

"""Media on its way out: located, recognised, and encoded while it is sent.

A data URI is up to 10 MB and a request may hold dozens. So a `DataUri` keeps what the caller gave (bytes, base64 text
or a path) and encodes it block by block when the body is written; no second copy is ever whole in memory.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sniffing import HEAD_BYTES, sniff
from qwenvl_core.types.media import FileSource, InlineSource, Source, UrlSource

DATA_URI_LIMIT = 10 * 1024 * 1024
"""Longest data URI of one medium, in characters (vendor pages "Visual understanding", file limits; "Error codes")."""

_LONGEST_HEAD = 256  # characters before the base64 text
_LONGEST_PATH = 4096  # characters; what is longer is something else
_MIME = re.compile(r"[a-z]+/[a-z0-9.+-]+")
_BLOCK = 48 * 1024  # a multiple of 3, so that encoded blocks join without padding between them
_STANDARD = bytes.maketrans(b"-_", b"+/")  # from the alphabet of URLs
_WHITE_SPACE = b" \t\n\r\x0b\x0c"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_REMOTE_SCHEMES = ("http", "https", "oss")
_PNG_MODES = ("1", "L", "LA", "I;16", "I;16B", "P", "RGB", "RGBA")  # Pillow's names

MediaKind = Literal["image", "video"]

HINTS: dict[MediaKind, tuple[str, ...]] = {
    "image": ("min_pixels", "max_pixels"),
    "video": ("fps", "min_pixels", "max_pixels", "total_pixels"),
}
"""The vendor's hints that go with each kind of medium."""

SHRINK_HINT: dict[MediaKind, str] = {"image": 'Make it smaller (media_policy="fit" does)', "video": "Make it smaller"}
"""The first way out, in an error about a medium that weighs too much."""


@dataclass(frozen=True, slots=True)
class DataUri:
    """A data URI that is encoded block by block.

    Attributes:
        mime: What the medium is.
        source: Its bytes, its base64 text, or its file.
        length: Length of the base64 text, in characters.
        base64_from: Where the base64 text begins in a source that holds it already; `None` for bytes and files.
    """

    mime: str
    source: bytes | str | Path = field(repr=False)
    length: int
    base64_from: int | None = None

    @property
    def head(self) -> bytes:
        """What stands before the base64 text."""
        return f"data:{self.mime};base64,".encode()

    def __len__(self) -> int:
        return len(self.head) + self.length

    def blocks(self) -> Iterator[bytes]:
        """The whole URI, a block at a time.

        Raises:
            QwenVLInputError: The file has become shorter since its size was taken, or has gone.
        """
        yield self.head
        source = self.source
        if isinstance(source, Path):
            yield from self._file_blocks(source)
        elif self.base64_from is None:
            for at in range(0, len(source), _BLOCK):
                yield base64.b64encode(source[at : at + _BLOCK])  # type: ignore[arg-type]  # bytes, by base64_from
        else:
            for at in range(self.base64_from, len(source), _BLOCK):
                yield _ascii(source[at : at + _BLOCK])

    def _file_blocks(self, path: Path) -> Iterator[bytes]:
        left = self.length
        try:
            with path.open("rb") as file:
                for raw in iter(partial(file.read, _BLOCK), b""):
                    block = base64.b64encode(raw)[:left]
                    left -= len(block)
                    yield block
        except OSError as error:
            raise QwenVLInputError(f"The file {path} can't be read any more: {error.strerror or error}.") from error
        if left:
            raise QwenVLInputError(f"The file {path} changed while it was being sent.")


def parse_source(
    value: Any, *, location: str, files: bool, base64_text: bool = False, mime: str | None = None
) -> Source:
    """What a value in a media part stands for.

    Args:
        value: A URL or path, `Path`, bytes, a binary file object, or a Pillow image.
        location: Where the value stands in the caller's input, for errors.
        files: Whether a string may name a file: only in the user's own media parts. A `Path` always may; it was
            made by code, not by a model.
        base64_text: A string or bytes is base64 text, not a URL or a medium.
        mime: What the caller said it is.

    Raises:
        QwenVLInputError: Nothing a medium can be made of.
    """
    match value:
        case str() if base64_text and not value.startswith("data:"):
            return InlineSource(value, mime=mime, base64_from=0)
        case str() if not value or value.isspace():
            raise QwenVLInputError(f"{location}: the URL or path is empty.")
        case str():
            return parse_url_source(value, location=location, files=files)
        case Path():
            return FileSource(value)
        case bytes() if base64_text and sniff(value[:HEAD_BYTES]).kind is None:
            return InlineSource(value, mime=mime, base64_from=0)
        case bytes() | bytearray() | memoryview():
            return InlineSource(bytes(value), mime=mime)
    if callable(getattr(value, "read", None)):
        return InlineSource(_read(value, location), mime=mime)
    if callable(getattr(value, "save", None)) and hasattr(value, "mode"):
        return InlineSource(_png(value, location))
    raise QwenVLInputError(
        f"{location}: can't make a medium of {type(value).__name__}; give a URL, a data URI, bytes or a path."
    )


def _read(file: Any, location: str) -> bytes:
    """All of a file object's bytes; its position is left where it was."""
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


def _png(image: Any, location: str) -> bytes:
    """A Pillow image as a file: without loss where PNG has its mode, else what it shows."""
    from qwenvl_core.media.colour import to_rgb

    buffer = io.BytesIO()
    try:
        (image if image.mode in _PNG_MODES else to_rgb(image)).save(buffer, format="PNG")
    except Exception as error:  # it may be decoded only now, and what a decoder raises for broken bytes is anything
        raise QwenVLInputError(f"{location}: this image can't be encoded ({type(error).__name__}: {error}).") from error
    return buffer.getvalue()


def parse_url_source(url: str, *, location: str, files: bool) -> Source:
    """What a URL or path in a media part stands for.

    Args:
        url: `http(s)://`, `oss://`, `data:`, `file://`, or a path.
        location: Where the value stands in the caller's input, for errors.
        files: Whether a path may be read from disk here: only what the user's own media parts name may be.

    Raises:
        QwenVLInputError: An unknown scheme, a broken data URI, or a path where none is allowed.
    """
    # Only the first characters decide, so a 10 MB data URI is neither split nor copied.
    scheme, colon, _ = url[:16].partition(":")
    scheme = scheme.lower()
    if colon and scheme == "data":
        return _from_data_uri(url, location)
    if colon and scheme in _REMOTE_SCHEMES:
        start = len(scheme) + len("://")
        if url[len(scheme) : start] != "://" or not url[start : start + 1].strip("/ "):
            raise QwenVLInputError(f"{location}: the URL {url[:100]!r} names no host.")
        return UrlSource(url)
    is_path = not colon or len(scheme) < 2 or "/" in scheme  # "C:\a.png" is a path
    if not is_path and scheme != "file":
        raise QwenVLInputError(
            f"{location}: can't send media from {scheme!r}; "
            "use an http(s) or oss URL, a data URI, bytes, or a local file."
        )
    if not files:
        raise QwenVLInputError(
            f"{location}: a path or file:// URL is read from disk only in the media parts of user messages; "
            "here, give the bytes or a pathlib.Path."
        )
    return FileSource(Path(_checked_path(url, location) if is_path else _path_of_url(url, location)))


def _checked_path(path: str, location: str) -> str:
    if len(path) > _LONGEST_PATH:
        raise QwenVLInputError(
            f"{location}: {len(path):,} characters that are no URL, data URI or path; base64 text needs "
            '"data:image/png;base64," (or the like) in front.'
        )
    return path


def _path_of_url(url: str, location: str) -> str:
    parts = urlsplit(url)
    if parts.netloc.lower() not in ("", "localhost"):
        raise QwenVLInputError(f"{location}: {parts.netloc!r} in this file:// URL is a host; begin with three slashes.")
    return _checked_path(url2pathname(parts.path), location)


def _from_data_uri(uri: str, location: str) -> InlineSource:
    head, comma, _ = uri[:256].partition(",")
    if not comma:
        raise QwenVLInputError(f"{location}: this data URI has no data.")
    mime = head[len("data:") :].partition(";")[0]
    if head.lower().rpartition(";")[2].strip() != "base64":
        return InlineSource(unquote_to_bytes(uri[len(head) + 1 :].encode(errors="replace")), mime=mime)
    return InlineSource(uri, mime=mime, base64_from=len(head) + 1)


def to_url_or_data_uri(source: Source, kind: MediaKind, location: str) -> str | DataUri:
    """Where the server gets a medium from: its URL, or a data URI to be encoded into the request.

    Args:
        source: The medium.
        kind: What it is meant to be.
        location: Where the value stands in the caller's input, for errors.

    Raises:
        QwenVLInputError: The file can't be read, is not of this kind, or is too large to inline.
    """
    if isinstance(source, UrlSource):
        return source.url
    uri = data_uri(source, kind, location)
    if len(uri) > DATA_URI_LIMIT:
        raise QwenVLInputError(
            f"{location}: this {kind} is {len(uri):,} characters long as a data URI; the service takes at most "
            f"{DATA_URI_LIMIT:,} (about 7.5 MB of file). {SHRINK_HINT[kind]}, give a public URL, or use "
            'api="dashscope", which uploads larger local files.'
        )
    return uri


def data_uri(source: InlineSource | FileSource, kind: MediaKind, location: str) -> DataUri:
    """A medium in hand or on disk, of any size, as a data URI that is still to be encoded.

    Args:
        source: The medium.
        kind: What it is meant to be.
        location: Where the value stands in the caller's input, for errors.

    Raises:
        QwenVLInputError: The file can't be read or is not of this kind.
    """
    match source:
        case FileSource(path):
            return _of_file(path, kind, location)
        case InlineSource(data, mime, None):
            raw = data if isinstance(data, bytes) else data.encode()
            return DataUri(_mime(raw[:HEAD_BYTES], mime, kind, location), raw, base64_length(len(raw)))
        case InlineSource(data, mime, start):
            return _of_base64(data, start or 0, mime, kind, location)


def may_exceed_data_uri(source: Source) -> bool:
    """Whether a medium may be too large for a data URI, by its size alone; `data_uri` tells for sure."""
    match source:
        case UrlSource():
            length = 0
        case FileSource(path):
            try:
                length = base64_length(path.stat().st_size)
            except OSError:
                length = 0  # whoever reads it says why it can't be read
        case InlineSource(data, _, None):
            length = base64_length(len(data))
        case InlineSource(data, _, start):
            length = len(data) - (start or 0)
    return length > DATA_URI_LIMIT - _LONGEST_HEAD


def base64_length(size: int) -> int:
    """Characters of the base64 text of `size` bytes."""
    return (size + 2) // 3 * 4


def _of_file(path: Path, kind: MediaKind, location: str) -> DataUri:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise OSError("it is no regular file")  # a pipe would be waited for
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
    except (OSError, ValueError) as error:  # a path with a null character is a ValueError
        why = getattr(error, "strerror", None) or error
        raise QwenVLInputError(f"{location}: can't read {path}: {why}.") from error
    return DataUri(_mime(head, None, kind, location), path, base64_length(size))


def _ascii(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _of_base64(data: bytes | str, start: int, mime: str | None, kind: MediaKind, location: str) -> DataUri:
    if not _is_clean(data, start):
        data, start = _cleaned(data[start:], location), 0
    head = base64.b64decode(data[start : start + HEAD_BYTES // 3 * 4])
    return DataUri(_mime(head, mime, kind, location), data, len(data) - start, start)


def _is_clean(data: bytes | str, start: int) -> bool:
    """Whether base64 text can stand in JSON as it is. Looked at in blocks: a copy of 10 MB costs more than the look."""
    if not data.isascii() or (len(data) - start) % 4:
        return False
    end = len(data) - len(_ascii(data[-3:])) + len(_ascii(data[-3:]).rstrip(b"="))
    if len(data) - end > 2:
        return False
    blocks = (data[at : min(at + _BLOCK, end)] for at in range(start, end, _BLOCK))
    return not any(_ascii(block).translate(None, _BASE64) for block in blocks)


def _cleaned(data: bytes | str, location: str) -> bytes:
    """Base64 text without white space and percent signs, in the standard alphabet, padded.

    In blocks: one call for all of a large text would not let another thread run, an event loop's for instance.
    """
    text = unquote_to_bytes(data if isinstance(data, bytes) else data.encode(errors="replace"))  # as in any URL
    blocks = (text[at : at + _BLOCK].translate(_STANDARD, _WHITE_SPACE) for at in range(0, len(text), _BLOCK))
    joined = b"".join(blocks).rstrip(b"=")
    joined += b"=" * (-len(joined) % 4)
    if not _is_clean(joined, 0):
        raise QwenVLInputError(f"{location}: this is no base64.")
    return joined


def _mime(head: bytes, said: str | None, kind: MediaKind, location: str) -> str:
    """The MIME type by the bytes; the caller's word counts only where the bytes tell nothing."""
    if not head:
        raise QwenVLInputError(f"{location}: this {kind} is empty.")
    seen = sniff(head)
    if seen.kind == kind and seen.mime:
        return seen.mime
    word = (said or "").partition(";")[0].strip().lower()
    if seen.kind is None and word.startswith(f"{kind}/") and _MIME.fullmatch(word):
        return word
    found = f"it looks like {seen.mime}" if seen.mime else "its bytes are of no known format"
    raise QwenVLInputError(f"{location}: this is not {'an image' if kind == 'image' else 'a video'}; {found}.")

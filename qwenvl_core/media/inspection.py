"""Inspect the headers of local media: format, size and duration.

An inspection takes microseconds, whatever the size of the medium: of a file only the header is read, of base64 text
only the header is decoded. URLs are never fetched. Media that can't be inspected are unknown, which is not an error:
the code that sends them reports what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from qwenvl_core.media.base64_text import decode, decode_range, has_irregular_characters, to_bytes
from qwenvl_core.media.byte_reader import Reader, create_file_reader
from qwenvl_core.media.local_files import open_file
from qwenvl_core.media.sniffing import HEAD_BYTES, MediaInfo, sniff_with
from qwenvl_core.media.tiff_frames import find_tiff_frames
from qwenvl_core.media.video_header import VideoInfo, read_video_header
from qwenvl_core.types.media import FileSource, InlineSource, Source, UrlSource

__all__ = ["find_tiff_pages", "inspect_image", "inspect_video", "read_bytes"]

T = TypeVar("T")

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BASE64_TIFF_MAGIC = (b"SUkq", b"SUkr", b"TU0A")
_ONE_PAGE = (0,)


def inspect_image(source: Source) -> MediaInfo:
    """Return the format of an image and its size as stored; never raises."""
    return _inspect(source, sniff_with, MediaInfo())


def inspect_video(source: Source) -> VideoInfo:
    """Return the duration, size and frame rate in a video's header; never raises."""
    return _inspect(source, read_video_header, VideoInfo())


def find_tiff_pages(source: Source) -> tuple[int, ...]:
    """Return the indices of the frames of a TIFF that are pages; `(0,)` for any other medium. Never raises."""
    if isinstance(source, InlineSource) and source.base64_from is not None:
        start = source.base64_from
        if to_bytes(source.data[start : start + 4]) not in _BASE64_TIFF_MAGIC:
            return _ONE_PAGE
        try:  # the directories may be anywhere in it
            source = InlineSource(read_bytes(source))
        except ValueError:
            return _ONE_PAGE
    return _inspect(source, _find_pages, _ONE_PAGE)


def _find_pages(read: Reader) -> tuple[int, ...]:
    return find_tiff_frames(read).pages if read(0, 4) in _TIFF_MAGIC else _ONE_PAGE


def read_bytes(source: InlineSource | FileSource) -> bytes:
    """Read all bytes of a medium.

    Raises:
        OSError: The file can't be read.
        ValueError: The base64 text is invalid.
    """
    match source:
        case FileSource(path):
            with open_file(path) as file:
                return file.read()
        case InlineSource(data, _, None):
            return to_bytes(data)
        case InlineSource(data, _, start):
            return decode(to_bytes(data[start or 0 :]))


def _inspect(source: Source, parse: Callable[[Reader], T], unknown: T) -> T:
    try:
        match source:
            case UrlSource():
                return unknown
            case FileSource(path):
                with open_file(path) as file:
                    return parse(create_file_reader(file))
            case InlineSource(data, _, None):
                content = to_bytes(data)
                return parse(lambda offset, count: content[offset : offset + count])
            case InlineSource(data, _, start):
                return parse(_create_base64_reader(data, start or 0))
    except (OSError, ValueError):  # a missing file, invalid base64, or a header with an impossible offset
        return unknown


def _create_base64_reader(text: bytes | str, start: int) -> Reader:
    """Create a reader that decodes only the part of base64 text that is read.

    In text with line breaks the offset of a byte is unknown: only the head can be read then.
    """
    if has_irregular_characters(text, start):
        return _create_head_reader(text, start)
    return lambda offset, count: decode_range(text, start, offset, count)


def _create_head_reader(text: bytes | str, start: int) -> Reader:
    """Create a reader for the first `HEAD_BYTES` of base64 text with line breaks or in the URL-safe alphabet."""
    head = b""

    def read(offset: int, count: int) -> bytes:
        nonlocal head
        if offset + count > len(head) and offset < HEAD_BYTES:
            # Decode half as much again as is needed, so that a long header is not decoded anew for each read.
            encoded = b"".join(to_bytes(text[start : start + 2 * max(offset + count, 2048)]).split())
            head = decode(encoded[: max(len(encoded) // 4 * 4, 4)])
        return head[offset : offset + count]

    return read

"""A look at media in hand or on disk: what they are and how large, by their headers. URLs are never fetched.

A look costs microseconds, whatever the medium's size: of a file only the header is read, of base64 text only the
header is decoded. What can't be looked at is unknown, not an error; whoever sends it says what is wrong with it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import TypeVar

from qwenvl_core.media.sniffing import HEAD_BYTES, MediaInfo, Reader, reader_of, sniff_with
from qwenvl_core.media.video_header import VideoInfo, read_video_header
from qwenvl_core.types.media import FileSource, InlineSource, Source, UrlSource

__all__ = ["inspect_image", "inspect_video", "read_bytes"]

T = TypeVar("T")

_STANDARD = bytes.maketrans(b"-_", b"+/")
_IRREGULAR = re.compile(r"[^A-Za-z0-9+/=]")  # in base64: line breaks, the URL-safe alphabet
_IRREGULAR_BYTES = re.compile(_IRREGULAR.pattern.encode())


def inspect_image(source: Source) -> MediaInfo:
    """What an image is, and its size as stored. Never raises."""
    return _look(source, sniff_with, MediaInfo())


def inspect_video(source: Source) -> VideoInfo:
    """What a video's header tells. Never raises."""
    return _look(source, read_video_header, VideoInfo())


def read_bytes(source: InlineSource | FileSource) -> bytes:
    """All bytes of a medium.

    Raises:
        OSError: The file can't be read.
        ValueError: It is no base64 text.
    """
    match source:
        case FileSource(path):
            return path.read_bytes()
        case InlineSource(data, _, None):
            return _ascii(data)
        case InlineSource(data, _, start):
            return _decoded(_ascii(data[start or 0 :]))


def _look(source: Source, parse: Callable[[Reader], T], unknown: T) -> T:
    try:
        match source:
            case UrlSource():
                return unknown
            case FileSource(path) if not path.is_file():  # a pipe would be waited for
                return unknown
            case FileSource(path):
                with path.open("rb") as file:
                    return parse(reader_of(file))
            case InlineSource(data, _, None):
                raw = _ascii(data)
                return parse(lambda at, count: raw[at : at + count])
            case InlineSource(data, _, start):
                return parse(_reader_of_base64(data, start or 0))
    except (OSError, ValueError):  # no such file; no base64; a header that points where nothing can be
        return unknown


def _ascii(data: bytes | str) -> bytes:
    return data if isinstance(data, bytes) else data.encode()


def _decoded(text: bytes) -> bytes:
    """What base64 text says, in either alphabet, with line breaks or without, padded or not."""
    text = b"".join(text.translate(_STANDARD).split()).rstrip(b"=")
    return base64.b64decode(text + b"=" * (-len(text) % 4))


def _reader_of_base64(data: bytes | str, start: int) -> Reader:
    """A reader of what base64 text stands for, which decodes only what is read.

    Where the text has line breaks its length tells nothing of places in the file: only the head is read then.
    """
    if _is_irregular(data, start):
        return _reader_of_lines(data, start)

    def read(at: int, count: int) -> bytes:
        begin = start + at // 3 * 4
        text = _ascii(data[begin : begin + (at % 3 + count + 2) // 3 * 4])
        return _decoded(text)[at % 3 : at % 3 + count]

    return read


def _reader_of_lines(data: bytes | str, start: int) -> Reader:
    """A reader of the head of base64 text with line breaks, or in the other alphabet."""
    head = b""

    def read(at: int, count: int) -> bytes:
        nonlocal head
        if at + count > len(head) and at < HEAD_BYTES:
            # Half as much again as is wanted, so that a long header is not decoded over and over.
            text = b"".join(_ascii(data[start : start + 2 * max(at + count, 2048)]).split())
            head = _decoded(text[: max(len(text) // 4 * 4, 4)])
        return head[at : at + count]

    return read


def _is_irregular(data: bytes | str, start: int) -> bool:
    """Whether base64 text is broken into lines or in another alphabet; the first lines tell."""
    if isinstance(data, bytes):
        return _IRREGULAR_BYTES.search(data, start, start + 4096) is not None
    return _IRREGULAR.search(data, start, start + 4096) is not None

"""Sniff the type of a file from its first bytes: kind, MIME type and, for images, the stored size.

Nothing is decoded and no imaging library is loaded; a call takes microseconds, whatever the bytes are. A header that
is wrong, ends early or points outside the file gives less information, never an error. MIME types are those of the
vendor's page "Visual understanding" (supported image formats) where it has one, else the customary ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.byte_reader import Reader, create_file_reader, limit_reads
from qwenvl_core.media.image_headers import (
    SizeReader,
    read_bmp_size,
    read_gif_size,
    read_heif_size,
    read_jpeg_size,
    read_png_size,
    read_tiff_size,
    read_webp_size,
)

__all__ = ["HEAD_BYTES", "MediaInfo", "sniff", "sniff_file", "sniff_with"]

HEAD_BYTES = 65536
"""Number of bytes from the start of a file that `sniff` should get.

The type needs 1 KB at most. The size of a JPEG is behind its metadata, of which one segment has up to 64 KB, and that
of a TIFF may be at the end of the file. `sniff_file` finds both wherever they are."""

SniffedKind = Literal["image", "video", "pdf", "audio"]

HEIF_TYPES = ("image/heic", "image/heif")
"""MIME types that Pillow reads with the plugin pillow-heif only."""

_Format = tuple[str | None, SizeReader | None]  # MIME type (None: unknown), and the function that reads the size


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """The type of a medium, and the size of an image.

    Attributes:
        kind: Kind of medium; `None` where the format is unknown.
        mime: Its MIME type.
        width: Stored width in pixels, before any rotation; known for images only.
        height: Stored height in pixels.
        orientation: EXIF orientation 1 to 8; from 5 on, viewers swap the sides.
    """

    kind: SniffedKind | None = None
    mime: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int = 1


def sniff(head: bytes | bytearray | memoryview) -> MediaInfo:
    """Sniff the type of a medium from its first bytes; never raises.

    Args:
        head: The first `HEAD_BYTES` bytes, or more, or the whole file.

    Returns:
        The type and size; the size is `None` where it is behind `head`.
    """
    data = head if isinstance(head, bytes) else bytes(head)
    return sniff_with(lambda offset, count: data[offset : offset + count])


def sniff_file(file: str | Path | BinaryIO) -> MediaInfo:
    """Sniff the type of a file as `sniff` does, and follow the header to any offset.

    Args:
        file: A path, or a seekable binary file, which is read from its start; its position is restored.

    Raises:
        OSError: The file can't be opened or read.
        QwenVLInputError: The file object can't seek, or was opened as text.
    """
    if isinstance(file, str | Path):
        with open(file, "rb") as opened:
            return sniff_with(create_file_reader(opened))
    if not file.seekable():
        raise QwenVLInputError("file: this file object can't seek. Give its first bytes to sniff() instead.")
    position = file.tell()
    try:
        return sniff_with(create_file_reader(file))
    finally:
        file.seek(position)


def sniff_with(read: Reader) -> MediaInfo:
    """Sniff the type of a medium as `sniff` does; raises what `read` raises."""
    mime, read_size = _find_format(read(0, 1024))
    if mime is None:
        return _UNKNOWN
    width, height, orientation = 0, 0, 1
    if read_size is not None:
        with suppress(struct.error):  # the header ends early
            width, height, orientation = read_size(limit_reads(read))
    has_size = width > 0 and height > 0
    return MediaInfo(
        "pdf" if mime == "application/pdf" else _KINDS[mime[:5]],
        mime,
        width if has_size else None,
        height if has_size else None,
        orientation if 1 <= orientation <= 8 else 1,
    )


def _find_format(head: bytes) -> _Format:
    for magic, mime, read_size in _MAGIC:
        if head.startswith(magic):
            return mime, read_size
    for matches, found in _TESTS:
        if matches(head):
            return found(head) if callable(found) else found
    return None, None


# First bytes, MIME type, and the function that reads the size.
_MAGIC: tuple[tuple[bytes, str, SizeReader | None], ...] = (
    (b"\xff\xd8\xff", "image/jpeg", read_jpeg_size),
    (b"\x89PNG\r\n\x1a\n", "image/png", read_png_size),
    (b"GIF87a", "image/gif", read_gif_size),
    (b"GIF89a", "image/gif", read_gif_size),
    (b"II*\0", "image/tiff", read_tiff_size),
    (b"MM\0*", "image/tiff", read_tiff_size),
    (b"II+\0", "image/tiff", read_tiff_size),
    (b"MM\0+", "image/tiff", read_tiff_size),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2", None),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl", None),
    (b"%PDF-", "application/pdf", None),
    (b"FLV\x01", "video/x-flv", None),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-wmv", None),  # ASF: audio-only files start with the same bytes
    (b"\0\0\x01\xba", "video/mpeg", None),
    (b"\0\0\x01\xb3", "video/mpeg", None),
    (b"ID3", "audio/mpeg", None),
    (b"fLaC", "audio/flac", None),
    (b"#!AMR", "audio/amr", None),
)
_KINDS: dict[str, SniffedKind] = {"image": "image", "video": "video", "audio": "audio"}
_UNKNOWN = MediaInfo()

_CONTAINERS: dict[bytes, _Format] = {
    b"RIFFWEBP": ("image/webp", read_webp_size),
    b"RIFFAVI ": ("video/x-msvideo", None),
    b"RIFFWAVE": ("audio/wav", None),
    b"FORMAIFF": ("audio/aiff", None),
    b"FORMAIFC": ("audio/aiff", None),
}

_BRANDS: dict[bytes, _Format] = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), ("image/heic", read_heif_size)),
    **dict.fromkeys((b"avif", b"avis"), ("image/avif", read_heif_size)),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P "), ("audio/mp4", None)),
    **dict.fromkeys((b"M4V ", b"M4VH", b"M4VP"), ("video/x-m4v", None)),
    **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6", b"3ge6", b"3gg6"), ("video/3gpp", None)),
    b"qt  ": ("video/quicktime", None),
    b"crx ": ("image/x-canon-cr3", None),
}
_GENERIC_IMAGE = (b"mif1", b"mif2", b"msf1", b"miaf")
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # lengths of the header after the file header


def _find_iso_format(head: bytes) -> _Format:
    """Return the format of the main brand; that of an image may be generic, so compatible brands are tried as well."""
    major, end = head[8:12], min(int.from_bytes(head[:4], "big"), 256)
    if major in _GENERIC_IMAGE:
        compatible = (head[offset : offset + 4] for offset in range(16, end, 4))
        return next((_BRANDS[brand] for brand in compatible if brand in _BRANDS), ("image/heif", read_heif_size))
    return _BRANDS.get(major, ("video/mp4", None))


def _find_ebml_format(head: bytes) -> _Format:
    offset = head.find(b"\x42\x82", 4, 128)  # DocType, then one byte of length
    return ("video/webm" if offset > 0 and head[offset + 3 : offset + 7] == b"webm" else "video/x-matroska"), None


def _find_ogg_format(head: bytes) -> _Format:
    return ("video/ogg" if b"theora" in head[28:40] else "audio/ogg"), None


def _is_bmp(head: bytes) -> bool:
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS


def _is_transport_stream(head: bytes) -> bool:
    """Return whether there is a sync byte every 188 bytes, or every 192 behind a time stamp of 4."""
    return head[:377:188] == b"GGG" or head[4:389:192] == b"GGG"


def _is_mpeg_audio(head: bytes) -> bool:
    """Return whether a frame header of layer II or III comes first. Layer I is left out: UTF-16 text starts alike."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    return head[1] & 0x06 in (2, 4) and head[1] & 0x18 != 8 and head[2] >> 4 != 15 and head[2] & 12 != 12


# Formats that need more than a comparison of the first bytes, the most reliable tests first.
_TESTS: tuple[tuple[Callable[[bytes], bool], _Format | Callable[[bytes], _Format]], ...] = (
    (lambda head: head[4:8] == b"ftyp", _find_iso_format),
    (lambda head: head[:4] + head[8:12] in _CONTAINERS, lambda head: _CONTAINERS[head[:4] + head[8:12]]),
    (lambda head: head[:4] == b"\x1a\x45\xdf\xa3", _find_ebml_format),
    (lambda head: head[:4] == b"OggS", _find_ogg_format),
    (lambda head: head[4:8] in (b"moov", b"mdat", b"wide"), ("video/quicktime", None)),  # from before `ftyp`
    (_is_bmp, ("image/bmp", read_bmp_size)),
    (_is_transport_stream, ("video/mp2t", None)),
    (lambda head: head[:2] in (b"\xff\xf1", b"\xff\xf9"), ("audio/aac", None)),
    (_is_mpeg_audio, ("audio/mpeg", None)),
    (lambda head: b"%PDF-" in head, ("application/pdf", None)),  # readers allow 1 KB of anything before it
)

"""What a file is, by its first bytes: kind, MIME type and, for images, the stored size.

Nothing is decoded and no imaging library is loaded; a call costs microseconds, whatever the bytes are. A
header that lies, ends early or points nowhere gives less knowledge, never an error. MIME types are those of the
vendor's page "Visual understanding" (supported image formats) where it has one, else the customary ones.

Every parser works on a *reader*, `read(at, count) -> bytes`, which may return fewer bytes. So the same code
serves the head of a file and, where the wanted bytes lie further in, the seekable file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from qwenvl_core.errors import QwenVLInputError

__all__ = [
    "HEAD_BYTES",
    "MediaInfo",
    "Reader",
    "create_file_reader",
    "iso_atoms",
    "limit_reads",
    "sniff",
    "sniff_file",
    "sniff_with",
]

HEAD_BYTES = 65536
"""How many bytes from the start `probe` should be given.

The type needs 1 KB at most; the size of a JPEG stands behind its metadata, of which one segment fills up to
64 KB, and that of a TIFF may stand at the end of the file. `sniff_file` finds both wherever they are."""

SniffedKind = Literal["image", "video", "pdf", "audio"]
Reader = Callable[[int, int], bytes]
_Size = tuple[int, int, int]  # width, height (0: unknown), orientation
_Measure = Callable[[Reader], _Size]
_Found = tuple[str | None, _Measure | None]

_MOST_BYTES = 16384  # that are read of one header: those of real files need fewer
_ENTRIES = 512  # most entries of a TIFF directory that are read; they are sorted, and ours come first
_FAR = 1 << 62  # beyond this no file can be read


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is known of some media.

    Attributes:
        kind: What it is, `None` when the bytes are of no known format.
        mime: Its MIME type.
        width: Stored width in pixels, before any rotation; known for images only.
        height: Stored height in pixels.
        orientation: EXIF orientation 1 to 8; from 5 on, the picture is shown with its sides swapped.
    """

    kind: SniffedKind | None = None
    mime: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int = 1


def sniff(head: bytes | bytearray | memoryview) -> MediaInfo:
    """What media is, by its first bytes.

    Args:
        head: The first `HEAD_BYTES` bytes, or more, or the whole file.

    Returns:
        What these bytes tell; never raises. Size is `None` where it lies behind `head`.
    """
    data = head if isinstance(head, bytes) else bytes(head)
    return sniff_with(lambda at, count: data[at : at + count])


def sniff_file(file: str | Path | BinaryIO) -> MediaInfo:
    """What a file is; like `probe`, but follows the header wherever it leads.

    Args:
        file: A path, or a seekable binary file (looked at from its start; its position is left where it was).

    Raises:
        OSError: The file can't be opened or read.
        QwenVLInputError: The file object can't seek, or was opened as text.
    """
    if isinstance(file, str | Path):
        with open(file, "rb") as opened:
            return sniff_with(create_file_reader(opened))
    if not file.seekable():
        raise QwenVLInputError("file: this file object can't seek; give its first bytes to probe() instead.")
    position = file.tell()
    try:
        return sniff_with(create_file_reader(file))
    finally:
        file.seek(position)


def create_file_reader(file: BinaryIO) -> Reader:
    """A reader of a seekable binary file.

    Raises:
        OSError: The file can't be read.
        QwenVLInputError: It was opened as text.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(4096) or b""
    if isinstance(head, str):
        raise QwenVLInputError("file: this file was opened as text; open it in binary mode.")

    def read(at: int, count: int) -> bytes:
        if at + count <= len(head):
            return head[at : at + count]
        if at >= size:  # a seek far beyond the end can fail
            return b""
        file.seek(at)
        return file.read(count) or b""

    return read


def limit_reads(read: Reader) -> Reader:
    """`read`, which finds nothing more once it has read more than a header needs.

    So no header costs more than milliseconds, however often it makes a parser look: segments and boxes are walked,
    and a walk may begin inside of each step of another.
    """
    left = _MOST_BYTES

    def sparingly(at: int, count: int) -> bytes:
        nonlocal left
        left -= count
        return read(at, count) if left >= 0 else b""

    return sparingly


def sniff_with(read: Reader) -> MediaInfo:
    """As `probe`, of what `read` reads; it raises what `read` raises."""
    head = read(0, 1024)
    mime, size = _recognise(head)
    if mime is None:
        return _NOTHING
    width, height, orientation = 0, 0, 1
    if size is not None:
        with suppress(struct.error):  # the header ends early
            width, height, orientation = size(limit_reads(read))
    known = width > 0 and height > 0
    return MediaInfo(
        "pdf" if mime == "application/pdf" else _KINDS[mime[:5]],
        mime,
        width if known else None,
        height if known else None,
        orientation if 1 <= orientation <= 8 else 1,
    )


def _recognise(head: bytes) -> _Found:
    for magic, mime, size in _MAGIC:
        if head.startswith(magic):
            return mime, size
    for fits, found in _LOOSE:
        if fits(head):
            return found(head) if callable(found) else found
    return None, None


# --- image sizes


def _jpeg(read: Reader) -> _Size:
    at, orientation = 2, 1
    while True:
        mark, code, length = struct.unpack(">BBH", read(at, 4))
        if mark != 0xFF or code in (0xD9, 0xDA):  # no marker, or the picture begins: the size did not come
            break
        if code == 0xFF:  # fill byte
            at += 1
        elif code == 0x01 or 0xD0 <= code <= 0xD8:  # markers without a length
            at += 2
        elif 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = struct.unpack(">HH", read(at + 5, 4))
            return width, height, orientation
        elif length < 2:
            break
        else:
            if code == 0xE1 and read(at + 4, 6) == b"Exif\0\0":
                orientation = _exif_orientation(read, at + 10)
            at += 2 + length
    return 0, 0, orientation


def _exif_orientation(read: Reader, at: int) -> int:
    try:
        return _tiff(lambda offset, count: read(at + offset, count))[2]
    except struct.error:
        return 1


def _tiff(read: Reader) -> _Size:
    head = read(0, 8)
    order = "<" if head[:2] == b"II" else ">"
    (version,) = struct.unpack(order + "H", head[2:4])
    if version == 43:  # BigTIFF: counts and offsets of 8 bytes
        (at,) = struct.unpack(order + "Q", read(8, 8))
        (count,), at = struct.unpack(order + "Q", read(at, 8)), at + 8
        row, values = struct.Struct(order + "HHQ8s"), {1: "B", 3: "H", 4: "I", 16: "Q"}
    else:
        (at,) = struct.unpack(order + "I", head[4:8])
        (count,), at = struct.unpack(order + "H", read(at, 2)), at + 2
        row, values = struct.Struct(order + "HHI4s"), {1: "B", 3: "H", 4: "I"}
    found = {256: 0, 257: 0, 274: 1}  # width, length, orientation
    rows = read(at, min(count, _ENTRIES) * row.size)
    for tag, kind, _, value in row.iter_unpack(rows[: len(rows) // row.size * row.size]):
        if tag in found and kind in values:
            (found[tag],) = struct.unpack_from(order + values[kind], value)
    return found[256], found[257], found[274]


def _png(read: Reader) -> _Size:
    chunk, width, height = struct.unpack(">4sII", read(12, 12))
    return (width, height, 1) if chunk == b"IHDR" else (0, 0, 1)


def _gif(read: Reader) -> _Size:
    width, height = struct.unpack("<HH", read(6, 4))
    return width, height, 1


def _bmp(read: Reader) -> _Size:
    header, width, height = struct.unpack("<Iii", read(14, 12))
    if header == 12:  # OS/2 1.x
        width, height = struct.unpack("<HH", read(18, 4))
    return width, abs(height), 1  # a negative height: rows from the top


def _webp(read: Reader) -> _Size:
    chunk, body = read(12, 4), read(20, 10)
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF, 1
    if chunk == b"VP8L" and body[:1] == b"\x2f":
        (bits,) = struct.unpack("<I", body[1:5])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 1
    if chunk == b"VP8X" and len(body) == 10:
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1, 1
    return 0, 0, 1


def _heif(read: Reader) -> _Size:
    """The largest `ispe`: a photo is a grid of tiles with sizes of their own, beside a thumbnail."""
    start, end = 0, _FAR
    for name, version in ((b"meta", 0), (b"iprp", 4), (b"ipco", 0)):  # `meta` opens with 4 bytes of version
        box = next(iso_atoms(read, start + version, end, name), None)
        if box is None:
            return 0, 0, 1
        start, end = box
    sizes = [struct.unpack(">II", read(at + 4, 8)) for at, _ in iso_atoms(read, start, end, b"ispe")]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return width, height, 1


def iso_atoms(read: Reader, at: int, end: int, wanted: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of the content of each ISO box of one type among siblings; `read` bounds how many are walked."""
    while True:
        header = read(at, 8) if at < end else b""
        if len(header) < 8:
            return
        length, name = struct.unpack(">I4s", header)
        start = at + 8
        if length == 1:
            (length,), start = struct.unpack(">Q", read(start, 8)), start + 8
        following = min(at + length, end) if length else end  # 0: up to the end
        if following < start:
            return
        if name == wanted:
            yield start, following
        at = following


# --- types

# First bytes, type, and what finds the size.
_MAGIC: tuple[tuple[bytes, str, _Measure | None], ...] = (
    (b"\xff\xd8\xff", "image/jpeg", _jpeg),
    (b"\x89PNG\r\n\x1a\n", "image/png", _png),
    (b"GIF87a", "image/gif", _gif),
    (b"GIF89a", "image/gif", _gif),
    (b"II*\0", "image/tiff", _tiff),
    (b"MM\0*", "image/tiff", _tiff),
    (b"II+\0", "image/tiff", _tiff),
    (b"MM\0+", "image/tiff", _tiff),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2", None),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl", None),
    (b"%PDF-", "application/pdf", None),
    (b"FLV\x01", "video/x-flv", None),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-wmv", None),  # ASF: audio-only files begin alike
    (b"\0\0\x01\xba", "video/mpeg", None),
    (b"\0\0\x01\xb3", "video/mpeg", None),
    (b"ID3", "audio/mpeg", None),
    (b"fLaC", "audio/flac", None),
    (b"#!AMR", "audio/amr", None),
)
_KINDS: dict[str, SniffedKind] = {"image": "image", "video": "video", "audio": "audio"}
_NOTHING = MediaInfo()

_CONTAINERS: dict[bytes, _Found] = {
    b"RIFFWEBP": ("image/webp", _webp),
    b"RIFFAVI ": ("video/x-msvideo", None),
    b"RIFFWAVE": ("audio/wav", None),
    b"FORMAIFF": ("audio/aiff", None),
    b"FORMAIFC": ("audio/aiff", None),
}

_BRANDS: dict[bytes, _Found] = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), ("image/heic", _heif)),
    **dict.fromkeys((b"avif", b"avis"), ("image/avif", _heif)),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P "), ("audio/mp4", None)),
    **dict.fromkeys((b"M4V ", b"M4VH", b"M4VP"), ("video/x-m4v", None)),
    **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6", b"3ge6", b"3gg6"), ("video/3gpp", None)),
    b"qt  ": ("video/quicktime", None),
    b"crx ": ("image/x-canon-cr3", None),
}
_GENERIC_IMAGE = (b"mif1", b"mif2", b"msf1", b"miaf")
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # lengths of the header after the file header


def _iso(head: bytes) -> _Found:
    """By the main brand; an image's may be generic, so its compatible brands are looked at as well."""
    major, end = head[8:12], min(int.from_bytes(head[:4], "big"), 256)
    if major in _GENERIC_IMAGE:
        compatible = (head[at : at + 4] for at in range(16, end, 4))
        return next((_BRANDS[brand] for brand in compatible if brand in _BRANDS), ("image/heif", _heif))
    return _BRANDS.get(major, ("video/mp4", None))


def _ebml(head: bytes) -> _Found:
    at = head.find(b"\x42\x82", 4, 128)  # DocType, then one byte of length
    return ("video/webm" if at > 0 and head[at + 3 : at + 7] == b"webm" else "video/x-matroska"), None


def _ogg(head: bytes) -> _Found:
    return ("video/ogg" if b"theora" in head[28:40] else "audio/ogg"), None


def _is_bmp(head: bytes) -> bool:
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS


def _is_transport_stream(head: bytes) -> bool:
    """A sync byte per packet of 188 bytes, or of 192 with a time stamp of 4 before it."""
    return head[:377:188] == b"GGG" or head[4:389:192] == b"GGG"


def _is_mpeg_audio(head: bytes) -> bool:
    """A frame header of layer II or III. Layer I is left out: so begins text in UTF-16."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    return head[1] & 0x06 in (2, 4) and head[1] & 0x18 != 8 and head[2] >> 4 != 15 and head[2] & 12 != 12


# What more than the first bytes tells, the surer tests first.
_LOOSE: tuple[tuple[Callable[[bytes], bool], _Found | Callable[[bytes], _Found]], ...] = (
    (lambda head: head[4:8] == b"ftyp", _iso),
    (lambda head: head[:4] + head[8:12] in _CONTAINERS, lambda head: _CONTAINERS[head[:4] + head[8:12]]),
    (lambda head: head[:4] == b"\x1a\x45\xdf\xa3", _ebml),
    (lambda head: head[:4] == b"OggS", _ogg),
    (lambda head: head[4:8] in (b"moov", b"mdat", b"wide"), ("video/quicktime", None)),  # from before `ftyp`
    (_is_bmp, ("image/bmp", _bmp)),
    (_is_transport_stream, ("video/mp2t", None)),
    (lambda head: head[:2] in (b"\xff\xf1", b"\xff\xf9"), ("audio/aac", None)),
    (_is_mpeg_audio, ("audio/mpeg", None)),
    (lambda head: b"%PDF-" in head, ("application/pdf", None)),  # readers allow 1 KB of anything before it
)

"""Read the size and orientation of an image from its header, without decoding it.

A function here takes a limited reader and returns width, height and EXIF orientation; width and height are 0 where
the header does not tell them. It raises `struct.error` where the header ends early.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from qwenvl_core.media.byte_reader import END_OF_FILE, Reader, find_atoms

Size = tuple[int, int, int]
"""Width and height in pixels (0: unknown), and EXIF orientation."""
SizeReader = Callable[[Reader], Size]

_MAX_TIFF_ENTRIES = 512  # of a directory that are read; entries are sorted, and the needed ones come first


def read_jpeg_size(read: Reader) -> Size:
    """Read the size of a JPEG from its start-of-frame segment, and the orientation from EXIF metadata before it."""
    offset, orientation = 2, 1
    while True:
        mark, code, length = struct.unpack(">BBH", read(offset, 4))
        if mark != 0xFF or code in (0xD9, 0xDA):  # not a marker, or the image data start: there is no size
            break
        if code == 0xFF:  # fill byte
            offset += 1
        elif code == 0x01 or 0xD0 <= code <= 0xD8:  # markers without a length
            offset += 2
        elif 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = struct.unpack(">HH", read(offset + 5, 4))
            return width, height, orientation
        elif length < 2:
            break
        else:
            if code == 0xE1 and read(offset + 4, 6) == b"Exif\0\0":
                orientation = _read_exif_orientation(read, offset + 10)
            offset += 2 + length
    return 0, 0, orientation


def _read_exif_orientation(read: Reader, start: int) -> int:
    try:
        return read_tiff_size(lambda offset, count: read(start + offset, count))[2]
    except struct.error:
        return 1


def read_tiff_size(read: Reader) -> Size:
    """Read the size of a TIFF or BigTIFF from its first directory."""
    head = read(0, 8)
    order = "<" if head[:2] == b"II" else ">"
    (version,) = struct.unpack(order + "H", head[2:4])
    if version == 43:  # BigTIFF: counts and offsets of 8 bytes
        (offset,) = struct.unpack(order + "Q", read(8, 8))
        (count,), offset = struct.unpack(order + "Q", read(offset, 8)), offset + 8
        entry, formats = struct.Struct(order + "HHQ8s"), {1: "B", 3: "H", 4: "I", 16: "Q"}
    else:
        (offset,) = struct.unpack(order + "I", head[4:8])
        (count,), offset = struct.unpack(order + "H", read(offset, 2)), offset + 2
        entry, formats = struct.Struct(order + "HHI4s"), {1: "B", 3: "H", 4: "I"}
    values = {256: 0, 257: 0, 274: 1}  # width, length, orientation
    directory = read(offset, min(count, _MAX_TIFF_ENTRIES) * entry.size)
    for tag, kind, _, value in entry.iter_unpack(directory[: len(directory) // entry.size * entry.size]):
        if tag in values and kind in formats:
            (values[tag],) = struct.unpack_from(order + formats[kind], value)
    return values[256], values[257], values[274]


def read_png_size(read: Reader) -> Size:
    """Read the size of a PNG from its IHDR chunk."""
    chunk, width, height = struct.unpack(">4sII", read(12, 12))
    return (width, height, 1) if chunk == b"IHDR" else (0, 0, 1)


def read_gif_size(read: Reader) -> Size:
    """Read the size of a GIF from its screen descriptor."""
    width, height = struct.unpack("<HH", read(6, 4))
    return width, height, 1


def read_bmp_size(read: Reader) -> Size:
    """Read the size of a BMP; its height is negative where the rows start at the top."""
    header, width, height = struct.unpack("<Iii", read(14, 12))
    if header == 12:  # OS/2 1.x
        width, height = struct.unpack("<HH", read(18, 4))
    return width, abs(height), 1


def read_webp_size(read: Reader) -> Size:
    """Read the size of a WebP from its lossy, lossless or extended header."""
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


def read_heif_size(read: Reader) -> Size:
    """Read the size of a HEIF from its largest `ispe`: a photo is a grid of smaller tiles, with a thumbnail."""
    start, end = 0, END_OF_FILE
    for name, skipped in ((b"meta", 0), (b"iprp", 4), (b"ipco", 0)):  # the content of `meta` starts with its version
        atom = next(find_atoms(read, start + skipped, end, name), None)
        if atom is None:
            return 0, 0, 1
        start, end = atom
    sizes = [struct.unpack(">II", read(offset + 4, 8)) for offset, _ in find_atoms(read, start, end, b"ispe")]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return width, height, 1

"""Build small media files: header-only files of any size or duration, and real images."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from functools import cache

from PIL import Image

MP4_HEAD = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00" * 64
"""Start of an MP4 file: its type is recognized, but it has no size or duration."""


# --- files that consist of a header; they cannot be decoded -----------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    """Build the header of a PNG."""
    head = struct.pack(">4sIIBBBBB", b"IHDR", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def jpeg_header(width: int, height: int) -> bytes:
    """Build a JPEG with an APP0 segment and a frame header."""
    frame = struct.pack(">BBHBHHB", 0xFF, 0xC0, 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + bytes(9) + frame + b"\xff\xd9"


def gif_header(width: int, height: int) -> bytes:
    """Build the header of a GIF."""
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(8)


def bmp_header(width: int, height: int) -> bytes:
    """Build the header of a BMP."""
    return b"BM" + bytes(12) + struct.pack("<IiiHH", 40, width, height, 1, 24) + bytes(24)


def tiff_header(width: int, height: int) -> bytes:
    """Build a TIFF with the tags of width and height."""
    tags = struct.pack("<HHII", 256, 4, 1, width) + struct.pack("<HHII", 257, 4, 1, height)
    return b"II*\0" + struct.pack("<IH", 8, 2) + tags + bytes(4)


def webp_header(width: int, height: int) -> bytes:
    """Build the header of an extended WebP."""
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBP" + body + (height - 1).to_bytes(3, "little")


def heic_header(width: int, height: int, brand: bytes = b"heic") -> bytes:
    """Build a HEIF file with the size of its image."""
    ispe = iso_atom(b"ispe", bytes(4) + struct.pack(">II", width, height))
    meta = iso_atom(b"meta", bytes(4) + iso_atom(b"iprp", iso_atom(b"ipco", ispe)))
    return iso_atom(b"ftyp", brand + bytes(4) + brand) + meta


def avif_header(width: int, height: int) -> bytes:
    """Build an AVIF file with the size of its image."""
    return heic_header(width, height, b"avif")


def mp4_header(
    seconds: float, *, fps: float = 30, width: int = 640, height: int = 360, wide: bool = False, first: bool = False
) -> bytes:
    """Build an MP4 with a sound track, a video track and empty media data.

    Args:
        seconds: Duration.
        fps: Frame rate.
        width: Width in pixels.
        height: Height in pixels.
        wide: Whether to use the 64-bit fields of the atoms.
        first: Whether the header precedes the media data.
    """
    scale = 1000
    length = round(seconds * scale)
    times = struct.pack(">QQIQ", 0, 0, scale, length) if wide else struct.pack(">IIII", 0, 0, scale, length)
    head = bytes([wide, 0, 0, 0]) + times
    sound = iso_atom(b"trak", iso_atom(b"mdia", iso_atom(b"hdlr", bytes(8) + b"soun" + bytes(12))))
    sizes = iso_atom(b"stsz", bytes(8) + struct.pack(">I", round(seconds * fps)))
    handler = iso_atom(b"hdlr", bytes(8) + b"vide" + bytes(12))
    media = iso_atom(b"mdhd", head) + handler + iso_atom(b"minf", iso_atom(b"stbl", sizes))
    sides = iso_atom(b"tkhd", bytes(76) + struct.pack(">II", width << 16, height << 16))
    moov = iso_atom(b"moov", iso_atom(b"mvhd", head) + sound + iso_atom(b"trak", sides + iso_atom(b"mdia", media)))
    data = iso_atom(b"mdat", bytes(50_000))
    return iso_atom(b"ftyp", b"isom" + bytes(4) + b"isom") + (moov + data if first else data + moov)


def avi_header(seconds: float, *, fps: float = 25, width: int = 640, height: int = 360) -> bytes:
    """Build the header of an AVI."""
    head = struct.pack("<10I", round(1e6 / fps), 0, 0, 0, round(seconds * fps), 0, 1, 0, width, height) + bytes(16)
    return b"RIFF" + bytes(4) + b"AVI LIST" + bytes(4) + b"hdrlavih" + struct.pack("<I", 56) + head


def iso_atom(name: bytes, body: bytes) -> bytes:
    """Build an atom ("box") of an ISO base media file."""
    return struct.pack(">I4s", len(body) + 8, name) + body


# --- real images ------------------------------------------------------------------------------------------------------


def grey_png(width: int = 32, height: int = 32, grey: int = 0, *, padding: int = 0) -> bytes:
    """Encode a PNG of one grey level (0 to 255) without Pillow, followed by `padding` zero bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (b"\0" + bytes([grey]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks + bytes(padding)


@cache
def solid_image(color: str = "red", kind: str = "PNG", size: tuple[int, int] = (32, 20)) -> bytes:
    """Encode an image of one color with Pillow."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, kind)
    return buffer.getvalue()


def data_uri(data: bytes, mime: str = "image/png") -> str:
    """Encode data as a data URI, in the form that the adapters send."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


# Former names, for the tests that still use them.
png, jpeg, gif, bmp, tiff = png_header, jpeg_header, gif_header, bmp_header, tiff_header
webp, heic, avif, mp4, avi, box = webp_header, heic_header, avif_header, mp4_header, avi_header, iso_atom

"""Media that are nothing but a header: any size or duration, a few bytes. Nobody here decodes them."""

from __future__ import annotations

import struct
import zlib


def png(width: int, height: int) -> bytes:
    head = struct.pack(">4sIIBBBBB", b"IHDR", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def jpeg(width: int, height: int) -> bytes:
    frame = struct.pack(">BBHBHHB", 0xFF, 0xC0, 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + bytes(9) + frame + b"\xff\xd9"


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(8)


def bmp(width: int, height: int) -> bytes:
    return b"BM" + bytes(12) + struct.pack("<IiiHH", 40, width, height, 1, 24) + bytes(24)


def tiff(width: int, height: int) -> bytes:
    rows = struct.pack("<HHII", 256, 4, 1, width) + struct.pack("<HHII", 257, 4, 1, height)
    return b"II*\0" + struct.pack("<IH", 8, 2) + rows + bytes(4)


def webp(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBP" + body + (height - 1).to_bytes(3, "little")


def heic(width: int, height: int, brand: bytes = b"heic") -> bytes:
    ispe = box(b"ispe", bytes(4) + struct.pack(">II", width, height))
    meta = box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", ispe)))
    return box(b"ftyp", brand + bytes(4) + brand) + meta


def avif(width: int, height: int) -> bytes:
    return heic(width, height, b"avif")


def mp4(
    seconds: float, *, fps: float = 30, width: int = 640, height: int = 360, wide: bool = False, first: bool = False
) -> bytes:
    """A film; `wide` takes the boxes' 64-bit fields, `first` puts the header before the pictures."""
    scale = 1000
    length = round(seconds * scale)
    clock = struct.pack(">QQIQ", 0, 0, scale, length) if wide else struct.pack(">IIII", 0, 0, scale, length)
    head = bytes([wide, 0, 0, 0]) + clock
    sound = box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + b"soun" + bytes(12))))
    sizes = box(b"stsz", bytes(8) + struct.pack(">I", round(seconds * fps)))
    media = box(b"mdhd", head) + box(b"hdlr", bytes(8) + b"vide" + bytes(12)) + box(b"minf", box(b"stbl", sizes))
    sides = box(b"tkhd", bytes(76) + struct.pack(">II", width << 16, height << 16))
    moov = box(b"moov", box(b"mvhd", head) + sound + box(b"trak", sides + box(b"mdia", media)))
    pictures = box(b"mdat", bytes(50_000))
    return box(b"ftyp", b"isom" + bytes(4) + b"isom") + (moov + pictures if first else pictures + moov)


def avi(seconds: float, *, fps: float = 25, width: int = 640, height: int = 360) -> bytes:
    head = struct.pack("<10I", round(1e6 / fps), 0, 0, 0, round(seconds * fps), 0, 1, 0, width, height) + bytes(16)
    return b"RIFF" + bytes(4) + b"AVI LIST" + bytes(4) + b"hdrlavih" + struct.pack("<I", 56) + head


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, name) + body

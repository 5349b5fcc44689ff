"""Types of media and sizes of images from their first bytes."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.byte_reader import Reader
from qwenvl_core.media.sniffing import HEAD_BYTES, MediaInfo, sniff, sniff_file, sniff_with
from qwenvl_core.media.video_header import read_video_header

SIZES = [(1, 1), (11, 200), (321, 123), (4032, 3024)]

FORMATS: list[tuple[str, str, dict[str, Any]]] = [
    ("JPEG", "image/jpeg", {}),
    ("JPEG", "image/jpeg", {"progressive": True}),
    ("PNG", "image/png", {}),
    ("GIF", "image/gif", {}),
    ("BMP", "image/bmp", {}),
    ("TIFF", "image/tiff", {}),
    ("TIFF", "image/tiff", {"big_tiff": True}),
    ("TIFF", "image/tiff", {"compression": "tiff_deflate"}),  # its directory is at the end
    ("WEBP", "image/webp", {}),
    ("WEBP", "image/webp", {"lossless": True}),
    ("WEBP", "image/webp", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}),  # VP8X
]


def create_image(size: tuple[int, int], form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("form", "mime", "options"), FORMATS)
def test_sniff_reads_the_size_that_pillow_wrote(
    form: str, mime: str, options: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    data = create_image(size, form, **options)
    expected = MediaInfo("image", mime, *size)
    assert sniff(data) == expected
    assert sniff(bytearray(data)) == expected
    assert sniff(memoryview(data)) == expected
    assert sniff_file(io.BytesIO(data)) == expected
    path = tmp_path / "image"
    path.write_bytes(data)
    assert sniff_file(path) == sniff_file(str(path)) == expected


def test_sniff_file_finds_a_size_behind_the_head() -> None:
    metadata = b"".join(b"\xff\xe2\xff\xff" + bytes(65_533) for _ in range(3))  # three full segments
    plain = create_image((640, 480), "JPEG")
    data = plain[:2] + metadata + plain[2:]
    assert sniff(data[:HEAD_BYTES]) == MediaInfo("image", "image/jpeg")
    assert sniff(data) == sniff_file(io.BytesIO(data)) == MediaInfo("image", "image/jpeg", 640, 480)


def test_head_holds_one_full_metadata_segment() -> None:
    plain = create_image((640, 480), "JPEG")
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", 60_000) + bytes(59_998) + plain[2:]
    assert sniff(data[:HEAD_BYTES]).width == 640


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sniff_reads_the_exif_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = create_image((40, 20), "JPEG", exif=exif)
    assert sniff(data) == MediaInfo("image", "image/jpeg", 40, 20, orientation)
    assert sniff(create_image((40, 20), "TIFF", tiffinfo={0x0112: orientation})).orientation == orientation


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_invalid_orientation_is_read_as_upright(orientation: int) -> None:
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    plain = create_image((40, 20), "JPEG")
    assert sniff(plain[:2] + segment + plain[2:]) == MediaInfo("image", "image/jpeg", 40, 20, 1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_either_byte_order_with_short_and_long_values(order: str) -> None:
    magic = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHII", 256, 4, 1, 70_000) + struct.pack(order + "HHIHH", 257, 3, 1, 300, 0)
    data = magic + struct.pack(order + "IH", 8, 2) + entries
    assert sniff(data) == MediaInfo("image", "image/tiff", 70_000, 300)


def test_bmp_header_variants_are_read() -> None:
    file_header = b"BM" + bytes(12)
    os2 = file_header + struct.pack("<IHHHH", 12, 300, 200, 1, 24)
    top_down = file_header + struct.pack("<Iii", 40, 300, -200)
    v5 = file_header + struct.pack("<Iii", 124, 300, 200)
    for data in (os2, top_down, v5):
        assert sniff(data) == MediaInfo("image", "image/bmp", 300, 200)
    assert sniff(b"BMW makes cars, and this is a text") == MediaInfo()


def create_box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def create_heif(major: bytes, compatible: bytes, *sizes: tuple[int, int]) -> bytes:
    ispe = b"".join(create_box(b"ispe", struct.pack(">III", 0, *size)) for size in sizes)
    properties = create_box(
        b"iprp", create_box(b"ipco", create_box(b"hvcC", bytes(20)) + ispe) + create_box(b"ipma", bytes(9))
    )
    meta = create_box(b"meta", bytes(4) + create_box(b"hdlr", bytes(24)) + properties)
    return create_box(b"ftyp", major + bytes(4) + compatible) + meta + create_box(b"mdat", bytes(50))


@pytest.mark.parametrize(
    ("major", "compatible", "mime"),
    [
        (b"heic", b"mif1heic", "image/heic"),
        (b"heix", b"mif1", "image/heic"),
        (b"mif1", b"mif1heic", "image/heic"),
        (b"mif1", b"mif1avif", "image/avif"),
        (b"avif", b"mif1miaf", "image/avif"),
        (b"mif1", b"mif1", "image/heif"),
    ],
)
def test_heif_size_is_the_size_of_the_whole_image(major: bytes, compatible: bytes, mime: str) -> None:
    data = create_heif(major, compatible, (512, 512), (4032, 3024), (320, 240))
    assert sniff(data) == MediaInfo("image", mime, 4032, 3024)


def test_sniff_file_finds_a_heif_index_behind_the_data() -> None:
    whole = create_heif(b"heic", b"mif1", (800, 600))
    start = whole.index(b"meta") - 4
    far = whole[:start] + struct.pack(">I4sQ", 1, b"mdat", 16 + 300_000) + bytes(300_000) + whole[start:]
    assert sniff(far[:HEAD_BYTES]) == MediaInfo("image", "image/heic")
    assert sniff_file(io.BytesIO(far)) == MediaInfo("image", "image/heic", 800, 600)


PACKETS = (b"\x47" + bytes(187)) * 4

OTHER_MEDIA = [
    (create_box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41"), "video", "video/mp4"),
    (create_box(b"ftyp", b"mp42\0\0\0\0mp42"), "video", "video/mp4"),
    (create_box(b"ftyp", b"qt  \0\0\0\0qt  "), "video", "video/quicktime"),
    (create_box(b"moov", bytes(40)), "video", "video/quicktime"),
    (create_box(b"ftyp", b"M4V \0\0\0\0mp42"), "video", "video/x-m4v"),
    (create_box(b"ftyp", b"3gp5\0\0\0\0"), "video", "video/3gpp"),
    (b"RIFF\x24\0\0\0AVI LIST", "video", "video/x-msvideo"),
    (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm\x42\x87", "video", "video/webm"),
    (b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\1\x42\x82\x88matroska\x42\x87", "video", "video/x-matroska"),
    (b"FLV\x01\x05\0\0\0\x09", "video", "video/x-flv"),
    (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "video", "video/x-ms-wmv"),
    (b"\0\0\x01\xba\x44\0\x04", "video", "video/mpeg"),
    (PACKETS, "video", "video/mp2t"),
    ((bytes(4) + PACKETS[:188]) * 4, "video", "video/mp2t"),
    (b"OggS\0\2" + bytes(22) + b"\x80theora", "video", "video/ogg"),
    (b"%PDF-1.7\n%\xe2\xe3", "pdf", "application/pdf"),
    (b"\xef\xbb\xbf \n%PDF-1.4\n", "pdf", "application/pdf"),
    (b"RIFF\x24\0\0\0WAVEfmt ", "audio", "audio/wav"),
    (b"ID3\x04\0\0\0\0\0\x23", "audio", "audio/mpeg"),
    (b"\xff\xfb\x90\x64\0", "audio", "audio/mpeg"),
    (b"\xff\xf1\x50\x80\x02", "audio", "audio/aac"),
    (b"fLaC\0\0\0\x22", "audio", "audio/flac"),
    (b"OggS\0\2" + bytes(22) + b"\x01vorbis", "audio", "audio/ogg"),
    (create_box(b"ftyp", b"M4A \0\0\0\0M4A mp42"), "audio", "audio/mp4"),
]


@pytest.mark.parametrize(("data", "kind", "mime"), OTHER_MEDIA)
def test_sniff_recognizes_other_media(data: bytes, kind: str, mime: str) -> None:
    expected = MediaInfo(kind, mime)  # type: ignore[arg-type]
    assert sniff(data) == expected
    assert sniff_file(io.BytesIO(data)) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"plain text about nothing",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "text in UTF-16, with its byte order mark".encode("utf-16"),
        b"PK\x03\x04\x14\0\x06\0",
        b"GGGGGG",
        bytes(4096),
    ],
)
def test_unknown_bytes_have_no_type(data: bytes) -> None:
    assert sniff(data) == MediaInfo()


@pytest.mark.parametrize(("form", "mime", "options"), FORMATS)
def test_truncated_header_gives_the_type_without_a_wrong_size(form: str, mime: str, options: dict[str, Any]) -> None:
    data = create_image((321, 123), form, **options)
    for end in range(min(len(data), 2000)):
        info = sniff(data[:end])
        assert info.mime in (mime, None)
        assert (info.width, info.height) in ((321, 123), (None, None))


def test_image_without_area_has_no_size() -> None:
    png = bytearray(create_image((10, 10), "PNG"))
    png[16:20] = bytes(4)
    assert sniff(png) == MediaInfo("image", "image/png")


SEEDS = [create_image((33, 22), form, **options) for form, _, options in FORMATS]
SEEDS += [data for data, _, _ in OTHER_MEDIA] + [create_heif(b"heic", b"mif1", (8, 9))]


@example(b"\xff\xd8" + b"\xff" * 70_000, [])
@example(b"\xff\xd8\xff\xe1" + b"\xff\xe1\0\x02" * 20_000, [])
@example(b"II+\0\x08\0\0\0" + b"\xff" * 100, [])
@example(b"MM\0*\xff\xff\xff\xff" + b"\xff" * 100, [])
@example(create_box(b"ftyp", b"heic") + (b"\0\0\0\x01meta" + b"\xff" * 8) * 3000, [])
@example(create_box(b"ftyp", b"heic") + create_box(b"meta", bytes(4) + b"\0\0\0\x08free" * 5000), [])
@given(
    st.sampled_from(SEEDS) | st.binary(max_size=200),
    st.lists(st.tuples(st.integers(0, 120), st.sampled_from([0, 1, 2, 8, 127, 128, 255]) | st.integers(0, 255))),
)
def test_broken_header_neither_raises_nor_loops(data: bytes, changes: list[tuple[int, int]]) -> None:
    broken = bytearray(data)
    for index, value in changes:
        if index < len(broken):
            broken[index] = value
    start = time.process_time()
    info = sniff(bytes(broken))
    assert sniff_file(io.BytesIO(broken)) == info
    assert time.process_time() - start < 0.1
    assert (info.width is None) == (info.height is None)
    assert 1 <= info.orientation <= 8
    assert (info.kind is None) == (info.mime is None)


FREE = create_box(b"free", b"") * 1000
DIRECTORY = struct.pack(">HHHII", 512, 270, 2, 1, 1) + bytes(12 * 511)  # 512 entries


def create_jpeg_with_exif_segments(count: int) -> bytes:
    """Create a JPEG with EXIF segments that all point to one large directory behind them."""
    directory = 2 + 18 * count
    offsets = (directory - (12 + 18 * index) for index in range(count))
    segments = (struct.pack(">HH6s4sI", 0xFFE1, 16, b"Exif", b"MM\0*", offset) for offset in offsets)
    return b"\xff\xd8" + b"".join(segments) + DIRECTORY


@pytest.mark.parametrize(
    "data",
    [
        create_box(b"ftyp", b"isom") + create_box(b"moov", create_box(b"trak", FREE) * 50),
        create_box(b"ftyp", b"isom") + create_box(b"moov", create_box(b"trak", create_box(b"mdia", FREE)) * 50),
        create_jpeg_with_exif_segments(1000),
    ],
    ids=["tracks", "media", "exif"],
)
@pytest.mark.parametrize("parse", [sniff_with, read_video_header])
def test_nested_walks_are_bounded(data: bytes, parse: Callable[[Reader], object]) -> None:
    counts: list[int] = []

    def read(offset: int, count: int) -> bytes:
        counts.append(count)
        return data[offset : offset + count]

    parse(read)
    assert len(counts) < 3000
    assert sum(counts) < 20_000


def test_offset_behind_any_file_gives_no_size(tmp_path: Path) -> None:
    path = tmp_path / "far.tif"
    for offset in (2**40, 2**62, 2**64 - 1):
        path.write_bytes(struct.pack("<2sHHHQ", b"II", 43, 8, 0, offset) + bytes(5000))
        assert sniff_file(path) == MediaInfo("image", "image/tiff")


def test_sniff_file_restores_the_position() -> None:
    file = io.BytesIO(create_image((30, 20), "TIFF", compression="tiff_deflate"))
    file.seek(17)
    assert sniff_file(file).width == 30
    assert file.tell() == 17


def test_unreadable_file_raises(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        def seekable(self) -> bool:
            return False

    with pytest.raises(QwenVLInputError, match="seek"):
        sniff_file(Pipe())  # type: ignore[arg-type]
    with pytest.raises(QwenVLInputError, match="binary"):
        sniff_file(io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        sniff_file(tmp_path / "missing.png")


def test_sniff_takes_microseconds() -> None:
    for data in SEEDS:
        start = time.process_time()
        for _ in range(500):
            sniff(data)
        assert (time.process_time() - start) / 500 < 100e-6  # measured: 2 to 15 µs

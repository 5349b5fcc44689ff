"""Tests of TIFFs and of images with non-square pixels: faxes, thumbnails, masks, 12-bit scans, cut and large files."""

from __future__ import annotations

import io
import struct
import time
from typing import Any

import pytest
from PIL import Image

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.tiff_frames import find_tiff_frames
from qwenvl_core.rendering.open import open_pages
from qwenvl_core.rendering.page_size import PageExtent
from tests.core.rendering.helpers import BLACK, FIT, WHITE, decode_page, encode, is_close, measure_extent
from tests.core.rendering.scan_samples import draw_page, jpeg_with_density, tiff
from tests.support.scanned_pages import scan


def measure(data: bytes, number: int = 1) -> PageExtent:
    with open_pages(data) as pages:
        return measure_extent(pages, number)


def size_of(data: bytes, number: int = 1) -> tuple[float, float]:
    extent = measure(data, number)
    return extent.width, extent.height


# --- Non-square pixels ---


@pytest.mark.parametrize(
    ("dpi", "size"),
    [
        ((204, 98), (864, 1145)), ((204, 391), (1656, 550)), ((204, 196), (864, 572)), ((98, 204), (1799, 550)),
        ((200, 200), (864, 550)), ((0, 98), (864, 550)), ((1, 1), (864, 550)), ((200, 199), (864, 550)),
        ((300, 30), (864, 550)), ((204, 49), (864, 2290)), ((72, 73), (864, 550)), ((100, 102), (864, 550)),
        ((100, 103), (890, 550)),
    ],
)  # fmt: skip
def test_fax_has_square_pixels(dpi: tuple[int, int], size: tuple[int, int]) -> None:
    page = draw_page((864, 550))
    assert size_of(encode(page, "TIFF", dpi=dpi)) == size
    assert size_of(encode(page.convert("1"), "TIFF", dpi=dpi, compression="group4")) == size


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_fax_with_orientation_has_square_pixels(orientation: int) -> None:
    data = encode(draw_page((864, 550)), "TIFF", dpi=(204, 98), tiffinfo={274: orientation})
    size = (864, 1145)
    for _ in range(2):  # decoding a frame drops its orientation
        assert size_of(data) == (size if orientation < 5 else size[::-1])
    with open_pages(data) as pages:
        first, second = (pages.render(1, FIT).size for _ in range(2))
    assert first == second


def test_frames_have_their_own_resolution() -> None:
    page = draw_page((200, 100))
    data = tiff([page] * 3, [{282: 204.0, 283: 98.0, 296: 2}, {}, {282: 2.0, 283: 1.0, 296: 1}])
    assert [size_of(data, number) for number in (1, 2, 3)] == [(200, 208), (200, 100), (200, 200)]


@pytest.mark.parametrize(
    ("density", "unit", "size"),
    [
        ((1, 2), 0, (400, 100)), ((200, 100), 1, (200, 200)), ((100, 200), 2, (400, 100)), ((0, 0), 0, (200, 100)),
        ((1, 0), 1, (200, 100)), ((65535, 1), 0, (200, 100)), ((72, 72), 1, (200, 100)),
    ],
)  # fmt: skip
def test_jpeg_density_is_applied(density: tuple[int, int], unit: int, size: tuple[int, int]) -> None:
    assert size_of(jpeg_with_density((200, 100), density, unit)) == size


def test_png_resolution_is_applied_before_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(draw_page((200, 100)), "PNG", dpi=(200, 100), exif=exif)
    assert size_of(data) == (200, 200)
    assert measure(data).units_per_inch == pytest.approx(200, abs=0.1)
    page = decode_page(data)
    assert is_close(page.getpixel((page.width * 3 // 4, page.height // 4)), BLACK)
    assert is_close(page.getpixel((page.width // 4, page.height * 3 // 4)), WHITE)


# --- Frames that are no pages ---

FULL, SMALL = Image.new("L", (640, 480), 255), Image.new("L", (64, 48), 0)


@pytest.mark.parametrize(
    ("tags", "pages"),
    [
        ([{254: 0}, {254: 1}, {254: 4}, {254: 2}], [0, 3]),
        ([{254: 1}, {254: 0}, {254: 5}, {254: 3}], [1]),
        ([{255: 1}, {255: 2}, {255: 3}, {255: 2}], [0, 2]),
        ([{}, {}, {}, {}], [0, 1, 2, 3]),
        ([{254: 1}] * 4, [0, 1, 2, 3]),
    ],
)
def test_thumbnails_and_masks_are_not_pages(tags: list[dict[int, Any]], pages: list[int]) -> None:
    sizes = [(640 + 32 * index, 480) for index in range(4)]
    data = tiff([FULL.resize(size) for size in sizes], tags)
    with open_pages(data) as opened:
        assert [opened.size(number, FIT) for number in range(1, opened.count + 1)] == [sizes[index] for index in pages]


def test_thumbnail_before_single_page_is_passed_over() -> None:
    data = tiff([SMALL, FULL], [{254: 1}, {254: 0}])
    with open_pages(data) as pages:
        assert pages.count == 1
        for _ in range(2):
            assert is_close(pages.render(1, FIT).convert("L").getpixel((5, 5)), WHITE)


# --- Values of more than 8 bits ---


@pytest.mark.parametrize(("bits", "value"), [(10, 1023), (12, 4095), (14, 16383), (16, 65535)])
@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_scan_of_some_bits_in_16_uses_full_range(bits: int, value: int, kind: str) -> None:
    rows = struct.pack("<64H", *[value // 2] * 32, *[value] * 32) * 64
    image = Image.frombytes("I;16", (64, 64), rows)
    page = decode_page(encode(image, kind)).convert("L")
    assert is_close(page.getpixel((60, 30)), WHITE)
    assert is_close(page.getpixel((4, 30)), 128)


def test_16_bit_scan_with_white_as_zero_is_inverted() -> None:
    page = decode_page(encode(Image.new("I;16", (64, 64), 0), "TIFF", tiffinfo={262: 0}))
    assert is_close(page.convert("L").getpixel((30, 30)), WHITE)


def test_signed_16_bit_scan_uses_full_range() -> None:
    rows = struct.pack("<h", 32767) * 64 * 64
    data = encode(Image.frombytes("I;16", (64, 64), rows), "TIFF", tiffinfo={339: 2})
    assert is_close(decode_page(data).convert("L").getpixel((30, 30)), WHITE)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colours_in_separate_planes_keep_their_values(order: str) -> None:
    """Pillow reads the bytes of uncompressed planes as 8-bit values."""
    planes = b"".join(struct.pack(f"{order}H", value) * 64 * 64 for value in (65535, 32768, 0))
    entries = [
        (256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 3, 208),
        (277, 3, 1, 3), (278, 4, 1, 64), (279, 4, 3, 220), (284, 3, 1, 2),
    ]  # fmt: skip
    shorts = "HHIH2x"  # a value of one short stands at the start of its field
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(
        struct.pack(order + (shorts if kind == 3 and count == 1 else "HHII"), tag, kind, count, value)
        for tag, kind, count, value in entries
    )
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8) + directory + bytes(4)
    data = head.ljust(200, b"\0") + struct.pack(f"{order}3H2x", 16, 16, 16)
    data += struct.pack(f"{order}3I", *range(256, 256 + 3 * 8192, 8192)) + struct.pack(f"{order}3I", *[8192] * 3)
    for _ in range(2):
        assert is_close(decode_page(data.ljust(256, b"\0") + planes).getpixel((30, 30)), 255, 128, 0)


def test_12_bit_colours_in_16_use_full_range() -> None:
    rows = struct.pack("<3H", 4095, 2048, 0) * 64 * 64
    entries = [
        (256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 256),
        (277, 3, 1, 3), (278, 4, 1, 64), (279, 4, 1, len(rows)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    head = (b"II*\0" + struct.pack("<I", 8) + directory).ljust(200, b"\0") + struct.pack("<3H", 16, 16, 16)
    page = decode_page(head.ljust(256, b"\0") + rows)
    assert is_close(page.getpixel((30, 30)), 255, 128, 0)


# --- Files that were cut off, or are too large ---


def test_cut_tiff_has_its_first_pages_and_warning() -> None:
    whole = tiff([FULL, FULL, FULL], [{}, {}, {}])
    with open_pages(whole[: len(whole) // 2]) as pages:
        assert 1 <= pages.count < 3
        assert pages.warnings == ("the TIFF ends early, and pages may be missing",)
        assert pages.render(1, FIT).size == (640, 480)


def test_image_above_limit_raises_error_that_names_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiff([FULL, FULL.resize((6400, 4800))], [{}, {}])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 640 * 480)
    with open_pages(data) as pages:
        assert pages.render(1, FIT).size == (640, 480)
        with pytest.raises(QwenVLInputError, match=r"6400 x 4800 .*split it into tiles.*MAX_IMAGE_PIXELS"):
            pages.render(2, FIT)
    with pytest.raises(QwenVLInputError, match="split it into tiles"):
        open_pages(encode(FULL.resize((6400, 4800)), "TIFF"))


# --- Directories ---


def chain(count: int, *, loops_to: int = 0) -> bytes:
    """Write a TIFF of empty directories, each six bytes long."""
    data = bytearray(b"II*\0" + struct.pack("<I", 8))
    for index in range(count):
        following = 8 + 6 * (index + 1) if index < count - 1 else loops_to
        data += struct.pack("<HI", 0, following)
    return bytes(data)


def find(data: bytes) -> tuple[int, bool]:
    frames = find_tiff_frames(lambda offset, count: data[offset : offset + count])
    return len(frames.pages), frames.is_complete


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", (1, False)), (b"II*\0", (1, False)), (b"II*\0\xff\xff\xff\xff", (1, False)), (chain(1), (1, True)),
        (chain(5), (5, True)), (chain(5)[:-8], (3, False)), (chain(5, loops_to=8), (5, True)),
        (b"MM\0*" + struct.pack(">IHI", 8, 0, 0), (1, True)),
        (b"II+\0\x08\0\0\0" + struct.pack("<QQQ", 16, 0, 32) + struct.pack("<QQ", 0, 0), (2, True)),
    ],
)  # fmt: skip
def test_find_tiff_frames_of_broken_files_never_raises(data: bytes, expected: tuple[int, bool]) -> None:
    assert find(data) == expected


def test_tiff_of_endless_directories_is_rejected_in_time() -> None:
    endless = chain(200_000)
    start = time.process_time()
    assert find(endless)[0] > 50_000
    assert time.process_time() - start < 1
    data = encode(SMALL, "TIFF")
    (first,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[first : first + 2])
    end = first + 2 + 12 * count
    tail = len(data)
    links = b"".join(struct.pack("<HI", 0, tail + 6 * (index + 1)) for index in range(60_000))
    with pytest.raises(QwenVLInputError, match="more than 50,000 pages"):
        open_pages(data[:end] + struct.pack("<I", tail) + data[end + 4 :] + links)


def test_image_file_objects_of_pillow_close_with_pages() -> None:
    pages = open_pages(io.BytesIO(scan(2, "TIFF")))
    pages.close()
    with pytest.raises(QwenVLInputError, match="can't be read"):
        pages.render(2, FIT)

"""Tests of images as documents: frames, orientation, modes, NumPy arrays, broken files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image, ImageDraw

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.rendering.open import open_pages
from qwenvl_core.rendering.pages import render_page
from tests.core.rendering.helpers import BLACK, FIT, WHITE, decode_page, encode, is_close
from tests.support.scanned_pages import scan

# --- Frames ---


def test_tiff_frames_are_pages() -> None:
    with open_pages(scan(3, "TIFF")) as pages:
        rendered = [render_page(pages, number, FIT) for number in (3, 1, 2)]
        assert pages.count == 3
    assert [(page.number, page.label, page.width) for page in rendered] == [
        (3, "3", 416), (1, "1", 352), (2, "2", 384),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animation_is_one_page(kind: str) -> None:
    first, second = Image.new("RGB", (64, 64), "white"), Image.new("RGB", (64, 64), "black")
    with open_pages(encode(first, kind, save_all=True, append_images=[second])) as pages:
        assert pages.count == 1
        assert is_close(pages.render(1, FIT).convert("RGB").getpixel((9, 9)), WHITE)


# --- Orientation and modes ---


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied(kind: str) -> None:
    image = Image.new("L", (640, 320), 255)
    ImageDraw.Draw(image).rectangle((0, 0, 100, 320), fill=0)
    exif = Image.Exif()
    exif[0x0112] = 6
    page = decode_page(encode(image, kind, exif=exif))
    assert page.size == (320, 640)
    assert is_close(page.getpixel((160, 20)), BLACK)
    assert is_close(page.getpixel((160, 600)), WHITE)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_sideways_tiff_of_path_is_that_of_bytes(mode: str, orientation: int, tmp_path: Path) -> None:
    """Pillow maps an uncompressed TIFF of a path into memory, with its sides exchanged."""
    image = Image.linear_gradient("L").resize((320, 640)).convert(mode)
    path = tmp_path / "scan.tiff"
    image.save(path, tiffinfo={0x0112: orientation})
    pages = [decode_page(file) for file in (path, path.read_bytes())]
    assert pages[0].size == (640, 320)
    assert pages[0].tobytes() == pages[1].tobytes()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(mode: str) -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0)).convert(mode)
    assert is_close(decode_page(encode(image)).convert("RGB").getpixel((30, 30)), WHITE)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_values_are_scaled(kind: str) -> None:
    page = decode_page(encode(Image.new("I;16", (64, 64), 32768), kind))
    assert is_close(page.convert("RGB").getpixel((30, 30)), 128)


def test_1_bit_image_is_scaled_as_grey() -> None:
    image = Image.new("1", (2000, 2000), 1)
    ImageDraw.Draw(image).rectangle((0, 0, 999, 2000), fill=0)
    page = decode_page(encode(image, "TIFF", compression="group4"))
    assert page.mode == "L"
    assert page.size == (1600, 1600)
    assert is_close(page.getpixel((10, 10)), BLACK)
    assert is_close(page.getpixel((1500, 10)), WHITE)


def test_cmyk_white_is_white() -> None:
    page = decode_page(encode(Image.new("CMYK", (64, 64), (0, 0, 0, 0)), "JPEG"))
    assert is_close(page.getpixel((30, 30)), WHITE)


# --- NumPy arrays ---


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 3), (40, 60, 4)])
def test_numpy_array_is_one_page(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "page.npy"
    numpy.save(path, numpy.full(shape, 255, dtype=numpy.uint8))
    for file in (path, path.read_bytes()):
        assert is_close(decode_page(file).convert("RGB").getpixel((30, 30)), WHITE)


@pytest.mark.parametrize("array", [numpy.zeros((2, 2, 7), dtype=numpy.uint8), numpy.zeros(5), numpy.array(["a"])])
def test_numpy_array_that_is_not_an_image_raises_input_error(array: Any) -> None:
    buffer = io.BytesIO()
    numpy.save(buffer, array)
    with pytest.raises(QwenVLInputError, match="Unsupported NumPy array"):
        open_pages(buffer.getvalue())


def test_numpy_array_of_objects_is_not_unpickled() -> None:
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.array([{"a": 1}], dtype=object))
    with pytest.raises(QwenVLInputError, match="Unsupported NumPy array"):
        open_pages(buffer.getvalue())


# --- Files that can't be read ---


def test_image_above_pixel_limit_of_pillow_raises_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.new("L", (300, 300)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(QwenVLInputError, match="decompression bomb"):
        open_pages(data)


def test_truncated_image_raises_input_error() -> None:
    data = encode(Image.effect_noise((300, 300), 50), "JPEG")
    with open_pages(data[: len(data) // 2]) as pages, pytest.raises(QwenVLInputError, match="can't be read"):
        render_page(pages, 1, FIT)


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"", "but empty. Pass a file with content"),
        (b"hello", "Convert it to PDF, PNG or JPEG"),
        (bytes(100), "Convert it to PDF, PNG or JPEG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50), "looks like image/heic. .*pillow-heif"),
        (b"ID3" + bytes(50), "looks like audio/mpeg. Convert it"),
    ],
)
def test_other_bytes_raise_error_with_way_out(data: bytes, advice: str, tmp_path: Path) -> None:
    path = tmp_path / "scan"
    path.write_bytes(data)
    for file in (data, path):
        with pytest.raises(QwenVLInputError, match=f"neither a PDF nor an image .*{advice}"):
            open_pages(file)

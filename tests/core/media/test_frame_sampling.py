"""Frames of videos: evenly in time, as players show them, whatever the container, the rate and the end of the file."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media import sample_frames
from tests.support.video_files import LEVELS, encode_video

TOLERANCE = 6  # of grey levels, after two lossy encodings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a video"


def read_levels(jpegs: tuple[bytes, ...]) -> list[int]:
    """Return the grey level of each frame."""
    return [Image.open(io.BytesIO(jpeg)).convert("L").getpixel((4, 4)) for jpeg in jpegs]  # type: ignore[misc]


def assert_levels(jpegs: tuple[bytes, ...], frames: list[int]) -> None:
    levels = read_levels(jpegs)
    assert len(levels) == len(frames)
    for level, frame in zip(levels, frames, strict=True):
        assert abs(level - frame * LEVELS) <= TOLERANCE, (levels, frames)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "mpeg4"), ("mp4", "libx264"), ("matroska", "mpeg4"), ("avi", "mpeg4"), ("flv", "flv"), ("mpegts", "mpeg4"),
     ("webm", "libvpx-vp9"), ("mov", "mpeg4")],
)  # fmt: skip
def test_containers_give_the_same_frames(path: Path, container: str, codec: str) -> None:
    path.write_bytes(encode_video(30, fps=10, container=container, codec=codec))
    frames = sample_frames(path, fps=2)
    assert frames.fps == 2
    assert_levels(frames.jpegs, [0, 5, 10, 15, 20, 25])
    assert sample_frames(str(path), fps=2).jpegs == frames.jpegs  # the same bytes, so that they are uploaded once


@pytest.mark.parametrize("container", ["mp4", "matroska", "avi"])
def test_metadata_that_is_not_utf_8_does_not_matter(path: Path, container: str) -> None:
    video = encode_video(10, container=container)
    assert b"Lavf" in video
    path.write_bytes(video.replace(b"Lavf", b"L\xe9vf"))
    assert len(sample_frames(path, fps=4).jpegs) == 4


def test_data_uris_hold_the_jpegs(path: Path) -> None:
    path.write_bytes(encode_video(10))
    frames = sample_frames(path, fps=4)
    assert len(frames.jpegs) == 4
    for jpeg, uri in zip(frames.jpegs, frames.data_uris(), strict=True):
        assert uri == "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def test_long_video_is_sampled_evenly_within_max_frames(path: Path) -> None:
    path.write_bytes(encode_video(30, fps=1))
    frames = sample_frames(path, fps=1, max_frames=6)
    assert frames.fps == pytest.approx(0.2)
    assert_levels(frames.jpegs, [0, 5, 10, 15, 20, 25])


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
def test_number_of_frames_is_that_of_the_seconds(path: Path, fps: int) -> None:
    path.write_bytes(encode_video(4 * fps, fps=fps))
    assert len(sample_frames(path, fps=2).jpegs) == 8


def test_variable_rate_is_sampled_by_time(path: Path) -> None:
    path.write_bytes(encode_video(6, times=[0, 0.1, 0.2, 3, 3.1, 6]))
    frames = sample_frames(path, fps=1)
    assert_levels(frames.jpegs, [0, 2, 2, 3, 4, 4, 5])


@pytest.mark.parametrize(("rotation", "white"), [(90, "bottom"), (-90, "top"), (180, "right"), (0, "left")])
def test_rotation_is_applied(path: Path, rotation: int, white: str) -> None:
    path.write_bytes(encode_video(4, size=(128, 64), rotation=rotation, is_split=True))
    image = Image.open(io.BytesIO(sample_frames(path).jpegs[0])).convert("L")
    assert image.size == ((64, 128) if rotation in (90, -90) else (128, 64))
    width, height = image.size
    middle = {
        "left": (3, height // 2), "right": (width - 4, height // 2), "top": (width // 2, 3),
        "bottom": (width // 2, height - 4),
    }  # fmt: skip
    for side, position in middle.items():
        level: Any = image.getpixel(position)
        if side == white:
            assert level > 240
        elif {side, white} in ({"left", "right"}, {"top", "bottom"}):
            assert level < 15


@pytest.mark.parametrize(("aspect", "size"), [(Fraction(2), (128, 64)), (Fraction(1, 2), (32, 64)), (None, (64, 64))])
def test_pixel_aspect_is_applied(path: Path, aspect: Fraction | None, size: tuple[int, int]) -> None:
    path.write_bytes(encode_video(4, size=(64, 64), codec="libx264", pixel_aspect=aspect))
    assert Image.open(io.BytesIO(sample_frames(path).jpegs[0])).size == size


@pytest.mark.parametrize(("size", "max_pixels"), [((640, 480), 100_000), ((640, 20), 32 * 32), ((100, 2000), 655_360)])
def test_sides_are_multiples_of_32_within_max_pixels(path: Path, size: tuple[int, int], max_pixels: int) -> None:
    path.write_bytes(encode_video(2, size=size))
    width, height = Image.open(io.BytesIO(sample_frames(path, max_pixels=max_pixels).jpegs[0])).size
    assert width % 32 == height % 32 == 0
    assert width * height <= max_pixels


@pytest.mark.parametrize(("container", "is_index_first"), [("mp4", True), ("matroska", False), ("flv", False)])
def test_file_that_ends_early_gives_the_frames_that_it_has(path: Path, container: str, is_index_first: bool) -> None:
    codec = "flv" if container == "flv" else "mpeg4"
    data = encode_video(30, container=container, codec=codec, size=(320, 240), has_index_first=is_index_first)
    path.write_bytes(data[: len(data) // 2])
    frames = sample_frames(path, fps=5)
    assert 4 <= len(frames.jpegs) <= 12
    assert frames.fps == 5
    assert_levels(frames.jpegs, [2 * number for number in range(len(frames.jpegs))])


def test_damaged_middle_keeps_the_times_of_the_rest(path: Path) -> None:
    data = bytearray(encode_video(30, container="mpegts", size=(320, 240)))
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 188 * 20] = bytes(188 * 20)
    path.write_bytes(data)
    frames = sample_frames(path, fps=1)
    assert len(frames.jpegs) == 3
    assert abs(read_levels(frames.jpegs)[0]) <= TOLERANCE


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "can't be decoded"),
        (b"no video", "can't be decoded"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(500), "can't be decoded"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile.ts\n", "can't be decoded"),
        (b"ffconcat version 1.0\nfile 'a.mp4'\n", "can't be decoded"),
    ],
)
def test_undecodable_file_raises_input_error(path: Path, data: bytes, message: str) -> None:
    path.write_bytes(data)
    with pytest.raises(QwenVLInputError, match=rf"a video: this video {message}"):
        sample_frames(path)


def test_file_without_picture_raises_input_error(path: Path) -> None:
    header = b"RIFF" + (36 + 8000).to_bytes(4, "little") + b"WAVEfmt " + bytes([16, 0, 0, 0, 1, 0, 1, 0])
    header += (8000).to_bytes(4, "little") * 2 + bytes([1, 0, 8, 0]) + b"data" + (8000).to_bytes(4, "little")
    path.write_bytes(header + bytes(8000))
    with pytest.raises(QwenVLInputError, match="a video: this"):
        sample_frames(path)


def test_missing_file_and_directory_raise_input_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(QwenVLInputError, match="can't be decoded"):
            sample_frames(path)


@pytest.mark.parametrize(
    "arguments",
    [{"fps": 0}, {"fps": -1}, {"fps": float("nan")}, {"fps": "2"}, {"max_frames": 0}, {"max_frames": 1.5},
     {"max_frames": True}, {"max_pixels": 1023}, {"max_pixels": float("inf")}],
)  # fmt: skip
def test_invalid_argument_raises_input_error_naming_it(path: Path, arguments: dict[str, Any]) -> None:
    ((name, value),) = arguments.items()
    with pytest.raises(QwenVLInputError, match=f"^{name}={value!r} is invalid"):
        sample_frames(path, **arguments)


def test_progress_counts_to_the_total(path: Path) -> None:
    path.write_bytes(encode_video(20))
    calls: list[tuple[int, int]] = []
    sample_frames(path, fps=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_missing_pyav_names_the_extra(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(QwenVLInputError, match=r"pip install \"qwenvl-adapters\[video\]\""):
        sample_frames(path)


def test_import_of_media_does_not_load_pyav() -> None:
    code = "import sys, qwenvl_core.media; assert 'av' not in sys.modules and 'PIL' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

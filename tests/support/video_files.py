"""Encode small real videos, with PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, cast

import av
from PIL import Image

LEVELS = 8  # between the grey levels of two frames

_TIME_BASE = Fraction(1, 1000)


def encode_video(
    frames: int = 30,
    *,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    container: str = "mp4",
    codec: str = "mpeg4",
    times: Sequence[float] | None = None,
    pixel_aspect: Fraction | None = None,
    rotation: int = 0,
    is_split: bool = False,
    has_index_first: bool = False,
) -> bytes:
    """Encode a video whose frame `n` is of the grey level `LEVELS * n`.

    Args:
        frames: Number of frames.
        fps: Frames per second.
        size: Width and height in pixels.
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the codec.
        times: Seconds of the frames, for a variable rate.
        pixel_aspect: Width of a pixel, in heights of one.
        rotation: Degrees by which players rotate the frames counterclockwise.
        is_split: Whether the left half of each frame is white and the right half black.
        has_index_first: Whether an MP4 has its index in front, so that a file that ends early can be read.
    """
    options = {"movflags": "faststart"} if has_index_first else {}
    with NamedTemporaryFile() as file, av.open(file.name, "w", format=container, options=options) as output:
        stream = cast("Any", output.add_stream(codec, rate=fps))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = _TIME_BASE
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            image = Image.new("RGB", size, (number * LEVELS % 256,) * 3)
            if is_split:
                image.paste((255, 255, 255), (0, 0, size[0] // 2, size[1]))
                image.paste((0, 0, 0), (size[0] // 2, 0, *size))
            frame = cast("Any", av.VideoFrame).from_image(image).reformat(format="yuv420p")
            frame.pts, frame.time_base = round((times[number] if times else number / fps) * 1000), _TIME_BASE
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        output.close()
        return Path(file.name).read_bytes()

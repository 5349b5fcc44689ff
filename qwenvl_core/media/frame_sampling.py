"""Sample a local video to a list of frames, evenly in time."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.local_files import expand_home
from qwenvl_core.media.video_decoding import Size, VideoMeasures, iterate_frames, measure_video
from qwenvl_core.types.media import FileSource, InlineSource

_ROUNDING = 0.05  # of a frame, since containers round the times of frames
_SIDE_FACTOR = 32  # of the sides of frames, in pixels: the square of one token


@dataclass(frozen=True, slots=True)
class SampledFrames:
    """The frames of a video.

    Attributes:
        jpegs: The frames, each a JPEG file.
        fps: Frames per second at which they were sampled.

    Example:
        ```python
        frames = sample_frames("clip.mp4", fps=2, max_frames=8)
        print(frames.fps, [uri[:23] for uri in frames.data_uris()][0])  # 2.0 data:image/jpeg;base64,
        ```
    """

    jpegs: tuple[bytes, ...] = field(repr=False)
    fps: float

    def data_uris(self) -> list[str]:
        """Return the frames as data URIs."""
        return [f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" for jpeg in self.jpegs]


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """The frames to sample: how many, at which rate per second, and of which width and height in pixels."""

    count: int
    fps: float
    size: Size

    @property
    def times(self) -> list[float]:
        """Seconds of the frames from the first one."""
        return [index / self.fps for index in range(self.count)]


def sample_frames(
    path: str | Path,
    *,
    fps: float = 1.0,
    max_frames: int = 64,
    max_pixels: int = 655_360,
    progress: Callable[[int, int], None] | None = None,
) -> SampledFrames:
    """Sample the frames of a local video, for a model or a server that takes lists of frames or images.

    Args:
        path: The video file.
        fps: Frames per second to sample.
        max_frames: Most frames; of a longer video, fewer are sampled per second.
        max_pixels: Largest area of a frame, in pixels.
        progress: Called with the numbers of frames sampled and to sample, after each frame.

    Returns:
        JPEGs as a player shows the frames, with sides in multiples of 32 pixels.

    Raises:
        QwenVLInputError: An argument is invalid, the video can't be decoded, or PyAV is missing (extra `video`).

    Example:
        ```python
        frames = sample_frames("clip.mp4", fps=2, max_frames=8)
        block = {"type": "video", "video": frames.data_uris(), "fps": frames.fps}
        print(len(block["video"]))  # 6
        ```
    """
    _check_arguments(fps, max_frames, max_pixels)
    source, location = FileSource(expand_home(Path(path))), str(path)
    measures = measure_video(source, location)
    count, rate = count_frames(measures.seconds, fps, low=1, high=int(max_frames))
    plan = SamplingPlan(count, rate, _fit_size(measures, max_pixels))
    return sample_source(source, plan, location, progress=progress)


def count_frames(seconds: float, fps: float, *, low: int, high: int) -> tuple[int, float]:
    """Return the number of frames to sample of a video, and the rate per second that gives them evenly."""
    regular = max(1, math.ceil(seconds * fps - _ROUNDING))
    count = min(max(regular, low), high)
    return count, fps if count == regular else count / max(seconds, 1e-3)


def sample_source(
    source: FileSource | InlineSource,
    plan: SamplingPlan,
    location: str,
    *,
    max_bytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SampledFrames:
    """Sample a video by a plan.

    Args:
        source: The video.
        plan: The frames.
        location: Where the video is in the caller's input, for errors.
        max_bytes: Largest size of all JPEGs together: where they exceed it, every second one is dropped.
        progress: Called with the numbers of frames sampled and to sample.

    Raises:
        QwenVLInputError: The video can't be decoded, or PyAV is missing.
    """
    jpegs: dict[int, bytes] = {}
    stride, total = 1, 0
    for index, encode in iterate_frames(source, plan.times, location):
        if index % stride == 0:
            jpegs[index] = encode(plan.size)
            total += len(jpegs[index])
        while max_bytes is not None and total > max_bytes and len(jpegs) > 1:
            stride *= 2
            jpegs = {number: jpeg for number, jpeg in jpegs.items() if number % stride == 0}
            total = sum(map(len, jpegs.values()))
        if progress is not None:
            progress(index + 1, plan.count)
    if not jpegs:
        raise QwenVLInputError(f"{location}: this video has no frame that can be decoded.")
    return SampledFrames(tuple(jpegs.values()), plan.fps / stride)


def _check_arguments(fps: float, max_frames: int, max_pixels: int) -> None:
    if not _is_number(fps) or fps <= 0:
        raise QwenVLInputError(f"fps={fps!r} is invalid. Pass a number above 0.")
    if not _is_number(max_frames) or max_frames < 1 or max_frames != int(max_frames):
        raise QwenVLInputError(f"max_frames={max_frames!r} is invalid. Pass a whole number of at least 1.")
    if not _is_number(max_pixels) or max_pixels < _SIDE_FACTOR**2:
        raise QwenVLInputError(f"max_pixels={max_pixels!r} is invalid. Pass a number of at least {_SIDE_FACTOR**2}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _fit_size(measures: VideoMeasures, max_pixels: int) -> Size:
    """Return width and height within an area, in multiples of 32 pixels, near the aspect of the video."""
    scale = min(1.0, math.sqrt(max_pixels / (measures.width * measures.height)))
    width, height = (max(1, round(side * scale / _SIDE_FACTOR)) for side in (measures.width, measures.height))
    while width * height * _SIDE_FACTOR**2 > max_pixels and max(width, height) > 1:
        width, height = (width - 1, height) if width >= height else (width, height - 1)
    return width * _SIDE_FACTOR, height * _SIDE_FACTOR

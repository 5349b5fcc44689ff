"""Compute the tokens of images and videos from their sizes alone.

The formulas are the vendor's ("Visual understanding (Qwen-VL)", 2025-12-18, section on billing), which calls them an
estimate: the exact count is the `usage` of the reply. Two errors of its image sample are not copied: it counts squares
of 28 pixels after resizing to squares of 32, and rounds a side of less than half a square to 0.

Sizes are in pixels. Every function takes a model by name or as its `ModelFacts`.
"""

from __future__ import annotations

import math
from dataclasses import replace

from qwenvl_core.catalog.models import ModelFacts, describe
from qwenvl_core.errors import QwenVLInputError

__all__ = [
    "MAX_RATIO",
    "MIN_FRAME_PIXELS",
    "exceeds_max_ratio",
    "frame_list_tokens",
    "frame_max_pixels",
    "image_max_pixels",
    "image_resize",
    "image_tokens",
    "image_tokens_upper_bound",
    "raise_frame_cap",
    "smart_resize",
    "video_tokens",
    "video_tokens_upper_bound",
]

MAX_RATIO = 200
"""Maximum length of a side of an image or frame, as a multiple of the other side."""

MIN_FRAME_PIXELS = 4 * 32 * 32
"""Minimum area of a frame of a video; smaller frames are enlarged."""

_DELIMITER_TOKENS = 2  # around each image or video
_FRAME_FACTOR = 2  # frames are merged in pairs
_MIN_FRAMES = 4
_DEFAULT_MAX_FRAMES = 2000  # for models without a number of sampled frames
_SQUARE = 32 * 32  # unit of the page's pixel limits for videos, for 28-pixel models too
_MIN_VALUE, _MAX_VALUE = 1e-9, 1e12  # between them no product or quotient below overflows


def exceeds_max_ratio(width: float, height: float) -> bool:
    """Return whether one side is more than `MAX_RATIO` times the other; both must be above 0.

    Example:
        ```python
        print(exceeds_max_ratio(10, 3000))  # True
        ```
    """
    return _compute_ratio(width, height) > MAX_RATIO


def _compute_ratio(width: float, height: float) -> float:
    return width / height if width > height else height / width


def smart_resize(height: float, width: float, *, factor: int, min_pixels: float, max_pixels: float) -> tuple[int, int]:
    """Return the size to which the service scales an image for the model.

    Both sides become multiples of `factor`, at least `factor` each, with an area from `min_pixels` to `max_pixels`
    and the ratio kept as far as that allows. Equal to `smart_resize` of the vendor's package qwen-vl-utils.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        factor: Side of the square of one token, in pixels.
        min_pixels: Smallest area.
        max_pixels: Largest area. Below `factor**2` times the ratio of the sides no size fits; the shorter side is
            then 0, as in the vendor's package.

    Returns:
        Height and width in pixels, in this order.

    Raises:
        QwenVLInputError: A value is not a positive number, `max_pixels` is below `min_pixels`, or one side is more
            than 200 times the other.

    Example:
        ```python
        print(smart_resize(1000, 700, factor=32, min_pixels=4_096, max_pixels=2_621_440))  # (992, 704)
        ```
    """
    _check_values(height=height, width=width, factor=factor, min_pixels=min_pixels, max_pixels=max_pixels)
    if max_pixels < min_pixels:
        raise QwenVLInputError(f"max_pixels={max_pixels} is less than min_pixels={min_pixels}.")
    if exceeds_max_ratio(width, height):
        raise QwenVLInputError(
            f"width={width}, height={height}: one side is {_compute_ratio(width, height):.1f} times the other. "
            f"Qwen-VL accepts at most {MAX_RATIO} times. Crop or split the image."
        )
    rows = max(1, round(height / factor))
    columns = max(1, round(width / factor))
    area = rows * columns * factor * factor
    if area > max_pixels:
        shrink = math.sqrt((height * width) / max_pixels)
        rows, columns = math.floor(height / shrink / factor), math.floor(width / shrink / factor)
    elif area < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        rows, columns = math.ceil(height * grow / factor), math.ceil(width * grow / factor)
    return rows * factor, columns * factor


def image_max_pixels(
    model: str | ModelFacts, *, max_pixels: float | None = None, vl_high_resolution_images: bool = False
) -> int:
    """Return the area in pixels above which the service shrinks an image.

    It is the larger of the model's default and `max_pixels`, so `max_pixels` can raise the cost of an image, not
    lower it: to pay less, send a smaller image. `vl_high_resolution_images` overrides both.

    Raises:
        QwenVLInputError: `max_pixels` is not a positive number.

    Example:
        ```python
        print(image_max_pixels("qwen3-vl-plus"))  # 2621440
        ```
    """
    facts = _get_facts(model)
    square = facts.token_factor**2
    model_maximum = facts.max_image_tokens * square
    if vl_high_resolution_images:
        return model_maximum
    if max_pixels is None:
        return facts.default_image_tokens * square
    _check_values(max_pixels=max_pixels)
    return int(min(max(facts.default_image_tokens * square, max_pixels), model_maximum))


def image_resize(
    width: float,
    height: float,
    model: str | ModelFacts,
    *,
    max_pixels: float | None = None,
    vl_high_resolution_images: bool = False,
) -> tuple[int, int]:
    """Return the size to which the service scales an image for the model, as (height, width) in pixels.

    An image sent at this size is not scaled, so boxes in absolute coordinates are in its pixels.

    Raises:
        QwenVLInputError: As for `smart_resize`.

    Example:
        ```python
        print(image_resize(4000, 3000, "qwen3-vl-plus"))  # (1376, 1856)
        ```
    """
    facts = _get_facts(model)
    factor = facts.token_factor
    return smart_resize(
        height,
        width,
        factor=factor,
        min_pixels=facts.min_image_tokens * factor * factor,
        max_pixels=image_max_pixels(facts, max_pixels=max_pixels, vl_high_resolution_images=vl_high_resolution_images),
    )


def image_tokens(
    width: float,
    height: float,
    model: str | ModelFacts,
    *,
    max_pixels: float | None = None,
    vl_high_resolution_images: bool = False,
) -> int:
    """Return the tokens of an image.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        model: The model.
        max_pixels: The request's `max_pixels`; see `image_max_pixels`.
        vl_high_resolution_images: The request's parameter of that name; `max_pixels` is then ignored.

    Raises:
        QwenVLInputError: As for `smart_resize`.

    Example:
        ```python
        print(image_tokens(1000, 700, "qwen3-vl-plus"))  # 684
        ```
    """
    facts = _get_facts(model)
    rows, columns = image_resize(
        width,
        height,
        facts,
        max_pixels=max_pixels,
        vl_high_resolution_images=vl_high_resolution_images,
    )
    return rows * columns // facts.token_factor**2 + _DELIMITER_TOKENS


def image_tokens_upper_bound(
    model: str | ModelFacts, *, max_pixels: float | None = None, vl_high_resolution_images: bool = False
) -> int:
    """Return the maximum tokens of an image, for images of unknown size such as one behind a URL.

    Raises:
        QwenVLInputError: `max_pixels` is not a positive number.

    Example:
        ```python
        print(image_tokens_upper_bound("qwen3-vl-plus"))  # 2562
        ```
    """
    facts = _get_facts(model)
    pixels = image_max_pixels(facts, max_pixels=max_pixels, vl_high_resolution_images=vl_high_resolution_images)
    return pixels // facts.token_factor**2 + _DELIMITER_TOKENS


def video_tokens(
    width: float,
    height: float,
    n_frames: int,
    video_fps: float,
    model: str | ModelFacts,
    *,
    fps: float = 2.0,
) -> int:
    """Return the tokens of a video file.

    Args:
        width: Width of the video in pixels.
        height: Height of the video in pixels.
        n_frames: Number of frames in the file.
        video_fps: Frames per second of the file.
        model: The model.
        fps: The request's `fps`: the frames per second that the service samples.

    Raises:
        QwenVLInputError: As for `smart_resize`; the model does not accept videos; or the video is too short to
            sample two frames from.

    Example:
        ```python
        print(video_tokens(1280, 720, 300, 30.0, "qwen3-vl-plus"))  # 5942
        ```
    """
    facts = _get_video_facts(model)
    _check_values(n_frames=n_frames, video_fps=video_fps, fps=fps)
    sampled = _count_sampled_frames(n_frames, video_fps, fps, _get_sampled_frames(facts))
    return _count_frame_tokens(width, height, sampled, facts)


def frame_list_tokens(width: float, height: float, n_frames: int, model: str | ModelFacts) -> int:
    """Return the tokens of a video given as a list of `n_frames` images, from which the service samples nothing.

    Raises:
        QwenVLInputError: As for `smart_resize`, or the model does not accept videos.

    Example:
        ```python
        print(frame_list_tokens(640, 360, 8, "qwen3-vl-plus"))  # 882
        ```
    """
    _check_values(n_frames=n_frames)
    return _count_frame_tokens(width, height, n_frames, _get_video_facts(model))


def video_tokens_upper_bound(model: str | ModelFacts, *, n_frames: int | None = None) -> int:
    """Return the maximum tokens of a video of unknown size, whose sides are assumed to be allowed (over 10 pixels).

    Args:
        model: The model.
        n_frames: Number of frames where it is known, as for a list of frames.

    Raises:
        QwenVLInputError: `n_frames` is not a positive number, or the model does not accept videos.

    Example:
        ```python
        print(video_tokens_upper_bound("qwen3-vl-plus", n_frames=8))  # 2562
        ```
    """
    facts = _get_video_facts(model)
    if n_frames is None:
        n_frames = _get_sampled_frames(facts)
    _check_values(n_frames=n_frames)
    pairs = math.ceil(n_frames / _FRAME_FACTOR)
    # Frames share the total, but an odd last one counts as a pair. No frame goes below the minimum of 4 squares, which
    # rounding the sides up can more than double.
    shared = facts.video_total_tokens + facts.video_frame_tokens / 2
    squares = max(min(pairs * facts.video_frame_tokens, shared), pairs * 10)
    return int(squares * _SQUARE / facts.video_factor**2) + _DELIMITER_TOKENS


def _count_sampled_frames(n_frames: int, video_fps: float, fps: float, max_frames: int) -> int:
    """Count the frames that the service samples from a video file; an odd number stays odd."""
    max_frames = min(max_frames, n_frames) // _FRAME_FACTOR * _FRAME_FACTOR
    seconds = n_frames / video_fps
    if seconds - int(seconds) <= 1 / fps:  # the rest of the last second is too short for a frame
        seconds = int(seconds)
    total = math.ceil(seconds * video_fps)
    sampled = int(min(max(total / video_fps * fps, _MIN_FRAMES), max_frames, total))
    if sampled < _FRAME_FACTOR:
        raise QwenVLInputError(
            f"n_frames={n_frames} at video_fps={video_fps}: this video is too short to sample "
            f"{_FRAME_FACTOR} frames from it at fps={fps}."
        )
    return sampled


def frame_max_pixels(n_frames: int, model: str | ModelFacts) -> int:
    """Return the area in pixels above which the service shrinks each frame of a video of `n_frames` frames.

    Raises:
        QwenVLInputError: `n_frames` is not a positive number, or the model does not accept videos.

    Example:
        ```python
        print(frame_max_pixels(8, "qwen3-vl-plus"))  # 655360
        ```
    """
    _check_values(n_frames=n_frames)
    return int(_compute_frame_max_pixels(n_frames, _get_video_facts(model)))


def raise_frame_cap(facts: ModelFacts, max_pixels: float | None) -> ModelFacts:
    """Return the facts with the cap per frame of a video that has this `max_pixels`.

    As for images, `max_pixels` raises the model's default, up to its maximum. In the formula of the models before
    Qwen3.5 the cap is constant.

    Raises:
        QwenVLInputError: `max_pixels` is not a positive number.

    Example:
        ```python
        from qwenvl_core.models import describe

        print(raise_frame_cap(describe("qwen3.5-plus"), 1_500_000).video_frame_tokens)  # 1464
        ```
    """
    if max_pixels is None or facts.max_video_frame_tokens is None:
        return facts
    _check_values(max_pixels=max_pixels)
    raised = max(facts.video_frame_tokens, int(min(max_pixels / _SQUARE, facts.max_video_frame_tokens)))
    return replace(facts, video_frame_tokens=raised)


def _compute_frame_max_pixels(frames: int, facts: ModelFacts) -> float:
    shared = facts.video_total_tokens * _SQUARE / frames * _FRAME_FACTOR
    return max(min(facts.video_frame_tokens * _SQUARE, shared), int(MIN_FRAME_PIXELS * 1.05))


def _get_sampled_frames(facts: ModelFacts) -> int:
    return facts.sampled_frames or facts.max_frames or _DEFAULT_MAX_FRAMES


def _count_frame_tokens(width: float, height: float, frames: int, facts: ModelFacts) -> int:
    max_pixels = _compute_frame_max_pixels(frames, facts)
    factor = facts.video_factor
    rows, columns = smart_resize(height, width, factor=factor, min_pixels=MIN_FRAME_PIXELS, max_pixels=max_pixels)
    return math.ceil(frames / _FRAME_FACTOR) * (rows // factor) * (columns // factor) + _DELIMITER_TOKENS


def _get_facts(model: str | ModelFacts) -> ModelFacts:
    return describe(model) if isinstance(model, str) else model


def _get_video_facts(model: str | ModelFacts) -> ModelFacts:
    facts = _get_facts(model)
    if not facts.videos:
        raise QwenVLInputError(f"model={facts.name!r} takes no videos.")
    return facts


def _check_values(**values: float) -> None:
    """Raise where a value is not a number that a size or rate can have."""
    for name, value in values.items():
        try:
            is_valid = _MIN_VALUE <= value <= _MAX_VALUE
        except TypeError:
            is_valid = False
        if not is_valid:
            raise QwenVLInputError(f"{name}={value!r} must be a number above 0 (and at most {_MAX_VALUE:.0e}).")

"""What images and videos cost in tokens, without sending or even having them.

The formulas are the vendor's ("Visual understanding (Qwen-VL)", 2025-12-18, section on billing), which calls
them an estimate: the bill is the `usage` of the reply. Two slips of its image sample are not followed: it counts
squares of 28 pixels after resizing to squares of 32, and rounds a side of less than half a square to nothing.

Sizes are in pixels. Every function takes a model by name or as its `ModelFacts`.
"""

from __future__ import annotations

import math

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
    "smart_resize",
    "video_tokens",
    "video_tokens_upper_bound",
]

MAX_RATIO = 200
"""Longest allowed side of an image or frame, as a multiple of the other side."""

MIN_FRAME_PIXELS = 4 * 32 * 32
"""Area to which a frame of a video is at least enlarged."""

_MIN_IMAGE_TOKENS = 4
_MARKS = 2  # the tokens that open and close an image or video
_FRAME_FACTOR = 2  # frames are merged in pairs
_MIN_FRAMES = 4
_ANY_MAX_FRAMES = 2000  # for models whose limit is not known
_SQUARE = 32 * 32  # the page gives the pixel limits of video in these squares, for 28-pixel models too
_TINY, _HUGE = 1e-9, 1e12  # between them no product or quotient below overflows


def exceeds_max_ratio(width: float, height: float) -> bool:
    """Return whether one side is more than `MAX_RATIO` times the other; both must be above 0."""
    return _ratio(width, height) > MAX_RATIO


def _ratio(width: float, height: float) -> float:
    return width / height if width > height else height / width


def smart_resize(height: float, width: float, *, factor: int, min_pixels: float, max_pixels: float) -> tuple[int, int]:
    """The size to which the model scales an image before it looks at it.

    Both sides become multiples of `factor`, at least one each, with an area from `min_pixels` to `max_pixels`
    and the ratio kept as well as that allows. Equal to `smart_resize` of the vendor's package qwen-vl-utils.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        factor: Side of the square that one token stands for, in pixels.
        min_pixels: Smallest area.
        max_pixels: Largest area. Below `factor**2` times the ratio of the sides no size fits; the shorter side
            is 0 then, as in the vendor's package.

    Returns:
        Height and width in pixels, in this order.

    Raises:
        QwenVLInputError: A value is not a positive number, the limits cross, or one side is more than 200
            times the other.
    """
    _check(height=height, width=width, factor=factor, min_pixels=min_pixels, max_pixels=max_pixels)
    if max_pixels < min_pixels:
        raise _error(f"max_pixels={max_pixels} is less than min_pixels={min_pixels}.")
    if exceeds_max_ratio(width, height):
        raise _error(
            f"width={width}, height={height}: one side is {_ratio(width, height):.1f} times the other; "
            f"Qwen-VL takes at most {MAX_RATIO} times. Crop or split the picture."
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
    """The area above which the service shrinks an image, in pixels.

    It is the larger of the model's default and `max_pixels`, so `max_pixels` can raise the cost of an image,
    not lower it: to pay less, send a smaller image. `vl_high_resolution_images` stands above both.

    Raises:
        QwenVLInputError: `max_pixels` is not a positive number.
    """
    facts = _facts(model)
    square = facts.token_factor**2
    most = facts.max_image_tokens * square
    if vl_high_resolution_images:
        return most
    if max_pixels is None:
        return facts.default_image_tokens * square
    _check(max_pixels=max_pixels)
    return int(min(max(facts.default_image_tokens * square, max_pixels), most))


def image_resize(
    width: float,
    height: float,
    model: str | ModelFacts,
    *,
    max_pixels: float | None = None,
    vl_high_resolution_images: bool = False,
) -> tuple[int, int]:
    """The size at which the model sees an image, as (height, width) in pixels.

    An image sent at this size is not resized again: boxes in absolute coordinates are in its pixels.

    Raises:
        QwenVLInputError: As for `smart_resize`.
    """
    facts = _facts(model)
    most = image_max_pixels(facts, max_pixels=max_pixels, vl_high_resolution_images=vl_high_resolution_images)
    factor = facts.token_factor
    least = _MIN_IMAGE_TOKENS * factor * factor
    return smart_resize(height, width, factor=factor, min_pixels=least, max_pixels=most)


def image_tokens(
    width: float,
    height: float,
    model: str | ModelFacts,
    *,
    max_pixels: float | None = None,
    vl_high_resolution_images: bool = False,
) -> int:
    """What an image costs, in tokens.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        model: The model.
        max_pixels: The request's `max_pixels`, see `image_max_pixels`.
        vl_high_resolution_images: The request's parameter of that name; `max_pixels` is ignored then.

    Raises:
        QwenVLInputError: As for `smart_resize`.
    """
    facts = _facts(model)
    rows, columns = image_resize(
        width,
        height,
        facts,
        max_pixels=max_pixels,
        vl_high_resolution_images=vl_high_resolution_images,
    )
    return rows * columns // facts.token_factor**2 + _MARKS


def image_tokens_upper_bound(
    model: str | ModelFacts, *, max_pixels: float | None = None, vl_high_resolution_images: bool = False
) -> int:
    """The most that any image can cost, in tokens: for an image of unknown size, such as one behind a URL.

    Raises:
        QwenVLInputError: `max_pixels` is not a positive number.
    """
    facts = _facts(model)
    most = image_max_pixels(facts, max_pixels=max_pixels, vl_high_resolution_images=vl_high_resolution_images)
    return most // facts.token_factor**2 + _MARKS


def video_tokens(
    width: float,
    height: float,
    n_frames: int,
    video_fps: float,
    model: str | ModelFacts,
    *,
    fps: float = 2.0,
) -> int:
    """What a video file costs, in tokens.

    Args:
        width: Width of the video in pixels.
        height: Height of the video in pixels.
        n_frames: How many frames the file has.
        video_fps: How many of them make a second.
        model: The model.
        fps: The request's `fps`: how many frames a second the service samples.

    Raises:
        QwenVLInputError: As for `smart_resize`; the model takes no video; or the video is too short to sample
            two frames from.
    """
    facts = _video_facts(model)
    _check(n_frames=n_frames, video_fps=video_fps, fps=fps)
    sampled = _sampled_frames(n_frames, video_fps, fps, facts.max_frames or _ANY_MAX_FRAMES)
    return _frames_cost(width, height, sampled, facts)


def frame_list_tokens(width: float, height: float, n_frames: int, model: str | ModelFacts) -> int:
    """What a video costs that is given as a list of `n_frames` images, in tokens: nothing is sampled then.

    Raises:
        QwenVLInputError: As for `smart_resize`, or the model takes no video.
    """
    _check(n_frames=n_frames)
    return _frames_cost(width, height, n_frames, _video_facts(model))


def video_tokens_upper_bound(model: str | ModelFacts, *, n_frames: int | None = None) -> int:
    """The most that a video of unknown size can cost, in tokens; its sides are taken to be allowed (over 10 pixels).

    Args:
        model: The model.
        n_frames: How many frames are sent, if that is known: a list of frames.

    Raises:
        QwenVLInputError: `n_frames` is not a positive number, or the model takes no video.
    """
    facts = _video_facts(model)
    if n_frames is None:
        n_frames = facts.max_frames or _ANY_MAX_FRAMES
    _check(n_frames=n_frames)
    pairs = math.ceil(n_frames / _FRAME_FACTOR)
    # Frames share the total, but an odd last one counts as a pair. And no frame goes below a minimum of 4 squares,
    # which rounding up the sides can more than double.
    shared = facts.video_total_tokens + facts.video_frame_tokens / 2
    squares = max(min(pairs * facts.video_frame_tokens, shared), pairs * 10)
    return int(squares * _SQUARE / facts.video_factor**2) + _MARKS


def _sampled_frames(n_frames: int, video_fps: float, fps: float, most: int) -> int:
    """How many frames the service takes from a video file. An odd number is left as it is."""
    most = min(most, n_frames) // _FRAME_FACTOR * _FRAME_FACTOR
    seconds = n_frames / video_fps
    if seconds - int(seconds) <= 1 / fps:  # what is left of the last second yields no frame
        seconds = int(seconds)
    total = math.ceil(seconds * video_fps)
    sampled = int(min(max(total / video_fps * fps, _MIN_FRAMES), most, total))
    if sampled < _FRAME_FACTOR:
        raise _error(
            f"n_frames={n_frames} at video_fps={video_fps}: this video is too short to sample "
            f"{_FRAME_FACTOR} frames from it at fps={fps}."
        )
    return sampled


def frame_max_pixels(n_frames: int, model: str | ModelFacts) -> int:
    """The area above which the service shrinks each frame of a video of `n_frames` frames, in pixels.

    Raises:
        QwenVLInputError: `n_frames` is not a positive number, or the model takes no video.
    """
    _check(n_frames=n_frames)
    return int(_frame_max_pixels(n_frames, _video_facts(model)))


def _frame_max_pixels(frames: int, facts: ModelFacts) -> float:
    shared = facts.video_total_tokens * _SQUARE / frames * _FRAME_FACTOR
    return max(min(facts.video_frame_tokens * _SQUARE, shared), int(MIN_FRAME_PIXELS * 1.05))


def _frames_cost(width: float, height: float, frames: int, facts: ModelFacts) -> int:
    most = _frame_max_pixels(frames, facts)
    factor = facts.video_factor
    rows, columns = smart_resize(height, width, factor=factor, min_pixels=MIN_FRAME_PIXELS, max_pixels=most)
    return math.ceil(frames / _FRAME_FACTOR) * (rows // factor) * (columns // factor) + _MARKS


def _facts(model: str | ModelFacts) -> ModelFacts:
    return describe(model) if isinstance(model, str) else model


def _video_facts(model: str | ModelFacts) -> ModelFacts:
    facts = _facts(model)
    if not facts.videos:
        raise _error(f"model={facts.name!r} takes no videos.")
    return facts


def _check(**values: float) -> None:
    """Hold that every value is a number that a size or rate can have."""
    for name, value in values.items():
        try:
            good = _TINY <= value <= _HUGE
        except TypeError:
            good = False
        if not good:
            raise _error(f"{name}={value!r} must be a number above 0 (and below {_HUGE:.0e}).")


def _error(message: str) -> QwenVLInputError:
    return QwenVLInputError(message)

"""What the service would refuse, found before anything is sent: limits as rows of data and small pure functions.

Each finding names the place (message and part, or the keyword), the value, the limit and the way out. Sizes come from
headers and nothing is decoded; what a header does not tell passes, and so does what is behind a URL, which is never
fetched. What a medium may weigh is checked where it is encoded (`media.locate`) or uploaded (`uploads.needed`).

Sources: the vendor's pages "Visual understanding (Qwen-VL)", 2025-12-18 (media), "Error codes" and "Qwen API reference"
(parameters); the limits of each model are in `models`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.inspection import inspect_image, inspect_video
from qwenvl_core.media.sniffing import MediaInfo
from qwenvl_core.request import tool_validation
from qwenvl_core.tokens import MAX_RATIO, exceeds_max_ratio
from qwenvl_core.types.media import InlineSource, Source, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Media, TextPart, VideoPart
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import ModelSettings

MIN_SIDE = 10
"""Both sides of an image have more pixels than this."""
LARGE_PIXELS = 3840 * 2160
"""Area (4K) above which an image is JPEG or PNG."""
FORMATS: dict[str, str] = {
    "image/bmp": "BMP", "image/jpeg": "JPEG", "image/png": "PNG", "image/tiff": "TIFF", "image/webp": "WEBP",
    "image/heic": "HEIC",
}  # fmt: skip
"""MIME types of the images that the service reads, and their names."""
LARGE_FORMATS = ("image/jpeg", "image/png")
"""Those of images above 4K."""

_FIT = 'or let it be converted: media_policy="fit"'


@dataclass(frozen=True, slots=True)
class Range:
    """Which numbers a parameter may be.

    Attributes:
        low: The least, `None` where nothing bounds it.
        high: The greatest, likewise.
        open_low: `low` itself is out.
        open_high: `high` itself is out.
        whole: Whole numbers only.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Whether `value` is a number in this span."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        above = self.low is None or value > self.low or (value == self.low and not self.open_low)
        below = self.high is None or value < self.high or (value == self.high and not self.open_high)
        return above and below and (isinstance(value, int) or math.isfinite(value))

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        low = "" if self.low is None else f" {'above' if self.open_low else 'from'} {_number(self.low)}"
        high = "" if self.high is None else f" {'to below' if self.open_high else 'to'} {_number(self.high)}"
        return kind + (f"{low}{high}" if high or self.open_low else f" of {_number(self.low or 0)} or more")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


# --- Parameters. "Error codes" lists each range in the words of its refusal.

_POSITIVE = Range(0, open_low=True)
_FPS = Range(0.1, 10)  # "Visual understanding", video files
_SPANS: dict[str, Range] = {
    "temperature": Range(0, 2, open_high=True),
    "top_p": Range(0, 1, open_low=True),
    "top_k": Range(0, whole=True),
    "presence_penalty": Range(-2, 2),
    "repetition_penalty": _POSITIVE,
    "top_logprobs": Range(0, whole=True),  # no source that states an upper limit was found
    "min_pixels": _POSITIVE,
    "max_pixels": _POSITIVE,
    "fps": _FPS,
}
_SEEDS: dict[Api, Range] = {"openai": Range(0, 2**31 - 1, whole=True), "dashscope": Range(0, 2**63 - 1, whole=True)}
_HINTS: dict[str, Range] = {
    "fps": _FPS,
    "min_pixels": _POSITIVE,
    "max_pixels": _POSITIVE,
    "total_pixels": _POSITIVE,
}


def check(prepared: PreparedRequest, facts: ModelFacts, api: Api) -> None:
    """Check a request as it is going to be sent.

    Args:
        prepared: The request.
        facts: Of the model that is asked. Of one that no row knows, only what the API limits is checked.
        api: The API that is going to be used: `seed` has another range in each.

    Raises:
        QwenVLInputError: The service would refuse it.
    """
    for finding in _violations(prepared, _service_limits(prepared.settings, facts), api):
        raise QwenVLInputError(finding)


def _violations(prepared: PreparedRequest, facts: ModelFacts, api: Api) -> Iterator[str]:
    yield from _check_settings(prepared.settings, facts, api)
    for message in prepared.messages:
        for part in message.parts:
            if not isinstance(part, TextPart):
                yield from _of_media(part, prepared.settings, facts)
    yield from tool_validation.violations(prepared, facts)


def _service_limits(settings: ModelSettings, facts: ModelFacts) -> ModelFacts:
    """The limits that hold for a model by this name.

    The service has no name with an `org/` in front: that is a checkpoint on a server of its own, which has the
    model's abilities but not the service's limits.
    """
    if "/" not in settings.model:
        return facts
    return replace(
        facts, max_output=None, max_thinking_budget=None, frames_min=None, max_frames=None, video_seconds=None
    )


# --- Settings


def _check_settings(settings: ModelSettings, facts: ModelFacts, api: Api) -> Iterator[str]:
    spans = {
        **_SPANS,
        "seed": _SEEDS[api],
        "max_tokens": Range(1, facts.max_output, whole=True),
        "thinking_budget": Range(1, facts.max_thinking_budget, whole=True),
    }
    for name, span in spans.items():
        value = getattr(settings, name)
        if value is not None and not span.holds(value):
            of_model = f" for {settings.model}" if name in ("max_tokens", "thinking_budget") else ""
            other = "" if name in _HINTS else f" Other servers get it by extra_body={{{name!r}: {value!r}}}."
            yield f"{name}={value!r}: the service takes {span}{of_model}.{other}"
    yield from _check_pixel_bounds(settings.min_pixels, settings.max_pixels)
    if settings.stop is not None and not all(settings.stop):
        yield f"stop={list(settings.stop)!r}: each of these words needs at least one character."
    if settings.media_policy not in ("error", "fit"):
        yield f'media_policy={settings.media_policy!r}: this is "error" or "fit".'


def _check_pixel_bounds(least: float | None, most: float | None) -> Iterator[str]:
    if least is not None and most is not None and least > most:
        yield f"min_pixels={least!r} is more than max_pixels={most!r}: no size fits both; leave one of them out."


# --- Media


def _of_media(part: Media, settings: ModelSettings, facts: ModelFacts) -> Iterator[str]:
    """What is wrong with one part, and where it stands."""
    for rule in _PART_RULES:
        for finding in rule(part, settings, facts):
            yield f"{part.location}: {finding}"
    match part:
        case ImagePart(source):
            for finding in _of_image(source):
                yield f"{part.location}: {finding}"
        case FramesPart(sources):
            for at, source in enumerate(sources):
                for finding in _of_image(source):
                    yield f"{part.frame_location(at)}: {finding}"


def _check_modality(part: Media, settings: ModelSettings, facts: ModelFacts) -> Iterator[str]:
    takes, kind, other = (
        (facts.images, "images", "send text")
        if isinstance(part, ImagePart)
        else (facts.videos, "videos", "send single images")
    )
    if not takes:
        yield f"{settings.model} takes no {kind}; {other}, or ask a model that does, such as qwen3-vl-plus."


def _hints(part: Media, settings: ModelSettings, facts: ModelFacts) -> Iterator[str]:
    for name, span in _HINTS.items():
        value = getattr(part, name, None)
        if value is not None and not span.holds(value):
            yield f"{name}={value!r}: the service takes {span}."
    effective = settings.for_part(part)
    yield from _check_pixel_bounds(effective.min_pixels, effective.max_pixels)


def _frame_count(part: Media, settings: ModelSettings, facts: ModelFacts) -> Iterator[str]:
    """Source: image lists of each model series."""
    if not isinstance(part, FramesPart):
        return
    count, least, most = len(part.sources), facts.frames_min or 1, facts.max_frames
    if count < least or (most is not None and count > most):
        span = f"{least:,} to {most:,}" if most is not None else f"at least {least:,}"
        yield (
            f"a video as a list of {count:,} frames; {settings.model} takes {span}. Take frames from the video "
            f"{'more' if count < least else 'less'} often, and set fps= to how many a second."
        )


def _duration(part: Media, settings: ModelSettings, facts: ModelFacts) -> Iterator[str]:
    """Source: video limits, durations of each model series."""
    if not isinstance(part, VideoPart) or facts.video_seconds is None:
        return
    seconds = inspect_video(part.source).seconds
    least, most = facts.video_seconds
    if seconds is not None and not least <= seconds <= most:
        way_out = "Send its frames as a list" if seconds < least else "Cut it, or ask a model that takes longer ones"
        yield (
            f"a video of {_precise(seconds, least, most)} seconds; {settings.model} takes {least:g} to {most:,g} "
            f"seconds. {way_out}."
        )


def _precise(seconds: float, *limits: float) -> str:
    """A duration, with as many digits as tell it from the limits."""
    return next((text for text in (f"{seconds:.1f}", f"{seconds:.3f}") if float(text) not in limits), repr(seconds))


_PART_RULES: tuple[Callable[[Media, ModelSettings, ModelFacts], Iterator[str]], ...] = (
    _check_modality,
    _hints,
    _frame_count,
    _duration,
)


def _of_image(source: Source) -> Iterator[str]:
    if isinstance(source, UrlSource):
        return
    seen = inspect_image(source)
    for rule in _IMAGE_RULES:
        yield from rule(seen, source)


def _format(seen: MediaInfo, source: Source) -> Iterator[str]:
    """Source: image limits, supported formats. Where the bytes tell nothing, the caller's word counts."""
    said = source.mime if isinstance(source, InlineSource) and seen.mime is None else None
    # What is not an image at all is told where it is encoded; `image/*` and `image/jpg` are harmless words.
    mime = seen.mime if seen.kind == "image" else said
    if mime and mime.startswith("image/") and mime not in (*FORMATS, "image/*", "image/jpg"):
        yield f"this image is {mime}; the service reads {_listed(FORMATS.values())}. Convert it, {_FIT}."


def _sides(seen: MediaInfo, source: Source) -> Iterator[str]:
    """Source: image limits, smallest size; the service's refusal says "must be larger than 10"."""
    if seen.width and seen.height and min(seen.width, seen.height) <= MIN_SIDE:
        yield (
            f"this image is {seen.width}x{seen.height} pixels; both sides must be larger than {MIN_SIDE}. "
            f'Enlarge it, or let that be done: media_policy="fit".'
        )


def _ratio(seen: MediaInfo, source: Source) -> Iterator[str]:
    """Source: image limits, ratio of the sides."""
    if seen.width and seen.height and exceeds_max_ratio(seen.width, seen.height):
        yield (
            f"this image is {seen.width}x{seen.height} pixels; the longer side may be at most {MAX_RATIO} times the "
            "shorter one. Crop it, or split it into several images."
        )


def _large_format(seen: MediaInfo, source: Source) -> Iterator[str]:
    """Source: image limits, formats from 4K to 8K."""
    if (seen.width or 0) * (seen.height or 0) > LARGE_PIXELS and seen.mime not in LARGE_FORMATS:
        yield (
            f"this image ({seen.mime}) is {seen.width}x{seen.height} pixels; above 4K (3840x2160) the service reads "
            f"JPEG and PNG only. Convert it, {_FIT}."
        )


_IMAGE_RULES: tuple[Callable[[MediaInfo, Source], Iterator[str]], ...] = (_ratio, _format, _sides, _large_format)


def _listed(names: Any) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}"

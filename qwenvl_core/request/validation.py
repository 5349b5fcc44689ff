"""Validate a prepared request against the limits of the service, before anything is sent.

Limits are rows of data, rules are small pure functions. Each violation names the location (message and block, or the
keyword), the value, the limit and the way out. Sizes come from headers and nothing is decoded; what a header does not
tell passes, and so does media behind a URL, which is never fetched. The size in bytes of a medium is checked where it
is encoded (`media.sources`) or uploaded (`media.uploads`).

Sources: the vendor's pages "Visual understanding (Qwen-VL)", 2025-12-18 (media), "Error codes" and "Qwen API reference"
(parameters); the limits of each model are in `catalog.models`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import get_args

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.catalog.names import is_service_name
from qwenvl_core.catalog.provider_models import SERVICE_LIMITS
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.catalog.rows import unset
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.inspection import inspect_image, inspect_video
from qwenvl_core.media.sniffing import HEIF_TYPES, MediaInfo
from qwenvl_core.request import count_validation, ocr_validation, provider_validation, tool_validation
from qwenvl_core.request.ranges import Range
from qwenvl_core.request.thinking import is_thinking
from qwenvl_core.tokens import MAX_RATIO, exceeds_max_ratio
from qwenvl_core.types.media import InlineSource, Source, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Media, TextPart, VideoPart
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import ForcedOutput, ModelSettings

MIN_SIDE = 10
"""Both sides of an image must be larger than this, in pixels."""
LARGE_PIXELS = 3840 * 2160
"""Area (4K) above which an image must be JPEG or PNG."""
FORMATS: dict[str, str] = {
    "image/bmp": "BMP", "image/jpeg": "JPEG", "image/png": "PNG", "image/tiff": "TIFF", "image/webp": "WEBP",
    "image/heic": "HEIC",
}  # fmt: skip
"""MIME types and names of the image formats that the service reads."""
LARGE_FORMATS = ("image/jpeg", "image/png")
"""MIME types of the formats that the service reads above 4K."""

_FIT_HINT = 'or let it be converted: media_policy="fit"'


# --- Parameters. "Error codes" lists each range in the text of its refusal.

_POSITIVE = Range(0, open_low=True)
_FPS = Range(0.1, 10)  # "Visual understanding", video files
_PARAMETER_RANGES: dict[str, Range] = {
    "temperature": Range(0, 2, open_high=True),
    "top_p": Range(0, 1, open_low=True),
    "top_k": Range(0, whole=True),
    "presence_penalty": Range(-2, 2),
    "repetition_penalty": _POSITIVE,
    "max_completion_tokens": Range(1, whole=True),
    "top_logprobs": Range(0, whole=True),  # no source that states an upper limit was found
}
_SEED_RANGES: dict[Api, Range] = {
    "openai": Range(0, 2**31 - 1, whole=True),
    "dashscope": Range(0, 2**63 - 1, whole=True),
}
_MEDIA_RANGES: dict[str, Range] = {
    "fps": _FPS,
    "min_pixels": _POSITIVE,
    "max_pixels": _POSITIVE,
    "total_pixels": _POSITIVE,
}


def check_policy_settings(settings: ModelSettings) -> None:
    """Check the settings that decide which rules of the policy apply.

    They are checked before the policy, which may drop them from the request.

    Raises:
        QwenVLInputError: `thinking_budget`, `forced_output` or `output_retries` is invalid, or settings of thinking
            contradict each other.
    """
    _raise_first(_find_policy_violations(settings))


def check(prepared: PreparedRequest, facts: ModelFacts, api: Api) -> None:
    """Check a prepared request.

    Args:
        prepared: The request.
        facts: Facts of its model. For an unknown model only the limits of the API are checked.
        api: The API of the request: the range of `seed` depends on it.

    Raises:
        QwenVLInputError: The service would reject the request.
    """
    if get_provider(prepared.settings.provider).is_model_studio:
        _raise_first(_find_violations(prepared, _lift_limits(prepared.settings, facts), api))
    else:
        _raise_first(_find_general_violations(prepared, facts, api))


def check_media(prepared: PreparedRequest, facts: ModelFacts) -> None:
    """Check the media of a prepared request, each by itself.

    Raises:
        QwenVLInputError: The service would reject an image or a video.
    """
    settings, provider = prepared.settings, get_provider(prepared.settings.provider)
    if provider.is_model_studio:
        _raise_first(_find_media_violations(prepared, _lift_limits(settings, facts)))
    else:
        _raise_first(provider_validation.find_media_violations(prepared.messages, settings, provider))
        _raise_first(_find_general_media_violations(prepared, facts))


def _raise_first(violations: Iterable[str]) -> None:
    for violation in violations:
        raise QwenVLInputError(violation)


def _find_violations(prepared: PreparedRequest, facts: ModelFacts, api: Api) -> Iterator[str]:
    if not prepared.messages:
        yield "The conversation is empty. The service needs at least one message. Pass a user message."
    yield from _check_answer_length(prepared, facts, api)
    yield from _check_settings(prepared.settings, facts, api)
    yield from _find_media_violations(prepared, facts)
    yield from count_validation.find_violations(prepared, facts)
    yield from tool_validation.find_violations(prepared, facts)
    yield from ocr_validation.find_violations(prepared, facts, api)


def _find_media_violations(prepared: PreparedRequest, facts: ModelFacts) -> Iterator[str]:
    for message in prepared.messages:
        for part in message.parts:
            if not isinstance(part, TextPart):
                yield from _check_part(part, prepared.settings, facts)


def _lift_limits(settings: ModelSettings, facts: ModelFacts) -> ModelFacts:
    """Return the facts without the service's limits for names that the service does not have, such as `org/name`."""
    return facts if is_service_name(settings.model) else replace(facts, **unset(*SERVICE_LIMITS))


def _find_general_violations(prepared: PreparedRequest, facts: ModelFacts, api: Api) -> Iterator[str]:
    """Yield what no server takes: the limits of other servers than Model Studio are theirs to state."""
    settings = prepared.settings
    yield from _check_choices(settings)
    yield from _check_pixel_bounds(settings.min_pixels, settings.max_pixels)
    yield from _find_general_media_violations(prepared, facts)
    yield from ocr_validation.find_violations(prepared, facts, api)


def _find_general_media_violations(prepared: PreparedRequest, facts: ModelFacts) -> Iterator[str]:
    for message in prepared.messages:
        for part in message.parts:
            if not isinstance(part, TextPart):
                for rule in (_check_modality, _check_part_options):
                    yield from (f"{part.location}: {violation}" for violation in rule(part, prepared.settings, facts))


# --- Settings


def _find_policy_violations(settings: ModelSettings) -> Iterator[str]:
    yield from Range(1, whole=True).find_violations("thinking_budget", settings.thinking_budget)
    if settings.forced_output not in get_args(ForcedOutput):
        allowed = ", ".join(f'"{value}"' for value in get_args(ForcedOutput))
        yield f"forced_output={settings.forced_output!r}: allowed are {allowed}."
    yield from Range(0, whole=True).find_violations("output_retries", settings.output_retries)
    if settings.reasoning_effort is not None:
        yield from _check_effort(settings)


def _check_effort(settings: ModelSettings) -> Iterator[str]:
    """Yield what contradicts an effort. Source: "DashScope API reference", `reasoning_effort`."""
    effort = f"reasoning_effort={settings.reasoning_effort!r}"
    if settings.thinking_budget is not None:
        yield (
            f"{effort} and thinking_budget={settings.thinking_budget!r} are both set: the service accepts one of them. "
            "Leave one out."
        )
    if not settings.enable_thinking and settings.has_effort:
        yield (
            f"{effort} with enable_thinking=False: an effort needs thinking. Leave the effort out, or pass "
            "enable_thinking=True with it."
        )


def _check_settings(settings: ModelSettings, facts: ModelFacts, api: Api) -> Iterator[str]:
    of_model = {
        "max_tokens": Range(1, facts.max_output, whole=True),
        "thinking_budget": Range(1, facts.max_thinking_budget, whole=True),
    }
    for name, limits in {**_PARAMETER_RANGES, **_MEDIA_RANGES, "seed": _SEED_RANGES[api], **of_model}.items():
        value = getattr(settings, name, None)  # `total_pixels` belongs to parts only
        for violation in limits.find_violations(name, value, model=settings.model if name in of_model else ""):
            hint = f" For another server, pass extra_body={{{name!r}: {value!r}}}."
            yield violation + ("" if name in _MEDIA_RANGES else hint)
    yield from _check_pixel_bounds(settings.min_pixels, settings.max_pixels)
    yield from _check_choices(settings)


def _check_choices(settings: ModelSettings) -> Iterator[str]:
    if settings.stop is not None and not all(settings.stop):
        yield f"stop={list(settings.stop)!r}: each of these strings needs at least one character."
    if settings.media_policy not in ("check", "fit"):
        yield f'media_policy={settings.media_policy!r}: allowed are "check" and "fit".'
    if settings.upload not in ("auto", "always", "never"):
        yield f'upload={settings.upload!r}: allowed are "auto", "always" and "never".'


def _check_answer_length(prepared: PreparedRequest, facts: ModelFacts, api: Api) -> Iterator[str]:
    """Yield what is wrong with the limits of the answer in this API. Source: "Error codes", "Qwen API reference"."""
    settings, limit = prepared.settings, facts.max_tokens_thinking
    has_total = api == "openai"
    if settings.max_completion_tokens is not None and not has_total:
        yield (
            f"max_completion_tokens={settings.max_completion_tokens!r}: the native API has no such parameter. "
            'Use max_tokens, or api="openai".'
        )
    is_too_long = limit is not None and isinstance(settings.max_tokens, int) and settings.max_tokens > limit
    if is_too_long and is_thinking(prepared, facts):
        alternative = "Use max_completion_tokens, which counts thinking and answer together"
        if not has_total:
            alternative = 'Use api="openai" with max_completion_tokens'
        yield (
            f"max_tokens={settings.max_tokens!r}: the service accepts {Range(1, limit, whole=True)} for "
            f"{settings.model} while it thinks. {alternative}, or enable_thinking=False."
        )


def _check_pixel_bounds(min_pixels: float | None, max_pixels: float | None) -> Iterator[str]:
    if min_pixels is not None and max_pixels is not None and min_pixels > max_pixels:
        yield (
            f"min_pixels={min_pixels!r} is more than max_pixels={max_pixels!r}: no size fits both. "
            "Leave one of them out."
        )


# --- Media


def _check_part(part: Media, settings: ModelSettings, facts: ModelFacts) -> Iterator[str]:
    """Yield the violations of one part, with its location."""
    for rule in _PART_RULES:
        for violation in rule(part, settings, facts):
            yield f"{part.location}: {violation}"
    match part:
        case ImagePart(source):
            for violation in _check_image(source):
                yield f"{part.location}: {violation}"
        case FramesPart(sources):
            for index, source in enumerate(sources):
                for violation in _check_image(source):
                    yield f"{part.frame_location(index)}: {violation}"


def _check_modality(part: Media, settings: ModelSettings, facts: ModelFacts) -> Iterator[str]:
    is_supported, kind, alternative = (
        (facts.images, "images", "Send text")
        if isinstance(part, ImagePart)
        else (facts.videos, "videos", "Send single images" if facts.images else "Send text")
    )
    if not is_supported:
        yield f"{settings.model} takes no {kind}. {alternative}, or use a model that does, such as qwen3-vl-plus."


def _check_part_options(part: Media, settings: ModelSettings, facts: ModelFacts) -> Iterator[str]:
    for name, limits in _MEDIA_RANGES.items():
        yield from limits.find_violations(name, getattr(part, name, None))
    effective = settings.for_part(part)
    yield from _check_pixel_bounds(effective.min_pixels, effective.max_pixels)


def _check_frame_count(part: Media, settings: ModelSettings, facts: ModelFacts) -> Iterator[str]:
    """Check the number of frames. Source: image lists of each model series."""
    if not isinstance(part, FramesPart):
        return
    count, min_frames, max_frames = len(part.sources), facts.frames_min or 1, facts.max_frames
    if count < min_frames or (max_frames is not None and count > max_frames):
        limits = f"{min_frames:,} to {max_frames:,}" if max_frames is not None else f"at least {min_frames:,}"
        yield (
            f"this video is a list of {count:,} frames; {settings.model} takes {limits}. Sample frames from the video "
            f"{'more' if count < min_frames else 'less'} often, and set fps= to the frames per second."
        )


def _check_duration(part: Media, settings: ModelSettings, facts: ModelFacts) -> Iterator[str]:
    """Check the duration. Source: video limits, durations of each model series."""
    if not isinstance(part, VideoPart) or facts.video_seconds is None:
        return
    seconds = inspect_video(part.source).seconds
    shortest, longest = facts.video_seconds
    if seconds is not None and not shortest <= seconds <= longest:
        hint = "Send its frames as a list" if seconds < shortest else "Cut it, use a model that takes longer ones"
        hint += ', or let its frames be sent: media_policy="fit"'
        yield (
            f"this video has {_format_duration(seconds, shortest, longest)} seconds; {settings.model} takes "
            f"{shortest:g} to {longest:,g} seconds. {hint}."
        )


def _format_duration(seconds: float, *limits: float) -> str:
    """Format a duration with as many digits as it needs to differ from the limits."""
    return next((text for text in (f"{seconds:.1f}", f"{seconds:.3f}") if float(text) not in limits), repr(seconds))


_PART_RULES: tuple[Callable[[Media, ModelSettings, ModelFacts], Iterator[str]], ...] = (
    _check_modality,
    _check_part_options,
    _check_frame_count,
    _check_duration,
)


def _check_image(source: Source) -> Iterator[str]:
    if isinstance(source, UrlSource):
        return
    info = inspect_image(source)
    for rule in _IMAGE_RULES:
        yield from rule(info, source)


def _check_format(info: MediaInfo, source: Source) -> Iterator[str]:
    """Check the format, by the caller's MIME type where the bytes are unknown. Source: image limits, formats."""
    declared = source.mime if isinstance(source, InlineSource) and info.mime is None else None
    # Media of another kind are reported where they are encoded; `image/*` and `image/jpg` are harmless.
    mime = info.mime if info.kind == "image" else declared
    if mime and mime.startswith("image/") and mime not in (*FORMATS, "image/*", "image/jpg"):
        yield f"this image is {mime}; the service reads {_join_names(FORMATS.values())}. Convert it, {_FIT_HINT}."


def _check_sides(info: MediaInfo, source: Source) -> Iterator[str]:
    """Check the length of the sides. Source: image limits, smallest size; the refusal "must be larger than 10"."""
    if info.width and info.height and min(info.width, info.height) <= MIN_SIDE:
        yield (
            f"this image is {info.width}x{info.height} pixels; both sides must be larger than {MIN_SIDE}. "
            f'Enlarge it, or let it be enlarged: media_policy="fit".'
        )


def _check_ratio(info: MediaInfo, source: Source) -> Iterator[str]:
    """Check the ratio of the sides. Source: image limits, ratio of the sides."""
    if info.width and info.height and exceeds_max_ratio(info.width, info.height):
        yield (
            f"this image is {info.width}x{info.height} pixels; the longer side may be at most {MAX_RATIO} times the "
            "shorter one. Crop it, or split it into several images."
        )


def _check_large_format(info: MediaInfo, source: Source) -> Iterator[str]:
    """Check the format of a large image. Source: image limits, formats from 4K to 8K."""
    if (info.width or 0) * (info.height or 0) > LARGE_PIXELS and info.mime not in LARGE_FORMATS:
        plugin = " (needs pillow-heif: call pillow_heif.register_heif_opener())" if info.mime in HEIF_TYPES else ""
        yield (
            f"this image ({info.mime}) is {info.width}x{info.height} pixels; above 4K (3840x2160) the service reads "
            f"JPEG and PNG only. Convert it, {_FIT_HINT}{plugin}."
        )


_IMAGE_RULES: tuple[Callable[[MediaInfo, Source], Iterator[str]], ...] = (
    _check_ratio,
    _check_format,
    _check_sides,
    _check_large_format,
)


def _join_names(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}"

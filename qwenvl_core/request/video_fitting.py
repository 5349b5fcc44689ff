"""Turn local videos that can't be sent into lists of frames: `media_policy="fit"`.

A video becomes frames where it is too large, too long or too short, has a container that the service does not read, or
goes to a server that takes no videos. The frames are sampled evenly, at the part's `fps` or twice a second, within the
number of frames that the model takes, each a JPEG of the size that the model gets. Every change is reported.

Sources: the vendor's page "Visual understanding (Qwen-VL)", video limits and lists of frames.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.catalog.names import is_service_name
from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.frame_sampling import SamplingPlan, count_frames, sample_source
from qwenvl_core.media.inspection import inspect_image, inspect_video
from qwenvl_core.media.sources import DATA_URI_LIMIT, data_uri
from qwenvl_core.media.uploads import VIDEO_LIMIT, compute_size
from qwenvl_core.media.video_decoding import measure_video
from qwenvl_core.tokens import MIN_FRAME_PIXELS, exceeds_max_ratio, frame_max_pixels, raise_frame_cap, smart_resize
from qwenvl_core.types.media import InlineSource, UrlSource
from qwenvl_core.types.messages import FramesPart, Message, Part, VideoPart
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings

CONTAINERS: dict[str, str] = {
    "video/mp4": "MP4", "video/x-m4v": "MP4", "video/x-msvideo": "AVI", "video/x-matroska": "MKV",
    "video/quicktime": "MOV", "video/x-flv": "FLV", "video/x-ms-wmv": "WMV",
}  # fmt: skip
"""MIME types and names of the containers that the service reads."""

DEFAULT_FPS = 2.0
"""Frames per second that the service samples by default."""
_MIN_FPS, _MAX_FPS = 0.1, 10.0  # that the service accepts
_MIN_FRAMES = 4
_DEFAULT_MAX_FRAMES = 768  # for models without a limit. Source: qwen-vl-utils, FPS_MAX_FRAMES
_MAX_SINGLE_IMAGES = 64  # where frames are sent as images, each with the cost of one
_MAX_FRAME_BYTES = (
    64 * 1024 * 1024
)  # of all frames of a request, so that its body can be sent; no source states a limit


@dataclass(frozen=True, slots=True)
class FittingContext:
    """What decides whether and how a video is fitted.

    Attributes:
        settings: The settings of the request.
        facts: Facts of its model.
        has_storage: Whether the server has temporary storage for uploads.
    """

    settings: ModelSettings
    facts: ModelFacts
    has_storage: bool

    @property
    def provider(self) -> Provider:
        """The server."""
        return get_provider(self.settings.provider)


def fit_videos(request: Request, facts: ModelFacts, *, has_storage: bool) -> Request:
    """Turn local videos that can't be sent into lists of frames, if the request's `media_policy` is `"fit"`.

    Raises:
        QwenVLInputError: A video of a user message can't be decoded, or PyAV is missing.
    """
    context = FittingContext(request.settings, facts, has_storage)
    videos = [part for message in request.messages for part in message.parts if find_reason(part, context)]
    if not videos:
        return request
    notes: list[str] = []
    max_bytes = _MAX_FRAME_BYTES // len(videos)
    messages = tuple(
        replace(message, parts=tuple(_fit_part(part, message, context, max_bytes, notes) for part in message.parts))
        for message in request.messages
    )
    return replace(request, messages=messages, adjustments=(*request.adjustments, *notes))


def find_reason(part: Part, context: FittingContext) -> str | None:
    """Return why a video is sent as frames; `None` if it is sent as it is."""
    if not isinstance(part, VideoPart) or isinstance(part.source, UrlSource):
        return None
    if context.settings.media_policy != "fit" or not context.facts.videos:
        return None
    info = inspect_image(part.source)
    if info.kind != "video":
        return None  # reported where it is encoded
    if not context.provider.videos:
        return f"{context.provider.name} takes no videos"
    if context.provider.is_model_studio and info.mime not in CONTAINERS:
        return f"the service reads no {info.mime}"
    return _find_excess(part, context)


def check_fitted(part: Part, context: FittingContext) -> None:
    """Check that a video needs no fitting, after `fit_videos`.

    Raises:
        QwenVLInputError: The video could not be fitted.
    """
    reason = find_reason(part, context)
    if reason is not None and isinstance(part, VideoPart):
        raise QwenVLInputError(f"{part.location}: this video can't be sent ({reason}), nor decoded.")


def plan_video(part: VideoPart, context: FittingContext) -> SamplingPlan:
    """Return the frames to sample of a local video.

    Raises:
        QwenVLInputError: The video can't be decoded, its sides differ too much, or PyAV is missing.
    """
    if isinstance(part.source, UrlSource):
        raise QwenVLInputError(f"{part.location}: a video at a URL is not fetched. Give a local file or bytes.")
    measures = measure_video(part.source, part.location)
    settings, facts, provider = context.settings.for_part(part), context.facts, context.provider
    high = facts.max_frames or _DEFAULT_MAX_FRAMES
    if provider.frames == "images":
        high = min(high, _MAX_SINGLE_IMAGES)
    count, fps = count_frames(
        measures.seconds, settings.fps or DEFAULT_FPS, low=facts.frames_min or _MIN_FRAMES, high=high
    )
    if exceeds_max_ratio(measures.width, measures.height):
        raise QwenVLInputError(
            f"{part.location}: this video is {measures.width}x{measures.height} pixels; the longer side may be at most "
            "200 times the shorter one. Crop it."
        )
    height, width = smart_resize(
        measures.height,
        measures.width,
        factor=facts.video_factor,
        min_pixels=MIN_FRAME_PIXELS,
        max_pixels=frame_max_pixels(count, raise_frame_cap(facts, settings.max_pixels)),
    )
    return SamplingPlan(count, fps, (width, height))


def _find_excess(part: VideoPart, context: FittingContext) -> str | None:
    """Return which limit of size or duration a video exceeds."""
    source, facts = part.source, context.facts
    if isinstance(source, UrlSource):
        return None
    with suppress(QwenVLInputError):
        uri = data_uri(source, "video", part.location)
        can_upload = context.has_storage and context.settings.upload != "never"
        limit = min(facts.video_max_bytes or VIDEO_LIMIT, VIDEO_LIMIT)
        if compute_size(uri, part.location) > limit if can_upload else len(uri) > DATA_URI_LIMIT:
            return "it is too large"
    if facts.video_seconds is None or not is_service_name(context.settings.model):
        return None
    shortest, longest = facts.video_seconds
    seconds = inspect_video(source).seconds
    if seconds is None:  # its header is not one that is read here
        with suppress(QwenVLInputError):
            seconds = measure_video(source, part.location).seconds
    if seconds is None or shortest <= seconds <= longest:
        return None
    return f"it is too {'short' if seconds < shortest else 'long'}"


def _fit_part(part: Part, message: Message, context: FittingContext, max_bytes: int, notes: list[str]) -> Part:
    reason = find_reason(part, context)
    if reason is None or not isinstance(part, VideoPart) or isinstance(part.source, UrlSource):
        return part
    try:
        plan = plan_video(part, context)
        frames = sample_source(part.source, plan, part.location, max_bytes=max_bytes)
    except QwenVLInputError:
        if message.role == "user":
            raise
        return part  # what a tool returned ends no conversation; the part is checked later
    fps = min(max(frames.fps, _MIN_FPS), _MAX_FPS)
    shown = "" if fps == frames.fps else f" (sent as {fps:g}, the service's limit)"
    notes.append(
        f"{part.location}: video sent as a list of {len(frames.jpegs)} frames at {frames.fps:.3g} per second{shown}, "
        f"because {reason}"
    )
    return FramesPart(
        tuple(InlineSource(jpeg, mime="image/jpeg") for jpeg in _repeat(frames.jpegs)),
        fps=round(fps, 4),
        min_pixels=part.min_pixels,
        max_pixels=part.max_pixels,
        total_pixels=part.total_pixels,
        cache=part.cache,
        location=part.location,
    )


def _repeat(jpegs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Repeat the last frame of a video that ended early, so that there are as many as the service needs."""
    return jpegs + jpegs[-1:] * (_MIN_FRAMES - len(jpegs))

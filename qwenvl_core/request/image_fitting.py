"""Images made fit to be sent: `media_policy="fit"`.

An image that the service would refuse (format, tiny sides, weight), or would shrink before the model sees it, becomes a
JPEG at the size at which the model sees it. Others are left as they are, and so is what is behind a URL. Every change
is told as an adjustment. Work is done an image at a time, so that memory holds one decoded image; Pillow is imported
when the first image needs it.

Sources: the vendor's page "Visual understanding (Qwen-VL)", image limits and high-resolution images.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.images import encode_jpeg, normalize_image, oriented_size, set_draft_size
from qwenvl_core.media.inspection import inspect_image, read_bytes
from qwenvl_core.media.pillow import require_pillow
from qwenvl_core.media.sniffing import MediaInfo
from qwenvl_core.media.sources import may_exceed_data_uri
from qwenvl_core.request.validation import FORMATS, LARGE_FORMATS, LARGE_PIXELS, MIN_SIDE
from qwenvl_core.tokens import (
    MIN_FRAME_PIXELS,
    exceeds_max_ratio,
    frame_max_pixels,
    image_max_pixels,
    image_resize,
    smart_resize,
)
from qwenvl_core.types.media import FileSource, InlineSource, Source, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Part
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import ModelSettings


@dataclass(frozen=True, slots=True)
class PixelBudget:
    """What the model sees of an image.

    Attributes:
        pixels: The area above which it is shrunk.
        resize: From width and height to the (height, width) at which it is seen.
    """

    pixels: float
    resize: Callable[[int, int], tuple[int, int]]


def fit_images(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """`prepared` with its images made fit, if its settings say so.

    Raises:
        QwenVLInputError: An image has to be changed and can't be: Pillow is missing, or does not read it.
    """
    if prepared.settings.media_policy != "fit":
        return prepared
    notes: list[str] = []
    messages = tuple(
        replace(message, parts=tuple(_fit_part(part, prepared.settings, facts, notes) for part in message.parts))
        for message in prepared.messages
    )
    return replace(prepared, messages=messages, adjustments=(*prepared.adjustments, *notes)) if notes else prepared


def _fit_part(part: Part, settings: ModelSettings, facts: ModelFacts, notes: list[str]) -> Part:
    match part:
        case ImagePart(source):
            fitted, note = _fit(source, _image_budget(part, settings, facts), part.location)
            notes += [f"{part.location}: {note}"] if note else []
            return replace(part, source=fitted) if note else part
        case FramesPart(sources) if facts.videos and sources:
            budget = _frame_budget(part, settings, facts)
            done = [_fit(source, budget, part.frame_location(at)) for at, source in enumerate(sources)]
            changed = [(at, note) for at, (_, note) in enumerate(done) if note]
            if not changed:
                return part
            at, note = changed[0]
            notes.append(f"{part.location}: {len(changed)} of {len(sources)} frames; frame {at}: {note}")
            return replace(part, sources=tuple(source for source, _ in done))
        case _:
            return part


def _image_budget(part: ImagePart, settings: ModelSettings, facts: ModelFacts) -> PixelBudget:
    # Of a model that no row knows, the default is not known either: nothing is lost that any model could see.
    high = bool(settings.vl_high_resolution_images) or not facts.known
    max_pixels = settings.for_part(part).max_pixels
    return PixelBudget(
        image_max_pixels(facts, max_pixels=max_pixels, vl_high_resolution_images=high),
        lambda width, height: image_resize(width, height, facts, max_pixels=max_pixels, vl_high_resolution_images=high),
    )


def _frame_budget(part: FramesPart, settings: ModelSettings, facts: ModelFacts) -> PixelBudget:
    max_pixels = max(frame_max_pixels(len(part.sources), facts), settings.for_part(part).max_pixels or 0)
    return PixelBudget(
        max_pixels,
        lambda width, height: smart_resize(
            height, width, factor=facts.video_factor, min_pixels=MIN_FRAME_PIXELS, max_pixels=max_pixels
        ),
    )


def _fit(source: Source, budget: PixelBudget, location: str) -> tuple[Source, str | None]:
    """An image as it is sent, and what was changed, if anything was."""
    if isinstance(source, UrlSource):
        return source, None
    seen = inspect_image(source)
    if seen.kind != "image" or exceeds_max_ratio(seen.width or 1, seen.height or 1):
        return source, None  # no image, or one that nothing makes fit: the checks say so
    refused = _is_refused(seen, source)
    if not refused and (seen.width or 0) * (seen.height or 0) <= budget.pixels:
        return source, None
    pillow = _import_pillow(location)
    try:
        return _converted(pillow, source, seen, budget)
    except Exception as error:  # what a decoder raises for broken bytes is anything: struct.error, SyntaxError, …
        if not refused:
            return source, None  # the service may read what Pillow does not
        why = error.message if isinstance(error, QwenVLInputError) else f"{type(error).__name__}: {error}"
        raise QwenVLInputError(
            f"{location}: this image ({seen.mime}) can't be sent as it is, nor converted ({why}). "
            "Convert it to JPEG or PNG."
        ) from error


def _is_refused(seen: MediaInfo, source: Source) -> bool:
    """Whether the service would refuse an image for what can be mended."""
    width, height = seen.width or 0, seen.height or 0
    return (
        seen.mime not in FORMATS
        or (width * height > LARGE_PIXELS and seen.mime not in LARGE_FORMATS)
        or 0 < min(width, height) <= MIN_SIDE
        or may_exceed_data_uri(source)
    )


def _import_pillow(location: str) -> Any:
    """Import Pillow's module for images.

    Raises:
        QwenVLInputError: Pillow is missing.
    """
    try:
        require_pillow('media_policy="fit"')
    except ImportError as error:
        raise QwenVLInputError(f"{location}: {error}") from error
    from PIL import Image

    return Image


def _converted(
    pillow: Any, source: InlineSource | FileSource, seen: MediaInfo, budget: PixelBudget
) -> tuple[Source, str]:
    """An image as JPEG, at the size at which the model sees it if that is smaller, or if it is tiny."""
    with pillow.open(source.path if isinstance(source, FileSource) else io.BytesIO(read_bytes(source))) as image:
        size = oriented_size(image)
        target = _target(*size, budget)
        set_draft_size(image, target)
        first = ", its first picture only" if getattr(image, "is_animated", False) else ""
        data = encode_jpeg(normalize_image(image, target))
    (width, height), name = target, FORMATS.get(seen.mime or "", seen.mime)
    scaled = f"scaled from {size[0]}x{size[1]} to {width}x{height}, JPEG" if size != target else ""
    return InlineSource(data, mime="image/jpeg"), (scaled or f"converted from {name} to JPEG") + first


def _target(width: int, height: int, budget: PixelBudget) -> tuple[int, int]:
    if width * height <= budget.pixels and min(width, height) > MIN_SIDE:
        return width, height
    rows, columns = budget.resize(width, height)
    return max(columns, MIN_SIDE + 1), max(rows, MIN_SIDE + 1)

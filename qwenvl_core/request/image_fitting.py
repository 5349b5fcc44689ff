"""Fit images to the limits of the service: `media_policy="fit"`.

An image that the service would reject (format, tiny sides, bytes), or would shrink for the model, becomes a JPEG of the
size that the model gets. Other images are left unchanged, and so are those behind a URL. Every change is reported as an
adjustment. Images are converted one after another, so that memory holds one decoded image; Pillow is imported when the
first image needs it.

Sources: the vendor's page "Visual understanding (Qwen-VL)", image limits and high-resolution images.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.images import encode_jpeg, get_square_size, normalize_image, set_draft_size
from qwenvl_core.media.inspection import inspect_image, read_bytes
from qwenvl_core.media.local_files import open_file
from qwenvl_core.media.pillow import require_pillow
from qwenvl_core.media.scan_values import has_unused_bits, repair_values
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
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.types.settings import ModelSettings


@dataclass(frozen=True, slots=True)
class PixelBudget:
    """The size of an image that the model gets.

    Attributes:
        pixels: Area in pixels above which the service shrinks the image.
        resize: Function of width and height that returns the (height, width) after the service's resize.
        data_uri_limit: Maximum length of the image's data URI, in characters.
        formats: MIME types that the server reads.
    """

    pixels: float
    resize: Callable[[int, int], tuple[int, int]]
    data_uri_limit: int
    formats: Collection[str] = tuple(FORMATS)


def fit_images(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Fit the images of a request if its `media_policy` is `"fit"`.

    Raises:
        QwenVLInputError: An image must be converted, but Pillow is missing or can't read it.
    """
    if prepared.settings.media_policy != "fit":
        return prepared
    notes: list[str] = []
    messages = tuple(
        replace(message, parts=tuple(_fit_part(part, prepared.settings, facts, notes) for part in message.parts))
        for message in prepared.messages
    )
    return replace(prepared, messages=messages, adjustments=(*prepared.adjustments, *notes)) if notes else prepared


def scale_images(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Scale local images to their `max_pixels` where the provider takes no such option.

    An image that can't be scaled (Pillow is missing, or can't read it) is sent as it is, which is reported too.
    """
    if not needs_scaling(prepared):
        return prepared
    notes: list[str] = []
    messages = tuple(
        replace(message, parts=tuple(_scale_part(part, prepared.settings, facts, notes) for part in message.parts))
        for message in prepared.messages
    )
    return replace(prepared, messages=messages, adjustments=(*prepared.adjustments, *dict.fromkeys(notes)))


def needs_scaling(request: Request | PreparedRequest) -> bool:
    """Return whether a request may have images that are scaled here, which takes time."""
    settings = request.settings
    if "max_pixels" in get_provider(settings.provider).image_options:
        return False
    parts = (part for message in request.messages for part in message.parts)
    return any(
        settings.for_part(part).max_pixels is not None for part in parts if isinstance(part, ImagePart | FramesPart)
    )


def _scale_part(part: Part, settings: ModelSettings, facts: ModelFacts, notes: list[str]) -> Part:
    if not isinstance(part, ImagePart | FramesPart):
        return part
    max_pixels = settings.for_part(part).max_pixels
    if max_pixels is None:
        return part
    budget = _get_scaling_budget(max_pixels, facts)
    if isinstance(part, ImagePart):
        return replace(part, source=_scale_source(part.source, budget, part.location, notes))
    sources = [
        _scale_source(source, budget, part.frame_location(index), notes) for index, source in enumerate(part.sources)
    ]
    return replace(part, sources=tuple(sources))


def _get_scaling_budget(max_pixels: int, facts: ModelFacts) -> PixelBudget:
    factor = facts.token_factor
    return PixelBudget(
        max_pixels,
        lambda width, height: smart_resize(
            height, width, factor=factor, min_pixels=factor**2, max_pixels=max(max_pixels, factor**2)
        ),
        facts.data_uri_max_bytes,
    )


def get_scaled_size(width: int, height: int, part: ImagePart, settings: ModelSettings) -> tuple[int, int]:
    """Return the width and height at which a local image is sent, see `scale_images`.

    Raises:
        QwenVLInputError: One side is more than 200 times the other.
    """
    max_pixels = settings.for_part(part).max_pixels
    if max_pixels is None or "max_pixels" in get_provider(settings.provider).image_options:
        return width, height
    return _choose_size(width, height, _get_scaling_budget(max_pixels, describe_at(settings.model, settings.provider)))


def _scale_source(source: Source, budget: PixelBudget, location: str, notes: list[str]) -> Source:
    info = None if isinstance(source, UrlSource) else inspect_image(source)
    if isinstance(source, UrlSource) or info is None or (info.width or 0) * (info.height or 0) <= budget.pixels:
        return source
    try:
        scaled, note = _convert(_import_pillow(location), source, info, budget)
    except Exception as error:  # decoders raise anything for broken bytes: struct.error, SyntaxError, …
        reason = error.message if isinstance(error, QwenVLInputError) else f"{type(error).__name__}: {error}"
        notes.append(f"{location}: max_pixels={budget.pixels} has no effect: the image can't be scaled ({reason})")
        return source
    notes.append(f"{location}: {note}, because the server takes no max_pixels")
    return scaled


def _fit_part(part: Part, settings: ModelSettings, facts: ModelFacts, notes: list[str]) -> Part:
    match part:
        case ImagePart(source):
            fitted, note = _fit_source(source, _get_image_budget(part, settings, facts), part.location)
            notes += [f"{part.location}: {note}"] if note else []
            return replace(part, source=fitted) if note else part
        case FramesPart(sources) if facts.videos and sources:
            budget = _get_frame_budget(part, settings, facts)
            results = [_fit_source(source, budget, part.frame_location(index)) for index, source in enumerate(sources)]
            changed = [(index, note) for index, (_, note) in enumerate(results) if note]
            if not changed:
                return part
            index, note = changed[0]
            notes.append(f"{part.location}: {len(changed)} of {len(sources)} frames; frame {index}: {note}")
            return replace(part, sources=tuple(source for source, _ in results))
        case _:
            return part


def _get_image_budget(part: ImagePart, settings: ModelSettings, facts: ModelFacts) -> PixelBudget:
    # The default of an unknown model is unknown too: the maximum of all models loses nothing.
    is_high = bool(settings.vl_high_resolution_images) or not facts.known
    max_pixels = settings.for_part(part).max_pixels
    return PixelBudget(
        image_max_pixels(facts, max_pixels=max_pixels, vl_high_resolution_images=is_high),
        lambda width, height: image_resize(
            width, height, facts, max_pixels=max_pixels, vl_high_resolution_images=is_high
        ),
        facts.data_uri_max_bytes,
        get_provider(settings.provider).image_formats or tuple(FORMATS),
    )


def _get_frame_budget(part: FramesPart, settings: ModelSettings, facts: ModelFacts) -> PixelBudget:
    max_pixels = max(frame_max_pixels(len(part.sources), facts), settings.for_part(part).max_pixels or 0)
    return PixelBudget(
        max_pixels,
        lambda width, height: smart_resize(
            height, width, factor=facts.video_factor, min_pixels=MIN_FRAME_PIXELS, max_pixels=max_pixels
        ),
        facts.data_uri_max_bytes,
    )


def _fit_source(source: Source, budget: PixelBudget, location: str) -> tuple[Source, str | None]:
    """Return the image to send, and a note of the change if there is one."""
    if isinstance(source, UrlSource):
        return source, None
    info = inspect_image(source)
    if info.kind != "image" or exceeds_max_ratio(info.width or 1, info.height or 1):
        return source, None  # not an image, or one that can't be fitted: validation reports it
    is_rejected = _is_rejected(info, source, budget)
    is_small = (info.width or 0) * (info.height or 0) <= budget.pixels
    if not is_rejected and is_small and not _looks_wrong(source):
        return source, None
    pillow = _import_pillow(location)
    try:
        return _convert(pillow, source, info, budget)
    except Exception as error:  # decoders raise anything for broken bytes: struct.error, SyntaxError, …
        if not is_rejected:
            return source, None  # the service may read an image that Pillow can't
        reason = error.message if isinstance(error, QwenVLInputError) else f"{type(error).__name__}: {error}"
        raise QwenVLInputError(
            f"{location}: this image ({info.mime}) can't be sent as it is, nor converted ({reason}). "
            "Convert it to JPEG or PNG."
        ) from error


def _is_rejected(info: MediaInfo, source: Source, budget: PixelBudget) -> bool:
    """Return whether the service would reject an image for a reason that a conversion removes."""
    width, height = info.width or 0, info.height or 0
    return (
        info.mime not in budget.formats
        or (width * height > LARGE_PIXELS and info.mime not in LARGE_FORMATS)
        or 0 < min(width, height) <= MIN_SIDE
        or may_exceed_data_uri(source, budget.data_uri_limit)
    )


def _looks_wrong(source: InlineSource | FileSource) -> bool:
    """Return whether the model would see an image squeezed or dark; without Pillow it is unknown.

    A fax has other resolutions across than down, and a scan of 12 bits in a file of 16 uses a part of the values. The
    service does not stretch either.
    """
    try:
        from PIL import Image

        with open_file(source.path) if isinstance(source, FileSource) else io.BytesIO(read_bytes(source)) as file:
            image = Image.open(file)
            return sorted(get_square_size(image)) != sorted(image.size) or has_unused_bits(image)
    except Exception:  # decoders raise anything for broken bytes; such an image is sent as it is
        return False


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


def _convert(
    pillow: Any, source: InlineSource | FileSource, info: MediaInfo, budget: PixelBudget
) -> tuple[Source, str]:
    """Convert an image to JPEG, at the size that the model gets if that is smaller or if the image is tiny."""
    file = open_file(source.path) if isinstance(source, FileSource) else io.BytesIO(read_bytes(source))
    with file, pillow.open(file) as image:
        size = get_square_size(image)
        shape = "" if sorted(size) == sorted(image.size) else ", with square pixels"
        target = _choose_size(*size, budget)
        set_draft_size(image, target)
        suffix = shape + (", its first frame only" if getattr(image, "is_animated", False) else "")
        upright = normalize_image(repair_values(image, is_scan=False), target)
        data = encode_jpeg(upright, budget.data_uri_limit)
    (width, height), name = target, FORMATS.get(info.mime or "", info.mime)
    scaled = f"scaled from {size[0]}x{size[1]} to {width}x{height}, JPEG" if size != target else ""
    return InlineSource(data, mime="image/jpeg"), (scaled or f"converted from {name} to JPEG") + suffix


def _choose_size(width: int, height: int, budget: PixelBudget) -> tuple[int, int]:
    if width * height <= budget.pixels and min(width, height) > MIN_SIDE:
        return width, height
    rows, columns = budget.resize(width, height)
    return max(columns, MIN_SIDE + 1), max(rows, MIN_SIDE + 1)

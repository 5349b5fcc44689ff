"""Adapt a request to the server that answers, where that is not Model Studio.

What a framework added and the server does not take is left out; what the server can't do but this package can is done
here. Each change is reported. Demands of the caller that can't be met are errors (`request.provider_validation`).

Sources: the rows of `catalog.providers`; the chat templates of the weights, for system messages and reasoning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request.provider_validation import find_violations
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Media, Part, TextPart, VideoPart
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import ModelSettings

_OPTIONS = ("fps", "min_pixels", "max_pixels", "total_pixels")


def check_demands(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Raise where the caller demands what the provider can't take.

    Raises:
        QwenVLInputError: There is such a demand; the message names it and the way out.
    """
    provider = get_provider(prepared.settings.provider)
    for violation in find_violations(prepared.messages, prepared.settings, provider):
        raise QwenVLInputError(violation)
    return prepared


def continue_last_message(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Mark a last assistant message as partial where the server continues it in any case."""
    provider = get_provider(prepared.settings.provider)
    if provider.continuation != "always" or not prepared.messages:
        return prepared
    last = prepared.messages[-1]
    if last.role != "assistant" or last.partial or last.tool_calls or not last.text:
        return prepared
    return prepared.adjust(
        f"the last message is continued: {provider.name} continues a conversation that ends with an assistant message",
        messages=(*prepared.messages[:-1], replace(last, partial=True)),
    )


def drop_implied_settings(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Leave out settings that a framework added and the provider does not take."""
    provider = get_provider(prepared.settings.provider)
    for name in sorted(prepared.settings.implied):
        if getattr(prepared.settings, name) is not None and provider.get_parameter(name) is None:
            prepared = prepared.adjust(
                f"{name} not sent: {provider.name} takes no such parameter",
                settings=_clear(prepared.settings, name),
            )
    return prepared


def drop_unwanted_tools(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Offer no tools where none may be called, and the provider would not keep to that."""
    provider, settings = get_provider(prepared.settings.provider), prepared.settings
    if settings.tool_choice != "none" or not settings.tools or "none" in provider.tool_choices:
        return prepared
    return prepared.adjust(
        f"tools not sent: tool_choice is 'none', which {provider.name} does not take",
        settings=replace(settings, tools=(), tool_choice=None),
    )


def _clear(settings: ModelSettings, name: str) -> ModelSettings:
    changes: dict[str, Any] = {name: None}
    return replace(settings, **changes)


def report_unsaid_thinking(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Report a demand to think that is not sent: such a server thinks by default, or as its operator configured it."""
    provider, settings = get_provider(prepared.settings.provider), prepared.settings
    is_demanded = prepared.enable_thinking and settings.thinking_source != "default"
    if not is_demanded or provider.thinking_on is not None:
        return prepared
    return prepared.adjust(f"enable_thinking=True not sent: {provider.name} has no switch for it, only its own default")


def report_renamed_length(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Report a limit of thinking and answer together that is sent as the limit that the provider has."""
    provider = get_provider(prepared.settings.provider)
    if prepared.settings.max_completion_tokens is None or "max_completion_tokens" not in dict(provider.renamed):
        return prepared
    return prepared.adjust(f"max_completion_tokens sent as max_tokens, the only limit that {provider.name} has")


def join_system_messages(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Join the system messages into one at the beginning, where the templates take no other."""
    provider = get_provider(prepared.settings.provider)
    indices = [index for index, message in enumerate(prepared.messages) if message.role == "system"]
    if not provider.joins_system or indices in ([], [0]):
        return prepared
    system = [prepared.messages[index] for index in indices]
    joined = replace(system[0], parts=_join_texts(part for message in system for part in message.parts))
    others = tuple(message for message in prepared.messages if message.role != "system")
    return prepared.adjust(
        f"system messages joined into the first: {provider.name} takes one, at the beginning",
        messages=(joined, *others),
    )


def _join_texts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Join texts by blank lines; other parts keep their order between them."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, TextPart) and isinstance(last, TextPart):
            joined[-1] = TextPart(f"{last.text}\n\n{part.text}", cache=part.cache)
        else:
            joined.append(part)
    return tuple(joined)


def convert_media(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Replace lists of frames by images, and leave out cache markers and options of media, where the provider must."""
    provider = get_provider(prepared.settings.provider)
    if provider.is_model_studio:
        return prepared
    notes = dict.fromkeys([*_find_dropped_options(prepared, provider), *_find_conversions(prepared, provider)])
    messages = tuple(
        replace(message, parts=tuple(new for part in message.parts for new in _convert_part(part, provider)))
        for message in prepared.messages
    )
    settings = replace(prepared.settings, vl_high_resolution_images=None)
    for note in notes:
        prepared = prepared.adjust(note)
    return replace(prepared, messages=messages, settings=settings)


def _find_dropped_options(prepared: PreparedRequest, provider: Provider) -> Iterable[str]:
    """Yield a note for each option of media that has no effect, in the order of their names."""
    settings = prepared.settings
    has_media = False
    dropped: set[str] = set()
    for part in _get_parts(prepared):
        if isinstance(part, TextPart):
            continue
        has_media = True
        effective = settings.for_part(part)
        options = {name: getattr(effective, name, getattr(part, name, None)) for name in _OPTIONS}
        taken = _get_taken_options(part, provider)
        dropped |= {name for name, value in options.items() if value is not None and name not in taken}
    if settings.vl_high_resolution_images is not None and has_media:
        dropped.add("vl_high_resolution_images")
    for name in sorted(dropped):
        yield f"{name} not sent: it has no effect on the media of this request at {provider.name}"


def _get_taken_options(part: Media, provider: Provider) -> frozenset[str]:
    """Return the options that have an effect, at the server or here: local images are scaled to `max_pixels`."""
    if isinstance(part, VideoPart):
        return provider.video_options
    if isinstance(part, FramesPart):
        own = provider.video_options if provider.frames == "list" else frozenset[str]()
        is_local = not any(isinstance(source, UrlSource) for source in part.sources)
        return own | {"max_pixels"} if is_local else own
    is_local = not isinstance(part.source, UrlSource)
    return provider.image_options | {"max_pixels"} if is_local else provider.image_options


def _find_conversions(prepared: PreparedRequest, provider: Provider) -> Iterable[str]:
    for part in _get_parts(prepared):
        if part.cache and not provider.cache_markers:
            yield f"cache markers not sent: {provider.name} takes none"
        if isinstance(part, FramesPart) and _becomes_images(part, provider):
            yield f"frames of videos sent as images: {provider.name} takes no list of frames"


def _becomes_images(part: FramesPart, provider: Provider) -> bool:
    if provider.frames == "jpeg_sequence":
        return any(isinstance(source, UrlSource) for source in part.sources)
    return provider.frames == "images"


def _convert_part(part: Part, provider: Provider) -> tuple[Part, ...]:
    if part.cache and not provider.cache_markers:
        part = replace(part, cache=False)
    if not isinstance(part, FramesPart) or not _becomes_images(part, provider):
        return (part,)
    return convert_frames(part)


def convert_frames(part: FramesPart) -> tuple[ImagePart, ...]:
    """Return the frames of a video as images, in their order."""
    return tuple(
        ImagePart(source, part.min_pixels, part.max_pixels, location=part.frame_location(index))
        for index, source in enumerate(part.sources)
    )


def _get_parts(prepared: PreparedRequest) -> Iterable[Part]:
    return (part for message in prepared.messages for part in message.parts)

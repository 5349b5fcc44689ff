"""Find what a caller demands and a provider can't take, before anything is sent.

What a framework added is no violation: `request.provider_policy` leaves it out and reports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.media.inspection import inspect_image
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Media, Message, TextPart, VideoPart, media_sources
from qwenvl_core.types.settings import ModelSettings

PARAMETERS = (
    "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed", "presence_penalty",
    "repetition_penalty", "logprobs", "top_logprobs", "parallel_tool_calls",
)  # fmt: skip
"""Settings that not every provider takes; options of media are reported instead."""


def find_violations(messages: tuple[Message, ...], settings: ModelSettings, provider: Provider) -> Iterator[str]:
    """Yield a sentence for each demand that the provider can't take."""
    if provider.is_model_studio:
        return
    for check in (_check_parameters, _check_lengths, _check_thinking, _check_response_format):
        yield from check(settings, provider)
    yield from _check_partial(messages, settings, provider)
    yield from find_media_violations(messages, settings, provider)


def find_media_violations(messages: tuple[Message, ...], settings: ModelSettings, provider: Provider) -> Iterator[str]:
    """Yield a sentence for each image or video that the provider can't take."""
    if provider.is_model_studio:
        return
    for message in messages:
        for part in message.parts:
            if not isinstance(part, TextPart):
                yield from (f"{part.location}: {violation}" for violation in _check_part(part, settings, provider))


def _check_parameters(settings: ModelSettings, provider: Provider) -> Iterator[str]:
    for name in PARAMETERS:
        value = getattr(settings, name)
        if value is None or name in settings.implied or provider.get_parameter(name) is not None:
            continue
        value = list(value) if isinstance(value, tuple) else value
        yield (
            f"{name}={value!r}: {provider.name} takes no such parameter. Leave it out; extra_body={{{name!r}: "
            f"{value!r}}} sends it all the same."
        )


def _check_lengths(settings: ModelSettings, provider: Provider) -> Iterator[str]:
    is_renamed = provider.get_parameter("max_completion_tokens") == "max_tokens"
    if is_renamed and settings.max_tokens is not None and settings.max_completion_tokens is not None:
        yield (
            f"max_tokens={settings.max_tokens!r} and max_completion_tokens={settings.max_completion_tokens!r}: "
            f"{provider.name} takes max_tokens only. Leave one out."
        )


def _check_thinking(settings: ModelSettings, provider: Provider) -> Iterator[str]:
    budget, effort = settings.thinking_budget, settings.reasoning_effort
    if budget is not None:
        low, high = provider.budget_range
        if provider.budget is None:
            yield f"thinking_budget={budget!r}: {provider.name} takes no thinking budget. Leave it out."
        elif budget < low or (high is not None and budget > high):
            limits = f"{low:,} or more" if high is None else f"{low:,} to {high:,}"
            yield f"thinking_budget={budget!r}: {provider.name} takes {limits} tokens."
    if settings.has_effort and provider.effort is None:
        off = '; "none" switches thinking off' if provider.thinking_off is not None else ""
        yield (
            f"reasoning_effort={effort!r}: {provider.name} takes no effort{off}. Leave it out; "
            f"extra_body={{'reasoning_effort': {effort!r}}} sends it all the same."
        )
    if settings.preserve_thinking and provider.history is None:
        yield (
            f"preserve_thinking=True: {provider.name} takes no reasoning of earlier messages. Leave it out, or put the "
            "reasoning into the text."
        )


def _check_response_format(settings: ModelSettings, provider: Provider) -> Iterator[str]:
    kind = (settings.response_format or {}).get("type")
    if kind not in (None, "text", "json_object", "json_schema"):
        yield (
            f"response_format={dict(settings.response_format or {})!r}: {provider.name} is known to take the types "
            'text, json_object and json_schema only. extra_body={"response_format": …} sends it all the same.'
        )


def _check_partial(messages: tuple[Message, ...], settings: ModelSettings, provider: Provider) -> Iterator[str]:
    if messages and messages[-1].partial and provider.continuation is None:
        yield (
            f"messages[{len(messages) - 1}]: {provider.name} continues no partial message. Ask for the rest in a user "
            "message, or use vllm, sglang, llama.cpp or model-studio."
        )


def _check_part(part: Media, settings: ModelSettings, provider: Provider) -> Iterator[str]:
    for rule in _PART_RULES:
        yield from rule(part, provider)
    if settings.media_policy != "fit":  # which converts images
        yield from _check_image_format(part, provider)


def _check_video(part: Media, provider: Provider) -> Iterator[str]:
    if isinstance(part, VideoPart) and not provider.videos:
        yield (
            f'{provider.name} takes no videos. Send frames: media_policy="fit" sends those of a local video, and '
            "qwenvl_core.media.sample_frames returns them."
        )


def _check_url(part: Media, provider: Provider) -> Iterator[str]:
    for source in media_sources(part):
        if not isinstance(source, UrlSource):
            continue
        if source.url[:6].lower() == "oss://":
            yield f"oss:// URLs are Model Studio's; {provider.name} can't read them. Give a path, bytes or an http URL."
        elif not provider.remote_media:
            yield (
                f"{provider.name} fetches nothing from URLs. Give a local file (pathlib.Path) or bytes, which are sent "
                "inline."
            )


def _check_image_format(part: Media, provider: Provider) -> Iterator[str]:
    if not provider.image_formats or not isinstance(part, ImagePart | FramesPart):
        return
    for source in media_sources(part):
        mime = None if isinstance(source, UrlSource) else inspect_image(source).mime
        if mime is not None and mime.startswith("image/") and mime not in provider.image_formats:
            names = ", ".join(name.removeprefix("image/") for name in provider.image_formats)
            yield f'this image is {mime}; {provider.name} reads {names}. Convert it, or pass media_policy="fit".'


_PART_RULES: tuple[Callable[[Media, Provider], Iterator[str]], ...] = (_check_video, _check_url)

"""Encode what both APIs share in a request: fields of a message, options of a part, headers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.media.sources import DataUri, to_url_or_data_uri
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, Part, TextPart, ToolCall, media_sources
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import ModelSettings
from qwenvl_core.types.tool_arguments import parse_arguments
from qwenvl_core.wire.dialects import get_history_field
from qwenvl_core.wire.tool_names import to_wire_name


def encode_message(content: Any, message: Message, provider_name: str = "model-studio") -> dict[str, Any]:
    """Encode a message whose content is already encoded."""
    history_field = get_history_field(provider_name)
    body: dict[str, Any] = {"role": message.role, "content": content}
    if message.name:
        body["name"] = message.name
    if message.reasoning and history_field is not None:
        body[history_field] = message.reasoning
    if message.tool_calls:
        body["tool_calls"] = [_encode_call(call) for call in message.tool_calls]
    if message.role == "tool":
        body["tool_call_id"] = message.tool_call_id or ""
    if message.partial and get_provider(provider_name).continuation == "partial":
        body["partial"] = True
    return body


def _encode_call(call: ToolCall) -> dict[str, Any]:
    # The service rejects histories whose arguments are not a JSON object, although its models may write such calls.
    arguments = call.arguments if parse_arguments(call) else "{}"
    # It also rejects calls without a name, which frameworks keep as invalid calls.
    name = to_wire_name(call.name) or "unnamed"
    return {"id": call.id, "type": "function", "function": {"name": name, "arguments": arguments}}


def drop_empty_text(message: Message) -> list[Part]:
    """Return the parts of a message without empty text; the cache marker of empty text moves to the part before."""
    parts: list[Part] = []
    for part in message.parts:
        if not isinstance(part, TextPart) or part.text:
            parts.append(part)
        elif part.cache and parts:
            parts[-1] = replace(parts[-1], cache=True)
    return parts


def encode_part_options(part: Part, settings: ModelSettings) -> dict[str, Any]:
    """Encode the options of a part that the provider takes: sampling rate, pixel bounds, rotation."""
    if isinstance(part, TextPart):
        return {}
    provider = get_provider(settings.provider)
    effective = settings.for_part(part)
    options = {
        "fps": effective.fps,
        "min_pixels": effective.min_pixels,
        "max_pixels": effective.max_pixels,
        "total_pixels": None if isinstance(part, ImagePart) else part.total_pixels,
        "enable_rotate": effective.enable_rotate,  # of the native API only; validation refuses it elsewhere
    }
    taken = provider.image_options if isinstance(part, ImagePart) else provider.video_options
    return {
        provider.sample_rate if name == "fps" else name: value
        for name, value in options.items()
        if value is not None and name in taken
    }


def encode_cache_marker(part: Part, settings: ModelSettings) -> dict[str, Any]:
    """Encode the cache marker of a part, at providers that take it."""
    is_sent = part.cache and get_provider(settings.provider).cache_markers
    return {"cache_control": {"type": "ephemeral"}} if is_sent else {}


def encode_frames(part: FramesPart, image_limit: int) -> list[str | DataUri]:
    """Encode the frames of a video as URLs and data URIs of at most `image_limit` characters.

    Raises:
        QwenVLInputError: A frame can't be read, is not an image, or is too large.
    """
    return [
        to_url_or_data_uri(source, "image", part.frame_location(index), image_limit)
        for index, source in enumerate(part.sources)
    ]


def build_upload_headers(prepared: PreparedRequest) -> dict[str, str]:
    """Return the header that makes the service read `oss://` URLs, if the request contains any."""
    sources = [source for message in prepared.messages for part in message.parts for source in media_sources(part)]
    if any(isinstance(source, UrlSource) and source.url[:6].lower() == "oss://" for source in sources):
        return {"X-DashScope-OssResourceResolve": "enable"}
    return {}

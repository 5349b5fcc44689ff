"""What both APIs spell alike in a request: parameters, the fields of a message, hints beside a part, headers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qwenvl_core.media.sources import DataUri, to_url_or_data_uri
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import FramesPart, Message, Part, TextPart, ToolCall, media_sources
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import ModelSettings, NamedTool
from qwenvl_core.types.tool_arguments import parse_arguments

# Settings that are sent under their own names.
_PASSTHROUGH = (
    "temperature", "top_p", "top_k", "max_tokens", "stop", "seed", "presence_penalty", "repetition_penalty",
    "logprobs", "top_logprobs", "parallel_tool_calls", "response_format", "thinking_budget",
    "vl_high_resolution_images",
)  # fmt: skip
_HINTS = ("fps", "min_pixels", "max_pixels", "total_pixels")


def parameters(prepared: PreparedRequest) -> dict[str, Any]:
    """How the model is to answer; without `extra_body`, which each API puts where it belongs."""
    settings = prepared.settings
    body: dict[str, Any] = {}
    if prepared.enable_thinking is not None:
        body["enable_thinking"] = prepared.enable_thinking
    if settings.preserve_thinking:
        body["preserve_thinking"] = True
    if settings.tools:
        body["tools"] = list(settings.tools)
        if settings.tool_choice is not None:
            body["tool_choice"] = _tool_choice(settings.tool_choice)
    for name in _PASSTHROUGH:
        value = getattr(settings, name)
        if value is not None:
            body[name] = value
    return body


def _tool_choice(choice: Any) -> Any:
    return {"type": "function", "function": {"name": choice.name}} if isinstance(choice, NamedTool) else choice


def encode_message(content: Any, message: Message) -> dict[str, Any]:
    """`message`, whose `content` is encoded already."""
    body: dict[str, Any] = {"role": message.role, "content": content}
    if message.name:
        body["name"] = message.name
    if message.reasoning:
        body["reasoning_content"] = message.reasoning
    if message.tool_calls:
        body["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.role == "tool":
        body["tool_call_id"] = message.tool_call_id or ""
    if message.partial:
        body["partial"] = True
    return body


def _call(call: ToolCall) -> dict[str, Any]:
    # The service refuses a history with arguments that are no JSON object, though its model may write them.
    arguments = call.arguments if parse_arguments(call) else "{}"
    # Nor does it take a call without a name, which frameworks keep as an invalid one.
    name = call.name or "unnamed"
    return {"id": call.id, "type": "function", "function": {"name": name, "arguments": arguments}}


def non_empty_parts(message: Message) -> list[Part]:
    """A message's parts but empty words; the cache marker behind these stands behind the part before them."""
    parts: list[Part] = []
    for part in message.parts:
        if not isinstance(part, TextPart) or part.text:
            parts.append(part)
        elif part.cache and parts:
            parts[-1] = replace(parts[-1], cache=True)
    return parts


def part_options(part: Part, settings: ModelSettings) -> dict[str, Any]:
    """What stands beside a part's own key: the vendor's hints, where a part's own win, and the cache marker."""
    body: dict[str, Any] = {}
    for name in _HINTS:
        if hasattr(part, name):
            value = getattr(part, name)
            value = getattr(settings, name, None) if value is None else value
            if value is not None:
                body[name] = value
    if part.cache:
        body["cache_control"] = {"type": "ephemeral"}
    return body


def frames(part: FramesPart) -> list[str | DataUri]:
    """Where the server gets each image of a video from.

    Raises:
        QwenVLInputError: One can't be read, is no image, or is too large.
    """
    return [to_url_or_data_uri(source, "image", part.frame_location(at)) for at, source in enumerate(part.sources)]


def upload_headers(prepared: PreparedRequest) -> dict[str, str]:
    """What lets the service read `oss://` URLs, where there are any."""
    sources = [source for message in prepared.messages for part in message.parts for source in media_sources(part)]
    if any(isinstance(source, UrlSource) and source.url[:6].lower() == "oss://" for source in sources):
        return {"X-DashScope-OssResourceResolve": "enable"}
    return {}

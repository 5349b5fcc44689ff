r"""Encode requests to the OpenAI-compatible API and decode its replies.

```
POST {base_url}/chat/completions
{"model": "qwen3-vl-plus",
 "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "…"}, "max_pixels": 1310720},
                                           {"type": "video_url", "video_url": {"url": "…"}, "fps": 2},
                                           {"type": "video", "video": ["…", "…"], "fps": 2},
                                           {"type": "text", "text": "…", "cache_control": {"type": "ephemeral"}}]},
              {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "type": "function",
                                                   "function": {"name": "crop", "arguments": "{}"}}]},
              {"role": "tool", "content": "…", "tool_call_id": "call_1"}],
 "stream": true, "stream_options": {"include_usage": true}, "enable_thinking": true, "thinking_budget": 500}

data: {"choices": [{"delta": {"content": null, "reasoning_content": "Okay"}, "finish_reason": null, "index": 0}], …}
data: {"choices": [{"delta": {"content": "Four.", "reasoning_content": null}, "finish_reason": "stop"}], …}
data: {"choices": [], "usage": {"prompt_tokens": 24, "completion_tokens": 9, "completion_tokens_details": {…}}, …}
data: [DONE]
```

A whole reply has `message` where a chunk has `delta`; the same code decodes both.

Sources: the vendor's pages "Visual understanding (Qwen-VL)", "Visual reasoning", "Qwen API reference", "Context cache".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.media.frame_sequence import FrameSequence
from qwenvl_core.media.sources import DataUri, to_url_or_data_uri
from qwenvl_core.types.events import Event
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, Part, TextPart, VideoPart
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.wire.decode import ReplyDecoder
from qwenvl_core.wire.dialects import encode_parameters, merge_extra_body
from qwenvl_core.wire.encode import (
    build_upload_headers,
    drop_empty_text,
    encode_cache_marker,
    encode_frames,
    encode_message,
    encode_part_options,
)
from qwenvl_core.wire.fields import read_string

_EXTRAS = ("search_info", "system_fingerprint", "service_tier")


def get_path(prepared: PreparedRequest) -> str:
    """Return the path of the endpoint, which is the same for all models."""
    return "/chat/completions"


def encode(prepared: PreparedRequest) -> dict[str, Any]:
    """Encode the body of a request; media in it may be `DataUri` objects.

    Raises:
        QwenVLInputError: An image or video can't be read or is too large.
    """
    settings = prepared.settings
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [
            encode_message(_encode_content(message, prepared), message, settings.provider)
            for message in prepared.messages
        ],
    }
    if prepared.stream:
        body["stream"] = True
        if get_provider(settings.provider).stream_usage:
            body["stream_options"] = {"include_usage": True}
    return merge_extra_body({**body, **encode_parameters(prepared)}, settings.extra_body)


def headers(prepared: PreparedRequest) -> dict[str, str]:
    """Return the headers that this request needs in addition to those of every request."""
    return build_upload_headers(prepared)


def _encode_content(message: Message, prepared: PreparedRequest) -> Any:
    """Encode the content of a message: a string if it is plain text, else a list of parts."""
    parts = drop_empty_text(message)
    is_plain_text = all(isinstance(part, TextPart) and not part.cache for part in parts)
    if is_plain_text and (len(parts) < 2 or message.role in ("assistant", "tool")):
        return "\n".join(part.text for part in parts if isinstance(part, TextPart))
    return [_encode_part(part, prepared) | encode_cache_marker(part, prepared.settings) for part in parts]


def _encode_part(part: Part, prepared: PreparedRequest) -> dict[str, Any]:
    limit, options = prepared.data_uri_max_bytes, encode_part_options(part, prepared.settings)
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart(source):
            url: Any = to_url_or_data_uri(source, "image", part.location, limit)
            return _encode_url("image_url", url, options, prepared)
        case VideoPart(source):
            url = to_url_or_data_uri(source, "video", part.location, limit)
            return _encode_url("video_url", url, options, prepared)
        case FramesPart():
            return _encode_frames(part, prepared, options)


def _encode_url(kind: str, url: Any, options: Mapping[str, Any], prepared: PreparedRequest) -> dict[str, Any]:
    """Encode a medium with its options, beside the object that holds its URL or inside."""
    if get_provider(prepared.settings.provider).option_place == "inside":
        return {"type": kind, kind: {"url": url, **options}}
    return {"type": kind, kind: {"url": url}, **options}


def _encode_frames(part: FramesPart, prepared: PreparedRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    frames = encode_frames(part, prepared.data_uri_max_bytes)
    if get_provider(prepared.settings.provider).frames == "jpeg_sequence":
        # The policy sends frames at URLs as images.
        sequence = FrameSequence(tuple(frame for frame in frames if isinstance(frame, DataUri)))
        return _encode_url("video_url", sequence, options, prepared)
    return {"type": "video", "video": frames, **options}


class Decoder(ReplyDecoder):
    """Decode the payloads of one reply, streamed or whole, into events."""

    def decode_payload(self, payload: Mapping[str, Any]) -> list[Event]:
        """Decode one payload.

        A single chunk may contain reasoning and text, several tool calls, usage and a finish reason; all are used.
        """
        if not self.model:
            self.model = read_string(payload.get("model"))
            self.reply_id = read_string(payload.get("id"))
        if payload.get("usage"):
            self._usage = payload["usage"]
        for name in _EXTRAS:
            if payload.get(name):
                self.extras[name] = payload[name]
        choices = payload.get("choices")
        # Only the first choice is used; `n` in `extra_body` may add others.
        return self._decode_choice(choices[0]) if choices and not choices[0].get("index") else []

r"""Encode requests to the native DashScope API and decode its replies.

```
POST {base_url}/services/aigc/multimodal-generation/generation        (X-DashScope-SSE: enable, for a stream)
{"model": "qwen3-vl-plus",
 "input": {"messages": [
   {"role": "user", "content": [{"image": "…", "max_pixels": 1310720},
                                {"image": "…", "enable_rotate": true},
                                {"video": "…", "fps": 2, "total_pixels": 67108864},
                                {"video": ["…", "…"], "fps": 2},
                                {"text": "…", "cache_control": {"type": "ephemeral"}}]},
   {"role": "assistant", "content": [], "tool_calls": [{"id": "call_1", "type": "function",
                                                "function": {"name": "crop", "arguments": "{}"}}]},
   {"role": "tool", "content": [{"text": "…"}], "tool_call_id": "call_1"}]},
 "parameters": {"result_format": "message", "incremental_output": true, "enable_thinking": true, "tools": […],
                "ocr_options": {"task": "key_information_extraction", "task_config": {"result_schema": {…}}}}}

id:1
event:result
:HTTP_STATUS/200
data:{"output":{"choices":[{"message":{"content":[],"reasoning_content":"Okay","role":"assistant"},
      "finish_reason":"null"}]},"usage":{"input_tokens":24,"output_tokens":3,…},"request_id":"…"}

data:{"output":{"choices":[{"message":{"content":[{"text":"Four."}],"role":"assistant"},
      "finish_reason":"stop"}]},"usage":{"input_tokens":24,"output_tokens":9,…},"request_id":"…"}
```

A text model has an endpoint of its own, `text-generation`, where the content of a message is a string.

The usage of each chunk covers the whole reply so far. No `[DONE]` follows the last chunk: the stream ends with the
connection. A whole reply is one such payload. What an OCR model located is in the content of its last payload:
`[{"text": "…", "ocr_result": {"words_info": [{"text": "…", "location": […], "rotate_rect": […]}]}}]`, or `kv_result`.

Sources: the vendor's pages "Visual understanding (Qwen-VL)", "Visual reasoning", "Qwen API reference", "Context cache",
"Text extraction (Qwen-OCR)"; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwenvl_core.media.sources import to_url_or_data_uri
from qwenvl_core.types.events import Event
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, Part, TextPart, VideoPart
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.wire.decode import ReplyDecoder, read_text
from qwenvl_core.wire.dialects import encode_parameters
from qwenvl_core.wire.encode import (
    build_upload_headers,
    drop_empty_text,
    encode_cache_marker,
    encode_frames,
    encode_message,
    encode_part_options,
)
from qwenvl_core.wire.fields import read_string

_PATH = "/services/aigc/multimodal-generation/generation"
_TEXT_PATH = "/services/aigc/text-generation/generation"


def get_path(prepared: PreparedRequest) -> str:
    """Return the path of the endpoint: the service refuses a text model at the other one, and the reverse."""
    return _TEXT_PATH if prepared.is_text_only else _PATH


def encode(prepared: PreparedRequest) -> dict[str, Any]:
    """Encode the body of a request; media in it may be `DataUri` objects.

    Raises:
        QwenVLInputError: An image or video can't be read or is too large.
    """
    settings = prepared.settings
    return {
        "model": settings.model,
        "input": {
            "messages": [encode_message(_encode_content(message, prepared), message) for message in prepared.messages]
        },
        "parameters": {
            "result_format": "message",
            # Without it each chunk repeats all text so far, and the service rejects streams that think. It does not
            # affect whole replies.
            "incremental_output": True,
            **encode_parameters(prepared),
            **_encode_ocr_options(settings.ocr_options),
            **settings.extra_body,
        },
    }


def _encode_ocr_options(ocr_options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Encode the task of an OCR model; `enable_rotate` is sent with each image instead."""
    options = {name: value for name, value in (ocr_options or {}).items() if name != "enable_rotate"}
    return {"ocr_options": options} if options else {}


def headers(prepared: PreparedRequest) -> dict[str, str]:
    """Return the headers that this request needs in addition to those of every request."""
    stream_headers = {"X-DashScope-SSE": "enable"} if prepared.stream else {}
    return {**stream_headers, **build_upload_headers(prepared)}


def _encode_content(message: Message, prepared: PreparedRequest) -> str | list[dict[str, Any]]:
    """Encode the content of a message: a list of parts, also for plain text; for a text model, a string."""
    parts = drop_empty_text(message)
    if prepared.is_text_only and all(isinstance(part, TextPart) and not part.cache for part in parts):
        return "\n".join(part.text for part in parts if isinstance(part, TextPart))
    if not parts and not message.tool_calls:
        return [{"text": ""}]
    plain_texts = [part.text for part in parts if isinstance(part, TextPart) and not part.cache]
    if message.role in ("assistant", "tool") and len(plain_texts) == len(parts) > 1:
        return [{"text": "\n".join(plain_texts)}]
    settings = prepared.settings
    return [
        {**_encode_part(part, prepared), **encode_part_options(part, settings), **encode_cache_marker(part, settings)}
        for part in parts
    ]


def _encode_part(part: Part, prepared: PreparedRequest) -> dict[str, Any]:
    limit = prepared.data_uri_max_bytes
    match part:
        case TextPart(text):
            return {"text": text}
        case ImagePart():
            return {"image": to_url_or_data_uri(part.source, "image", part.location, limit)}
        case VideoPart():
            return {"video": to_url_or_data_uri(part.source, "video", part.location)}
        case FramesPart():
            return {"video": encode_frames(part, limit)}


class Decoder(ReplyDecoder):
    """Decode the payloads of one reply, streamed or whole, into events."""

    separates_names = True  # the first fragment of a call holds its name and the beginning of its arguments

    def decode_payload(self, payload: Mapping[str, Any]) -> list[Event]:
        """Decode one payload.

        A single chunk may contain reasoning and text, several tool calls, usage and a finish reason; all are used.
        """
        if not self.request_id:
            self.request_id = self.reply_id = read_string(payload.get("request_id"))
        output = payload.get("output") or {}
        if len(output) > 1:  # further fields, such as `search_info`
            self._add_extras(output, exclude=("choices", "finish_reason"))
        if payload.get("usage"):
            self._usage = payload["usage"]
        choices = output.get("choices")
        return self._decode_choice(choices[0]) if choices else []

    def _read_content(self, content: Any) -> str:
        """Return the text of a list of parts; other fields of the parts, such as `ocr_result`, go to `extras`."""
        for part in [content] if isinstance(content, dict) else content:
            if isinstance(part, dict) and (len(part) > 1 or "text" not in part):
                self._add_extras(part, exclude=("text",))
        return read_text(content)

    def _add_extras(self, fields: Mapping[str, Any], *, exclude: tuple[str, ...]) -> None:
        for name, value in fields.items():
            if value and name not in exclude:
                self.extras[name] = value

r"""The native DashScope API, both ways.

```
POST {base_url}/services/aigc/multimodal-generation/generation        (X-DashScope-SSE: enable, for a stream)
{"model": "qwen3-vl-plus",
 "input": {"messages": [
   {"role": "user", "content": [{"image": "…", "max_pixels": 1310720},
                                {"video": "…", "fps": 2, "total_pixels": 67108864},
                                {"video": ["…", "…"], "fps": 2},
                                {"text": "…", "cache_control": {"type": "ephemeral"}}]},
   {"role": "assistant", "content": [], "tool_calls": [{"id": "call_1", "type": "function",
                                                "function": {"name": "crop", "arguments": "{}"}}]},
   {"role": "tool", "content": [{"text": "…"}], "tool_call_id": "call_1"}]},
 "parameters": {"result_format": "message", "incremental_output": true, "enable_thinking": true, "tools": […]}}

id:1
event:result
:HTTP_STATUS/200
data:{"output":{"choices":[{"message":{"content":[],"reasoning_content":"Okay","role":"assistant"},
      "finish_reason":"null"}]},"usage":{"input_tokens":24,"output_tokens":3,…},"request_id":"…"}

data:{"output":{"choices":[{"message":{"content":[{"text":"Four."}],"role":"assistant"},
      "finish_reason":"stop"}]},"usage":{"input_tokens":24,"output_tokens":9,…},"request_id":"…"}
```

Each chunk's usage counts from the beginning. No `[DONE]` follows the last one; it ends with the connection. A whole
reply is one such payload.

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
from qwenvl_core.types.settings import ModelSettings
from qwenvl_core.wire.decode import ReplyDecoder, text_of
from qwenvl_core.wire.encode import encode_message, frames, non_empty_parts, parameters, part_options, upload_headers
from qwenvl_core.wire.fields import string

PATH = "/services/aigc/multimodal-generation/generation"


def encode(prepared: PreparedRequest) -> dict[str, Any]:
    """The body of a request; media in it may be `DataUri` objects.

    Raises:
        QwenVLInputError: A medium can't be read or is too large.
    """
    settings = prepared.settings
    return {
        "model": settings.model,
        "input": {"messages": [encode_message(_content(message, settings), message) for message in prepared.messages]},
        "parameters": {
            "result_format": "message",
            # Without it a stream repeats all text in each chunk, and is refused while thinking; a whole reply is the
            # same with and without.
            "incremental_output": True,
            **parameters(prepared),
            **settings.extra_body,
        },
    }


def headers(prepared: PreparedRequest) -> dict[str, str]:
    """Headers that this request needs beside those of every request."""
    streamed = {"X-DashScope-SSE": "enable"} if prepared.stream else {}
    return {**streamed, **upload_headers(prepared)}


def _content(message: Message, settings: ModelSettings) -> list[dict[str, Any]]:
    """A list of parts, also where nothing but words is said."""
    parts = non_empty_parts(message)
    if not parts and not message.tool_calls:
        return [{"text": ""}]
    words = [part.text for part in parts if isinstance(part, TextPart) and not part.cache]
    if message.role in ("assistant", "tool") and len(words) == len(parts) > 1:
        return [{"text": "\n".join(words)}]
    return [{**_encode_part(part), **part_options(part, settings)} for part in parts]


def _encode_part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart(text):
            return {"text": text}
        case ImagePart():
            return {"image": to_url_or_data_uri(part.source, "image", part.location)}
        case VideoPart():
            return {"video": to_url_or_data_uri(part.source, "video", part.location)}
        case FramesPart():
            return {"video": frames(part)}


class Decoder(ReplyDecoder):
    """Reads the documents of one reply, streamed or whole, and says the events in them."""

    def decode_payload(self, payload: Mapping[str, Any]) -> list[Event]:
        """The events of one payload.

        One chunk may hold reasoning and text, several tool calls, usage and a finish reason: all of it is used.
        """
        if not self.request_id:
            self.request_id = self.reply_id = string(payload.get("request_id"))
        output = payload.get("output") or {}
        if len(output) > 1:  # beside the choices: `search_info` and the like
            self._keep(output, without=("choices", "finish_reason"))
        if payload.get("usage"):
            self._usage = payload["usage"]
        choices = output.get("choices")
        return self._choice(choices[0]) if choices else []

    def _text(self, content: Any) -> str:
        """The text of a list of parts. What else they hold, `ocr_result` for instance, is kept."""
        for part in [content] if isinstance(content, dict) else content:
            if isinstance(part, dict) and (len(part) > 1 or "text" not in part):
                self._keep(part, without=("text",))
        return text_of(content)

    def _keep(self, told: Mapping[str, Any], *, without: tuple[str, ...]) -> None:
        for name, value in told.items():
            if value and name not in without:
                self.extras[name] = value

r"""The OpenAI-compatible API, both ways.

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

A whole reply has `message` where a chunk has `delta`, and is read by the same code.

Sources: the vendor's pages "Visual understanding (Qwen-VL)", "Visual reasoning", "Qwen API reference", "Context cache".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwenvl_core.media.sources import locate
from qwenvl_core.types.events import Event
from qwenvl_core.types.messages import Frames, Image, Message, Part, Text, Video
from qwenvl_core.types.request import Plan
from qwenvl_core.types.settings import Settings
from qwenvl_core.wire.decode import ReplyDecoder
from qwenvl_core.wire.encode import beside, frames, message_with, parameters, spoken, storage_headers
from qwenvl_core.wire.fields import string

PATH = "/chat/completions"

_EXTRAS = ("search_info", "system_fingerprint", "service_tier")


def encode(plan: Plan) -> dict[str, Any]:
    """The body of a request; media in it may be `DataUri` objects.

    Raises:
        QwenVLInputError: A medium can't be read or is too large.
    """
    settings = plan.settings
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [message_with(_content(message, settings), message) for message in plan.messages],
    }
    if plan.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return {**body, **parameters(plan), **settings.extra_body}


def headers(plan: Plan) -> dict[str, str]:
    """Headers that this request needs beside those of every request."""
    return storage_headers(plan)


def _content(message: Message, settings: Settings) -> Any:
    """A string where nothing but words is said; a list of parts otherwise."""
    parts = spoken(message)
    words_only = all(isinstance(part, Text) and not part.cache for part in parts)
    if words_only and (len(parts) < 2 or message.role in ("assistant", "tool")):
        return "\n".join(part.text for part in parts if isinstance(part, Text))
    return [{**_own(part), **beside(part, settings)} for part in parts]


def _own(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image():
            return {"type": "image_url", "image_url": {"url": locate(part.source, "image", part.where)}}
        case Video():
            return {"type": "video_url", "video_url": {"url": locate(part.source, "video", part.where)}}
        case Frames():
            return {"type": "video", "video": frames(part)}


class Decoder(ReplyDecoder):
    """Reads the documents of one reply, streamed or whole, and says the events in them."""

    def feed(self, document: Mapping[str, Any]) -> list[Event]:
        """The events of one document.

        One chunk may hold reasoning and text, several tool calls, usage and a finish reason: all of it is used.
        """
        if not self.model:
            self.model = string(document.get("model"))
            self.reply_id = string(document.get("id"))
        if document.get("usage"):
            self._usage = document["usage"]
        for name in _EXTRAS:
            if document.get(name):
                self.extras[name] = document[name]
        choices = document.get("choices")
        # One answer is read; `n` asks for more.
        return self._choice(choices[0]) if choices and not choices[0].get("index") else []

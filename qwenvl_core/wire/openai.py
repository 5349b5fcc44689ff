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

from collections.abc import Iterator, Mapping
from typing import Any

from qwenvl_core.events import Event, ReasoningDelta, TextDelta, Usage, parse_arguments
from qwenvl_core.media import locate
from qwenvl_core.policy import Plan
from qwenvl_core.request import (
    Frames,
    Image,
    Message,
    Part,
    Text,
    ToolCall,
    Url,
    Video,
    sources_of,
)
from qwenvl_core.settings import NamedTool, Settings
from qwenvl_core.wire.tool_calls import ToolCalls

PATH = "/chat/completions"

# Settings that go into the body under their own names.
_PLAIN = (
    "temperature", "top_p", "top_k", "max_tokens", "stop", "seed", "presence_penalty", "repetition_penalty",
    "logprobs", "top_logprobs", "parallel_tool_calls", "response_format", "thinking_budget",
    "vl_high_resolution_images",
)  # fmt: skip
_HINTS = ("fps", "min_pixels", "max_pixels", "total_pixels")
_EXTRAS = ("search_info", "system_fingerprint", "service_tier")


def encode(plan: Plan) -> dict[str, Any]:
    """The body of a request; media in it may be `DataUri` objects.

    Raises:
        QwenVLInputError: A medium can't be read or is too large.
    """
    settings = plan.settings
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [_message(message, settings) for message in plan.messages],
    }
    if plan.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if plan.enable_thinking is not None:
        body["enable_thinking"] = plan.enable_thinking
    if settings.preserve_thinking:
        body["preserve_thinking"] = True
    if settings.tools:
        body["tools"] = list(settings.tools)
        if settings.tool_choice is not None:
            body["tool_choice"] = _tool_choice(settings.tool_choice)
    for name in _PLAIN:
        value = getattr(settings, name)
        if value is not None:
            body[name] = value
    return {**body, **settings.extra_body}


def headers(plan: Plan) -> dict[str, str]:
    """Headers that this request needs beside those of every request."""
    sources = [source for message in plan.messages for part in message.parts for source in sources_of(part)]
    if any(isinstance(source, Url) and source.url.startswith("oss://") for source in sources):
        return {"X-DashScope-OssResourceResolve": "enable"}
    return {}


def _tool_choice(choice: Any) -> Any:
    return {"type": "function", "function": {"name": choice.name}} if isinstance(choice, NamedTool) else choice


def _message(message: Message, settings: Settings) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": _content(message, settings)}
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


def _content(message: Message, settings: Settings) -> Any:
    """A string where nothing but words is said; a list of parts otherwise."""
    parts = [part for part in message.parts if not isinstance(part, Text) or part.text]
    words_only = all(isinstance(part, Text) and not part.cache for part in parts)
    if words_only and (len(parts) < 2 or message.role in ("assistant", "tool")):
        return "\n".join(part.text for part in parts if isinstance(part, Text))
    return [_part(part, settings) for part in parts]


def _call(call: ToolCall) -> dict[str, Any]:
    # The service refuses a history with arguments that are no JSON object, though its model may write them.
    arguments = call.arguments if parse_arguments(call) else "{}"
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _part(part: Part, settings: Settings) -> dict[str, Any]:
    match part:
        case Text(text):
            body: dict[str, Any] = {"type": "text", "text": text}
        case Image():
            body = {"type": "image_url", "image_url": {"url": locate(part.source, "image", part.where)}}
        case Video():
            body = {"type": "video_url", "video_url": {"url": locate(part.source, "video", part.where)}}
        case Frames():
            body = {
                "type": "video",
                "video": [locate(source, "image", part.where) for source in part.sources],
            }
    for name in _HINTS:
        if hasattr(part, name):
            value = getattr(part, name)
            value = getattr(settings, name, None) if value is None else value
            if value is not None:
                body[name] = value
    if part.cache:
        body["cache_control"] = {"type": "ephemeral"}
    return body


class Decoder:
    """Reads the documents of one reply, streamed or whole, and says the events in them.

    Attributes:
        reason: Why the reply ended; empty until the server says so.
        model: The model that answered.
        reply_id: The server's id of the reply.
        extras: What else came with the reply.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.model = ""
        self.reply_id = ""
        self.extras: dict[str, Any] = {}
        self._usage: Mapping[str, Any] | None = None
        self._calls = ToolCalls()

    def feed(self, document: Mapping[str, Any]) -> Iterator[Event]:
        """The events of one document.

        One chunk may hold reasoning and text, several tool calls, usage and a finish reason: all of it is used.
        """
        if not self.model:
            self.model = document.get("model") or ""
            self.reply_id = document.get("id") or ""
        choices = document.get("choices")
        if choices:
            yield from self._choice(choices[0])
        if document.get("usage"):
            self._usage = document["usage"]
        for name in _EXTRAS:
            if document.get(name):
                self.extras[name] = document[name]

    @property
    def usage(self) -> Usage | None:
        """The last usage the server told: it repeats, and never adds up."""
        return usage_of(self._usage) if self._usage else None

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Event]:
        delta = choice.get("delta") or choice.get("message") or {}
        # vLLM and its kin say `reasoning`.
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning:
            yield ReasoningDelta(text_of(reasoning))
        content = delta.get("content")
        if content:
            yield TextDelta(text_of(content))
        if delta.get("tool_calls"):
            yield from self._calls.feed(delta["tool_calls"], self.reply_id)
        if choice.get("logprobs"):
            self._add_logprobs(choice["logprobs"])
        reason = choice.get("finish_reason")
        if reason and reason != "null":
            self.reason = reason

    def _add_logprobs(self, logprobs: Mapping[str, Any]) -> None:
        if logprobs.get("content"):
            self.extras.setdefault("logprobs", {"content": []})["content"].extend(logprobs["content"])


def text_of(content: Any) -> str:
    """Content as a string, also where it came as a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part if isinstance(part, str) else part.get("text") or "" for part in content)


def usage_of(told: Mapping[str, Any]) -> Usage:
    """Token counts, whichever of the APIs' names they have."""
    of_input = told.get("prompt_tokens_details") or {}
    of_input = {**(told.get("input_tokens_details") or {}), **of_input}
    of_output = told.get("completion_tokens_details") or told.get("output_tokens_details") or {}
    input_tokens = told.get("prompt_tokens", told.get("input_tokens")) or 0
    output_tokens = told.get("completion_tokens", told.get("output_tokens")) or 0
    return Usage(
        input=input_tokens,
        output=output_tokens,
        total=told.get("total_tokens") or input_tokens + output_tokens,
        reasoning=of_output.get("reasoning_tokens", told.get("reasoning_tokens")),
        cached=of_input.get("cached_tokens"),
        image=of_input.get("image_tokens", told.get("image_tokens")),
        video=of_input.get("video_tokens", told.get("video_tokens")),
        raw=told,
    )

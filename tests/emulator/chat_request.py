"""Requests as they arrived, and what they ask for in terms both APIs share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from tests.emulator.models import ModelFacts, find_model

Api = Literal["compat", "native"]

COMPAT_CHAT = "/compatible-mode/v1/chat/completions"
SELF_HOSTED_CHAT = "/v1/chat/completions"
NATIVE_CHAT = "/api/v1/services/aigc/multimodal-generation/generation"
NATIVE_TEXT = "/api/v1/services/aigc/text-generation/generation"


@dataclass(frozen=True)
class RecordedRequest:
    """One HTTP request, byte for byte."""

    method: str
    path: str
    """With the query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The parsed body; None if it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def route(self) -> str:
        return self.path.partition("?")[0]


@dataclass(frozen=True)
class Media:
    """One image, video or frame list in a message."""

    message_index: int
    role: str
    kind: Literal["image", "video", "frames"]
    urls: tuple[Any, ...]


@dataclass(frozen=True)
class ChatRequest:
    """A chat request: where each API keeps things is known here and nowhere else."""

    api: Api
    request: RecordedRequest
    known_models: frozenset[str] = frozenset()
    """More names that are accepted, about which no facts are known."""
    uploads: Mapping[str, int] = field(default_factory=dict)
    """The oss:// URLs that have been uploaded, with their sizes in bytes."""
    thinks_without_stream: bool = True
    """Off: no model answers a thinking call that does not stream, whatever its row says."""
    body: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        parsed = self.request.json
        object.__setattr__(self, "body", parsed if isinstance(parsed, dict) else {})

    @property
    def model(self) -> Any:
        return self.body.get("model")

    @cached_property
    def facts(self) -> ModelFacts | None:
        return find_model(self.model) if isinstance(self.model, str) else None

    @cached_property
    def input(self) -> Mapping[str, Any]:
        """What holds the messages."""
        if self.api == "compat":
            return self.body
        value = self.body.get("input")
        return value if isinstance(value, dict) else {}

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """The messages that are objects; whether all are is a rule of its own."""
        value = self.input.get("messages")
        return [m for m in value if isinstance(m, dict)] if isinstance(value, list) else []

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        if self.api == "compat":
            return self.body
        value = self.body.get("parameters")
        return value if isinstance(value, dict) else {}

    def given(self, name: str) -> Any:
        """A parameter; null counts as not given."""
        return self.parameters.get(name)

    @cached_property
    def stream(self) -> bool:
        if self.api == "compat":
            return self.body.get("stream") is True
        headers = self.request.headers
        return headers.get("x-dashscope-sse", "").lower() == "enable" or (
            "text/event-stream" in headers.get("accept", "")
        )

    @cached_property
    def cumulative(self) -> bool:
        """Native streams repeat all text so far unless the request says otherwise (or the model cannot)."""
        if self.api == "compat" or (self.facts and self.facts.stream_only):
            return False
        return self.given("incremental_output") is not True

    @property
    def includes_usage(self) -> bool:
        """Whether a stream carries the usage."""
        options = self.body.get("stream_options")
        return self.api == "native" or (isinstance(options, dict) and options.get("include_usage") is True)

    @cached_property
    def thinking(self) -> bool:
        asked = self.given("enable_thinking")
        if self.facts is None:
            return asked is True
        if self.facts.thinking == "hybrid":
            return self.facts.thinks_by_default if asked is None else asked is True
        return self.facts.thinking == "always"

    def parts(self) -> Iterator[tuple[int, str, Any]]:
        """(message index, role, part) of every content list."""
        for index, message in enumerate(self.messages):
            content = message.get("content")
            if isinstance(content, list):
                for part in content:
                    yield index, str(message.get("role")), part

    def texts(self) -> Iterator[str]:
        """All text that the model reads."""
        for message in self.messages:
            if isinstance(message.get("content"), str):
                yield message["content"]
        for _, _, part in self.parts():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]

    def media(self) -> Iterator[Media]:
        read = _compat_media if self.api == "compat" else _native_media
        for index, role, part in self.parts():
            found = read(part) if isinstance(part, dict) else None
            if found:
                yield Media(index, role, *found)


_Found = tuple[Literal["image", "video", "frames"], tuple[Any, ...]]


def _compat_media(part: dict[str, Any]) -> _Found | None:
    match part:
        case {"type": "image_url", "image_url": {"url": url}}:
            return "image", (url,)
        case {"type": "video_url", "video_url": {"url": url}}:
            return "video", (url,)
        case {"type": "video", "video": [*urls]}:
            return "frames", tuple(urls)
    return None


def _native_media(part: dict[str, Any]) -> _Found | None:
    match part:
        case {"image": url}:
            return "image", (url,)
        case {"video": [*urls]}:
            return "frames", tuple(urls)
        case {"video": url}:
            return "video", (url,)
    return None

"""Record HTTP requests, and read chat requests of both APIs in common terms."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tests.emulator.models import ModelFacts, find_model

if TYPE_CHECKING:
    from tests.emulator.uploads import Upload

Api = Literal["compat", "native"]

COMPAT_CHAT = "/compatible-mode/v1/chat/completions"
SELF_HOSTED_CHAT = "/v1/chat/completions"
NATIVE_CHAT = "/api/v1/services/aigc/multimodal-generation/generation"
NATIVE_TEXT = "/api/v1/services/aigc/text-generation/generation"


@dataclass(frozen=True)
class RecordedRequest:
    """One HTTP request as it arrived."""

    method: str
    path: str
    """Path with the query."""
    headers: dict[str, str]
    """Headers by their names in lower case."""
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The parsed body; None if it is not valid JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def route(self) -> str:
        """Path without the query."""
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
    """A chat request of either API.

    Only this class knows where each API puts messages and parameters.
    """

    api: Api
    http_request: RecordedRequest
    known_models: frozenset[str] = frozenset()
    """Model names to accept without facts about them."""
    uploads: Mapping[str, Upload] = field(default_factory=dict)
    """The files in temporary storage that the account of this request can read, by their oss:// URLs."""
    thinks_without_stream: bool = True
    """If false, thinking calls must stream for every model, whatever its row says."""
    body: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        parsed = self.http_request.json
        object.__setattr__(self, "body", parsed if isinstance(parsed, dict) else {})

    @property
    def model(self) -> Any:
        return self.body.get("model")

    @cached_property
    def facts(self) -> ModelFacts | None:
        return find_model(self.model) if isinstance(self.model, str) else None

    @cached_property
    def input(self) -> Mapping[str, Any]:
        """The object that holds the messages."""
        if self.api == "compat":
            return self.body
        value = self.body.get("input")
        return value if isinstance(value, dict) else {}

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """The messages that are objects; a rule refuses other values."""
        value = self.input.get("messages")
        return [message for message in value if isinstance(message, dict)] if isinstance(value, list) else []

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        if self.api == "compat":
            return self.body
        value = self.body.get("parameters")
        return value if isinstance(value, dict) else {}

    def parameter(self, name: str) -> Any:
        """Return a parameter; None if it is absent or null."""
        return self.parameters.get(name)

    @cached_property
    def stream(self) -> bool:
        """Whether a stream is requested."""
        if self.api == "compat":
            return self.body.get("stream") is True
        headers = self.http_request.headers
        return headers.get("x-dashscope-sse", "").lower() == "enable" or (
            "text/event-stream" in headers.get("accept", "")
        )

    @cached_property
    def cumulative(self) -> bool:
        """Whether each event repeats all output so far.

        It does in the native API, unless the request sets `incremental_output` or the model only streams.
        """
        if self.api == "compat" or (self.facts and self.facts.stream_only):
            return False
        return self.parameter("incremental_output") is not True

    @property
    def is_text_endpoint(self) -> bool:
        """Whether this is the native API's endpoint for text models."""
        return self.http_request.route == NATIVE_TEXT

    @property
    def includes_usage(self) -> bool:
        """Whether a stream carries the usage."""
        options = self.body.get("stream_options")
        return self.api == "native" or (isinstance(options, dict) and options.get("include_usage") is True)

    @cached_property
    def thinking(self) -> bool:
        """Whether the model thinks, by the request and the default of the model."""
        enabled = self.parameter("enable_thinking")
        if self.parameter("reasoning_effort") == "none":
            enabled = False
        if self.facts is None:
            return enabled is True
        if self.facts.thinking == "hybrid":
            return self.facts.thinks_by_default if enabled is None else enabled is True
        return self.facts.thinking == "always"

    def parts(self) -> Iterator[tuple[int, str, Any]]:
        """Yield (message index, role, part) for every part of every content list."""
        for index, message in enumerate(self.messages):
            content = message.get("content")
            if isinstance(content, list):
                for part in content:
                    yield index, str(message.get("role")), part

    def texts(self) -> Iterator[str]:
        """Yield all text of the messages."""
        for message in self.messages:
            if isinstance(message.get("content"), str):
                yield message["content"]
        for _, _, part in self.parts():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]

    def media(self) -> Iterator[Media]:
        """Yield the media of all messages."""
        read = _read_compat_media if self.api == "compat" else _read_native_media
        for index, role, part in self.parts():
            found = read(part) if isinstance(part, dict) else None
            if found:
                yield Media(index, role, *found)


_Found = tuple[Literal["image", "video", "frames"], tuple[Any, ...]]


def _read_compat_media(part: dict[str, Any]) -> _Found | None:
    match part:
        case {"type": "image_url", "image_url": {"url": url}}:
            return "image", (url,)
        case {"type": "video_url", "video_url": {"url": url}}:
            return "video", (url,)
        case {"type": "video", "video": [*urls]}:
            return "frames", tuple(urls)
    return None


def _read_native_media(part: dict[str, Any]) -> _Found | None:
    match part:
        case {"image": url}:
            return "image", (url,)
        case {"video": [*urls]}:
            return "frames", tuple(urls)
        case {"video": url}:
            return "video", (url,)
    return None

"""What is asked: one conversation turn as frozen values, in no framework's and no wire's terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from qwenvl_core.types.media import Source

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Words. `cache` sets the vendor's cache marker behind this part."""

    text: str
    cache: bool = False


@dataclass(frozen=True, slots=True)
class ImagePart:
    """One image.

    `min_pixels` and `max_pixels` bound its area in pixels after the server's resize. `location` is where the part
    stands in the caller's messages, for errors.
    """

    source: Source
    min_pixels: int | None = None
    max_pixels: int | None = None
    cache: bool = False
    location: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class PdfPart(ImagePart):
    """A PDF, which stands for the images of its pages: `attachments` puts them in its place before anything is sent."""


@dataclass(frozen=True, slots=True)
class VideoPart:
    """One video file; `fps` frames are taken per second. Pixel bounds are per frame, `total_pixels` overall."""

    source: Source
    fps: float | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    total_pixels: int | None = None
    cache: bool = False
    location: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class FramesPart:
    """A video as a list of images, taken from it `fps` times a second."""

    sources: tuple[Source, ...]
    fps: float | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    total_pixels: int | None = None
    cache: bool = False
    location: str = field(default="", compare=False)

    def frame_location(self, at: int) -> str:
        """Where in the caller's messages one of the images stands, for errors."""
        return f"{self.location}, frame {at}"


Media = ImagePart | VideoPart | FramesPart
Part = TextPart | Media


def media_sources(part: Part) -> tuple[Source, ...]:
    """Where a part's media come from; nothing, for text."""
    match part:
        case TextPart():
            return ()
        case FramesPart(sources):
            return sources
        case _:
            return (part.source,)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made. `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation.

    Attributes:
        role: Who speaks.
        parts: What is said, in order.
        tool_calls: Calls an assistant message made.
        tool_call_id: Which call a tool message answers.
        name: An optional name of the speaker.
        reasoning: What an assistant thought; sent back only with `preserve_thinking`.
        partial: The assistant's message is unfinished, and the model is to continue it.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    reasoning: str = ""
    partial: bool = False

    @property
    def text(self) -> str:
        """The text parts, one to a line."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))

"""Define the messages of a conversation as frozen values, independent of frameworks and JSON shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from qwenvl_core.types.media import Source

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text; with `cache`, the vendor's cache marker is sent with this part."""

    text: str
    cache: bool = False


@dataclass(frozen=True, slots=True)
class ImagePart:
    """One image.

    Attributes:
        source: Where the image's bytes come from.
        min_pixels: Smallest area after the server's resize, in pixels.
        max_pixels: Largest area after the server's resize, in pixels.
        cache: Whether the vendor's cache marker is sent with this part.
        location: Location of the part in the caller's messages, for error messages.
        enable_rotate: Whether an OCR model turns the image upright before it reads it.
    """

    source: Source
    min_pixels: int | None = None
    max_pixels: int | None = None
    cache: bool = False
    location: str = field(default="", compare=False)
    enable_rotate: bool | None = None


@dataclass(frozen=True, slots=True)
class PdfPart(ImagePart):
    """A PDF; `request.pdf_attachments` replaces it with the images of its pages before the request is sent."""


@dataclass(frozen=True, slots=True)
class FilePart(ImagePart):
    """A file of any kind; `request.file_parts` replaces it with a part of its kind before the request is sent.

    Attributes:
        mime: MIME type that the caller stated.
        name: Name of the file that the caller stated.
        fps: As for a `VideoPart`, if the file is a video; and likewise `total_pixels`.
    """

    mime: str | None = None
    name: str | None = None
    fps: float | None = None
    total_pixels: int | None = None


@dataclass(frozen=True, slots=True)
class VideoPart:
    """One video file.

    Attributes:
        source: Where the file's bytes come from.
        fps: Frames that the server samples per second.
        min_pixels: Smallest area of a frame after the server's resize, in pixels.
        max_pixels: Largest area of a frame after the server's resize, in pixels.
        total_pixels: Largest area of all frames together, in pixels.
        cache: Whether the vendor's cache marker is sent with this part.
        location: Location of the part in the caller's messages, for error messages.
    """

    source: Source
    fps: float | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    total_pixels: int | None = None
    cache: bool = False
    location: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class FramesPart:
    """A video as a list of frames.

    Attributes:
        sources: Where the bytes of each frame, an image, come from.
        fps: Frames per second at which the list was sampled.

    The other attributes are those of `VideoPart`.
    """

    sources: tuple[Source, ...]
    fps: float | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    total_pixels: int | None = None
    cache: bool = False
    location: str = field(default="", compare=False)

    def frame_location(self, index: int) -> str:
        """Return the location of one frame in the caller's messages, for error messages."""
        return f"{self.location}, frame {index}"


Media = ImagePart | VideoPart | FramesPart
Part = TextPart | Media


def media_sources(part: Part) -> tuple[Source, ...]:
    """Return the sources of a part's media; empty for text."""
    match part:
        case TextPart():
            return ()
        case FramesPart(sources):
            return sources
        case _:
            return (part.source,)


@dataclass(frozen=True, slots=True)
class Omission:
    """Content of a message that is not sent as it is, reported in `adjustments`.

    Attributes:
        change: What is done with it, in the plural: "records of other providers left out".
        content: Location and type of the content, and what is wrong with it where that is not obvious.
    """

    change: str
    content: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call of the model; `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation.

    Attributes:
        role: Role of the author.
        parts: The content, in order.
        tool_calls: Tool calls of an assistant message.
        tool_call_id: Id of the call whose result a tool message holds.
        name: Optional name of the author.
        reasoning: Reasoning text of an assistant message; sent back as `preserve_thinking` says.
        partial: Whether the assistant message is unfinished and the model must continue it.
        omissions: Content of the caller's message that these parts do not contain.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    reasoning: str = ""
    partial: bool = False
    omissions: tuple[Omission, ...] = field(default=(), compare=False)

    @property
    def text(self) -> str:
        """The text parts, joined by line breaks."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))


def create_message(role: Role, items: Iterable[Part | Omission], **fields: Any) -> Message:
    """Create a message from its converted content: parts, and what is not sent as it is."""
    items = list(items)
    return Message(
        role,
        tuple(item for item in items if not isinstance(item, Omission)),
        omissions=tuple(item for item in items if isinstance(item, Omission)),
        **fields,
    )

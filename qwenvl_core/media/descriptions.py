"""Describe in words what a tool returned and the model can't see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qwenvl_core.media.inspection import inspect_image
from qwenvl_core.types.media import FileSource, Source, UrlSource
from qwenvl_core.types.messages import FilePart, FramesPart, ImagePart, Media, PdfPart, VideoPart

_KINDS: tuple[tuple[type, str], ...] = (
    (FilePart, "file"), (PdfPart, "PDF"), (ImagePart, "image"), (VideoPart, "video"), (FramesPart, "video")
)  # fmt: skip
_MAX_URI_LENGTH = 500  # characters
_MAX_STRING_LENGTH = 2000  # characters; base64 data in an unknown object is longer


def describe_unseen(kind: str, *, name: str = "", mime: str = "", uri: str = "", reason: str = "") -> str:
    """Describe content that the model can't see.

    Args:
        kind: What it is: "image", "file", ….
        name: Its name.
        mime: Its MIME type.
        uri: Its URI; the bytes of a data URI are left out.
        reason: Why the model can't see it.

    Returns:
        One line, such as `[file that can't be shown: report.zip, application/zip, https://example.com/report.zip]`.
    """
    uri = "" if uri[:5].lower() == "data:" else uri[:_MAX_URI_LENGTH]
    details = ", ".join(filter(None, (name, mime, uri)))
    text = f"{kind or 'content'} that can't be shown"
    return f"[{text}{': ' if details else ''}{details}{f' ({reason})' if reason else ''}]"


def describe_part(part: Media, reason: str) -> str:
    """Describe an image, video or file that the service does not accept, and why."""
    source = part.sources[0] if isinstance(part, FramesPart) and part.sources else getattr(part, "source", None)
    kind = next(kind for part_class, kind in _KINDS if isinstance(part, part_class))
    details = _describe_source(source) if source is not None else {}
    stated = {"name": part.name, "mime": part.mime} if isinstance(part, FilePart) else {}
    return describe_unseen(kind, reason=reason, **details | {name: value for name, value in stated.items() if value})


def _describe_source(source: Source) -> dict[str, str]:
    match source:
        case UrlSource(url):
            return {"uri": url}
        case FileSource(path):
            return {"name": path.name, "mime": inspect_image(source).mime or ""}
        case _:
            return {"mime": inspect_image(source).mime or source.mime or ""}


def shorten_strings(value: Any) -> Any:
    """Replace each long string in a JSON value by its length: base64 data says nothing to the model."""
    if isinstance(value, str):
        return value if len(value) <= _MAX_STRING_LENGTH else f"[{len(value):,} characters]"
    if isinstance(value, Mapping):
        return {str(name): shorten_strings(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [shorten_strings(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value):,} bytes]"
    return value


def get_reason(message: str, location: str) -> str:
    """Return the first sentence of an error message, without the location that it begins with."""
    return message.removeprefix(f"{location}: ").partition(". ")[0].rstrip(".")

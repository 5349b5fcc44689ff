"""Check which local files of a request may be read, and replace files of any kind with parts of their kind.

The kind of a file is the one that its MIME type states, else that of its bytes, else that of its name; a file with none
of these is text if it decodes as text.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.inspection import inspect_image, read_bytes
from qwenvl_core.media.local_files import authorize, map_file_errors
from qwenvl_core.media.sources import split_frames
from qwenvl_core.media.text_files import decode_text
from qwenvl_core.request.tool_media import replace_part
from qwenvl_core.types.media import FileSource, LocalFiles, UrlSource
from qwenvl_core.types.messages import (
    FilePart,
    FramesPart,
    ImagePart,
    Message,
    Omission,
    Part,
    PdfPart,
    TextPart,
    VideoPart,
    media_sources,
)
from qwenvl_core.types.request import Request

_PDF = "application/pdf"
_KINDS = {"image/": "image", "video/": "video", "text/": "text", "audio/": "audio", _PDF: "pdf"}
"""Kinds of files by the beginning of their MIME type."""

_MIME_TYPES = mimetypes.MimeTypes()  # without the system's own tables, so that names mean the same everywhere


def has_files(messages: Iterable[Message]) -> bool:
    """Return whether messages have local files, which are read from disk, or files of any kind."""
    return any(
        isinstance(part, FilePart) or any(isinstance(source, FileSource) for source in media_sources(part))
        for message in messages
        for part in message.parts
    )


def resolve_files(request: Request) -> Request:
    """Check the local files of a request, and replace each file of any kind with a part of its kind.

    Returns:
        The request, with an adjustment for each text file in an encoding that was guessed.

    Raises:
        QwenVLInputError: A local file of a user message may not be read, or is of a kind that Qwen-VL does not accept.
    """
    notes: list[str] = []
    messages = resolve_parts(request.messages, request.local_files, notes)
    return replace(request, messages=messages, adjustments=(*request.adjustments, *notes))


def resolve_parts(
    messages: Iterable[Message], local_files: LocalFiles, notes: list[str] | None = None
) -> tuple[Message, ...]:
    """Resolve the files of messages; see `resolve_files`.

    Args:
        messages: The conversation.
        local_files: The model's setting.
        notes: A list that gets the adjustments.
    """
    notes = [] if notes is None else notes
    return tuple(_resolve_message(message, local_files, notes) for message in messages)


def _resolve_message(message: Message, local_files: LocalFiles, notes: list[str]) -> Message:
    if all(isinstance(part, TextPart) for part in message.parts):
        return message
    parts: list[Part] = []
    omissions: list[Omission] = []
    for part in message.parts:
        try:
            parts.append(_resolve_part(part, local_files, notes))
        except QwenVLInputError as error:
            if message.role not in ("tool", "assistant") or isinstance(part, TextPart):
                raise
            texts, omission = replace_part(message, part, error)
            parts += texts
            omissions.append(omission)
    return replace(message, parts=tuple(parts), omissions=(*message.omissions, *omissions))


def _resolve_part(part: Part, local_files: LocalFiles, notes: list[str]) -> Part:
    match part:
        case TextPart():
            return part
        case FramesPart():
            sources = tuple(
                authorize(source, local_files, part.frame_location(index)) for index, source in enumerate(part.sources)
            )
            return replace(part, sources=sources)
    part = replace(part, source=authorize(part.source, local_files, part.location))
    if isinstance(part, FilePart):
        return _convert_file(part, notes)
    return _split_frames(part) if isinstance(part, VideoPart) else part


def _convert_file(file: FilePart, notes: list[str]) -> Part:
    kind = _find_kind(file)
    image_options: dict[str, Any] = {
        "min_pixels": file.min_pixels,
        "max_pixels": file.max_pixels,
        "cache": file.cache,
        "location": file.location,
    }
    match kind:
        case "image":
            return ImagePart(file.source, enable_rotate=file.enable_rotate, **image_options)
        case "pdf":
            return PdfPart(file.source, enable_rotate=file.enable_rotate, **image_options)
        case "video":
            return _split_frames(VideoPart(file.source, fps=file.fps, total_pixels=file.total_pixels, **image_options))
        case "text":
            return _read_text(file, notes)
        case "audio":
            raise QwenVLInputError(
                f"{file.location}: Qwen-VL does not accept audio. Transcribe it and send the text, or send the video "
                "that it belongs to."
            )
    raise _unsupported(file)


def _find_kind(file: FilePart) -> str | None:
    """Return the kind of a file; `None` if its MIME type states a kind that is not accepted."""
    stated = _get_kind(file.mime)
    if stated:
        return stated
    if isinstance(file.source, UrlSource):
        return _get_kind(_guess_mime(urlsplit(file.source.url).path)) or _get_kind(_guess_mime(file.name))
    return inspect_image(file.source).kind or _get_kind_of_name(file) or "text"


def _get_kind_of_name(file: FilePart) -> str | None:
    path = file.source.path.name if isinstance(file.source, FileSource) else None
    return _get_kind(_guess_mime(file.name)) or _get_kind(_guess_mime(path))


def _get_kind(mime: str | None) -> str | None:
    mime = (mime or "").strip().lower()
    return next((kind for prefix, kind in _KINDS.items() if mime.startswith(prefix)), None)


def _guess_mime(name: str | None) -> str | None:
    return _MIME_TYPES.guess_type(name)[0] if name else None


def _unsupported(file: FilePart) -> QwenVLInputError:
    stated = f"{file.mime!r}" if file.mime else "unknown"
    if isinstance(file.source, UrlSource):
        return QwenVLInputError(
            f"{file.location}: unsupported file type {stated} behind a URL, which is not fetched. Supported: images "
            "and videos. State its MIME type, or read the file and pass its bytes or its text."
        )
    return QwenVLInputError(
        f"{file.location}: unsupported file type {stated}. Supported: images, videos, text and PDF. "
        "Render the pages of other documents to images and send those."
    )


def _read_text(file: FilePart, notes: list[str]) -> TextPart:
    if isinstance(file.source, UrlSource):
        raise QwenVLInputError(
            f"{file.location}: a text file is not fetched from a URL. Read it and send its text in a text block."
        )
    with map_file_errors(file.source, file.location):
        try:
            text, encoding = decode_text(read_bytes(file.source), file.mime)
        except ValueError as error:
            if "text" not in (_get_kind(file.mime), _get_kind_of_name(file)):
                raise _unsupported(file) from error
            raise QwenVLInputError(f"{file.location}: the text can't be read: {error}. Save it as UTF-8.") from error
    if encoding not in ("utf-8", "utf-8-sig"):
        notes.append(f"{file.location}: text decoded as {encoding}")
    return TextPart(text, cache=file.cache)


def _split_frames(video: VideoPart) -> Part:
    """Replace a data URI of several JPEG images, by which vLLM represents a list of frames, with its frames."""
    frames = split_frames(video.source)
    if frames is None:
        return video
    return FramesPart(
        frames,
        fps=video.fps,
        min_pixels=video.min_pixels,
        max_pixels=video.max_pixels,
        total_pixels=video.total_pixels,
        cache=video.cache,
        location=video.location,
    )

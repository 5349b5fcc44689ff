"""Normalize messages before LangChain traces, caches and passes them on.

LangChain's tracing requires a MIME type in a base64 image. Its cache compares messages by their text form, which for a
file object or a Pillow image contains a memory address, and another image may have the same address later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages.base import BaseMessage

from qwenvl_core.media.sources import parse_source
from qwenvl_core.types.location import Location
from qwenvl_core.types.media import InlineSource

_MEDIA_TYPES = ("image", "image_url", "video", "video_url", "file", None)


def normalize_messages(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    """Replace live objects in messages by their bytes, and add missing MIME types.

    Returns:
        The messages; those that need a change are copies.

    Raises:
        QwenVLInputError: A file object in the messages is opened in text mode, not in binary mode.
    """
    return [_normalize_message(index, message) for index, message in enumerate(messages)]


def _normalize_message(index: int, message: BaseMessage) -> BaseMessage:
    if isinstance(message.content, str):
        return message
    content = [
        _normalize_block(block, Location(index, block_index, "user"))
        for block_index, block in enumerate(message.content)
    ]
    if all(new is old for new, old in zip(content, message.content, strict=True)):
        return message
    return message.model_copy(update={"content": content})


def _normalize_block(block: Any, location: Location) -> Any:
    if not isinstance(block, dict) or block.get("type") not in _MEDIA_TYPES:
        return block
    normalized = _read_live_media(block, location.with_type(str(block.get("type"))))
    return {**normalized, "mime_type": "image/*"} if _is_mime_type_missing(normalized) else normalized


def _is_mime_type_missing(block: Mapping[str, Any]) -> bool:
    return (
        block.get("type") == "image"
        and ("base64" in block or block.get("source_type") == "base64")
        and not block.get("mime_type")
    )


def _read_live_media(value: Any, location: Location) -> Any:
    """Replace file objects, Pillow images and buffers in a value by their bytes; return other values unchanged."""
    if isinstance(value, dict):
        items = {name: _read_live_media(item, location) for name, item in value.items()}
        return items if any(items[name] is not value[name] for name in items) else value
    if isinstance(value, (list, tuple)):
        new_items = [_read_live_media(item, location) for item in value]
        return new_items if any(new is not old for new, old in zip(new_items, value, strict=True)) else value
    if not _is_live_media(value):
        return value
    source = parse_source(value, location=str(location), files=False)
    return source.data if isinstance(source, InlineSource) else value


def _is_live_media(value: Any) -> bool:
    return (
        isinstance(value, (bytearray, memoryview))
        or callable(getattr(value, "read", None))
        or (callable(getattr(value, "save", None)) and hasattr(value, "mode"))  # a Pillow image
    )

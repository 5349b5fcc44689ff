"""Normalize messages before LangChain traces, caches and passes them on.

Traces and caches have the text form of a message, which for bytes is a `repr`, and for a file object or a Pillow image
contains a memory address: another image may have the same address later. LangChain's tracing also requires a MIME type
in a base64 image. So live media become base64 text.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages.base import BaseMessage

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sniffing import HEAD_BYTES, sniff
from qwenvl_core.media.sources import parse_source
from qwenvl_core.types.location import Location
from qwenvl_core.types.media import InlineSource
from qwenvl_core.types.messages import Role

_OTHERS = ("tool", "function", "ai", "AIMessageChunk")
"""Types of messages that tools and models write."""
_BASE64_TYPES = ("image", "video", "file")
"""LangChain's blocks, which have base64 text under `base64`."""
_VALUE_KEYS = ("url", "image", "video", "path")
"""Keys of a block's bytes or live object, besides `base64`."""
_BASE64_KEYS = ("base64", "data")
_UNKNOWN_MIME = "application/octet-stream"
_MEDIA_TYPES = ("image", "image_url", "video", "video_url", "file", None)


def normalize_messages(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    """Replace bytes and live objects in messages by base64 text, and add missing MIME types.

    Returns:
        The messages; those that need a change are copies.

    Raises:
        QwenVLInputError: A file object in a user message is opened in text mode, or an image can't be encoded.
    """
    return [_normalize_message(index, message) for index, message in enumerate(messages)]


def _normalize_message(index: int, message: BaseMessage) -> BaseMessage:
    if isinstance(message.content, str):
        return message
    role: Role = "tool" if message.type in _OTHERS else "user"
    content = [
        _normalize_block(block, Location(index, block_index, role)) for block_index, block in enumerate(message.content)
    ]
    if all(new is old for new, old in zip(content, message.content, strict=True)):
        return message
    return message.model_copy(update={"content": content})


def _normalize_block(block: Any, location: Location) -> Any:
    if not isinstance(block, dict) or block.get("type") not in _MEDIA_TYPES:
        return block
    location = location.with_type(str(block.get("type")))
    try:
        normalized = _encode_media(_move_to_base64_key(block, location), location)
    except QwenVLInputError:
        if location.role == "user":
            raise
        return block  # described or left out later: what others wrote must not end an agent
    return {**normalized, "mime_type": "image/*"} if _is_mime_type_missing(normalized) else normalized


def _move_to_base64_key(block: dict[str, Any], location: Location) -> dict[str, Any]:
    """Encode the bytes or live object of one of LangChain's blocks under its key `base64`, with the MIME type."""
    key = next((key for key in _VALUE_KEYS if _is_live_media(block.get(key))), None)
    data = _read_bytes(block[key], location) if key and block.get("type") in _BASE64_TYPES else None
    if data is None:
        return block
    others = {name: value for name, value in block.items() if name != key}
    mime = block.get("mime_type") or sniff(data[:HEAD_BYTES]).mime
    return {**others, "base64": base64.b64encode(data).decode(), **({"mime_type": mime} if mime else {})}


def _is_mime_type_missing(block: Mapping[str, Any]) -> bool:
    return (
        block.get("type") == "image"
        and ("base64" in block or block.get("source_type") == "base64")
        and not block.get("mime_type")
    )


def _encode_media(value: Any, location: Location, key: str = "") -> Any:
    """Replace bytes, file objects and Pillow images in a value by base64 text; return other values unchanged.

    Args:
        value: A block, or a value in it.
        location: Where the block is.
        key: The key of the value: `base64` and `data` hold base64 text, others a data URI.
    """
    if isinstance(value, dict):
        items = {name: _encode_media(item, location, str(name)) for name, item in value.items()}
        if all(items[name] is value[name] for name in items):
            return value
        mime = None if value.get("mime_type") or "base64" not in items else _sniff_mime(value.get("base64"), location)
        return {**items, **({"mime_type": mime} if mime else {})}
    if isinstance(value, (list, tuple)):
        new_items = [_encode_media(item, location) for item in value]
        return new_items if any(new is not old for new, old in zip(new_items, value, strict=True)) else value
    data = _read_bytes(value, location)
    if data is None:
        return value
    info = sniff(data[:HEAD_BYTES])
    if key in _BASE64_KEYS:
        return base64.b64encode(data).decode() if info.kind or not data.isascii() else data.decode()
    return f"data:{info.mime or _UNKNOWN_MIME};base64,{base64.b64encode(data).decode()}"


def _sniff_mime(value: Any, location: Location) -> str | None:
    data = _read_bytes(value, location)
    return None if data is None else sniff(data[:HEAD_BYTES]).mime


def _read_bytes(value: Any, location: Location) -> bytes | None:
    """Return the bytes of a live medium; `None` for other values."""
    if not _is_live_media(value):
        return None
    source = parse_source(value, location=str(location), files=False)
    return source.data if isinstance(source, InlineSource) and isinstance(source.data, bytes) else None


def _is_live_media(value: Any) -> bool:
    return (
        isinstance(value, (bytes, bytearray, memoryview))
        or callable(getattr(value, "read", None))
        or (callable(getattr(value, "save", None)) and hasattr(value, "mode"))  # a Pillow image
    )

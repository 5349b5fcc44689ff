"""Messages made fit for LangChain's own handling, before it traces, caches and passes them on.

Its tracing demands a MIME type of a base64 image. Its cache compares messages by what they print as, which for a file
object or a Pillow image is a place in memory: another picture may stand there next time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages.base import BaseMessage

from langchain_qwenvl.input_blocks import Place
from qwenvl_core.media.sources import parse_source
from qwenvl_core.types.media import InlineSource

_TYPES = ("image", "image_url", "video", "video_url", "file", None)


def normalize_messages(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    """The same messages; those that need it in copies.

    Raises:
        QwenVLInputError: A file object in them is open for text, not for bytes.
    """
    return [_prepared(index, message) for index, message in enumerate(messages)]


def _prepared(index: int, message: BaseMessage) -> BaseMessage:
    if isinstance(message.content, str):
        return message
    content = [_block(block, Place(index, at, "user")) for at, block in enumerate(message.content)]
    if all(new is old for new, old in zip(content, message.content, strict=True)):
        return message
    return message.model_copy(update={"content": content})


def _block(block: Any, place: Place) -> Any:
    if not isinstance(block, dict) or block.get("type") not in _TYPES:
        return block
    fixed = _fixed(block, place)
    return {**fixed, "mime_type": "image/*"} if _lacks_mime_type(fixed) else fixed


def _lacks_mime_type(block: Mapping[str, Any]) -> bool:
    return (
        block.get("type") == "image"
        and ("base64" in block or block.get("source_type") == "base64")
        and not block.get("mime_type")
    )


def _fixed(value: Any, place: Place) -> Any:
    """The value with media that are live objects as their bytes; itself, if there are none in it."""
    if isinstance(value, dict):
        items = {name: _fixed(item, place) for name, item in value.items()}
        return items if any(items[name] is not value[name] for name in items) else value
    if isinstance(value, (list, tuple)):
        fixed = [_fixed(item, place) for item in value]
        return fixed if any(new is not old for new, old in zip(fixed, value, strict=True)) else value
    live = isinstance(value, (bytearray, memoryview)) or callable(getattr(value, "read", None)) or _is_picture(value)
    source = parse_source(value, location=str(place), files=False) if live else None
    return source.data if isinstance(source, InlineSource) else value


def _is_picture(value: Any) -> bool:
    return callable(getattr(value, "save", None)) and hasattr(value, "mode")

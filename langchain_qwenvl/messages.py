"""LangChain messages as core messages. Nothing is dropped silently: what can't be said to Qwen-VL raises."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media import HINTS, source_from
from qwenvl_core.request import Frames, Image, Message, Part, Role, Text, ToolCall, Video

_ROLES: tuple[tuple[type[BaseMessage], Role], ...] = (
    (SystemMessage, "system"),
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
    (ToolMessage, "tool"),
)
_NAMED_ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "ai": "assistant", "model": "assistant",
}  # fmt: skip


class Place:
    """Where in the conversation a block stands: for errors, and for what may stand there."""

    def __init__(self, message: int, block: int, role: Role) -> None:
        self.role = role
        self._at = f"messages[{message}].content[{block}]"
        self._kind = "text"

    def of(self, kind: str) -> Place:
        """The same place, now that the block's type is known."""
        self._kind = kind
        return self

    def __str__(self) -> str:
        return f"{self._at} ({self._kind})"

    def error(self, why: str) -> QwenVLInputError:
        """An error that names this place."""
        return QwenVLInputError(f"{self}: {why}")


def to_core(messages: Iterable[BaseMessage]) -> tuple[Message, ...]:
    """The conversation in core's terms; the given messages are not changed.

    Raises:
        QwenVLInputError: A message or block that Qwen-VL can't take; the error names its index and type.
    """
    return tuple(_message(index, message) for index, message in enumerate(messages))


def with_mime_types(messages: list[BaseMessage]) -> list[BaseMessage]:
    """The same messages, base64 images without a MIME type completed in copies: LangChain's tracing demands one."""
    return [_with_mime_types(message) for message in messages]


def _with_mime_types(message: BaseMessage) -> BaseMessage:
    if isinstance(message.content, str) or not any(map(_lacks_mime_type, message.content)):
        return message
    content = [
        {**block, "mime_type": "image/*"} if isinstance(block, dict) and _lacks_mime_type(block) else block
        for block in message.content
    ]
    return message.model_copy(update={"content": content})


def _lacks_mime_type(block: Any) -> bool:
    return (
        isinstance(block, dict)
        and block.get("type") == "image"
        and ("base64" in block or block.get("source_type") == "base64")
        and not block.get("mime_type")
    )


def _message(index: int, message: BaseMessage) -> Message:
    role = _role(index, message)
    parts: list[Part] = []
    reasoning = str(message.additional_kwargs.get("reasoning_content") or "")
    blocks = [message.content] if isinstance(message.content, str) else message.content
    for at, block in enumerate(blocks):
        if role == "assistant" and isinstance(block, Mapping):
            if block.get("type") in _CALLS:  # the message's tool_calls say the same
                continue
            if block.get("type") in _REASONING:
                reasoning = reasoning or _REASONING[block["type"]](block)
                continue
        parts.append(_part(block, Place(index, at, role)))
    return Message(
        role,
        tuple(parts),
        tool_calls=_tool_calls(message),
        tool_call_id=message.tool_call_id if isinstance(message, ToolMessage) else None,
        name=message.name if role == "user" else None,
        reasoning=reasoning,
        partial=bool(message.additional_kwargs.get("partial")),
    )


def _role(index: int, message: BaseMessage) -> Role:
    if isinstance(message, ChatMessage) and message.role.lower() in _NAMED_ROLES:
        return _NAMED_ROLES[message.role.lower()]
    for cls, role in _ROLES:
        if isinstance(message, cls):
            return role
    kind = f"role {message.role!r}" if isinstance(message, ChatMessage) else type(message).__name__
    hint = " Use ToolMessage instead." if isinstance(message, FunctionMessage) else ""
    raise QwenVLInputError(f"messages[{index}] ({kind}): no such message can be sent to Qwen-VL.{hint}")


def _tool_calls(message: BaseMessage) -> tuple[ToolCall, ...]:
    if not isinstance(message, AIMessage):
        return ()
    valid = (ToolCall(call["id"] or "", call["name"], _arguments(call["args"])) for call in message.tool_calls)
    broken = (ToolCall(call["id"] or "", call["name"] or "", call["args"] or "") for call in message.invalid_tool_calls)
    return (*valid, *broken)


def _arguments(args: Any) -> str:
    return json.dumps(args, ensure_ascii=False, default=str)


def _part(block: Any, place: Place) -> Part:
    if isinstance(block, str):
        return Text(block)
    if not isinstance(block, Mapping):
        raise place.of(type(block).__name__).error("a content block is a string or a dict.")
    kind = block.get("type") or next((key for key in ("image", "video", "text") if key in block), None)
    read = _READERS.get(str(kind))
    if read is None:
        raise place.of(str(kind)).error(f"Qwen-VL takes no such block. Blocks it takes: {', '.join(sorted(_READERS))}.")
    if read is not _text and read is not _plain_text and place.role in ("system", "assistant"):
        raise place.of(str(kind)).error(f"a {place.role} message takes text only; put media into a user message.")
    return read(block, place.of(str(kind)))


def _extra(block: Mapping[str, Any], name: str) -> Any:
    """A vendor's hint: beside the block's own keys, in its `extras`, or in a nested `image_url`/`video_url`."""
    extras = block.get("extras") or {}
    return block[name] if name in block else extras.get(name)


def _hints(block: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {"cache": _extra(block, "cache_control") is not None, **{name: _extra(block, name) for name in names}}


def _text(block: Mapping[str, Any], place: Place) -> Text:
    text = block.get("text")
    if not isinstance(text, str):
        raise place.error("its text is no string.")
    return Text(text, cache=_extra(block, "cache_control") is not None)


def _plain_text(block: Mapping[str, Any], place: Place) -> Text:
    if "text" in block:
        return _text(block, place)
    if isinstance(block.get("base64"), str):
        try:
            return Text(base64.b64decode(block["base64"]).decode())
        except ValueError as error:
            raise place.error(f"its base64 holds no UTF-8 text: {error}.") from error
    raise place.error("only its text can be sent; read the file and give it as `text` or `base64`.")


def _image(block: Mapping[str, Any], place: Place) -> Image:
    return Image(_source(block, place), where=str(place), **_hints(block, HINTS["image"]))


def _video(block: Mapping[str, Any], place: Place) -> Video | Frames:
    frames = block.get("video")
    hints = _hints(block, HINTS["video"])
    if isinstance(frames, (list, tuple)):
        files = place.role == "user"
        sources = tuple(source_from(frame, where=f"{place}[{at}]", files=files) for at, frame in enumerate(frames))
        return Frames(sources, where=str(place), **hints)
    return Video(_source(block, place), where=str(place), **hints)


def _file(block: Mapping[str, Any], place: Place) -> Part:
    mime = str(block.get("mime_type") or "")
    for prefix, read in (("image/", _image), ("video/", _video), ("text/", _plain_text)):
        if mime.startswith(prefix):
            return read(block, place)
    raise place.error(f"Qwen-VL takes no file of type {mime or 'unknown'}; render its pages to images and send those.")


def _source(block: Mapping[str, Any], place: Place) -> Any:
    """Where a block's medium comes from, in any of the forms that v1, v0, OpenAI, Anthropic and the vendor use."""
    files = place.role == "user"
    if block.get("file_id"):
        raise place.error("the service knows no file ids; give a URL, base64 data, bytes or a path.")
    for name in ("image_url", "video_url", "source"):
        nested = block.get(name)
        if isinstance(nested, Mapping):
            return _source(nested, place)
        if nested is not None:
            return source_from(nested, where=str(place), files=files)
    mime = block.get("mime_type") or block.get("media_type")
    for name in ("base64", "data"):
        if block.get(name) is not None:
            return source_from(block[name], where=str(place), files=files, base64_text=True, mime=mime)
    for name in ("url", "path", "image", "video"):
        if block.get(name) is not None:
            return source_from(block[name], where=str(place), files=files)
    raise place.error("it holds no medium: give `url`, `base64`, bytes or a path.")


_READERS: dict[str, Callable[[Mapping[str, Any], Place], Part]] = {
    "text": _text,
    "text-plain": _plain_text,
    "image": _image,
    "image_url": _image,
    "video": _video,
    "video_url": _video,
    "file": _file,
}
_CALLS = ("tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call")
_REASONING: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "reasoning": lambda block: str(block.get("reasoning") or ""),
    "thinking": lambda block: str(block.get("thinking") or ""),
    "redacted_thinking": lambda block: "",
}

"""Prepare the media of tool results and assistant messages, which the service accepts in user messages only.

What the service would refuse is described in words: a tool result must not end an agent. Images that a model of another
provider made are moved like those of tools.

Source: can1357/oh-my-pi#1861; in tool messages not documented by the vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.descriptions import describe_part, get_reason
from qwenvl_core.types.messages import Media, Message, Omission, Part, PdfPart, Role, TextPart
from qwenvl_core.types.omissions import MEDIA_LEFT_OUT, UNSEEN_DESCRIBED

CheckMedia = Callable[[Media], None]
"""A function that raises a `QwenVLInputError` for media that the service would refuse in a user message."""


def replace_refused_media(messages: Iterable[Message], check_media: CheckMedia) -> tuple[Message, ...]:
    """Describe media of tool results that the service would refuse in words; leave out those of assistant messages.

    Args:
        messages: The conversation; PDFs in it are checked where their pages are rendered.
        check_media: Raises for media that the service would refuse.
    """
    return tuple(
        _replace_refused(message, check_media) if message.role in ("tool", "assistant") else message
        for message in messages
    )


def replace_part(message: Message, part: Media, error: QwenVLInputError) -> tuple[tuple[TextPart, ...], Omission]:
    """Return what is sent instead of media that the service would refuse, and what is reported."""
    if message.role != "tool":
        return (), Omission(MEDIA_LEFT_OUT, error.message.rstrip("."))
    text = TextPart(describe_part(part, get_reason(error.message, part.location)), cache=part.cache)
    return (text,), Omission(UNSEEN_DESCRIBED, error.message.rstrip("."))


def _replace_refused(message: Message, check_media: CheckMedia) -> Message:
    parts: list[Part] = []
    omissions: list[Omission] = []
    for part in message.parts:
        if isinstance(part, TextPart | PdfPart):
            parts.append(part)
            continue
        try:
            if message.partial:
                raise QwenVLInputError(f"{part.location}: a partial message can be continued only if it is text.")
            check_media(part)
            parts.append(part)
        except QwenVLInputError as error:
            texts, omission = replace_part(message, part, error)
            parts += texts
            omissions.append(omission)
    if not omissions:
        return message
    return replace(message, parts=tuple(parts), omissions=(*message.omissions, *omissions))


def move_media_to_user_message(
    messages: Iterable[Message], roles: Collection[Role] = ("tool", "assistant")
) -> tuple[Message, ...]:
    """Move the media of each assistant message, and of the tool messages behind it, to one user message behind them.

    Args:
        messages: The conversation.
        roles: Roles of the messages whose media move; those of others stay in place.
    """
    adapted: list[Message] = []
    turn: list[Message] = []
    for message in messages:
        if message.role != "tool":
            adapted += _create_media_messages(turn)
            turn = []
        if message.role in roles:
            turn.append(message)
            message = _remove_media(message)
        adapted.append(message)
    return (*adapted, *_create_media_messages(turn))


def _get_media(message: Message) -> tuple[Part, ...]:
    return tuple(part for part in message.parts if not isinstance(part, TextPart))


def _remove_media(message: Message) -> Message:
    """Return a message without its media; a result without text gets a note, since its media follow later."""
    if not _get_media(message):
        return message
    texts = [part for part in message.parts if isinstance(part, TextPart) and part.text]
    if message.role == "assistant":
        return replace(message, parts=tuple(texts), partial=False)
    if not texts:
        return replace(message, parts=(TextPart("The result follows as media in the next user message."),))
    text = TextPart("\n".join(part.text for part in texts), cache=any(part.cache for part in texts))
    return replace(message, parts=(text,))


def _create_media_messages(turn: list[Message]) -> list[Message]:
    """Create a user message with the media of a turn; a line before them names their origin where several are possible.

    The media of an assistant message always have that line: without it, they seem to be the user's.
    """
    with_media = [message for message in turn if _get_media(message)]
    if not with_media:
        return []
    results = [message for message in turn if message.role == "tool"]
    parts: list[Part] = []
    for message in with_media:
        if message.role == "assistant":
            parts.append(TextPart("Media of the previous assistant message:"))
        elif len(results) > 1 or len(with_media) > 1:
            parts.append(TextPart(f"Result of the tool call {message.tool_call_id}:"))
        parts += _get_media(message)
    return [Message("user", tuple(parts))]

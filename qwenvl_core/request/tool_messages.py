"""Adapt tool calls and their results in a conversation to the rules of the service.

The service requires an id on each call, a result for each call, and only text in a result. Histories of frameworks
break all three rules: calls of another vendor's model have no ids, a truncated call is never executed, and tools return
images.

Source: the vendor's page "Error codes" (the texts of the refusals).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from qwenvl_core.types.messages import Message, Part, TextPart


def assign_call_ids(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Give each call an id that is unique in its message, and each result the id of its call.

    Where calls have no id, or two have the same, results belong to the calls in their order.
    """
    adapted: list[Message] = []
    pending: list[tuple[str, str]] = []  # old and new id of each call without a result
    for message_index, message in enumerate(messages):
        if message.role == "tool":
            old_id = message.tool_call_id or ""
            match = next((ids for ids in pending if not old_id or ids[0] == old_id), (old_id, old_id))
            pending = [ids for ids in pending if ids != match]
            adapted.append(replace(message, tool_call_id=match[1]))
            continue
        pending = []
        for call_index, call in enumerate(message.tool_calls):
            taken = {"", *(old_id for old_id, _ in pending)}
            pending.append((call.id, f"call_{message_index}_{call_index}" if call.id in taken else call.id))
        calls = tuple(replace(call, id=new_id) for call, (_, new_id) in zip(message.tool_calls, pending, strict=True))
        adapted.append(replace(message, tool_calls=calls) if calls else message)
    return tuple(adapted)


def add_missing_results(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Add a result "This call was not executed." to each call without one.

    Calls at the end of the conversation are left alone: they may still be executed.
    """
    adapted: list[Message] = []
    pending: dict[str, None] = {}  # ids of calls without a result, in their order
    for message in messages:
        if message.role == "tool":
            pending.pop(message.tool_call_id or "", None)
        else:
            adapted += _create_results(pending)
            pending = dict.fromkeys(call.id for call in message.tool_calls)
        adapted.append(message)
    return (*adapted, *(_create_results(pending) if adapted and adapted[-1].role == "tool" else ()))


def _create_results(call_ids: Iterable[str]) -> list[Message]:
    return [Message("tool", (TextPart("This call was not executed."),), tool_call_id=call_id) for call_id in call_ids]


def move_media_to_user_message(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Move the media of each run of tool messages to one user message behind the run."""
    adapted: list[Message] = []
    run: list[Message] = []
    for message in messages:
        if message.role != "tool":
            adapted += _create_media_messages(run)
            run = []
        else:
            run.append(message)
            message = replace(message, parts=_get_text_parts(message))
        adapted.append(message)
    return (*adapted, *_create_media_messages(run))


def _get_media(message: Message) -> tuple[Part, ...]:
    return tuple(part for part in message.parts if not isinstance(part, TextPart))


def _get_text_parts(message: Message) -> tuple[Part, ...]:
    """Return the text of a result without its media, or a note where it has no text."""
    if not _get_media(message):
        return message.parts
    texts = [part for part in message.parts if isinstance(part, TextPart) and part.text]
    if not texts:
        return (TextPart("The result follows as media in the next user message."),)
    return (TextPart("\n".join(part.text for part in texts), cache=any(part.cache for part in texts)),)


def _create_media_messages(run: list[Message]) -> list[Message]:
    """Create a user message with the media of a run of results, with the ids of their calls where there are several."""
    with_media = [message for message in run if _get_media(message)]
    if not with_media:
        return []
    parts: list[Part] = []
    for message in with_media:
        if len(run) > 1:
            parts.append(TextPart(f"Result of the tool call {message.tool_call_id}:"))
        parts += _get_media(message)
    return [Message("user", tuple(parts))]

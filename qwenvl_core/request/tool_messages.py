"""Tool calls and their results in a conversation, as the service demands them: pure functions of messages.

The service wants an id on each call, a result for each call, and words alone in a result. Frameworks' histories break
all three: calls of another vendor's model have no ids, a call that was cut off is never executed, and tools return
pictures.

Source: the vendor's page "Error codes" (the refusals' texts).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from qwenvl_core.types.messages import Message, Part, TextPart


def assign_call_ids(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The messages, each call with an id of its own in its turn, and each result with that of its call.

    Where a history has none, or the same one twice, the results answer the calls in their order.
    """
    done: list[Message] = []
    waiting: list[tuple[str, str]] = []  # the id of a call in the history, and here
    for index, message in enumerate(messages):
        if message.role == "tool":
            said = message.tool_call_id or ""
            answered = next((ids for ids in waiting if not said or ids[0] == said), (said, said))
            waiting = [ids for ids in waiting if ids != answered]
            done.append(replace(message, tool_call_id=answered[1]))
            continue
        waiting = []
        for at, call in enumerate(message.tool_calls):
            known = {"", *(said for said, _ in waiting)}
            waiting.append((call.id, f"call_{index}_{at}" if call.id in known else call.id))
        calls = tuple(replace(call, id=own) for call, (_, own) in zip(message.tool_calls, waiting, strict=True))
        done.append(replace(message, tool_calls=calls) if calls else message)
    return tuple(done)


def add_missing_results(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The messages, each call with a result: one that has none, since it was never executed, gets one that says so.

    Calls that the conversation ends with may still be executed.
    """
    done: list[Message] = []
    waiting: dict[str, None] = {}  # ids, in their order
    for message in messages:
        if message.role == "tool":
            waiting.pop(message.tool_call_id or "", None)
        else:
            done += _not_executed(waiting)
            waiting = dict.fromkeys(call.id for call in message.tool_calls)
        done.append(message)
    return (*done, *(_not_executed(waiting) if done and done[-1].role == "tool" else ()))


def _not_executed(calls: Iterable[str]) -> list[Message]:
    return [Message("tool", (TextPart("This call was not executed."),), tool_call_id=call) for call in calls]


def move_media_to_user_message(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The messages, the media of each run of results in one user message behind it."""
    done: list[Message] = []
    run: list[Message] = []
    for message in messages:
        if message.role != "tool":
            done += _media_message(run)
            run = []
        else:
            run.append(message)
            message = replace(message, parts=_text_parts(message))
        done.append(message)
    return (*done, *_media_message(run))


def _media(message: Message) -> tuple[Part, ...]:
    return tuple(part for part in message.parts if not isinstance(part, TextPart))


def _text_parts(message: Message) -> tuple[Part, ...]:
    """What is left of a result without its media."""
    if not _media(message):
        return message.parts
    words = [part for part in message.parts if isinstance(part, TextPart) and part.text]
    if not words:
        return (TextPart("The result follows as media in the next user message."),)
    return (TextPart("\n".join(part.text for part in words), cache=any(part.cache for part in words)),)


def _media_message(run: list[Message]) -> list[Message]:
    """The user message with the media of a run of results, each call named where there are several."""
    with_media = [message for message in run if _media(message)]
    if not with_media:
        return []
    parts: list[Part] = []
    for message in with_media:
        if len(run) > 1:
            parts.append(TextPart(f"Result of the tool call {message.tool_call_id}:"))
        parts += _media(message)
    return [Message("user", tuple(parts))]

"""Restore the order of tool calls and their results in a conversation.

The service accepts a tool result only right behind the message with its call, and requires one result for each call.
Conversations of frameworks break this rule: they were trimmed, summarized or resumed, a tool added a picture or a note
between the results of parallel calls, or another vendor's model made calls without ids.

Source: the vendor's page "Error codes" (the texts of the refusals).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from qwenvl_core.types.messages import Message, Part, TextPart, ToolCall

NOT_EXECUTED = "This call was not executed."
"""The result of a call without one."""

_MAX_NAMED_IDS = 8  # more are counted, so that the report of a long conversation stays short


@dataclass(slots=True)
class _Call:
    """A tool call of the conversation, and the messages with its results.

    Attributes:
        message_index: Index of the message with the call.
        call: The call as the caller gave it.
        sent_id: Its id as it is sent: not empty, and unique in its message.
        result_index: Index of the message with its result; `None` without one.
    """

    message_index: int
    call: ToolCall
    sent_id: str
    result_index: int | None = None


@dataclass(slots=True)
class _Matches:
    """The calls of a conversation, and the results that belong to none: doubled ones, and orphans."""

    calls: list[_Call] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    orphans: list[int] = field(default_factory=list)


def restore_tool_order(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Put each tool result right behind the message with its call, and complete or remove what does not match.

    Each call gets an id. A result moves to its call; a call without a result gets one that states that it was not
    executed; a second result is left out; the result of a call that is not in the conversation becomes a user message.

    Args:
        messages: The conversation.

    Returns:
        The conversation in the order that the service accepts, and the changes, one sentence each. An order that the
        service accepts already is not changed.
    """
    matches = _match_results(messages)
    ordered: list[Message] = []
    for index, message in enumerate(messages):
        if message.role != "tool":
            calls = [call for call in matches.calls if call.message_index == index] if message.tool_calls else []
            ordered += [_with_sent_ids(message, calls), *_collect_results(messages, calls, matches)]
        elif index in matches.orphans:
            ordered.append(_convert_orphan(message))
    return tuple(ordered), tuple(_describe_changes(messages, matches))


def _match_results(messages: Sequence[Message]) -> _Matches:
    matches = _Matches()
    unmatched: list[int] = []
    for index, message in enumerate(messages):
        if message.role != "tool":
            matches.calls += _create_calls(index, message)
        elif call := _find_pending(matches.calls, message.tool_call_id or ""):
            call.result_index = index
        else:
            unmatched.append(index)
    for index in unmatched:
        same_id = [call for call in matches.calls if call.call.id and call.call.id == messages[index].tool_call_id]
        if len(same_id) == 1 and same_id[0].result_index is None:  # the result precedes its call
            same_id[0].result_index = index
        elif any(call.message_index < index for call in same_id):
            matches.doubled.append(index)
        else:
            matches.orphans.append(index)
    return matches


def _create_calls(message_index: int, message: Message) -> Iterator[_Call]:
    taken = {""}
    for call_index, call in enumerate(message.tool_calls):
        sent_id = call.id if call.id not in taken else f"call_{message_index}_{call_index}"
        while sent_id in taken:
            sent_id += "_"
        taken.add(sent_id)
        yield _Call(message_index, call, sent_id)


def _find_pending(calls: Iterable[_Call], result_id: str) -> _Call | None:
    """Return the call that a result answers: of the calls before it without a result, in the last message possible.

    A result without an id answers the calls in their order, first those without an id. LlamaIndex gives a call without
    an id its name as the id.
    """
    pending = [call for call in calls if call.result_index is None]
    if not result_id:
        last = _get_last_message(pending)
        return next((call for call in last if not call.call.id), last[0] if last else None)
    same_id = _get_last_message([call for call in pending if call.call.id == result_id])
    same_name = _get_last_message([call for call in pending if not call.call.id and call.call.name == result_id])
    return next(iter([*same_id, *same_name]), None)


def _get_last_message(calls: Sequence[_Call]) -> list[_Call]:
    return [call for call in calls if call.message_index == calls[-1].message_index]


def _with_sent_ids(message: Message, calls: Sequence[_Call]) -> Message:
    if not calls:
        return message
    # Results follow a message with calls, so that it is not the last one, which alone can be continued.
    return replace(message, tool_calls=tuple(replace(call.call, id=call.sent_id) for call in calls), partial=False)


def _collect_results(messages: Sequence[Message], calls: Sequence[_Call], matches: _Matches) -> Iterator[Message]:
    """Yield the results of one message's calls: those that exist in their order, then the others."""
    answered = [(call.result_index, call) for call in calls if call.result_index is not None]
    for index, call in sorted(answered, key=lambda pair: pair[0]):
        yield replace(messages[index], tool_call_id=call.sent_id)
    for call in calls:
        if call.result_index is None:
            twin = _find_twin(call, matches.calls)
            parts: tuple[Part, ...] = (TextPart(NOT_EXECUTED),)
            if twin is not None and twin.result_index is not None:
                parts = messages[twin.result_index].parts
            yield Message("tool", parts, tool_call_id=call.sent_id)


def _find_twin(call: _Call, calls: Iterable[_Call]) -> _Call | None:
    """Find the same call elsewhere with a result: a conversation may contain a message twice."""
    twins = (other for other in calls if other.call == call.call and other.result_index is not None)
    return next(twins, None) if call.call.id else None


def _convert_orphan(message: Message) -> Message:
    identity = f" {message.tool_call_id}" if message.tool_call_id else ""
    heading = TextPart(f"Result of an earlier tool call{identity}:")
    return replace(message, role="user", parts=(heading, *message.parts), tool_call_id=None)


def _describe_changes(messages: Sequence[Message], matches: _Matches) -> Iterator[str]:
    """Yield a sentence for each kind of change, with the ids of the calls."""
    moved = [call.sent_id for call in matches.calls if _is_moved(messages, call)]
    missing = [call for call in matches.calls if call.result_index is None]
    repeated = [call.sent_id for call in missing if _find_twin(call, matches.calls)]
    added = [call.sent_id for call in missing if not _find_twin(call, matches.calls)]
    last = len(messages) - 1  # only the last message can be partial
    partial = [call.sent_id for call in matches.calls if call.message_index == last and messages[last].partial]
    for sentence, ids in (
        ("tool results moved behind their calls: the service accepts them nowhere else", moved),
        ("results added for tool calls that were not executed: the service requires a result for each call", added),
        ("results repeated for tool calls that occur twice: the service requires a result for each call", repeated),
        (
            "second results of tool calls left out: the service accepts one for each call",
            [messages[index].tool_call_id or "" for index in matches.doubled],
        ),
        (
            "tool results sent as user messages: the conversation does not contain their calls",
            [messages[index].tool_call_id or "without an id" for index in matches.orphans],
        ),
        ("partial not sent: a message with tool calls can't be continued", partial),
    ):
        if ids:
            yield f"{sentence} ({_join_ids(ids)})"


def _is_moved(messages: Sequence[Message], call: _Call) -> bool:
    """Return whether other messages than results are between a call and its result."""
    if call.result_index is None:
        return False
    between = messages[call.message_index + 1 : call.result_index]
    return call.result_index < call.message_index or any(message.role != "tool" for message in between)


def _join_ids(ids: Sequence[str]) -> str:
    counted = Counter(ids)
    named = [f"{name} ({count} times)" if count > 1 else name for name, count in counted.items()]
    hidden = len(named) - _MAX_NAMED_IDS
    return ", ".join(named[:_MAX_NAMED_IDS]) + (f" and {hidden} more" if hidden > 0 else "")

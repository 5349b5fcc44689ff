"""An answer as a sequence of deltas in no API's words: what comes in which chunk, in which order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest

from tests.emulator.chat_request import Api
from tests.emulator.quirks import Quirks
from tests.emulator.replies import Reply, ToolCall, pieces


@dataclass(frozen=True)
class Fragment:
    """A piece of one tool call; the first one has the name."""

    index: int
    id: str
    arguments: str
    name: str | None = None


@dataclass(frozen=True)
class Delta:
    """One chunk. ``None`` means that the chunk says nothing about it."""

    reasoning: str | None = None
    text: str | None = None
    calls: tuple[Fragment, ...] = ()
    finish: str | None = None
    opens: bool = False
    """Carries the role (compat)."""
    bare: bool = False
    """Has neither ``finish_reason`` nor ``logprobs`` (compat, before a tool call's end)."""
    reasoned: float = 0.0
    """The share of the reasoning that has been said, this chunk included."""
    answered: float = 0.0
    """The share of text and tool calls."""


def plan(reply: Reply, quirks: Quirks, api: Api) -> list[Delta]:
    """The chunks of a streamed answer."""
    deltas = [*_words(reply, quirks), *_calls(reply, quirks, api)]
    deltas = _with_finish(deltas, reply, quirks, api)
    if api == "compat":
        deltas = _opened(deltas, reply, quirks)
    return _with_shares(deltas)


def shown(reply: Reply, quirks: Quirks) -> tuple[list[str], list[str]]:
    """The pieces of reasoning and of text after the quirks that move words between the two."""
    reasoning, text = pieces(reply.reasoning), pieces(reply.text)
    if quirks.tool_call_in_reasoning:
        reasoning += [_leaked(call) for call in reply.tool_calls]
    if reasoning and (quirks.think_tags or quirks.lone_think_end):
        opening = [] if quirks.lone_think_end else ["<think>\n"]
        return [], [*opening, *reasoning, "\n</think>\n\n", *text]
    return reasoning, text


def finish_of(reply: Reply, quirks: Quirks) -> str:
    if quirks.finish_stop_with_tool_calls and reply.tool_calls and reply.finish is None:
        return "stop"
    return reply.finish_reason()


def _leaked(call: ToolCall) -> str:
    arguments = "".join(pieces(call.arguments))
    return f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {arguments}}}\n</tool_call>'


def _words(reply: Reply, quirks: Quirks) -> list[Delta]:
    reasoning, text = shown(reply, quirks)
    thoughts = [Delta(reasoning=piece) for piece in reasoning]
    words = [Delta(text=piece) for piece in text]
    if quirks.reasoning_and_text_in_one_chunk and thoughts and words:
        both = Delta(reasoning=thoughts[-1].reasoning, text=words[0].text)
        return [*thoughts[:-1], both, *words[1:]]
    return [*thoughts, *words]


def _calls(reply: Reply, quirks: Quirks, api: Api) -> list[Delta]:
    share = quirks.two_tool_indexes_in_one_chunk
    share = api == "native" if share is None else share
    deltas: list[Delta] = []
    calls = [
        [Delta(calls=(fragment,)) for fragment in _fragments(index, call, quirks)]
        for index, call in enumerate(reply.tool_calls)
    ]
    if quirks.interleaved_tool_calls:
        calls, share = [[delta for turn in zip_longest(*calls) for delta in turn if delta]], False
    for index, own in enumerate(calls):
        if share and index:
            # The call before ends with an empty fragment in the chunk that opens this one.
            before = Fragment(index - 1, reply.tool_calls[index - 1].id, "")
            own[0] = Delta(calls=(before, *own[0].calls))
        deltas += own
    if deltas and api == "compat":
        last = len(reply.tool_calls) - 1
        deltas.append(Delta(calls=(Fragment(last, reply.tool_calls[last].id, ""),), bare=True))
    return deltas


def _fragments(index: int, call: ToolCall, quirks: Quirks) -> Iterator[Fragment]:
    rest = pieces(call.arguments)
    first = rest.pop(0) if quirks.arguments_with_name and rest else ""
    yield Fragment(index, call.id, first, call.name)
    for piece in rest:
        if quirks.empty_tool_deltas:
            yield Fragment(index, call.id, "")
        yield Fragment(index, call.id, piece)


def _with_finish(deltas: list[Delta], reply: Reply, quirks: Quirks, api: Api) -> list[Delta]:
    finish = finish_of(reply, quirks)
    rides = quirks.finish_with_last_arguments if reply.tool_calls else quirks.finish_on_last_text_chunk
    rides = api == "native" if rides is None else rides
    last_says_something = bool(deltas) and (bool(deltas[-1].calls) or deltas[-1].text is not None)
    if rides and last_says_something:
        return [*deltas[:-1], replace(deltas[-1], finish=finish, bare=False)]
    return [*deltas, Delta(finish=finish)]


def _opened(deltas: list[Delta], reply: Reply, quirks: Quirks) -> list[Delta]:
    """Compat: the role comes first, alone, unless the answer opens with a tool call."""
    reasoning, text = shown(reply, quirks)
    if reasoning and quirks.first_reasoning_empty:
        return [Delta(reasoning="", opens=True), *deltas]
    if text and not reasoning:
        return [Delta(text="", opens=True), *deltas]
    return [replace(deltas[0], opens=True), *deltas[1:]]


def _with_shares(deltas: list[Delta]) -> list[Delta]:
    thoughts = [0, *(_running(bool(delta.reasoning) for delta in deltas))]
    answers = [0, *(_running(bool(delta.text or delta.calls) for delta in deltas))]
    return [
        replace(delta, reasoned=thought / (thoughts[-1] or 1), answered=answer / (answers[-1] or 1))
        for delta, (_, thought), (_, answer) in zip(deltas, pairwise(thoughts), pairwise(answers), strict=True)
    ]


def _running(flags: Iterator[bool]) -> Iterator[int]:
    count = 0
    for flag in flags:
        count += flag
        yield count

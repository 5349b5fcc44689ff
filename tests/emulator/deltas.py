"""Split a reply into deltas that both APIs render: the content of each chunk, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, zip_longest

from tests.emulator.chat_request import Api
from tests.emulator.quirks import Quirks
from tests.emulator.replies import Reply, ToolCall, split_text


@dataclass(frozen=True)
class Fragment:
    """Part of one tool call; only the first fragment of a call has the name."""

    index: int
    id: str
    arguments: str
    name: str | None = None


@dataclass(frozen=True)
class Delta:
    """Content of one chunk; a field that is None is absent from the chunk."""

    reasoning: str | None = None
    text: str | None = None
    calls: tuple[Fragment, ...] = ()
    finish: str | None = None
    has_role: bool = False
    """Whether the chunk has the role (compatible API)."""
    is_bare: bool = False
    """Whether it lacks ``finish_reason`` and ``logprobs`` (compatible API, last chunk of the tool calls)."""
    reasoning_share: float = 0.0
    """Share of the reasoning sent up to and including this chunk, 0 to 1."""
    answer_share: float = 0.0
    """Share of text and tool calls sent up to and including this chunk, 0 to 1."""


def build_deltas(reply: Reply, quirks: Quirks, api: Api) -> list[Delta]:
    """Build the deltas of a streamed reply."""
    deltas = [*_build_text_deltas(reply, quirks), *_build_call_deltas(reply, quirks, api)]
    deltas = _add_finish(deltas, reply, quirks, api)
    if api == "compat":
        deltas = _add_role(deltas, reply, quirks)
    return _add_shares(deltas)


def split_reasoning_and_text(reply: Reply, quirks: Quirks) -> tuple[list[str], list[str]]:
    """Return the deltas of reasoning and of text, after the quirks that move content between the two."""
    reasoning, text = split_text(reply.reasoning), split_text(reply.text)
    if quirks.tool_call_in_reasoning:
        reasoning += [_render_leaked_call(call) for call in reply.tool_calls]
    if reasoning and (quirks.think_tags or quirks.lone_think_end):
        opening = [] if quirks.lone_think_end else ["<think>\n"]
        return [], [*opening, *reasoning, "\n</think>\n\n", *text]
    return reasoning, text


def finish_reason_of(reply: Reply, quirks: Quirks) -> str:
    """Return the finish reason of a reply, after the quirks."""
    if quirks.finish_stop_with_tool_calls and reply.tool_calls and reply.finish is None:
        return "stop"
    return reply.finish_reason


def _render_leaked_call(call: ToolCall) -> str:
    arguments = "".join(split_text(call.arguments))
    return f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {arguments}}}\n</tool_call>'


def _build_text_deltas(reply: Reply, quirks: Quirks) -> list[Delta]:
    reasoning, text = split_reasoning_and_text(reply, quirks)
    reasoning_deltas = [Delta(reasoning=part) for part in reasoning]
    text_deltas = [Delta(text=part) for part in text]
    if quirks.reasoning_and_text_in_one_chunk and reasoning_deltas and text_deltas:
        both = Delta(reasoning=reasoning_deltas[-1].reasoning, text=text_deltas[0].text)
        return [*reasoning_deltas[:-1], both, *text_deltas[1:]]
    return [*reasoning_deltas, *text_deltas]


def _build_call_deltas(reply: Reply, quirks: Quirks, api: Api) -> list[Delta]:
    share = quirks.two_tool_indexes_in_one_chunk
    share = api == "native" if share is None else share
    deltas: list[Delta] = []
    calls = [
        [Delta(calls=(fragment,)) for fragment in _split_call(index, call, quirks)]
        for index, call in enumerate(reply.tool_calls)
    ]
    if quirks.interleaved_tool_calls:
        calls, share = [[delta for deltas_in_turn in zip_longest(*calls) for delta in deltas_in_turn if delta]], False
    for index, call_deltas in enumerate(calls):
        if share and index:
            # The previous call ends with an empty fragment, in the chunk that opens this one.
            previous = Fragment(index - 1, reply.tool_calls[index - 1].id, "")
            call_deltas[0] = Delta(calls=(previous, *call_deltas[0].calls))
        deltas += call_deltas
    if deltas and api == "compat":
        last = len(reply.tool_calls) - 1
        deltas.append(Delta(calls=(Fragment(last, reply.tool_calls[last].id, ""),), is_bare=True))
    return deltas


def _split_call(index: int, call: ToolCall, quirks: Quirks) -> Iterator[Fragment]:
    arguments = split_text(call.arguments)
    first = arguments.pop(0) if quirks.arguments_with_name and arguments else ""
    yield Fragment(index, call.id, first, call.name)
    for part in arguments:
        if quirks.empty_tool_deltas:
            yield Fragment(index, call.id, "")
        yield Fragment(index, call.id, part)


def _add_finish(deltas: list[Delta], reply: Reply, quirks: Quirks, api: Api) -> list[Delta]:
    """Put the finish reason on the last delta or on a delta of its own."""
    finish = finish_reason_of(reply, quirks)
    on_last = quirks.finish_with_last_arguments if reply.tool_calls else quirks.finish_on_last_text_chunk
    on_last = api == "native" if on_last is None else on_last
    last_has_answer = bool(deltas) and (bool(deltas[-1].calls) or deltas[-1].text is not None)
    if on_last and last_has_answer:
        return [*deltas[:-1], replace(deltas[-1], finish=finish, is_bare=False)]
    return [*deltas, Delta(finish=finish)]


def _add_role(deltas: list[Delta], reply: Reply, quirks: Quirks) -> list[Delta]:
    """Send the role in a first chunk of its own, unless the reply starts with a tool call (compatible API)."""
    reasoning, text = split_reasoning_and_text(reply, quirks)
    if reasoning and quirks.first_reasoning_empty:
        return [Delta(reasoning="", has_role=True), *deltas]
    if text and not reasoning:
        return [Delta(text="", has_role=True), *deltas]
    return [replace(deltas[0], has_role=True), *deltas[1:]]


def _add_shares(deltas: list[Delta]) -> list[Delta]:
    """Add the shares of reasoning and answer, by the number of deltas."""
    reasoning = list(accumulate((bool(delta.reasoning) for delta in deltas), initial=0))
    answers = list(accumulate((bool(delta.text or delta.calls) for delta in deltas), initial=0))
    return [
        replace(
            delta,
            reasoning_share=reasoning_count / (reasoning[-1] or 1),
            answer_share=answer_count / (answers[-1] or 1),
        )
        for delta, reasoning_count, answer_count in zip(deltas, reasoning[1:], answers[1:], strict=True)
    ]

"""Test that code which adds up raw chunks, such as `AgentExecutor`, never gets a call that was cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableGenerator

from langchain_qwenvl import ChatQwenVL
from langchain_qwenvl.streaming import ChunkBuilder, _find_breaking_suffix
from qwenvl_core.types.events import Event, Finish, TextDelta, ToolCallDelta
from tests.emulator import Emulator, Reply, ToolCall

WHOLE = json.dumps({"a": [{"b": 'x\\ "y" {[', "c": [1, [2.5, None]]}], "d": {}, "中": "\n"})


def add_chunks(*events: Event) -> AIMessageChunk:
    builder = ChunkBuilder()
    total: Any = None
    for event in events:
        chunk = builder.build(event)
        if chunk is not None:
            total = chunk.message if total is None else total + chunk.message
    assert isinstance(total, AIMessageChunk)
    return total


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_sum_of_raw_chunks_shows_cut_call_as_invalid(end: int) -> None:
    total = add_chunks(
        TextDelta("Words."),
        ToolCallDelta(0, "1", "whole", '{"x": 1}'),
        ToolCallDelta(1, "2", "cut", WHOLE[:end]),
        Finish("length"),
    )
    assert [call["name"] for call in total.tool_calls] == ["whole"]
    assert [call["id"] for call in total.additional_kwargs["invalid_tool_calls"]] == ["2"]
    assert [call["args"] for call in total.additional_kwargs["invalid_tool_calls"]] == [WHOLE[:end]]


@pytest.mark.parametrize("arguments", ["[1]", "3", '"text"', "{'a': 1}", "{}{}", '{"a": 1}]', "{]", "\\"])
def test_sum_of_raw_chunks_shows_malformed_call_as_invalid(arguments: str) -> None:
    total = add_chunks(ToolCallDelta(0, "1", "tool", arguments), Finish("tool_calls"))
    assert total.tool_calls == []


def test_breaking_suffix_of_deep_or_long_arguments_is_found_in_linear_time() -> None:
    for arguments in ("[" * 5000, '{"a": "' + "x" * 200_000, '{"a":' * 400):
        assert len(_find_breaking_suffix(arguments)) <= 2 * len(arguments) + 4


def test_whole_calls_are_unchanged() -> None:
    total = add_chunks(ToolCallDelta(0, "1", "tool", WHOLE), Finish("tool_calls"))
    assert [call["args"] for call in total.tool_calls] == [json.loads(WHOLE)]
    assert total.invalid_tool_calls == []


async def test_collected_stream_does_not_contain_cut_call(llm: ChatQwenVL, emulator: Emulator) -> None:
    """`AgentExecutor` passes the stream to a parser that is no transformer, which collects it."""
    emulator.strict = False

    def parse(chunks: Any) -> Any:
        total: Any = None
        for chunk in chunks:
            total = chunk if total is None else total + chunk
        yield [call["args"] for call in total.tool_calls]

    reply = Reply(text="I cut.", tool_calls=[ToolCall("1", "crop", '{"city": "Par')], finish="length")
    tool = {"type": "function", "function": {"name": "crop", "parameters": {"type": "object", "properties": {}}}}
    agent = llm.bind_tools([tool]) | RunnableGenerator(parse)
    emulator.script(reply, reply)
    assert list(agent.stream("Crop.")) == [[]]
    assert [call["args"] for call in (await llm.bind_tools([tool]).ainvoke("Crop.")).invalid_tool_calls] == [
        '{"city": "Par'
    ]

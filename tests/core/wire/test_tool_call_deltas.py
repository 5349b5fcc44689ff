"""Arguments of streamed calls that mean no arguments, in fragments of every size."""

from __future__ import annotations

import json

import pytest

from qwenvl_core.types.reply import accumulate
from qwenvl_core.types.tool_arguments import parse_arguments
from tests.support.pipeline import chunk, read, sse


def stream_of(fragments: list[str], finish: str = "tool_calls") -> bytes:
    """Build a stream with one call, its arguments in these fragments."""
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "crop", "arguments": ""}}
    rest = [{"index": 0, "id": "", "function": {"arguments": fragment}} for fragment in fragments]
    return sse(*[chunk(tool_calls=[entry]) for entry in (first, *rest)], chunk(finish))


@pytest.mark.parametrize("arguments", ["", " ", "null", " null\n", "\u3000", "\r\n\t"])
def test_blank_arguments_in_any_fragments_are_dropped(arguments: str) -> None:
    for fragments in ([arguments], list(arguments), [arguments[:2], arguments[2:]]):
        (call,) = accumulate(read(stream_of(fragments))).tool_calls
        assert (call.name, call.arguments, parse_arguments(call)) == ("crop", "", {})


@pytest.mark.parametrize(
    "arguments",
    ['{"a": null}', ' {"x": 1}', "nul", "nullable", "null null", "nu ll", '"null"', "n", " " * 9_000 + "{}"],
)
def test_other_arguments_in_any_fragments_are_passed_on_unchanged(arguments: str) -> None:
    for fragments in ([arguments], list(arguments), [arguments[:2], arguments[2:]]):
        (call,) = accumulate(read(stream_of(fragments))).tool_calls
        assert call.arguments == arguments


def test_blank_arguments_of_whole_reply_are_dropped() -> None:
    functions = [{"name": "crop", "arguments": text} for text in ("null", "", " ", '{"x": 1}')]
    calls = [{"id": f"call_{i}", "type": "function", "function": function} for i, function in enumerate(functions)]
    body = {"choices": [{"message": {"content": "", "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    reply = accumulate(read(json.dumps(body).encode(), headers={"content-type": "application/json"}))
    assert [call.arguments for call in reply.tool_calls] == ["", "", "", '{"x": 1}']


def test_call_cut_off_before_its_arguments_is_not_executable() -> None:
    for fragments in ([], [" "], ["nu"]):
        (call,) = accumulate(read(stream_of(fragments, finish="length"))).tool_calls
        assert parse_arguments(call, truncated=True) is None

"""Test that over the native API the name of a call and its first arguments are two events."""

from __future__ import annotations

from qwenvl_core.types.events import ToolCallDelta
from qwenvl_core.wire import dashscope, openai

FRAGMENTS = [
    {"index": 0, "id": "1", "function": {"name": "crop", "arguments": '{"x": '}},
    {"index": 0, "id": "", "function": {"name": "crop", "arguments": "1}"}},
    {"index": 1, "id": "2", "function": {"name": "zoom", "arguments": ""}},
]


def test_native_call_with_name_and_arguments_becomes_two_events() -> None:
    message = {"role": "assistant", "content": [], "tool_calls": FRAGMENTS}
    payload = {"output": {"choices": [{"message": message, "finish_reason": "null"}]}}
    assert dashscope.Decoder().decode_payload(payload) == [
        ToolCallDelta(0, "1", "crop", ""),
        ToolCallDelta(0, None, None, '{"x": '),
        ToolCallDelta(0, None, None, "1}"),
        ToolCallDelta(1, "2", "zoom", ""),
    ]


def test_compatible_call_with_name_and_arguments_stays_one_event() -> None:
    payload = {"choices": [{"index": 0, "delta": {"tool_calls": FRAGMENTS[:1]}}]}
    assert openai.Decoder().decode_payload(payload) == [ToolCallDelta(0, "1", "crop", '{"x": ')]

"""Names of tools and schemas: the names that are sent, and the names that come back."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.types.events import ToolCallDelta
from qwenvl_core.types.messages import Message, ToolCall
from qwenvl_core.types.settings import NamedTool
from qwenvl_core.wire import dashscope
from qwenvl_core.wire.tool_names import to_wire_name
from tests.core.wire.openai_requests import HI, call
from tests.support.pipeline import body_of, chunk, prepare, read, request, sse


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:6]


NAMES = {
    "crop": "crop",
    "a-b_C9": "a-b_C9",
    "x" * 64: "x" * 64,
    "x" * 65: "x" * 58 + digest("x" * 65),
    "github.create_issue": "github_create_issue" + digest("github.create_issue"),
    "发票": "__" + digest("发票"),
    "list[Item]": "list_Item_" + digest("list[Item]"),
    "crop\n": "crop_" + digest("crop\n"),
    "é" * 80: "_" * 58 + digest("é" * 80),
}


@pytest.mark.parametrize(("name", "sent"), NAMES.items())
def test_wire_name_is_valid_and_unchanged_where_possible(name: str, sent: str) -> None:
    assert to_wire_name(name) == sent


@given(st.text(min_size=1, max_size=100))
def test_wire_name_is_always_valid(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", to_wire_name(name))
    assert to_wire_name(to_wire_name(name)) == to_wire_name(name)


def test_wire_names_of_similar_names_differ() -> None:
    assert len({to_wire_name(name) for name in ("发票", "收据", "发 票", "__", "发票" * 40, "发票" * 41)}) == 6


INVOICE = {"type": "function", "function": {"name": "发票", "description": "An invoice.", "parameters": {}}}
BARE = {"type": "function", "function": {"name": "b.c"}}
SENT = {
    "name": to_wire_name("发票"),
    "description": "发票: An invoice.",
    "parameters": {},
}


def test_names_in_body_are_converted_everywhere() -> None:
    history = [
        Message("assistant", tool_calls=(call(name="发票"), call("call_2", "old.tool"))),
        Message("tool", tool_call_id="call_1"),
        Message("tool", tool_call_id="call_2"),
    ]
    chat_request = request(
        "Hi", *history, "Now.", tools=(INVOICE, BARE), tool_choice=NamedTool("发票"), model="qwen3-vl-8b-instruct"
    )
    body = body_of(chat_request)
    assert body["tools"] == [
        {"type": "function", "function": SENT},
        {"type": "function", "function": {"name": to_wire_name("b.c"), "description": "b.c"}},
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": to_wire_name("发票")}}
    names = [sent["function"]["name"] for sent in body["messages"][1]["tool_calls"]]
    assert names == [to_wire_name("发票"), to_wire_name("old.tool")]
    native = dashscope.encode(prepare(chat_request))
    assert (native["parameters"]["tools"], native["parameters"]["tool_choice"]) == (body["tools"], body["tool_choice"])
    assert INVOICE["function"]["name"] == "发票"  # type: ignore[index]


def test_name_of_response_format_is_converted() -> None:
    schema = {"type": "object", "properties": {"a": {}}}
    response_format = {"type": "json_schema", "json_schema": {"name": "发票", "schema": schema}}
    body = body_of(request("Hi", response_format=response_format, model="qwen3.7-plus", enable_thinking=False))
    assert body["response_format"]["json_schema"] == {
        "name": to_wire_name("发票"),
        "description": "发票",
        "schema": schema,
    }


@pytest.mark.parametrize("tool", [{"type": "function"}, {"name": "发票"}, {"type": "function", "function": {}}])
def test_tool_without_function_name_is_sent_unchanged(tool: dict[str, Any]) -> None:
    assert body_of(request("Hi", tools=(tool,), model="my-model"))["tools"] == [tool]


@pytest.mark.parametrize(
    ("received", "expected"), [(to_wire_name("发票"), "发票"), ("发票", "发票"), ("zoom", "zoom"), ("__", "__")]
)
def test_name_of_call_comes_back_as_the_callers(received: str, expected: str) -> None:
    fragment = {"index": 0, "id": "a", "type": "function", "function": {"name": received, "arguments": "{}"}}
    payload = chunk("tool_calls", tool_calls=[fragment])
    events = read(sse(payload), chat_request=request("Hi", tools=(INVOICE, BARE), stream=True))
    assert [event.name for event in events if isinstance(event, ToolCallDelta)] == [expected]


def test_unnamed_call_in_history_gets_a_name() -> None:
    body = body_of(request("Hi", Message("assistant", tool_calls=(ToolCall("a", "", "{}"),)), "Now."))
    assert body["messages"][1]["tool_calls"][0]["function"]["name"] == "unnamed"
    assert body["messages"][0] == HI[0]

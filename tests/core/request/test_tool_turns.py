"""Tool calls and results as the service requires them; the emulator accepts every validated request."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.catalog.models import describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import policy, tool_order, validation
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, TextPart, ToolCall, VideoPart
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import NamedTool
from qwenvl_core.wire import dashscope, openai
from tests.emulator.chat_request import COMPAT_CHAT, NATIVE_CHAT, ChatRequest, RecordedRequest
from tests.emulator.models import MODELS
from tests.emulator.rules import refuse
from tests.support.pipeline import body_of, request, user


def call_message(*ids: str, name: str = "crop") -> Message:
    return Message("assistant", tool_calls=tuple(ToolCall(call_id, name, "{}") for call_id in ids))


def result_message(call_id: str, text: str = "Done.") -> Message:
    return Message("tool", (TextPart(text),), tool_call_id=call_id)


def ids(messages: tuple[Message, ...]) -> list[Any]:
    return [message.tool_call_id or tuple(call.id for call in message.tool_calls) for message in messages]


CONVERSATIONS: dict[str, tuple[list[Message], list[Any]]] = {
    "as they are": ([call_message("a", "b"), result_message("b"), result_message("a")], [("a", "b"), "b", "a"]),
    "none": (
        [user("Hi"), call_message("", ""), result_message(""), result_message("")],
        [(), ("call_1_0", "call_1_1"), "call_1_0", "call_1_1"],
    ),
    "one of two": (
        [call_message("a", ""), result_message("a"), result_message("")],
        [("a", "call_0_1"), "a", "call_0_1"],
    ),
    "results alone": ([call_message("a", "b"), result_message(""), result_message("")], [("a", "b"), "a", "b"]),
    "one twice": (
        [call_message("a", "b", "a"), result_message("a", "1"), result_message("b", "2"), result_message("a", "3")],
        [("a", "b", "call_0_2"), "a", "b", "call_0_2"],
    ),
    "a result too many": ([call_message(""), result_message(""), result_message("")], [("call_0_0",), "call_0_0", ()]),
    "two turns": (
        [call_message(""), result_message(""), user("Hi"), call_message(""), result_message("")],
        [("call_0_0",), "call_0_0", (), ("call_3_0",), "call_3_0"],
    ),
}


@pytest.mark.parametrize(("messages", "expected"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_restore_tool_order_gives_each_call_an_id(messages: list[Message], expected: list[Any]) -> None:
    found, _ = tool_order.restore_tool_order(messages)
    assert ids(found) == expected
    assert tool_order.restore_tool_order(found) == (found, ())


@pytest.mark.parametrize(
    ("messages", "answered"),
    [
        ([user("Hi"), call_message("a", "b")], ["a", "b"]),
        ([call_message("a", "b"), result_message("b")], ["b", "a"]),
        ([call_message("a", "b"), result_message("a"), user("Wait.")], ["a", "b"]),
        ([call_message("a"), call_message("b"), result_message("b")], ["a", "b"]),
    ],
)
def test_restore_tool_order_completes_every_call(messages: list[Message], answered: list[str]) -> None:
    """A call that was truncated or interrupted gets a result that states it was not executed."""
    found, changes = tool_order.restore_tool_order(messages)
    assert [message.tool_call_id for message in found if message.role == "tool"] == answered
    assert len(changes) == 1
    assert "were not executed" in changes[0]
    assert tool_order.restore_tool_order(found) == (found, ())


NOT_EXECUTED = "This call was not executed."


def calls(*call_ids: str) -> str:
    return f"calls {' '.join(call_ids)}"


def summarize(messages: tuple[Message, ...]) -> list[str]:
    """Return one short line for each message."""
    lines = []
    for message in messages:
        content = "".join(part.text if isinstance(part, TextPart) else f"<{part.location}>" for part in message.parts)
        match message.role:
            case "assistant" if message.tool_calls:
                lines.append(calls(*(call.id for call in message.tool_calls)))
            case "tool":
                lines.append(f"{message.tool_call_id}: {content}")
            case _:
                lines.append(f"{message.role}: {content}")
    return lines


def named_call(name: str) -> Message:
    return Message("assistant", tool_calls=(ToolCall("", name, "{}"),))


PICTURE = user(ImagePart(UrlSource("https://example.com/a.png"), location="picture"))
ORDERS: dict[str, tuple[list[Message], list[str], str]] = {
    "a picture between parallel results": (
        [call_message("a", "b"), result_message("a", "1"), PICTURE, result_message("b", "2"), user("And?")],
        [calls("a", "b"), "a: 1", "b: 2", "user: <picture>", "user: And?"],
        r"moved.*\(b\)",
    ),
    "a result after a question": (
        [call_message("a"), user("Still there?"), result_message("a", "1")],
        [calls("a"), "a: 1", "user: Still there?"],
        r"moved.*\(a\)",
    ),
    "a result after another answer": (
        [call_message("a"), Message("assistant", (TextPart("Wait."),)), result_message("a", "1")],
        [calls("a"), "a: 1", "assistant: Wait."],
        r"moved.*\(a\)",
    ),
    "results of two turns behind both": (
        [call_message("a"), call_message("b"), result_message("a", "1"), result_message("b", "2")],
        [calls("a"), "a: 1", calls("b"), "b: 2"],
        r"moved.*\(a\)",
    ),
    "results of two turns in the other order": (
        [call_message("a"), user("Hi"), call_message("b"), result_message("b", "2"), result_message("a", "1")],
        [calls("a"), "a: 1", "user: Hi", calls("b"), "b: 2"],
        r"moved.*\(a\)",
    ),
    "a result before its call": (
        [user("Hi"), result_message("a", "1"), call_message("a")],
        ["user: Hi", calls("a"), "a: 1"],
        r"moved.*\(a\)",
    ),
    "a second result": (
        [call_message("a"), result_message("a", "1"), user("Hi"), result_message("a", "2"), result_message("a", "3")],
        [calls("a"), "a: 1", "user: Hi"],
        r"second results.*\(a \(2 times\)\)",
    ),
    "an orphan of a trimmed conversation": (
        [result_message("z", "9"), user("Hi")],
        ["user: Result of an earlier tool call z:9", "user: Hi"],
        r"user messages.*\(z\)",
    ),
    "an orphan between results": (
        [call_message("a", "b"), result_message("a", "1"), result_message("z", "9"), result_message("b", "2")],
        [calls("a", "b"), "a: 1", "b: 2", "user: Result of an earlier tool call z:9"],
        r"user messages.*\(z\)",
    ),
    "an orphan with a picture": (
        [Message("tool", PICTURE.parts, tool_call_id="z")],
        ["user: Result of an earlier tool call z:<picture>"],
        r"user messages.*\(z\)",
    ),
    "ids that repeat in each turn": (
        [call_message("0"), result_message("0", "1"), user("Hi"), call_message("0"), result_message("0", "2")],
        [calls("0"), "0: 1", "user: Hi", calls("0"), "0: 2"],
        "",
    ),
    "ids that repeat, the first call without a result": (
        [call_message("0"), user("Hi"), call_message("0", name="zoom"), result_message("0", "2")],
        [calls("0"), f"0: {NOT_EXECUTED}", "user: Hi", calls("0"), "0: 2"],
        r"not executed.*\(0\)",
    ),
    "a message twice": (
        [call_message("a"), call_message("a"), result_message("a", "1")],
        [calls("a"), "a: 1", calls("a"), "a: 1"],
        r"repeated.*\(a\)",
    ),
    "a name as the id of a result": (
        [named_call("crop"), named_call("zoom"), result_message("zoom", "2"), result_message("crop", "1")],
        [calls("call_0_0"), "call_0_0: 1", calls("call_1_0"), "call_1_0: 2"],
        r"moved.*\(call_0_0\)",
    ),
    "results without ids": (
        [call_message("", ""), user("Hi"), result_message("", "1"), result_message("", "2"), result_message("", "3")],
        [calls("call_0_0", "call_0_1"), "call_0_0: 1", "call_0_1: 2", "user: Hi",
         "user: Result of an earlier tool call:3"],
        r"moved.*\(call_0_0, call_0_1\).*user messages.*\(without an id\)",
    ),
    "a partial message with a call": (
        [user("Hi"), replace(call_message("a"), partial=True)],
        ["user: Hi", calls("a"), f"a: {NOT_EXECUTED}"],
        r"not executed.*partial not sent.*\(a\)",
    ),
    "an id that looks like ours": (
        [call_message("call_0_1", "call_0_1"), result_message("call_0_1", "1"), result_message("call_0_1", "2")],
        [calls("call_0_1", "call_0_1_"), "call_0_1: 1", "call_0_1_: 2"],
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("messages", "expected", "change"), ORDERS.values(), ids=ORDERS)
def test_restore_tool_order_reports_what_it_changes(messages: list[Message], expected: list[str], change: str) -> None:
    found, changes = tool_order.restore_tool_order(messages)
    assert summarize(found) == expected
    assert re.search(change, " ".join(changes))
    assert bool(changes) == bool(change)
    assert not any(message.partial for message in found)
    assert tool_order.restore_tool_order(found) == (found, ())


def test_restore_tool_order_of_a_long_conversation_names_some_calls() -> None:
    messages = [call_message(*(f"c{number}" for number in range(20)))]
    _, changes = tool_order.restore_tool_order(messages)
    assert changes[0].endswith("c6, c7 and 12 more)")


def test_call_without_a_name_is_encoded_as_unnamed() -> None:
    """Invalid calls of a framework may have no name, and the service rejects a history with one."""
    sent = body_of(request(user("Hi"), call_message("a", name=""), result_message("a")))["messages"]
    assert sent[1]["tool_calls"][0]["function"]["name"] == "unnamed"


# --- Requests that the service rejects


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


INVALID: dict[str, tuple[list[Message], dict[str, Any], str]] = {
    "a tool of the service": ([user("Hi")], {"tools": (tool("a"), {"type": "web_search"})}, r"tools\[1\].*extra_body"),
    "a nameless tool": ([user("Hi")], {"tools": (tool(""),)}, r"tools\[0\].*with a name"),
    "a format of another server": ([user("Hi")], {"response_format": {"type": "xml"}}, "xml"),
    "a reserved name": ([user("Hi")], {"tools": (tool("search"),)}, r"tools\[0\].*'search'"),
}


@pytest.mark.parametrize(("messages", "overrides", "match"), INVALID.values(), ids=INVALID)
@pytest.mark.parametrize("api", ["openai", "dashscope"])
def test_invalid_tools_and_formats_raise_input_error(
    api: Api, messages: list[Message], overrides: dict[str, Any], match: str
) -> None:
    original = request(*messages, **overrides)
    facts = describe(original.settings.model)
    prepared = policy.prepare(original, facts)
    with pytest.raises(QwenVLInputError, match=match):
        validation.check(prepared, facts, api)
    assert find_refusal(prepared, api) is not None


@pytest.mark.parametrize("model", ["my-model", "Qwen/QwQ-32B"])
def test_tools_for_another_server_are_not_checked(model: str) -> None:
    original = request(result_message("c9"), model=model, tools=({"type": "web_search"},))
    facts = describe(model)
    validation.check(policy.prepare(original, facts), facts, "openai")


# --- Every validated request is accepted


def find_refusal(prepared: PreparedRequest, api: Api) -> Any:
    """Return the emulator's refusal of a request, or `None` where it accepts it."""
    wire: Any = openai if api == "openai" else dashscope
    headers = wire.headers(prepared) | ({"x-dashscope-sse": "enable"} if prepared.stream else {})
    route = COMPAT_CHAT if api == "openai" else NATIVE_CHAT
    sent = RecordedRequest("POST", route, {name.lower(): value for name, value in headers.items()},
                           json.dumps(wire.encode(prepared)).encode())  # fmt: skip
    return refuse(ChatRequest("compat" if api == "openai" else "native", sent))


_IMAGE = ImagePart(UrlSource("https://example.com/a.png"))
_MESSAGES = [
    user("Hi"),
    user("As json, please.", _IMAGE),
    user(
        VideoPart(UrlSource("https://example.com/a.mp4")),
        FramesPart(tuple(UrlSource(f"https://example.com/{n}.png") for n in range(4))),
    ),
    user(),
    Message("system", (TextPart("Be brief."),)),
    Message("assistant", (TextPart("Yes."),), reasoning="Hm."),
    Message("assistant"),
    Message("assistant", (TextPart("Once"),), partial=True),
    call_message("c1"),
    call_message("c1", "c2", name="zoom"),
    call_message("", "", name=""),
    call_message("c1", "c1"),
    Message("assistant", tool_calls=(ToolCall("c1", "crop", '{"x": '),)),
    result_message("c1"),
    result_message("c2", ""),
    result_message(""),
    Message("tool", (_IMAGE,), tool_call_id="c1"),
]
_FORMATS: list[Any] = [
    {"type": "text"},
    {"type": "json_object"},
    {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
]


@settings(max_examples=400)
@given(
    st.sampled_from([facts.name for facts in MODELS if facts.vision]),
    st.sampled_from(["openai", "dashscope"]),
    st.lists(st.sampled_from(_MESSAGES), min_size=1, max_size=7),
    st.booleans(),
    st.fixed_dictionaries(
        {},
        optional={
            "enable_thinking": st.booleans(),
            "thinking_source": st.sampled_from(["default", "model", "call"]),
            "tools": st.just((tool("crop"), tool("zoom"))),
            "tool_choice": st.sampled_from(["auto", "none", "required", NamedTool("crop")]),
            "parallel_tool_calls": st.booleans(),
            "response_format": st.sampled_from(_FORMATS),
            "forced_output": st.sampled_from(["think_first", "no_thinking", "ask"]),
            "thinking_budget": st.integers(1, 9),
            "fold_system_prompt": st.booleans(),
            "preserve_thinking": st.booleans(),
        },
    ),
)
def test_validated_request_is_accepted_by_the_emulator(
    model: str, api: Api, messages: list[Message], stream: bool, overrides: dict[str, Any]
) -> None:
    facts = describe(model)
    assume(facts.tools or "tools" not in overrides)
    try:
        prepared = policy.prepare(request(*messages, model=model, stream=stream, **overrides), facts)
        validation.check(prepared, facts, api)
    except QwenVLInputError:
        return
    assert find_refusal(prepared, api) is None

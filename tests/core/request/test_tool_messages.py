"""Calls and results in a conversation, made as the service wants them; and whatever is sent, the service accepts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.catalog.models import ModelFacts, describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import policy, tool_messages, validation
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, TextPart, ToolCall, VideoPart
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import NamedTool
from qwenvl_core.wire import dashscope, openai
from tests.emulator.chat_request import COMPAT_CHAT, NATIVE_CHAT, ChatRequest, RecordedRequest
from tests.emulator.models import MODELS
from tests.emulator.rules import refuse
from tests.support.pipeline import body_of, request, user


def called(*ids: str, name: str = "crop") -> Message:
    return Message("assistant", tool_calls=tuple(ToolCall(call_id, name, "{}") for call_id in ids))


def result(call_id: str, words: str = "Done.") -> Message:
    return Message("tool", (TextPart(words),), tool_call_id=call_id)


def ids(messages: tuple[Message, ...]) -> list[Any]:
    return [message.tool_call_id or tuple(call.id for call in message.tool_calls) for message in messages]


CONVERSATIONS: dict[str, tuple[list[Message], list[Any]]] = {
    "as they are": ([called("a", "b"), result("b"), result("a")], [("a", "b"), "b", "a"]),
    "none": (
        [user("Hi"), called("", ""), result(""), result("")],
        [(), ("call_1_0", "call_1_1"), "call_1_0", "call_1_1"],
    ),
    "one of two": ([called("a", ""), result("a"), result("")], [("a", "call_0_1"), "a", "call_0_1"]),
    "results alone": ([called("a", "b"), result(""), result("")], [("a", "b"), "a", "b"]),
    "one twice": (
        [called("a", "b", "a"), result("a", "1"), result("b", "2"), result("a", "3")],
        [("a", "b", "call_0_2"), "a", "b", "call_0_2"],
    ),
    "a result too many": ([called(""), result(""), result("")], [("call_0_0",), "call_0_0", ()]),
    "two turns": (
        [called(""), result(""), user("Hi"), called(""), result("")],
        [("call_0_0",), "call_0_0", (), ("call_3_0",), "call_3_0"],
    ),
}


@pytest.mark.parametrize(("messages", "expected"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_calls_and_results_without_ids_are_matched_in_order(messages: list[Message], expected: list[Any]) -> None:
    found = tool_messages.assign_call_ids(messages)
    assert ids(found) == expected
    assert tool_messages.assign_call_ids(found) == found


@pytest.mark.parametrize(
    ("messages", "answered"),
    [
        ([user("Hi"), called("a", "b")], []),
        ([called("a", "b"), result("b")], ["b", "a"]),
        ([called("a", "b"), result("a"), user("Wait.")], ["a", "b"]),
        ([called("a"), called("b"), result("b")], ["a", "b"]),
    ],
)
def test_every_call_has_a_result(messages: list[Message], answered: list[str]) -> None:
    """One that was never executed, since it was cut off or somebody stepped in, says so."""
    found = tool_messages.add_missing_results(messages)
    assert [message.tool_call_id for message in found if message.role == "tool"] == answered
    assert tool_messages.add_missing_results(found) == found


def test_a_call_without_a_name_has_one_on_the_wire() -> None:
    """As an invalid call of a framework's may be; the service would refuse the history."""
    sent = body_of(request(user("Hi"), called("a", name=""), result("a")))["messages"]
    assert sent[1]["tool_calls"][0]["function"]["name"] == "unnamed"


# --- What the service would refuse


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


REFUSED: dict[str, tuple[list[Message], dict[str, Any], str]] = {
    "a tool of the service": ([user("Hi")], {"tools": (tool("a"), {"type": "web_search"})}, r"tools\[1\].*extra_body"),
    "a nameless tool": ([user("Hi")], {"tools": (tool(""),)}, r"tools\[0\].*with a name"),
    "a format of another server": ([user("Hi")], {"response_format": {"type": "xml"}}, "xml"),
    "a reserved name": ([user("Hi")], {"tools": (tool("search"),)}, r"tools\[0\].*'search'"),
}


@pytest.mark.parametrize(("messages", "given", "why"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("api", ["openai", "dashscope"])
def test_what_is_refused_is_not_sent(api: Api, messages: list[Message], given: dict[str, Any], why: str) -> None:
    asked = request(*messages, **given)
    facts = describe(asked.settings.model)
    prepared = policy.prepare(asked, facts)
    with pytest.raises(QwenVLInputError, match=why):
        validation.check(prepared, facts, api)
    assert refusal_of(prepared, api) is not None


@pytest.mark.parametrize("model", ["my-model", "Qwen/QwQ-32B"])
def test_other_servers_have_other_rules(model: str) -> None:
    asked = request(result("c9"), model=model, tools=({"type": "web_search"},))
    facts = describe(model)
    validation.check(policy.prepare(asked, facts), facts, "openai")


# --- Whatever is sent is accepted


def refusal_of(prepared: PreparedRequest, api: Api) -> Any:
    """What the service says to a request; nothing, where it accepts it."""
    wire: Any = openai if api == "openai" else dashscope
    headers = wire.headers(prepared) | ({"x-dashscope-sse": "enable"} if prepared.stream else {})
    route = COMPAT_CHAT if api == "openai" else NATIVE_CHAT
    sent = RecordedRequest("POST", route, {name.lower(): value for name, value in headers.items()},
                           json.dumps(wire.encode(prepared)).encode())  # fmt: skip
    return refuse(ChatRequest("compat" if api == "openai" else "native", sent))


_PICTURE = ImagePart(UrlSource("https://example.com/a.png"))
_SPEECHES = [
    user("Hi"),
    user("As json, please.", _PICTURE),
    user(
        VideoPart(UrlSource("https://example.com/a.mp4")),
        FramesPart(tuple(UrlSource(f"https://example.com/{n}.png") for n in range(4))),
    ),
    user(),
    Message("system", (TextPart("Be brief."),)),
    Message("assistant", (TextPart("Yes."),), reasoning="Hm."),
    Message("assistant"),
    Message("assistant", (TextPart("Once"),), partial=True),
    called("c1"),
    called("c1", "c2", name="zoom"),
    called("", "", name=""),
    called("c1", "c1"),
    Message("assistant", tool_calls=(ToolCall("c1", "crop", '{"x": '),)),
    result("c1"),
    result("c2", ""),
    result(""),
    Message("tool", (_PICTURE,), tool_call_id="c1"),
]
_FORMATS: list[Any] = [
    {"type": "text"},
    {"type": "json_object"},
    {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
]


def sensible(messages: list[Message], facts: ModelFacts, tools: bool) -> bool:
    """Whether somebody asks, every result follows its call, no call is left at the end, and the model has the tools."""
    waiting: set[str] = set()
    for message in tool_messages.assign_call_ids(messages):
        if message.role != "tool":
            waiting = {call.id for call in message.tool_calls}
        elif message.tool_call_id not in waiting:
            return False
        else:
            waiting.discard(message.tool_call_id)
    tools = tools or any(message.tool_calls or message.role == "tool" for message in messages)
    asks = any(message.role == "user" for message in messages)
    return asks and not messages[-1].tool_calls and (facts.tools or not tools)


@settings(max_examples=400, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.sampled_from([facts.name for facts in MODELS if facts.vision]),
    st.sampled_from(["openai", "dashscope"]),
    st.lists(st.sampled_from(_SPEECHES), min_size=1, max_size=7),
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
            "forced_tool_choice": st.sampled_from(["auto", "no_thinking"]),
            "thinking_budget": st.integers(1, 9),
            "fold_system_prompt": st.booleans(),
            "preserve_thinking": st.booleans(),
        },
    ),
)
def test_whatever_is_sent_is_accepted(
    model: str, api: Api, messages: list[Message], stream: bool, given: dict[str, Any]
) -> None:
    facts = describe(model)
    assume(sensible(messages, facts, "tools" in given))
    try:
        prepared = policy.prepare(request(*messages, model=model, stream=stream, **given), facts)
        validation.check(prepared, facts, api)
    except QwenVLInputError:
        return
    assert refusal_of(prepared, api) is None

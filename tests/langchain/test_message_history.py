"""Conversations on the wire: roles, system messages, tool calls and results, reasoning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_qwenvl import ChatQwenVL
from tests.emulator import Emulator, Reply, ToolCall
from tests.langchain.conftest import PNG, Make

URL = "https://example.com/a.png"
Body = Callable[[], dict[str, Any]]


def call(call_id: str, name: str = "look", args: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"id": call_id, "name": name, "args": args or {}, "type": "tool_call"}


def sent_call(call_id: str, name: str = "look", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def system(content: str) -> dict[str, Any]:
    return {"role": "system", "content": content}


def assistant(content: str, *calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **({"tool_calls": list(calls)} if calls else {})}


def tool(call_id: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_call_id": call_id}


IMAGE = {"type": "image_url", "image_url": {"url": URL}}
HI = HumanMessage("Hi")

CONVERSATIONS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "a string": ("Hi", [user("Hi")]),
    "tuples": ([("system", "Be brief."), ("human", "Hi"), ("ai", "Hello."), ("user", "Bye")],
               [system("Be brief."), user("Hi"), assistant("Hello."), user("Bye")]),
    "dicts": ([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
              [system("Be brief."), user("Hi")]),
    "chat messages": ([ChatMessage(content="Be brief.", role="System"), ChatMessage(content="Hi", role="user"),
                       ChatMessage(content="Hello.", role="assistant"), HI],
                      [system("Be brief."), user("Hi"), assistant("Hello."), user("Hi")]),
    "system messages anywhere": (
        [SystemMessage("A"), HI, SystemMessage("B"), SystemMessage([{"type": "text", "text": "C"}]), HI],
        [system("A"), user("Hi"), system("B"), system("C"), user("Hi")]),
    "doubled messages": (
        [SystemMessage("A"), SystemMessage("B"), HI, HI, AIMessage("C"), AIMessage("D"), HI],
        [system("A"), system("B"), user("Hi"), user("Hi"), assistant("C"), assistant("D"), user("Hi")]),
    "a name": ([HumanMessage("Hi", name="Ann")], [{**user("Hi"), "name": "Ann"}]),
    "the name of an AI message is not sent": ([HI, AIMessage("Hello.", name="agent"), HI],
                                       [user("Hi"), assistant("Hello."), user("Hi")]),
    "assistant text in blocks": ([HI, AIMessage(["Hel", {"type": "text", "text": "lo."}]), HI],
                                 [user("Hi"), assistant("Hel\nlo."), user("Hi")]),
    "reasoning is not sent back": (
        [HI, AIMessage("Hello.", additional_kwargs={"reasoning_content": "Hm."}), HI],
        [user("Hi"), assistant("Hello."), user("Hi")]),
    "reasoning blocks are not sent back": (
        [HI, AIMessage([{"type": "reasoning", "reasoning": "Hm."},
                        {"type": "thinking", "thinking": "Hm.", "signature": ""},
                        {"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "Hello."}]), HI],
        [user("Hi"), assistant("Hello."), user("Hi")]),
    "an empty answer": ([HI, AIMessage(""), HI], [user("Hi"), assistant(""), user("Hi")]),
    "calls and results": (
        [HI, AIMessage("", tool_calls=[call("c1", args={"x": 1}), call("c2", "zoom", {"y": "é"})]),
         ToolMessage("one", tool_call_id="c1"), ToolMessage("two", tool_call_id="c2", name="zoom", status="error")],
        [user("Hi"), assistant("", sent_call("c1", arguments='{"x": 1}'), sent_call("c2", "zoom", '{"y": "é"}')),
         tool("c1", "one"), tool("c2", "two")]),
    "results in blocks": (
        [HI, AIMessage("", tool_calls=[call("c1")]),
         ToolMessage(["one", {"type": "text", "text": "two"}], tool_call_id="c1")],
        [user("Hi"), assistant("", sent_call("c1")), tool("c1", "one\ntwo")]),
    "an empty result": (
        [HI, AIMessage("", tool_calls=[call("c1")]), ToolMessage("", tool_call_id="c1")],
        [user("Hi"), assistant("", sent_call("c1")), tool("c1", "")]),
    "calls in v1 content": (
        [HI, AIMessage([{"type": "text", "text": "So:"}, {"type": "tool_call", **call("c1", args={"x": 1})}],
                       tool_calls=[call("c1", args={"x": 1})]), ToolMessage("one", tool_call_id="c1")],
        [user("Hi"), assistant("So:", sent_call("c1", arguments='{"x": 1}')), tool("c1", "one")]),
    "calls in Anthropic's content": (
        [HI, AIMessage([{"type": "tool_use", "id": "c1", "name": "look", "input": {"x": 1}}],
                       tool_calls=[call("c1", args={"x": 1})]), ToolMessage("one", tool_call_id="c1")],
        [user("Hi"), assistant("", sent_call("c1", arguments='{"x": 1}')), tool("c1", "one")]),
    "calls in content only": (
        [HI, AIMessage([{"type": "tool_use", "id": "c1", "name": "look", "input": {"x": 1}}]),
         ToolMessage("one", tool_call_id="c1")],
        [user("Hi"), assistant("", sent_call("c1", arguments='{"x": 1}')), tool("c1", "one")]),
    "calls without ids in content only": (
        [HI, AIMessage([{"type": "function_call", "name": "look", "arguments": "{}"},
                        {"type": "function_call", "name": "zoom", "arguments": "{}"}]),
         ToolMessage("one", tool_call_id=""), ToolMessage("two", tool_call_id="")],
        [user("Hi"), assistant("", sent_call("call_1_0"), sent_call("call_1_1", "zoom")), tool("call_1_0", "one"),
         tool("call_1_1", "two")]),
    "results in Anthropic's content": (
        [HI, AIMessage("", tool_calls=[call("c1"), call("c2")]),
         HumanMessage([{"type": "tool_result", "tool_use_id": "c1", "content": "one"},
                       {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "two"}]},
                       {"type": "text", "text": "Well?"}])],
        [user("Hi"), assistant("", sent_call("c1"), sent_call("c2")), tool("c1", "one"), tool("c2", "two"),
         user("Well?")]),
    "a result in Anthropic's content only": (
        [HI, AIMessage("", tool_calls=[call("c1")]), HumanMessage([{"type": "tool_result", "tool_use_id": "c1"}])],
        [user("Hi"), assistant("", sent_call("c1")), tool("c1", "")]),
    "calls that must not be executed": (
        [HI, AIMessage("", tool_calls=[call("c1")], invalid_tool_calls=[
            {"id": "c2", "name": "look", "args": '{"x": 1', "error": "cut"},
            {"id": "c3", "name": "look", "args": "[1]", "error": None},
            {"id": "c4", "name": "look", "args": None, "error": None}]),
         *(ToolMessage("no", tool_call_id=f"c{number}") for number in range(1, 5))],
        [user("Hi"), assistant("", *(sent_call(f"c{number}") for number in range(1, 5))),
         *(tool(f"c{number}", "no") for number in range(1, 5))]),
    "calls without a result": (
        [HI, AIMessage("", tool_calls=[call("c1"), call("c2")], invalid_tool_calls=[
            {"id": "c3", "name": "look", "args": "{", "error": None}]),
         ToolMessage("one", tool_call_id="c1"), HI, AIMessage("", tool_calls=[call("c4"), call("c5")]),
         ToolMessage("five", tool_call_id="c5")],
        [user("Hi"), assistant("", sent_call("c1"), sent_call("c2"), sent_call("c3")), tool("c1", "one"),
         tool("c2", "This call was not executed."), tool("c3", "This call was not executed."), user("Hi"),
         assistant("", sent_call("c4"), sent_call("c5")), tool("c5", "five"),
         tool("c4", "This call was not executed.")]),
    "arguments with special characters": (
        [HI, AIMessage("", tool_calls=[call("c1", args={"x": float("1e3"), "u": "\u2028"})]),
         ToolMessage("a", tool_call_id="c1")],
        [user("Hi"), assistant("", sent_call("c1", arguments='{"x": 1000.0, "u": "\u2028"}')), tool("c1", "a")]),
    "images of tools, after all results of the turn": (
        [HI, AIMessage("", tool_calls=[call("c1"), call("c2")]),
         ToolMessage([{"type": "text", "text": "Here."}, {"type": "image", "url": URL}], tool_call_id="c1"),
         ToolMessage([{"type": "image", "url": URL}], tool_call_id="c2"),
         AIMessage("I see."), HI],
        [user("Hi"), assistant("", sent_call("c1"), sent_call("c2")), tool("c1", "Here."),
         tool("c2", "The result follows as media in the next user message."),
         user([{"type": "text", "text": "Result of the tool call c1:"}, IMAGE,
               {"type": "text", "text": "Result of the tool call c2:"}, IMAGE]),
         assistant("I see."), user("Hi")]),
}  # fmt: skip


@pytest.mark.parametrize(("conversation", "sent"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_conversation_is_sent_as_messages(
    conversation: Any, sent: list[dict[str, Any]], llm: ChatQwenVL, body: Body
) -> None:
    llm.invoke(conversation)
    assert body()["messages"] == sent


def test_tool_result_bytes_and_path_objects_are_inlined(tmp_path: Any, llm: ChatQwenVL, body: Body) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    result = ToolMessage([{"type": "image", "url": PNG}, {"type": "image", "url": file}], tool_call_id="c1")
    llm.invoke([HI, AIMessage("", tool_calls=[call("c1")]), result])
    parts = body()["messages"][-1]["content"]
    assert [part["image_url"]["url"][:22] for part in parts] == ["data:image/png;base64,"] * 2


@pytest.mark.parametrize("output_version", ["v0", "v1"])
@pytest.mark.parametrize("streamed", [False, True])
def test_answer_is_sent_back_unchanged(
    output_version: str, streamed: bool, make: Make, emulator: Emulator, body: Body
) -> None:
    emulator.script(
        Reply(
            reasoning="Hm.",
            text="Let me look.",
            tool_calls=[ToolCall("c1", "look", '{"x": "é"}'), ToolCall("c2", "zoom")],
        )
    )
    model = make(output_version=output_version)
    answer: AIMessage
    if streamed:
        chunks = list(model.stream("Hi"))
        total: AIMessageChunk = chunks[0]
        for chunk in chunks[1:]:
            total += chunk
        answer = total
    else:
        answer = model.invoke("Hi")
    results = [ToolMessage("a", tool_call_id="c1"), ToolMessage("b", tool_call_id="c2")]
    model.invoke([HI, answer, *results])
    assert body()["messages"] == [
        user("Hi"),
        assistant("Let me look.", sent_call("c1", arguments='{"x": "é"}'), sent_call("c2", "zoom")),
        tool("c1", "a"),
        tool("c2", "b"),
    ]


def test_truncated_call_is_sent_back_without_arguments(llm: ChatQwenVL, emulator: Emulator, body: Body) -> None:
    reply = Reply(tool_calls=[ToolCall("c1", "look", '{"x": "abc')], finish="length")
    emulator.script(reply, reply)
    chunks = list(llm.stream("Hi"))
    total: AIMessageChunk = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    for answer in (llm.invoke("Hi"), total):
        llm.invoke([HI, answer, ToolMessage("Again, please.", tool_call_id="c1")])
        assert body()["messages"][1] == assistant("", sent_call("c1"))


class TestPreserveThinking:
    HISTORY = (
        HI,
        AIMessage("Hello.", additional_kwargs={"reasoning_content": "Hm."}),
        HI,
        AIMessage([{"type": "reasoning", "reasoning": "Ah."}, {"type": "text", "text": "Yes."}]),
        HI,
        AIMessage([{"type": "thinking", "thinking": "Now"}, "I see.", {"type": "reasoning", "reasoning": "that."}]),
        HI,
    )
    SENT = (None, "Hm.", None, "Ah.", None, "Now\nthat.", None)

    @pytest.mark.parametrize("per_call", [False, True])
    def test_preserve_thinking_sends_reasoning(self, per_call: bool, make: Make, body: Body) -> None:
        options: dict[str, Any] = {"preserve_thinking": True}
        model = make(model="qwen3.6-plus", **({} if per_call else options))
        model.invoke(self.HISTORY, **(options if per_call else {}))
        assert body()["preserve_thinking"] is True
        assert tuple(message.get("reasoning_content") for message in body()["messages"]) == self.SENT


class TestFoldSystemPrompt:
    def test_fold_system_prompt_moves_text_to_user_message(self, llm: ChatQwenVL, body: Body) -> None:
        messages = [
            SystemMessage("Be brief."),
            SystemMessage("Be kind."),
            HumanMessage(["Hi", {"type": "image", "url": URL}]),
        ]
        answer = llm.invoke(messages, fold_system_prompt=True)
        assert body()["messages"] == [user([{"type": "text", "text": "Be brief.\n\nBe kind.\n\nHi"}, IMAGE])]
        assert answer.response_metadata["adjustments"] == ["system messages folded into the first user message"]

    def test_system_prompt_by_default_is_sent_unchanged(self, llm: ChatQwenVL, body: Body) -> None:
        answer = llm.invoke([SystemMessage("Be brief."), HI])
        assert body()["messages"] == [system("Be brief."), user("Hi")]
        assert "adjustments" not in answer.response_metadata


class TestPartialAnswer:
    def test_partial_last_message_is_continued(self, llm: ChatQwenVL, body: Body) -> None:
        answer = llm.invoke([HI, AIMessage("Once upon", additional_kwargs={"partial": True})])
        assert body()["messages"][1] == {**assistant("Once upon"), "partial": True}
        assert body()["enable_thinking"] is False
        assert any("partial" in note for note in answer.response_metadata["adjustments"])
        llm.invoke("Hi")
        assert body()["enable_thinking"] is True

    def test_partial_earlier_message_is_not_continued(self, llm: ChatQwenVL, body: Body) -> None:
        llm.invoke([HI, AIMessage("Once upon", additional_kwargs={"partial": True}), HI])
        assert "partial" not in body()["messages"][1]
        assert body()["enable_thinking"] is True

    def test_partial_user_message_raises(self, llm: ChatQwenVL) -> None:
        with pytest.raises(ValueError, match=r"messages\[0\].*assistant"):
            llm.invoke([HumanMessage("Hi", additional_kwargs={"partial": True})])

"""Messages: roles, tool calls and results, earlier reasoning and hints; the history is never changed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ChatMessage,
    CitationBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llama_index_qwenvl import QwenVL, video
from tests.emulator import Emulator, Reply, ToolCall
from tests.support.media_files import data_uri, solid_image

PNG = solid_image()
USER = ChatMessage(role="user", content="Go.")


def call(call_id: str | None, name: str = "crop", kwargs: Any = None) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=call_id, tool_name=name, tool_kwargs={} if kwargs is None else kwargs)


def wire_call(call_id: str, arguments: str = "{}", name: str = "crop") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(*blocks: Any, **additional_kwargs: Any) -> ChatMessage:
    return ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=additional_kwargs)


def result(call_id: str | None, *blocks: Any, role: str = "tool") -> ChatMessage:
    return ChatMessage(
        role=role,
        blocks=list(blocks) or [TextBlock(text="Done.")],
        additional_kwargs={} if call_id is None else {"tool_call_id": call_id},
    )


def send(emulator: Emulator, llm: QwenVL, messages: list[ChatMessage], **settings: Any) -> list[dict[str, Any]]:
    """Send a conversation and return its messages on the wire."""
    llm.chat(messages, **settings)
    wire_messages: list[dict[str, Any]] = emulator.requests[-1].json["messages"]
    return wire_messages


@pytest.mark.parametrize(
    ("role", "wire_role"),
    [
        (MessageRole.SYSTEM, "system"),
        (MessageRole.DEVELOPER, "system"),
        (MessageRole.USER, "user"),
        (MessageRole.ASSISTANT, "assistant"),
        (MessageRole.CHATBOT, "assistant"),
        (MessageRole.MODEL, "assistant"),
    ],
)
def test_message_role_is_sent_as_wire_role(emulator: Emulator, llm: QwenVL, role: MessageRole, wire_role: str) -> None:
    leftover = {"tool_call_id": "call_9"}  # agents leave it on the answer of a tool that returns directly
    messages = [ChatMessage(role=role, content="Hello.", additional_kwargs=leftover), USER]
    assert send(emulator, llm, messages)[0] == {"role": wire_role, "content": "Hello."}


@pytest.mark.parametrize("role", ["tool", "function"])
def test_tool_result_texts_are_joined(emulator: Emulator, llm: QwenVL, role: str) -> None:
    messages = [USER, assistant(call("call_1")), result("call_1", TextBlock(text="a"), TextBlock(text="b"), role=role)]
    assert send(emulator, llm, messages)[1:] == [
        {"role": "assistant", "content": "", "tool_calls": [wire_call("call_1")]},
        {"role": "tool", "content": "a\nb", "tool_call_id": "call_1"},
    ]


@pytest.mark.parametrize(
    ("kwargs", "arguments"),
    [
        ({}, "{}"),
        ({"x": 1, "ü": "→"}, '{"x": 1, "ü": "→"}'),
        ('{"x":1}', '{"x":1}'),
        ("", "{}"),
        ('{"x": ', "{}"),
        ("[1]", "{}"),
    ],
)
def test_earlier_call_arguments_are_sent_as_json(emulator: Emulator, llm: QwenVL, kwargs: Any, arguments: str) -> None:
    messages = [USER, assistant(TextBlock(text="I crop."), call("call_1", kwargs=kwargs)), result("call_1")]
    assert send(emulator, llm, messages)[1] == {
        "role": "assistant",
        "content": "I crop.",
        "tool_calls": [wire_call("call_1", arguments)],
    }


LEGACY_CALLS: dict[str, Any] = {
    "dict": wire_call("call_1", '{"x":1}'),
    "object": SimpleNamespace(id="call_1", function=SimpleNamespace(name="crop", arguments='{"x":1}')),
    "parsed arguments": {"id": "call_1", "function": {"name": "crop", "arguments": {"x": 1}}},
}


@pytest.mark.parametrize("legacy_call", LEGACY_CALLS.values(), ids=LEGACY_CALLS)
def test_call_of_older_history_is_sent(emulator: Emulator, llm: QwenVL, legacy_call: Any) -> None:
    messages = [USER, assistant(tool_calls=[legacy_call]), result("call_1")]
    calls = send(emulator, llm, messages)[1]["tool_calls"]
    assert [(call["id"], call["function"]["arguments"].replace(" ", "")) for call in calls] == [("call_1", '{"x":1}')]


def test_call_in_block_and_additional_kwargs_is_sent_once(emulator: Emulator, llm: QwenVL) -> None:
    messages = [USER, assistant(call("call_1"), tool_calls=[wire_call("call_1")]), result("call_1")]
    assert len(send(emulator, llm, messages)[1]["tool_calls"]) == 1


def test_message_with_empty_call_lists_sends_no_calls(emulator: Emulator, llm: QwenVL) -> None:
    wire_messages = send(
        emulator, llm, [USER, assistant(TextBlock(text="Yes."), tool_calls=[], invalid_tool_calls=[]), USER]
    )
    assert wire_messages[1] == {"role": "assistant", "content": "Yes."}


def test_calls_and_results_without_ids_are_matched_in_order(emulator: Emulator, llm: QwenVL) -> None:
    results = [result(None, TextBlock(text=text)) for text in ("first", "second")]
    wire_messages = send(emulator, llm, [USER, assistant(call(None), call(None)), *results])
    ids = [call["id"] for call in wire_messages[1]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(message["tool_call_id"], message["content"]) for message in wire_messages[2:]] == [
        (ids[0], "first"),
        (ids[1], "second"),
    ]


@pytest.mark.parametrize("has_result", [True, False])
def test_invalid_call_is_sent_with_a_result(emulator: Emulator, llm: QwenVL, has_result: bool) -> None:
    emulator.script(Reply(tool_calls=[ToolCall("call_1", "crop", '{"x": ')]))
    message = llm.chat([USER]).message
    assert message.blocks == []
    wire_messages = send(emulator, llm, [USER, message, result("call_1") if has_result else USER])
    assert wire_messages[1].get("tool_calls") == [wire_call("call_1")]
    assert wire_messages[2]["tool_call_id"] == "call_1"
    assert ("not executed" in wire_messages[2]["content"]) is not has_result
    assert len(wire_messages) == (3 if has_result else 4)
    assert emulator.refusals == []


def test_images_of_tool_results_follow_all_results(emulator: Emulator, llm: QwenVL) -> None:
    messages = [
        USER,
        assistant(call("call_1"), call("call_2", "zoom")),
        result("call_1", TextBlock(text="Cropped."), ImageBlock(image=PNG)),
        result("call_2"),
    ]
    response = llm.chat(messages)
    wire_messages = emulator.requests[0].json["messages"]
    assert [message["role"] for message in wire_messages] == ["user", "assistant", "tool", "tool", "user"]
    assert [message["content"] for message in wire_messages[2:4]] == ["Cropped.", "Done."]
    assert wire_messages[4]["content"][-1] == {"type": "image_url", "image_url": {"url": data_uri(PNG)}}
    assert any("tool" in adjustment for adjustment in response.additional_kwargs["adjustments"])


# --- Reasoning, partial answers, system prompts --------------------------------------------------------------

REASONED_ANSWER = assistant(ThinkingBlock(content="Hm."), TextBlock(text="Yes."))
REASONED_ANSWERS: dict[str, ChatMessage] = {
    "block": REASONED_ANSWER,
    "kwarg": assistant(TextBlock(text="Yes."), reasoning_content="Hm."),
    "both": assistant(*REASONED_ANSWER.blocks, reasoning_content="Hm."),
}


@pytest.mark.parametrize("message", REASONED_ANSWERS.values(), ids=REASONED_ANSWERS)
def test_earlier_reasoning_is_sent_if_preserved(emulator: Emulator, llm: QwenVL, message: ChatMessage) -> None:
    history = [USER, message, USER]
    assert send(emulator, llm, history)[1] == {"role": "assistant", "content": "Yes."}
    assert send(emulator, llm, history, model="qwen3.6-plus", preserve_thinking=True)[1] == {
        "role": "assistant",
        "content": "Yes.",
        "reasoning_content": "Hm.",
    }
    assert emulator.requests[1].json["preserve_thinking"] is True


def test_partial_answer_is_sent_for_continuation(emulator: Emulator, llm: QwenVL) -> None:
    response = llm.chat([USER, assistant(TextBlock(text="The answer is"), partial=True)])
    body = emulator.requests[0].json
    assert body["messages"][1] == {"role": "assistant", "content": "The answer is", "partial": True}
    assert body["enable_thinking"] is False
    assert response.additional_kwargs["adjustments"]


def test_system_messages_are_sent_or_folded_into_user_message(emulator: Emulator, llm: QwenVL) -> None:
    system = ChatMessage(role="system", content="Be brief.")
    assert [message["role"] for message in send(emulator, llm, [system, USER, system])] == ["system", "user", "system"]
    folded = send(emulator, llm, [system, USER], fold_system_prompt=True)
    assert folded == [{"role": "user", "content": "Be brief.\n\nGo."}]


def test_user_name_is_sent(emulator: Emulator, llm: QwenVL) -> None:
    message = ChatMessage(role="user", content="Go.", additional_kwargs={"name": "ann"})
    assert send(emulator, llm, [message]) == [{"role": "user", "content": "Go.", "name": "ann"}]


def test_assistant_citations_are_sent_only_without_text(emulator: Emulator, llm: QwenVL) -> None:
    citation = CitationBlock(
        title="Law", source="law.pdf", cited_content=TextBlock(text="§ 1"), additional_location_info={}
    )
    wire_messages = send(
        emulator, llm, [USER, assistant(TextBlock(text="Yes."), citation), USER, assistant(citation), USER]
    )
    assert [message["content"] for message in wire_messages[1::2]] == ["Yes.", "Law (law.pdf)\n§ 1"]


@pytest.mark.parametrize("role", ["user", "system", "tool"])
def test_reasoning_and_calls_outside_assistant_message_are_left_out(llm: QwenVL, role: str) -> None:
    """An answer's blocks may be copied into another message."""
    blocks = [ThinkingBlock(content="Hm."), TextBlock(text="Yes."), call("call_1")]
    response = llm.chat([USER, ChatMessage(role=role, blocks=blocks)])
    adjustments = "\n".join(response.additional_kwargs["adjustments"])
    assert "messages[1].blocks[0] (thinking)" in adjustments
    assert "messages[1].blocks[2] (tool_call)" in adjustments


# --- The caller's history is not changed --------------------------------------------------------------------


def _history() -> list[ChatMessage]:
    return [
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(
            role="user",
            blocks=[
                ImageBlock(image=PNG, detail="high"),
                CachePoint(cache_control=CacheControl(type="ephemeral")),
                video("https://example.com/a.mp4", 0.5),
                TextBlock(text="?"),
            ],
            additional_kwargs={"qwen_vl": {"max_pixels": 9}},
        ),
        assistant(
            ThinkingBlock(content="Hm."),
            call(None, kwargs='{"x": '),
            reasoning_content="Hm.",
            tool_calls=[wire_call("a")],
        ),
        result(None, ImageBlock(image=PNG)),
    ]


CALL_MODES: dict[str, Callable[[QwenVL, list[ChatMessage]], Any]] = {
    "chat": lambda llm, history: llm.chat(history, fold_system_prompt=True),
    "stream_chat": lambda llm, history: list(llm.stream_chat(history)),
    "chat_with_tools": lambda llm, history: llm.chat_with_tools([], "And?", chat_history=history),
    "stream_chat_with_tools": lambda llm, history: list(llm.stream_chat_with_tools([], USER, chat_history=history)),
}


@pytest.mark.parametrize("call_mode", CALL_MODES.values(), ids=CALL_MODES)
def test_chat_does_not_change_history(llm: QwenVL, call_mode: Callable[[QwenVL, list[ChatMessage]], Any]) -> None:
    history = _history()
    before = copy.deepcopy(history)
    call_mode(llm, history)
    assert history == before
    assert len(history) == 4

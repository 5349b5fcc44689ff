"""Messages: roles, tool calls and results, earlier reasoning, marks; and a history that is never changed."""

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
from qwenvl_core.errors import QwenVLInputError
from tests.emulator import Emulator, Reply, ToolCall
from tests.llama_index.media import image, uri

PNG = image()
USER = ChatMessage(role="user", content="Go.")


def call(call_id: str | None, name: str = "crop", kwargs: Any = None) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=call_id, tool_name=name, tool_kwargs={} if kwargs is None else kwargs)


def called(call_id: str, arguments: str = "{}", name: str = "crop") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(*blocks: Any, **beside: Any) -> ChatMessage:
    return ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=beside)


def result(call_id: str | None, *blocks: Any, role: str = "tool") -> ChatMessage:
    return ChatMessage(
        role=role,
        blocks=list(blocks) or [TextBlock(text="Done.")],
        additional_kwargs={} if call_id is None else {"tool_call_id": call_id},
    )


def sent(emulator: Emulator, llm: QwenVL, messages: list[ChatMessage], **call: Any) -> list[dict[str, Any]]:
    llm.chat(messages, **call)
    body: list[dict[str, Any]] = emulator.requests[-1].json["messages"]
    return body


@pytest.mark.parametrize(
    ("role", "said"),
    [
        (MessageRole.SYSTEM, "system"),
        (MessageRole.DEVELOPER, "system"),
        (MessageRole.USER, "user"),
        (MessageRole.ASSISTANT, "assistant"),
        (MessageRole.CHATBOT, "assistant"),
        (MessageRole.MODEL, "assistant"),
    ],
)
def test_roles(emulator: Emulator, llm: QwenVL, role: MessageRole, said: str) -> None:
    stray = {"tool_call_id": "call_9"}  # agents leave it on the answer of a tool that returns directly
    messages = [ChatMessage(role=role, content="Hello.", additional_kwargs=stray), USER]
    assert sent(emulator, llm, messages)[0] == {"role": said, "content": "Hello."}


@pytest.mark.parametrize("role", ["tool", "function"])
def test_results(emulator: Emulator, llm: QwenVL, role: str) -> None:
    messages = [USER, assistant(call("call_1")), result("call_1", TextBlock(text="a"), TextBlock(text="b"), role=role)]
    assert sent(emulator, llm, messages)[1:] == [
        {"role": "assistant", "content": "", "tool_calls": [called("call_1")]},
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
def test_arguments_of_earlier_calls(emulator: Emulator, llm: QwenVL, kwargs: Any, arguments: str) -> None:
    messages = [USER, assistant(TextBlock(text="I crop."), call("call_1", kwargs=kwargs)), result("call_1")]
    assert sent(emulator, llm, messages)[1] == {
        "role": "assistant",
        "content": "I crop.",
        "tool_calls": [called("call_1", arguments)],
    }


LEGACY: dict[str, Any] = {
    "dict": called("call_1", '{"x":1}'),
    "object": SimpleNamespace(id="call_1", function=SimpleNamespace(name="crop", arguments='{"x":1}')),
    "parsed arguments": {"id": "call_1", "function": {"name": "crop", "arguments": {"x": 1}}},
}


@pytest.mark.parametrize("told", LEGACY.values(), ids=LEGACY)
def test_calls_of_older_histories(emulator: Emulator, llm: QwenVL, told: Any) -> None:
    messages = [USER, assistant(tool_calls=[told]), result("call_1")]
    said = sent(emulator, llm, messages)[1]["tool_calls"]
    assert [(one["id"], one["function"]["arguments"].replace(" ", "")) for one in said] == [("call_1", '{"x":1}')]


def test_a_call_that_is_told_twice_is_sent_once(emulator: Emulator, llm: QwenVL) -> None:
    messages = [USER, assistant(call("call_1"), tool_calls=[called("call_1")]), result("call_1")]
    assert len(sent(emulator, llm, messages)[1]["tool_calls"]) == 1


def test_no_calls_are_no_empty_list(emulator: Emulator, llm: QwenVL) -> None:
    said = sent(emulator, llm, [USER, assistant(TextBlock(text="Yes."), tool_calls=[], invalid_tool_calls=[]), USER])
    assert said[1] == {"role": "assistant", "content": "Yes."}


def test_calls_and_results_without_ids_are_matched_in_order(emulator: Emulator, llm: QwenVL) -> None:
    results = [result(None, TextBlock(text=text)) for text in ("first", "second")]
    said = sent(emulator, llm, [USER, assistant(call(None), call(None)), *results])
    ids = [one["id"] for one in said[1]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(one["tool_call_id"], one["content"]) for one in said[2:]] == [(ids[0], "first"), (ids[1], "second")]


@pytest.mark.parametrize("answered", [True, False])
def test_an_invalid_call_is_replayed_if_it_was_answered(emulator: Emulator, llm: QwenVL, answered: bool) -> None:
    emulator.script(Reply(tool_calls=[ToolCall("call_1", "crop", '{"x": ')]))
    message = llm.chat([USER]).message
    assert message.blocks == []
    said = sent(emulator, llm, [USER, message, result("call_1") if answered else USER])
    assert said[1].get("tool_calls") == ([called("call_1")] if answered else None)


def test_images_of_results_follow_the_run_of_results(emulator: Emulator, llm: QwenVL) -> None:
    messages = [
        USER,
        assistant(call("call_1"), call("call_2", "zoom")),
        result("call_1", TextBlock(text="Cropped."), ImageBlock(image=PNG)),
        result("call_2"),
    ]
    response = llm.chat(messages)
    said = emulator.requests[0].json["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "tool", "tool", "user"]
    assert [message["content"] for message in said[2:4]] == ["Cropped.", "Done."]
    assert said[4]["content"][-1] == {"type": "image_url", "image_url": {"url": uri(PNG)}}
    assert any("tool" in adjustment for adjustment in response.additional_kwargs["adjustments"])


# --- Reasoning, partial answers, system prompts --------------------------------------------------------------

THOUGHT = assistant(ThinkingBlock(content="Hm."), TextBlock(text="Yes."))
THOUGHTS: dict[str, ChatMessage] = {
    "block": THOUGHT,
    "kwarg": assistant(TextBlock(text="Yes."), reasoning_content="Hm."),
    "both": assistant(*THOUGHT.blocks, reasoning_content="Hm."),
}


@pytest.mark.parametrize("message", THOUGHTS.values(), ids=THOUGHTS)
def test_earlier_reasoning_is_sent_on_demand(emulator: Emulator, llm: QwenVL, message: ChatMessage) -> None:
    history = [USER, message, USER]
    assert sent(emulator, llm, history)[1] == {"role": "assistant", "content": "Yes."}
    assert sent(emulator, llm, history, model="qwen3.6-plus", preserve_thinking=True)[1] == {
        "role": "assistant",
        "content": "Yes.",
        "reasoning_content": "Hm.",
    }
    assert emulator.requests[1].json["preserve_thinking"] is True


def test_a_partial_answer_is_continued(emulator: Emulator, llm: QwenVL) -> None:
    response = llm.chat([USER, assistant(TextBlock(text="The answer is"), partial=True)])
    body = emulator.requests[0].json
    assert body["messages"][1] == {"role": "assistant", "content": "The answer is", "partial": True}
    assert body["enable_thinking"] is False
    assert response.additional_kwargs["adjustments"]


def test_system_messages(emulator: Emulator, llm: QwenVL) -> None:
    system = ChatMessage(role="system", content="Be brief.")
    assert [m["role"] for m in sent(emulator, llm, [system, USER, system])] == ["system", "user", "system"]
    folded = sent(emulator, llm, [system, USER], fold_system_prompt=True)
    assert folded == [{"role": "user", "content": "Be brief.\n\nGo."}]


def test_a_name(emulator: Emulator, llm: QwenVL) -> None:
    message = ChatMessage(role="user", content="Go.", additional_kwargs={"name": "ann"})
    assert sent(emulator, llm, [message]) == [{"role": "user", "content": "Go.", "name": "ann"}]


def test_citations_of_an_assistant_back_its_text(emulator: Emulator, llm: QwenVL) -> None:
    citation = CitationBlock(
        title="Law", source="law.pdf", cited_content=TextBlock(text="§ 1"), additional_location_info={}
    )
    said = sent(emulator, llm, [USER, assistant(TextBlock(text="Yes."), citation), USER, assistant(citation), USER])
    assert [message["content"] for message in said[1::2]] == ["Yes.", "Law (law.pdf)\n§ 1"]


@pytest.mark.parametrize("role", ["user", "system", "tool"])
def test_only_an_assistant_calls_tools(llm: QwenVL, role: str) -> None:
    with pytest.raises(QwenVLInputError, match=r"messages\[0\]\.blocks\[0\] \(tool_call\).*ToolCallBlock"):
        llm.chat([ChatMessage(role=role, blocks=[call("call_1")])])


# --- What the caller holds stays as it is --------------------------------------------------------------------


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
            ThinkingBlock(content="Hm."), call(None, kwargs='{"x": '), reasoning_content="Hm.", tool_calls=[called("a")]
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
def test_the_history_is_never_changed(llm: QwenVL, call_mode: Callable[[QwenVL, list[ChatMessage]], Any]) -> None:
    history = _history()
    before = copy.deepcopy(history)
    call_mode(llm, history)
    assert history == before
    assert len(history) == 4

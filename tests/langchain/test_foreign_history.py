"""Answers of other providers' models in a history, in the shapes that their integrations produce."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, FunctionMessage, HumanMessage, ToolMessage

from langchain_qwenvl import ChatQwenVL
from tests.emulator import Emulator
from tests.langchain.conftest import PNG, Make
from tests.support.media_files import data_uri

Body = Callable[[], dict[str, Any]]

HI = HumanMessage("Hi")
LOOK = {"name": "look", "args": {"x": 1}, "id": "c1", "type": "tool_call"}
SENT_LOOK = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
PICTURE = data_uri(PNG)
BASE64 = PICTURE.partition(",")[2]
HERE = {"type": "text", "text": "Here."}


def answer(*blocks: Any, calls: bool = True, **additional_kwargs: Any) -> AIMessage:
    return AIMessage(
        list(blocks) if blocks else "", tool_calls=[LOOK] if calls else [], additional_kwargs=additional_kwargs
    )


# Name: the message; its text, reasoning and number of media as sent; the blocks that are left out.
ANSWERS: dict[str, tuple[AIMessage, str, str, int, tuple[str, ...]]] = {
    "OpenAI Responses": (
        answer(
            {"id": "rs_1", "type": "reasoning", "summary": [{"text": "Look.", "type": "summary_text"},
             {"text": "Answer.", "type": "summary_text"}], "encrypted_content": "gAAA"},
            {"id": "ws_1", "type": "web_search_call", "action": {"type": "search", "query": "q"}},
            {"id": "ci_1", "type": "code_interpreter_call", "code": "1+1", "container_id": "c", "outputs": []},
            {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": BASE64},
            {"id": "fs_1", "type": "file_search_call", "queries": ["q"], "results": []},
            {"id": "mcp_1", "type": "mcp_call", "name": "t", "server_label": "s", "arguments": "{}", "output": "o"},
            {"id": "mcpl", "type": "mcp_list_tools", "server_label": "s", "tools": []},
            {**HERE, "annotations": [{"type": "url_citation", "url": "https://example.com"}], "id": "m_1"},
            {"type": "refusal", "refusal": "No more.", "id": "m_1"},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"x":1}', "id": "fc_1"},
        ),
        "Here.\nNo more.", "Look.\nAnswer.", 1,
        ("web_search_call", "code_interpreter_call", "file_search_call", "mcp_call", "mcp_list_tools"),
    ),
    "OpenAI Responses, v0": (
        answer(HERE, reasoning={"id": "rs_1", "type": "reasoning",
                                "summary": [{"text": "Look.", "type": "summary_text"}]},
               tool_outputs=[{"type": "web_search_call", "id": "ws_1"}], refusal="No more."),
        "Here.\nNo more.", "Look.", 0, (),
    ),
    "OpenAI Responses, v1": (
        answer(
            {"type": "reasoning", "reasoning": "Look.", "id": "rs_1"}, {"type": "reasoning", "reasoning": "Answer."},
            {"type": "server_tool_call", "name": "web_search", "args": {"query": "q"}, "id": "ws_1"},
            {"type": "server_tool_result", "tool_call_id": "ws_1", "status": "success"},
            {"type": "image", "base64": BASE64, "id": "ig_1"}, HERE,
            {"type": "non_standard", "value": {"type": "refusal", "refusal": "No more."}},
            {**LOOK, "extras": {"item_id": "fc_1"}},
        ),
        "Here.\nNo more.", "Look.\nAnswer.", 1, ("server_tool_call", "server_tool_result"),
    ),
    "OpenAI, a refusal": (answer(calls=False, refusal="I can't."), "I can't.", "", 0, ()),
    "OpenAI, audio": (
        answer(calls=False, audio={"id": "a", "data": "UklGRg==", "expires_at": 1, "transcript": "Hello."}),
        "Hello.", "", 0, (),
    ),
    "audio, v1": (
        answer({"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav", "extras": {"transcript": "Hello."}},
               {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"}, calls=False),
        "Hello.", "", 0, ("audio",),
    ),
    "Anthropic": (
        answer(
            {"type": "thinking", "thinking": "Look.", "signature": "s"}, {"type": "redacted_thinking", "data": "x"},
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
            {"type": "mcp_tool_use", "id": "m1", "name": "t", "server_name": "s", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "m1", "is_error": False, "content": []},
            {**HERE, "citations": [{"type": "web_search_result_location", "cited_text": "c"}]},
            {"type": "tool_use", "id": "c1", "name": "look", "input": {"x": 1}},
        ),
        "Here.", "Look.", 0, ("server_tool_use", "web_search_tool_result", "mcp_tool_use", "mcp_tool_result"),
    ),
    "Anthropic, v1": (
        answer(
            {"type": "reasoning", "reasoning": "Look.", "extras": {"signature": "s"}},
            {"type": "non_standard", "value": {"type": "redacted_thinking", "data": "x"}}, HERE, LOOK,
            {"type": "non_standard", "value": {"type": "container_upload", "file_id": "f"}},
        ),
        "Here.", "Look.", 0, ("container_upload",),
    ),
    "Gemini": (
        answer(
            {"type": "thinking", "thinking": "Look.", "signature": "c2ln"}, HERE,
            {"type": "executable_code", "executable_code": "1+1", "language": "PYTHON"},
            {"type": "code_execution_result", "code_execution_result": "2", "outcome": 1},
            {"type": "image_url", "image_url": {"url": PICTURE}},
            function_call={"name": "look", "arguments": '{"x": 1}'},
        ),
        "Here.", "Look.", 1, ("executable_code", "code_execution_result"),
    ),
    "Mistral": (
        answer({"type": "thinking", "thinking": [{"type": "text", "text": "Lo"}, {"type": "text", "text": "ok."}]},
               HERE, {"type": "reference", "reference_ids": [1]}),
        "Here.", "Look.", 0, ("reference",),
    ),
    "Bedrock": (
        answer(
            {"type": "reasoning_content", "reasoning_content": {"text": "Look.", "signature": "s"}},
            {"type": "reasoning_content", "reasoning_content": {"redacted_content": "x"}}, HERE,
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}},
            {"type": "guard_content", "guard_content": {"type": "text", "text": "g"}},
            {"type": "tool_use", "name": "look", "input": {"x": 1}, "id": "c1"},
        ),
        "Here.", "Look.", 1, ("guard_content",),
    ),
    "Bedrock, v1": (
        answer(
            {"type": "non_standard",
             "value": {"type": "reasoning_content", "reasoning_content": {"text": "Look.", "signature": "s"}}},
            HERE, {"type": "non_standard", "value": {"cachePoint": {"type": "default"}}},
        ),
        "Here.", "Look.", 0, ("no type",),
    ),
    "DeepSeek": (answer(HERE, reasoning_content="Look."), "Here.", "Look.", 0, ()),
    "Bedrock, Anthropic's thinking": (answer(HERE, thinking={"text": "Look.", "signature": "s"}), "Here.", "Look.",
                                      0, ()),
    "OpenRouter": (answer(HERE, reasoning_details=[{"type": "reasoning.text", "text": "Look."}]), "Here.", "Look.", 0,
                   ()),
    "a provider of tomorrow": (
        answer(HERE, {"type": "hologram", "data": "AAAA"}, {"type": "non_standard", "value": {}}),
        "Here.", "", 0, ("hologram", "non_standard"),
    ),
    "files that are not media": (
        answer(HERE, {"type": "image", "file_id": "f"}, {"type": "image", "base64": "*no*"},
               {"type": "file", "base64": "UEsDBA==", "mime_type": "application/zip"},
               {"type": "image", "url": "/etc/passwd"}, {"type": "video", "url": "file:///a.mp4"}),
        "Here.", "", 0, (r"image\): file ids", r"image\): .*base64", r"file\): .*zip", r"image\): .*disk",
                         r"video\): .*disk"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("model", ["qwen3-vl-plus", "qwen3.8-max"])
def test_foreign_answer_is_sent_as_text_reasoning_calls_and_media(
    name: str, model: str, make: Make, emulator: Emulator, body: Body
) -> None:
    """The newer model gets the reasoning back."""
    message, text, reasoning, media_count, left_out = ANSWERS[name]
    before = message.model_dump_json()
    results = [ToolMessage("Seen.", tool_call_id="c1")] if message.tool_calls else []
    reply = make(model=model).invoke([HI, message, *results, HI])
    sent = body()["messages"]
    assert sent[1] == {
        "role": "assistant",
        "content": text,
        **({"reasoning_content": reasoning} if reasoning and model == "qwen3.8-max" else {}),
        **({"tool_calls": [{**SENT_LOOK, "function": {**SENT_LOOK["function"]}}]} if results else {}),  # type: ignore[dict-item]
    }
    media = [part for message in sent for part in message["content"] if isinstance(part, dict) and "image_url" in part]
    assert len(media) == media_count
    adjustments = " ".join(reply.response_metadata.get("adjustments", []))
    for pattern in left_out:
        assert re.search(pattern, adjustments)
    assert adjustments.count("messages[1]") == len(left_out)
    assert message.model_dump_json() == before


def test_foreign_answer_is_converted_alike_over_the_native_api(make: Make, emulator: Emulator) -> None:
    conversation = [HI, ANSWERS["OpenAI Responses"][0], ToolMessage("Seen.", tool_call_id="c1"), HI]
    make(api="dashscope", base_url=emulator.native_url).invoke(conversation)
    assert not emulator.refusals
    sent = emulator.requests[-1].json["input"]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user", "user"]
    assert sent[3]["content"] == [{"text": "Media of the previous assistant message:"}, {"image": PICTURE}]


def test_media_of_an_answer_follow_the_results_of_its_calls(llm: ChatQwenVL, body: Body) -> None:
    image = {"type": "image_url", "image_url": {"url": PICTURE}}
    llm.invoke([HI, answer(HERE, image), ToolMessage([image], tool_call_id="c1"), HI])
    sent = body()["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user", "user"]
    assert sent[3]["content"] == [
        {"type": "text", "text": "Media of the previous assistant message:"},
        image,
        {"type": "text", "text": "Result of the tool call c1:"},
        image,
    ]


def test_former_function_call_and_its_result_are_sent_as_tool_turn(llm: ChatQwenVL, body: Body) -> None:
    call = AIMessage("", additional_kwargs={"function_call": {"name": "look", "arguments": '{"x": 1}'}})
    llm.invoke([HI, call, FunctionMessage(content="Seen.", name="look"), HI])
    sent = body()["messages"]
    assert sent[1]["tool_calls"] == [{**SENT_LOOK, "id": "call_1_0"}]
    assert sent[2] == {"role": "tool", "content": "Seen.", "tool_call_id": "call_1_0"}


def test_text_input_of_a_custom_tool_is_sent_as_an_argument(llm: ChatQwenVL, body: Body) -> None:
    block = {"type": "custom_tool_call", "call_id": "c1", "name": "run", "input": "print(1)", "id": "ctc_1"}
    llm.invoke([HI, AIMessage([block]), ToolMessage("1", tool_call_id="c1")])
    function = body()["messages"][1]["tool_calls"][0]["function"]
    assert function == {"name": "run", "arguments": '{"__arg1": "print(1)"}'}


def test_partial_answer_with_a_picture_is_continued_without_it(llm: ChatQwenVL, body: Body) -> None:
    image = {"type": "image", "url": "https://example.com/a.png"}
    reply = llm.invoke([HI, AIMessage([HERE, image], additional_kwargs={"partial": True})])
    assert body()["messages"][-1] == {"role": "assistant", "content": "Here.", "partial": True}
    assert any("partial message" in note for note in reply.response_metadata["adjustments"])

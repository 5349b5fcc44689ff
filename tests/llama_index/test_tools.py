"""Tools: definitions and choices that are sent, tool calls that are received, and invalid calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.tools import FunctionTool

from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLInputError, QwenVLOutputError
from tests.emulator import Emulator, Quirks, Reply, ToolCall
from tests.support.media_files import solid_image


def crop(x: int, y: int) -> str:
    """Crop the image."""
    return f"cropped at {x}, {y}"


def now() -> str:
    """Return the time."""
    return "noon"


CROP, NOW = FunctionTool.from_defaults(crop), FunctionTool.from_defaults(now)
USER = ChatMessage(role="user", content="Go.")


def prepare(llm: QwenVL, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Build the keywords of a chat with tools."""
    return llm._prepare_chat_with_tools(*args, **kwargs)


# --- Definitions and choices---------------------------------------------------------------------------------------


def test_prepare_without_tools_sets_messages_only(llm: QwenVL) -> None:
    keywords = prepare(llm, [], "Hi.", tool_required=True, tool_choice="auto", allow_parallel_tool_calls=True)
    assert list(keywords) == ["messages"]


@pytest.mark.parametrize("message", ["Look.", ChatMessage(role="user", content="Look.")])
def test_prepare_appends_user_message(llm: QwenVL, message: Any) -> None:
    history = [USER]
    messages = prepare(llm, [CROP], user_msg=message, chat_history=history)["messages"]
    assert [entry.content for entry in messages] == ["Go.", "Look."]
    assert history == [USER]


def test_chat_with_tools_user_message_keeps_image(emulator: Emulator, llm: QwenVL) -> None:
    message = ChatMessage(role="user", blocks=[ImageBlock(image=solid_image()), TextBlock(text="?")])
    llm.chat_with_tools([CROP], user_msg=message)
    assert [part["type"] for part in emulator.requests[0].json["messages"][0]["content"]] == ["image_url", "text"]


def test_tool_is_sent_in_openai_form(emulator: Emulator, llm: QwenVL) -> None:
    llm.chat_with_tools([CROP], "Go.")
    (tool,) = emulator.requests[0].json["tools"]
    assert tool["type"] == "function"
    assert tool["function"]["name"] == "crop"
    assert "Crop the image." in tool["function"]["description"]
    assert tool["function"]["parameters"]["required"] == ["x", "y"]
    assert "strict" not in tool["function"]


def test_strict_tool_allows_described_arguments_only(emulator: Emulator, llm: QwenVL) -> None:
    llm.chat_with_tools([CROP], "Go.", strict=True)
    function = emulator.requests[0].json["tools"][0]["function"]
    assert function["strict"] is True
    assert function["parameters"]["additionalProperties"] is False


def test_chat_accepts_tools_and_openai_dicts(emulator: Emulator, llm: QwenVL) -> None:
    llm.chat([USER], tools=[CROP, prepare(llm, [NOW])["tools"][0]])
    assert [tool["function"]["name"] for tool in emulator.requests[0].json["tools"]] == ["crop", "now"]


def test_prepare_accepts_long_tool_description(llm: QwenVL) -> None:
    assert prepare(llm, [FunctionTool.from_defaults(crop, description="x" * 5000)])


NAMED = {"type": "function", "function": {"name": "crop"}}
CHOICES: dict[str, tuple[dict[str, Any], Any, bool]] = {
    "nothing": ({}, None, True),
    "not required": ({"tool_required": False}, None, True),
    "required": ({"tool_required": True}, NAMED, False),  # the only tool
    "auto": ({"tool_choice": "auto"}, "auto", True),
    "auto wins": ({"tool_choice": "auto", "tool_required": True}, "auto", True),
    "none": ({"tool_choice": "none"}, "none", True),
    "any": ({"tool_choice": "any"}, NAMED, False),
    "required by choice": ({"tool_choice": "required"}, NAMED, False),
    "name": ({"tool_choice": "crop"}, NAMED, False),
    "dict": ({"tool_choice": NAMED}, NAMED, False),
    "short dict": ({"tool_choice": {"name": "crop"}}, NAMED, False),
}


@pytest.mark.parametrize(("keywords", "choice", "thinks"), CHOICES.values(), ids=CHOICES)
def test_tool_choice_forced_without_thinking_first_disables_thinking(
    emulator: Emulator, make: Callable[..., QwenVL], keywords: dict[str, Any], choice: Any, thinks: bool
) -> None:
    """Thinking is off for that call only."""
    llm = make(forced_output="no_thinking")
    response = llm.chat_with_tools([CROP], "Go.", **keywords)
    llm.chat([USER])
    first, second = (request.json for request in emulator.requests)
    assert first.get("tool_choice") == choice
    assert first["enable_thinking"] is thinks
    assert second["enable_thinking"] is True
    assert ("adjustments" in response.additional_kwargs) is not thinks


FORCED = {name: case for name, case in CHOICES.items() if not case[2]}


@pytest.mark.parametrize(("keywords", "choice", "thinks"), FORCED.values(), ids=FORCED)
def test_tool_choice_forced_is_first_requested_while_thinking(
    emulator: Emulator, llm: QwenVL, keywords: dict[str, Any], choice: Any, thinks: bool
) -> None:
    response = llm.chat_with_tools([CROP], "Go.", **keywords)
    first, second = (request.json for request in emulator.requests)
    assert (first["tool_choice"], first["enable_thinking"]) == ("auto", True)
    assert (second["tool_choice"], second["enable_thinking"]) == (choice, False)
    assert [call.tool_name for call in llm.get_tool_calls_from_response(response)] == ["crop"]
    assert response.message.additional_kwargs["reasoning_content"]
    assert len(response.additional_kwargs["adjustments"]) == 2


def test_tool_choice_unknown_tool_raises(llm: QwenVL) -> None:
    with pytest.raises(QwenVLInputError, match="zoom"):
        llm.chat_with_tools([CROP], "Go.", tool_choice="zoom")


def test_tool_choice_forced_on_thinking_model_is_checked_in_answer(
    emulator: Emulator, make: Callable[..., QwenVL]
) -> None:
    """With `forced_output="ask"`, or a model that always thinks, `auto` is sent and the answer is checked."""
    for llm in (make(forced_output="ask"), make(model="qwen3-vl-32b-thinking")):
        emulator.script(Reply(reasoning="Hm.", tool_calls=[ToolCall("call_1", "crop", '{"x": 1, "y": 2}')]))
        emulator.script(*[Reply(text="No.")] * (2 if "thinking" in llm.model else 1))
        response = llm.chat_with_tools([CROP], "Go.", tool_required=True)
        assert response.message.additional_kwargs["reasoning_content"] == "Hm."
        assert emulator.requests[-1].json["tool_choice"] == "auto"
        with pytest.raises(ValueError, match="called no tool") as caught:
            llm.chat_with_tools([CROP], "Go.", tool_required=True)
        assert isinstance(caught.value, QwenVLOutputError)
        assert emulator.unused_replies == 0


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_calls_are_returned_if_allowed(emulator: Emulator, llm: QwenVL, parallel: bool) -> None:
    calls = [ToolCall("call_1", "crop", '{"x": 1, "y": 2}'), ToolCall("call_2", "now", "{}")]
    emulator.script(*[Reply(reasoning="Hm.", text="I look.", tool_calls=calls)] * 2)
    response = llm.chat_with_tools([CROP, NOW], "Go.", allow_parallel_tool_calls=parallel)
    assert emulator.requests[0].json["parallel_tool_calls"] is parallel
    assert response.message.content == "I look."
    names = [call.tool_name for call in llm.get_tool_calls_from_response(response)]
    assert names == (["crop", "now"] if parallel else ["crop"])
    assert len(response.message.additional_kwargs["tool_calls"]) == len(names)
    assert [block.block_type for block in response.message.blocks][:2] == ["thinking", "text"]


PARALLEL: dict[str, tuple[list[ToolCall], str | None, list[str], list[str]]] = {  # calls, finish, kept, invalid
    "two": ([ToolCall("a", "crop", '{"x": 1}'), ToolCall("b", "now")], None, ["a"], []),
    "first without arguments": ([ToolCall("a", "now", ""), ToolCall("b", "crop", '{"x": 1}')], "length", ["a"], []),
    "first broken": ([ToolCall("a", "crop", '{"x'), ToolCall("b", "now"), ToolCall("c", "now")], None, ["b"], ["a"]),
    "second broken": ([ToolCall("a", "now"), ToolCall("b", "crop", "[1]")], None, ["a"], ["b"]),
    "both broken": ([ToolCall("a", "crop", "{"), ToolCall("b", "crop", '"x"')], None, [], ["a", "b"]),
    "last cut off": ([ToolCall("a", "now"), ToolCall("b", "now"), ToolCall("c", "crop", "")], "length", ["a"], ["c"]),
}


@pytest.mark.parametrize(("calls", "finish", "kept", "invalid"), PARALLEL.values(), ids=PARALLEL)
@pytest.mark.parametrize("api", ["openai", "dashscope"])
async def test_single_call_is_kept_whole_and_streamed(
    emulator: Emulator, make: Callable[..., QwenVL], api: Any, calls: Any, finish: Any, kept: Any, invalid: Any
) -> None:
    llm = make(api=api, base_url={"openai": emulator.compat_url, "dashscope": emulator.native_url}[api])
    emulator.script(*[Reply(text="I look.", tool_calls=calls, finish=finish)] * 4)
    chunks = list(llm.stream_chat_with_tools([CROP, NOW], "Go."))
    stream = await llm.astream_chat_with_tools([CROP, NOW], "Go.")
    responses = [
        llm.chat_with_tools([CROP, NOW], "Go."),
        await llm.achat_with_tools([CROP, NOW], "Go."),
        chunks[-1],
        [chunk async for chunk in stream][-1],
    ]
    for response in responses:
        blocks = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        assert [block.tool_call_id for block in blocks] == kept
        extra_fields = response.message.additional_kwargs
        assert [call["id"] for call in extra_fields.get("tool_calls", [])] == kept
        assert [call["id"] for call in extra_fields.get("invalid_tool_calls", [])] == invalid
        is_dropped = len(calls) > len(kept) + len(invalid)
        assert ("dropped" in str(response.additional_kwargs.get("adjustments"))) is is_dropped
    assert max(len(llm.get_tool_calls_from_response(chunk, error_on_no_tool_call=False)) for chunk in chunks) == 1
    await llm.aclose()


# --- Received calls ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(),
        Quirks(empty_tool_id=False),
        Quirks(two_tool_indexes_in_one_chunk=True),
        Quirks(interleaved_tool_calls=True),
        Quirks(arguments_with_name=True, empty_tool_deltas=True),
        Quirks(tool_fragment_without_id=True, tool_fragment_without_type=True, finish_stop_with_tool_calls=True),
    ],
)
@pytest.mark.parametrize("api", ["openai", "dashscope"])
async def test_stream_assembles_calls_from_fragments(
    emulator: Emulator, make: Callable[..., QwenVL], quirks: Quirks, api: Any
) -> None:
    llm = make(api=api, base_url={"openai": emulator.compat_url, "dashscope": emulator.native_url}[api])
    calls = [
        ToolCall("call_1", "crop", ['{"x": ', "1,", ' "y": "a b', ' c"}']),
        ToolCall("call_2", "crop", ['{"x": "é', '→"', "}"]),
        ToolCall("call_3", "now", ""),
    ]
    emulator.script(*[Reply(reasoning="Hm.", text="I look.", tool_calls=calls, quirks=quirks)] * 2)
    chunks = list(llm.stream_chat_with_tools([CROP, NOW], "Go.", allow_parallel_tool_calls=True))
    for chunk in chunks:  # agents do this for each chunk
        llm.get_tool_calls_from_response(chunk, error_on_no_tool_call=False)
    last = chunks[-1].message
    assert [(b.tool_call_id, b.tool_name, b.tool_kwargs) for b in last.blocks if isinstance(b, ToolCallBlock)] == [
        ("call_1", "crop", {"x": 1, "y": "a b c"}),
        ("call_2", "crop", {"x": "é→"}),
        ("call_3", "now", {}),
    ]
    assert [block.block_type for block in last.blocks] == ["thinking", "text", *["tool_call"] * 3]
    assert chunks[-1].additional_kwargs["finish_reason"]
    stream = await llm.astream_chat_with_tools([CROP, NOW], "Go.", allow_parallel_tool_calls=True)
    assert [chunk async for chunk in stream][-1].message == last
    await llm.aclose()


def test_stream_call_arguments_are_text_until_last_chunk(emulator: Emulator, llm: QwenVL) -> None:
    emulator.script(Reply(tool_calls=[ToolCall("call_1", "crop", ['{"x": 1', ', "y"', ": 2}"])]))
    chunks = list(llm.stream_chat_with_tools([CROP], "Go."))
    arguments = [(block.tool_kwargs, llm.get_tool_calls_from_response(chunk)[0].tool_kwargs)
            for chunk in chunks for block in chunk.message.blocks if isinstance(block, ToolCallBlock)]  # fmt: skip
    whole = {"x": 1, "y": 2}
    assert list(dict.fromkeys(str(kwargs) for kwargs, _ in arguments)) == [
        "", '{"x": 1', '{"x": 1, "y"', '{"x": 1, "y": 2}', str(whole),
    ]  # fmt: skip
    assert arguments[-1] == (whole, whole)
    assert {"x": 1} in [selected for _, selected in arguments]


@pytest.mark.parametrize(
    ("kwargs", "selected"),
    [
        ({"x": 1}, {"x": 1}),
        ({}, {}),
        ("", {}),
        ("null", {}),
        ("[1]", {}),
        ("{", {}),
        ('{"x', {}),
        ('{"x":', {}),
        ('{"x": "a', {"x": "a"}),
        ('{"x": "a", "y": [1, 2', {"x": "a", "y": [1, 2]}),
        ('{"x": 1} and more', {"x": 1}),
        ("}{", {}),
        ("\ud800", {}),
    ],
)
def test_tool_selections_of_invalid_arguments_do_not_raise(llm: QwenVL, kwargs: Any, selected: dict[str, Any]) -> None:
    block = ToolCallBlock(tool_call_id="call_1", tool_name="crop", tool_kwargs=kwargs)
    response = ChatResponse(message=ChatMessage(role="assistant", blocks=[block]))
    (call,) = llm.get_tool_calls_from_response(response)
    assert (call.tool_id, call.tool_name, call.tool_kwargs) == ("call_1", "crop", selected)


def test_tool_selections_without_call_raise_if_required(emulator: Emulator, llm: QwenVL) -> None:
    emulator.script(Reply(text="No."), Reply(tool_calls=[ToolCall("call_1", "crop", '{"x": ')]))
    response = llm.chat_with_tools([CROP], "Go.")
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
    with pytest.raises(ValueError, match="called no tool"):
        llm.get_tool_calls_from_response(response)
    with pytest.raises(ValueError, match=r"can be executed.*call_1"):
        llm.get_tool_calls_from_response(llm.chat_with_tools([CROP], "Go."))


async def test_predict_and_call_runs_tool(emulator: Emulator, llm: QwenVL) -> None:
    emulator.script(*[Reply(tool_calls=[ToolCall("call_1", "crop", '{"x": 1, "y": 2}')])] * 2)
    assert llm.predict_and_call([CROP], "Go.").response == "cropped at 1, 2"
    assert (await llm.apredict_and_call([CROP], "Go.", tool_required=True)).response == "cropped at 1, 2"
    assert [request.json.get("tool_choice") for request in emulator.requests] == [None, "auto"]


async def test_tool_result_is_sent_with_its_call(emulator: Emulator, llm: QwenVL) -> None:
    emulator.script(
        Reply(reasoning="I look.", tool_calls=[ToolCall("call_1", "crop", '{"x": 1}')]), Reply(text="Blue.")
    )
    answer = (await llm.achat_with_tools([CROP], chat_history=[USER])).message
    result = ChatMessage(role="tool", content="cropped", additional_kwargs={"tool_call_id": "call_1"})
    response = await llm.achat_with_tools([CROP], chat_history=[USER, answer, result])
    assert response.message.content == "Blue."
    assert emulator.requests[1].json["messages"] == [
        {"role": "user", "content": "Go."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "crop", "arguments": '{"x": 1}'}}],
        },
        {"role": "tool", "content": "cropped", "tool_call_id": "call_1"},
    ]

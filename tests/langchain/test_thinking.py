"""The policy on thinking: what is sent, what is refused, and which adjustments are reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_qwenvl import ChatQwenVL
from tests.emulator import Emulator, Reply
from tests.langchain.conftest import Make

Body = Callable[[], dict[str, Any]]

HYBRID = [
    "qwen3-vl-plus",
    "qwen3-vl-plus-2025-12-19",
    "qwen3-vl-flash",
    "QWEN3-VL-FLASH-US",
    "qwen3.5-plus",
    "qwen3.6-plus",
]
ALWAYS = ["qwen3-vl-235b-a22b-thinking", "qwen3-vl-8b-thinking", "qvq-max", "qvq-plus-latest"]
NEVER = ["qwen-vl-max", "qwen-vl-plus-latest", "qwen2.5-vl-72b-instruct", "qwen3-vl-8b-instruct", "qwen-vl-ocr"]
QUESTION = [HumanMessage([{"type": "image", "url": "https://example.com/a.png"}, {"type": "text", "text": "Hi"}])]
NOT_SENT = "not sent"


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    emulator.known_models = frozenset([*HYBRID, *ALWAYS, *NEVER, "my-finetune", "org/my-finetune"])
    return emulator


@pytest.mark.parametrize(
    ("models", "keywords", "call", "sent"),
    [
        (HYBRID, {}, {}, True),
        (HYBRID, {"enable_thinking": True}, {}, True),
        (HYBRID, {"enable_thinking": False}, {}, False),
        (HYBRID, {}, {"enable_thinking": False}, False),
        (HYBRID, {"enable_thinking": False}, {"enable_thinking": True}, True),
        (HYBRID, {"enable_thinking": False}, {"enable_thinking": None}, False),
        (ALWAYS, {}, {}, NOT_SENT),
        (ALWAYS, {"enable_thinking": True}, {}, NOT_SENT),
        (ALWAYS, {}, {"enable_thinking": True}, NOT_SENT),
        (NEVER, {}, {}, NOT_SENT),
        (NEVER, {"enable_thinking": True}, {}, NOT_SENT),
        (NEVER, {"enable_thinking": False}, {}, NOT_SENT),
        (NEVER, {}, {"enable_thinking": False}, NOT_SENT),
        (["my-finetune", "org/my-finetune"], {}, {}, NOT_SENT),
        (["my-finetune"], {"enable_thinking": True}, {}, True),
        (["my-finetune"], {"enable_thinking": False}, {}, False),
        (["my-finetune"], {}, {"enable_thinking": True}, True),
    ],
    ids=str,
)
def test_enable_thinking_is_sent_as_the_model_requires(
    models: list[str], keywords: dict[str, Any], call: dict[str, Any], sent: object, make: Make, body: Body
) -> None:
    for name in models:
        model = make(model=name, **keywords)
        model.invoke(QUESTION, **call)
        assert body().get("enable_thinking", NOT_SENT) is sent, name
        assert body()["model"] == name
        assert body().get("stream", False) is (sent is True or name in ALWAYS), name
        list(model.stream(QUESTION, **call))
        assert body().get("enable_thinking", NOT_SENT) is sent, name
        assert body()["stream"] is True
        assert model.enable_thinking is keywords.get("enable_thinking", True)  # calls do not change the model


@pytest.mark.parametrize(
    ("models", "keywords", "call"),
    [
        (ALWAYS, {"enable_thinking": False}, {}),
        (ALWAYS, {}, {"enable_thinking": False}),
        (NEVER, {}, {"enable_thinking": True}),
    ],
    ids=str,
)
async def test_enable_thinking_unsupported_raises(
    models: list[str], keywords: dict[str, Any], call: dict[str, Any], make: Make, emulator: Emulator
) -> None:
    for name in models:
        model = make(model=name, **keywords)
        with pytest.raises(ValueError, match=f"{name}.*enable_thinking"):
            model.invoke(QUESTION, **call)
        with pytest.raises(ValueError, match=f"{name}.*enable_thinking"):
            async for _ in model.astream(QUESTION, **call):
                pass
    assert not emulator.requests


@pytest.mark.parametrize("model", ["qwen3-vl-plus", "qvq-max", "qwen3-vl-8b-thinking"])
@pytest.mark.parametrize(
    "keywords", [{}, {"disable_streaming": True}, {"streaming": False}, {"streaming": True}], ids=str
)
async def test_thinking_model_always_streams_on_the_wire(
    model: str, keywords: dict[str, Any], make: Make, emulator: Emulator, bodies: Any
) -> None:
    emulator.thinks_without_stream = False
    emulator.script(*[Reply(reasoning="Hm, 好.", text="Yes.")] * 6)
    llm = make(model=model, **keywords)
    answers = [
        llm.invoke(QUESTION),
        await llm.ainvoke(QUESTION),
        llm.batch([QUESTION])[0],
        (await llm.abatch([QUESTION]))[0],
    ]
    assert {(a.content, a.additional_kwargs["reasoning_content"]) for a in answers} == {("Yes.", "Hm, 好.")}
    assert "".join(chunk.text for chunk in llm.stream(QUESTION)) == "Yes."
    assert "".join([chunk.text async for chunk in llm.astream(QUESTION)]) == "Yes."
    assert all(sent["stream"] and sent["stream_options"] == {"include_usage": True} for sent in bodies())


def test_disable_streaming_yields_one_message(make: Make) -> None:
    (message,) = make(model="qvq-max", disable_streaming=True).stream(QUESTION)
    assert message.additional_kwargs["reasoning_content"]


def test_without_thinking_only_stream_calls_stream(make: Make, bodies: Any) -> None:
    llm = make(enable_thinking=False)
    llm.invoke(QUESTION)
    llm.invoke(QUESTION, stream=True)
    list(llm.stream(QUESTION))
    list(llm.stream(QUESTION, stream=False))
    assert [sent.get("stream", False) for sent in bodies()] == [False, True, True, False]


def test_thinking_budget_is_sent_while_thinking(make: Make, body: Body) -> None:
    llm = make(thinking_budget=50)
    llm.invoke(QUESTION)
    assert body()["thinking_budget"] == 50
    llm.invoke(QUESTION, thinking_budget=60)
    assert body()["thinking_budget"] == 60
    answer = llm.invoke(QUESTION, enable_thinking=False)
    assert "thinking_budget" not in body()
    assert "thinking_budget" in answer.response_metadata["adjustments"][0]
    for invalid in (0, -5):
        with pytest.raises(ValueError, match="thinking_budget"):
            llm.invoke(QUESTION, thinking_budget=invalid)


LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
FORCED: list[Any] = ["any", "required", "look", True, {"type": "function", "function": {"name": "look"}}]


@pytest.mark.parametrize("choice", FORCED, ids=str)
def test_forced_tool_without_thinking_first_disables_thinking_for_that_request(
    choice: Any, make: Make, body: Body
) -> None:
    llm = make(forced_output="no_thinking")
    answer = llm.bind_tools([LOOK], tool_choice=choice).invoke(QUESTION)
    assert body()["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert body()["enable_thinking"] is False
    assert [call["name"] for call in answer.tool_calls] == ["look"]
    assert ["enable_thinking=False" in note for note in answer.response_metadata["adjustments"]] == [True]
    llm.bind_tools([LOOK]).invoke(QUESTION)
    assert body()["enable_thinking"] is True
    assert llm.enable_thinking


@pytest.mark.parametrize("choice", FORCED, ids=str)
def test_forced_tool_is_first_requested_while_thinking(choice: Any, llm: ChatQwenVL, bodies: Any) -> None:
    answer = llm.bind_tools([LOOK], tool_choice=choice).invoke(QUESTION)
    first, second = bodies()
    assert (first["tool_choice"], first["enable_thinking"]) == ("auto", True)
    assert first["messages"][-1]["content"][-1]["text"].endswith("Answer with a call of the tool look.")
    assert second["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert second["enable_thinking"] is False
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][0] == first["messages"][0]
    assert first["tools"] == second["tools"]
    assert [call["name"] for call in answer.tool_calls] == ["look"]
    assert answer.additional_kwargs["reasoning_content"]
    first_note, second_note = answer.response_metadata["adjustments"]
    assert "tool_choice='auto'" in first_note
    assert "sent another request, without thinking" in second_note


@pytest.mark.parametrize("choice", [None, "auto", "none", False], ids=str)
def test_free_tool_choice_keeps_thinking(choice: Any, llm: ChatQwenVL, body: Body) -> None:
    answer = llm.bind_tools([LOOK], tool_choice=choice).invoke(QUESTION)
    assert body().get("tool_choice") == (None if choice is False else choice)
    assert body()["enable_thinking"] is True
    assert "adjustments" not in answer.response_metadata


def test_forced_tool_without_thinking_has_no_adjustments(make: Make, body: Body) -> None:
    llm = make(enable_thinking=False)
    answer = llm.bind_tools([LOOK], tool_choice="any").invoke(QUESTION)
    assert body()["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert "adjustments" not in answer.response_metadata


@pytest.mark.parametrize(
    "keywords",
    [{"model": "qwen3-vl-8b-thinking"}, {"forced_output": "ask"}],
    ids=["always thinks", "keeps thinking"],
)
async def test_forced_tool_while_thinking_is_sent_as_auto_and_checked(
    keywords: dict[str, Any], make: Make, emulator: Emulator, body: Body
) -> None:
    from langchain_core.exceptions import OutputParserException

    from qwenvl_core.errors import QwenVLOutputError
    from tests.emulator import ToolCall

    llm = make(**keywords).bind_tools([LOOK], tool_choice="any")
    with_call = Reply(reasoning="Hm.", tool_calls=[ToolCall("c1", "look")])
    without_call = Reply(reasoning="Hm.", text="I'd rather not.")
    count = 1 if "forced_output" in keywords else 2  # a model that always thinks is asked twice
    emulator.script(with_call, *[without_call] * 3 * count)
    answer = llm.invoke(QUESTION)
    assert answer.tool_calls
    assert answer.additional_kwargs["reasoning_content"] == "Hm."
    assert body()["tool_choice"] == "auto"
    assert "'auto'" in answer.response_metadata["adjustments"][0]
    with pytest.raises(OutputParserException, match=r"called no tool.*'required'") as raised:
        llm.invoke(QUESTION)
    assert isinstance(raised.value, QwenVLOutputError)
    assert raised.value.partial == raised.value.llm_output == "\n\n".join(["I'd rather not."] * count)
    assert raised.value.reasoning == "\n\n".join(["Hm."] * count)
    with pytest.raises(OutputParserException):
        list(llm.stream(QUESTION))
    with pytest.raises(OutputParserException):
        await llm.ainvoke(QUESTION)
    assert emulator.unused_replies == 0


def test_forced_output_per_call_keeps_thinking(llm: ChatQwenVL, emulator: Emulator, body: Body) -> None:
    from tests.emulator import ToolCall

    emulator.script(Reply(reasoning="Hm.", tool_calls=[ToolCall("c1", "look")]))
    llm.bind_tools([LOOK], tool_choice="any", forced_output="ask").invoke(QUESTION)
    assert (body()["tool_choice"], body()["enable_thinking"]) == ("auto", True)


JSON_OBJECT = {"type": "json_object"}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "Paid", "schema": {"type": "object", "title": "Paid"}}}


@pytest.mark.parametrize(
    ("model", "response_format", "prompt", "sent", "notes"),
    [
        ("qwen3-vl-plus", JSON_OBJECT, "As json, please.", None, ["json_object not sent"]),
        ("qwen3-vl-plus", JSON_SCHEMA, "Hi", None, ["json_schema not sent"]),
        ("qwen3-vl-plus off", JSON_OBJECT, "As json, please.", JSON_OBJECT, ["enable_thinking=False"]),
        ("qwen3-vl-plus off", JSON_OBJECT, "Hi", JSON_OBJECT, ["enable_thinking=False", "json"]),
        (
            "qwen3-vl-plus off",
            JSON_SCHEMA,
            "Hi",
            JSON_OBJECT,
            ["enable_thinking=False", "json_object instead of json_schema"],
        ),
        ("qwen-vl-max", JSON_OBJECT, "JSON!", JSON_OBJECT, []),
        ("qwen3-vl-8b-thinking", JSON_SCHEMA, "Hi", None, ["always thinks"]),
        ("qvq-max", JSON_OBJECT, "Hi", None, ["always thinks"]),
        ("qwen3-vl-plus", {"type": "text"}, "Hi", {"type": "text"}, []),
    ],
    ids=str,
)
def test_response_format_is_sent_as_the_model_requires(
    model: str,
    response_format: Any,
    prompt: str,
    sent: Any,
    notes: list[str],
    make: Make,
    emulator: Emulator,
    body: Body,
) -> None:
    emulator.script(Reply(text='{"paid": 1}'))
    name, _, off = model.partition(" ")
    llm = make(model=name, forced_output="no_thinking" if off else "think_first")
    answer = llm.invoke(prompt, response_format=response_format)
    assert body().get("response_format") == sent
    adjustments = answer.response_metadata.get("adjustments", [])
    assert len(adjustments) == len(notes)
    assert all(note in line for note, line in zip(notes, adjustments, strict=True))
    content = body()["messages"][-1]["content"]
    assert content.startswith(prompt)
    assert ("Paid" in content) is (response_format is JSON_SCHEMA)


def test_always_thinking_model_prose_instead_of_json_raises(make: Make, emulator: Emulator) -> None:
    from langchain_core.exceptions import OutputParserException

    emulator.script(*[Reply(reasoning="Hm.", text="Well…")] * 2)
    with pytest.raises(OutputParserException, match=r"not valid JSON.*qvq-max always thinks") as raised:
        make(model="qvq-max").invoke("Hi", response_format=JSON_OBJECT)
    assert raised.value.llm_output == "Well…\n\nWell…"


def test_json_output_disables_thinking_for_that_request_only(llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    emulator.script(Reply(text="{}"), Reply(reasoning="Hm.", text="Hi."))
    llm.invoke("As json, please.", response_format=JSON_OBJECT, forced_output="no_thinking")
    llm.invoke("Hi")
    assert [sent["enable_thinking"] for sent in bodies()] == [False, True]

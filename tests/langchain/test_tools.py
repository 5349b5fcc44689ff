"""Tools: how they are sent and forced, and how calls are returned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, TypedDict

import pydantic
import pydantic.v1
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableBinding
from langchain_core.tools import StructuredTool, tool

from langchain_qwenvl import ChatQwenVL
from tests.emulator import Emulator, Quirks, Reply, ToolCall
from tests.langchain.conftest import Make
from tests.langchain.test_responses import total


@tool
def look(x: int, label: str = "thing") -> str:
    """Look at a place."""
    return f"{label} at {x}"


class Look(pydantic.BaseModel):
    """Look at a place."""

    x: int
    label: str = "thing"


class LookV1(pydantic.v1.BaseModel):
    """Look at a place."""

    x: int
    label: str = "thing"


class LookDict(TypedDict):
    """Look at a place."""

    x: Annotated[int, ..., "Where."]


def look_function(x: int, label: str = "thing") -> str:
    """Look at a place."""
    return label


SCHEMA = {
    "title": "look",
    "description": "Look at a place.",
    "type": "object",
    "properties": {"x": {"type": "integer"}},
}
OPENAI = {"type": "function", "function": {"name": "look", "description": "Look at a place.", "parameters": SCHEMA}}
ANTHROPIC = {"name": "look", "description": "Look at a place.", "input_schema": {"type": "object", "properties": {}}}


TOOL_FORMS: dict[str, tuple[Any, str]] = {
    "tool": (look, "look"),
    "Pydantic": (Look, "Look"),
    "Pydantic 1": (LookV1, "LookV1"),
    "TypedDict": (LookDict, "LookDict"),
    "function": (look_function, "look_function"),
    "JSON schema": (SCHEMA, "look"),
    "OpenAI": (OPENAI, "look"),
    "OpenAI function": (OPENAI["function"], "look"),
    "Anthropic": (ANTHROPIC, "look"),
    "StructuredTool": (StructuredTool.from_function(look_function, name="look"), "look"),
}


@pytest.mark.parametrize(("form", "name"), TOOL_FORMS.values(), ids=TOOL_FORMS)
def test_bind_tools_accepts_every_form(form: Any, name: str, llm: ChatQwenVL, body: Any) -> None:
    llm.bind_tools([form]).invoke("Hi")
    (sent,) = body()["tools"]
    assert sent["type"] == "function"
    assert sent["function"]["name"] == name
    assert sent["function"]["description"].startswith("Look")
    assert "tool_choice" not in body()


@pytest.mark.parametrize(
    "form", ["tool", "Pydantic", "Pydantic 1", "TypedDict", "function", "OpenAI", "StructuredTool"]
)
def test_call_tools_accepts_every_form(form: str, make: Make, body: Any) -> None:
    """Tools can be passed without `bind_tools`; a dict is sent unchanged."""
    tool_form, name = TOOL_FORMS[form]
    make(enable_thinking=False).bind(tools=[tool_form], tool_choice=name).invoke("Hi")
    assert [sent["function"]["name"] for sent in body()["tools"]] == [name]


CHOICES: list[tuple[Any, Any]] = [
    (None, None),
    ("auto", "auto"),
    ("none", "none"),
    (False, None),
    ("any", "required"),
    ("required", "required"),
    (True, "required"),
    ("look", {"type": "function", "function": {"name": "look"}}),
    ({"type": "function", "function": {"name": "look"}}, {"type": "function", "function": {"name": "look"}}),
    ({"type": "tool", "name": "look"}, {"type": "function", "function": {"name": "look"}}),
    ({"type": "any"}, "required"),
    ({"type": "auto"}, "auto"),
]


@pytest.mark.parametrize(("choice", "sent"), CHOICES, ids=str)
def test_tool_choice_is_converted(choice: Any, sent: Any, make: Make, body: Any) -> None:
    llm = make(enable_thinking=False)
    llm.bind_tools([look, look_function], tool_choice=choice).invoke("Hi")
    assert body().get("tool_choice") == sent
    llm.bind_tools([look, look_function]).invoke("Hi", tool_choice=choice)
    assert body().get("tool_choice") == sent


@pytest.mark.parametrize("choice", ["zoom", {"type": "function", "function": {"name": "zoom"}}, 5], ids=str)
def test_tool_choice_unknown_tool_raises(choice: Any, llm: ChatQwenVL, emulator: Emulator) -> None:
    with pytest.raises(ValueError, match=r"tool_choice.*look"):
        llm.bind_tools([look], tool_choice=choice).invoke("Hi")
    assert not emulator.requests


@pytest.mark.parametrize("choice", [None, "auto", "any", "look"])
def test_tool_choice_without_tools_is_not_sent(choice: Any, llm: ChatQwenVL, body: Any) -> None:
    answer = llm.bind_tools([], tool_choice=choice, temperature=0.5).invoke("Hi")
    assert not {"tools", "tool_choice"} & set(body())
    assert (body()["temperature"], body()["enable_thinking"]) == (0.5, True)
    assert "adjustments" not in answer.response_metadata


@pytest.mark.parametrize("strict", [None, True, False])
def test_strict_is_sent_in_the_definition(strict: bool | None, llm: ChatQwenVL, body: Any) -> None:
    llm.bind_tools([look], strict=strict).invoke("Hi")
    function = body()["tools"][0]["function"]
    assert function.get("strict") is strict
    assert function["parameters"].get("additionalProperties", True) is not (strict is True)


@pytest.mark.parametrize("parallel", [None, True, False])
def test_parallel_tool_calls_is_sent(parallel: bool | None, llm: ChatQwenVL, body: Any) -> None:
    llm.bind_tools([look], parallel_tool_calls=parallel).invoke("Hi")
    assert body().get("parallel_tool_calls") is parallel


class Paid(pydantic.BaseModel):
    """What was paid."""

    amount: float


@pytest.mark.parametrize(
    "response_format",
    [Paid, Paid.model_json_schema(),
     {"type": "json_schema", "json_schema": {"name": "Paid", "schema": Paid.model_json_schema()}}],
    ids=["class", "schema", "response format"],
)  # fmt: skip
def test_response_format_is_sent_with_tools(response_format: Any, make: Make, emulator: Emulator, body: Any) -> None:
    emulator.script(Reply(text='{"amount": 1}'))
    make(model="qwen3.7-plus", enable_thinking=False).bind_tools([look], response_format=response_format).invoke("Hi")
    sent = body()["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["name"] == "Paid"
    assert set(sent["json_schema"]["schema"]["properties"]) == {"amount"}
    assert body()["tools"]


def test_call_response_format_class_is_converted(make: Make, emulator: Emulator, body: Any) -> None:
    emulator.script(Reply(text='{"amount": 1}'))
    make(model="qwen3.7-plus", enable_thinking=False).invoke("Hi", response_format=Paid)
    assert body()["response_format"]["json_schema"]["name"] == "Paid"


def test_bind_tools_returns_a_binding(llm: ChatQwenVL) -> None:
    """LangChain's agents read the attributes of the binding."""
    bound = llm.bind_tools([look], tool_choice="any")
    assert isinstance(bound, RunnableBinding)
    assert isinstance(bound.bound, BaseChatModel)
    assert bound.kwargs["tools"][0]["function"]["name"] == "look"
    rebound = bound.bind(temperature=1)
    assert isinstance(rebound, RunnableBinding)
    assert rebound.kwargs["tool_choice"] == "any"


def test_with_config_and_fallbacks_keep_tools(make: Make, emulator: Emulator, body: Any) -> None:
    bound = make().bind_tools([look]).with_config(tags=["a"]).with_fallbacks([make(model="qwen3-vl-flash")])
    bound.invoke("Hi")
    assert body()["tools"]


QUIRKS: dict[str, Quirks] = {
    "as recorded": Quirks(),
    "ids repeated": Quirks(empty_tool_id=False),
    "no ids": Quirks(tool_fragment_without_id=True),
    "no types": Quirks(tool_fragment_without_type=True),
    "no arguments": Quirks(tool_fragment_without_arguments=True),
    "arguments with the name": Quirks(arguments_with_name=True),
    "empty fragments": Quirks(empty_tool_deltas=True),
    "two calls in one chunk": Quirks(two_tool_indexes_in_one_chunk=True),
    "interleaved calls": Quirks(interleaved_tool_calls=True),
    "finish with the last arguments": Quirks(finish_with_last_arguments=True),
    "finish reason stop": Quirks(finish_stop_with_tool_calls=True),
    "empty lists everywhere": Quirks(empty_tool_calls=True),
}
CALLS = [
    ToolCall("call_a", "look", ['{"x"', ": 1, ", '"label": "', "}", '"}']),
    ToolCall("call_b", "look", ['{"x": 2}']),
    ToolCall("call_c", "none", ""),
    ToolCall("call_d", "look", '{"label": "日本 😀 \\u00e9 \u2028"}'),
]
EXPECTED = [
    ("call_a", "look", {"x": 1, "label": "}"}),
    ("call_b", "look", {"x": 2}),
    ("call_c", "none", {}),
    ("call_d", "look", {"label": "日本 😀 é \u2028"}),
]


@pytest.mark.parametrize("quirks", QUIRKS.values(), ids=QUIRKS)
@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("api", ["openai", "dashscope"])
async def test_calls_are_returned_complete(
    api: Any, quirks: Quirks, thinking: bool, make: Make, emulator: Emulator
) -> None:
    """Parallel calls, fragments that end in a brace, no arguments, any script: all arrive unchanged."""
    url = {"openai": emulator.compat_url, "dashscope": emulator.native_url}[api]
    llm = make(enable_thinking=thinking, api=api, base_url=url)
    emulator.script(*[Reply(reasoning="Hm." if thinking else "", text="So:", tool_calls=CALLS, quirks=quirks)] * 4)
    bound = llm.bind_tools([look])
    stream: Iterator[Any] = bound.stream("Hi")
    astream: AsyncIterator[Any] = bound.astream("Hi")
    answers: list[AIMessage] = [
        bound.invoke("Hi"),
        await bound.ainvoke("Hi"),
        total(stream),
        total([chunk async for chunk in astream]),
    ]
    await llm.aclose()
    for answer in answers:
        assert [(call["id"], call["name"], call["args"]) for call in answer.tool_calls] == EXPECTED
        assert not answer.invalid_tool_calls
        assert answer.content == "So:"


@pytest.mark.parametrize("call_id", ["", "call_1"], ids=["none", "same id twice"])
@pytest.mark.parametrize("quirks", [Quirks(), Quirks(empty_tool_id=False, interleaved_tool_calls=True)])
def test_calls_without_unique_ids_get_ids(call_id: str, quirks: Quirks, llm: ChatQwenVL, emulator: Emulator) -> None:
    calls = [ToolCall(call_id, "look", ['{"x": ', "1}"]), ToolCall(call_id, "look", ['{"x": ', "2}"])]
    emulator.script(Reply(tool_calls=calls, quirks=quirks))
    calls_with_ids = llm.invoke("Hi").tool_calls
    assert [call["args"] for call in calls_with_ids] == [{"x": 1}, {"x": 2}]
    assert len({call["id"] for call in calls_with_ids} - {"", None}) == 2


@pytest.mark.parametrize(
    ("arguments", "finish"),
    [
        ('{"x": 1', None),
        ('{"x": 1', "length"),
        ("", "length"),
        ("[1]", None),
        ('"null"', None),
        ("nu", None),
        ("{x: 1}", None),
        ("1}", None),
    ],
)
def test_incomplete_call_is_invalid(arguments: str, finish: str | None, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(
        Reply(tool_calls=[ToolCall("a", "look", '{"x": 1}'), ToolCall("b", "look", arguments)], finish=finish)
    )
    answer = llm.invoke("Hi")
    assert [call["id"] for call in answer.tool_calls] == ["a"]
    (invalid,) = answer.invalid_tool_calls
    assert (invalid["id"], invalid["name"], invalid["args"]) == ("b", "look", arguments)
    assert invalid["error"]


def test_tool_result_is_sent_back(llm: ChatQwenVL, emulator: Emulator, body: Any) -> None:
    emulator.script(Reply(tool_calls=[ToolCall("a", "look", '{"x": 5}')]))
    answer = llm.bind_tools([look]).invoke("Hi")
    result = look.invoke(answer.tool_calls[0])
    llm.bind_tools([look]).invoke(["Hi", answer, result])
    assert body()["messages"][-1] == {"role": "tool", "content": "thing at 5", "tool_call_id": "a"}

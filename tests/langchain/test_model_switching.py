"""Threads that several models share: fallbacks, a switch of models, tools that a model plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import LLMToolEmulator, ModelFallbackMiddleware
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.types import Command

from langchain_qwenvl import ChatQwenVL
from tests.emulator import Emulator, Reply, ToolCall
from tests.langchain.conftest import Make

Body = Callable[[], dict[str, Any]]

FOREIGN_CALL = AIMessage(
    [
        {"type": "thinking", "thinking": "Look it up.", "signature": "s"},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
        {"type": "text", "text": "I ask."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}},
    ],
    tool_calls=[{"id": "toolu_1", "name": "weather", "args": {"city": "Bern"}, "type": "tool_call"}],
    response_metadata={"model_provider": "anthropic"},
)


class FailingModel(GenericFakeChatModel):
    """A model of another provider that answers once and then fails."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def fail() -> Any:
    yield FOREIGN_CALL
    raise RuntimeError("overloaded")


@tool
def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"Sunny in {city}."


def test_fallback_middleware_continues_the_thread_of_another_provider(
    llm: ChatQwenVL, emulator: Emulator, body: Body
) -> None:
    emulator.script(Reply(text="It is sunny."))
    agent = create_agent(FailingModel(messages=fail()), [weather], middleware=[ModelFallbackMiddleware(llm)])
    state = agent.invoke({"messages": [HumanMessage("Weather in Bern?")]})
    assert state["messages"][-1].content == "It is sunny."
    assert [message["role"] for message in body()["messages"]] == ["user", "assistant", "tool"]
    assert "web_search_tool_result" in " ".join(state["messages"][-1].response_metadata["adjustments"])


@pytest.mark.parametrize("streamed", [False, True])
def test_runnable_with_fallbacks_answers_in_the_thread_of_another_provider(
    streamed: bool, llm: ChatQwenVL, emulator: Emulator
) -> None:
    emulator.script(Reply(text="It is sunny."))
    primary = FailingModel(messages=fail())
    primary.invoke("Hi")
    chain = primary.with_fallbacks([llm])
    thread = [HumanMessage("Weather?"), FOREIGN_CALL, ToolMessage("Sunny.", tool_call_id="toolu_1")]
    answer = "".join(str(c.content) for c in chain.stream(thread)) if streamed else chain.invoke(thread).content
    assert answer == "It is sunny."
    assert not emulator.refusals


async def test_qwen_falls_back_to_qwen_after_an_error(make: Make, emulator: Emulator) -> None:
    """A model that does not take the input is replaced in the same call, and errors are LangChain's kinds."""
    chain = make(model="qwen3.7-max").with_fallbacks([make()])
    answer = await chain.ainvoke([HumanMessage([{"type": "image", "url": "https://example.com/a.png"}])])
    assert answer.content
    assert [request.json["model"] for request in emulator.requests] == ["qwen3-vl-plus"]


@pytest.mark.parametrize("output_version", ["v0", "v1"])
def test_models_are_switched_in_one_thread(output_version: str, make: Make, emulator: Emulator) -> None:
    """The thread holds reasoning, calls and pictures; models without tools or images read it too."""
    emulator.script(Reply(reasoning="Hm.", text="I look.", tool_calls=[ToolCall("c1", "weather", '{"city": "Bern"}')]))
    first = make(output_version=output_version).bind_tools([weather]).invoke("Weather?")
    picture = {"type": "image", "url": "https://example.com/a.png"}
    thread: list[Any] = [HumanMessage("Weather?"), first, ToolMessage(["Sunny.", picture], tool_call_id="c1")]
    for model in ("qwen3.8-max", "qvq-max", "qwen3.7-max", "qwen-vl-ocr-latest", "qwen2.5-vl-72b-instruct"):
        for keywords in ({}, {"api": "dashscope", "base_url": emulator.native_url}):
            answer = make(model=model, output_version=output_version, **keywords).invoke(thread)
            assert answer.text
            assert not emulator.refusals
        thread += [answer, HumanMessage("And now?")]


@pytest.mark.parametrize("output_version", ["v0", "v1"])
def test_tool_that_a_model_plays_is_answered(output_version: str, make: Make, emulator: Emulator, body: Body) -> None:
    """`LLMToolEmulator` puts the content of an answer into a tool message."""
    emulator.script(
        Reply(reasoning="Hm.", tool_calls=[ToolCall("c1", "weather", '{"city": "Bern"}')]),
        Reply(reasoning="I play the tool.", text="Sunny in Bern."),
        Reply(text="It is sunny."),
    )
    llm = make(output_version=output_version)
    agent = create_agent(llm, [weather], middleware=[LLMToolEmulator(model=llm)])
    state = agent.invoke({"messages": [HumanMessage("Weather in Bern?")]})
    assert state["messages"][-1].text == "It is sunny."
    assert body()["messages"][-1] == {"role": "tool", "content": "Sunny in Bern.", "tool_call_id": "c1"}


@tool
def screenshot(tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Take a screenshot, which the user shows."""
    picture = HumanMessage([{"type": "image", "url": f"https://example.com/{tool_call_id}.png"}])
    return Command(update={"messages": [ToolMessage("Taken.", tool_call_id=tool_call_id), picture]})


def test_pictures_between_parallel_results_do_not_break_the_thread(
    llm: ChatQwenVL, emulator: Emulator, body: Body
) -> None:
    emulator.script(
        Reply(tool_calls=[ToolCall("c1", "screenshot"), ToolCall("c2", "screenshot")]), Reply(text="A cat and a dog.")
    )
    state = create_agent(llm, [screenshot]).invoke({"messages": [HumanMessage("Look!")]})
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "human", "tool", "human", "ai"]
    assert [message["role"] for message in body()["messages"]] == ["user", "assistant", "tool", "tool", "user", "user"]
    assert "not executed" not in str(body())
    assert any("moved" in note and "c2" in note for note in state["messages"][-1].response_metadata["adjustments"])


@pytest.mark.parametrize("role", [HumanMessage, SystemMessage])
def test_content_of_a_v3_stream_is_accepted_as_input(role: Any, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(Reply(reasoning="Hm.", text="I look.", tool_calls=[ToolCall("c1", "weather", '{"city": "Bern"}')]))
    stream: Any = llm.bind_tools([weather]).stream_events("Weather?", version="v3")
    answer = stream.output
    assert isinstance(answer.content, list)
    reply = llm.invoke([HumanMessage("Hi"), role(answer.content)])
    assert "I look." in str(emulator.requests[-1].json["messages"][1]["content"])
    adjustments = " ".join(reply.response_metadata["adjustments"])
    assert "reasoning outside assistant messages left out: messages[1].content[0] (reasoning)" in adjustments
    assert "tool calls outside assistant messages left out: messages[1].content[2] (tool_call)" in adjustments
    assert not emulator.refusals

"""Forced tools and JSON at llama.cpp's own HTTP server, which forces both by grammar while the model thinks."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.messages import HumanMessage
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from tests.servers.conftest import HYBRID, chat, llm
from tests.support import llama_server
from tests.support.llama_server import LlamaServer

pytestmark = [
    pytest.mark.llama_cpp,
    pytest.mark.skipif(not llama_server.is_available(), reason=llama_server.REASON),
]
THINKING = "Qwen/Qwen3-VL-8B-Thinking"


class Total(BaseModel):
    """A total."""

    paid: bool


def weather(city: str, days: int) -> str:
    """Get the weather."""
    return f"Rain in {city} for {days} days."


def get_time() -> str:
    """Get the time."""
    return "Noon."


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}
TIME = {"type": "function", "function": {"name": "get_time", "description": "Get the time.", "parameters": {}}}


@pytest.mark.parametrize("model", [HYBRID, THINKING])
@pytest.mark.parametrize("choice", ["get_weather", "required", "any"])
def test_tool_is_forced_in_one_request_that_thinks(caller: LlamaServer, model: str, choice: str) -> None:
    bound = chat(caller, model=model).bind_tools([WEATHER, TIME], tool_choice=choice)
    reply = bound.invoke("Weather?")
    assert [call["name"] for call in reply.tool_calls] == ["get_weather"]
    assert reply.tool_calls[0]["args"] == {"city": "Paris", "days": 2}
    assert reply.additional_kwargs["reasoning_content"].strip() == "I need the weather tool."
    assert "adjustments" not in reply.response_metadata


def test_other_named_tool_is_called_although_the_model_would_not(caller: LlamaServer) -> None:
    reply = chat(caller).bind_tools([WEATHER, TIME], tool_choice="get_time").invoke("Weather?")
    assert {call["name"] for call in reply.tool_calls} == {"get_time"}


def test_llama_index_forces_a_tool(caller: LlamaServer) -> None:
    tools = [FunctionTool.from_defaults(weather, name="get_weather"), FunctionTool.from_defaults(get_time)]
    model = llm(caller)
    response = model.chat_with_tools(tools, user_msg="Weather?", tool_required=True)
    assert [call.tool_name for call in model.get_tool_calls_from_response(response)] == ["get_weather"]

    async def call() -> Any:
        return await model.achat_with_tools(tools, user_msg="Weather?", tool_choice="get_time")

    response = asyncio.run(call())
    assert [call.tool_name for call in model.get_tool_calls_from_response(response)] == ["get_time"]


@pytest.mark.parametrize("model", [HYBRID, THINKING])
def test_json_is_forced_while_the_model_thinks(hello: LlamaServer, model: str) -> None:
    reply = chat(hello, model=model).bind(response_format=Total).invoke("Was it paid?")
    assert isinstance(json.loads(reply.text)["paid"], bool)
    assert "A greeting." in reply.additional_kwargs["reasoning_content"]
    assert "adjustments" not in reply.response_metadata


def test_structured_output_of_langchain_is_an_object(hello: LlamaServer) -> None:
    result = chat(hello).with_structured_output(Total, method="json_schema").invoke("Was it paid?")
    assert isinstance(result, Total)


def test_structured_output_of_llama_index_is_an_object(hello: LlamaServer) -> None:
    result = llm(hello).structured_predict(Total, PromptTemplate("Was it paid?"))
    assert isinstance(result, Total)


def test_agent_with_a_response_format_thinks(hello: LlamaServer) -> None:
    agent = create_agent(chat(hello), [], response_format=ProviderStrategy(Total))
    state = agent.invoke({"messages": [HumanMessage("Was it paid?")]})
    assert isinstance(state["structured_response"], Total)
    assert "A greeting." in state["messages"][-1].additional_kwargs["reasoning_content"]


def test_stream_of_a_forced_call_equals_the_whole_reply(caller: LlamaServer) -> None:
    bound = chat(caller).bind_tools([WEATHER, TIME], tool_choice="get_weather")
    total, *others = bound.stream("Weather?")
    for chunk in others:
        total = cast("Any", total) + chunk
    assert [call["name"] for call in total.tool_calls] == ["get_weather"]
    assert total.tool_calls[0]["args"] == {"city": "Paris", "days": 2}
    messages = [ChatMessage("Weather?")]
    *_, last = llm(caller).stream_chat(messages, tools=[WEATHER, TIME], tool_choice="get_weather")
    assert last.message.additional_kwargs["tool_calls"][0]["function"]["name"] == "get_weather"

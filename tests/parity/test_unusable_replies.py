"""Run agents of both frameworks on replies that hold nothing usable: no run ends silently, none loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pydantic
import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from llama_index.core.agent import AgentWorkflow, FunctionAgent
from llama_index.core.tools import FunctionTool

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLContentFilterError, QwenVLError, QwenVLOutputError
from tests.emulator import Emulator, Reply, ToolCall
from tests.support.pipeline import KEY

STATE: Any = {"messages": [("user", "How wide is it?")]}
BROKEN = ToolCall("c1", "measure", '{"side": ')


def measure(side: str = "left") -> str:
    """Measure a side."""
    return "5"


class Width(pydantic.BaseModel):
    """A width."""

    width: int


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def langchain_agent(server: Emulator, **options: Any) -> Any:
    return create_agent(ChatQwenVL(api_key=KEY, base_url=server.compat_url, max_retries=0), **options)


def invoke(server: Emulator) -> str:
    return str(langchain_agent(server, tools=[measure]).invoke(STATE)["messages"][-1].text)


def stream(server: Emulator) -> str:
    chunks = langchain_agent(server, tools=[measure]).stream(STATE, stream_mode="messages")
    return "".join(chunk.text for chunk, _ in chunks if chunk.type == "AIMessageChunk")


def astream_events(server: Emulator) -> str:
    async def collect() -> str:
        events = langchain_agent(server, tools=[measure]).astream_events(STATE, version="v2")
        names = [event async for event in events if event["event"] == "on_chat_model_stream"]
        return "".join(event["data"]["chunk"].text for event in names)

    return asyncio.run(collect())


def graph(server: Emulator) -> str:
    llm = ChatQwenVL(api_key=KEY, base_url=server.compat_url, max_retries=0).bind_tools([measure])
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": [llm.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode([tool(measure)]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, {"tools": "tools", END: END})
    builder.add_edge("tools", "model")
    return str(builder.compile().invoke(STATE)["messages"][-1].text)


def function_agent(server: Emulator, *, streaming: bool = True) -> str:
    async def run() -> str:
        llm = QwenVL(api_key=KEY, base_url=server.compat_url, max_retries=0)
        agent = FunctionAgent(llm=llm, tools=[FunctionTool.from_defaults(measure)], streaming=streaming)
        return str(await agent.run(user_msg="How wide is it?"))

    return asyncio.run(run())


def function_agent_without_stream(server: Emulator) -> str:
    return function_agent(server, streaming=False)


def agent_workflow(server: Emulator) -> str:
    async def run() -> str:
        llm = QwenVL(api_key=KEY, base_url=server.compat_url, max_retries=0)
        workflow = AgentWorkflow.from_tools_or_functions([FunctionTool.from_defaults(measure)], llm=llm)
        return str(await workflow.run(user_msg="How wide is it?"))

    return asyncio.run(run())


AGENTS = (invoke, stream, astream_events, graph, function_agent, function_agent_without_stream, agent_workflow)
every_agent = pytest.mark.parametrize("run", AGENTS)

SCRIPTS: dict[str, tuple[Reply, int, type[QwenVLError]]] = {
    # the reply to each request, number of requests, the error
    "nothing after the thinking": (Reply(reasoning="Hm."), 2, QwenVLOutputError),
    "nothing at all": (Reply(), 2, QwenVLOutputError),
    "white space": (Reply(reasoning="Hm.", text=" \n"), 2, QwenVLOutputError),
    "a malformed call": (Reply(reasoning="Hm.", tool_calls=[BROKEN]), 2, QwenVLOutputError),
    "a call of another type": (Reply(tool_calls=[ToolCall("c1", "measure", "[1]")]), 2, QwenVLOutputError),
    "a call that is cut off": (Reply(tool_calls=[BROKEN], finish="length"), 1, QwenVLOutputError),
    "a call cut off before its arguments": (
        Reply(tool_calls=[ToolCall("c1", "measure", "")], finish="length"), 1, QwenVLOutputError),
    "thinking that is cut off": (Reply(reasoning="Hm", finish="length"), 1, QwenVLOutputError),
    "a blocked answer": (Reply(reasoning="Hm.", text="Half", finish="content_filter"), 1, QwenVLContentFilterError),
}  # fmt: skip


@every_agent
@pytest.mark.parametrize(("reply", "count", "error"), SCRIPTS.values(), ids=SCRIPTS)
def test_agent_with_unusable_replies_raises(
    server: Emulator, run: Callable[[Emulator], str], reply: Reply, count: int, error: type[QwenVLError]
) -> None:
    server.reset()
    server.script(*[reply] * 9)
    with pytest.raises(error):
        run(server)
    assert len(server.requests) == count
    assert server.refusals == []


@every_agent
@pytest.mark.parametrize("first", [SCRIPTS["nothing after the thinking"][0], SCRIPTS["a malformed call"][0]])
def test_agent_goes_on_after_one_unusable_reply(server: Emulator, run: Callable[[Emulator], str], first: Reply) -> None:
    server.reset()
    server.script(first, Reply(tool_calls=[ToolCall("c2", "measure", "{}")]), first, Reply(text="It is 5."))
    assert run(server).strip() == "It is 5."
    assert server.unused_replies == 0
    assert server.refusals == []


@every_agent
def test_agent_executes_a_call_written_as_text(server: Emulator, run: Callable[[Emulator], str]) -> None:
    server.reset()
    text = '<tool_call>\n{"name": "measure", "arguments": {"side": "top"}}\n</tool_call>'
    server.script(Reply(reasoning="Hm.", text=text), Reply(text="It is 5."))
    assert run(server) == "It is 5."
    assert [message["role"] for message in server.requests[-1].json["messages"]][-1] == "tool"


@pytest.mark.parametrize("tools", [[], [measure]])
@pytest.mark.parametrize("reply", [Reply(reasoning="Hm.", text="It is 5."), *[row[0] for row in SCRIPTS.values()]])
def test_structured_agent_that_never_gets_its_call_raises(server: Emulator, tools: list[Any], reply: Reply) -> None:
    server.reset()
    server.script(*[reply] * 20)
    with pytest.raises(QwenVLError):
        langchain_agent(server, tools=tools, response_format=Width).invoke(STATE)
    assert len(server.requests) <= 2

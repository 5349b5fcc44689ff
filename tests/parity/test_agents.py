"""Test one conversation with two tools in every kind of agent, over both APIs."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk
from llama_index.core.agent.workflow import AgentStream, AgentWorkflow, FunctionAgent, ReActAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import BaseTool, FunctionTool
from pydantic import SecretStr

from examples import langchain_agent, llama_index_agent
from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator, Reply, ToolCall
from tests.emulator.chat_request import ChatRequest
from tests.langchain import test_agents as langchain_agents
from tests.langchain.test_agents import QUESTION, TWO_TOOLS
from tests.parity.call_modes import APIS, Api
from tests.support.media_files import grey_png

PNG = grey_png()
URL = "https://example.com/bill.png"
QUESTION_MESSAGE = ChatMessage(role="user", blocks=[ImageBlock(url=URL), TextBlock(text="Paid?")])
REACT = [
    Reply(reasoning="I must look.", text='Thought: I look.\nAction: crop\nAction Input: {"left": 1, "top": 2}'),
    Reply(reasoning="Now convert.", text='Thought: So.\nAction: convert\nAction Input: {"amount": 9.5}'),
    Reply(reasoning="Done.", text="Thought: I can answer.\nAnswer: 19.0 EUR."),
]


def crop(left: int, top: int) -> list[TextBlock | ImageBlock]:
    """Cut out a part of the picture."""
    return [TextBlock(text=f"At {left}, {top}:"), ImageBlock(image=PNG)]


def convert(amount: float, currency: str = "EUR") -> str:
    """Convert an amount."""
    return f"{amount * 2} {currency}"


TOOLS: list[BaseTool | Callable[..., Any]] = [FunctionTool.from_defaults(crop), FunctionTool.from_defaults(convert)]


@dataclass
class AgentRun:
    """Outcome of an agent's conversation."""

    answer: str = ""
    reasoning: str = ""
    """Streamed reasoning of all messages."""
    text: str = ""
    """Streamed text of all messages."""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def record_update(run: AgentRun, mode: str, update: Any) -> None:
    """Add one streamed update of LangGraph to the outcome."""
    if mode == "messages" and isinstance(update[0], AIMessageChunk):
        run.reasoning += update[0].additional_kwargs.get("reasoning_content", "")
        run.text += update[0].text
    elif mode == "values":
        messages = update["messages"]
        calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
        run.calls = [(call["name"], call["args"]) for call in calls]
        run.answer = messages[-1].text


async def run_graph(agent: Any) -> AgentRun:
    run = AgentRun()
    async for mode, update in agent.astream({"messages": [QUESTION]}, stream_mode=["messages", "values"]):
        record_update(run, mode, update)
    return run


async def run_graph_in_sync(agent: Any) -> AgentRun:
    run = AgentRun()
    for mode, update in agent.stream({"messages": [QUESTION]}, stream_mode=["messages", "values"]):
        record_update(run, mode, update)
    return run


async def run_workflow(agent: Any) -> AgentRun:
    run = AgentRun()
    handler = agent.run(user_msg=QUESTION_MESSAGE)
    async for event in handler.stream_events():
        if isinstance(event, AgentStream):
            run.reasoning += event.thinking_delta or ""
            run.text += event.delta
        elif isinstance(event, ToolCallResult):
            run.calls.append((event.tool_name, event.tool_kwargs))
    run.answer = str(await handler)
    return run


Build = Callable[[Any], Any]
Run = Callable[[Any], Awaitable[AgentRun]]
AGENTS: dict[str, tuple[type[ChatQwenVL | QwenVL], Build, Run, list[Reply]]] = {
    "create_agent": (
        ChatQwenVL,
        lambda llm: create_agent(llm, [langchain_agents.crop, langchain_agents.convert], system_prompt="Be exact."),
        run_graph,
        TWO_TOOLS,
    ),
    "create_agent in sync": (
        ChatQwenVL,
        lambda llm: create_agent(llm, [langchain_agents.crop, langchain_agents.convert]),
        run_graph_in_sync,
        TWO_TOOLS,
    ),
    "LangGraph by hand": (ChatQwenVL, langchain_agents.build_loop, run_graph, TWO_TOOLS),
    "LangGraph by hand in sync": (ChatQwenVL, langchain_agents.build_loop, run_graph_in_sync, TWO_TOOLS),
    "FunctionAgent": (
        QwenVL,
        lambda llm: FunctionAgent(llm=llm, tools=TOOLS, system_prompt="Be exact."),
        run_workflow,
        TWO_TOOLS,
    ),
    "AgentWorkflow": (
        QwenVL,
        lambda llm: AgentWorkflow.from_tools_or_functions(TOOLS, llm=llm),
        run_workflow,
        TWO_TOOLS,
    ),
    "ReActAgent": (QwenVL, lambda llm: ReActAgent(llm=llm, tools=TOOLS), run_workflow, REACT),
}
every_agent = pytest.mark.parametrize("name", AGENTS)
every_api = pytest.mark.parametrize("api", APIS)


@pytest.fixture
async def llm(name: str, api: Api, emulator: Emulator) -> AsyncIterator[Any]:
    url = {"openai": emulator.compat_url, "dashscope": emulator.native_url}[api]
    model = AGENTS[name][0](api=api, base_url=url, api_key=SecretStr("sk-test"))
    yield model
    model.close()
    await model.aclose()


@every_api
@every_agent
async def test_agent_with_two_tools_streams_reasoning_text_and_calls(
    name: str, api: str, llm: Any, emulator: Emulator
) -> None:
    _, build, run_agent, replies = AGENTS[name]
    emulator.script(*replies)
    run = await run_agent(build(llm))
    assert run.answer == "19.0 EUR."
    assert run.reasoning == "I must look.Now convert.Done."
    assert run.text == "".join("".join(reply.text) for reply in replies)
    assert run.calls == [("crop", {"left": 1, "top": 2}), ("convert", {"amount": 9.5})]
    assert not emulator.refusals
    assert not emulator.unused_replies
    requests = [ChatRequest("native" if api == "dashscope" else "compat", request) for request in emulator.requests]
    assert [request.thinking for request in requests] == [True] * 3
    # The image of the user and the image of a tool; a ReAct agent gets only the text of tool results.
    tool_image = "data:image/png;base64," + base64.b64encode(PNG).decode()
    urls = [url for media in requests[-1].media() for url in media.urls]
    assert urls == ([URL] if replies is REACT else [URL, tool_image])


@every_api
@pytest.mark.parametrize("name", ["FunctionAgent", "ReActAgent"])
async def test_agent_without_streaming_calls_both_tools(name: str, api: str, llm: Any, emulator: Emulator) -> None:
    _, build, run_agent, replies = AGENTS[name]
    emulator.script(*replies)
    agent = build(llm)
    agent.streaming = False
    run = await run_agent(agent)
    assert run.answer == "19.0 EUR."
    assert [call_name for call_name, _ in run.calls] == ["crop", "convert"]
    assert not emulator.refusals


@every_api
@pytest.mark.parametrize("name", ["create_agent", "LangGraph by hand"])
@pytest.mark.parametrize("keywords", [{}, {"streaming": True}, {"disable_streaming": True}], ids=str)
async def test_graph_ainvoke_calls_both_tools(name: str, api: str, keywords: Any, llm: Any, emulator: Emulator) -> None:
    build = AGENTS[name][1]
    llm = llm.model_copy(update=keywords)
    emulator.script(*TWO_TOOLS)
    state = await build(llm).ainvoke({"messages": [QUESTION]})
    assert state["messages"][-1].content == "19.0 EUR."
    assert not emulator.refusals
    assert not emulator.unused_replies


# The example leaves the connections of its model open until the process ends.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("example", [langchain_agent, llama_index_agent])
@pytest.mark.parametrize(
    "box", ["[900, 950, 100, 1200]", "[500, 500, 500, 500]", "[1, 1, 2, 2]", "[0, 500, 1000, 501]", "[1, 2, 3]"]
)
def test_agent_example_with_invalid_box_continues(
    example: Any, box: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)
    call = ToolCall("call_1", "crop", f'{{"bbox_2d": {box}}}')
    emulator.script(Reply(reasoning="Hm.", tool_calls=[call]), Reply(text="By card."))
    assert example.main() == "By card."
    assert not emulator.refusals

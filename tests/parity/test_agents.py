"""One conversation with two tools through every kind of agent, over both APIs: the same answer, and no refusal."""

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
from llama_index.core.tools import FunctionTool

from examples import langchain_agent, llama_index_agent
from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator, Reply, ToolCall
from tests.emulator.chat_request import ChatRequest
from tests.langchain import test_agents as langchain_agents
from tests.langchain.conftest import PNG
from tests.langchain.test_agents import QUESTION, TWO_TOOLS

URL = "https://example.com/bill.png"
ASK = ChatMessage(role="user", blocks=[ImageBlock(url=URL), TextBlock(text="Paid?")])
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


TOOLS = [FunctionTool.from_defaults(crop), FunctionTool.from_defaults(convert)]


@dataclass
class Ran:
    """What came of a conversation, and what was streamed on the way."""

    answer: str = ""
    thoughts: str = ""
    words: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def read(ran: Ran, mode: str, piece: Any) -> None:
    """Take one piece of what LangGraph streams."""
    if mode == "messages" and isinstance(piece[0], AIMessageChunk):
        ran.thoughts += piece[0].additional_kwargs.get("reasoning_content", "")
        ran.words += piece[0].text
    elif mode == "values":
        messages = piece["messages"]
        made = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
        ran.calls = [(call["name"], call["args"]) for call in made]
        ran.answer = messages[-1].text


async def graph(agent: Any) -> Ran:
    ran = Ran()
    async for mode, piece in agent.astream({"messages": [QUESTION]}, stream_mode=["messages", "values"]):
        read(ran, mode, piece)
    return ran


async def graph_in_sync(agent: Any) -> Ran:
    ran = Ran()
    for mode, piece in agent.stream({"messages": [QUESTION]}, stream_mode=["messages", "values"]):
        read(ran, mode, piece)
    return ran


async def workflow(agent: Any) -> Ran:
    ran = Ran()
    run = agent.run(user_msg=ASK)
    async for event in run.stream_events():
        if isinstance(event, AgentStream):
            ran.thoughts += event.thinking_delta or ""
            ran.words += event.delta
        elif isinstance(event, ToolCallResult):
            ran.calls.append((event.tool_name, event.tool_kwargs))
    ran.answer = str(await run)
    return ran


Build = Callable[[Any], Any]
Run = Callable[[Any], Awaitable[Ran]]
AGENTS: dict[str, tuple[type[ChatQwenVL | QwenVL], Build, Run, list[Reply]]] = {
    "create_agent": (
        ChatQwenVL,
        lambda llm: create_agent(llm, [langchain_agents.crop, langchain_agents.convert], system_prompt="Be exact."),
        graph,
        TWO_TOOLS,
    ),
    "create_agent in sync": (
        ChatQwenVL,
        lambda llm: create_agent(llm, [langchain_agents.crop, langchain_agents.convert]),
        graph_in_sync,
        TWO_TOOLS,
    ),
    "LangGraph by hand": (ChatQwenVL, langchain_agents.by_hand, graph, TWO_TOOLS),
    "LangGraph by hand in sync": (ChatQwenVL, langchain_agents.by_hand, graph_in_sync, TWO_TOOLS),
    "FunctionAgent": (
        QwenVL,
        lambda llm: FunctionAgent(llm=llm, tools=TOOLS, system_prompt="Be exact."),
        workflow,
        TWO_TOOLS,
    ),
    "AgentWorkflow": (QwenVL, lambda llm: AgentWorkflow.from_tools_or_functions(TOOLS, llm=llm), workflow, TWO_TOOLS),
    "ReActAgent": (QwenVL, lambda llm: ReActAgent(llm=llm, tools=TOOLS), workflow, REACT),
}
every_agent = pytest.mark.parametrize("name", AGENTS)
every_api = pytest.mark.parametrize("api", ["openai", "dashscope"])


@pytest.fixture
async def llm(name: str, api: str, emulator: Emulator) -> AsyncIterator[Any]:
    url = {"openai": emulator.compat_url, "dashscope": emulator.native_url}[api]
    model = AGENTS[name][0](api=api, base_url=url, api_key="sk-test")
    yield model
    model.close()
    await model.aclose()


@every_api
@every_agent
async def test_two_tools(name: str, api: str, llm: Any, emulator: Emulator) -> None:
    _, build, run, turns = AGENTS[name]
    emulator.script(*turns)
    ran = await run(build(llm))
    assert ran.answer == "19.0 EUR."
    assert ran.thoughts == "I must look.Now convert.Done."
    assert ran.words == "".join("".join(turn.text) for turn in turns)
    assert ran.calls == [("crop", {"left": 1, "top": 2}), ("convert", {"amount": 9.5})]
    assert not emulator.refusals
    assert not emulator.unused_replies
    asked = [ChatRequest("native" if api == "dashscope" else "compat", request) for request in emulator.requests]
    assert [ask.thinking for ask in asked] == [True] * 3
    # The picture that the user gave, and the one that a tool returned; a ReAct agent's tools tell it words alone.
    returned = "data:image/png;base64," + base64.b64encode(PNG).decode()
    seen = [url for media in asked[-1].media() for url in media.urls]
    assert seen == ([URL] if turns is REACT else [URL, returned])


@every_api
@pytest.mark.parametrize("name", ["FunctionAgent", "ReActAgent"])
async def test_two_tools_without_a_stream(name: str, api: str, llm: Any, emulator: Emulator) -> None:
    _, build, run, turns = AGENTS[name]
    emulator.script(*turns)
    agent = build(llm)
    agent.streaming = False
    ran = await run(agent)
    assert ran.answer == "19.0 EUR."
    assert [call for call, _ in ran.calls] == ["crop", "convert"]
    assert not emulator.refusals


@every_api
@pytest.mark.parametrize("name", ["create_agent", "LangGraph by hand"])
@pytest.mark.parametrize("keywords", [{}, {"streaming": True}, {"disable_streaming": True}], ids=str)
async def test_two_tools_in_one_go(name: str, api: str, keywords: Any, llm: Any, emulator: Emulator) -> None:
    build = AGENTS[name][1]
    llm = llm.model_copy(update=keywords)
    emulator.script(*TWO_TOOLS)
    state = await build(llm).ainvoke({"messages": [QUESTION]})
    assert state["messages"][-1].content == "19.0 EUR."
    assert not emulator.refusals
    assert not emulator.unused_replies


# Nobody closes the connections of the model in the example: the process ends then.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("example", [langchain_agent, llama_index_agent])
@pytest.mark.parametrize(
    "box", ["[900, 950, 100, 1200]", "[500, 500, 500, 500]", "[1, 1, 2, 2]", "[0, 500, 1000, 501]", "[1, 2, 3]"]
)
def test_the_examples_go_on_whatever_box_the_model_writes(
    example: Any, box: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)
    call = ToolCall("call_1", "crop", f'{{"bbox_2d": {box}}}')
    emulator.script(Reply(reasoning="Hm.", tool_calls=[call]), Reply(text="By card."))
    assert example.main() == "By card."
    assert not emulator.refusals

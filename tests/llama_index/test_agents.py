"""Run LlamaIndex's agents end to end: streamed thinking, text and tool calls, and images that tools return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.agent.workflow import (
    AgentStream,
    AgentWorkflow,
    CodeActAgent,
    FunctionAgent,
    ReActAgent,
    ToolCallResult,
)
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import BaseTool, FunctionTool
from pydantic import BaseModel

from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator, Quirks, Reply, ToolCall
from tests.support.media_files import data_uri, solid_image

pytestmark = [
    # Workflows read every attribute of an agent, including those that pydantic has deprecated.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    # LlamaIndex's ReAct agent calls a deprecated method of its workflow.
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]

CROPPED = solid_image("blue")
QUESTION = ChatMessage(
    role="user", blocks=[ImageBlock(image=solid_image()), TextBlock(text="What color is the corner?")]
)


def crop(x: int, y: int) -> ImageBlock:
    """Crop the image."""
    return ImageBlock(image=CROPPED)


def name_of(color: str) -> str:
    """Return the proper name of a color."""
    return f"{color} as the sky"


TOOLS: list[BaseTool | Callable[..., Any]] = [FunctionTool.from_defaults(crop), FunctionTool.from_defaults(name_of)]

# Crop the corner, get the name of its color, and answer.
TURNS = (
    Reply(reasoning="I look closer.", tool_calls=[ToolCall("call_1", "crop", ['{"x": 1,', ' "y": 2}'])]),
    Reply(reasoning="It is blue.", text="One moment.", tool_calls=[ToolCall("call_2", "name_of", '{"color": "blue"}')]),
    Reply(reasoning="Now I know.", text="It is blue as the sky."),
)
REACT_TURNS = (
    Reply(reasoning="I look closer.", text='Thought: I look.\nAction: crop\nAction Input: {"x": 1, "y": 2}'),
    Reply(reasoning="It is blue.", text='Thought: Blue.\nAction: name_of\nAction Input: {"color": "blue"}'),
    Reply(reasoning="Now I know.", text="Thought: I can answer.\nAnswer: It is blue as the sky."),
)

Agents = Callable[[QwenVL], Any]
AGENTS: dict[str, tuple[Agents, tuple[Reply, ...]]] = {
    "FunctionAgent": (lambda llm: FunctionAgent(llm=llm, tools=TOOLS, system_prompt="Look closely."), TURNS),
    "AgentWorkflow": (
        lambda llm: AgentWorkflow.from_tools_or_functions(TOOLS, llm=llm, system_prompt="Look closely."),
        TURNS,
    ),
    "ReActAgent": (lambda llm: ReActAgent(llm=llm, tools=TOOLS, system_prompt="Look closely."), REACT_TURNS),
}


@pytest.mark.parametrize(("agent", "turns"), AGENTS.values(), ids=AGENTS)
async def test_agent_with_two_tools_streams_thinking_text_and_results(
    emulator: Emulator, llm: QwenVL, agent: Agents, turns: tuple[Reply, ...]
) -> None:
    emulator.script(*turns)
    run = agent(llm).run(user_msg=QUESTION)
    events = [event async for event in run.stream_events()]
    assert str(await run) == "It is blue as the sky."
    streamed = [event for event in events if isinstance(event, AgentStream)]
    assert "".join(event.thinking_delta or "" for event in streamed) == "I look closer.It is blue.Now I know."
    assert "".join(event.delta for event in streamed) == "".join(str(turn.text) for turn in turns)
    results = [event for event in events if isinstance(event, ToolCallResult)]
    assert [(event.tool_name, event.tool_kwargs) for event in results] == [
        ("crop", {"x": 1, "y": 2}),
        ("name_of", {"color": "blue"}),
    ]
    assert emulator.refusals == []
    assert emulator.unused_replies == 0
    assert all(request.json["enable_thinking"] for request in emulator.requests)
    messages = emulator.requests[0].json["messages"]
    assert (messages[0]["role"], messages[1]["content"][0]["type"]) == ("system", "image_url")


async def test_agent_image_from_tool_is_sent_to_model(emulator: Emulator, llm: QwenVL) -> None:
    emulator.script(*TURNS)
    await FunctionAgent(llm=llm, tools=TOOLS).run(user_msg=QUESTION)
    messages = emulator.requests[1].json["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "user"]
    assert messages[2]["tool_call_id"] == "call_1"
    assert messages[3]["content"] == [{"type": "image_url", "image_url": {"url": data_uri(CROPPED)}}]


@pytest.mark.parametrize("streaming", [True, False])
async def test_agent_parallel_calls_send_both_results(emulator: Emulator, llm: QwenVL, streaming: bool) -> None:
    calls = [ToolCall("call_1", "crop", '{"x": 1, "y": 2}'), ToolCall("call_2", "name_of", '{"color": "blue"}')]
    emulator.script(Reply(reasoning="Both.", tool_calls=calls), Reply(text="Blue."))
    agent = FunctionAgent(llm=llm, tools=TOOLS, streaming=streaming)
    assert str(await agent.run(user_msg=QUESTION)) == "Blue."
    first, second = (request.json for request in emulator.requests)
    assert first["parallel_tool_calls"] is True
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool", "tool", "user"]


async def test_agent_forced_first_call_thinks_in_every_turn(emulator: Emulator, llm: QwenVL) -> None:
    emulator.script(TURNS[0], Reply(reasoning="Now I know.", text="Blue."))
    await FunctionAgent(llm=llm, tools=TOOLS, initial_tool_choice="crop").run(user_msg=QUESTION)
    first, second = (request.json for request in emulator.requests)
    assert first["tool_choice"] == "auto"
    assert [tool["function"]["name"] for tool in first["tools"]] == ["crop"]
    assert (first["enable_thinking"], second["enable_thinking"]) == (True, True)
    assert "tool_choice" not in second


@pytest.mark.parametrize("arguments", ["", "null", '{"x": '])
async def test_agent_invalid_arguments_do_not_raise(emulator: Emulator, llm: QwenVL, arguments: str) -> None:
    def now() -> str:
        """Return the time."""
        return "noon"

    call = ToolCall("call_1", "now", arguments)
    emulator.script(
        Reply(text="Let me see.", tool_calls=[call], quirks=Quirks(arguments_with_name=True)), Reply(text="Noon.")
    )
    answer = str(await FunctionAgent(llm=llm, tools=[FunctionTool.from_defaults(now)]).run(user_msg="When is it?"))
    assert answer == ("Let me see." if arguments.startswith("{") else "Noon.")


@pytest.mark.parametrize(
    "call", [ToolCall("", "name_of", '{"color": "blue"}'), ToolCall("call_1", "", "{}"), ToolCall("call_1", "zoom")]
)
async def test_agent_malformed_call_is_reported_to_model(emulator: Emulator, llm: QwenVL, call: ToolCall) -> None:
    """The call has no id or no name, or names an unknown tool; the agent sends the error to the model."""
    emulator.script(Reply(tool_calls=[call]), Reply(text="Blue."))
    assert str(await FunctionAgent(llm=llm, tools=TOOLS).run(user_msg="Name it.")) == "Blue."
    assert emulator.refusals == []


async def test_agent_workflow_hands_over_to_second_agent(emulator: Emulator, llm: QwenVL) -> None:
    handoff = ToolCall("call_1", "handoff", '{"to_agent": "namer", "reason": "It names."}')
    emulator.script(Reply(reasoning="Not mine.", tool_calls=[handoff]), *TURNS[1:])
    looker = FunctionAgent(name="looker", description="Looks.", llm=llm, system_prompt="You look.", tools=TOOLS[:1])
    namer = FunctionAgent(name="namer", description="Names.", llm=llm, system_prompt="You name.", tools=TOOLS[1:])
    workflow = AgentWorkflow([looker, namer], root_agent="looker")
    assert str(await workflow.run(user_msg=QUESTION)) == "It is blue as the sky."
    assert emulator.refusals == []
    assert [request.json["messages"][0]["content"] for request in emulator.requests] == [
        "You look.", "You name.", "You name.",
    ]  # fmt: skip


async def test_code_act_agent_runs_code_and_answers(emulator: Emulator, llm: QwenVL) -> None:
    emulator.script(
        Reply(reasoning="I count.", text="<execute>print(6 * 7)</execute>"), Reply(reasoning="So.", text="It is 42.")
    )
    run = CodeActAgent(llm=llm, tools=TOOLS, code_execute_fn=lambda code: "42").run(user_msg="How many?")
    thoughts = [event.thinking_delta async for event in run.stream_events() if isinstance(event, AgentStream)]
    assert "".join(thought or "" for thought in thoughts) == "I count.So."
    assert str(await run) == "It is 42."


async def test_agent_with_output_class_returns_object(emulator: Emulator, llm: QwenVL) -> None:
    class Color(BaseModel):
        """A color."""

        name: str

    emulator.script(*TURNS, Reply(text='{"name": "blue"}'))
    answer: Any = await FunctionAgent(llm=llm, tools=TOOLS, output_cls=Color).run(user_msg=QUESTION)
    assert answer.get_pydantic_model(Color) == Color(name="blue")
    assert [request.json["enable_thinking"] for request in emulator.requests] == [True, True, True, True]
    assert emulator.refusals == []


async def test_agent_direct_tool_answer_leaves_valid_history(emulator: Emulator, llm: QwenVL) -> None:
    agent = FunctionAgent(llm=llm, tools=[FunctionTool.from_defaults(name_of, return_direct=True)])
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    emulator.script(Reply(tool_calls=[ToolCall("call_1", "name_of", '{"color": "blue"}')]), Reply(text="Yes."))
    assert str(await agent.run(user_msg="Name it.", memory=memory)) == "blue as the sky"
    assert str(await agent.run(user_msg="Sure?", memory=memory)) == "Yes."
    assert emulator.refusals == []


async def test_agent_memory_survives_json_round_trip(emulator: Emulator, llm: QwenVL) -> None:
    """The memory holds thinking, tool calls and images."""
    agent = FunctionAgent(llm=llm, tools=TOOLS)
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    emulator.script(*TURNS, Reply(text="Still blue."))
    await agent.run(user_msg=QUESTION, memory=memory)
    stored = [message.model_dump_json() for message in memory.get_all()]
    restored = ChatMemoryBuffer.from_defaults([ChatMessage.model_validate_json(text) for text in stored], llm=llm)
    assert str(await agent.run(user_msg="And now?", memory=restored)) == "Still blue."
    assert emulator.refusals == []
    messages = emulator.requests[-1].json["messages"]
    assert [message["role"] for message in messages] == [
        "user", "assistant", "tool", "user", "assistant", "tool", "assistant", "user",
    ]  # fmt: skip
    assert messages[3]["content"] == [{"type": "image_url", "image_url": {"url": data_uri(CROPPED)}}]


def test_agent_memory_token_limit_follows_context_window(make: Callable[..., QwenVL]) -> None:
    assert ChatMemoryBuffer.from_defaults(llm=make()).token_limit == 262_144 * 3 // 4


@pytest.mark.parametrize("streaming", [True, False])
async def test_agent_tells_model_about_broken_parallel_call(emulator: Emulator, llm: QwenVL, streaming: bool) -> None:
    """The broken call stays in the history, with a result that says that it was not executed."""

    def now() -> str:
        """Return the time."""
        return "noon"

    calls = [ToolCall("call_1", "now"), ToolCall("call_2", "now", '{"zone": ')]
    emulator.script(Reply(tool_calls=calls), Reply(text="Noon."))
    agent = FunctionAgent(llm=llm, tools=[FunctionTool.from_defaults(now)], streaming=streaming)
    assert str(await agent.run(user_msg="When is it?")) == "Noon."
    sent = emulator.requests[1].json["messages"][1:]
    assert [call["id"] for call in sent[0]["tool_calls"]] == ["call_1", "call_2"]
    assert sent[0]["tool_calls"][1]["function"]["arguments"] == "{}"
    assert {message["tool_call_id"]: message["content"] for message in sent[1:]} == {
        "call_1": "noon",
        "call_2": "This call was not executed.",
    }
    assert emulator.refusals == []

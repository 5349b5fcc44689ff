"""Agents: LangChain's `create_agent` and a handwritten LangGraph loop, with scripted answers."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import nullcontext
from typing import Annotated, Any, TypedDict

import pydantic
import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode

from langchain_qwenvl import ChatQwenVL, QwenVLOutputError
from tests.emulator import Emulator, Reply, ToolCall
from tests.langchain.conftest import PNG, Make

DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()
QUESTION = HumanMessage([{"type": "image", "url": "https://example.com/bill.png"}, {"type": "text", "text": "Paid?"}])


@tool
def crop(left: int, top: int) -> list[dict[str, Any]]:
    """Cut out a part of the image."""
    return [{"type": "text", "text": f"At {left}, {top}:"}, {"type": "image", "base64": base64.b64encode(PNG).decode()}]


@tool
def convert(amount: float, currency: str = "EUR") -> str:
    """Convert an amount."""
    return f"{amount * 2} {currency}"


TWO_TOOLS = [
    Reply(reasoning="I must look.", tool_calls=[ToolCall("c1", "crop", ['{"left": 1, ', '"top": 2}'])]),
    Reply(reasoning="Now convert.", text="One moment.", tool_calls=[ToolCall("c2", "convert", '{"amount": 9.5}')]),
    Reply(reasoning="Done.", text=["19.0 ", "EUR."]),
]
SENT_IMAGE = {"type": "image_url", "image_url": {"url": DATA}}


def check_two_tools(messages: list[AnyMessage], bodies: list[dict[str, Any]]) -> None:
    """Check that the conversation ran as scripted, with thinking in each turn."""
    assert messages[-1].content == "19.0 EUR."
    assert [type(message).__name__ for message in messages] == [
        "HumanMessage", "AIMessage", "ToolMessage", "AIMessage", "ToolMessage", "AIMessage",
    ]  # fmt: skip
    reasoning = [m.additional_kwargs["reasoning_content"] for m in messages if isinstance(m, AIMessage)]
    assert reasoning == ["I must look.", "Now convert.", "Done."]
    assert [sent["enable_thinking"] for sent in bodies] == [True] * 3
    last = [message for message in bodies[-1]["messages"] if message["role"] != "system"]
    assert [message["role"] for message in last] == ["user", "assistant", "tool", "user", "assistant", "tool"]
    assert last[2] == {"role": "tool", "content": "At 1, 2:", "tool_call_id": "c1"}
    assert last[3] == {"role": "user", "content": [SENT_IMAGE]}
    assert last[4]["content"] == "One moment."
    assert last[5] == {"role": "tool", "content": "19.0 EUR", "tool_call_id": "c2"}
    assert not any("reasoning_content" in message for message in last)


def build_loop(llm: ChatQwenVL) -> Any:
    """Build the loop that LangGraph's users write."""

    class State(TypedDict):
        messages: Annotated[list[AnyMessage], add_messages]

    bound = llm.bind_tools([crop, convert])

    def call_model(state: State) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    async def acall_model(state: State) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    from langchain_core.runnables import RunnableLambda

    graph = StateGraph(State)
    graph.add_node("model", RunnableLambda(call_model, acall_model))
    graph.add_node("tools", ToolNode([crop, convert]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda s: "tools" if s["messages"][-1].tool_calls else END, ["tools", END])
    graph.add_edge("tools", "model")
    return graph.compile()


AGENTS: dict[str, Callable[[ChatQwenVL], Any]] = {
    "create_agent": lambda llm: create_agent(llm, [crop, convert], system_prompt="Be exact."),
    "handwritten loop": build_loop,
}
each_agent = pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)


@each_agent
@pytest.mark.parametrize(
    "keywords", [{}, {"output_version": "v1"}, {"streaming": True}, {"disable_streaming": True}], ids=str
)
async def test_agent_two_tools_runs_as_scripted(
    agent: Any, keywords: dict[str, Any], make: Make, emulator: Emulator, bodies: Any
) -> None:
    llm = make(**keywords)
    for how in ("sync", "async"):
        emulator.reset()
        emulator.script(*TWO_TOOLS)
        graph = agent(llm)
        state = (
            graph.invoke({"messages": [QUESTION]}) if how == "sync" else await graph.ainvoke({"messages": [QUESTION]})
        )
        messages = state["messages"]
        if keywords.get("output_version") == "v1":
            messages = [*messages[:-1], AIMessage(messages[-1].text, additional_kwargs=messages[-1].additional_kwargs)]
        check_two_tools(messages, bodies())
    await llm.aclose()


def test_system_prompt_is_sent_unchanged(llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    emulator.script(*TWO_TOOLS)
    AGENTS["create_agent"](llm).invoke({"messages": [QUESTION]})
    assert [sent["messages"][0] for sent in bodies()] == [{"role": "system", "content": "Be exact."}] * 3


# --- streaming


@each_agent
async def test_stream_mode_messages_yields_thinking_calls_and_answer(
    agent: Any, llm: ChatQwenVL, emulator: Emulator, bodies: Any
) -> None:
    """Thinking, calls and the answer stream, and the graph runs as it does without streaming."""
    for how in ("sync", "async"):
        emulator.reset()
        emulator.script(*TWO_TOOLS)
        graph, state = agent(llm), {"messages": [QUESTION]}
        if how == "sync":
            streamed = list(graph.stream(state, stream_mode="messages"))
        else:
            streamed = [item async for item in graph.astream(state, stream_mode="messages")]
        chunks = [chunk for chunk, _ in streamed if isinstance(chunk, AIMessageChunk)]
        reasoning = "".join(chunk.additional_kwargs.get("reasoning_content", "") for chunk in chunks)
        assert reasoning == "I must look.Now convert.Done."
        assert "".join(chunk.text for chunk in chunks) == "One moment.19.0 EUR."
        call_ids = [call["id"] for chunk in chunks for call in chunk.tool_call_chunks if call["id"]]
        assert call_ids == ["c1", "c2"]
        assert [chunk.chunk_position for chunk in chunks].count("last") == 3
        assert len({chunk.id for chunk in chunks}) == 3
        assert bodies()[-1]["messages"][-1]["tool_call_id"] == "c2"
    await llm.aclose()


@each_agent
def test_stream_mode_updates_yields_each_turn(agent: Any, llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    emulator.script(*TWO_TOOLS)
    updates = list(agent(llm).stream({"messages": [QUESTION]}, stream_mode="updates"))
    messages = [message for update in updates for part in update.values() for message in part["messages"]]
    check_two_tools([QUESTION, *messages], bodies())


@each_agent
def test_stream_modes_can_be_combined(agent: Any, llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    emulator.script(*TWO_TOOLS)
    items = list(agent(llm).stream({"messages": [QUESTION]}, stream_mode=["messages", "values"]))
    check_two_tools([state for mode, state in items if mode == "values"][-1]["messages"], bodies())


@pytest.mark.filterwarnings("ignore:.*is in beta", "ignore:.*is experimental")  # LangChain's warning on v3
async def test_graph_v3_events_are_valid(llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    emulator.script(*TWO_TOOLS)
    run = AGENTS["create_agent"](llm).stream_events({"messages": [QUESTION]}, version="v3")
    texts = [str(message.text) for message in run.messages]
    assert texts == ["", "One moment.", "19.0 EUR."]
    calls = bodies()[-1]["messages"][-2]["tool_calls"]
    assert [(call["id"], call["function"]["name"]) for call in calls] == [("c2", "convert")]


async def test_graph_v2_events_contain_tokens(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(*TWO_TOOLS)
    graph = AGENTS["create_agent"](llm)
    events = [event async for event in graph.astream_events({"messages": [QUESTION]}, version="v2")]
    text = "".join(e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream")
    assert text == "One moment.19.0 EUR."
    await llm.aclose()


# --- calls that must not be executed

RAN: list[str] = []


@tool
def wipe(path: str = "/") -> str:
    """Wipe a path."""
    RAN.append(path)
    return "wiped"


@pytest.mark.parametrize(
    "arguments", ['{"path": "/tmp/no', "", "[1]", '{"path": "/'], ids=["cut", "none yet", "list", "cut2"]
)
@pytest.mark.parametrize("mode", [None, "messages", "updates", "values"])
@pytest.mark.parametrize("output_version", [None, "v1"])
def test_truncated_call_is_never_executed_and_raises(
    arguments: str, mode: Any, output_version: Any, make: Make, emulator: Emulator
) -> None:
    RAN.clear()
    finish = "length" if arguments != "[1]" else None
    emulator.script(Reply(tool_calls=[ToolCall("c1", "wipe", arguments)], finish=finish), Reply(text="Sorry."))
    graph = create_agent(make(output_version=output_version), [wipe])
    state: Any = {"messages": [HumanMessage("Wipe /tmp/notes.")]}
    with nullcontext() if arguments == "[1]" else pytest.raises(QwenVLOutputError, match=r"cut off.*Raise max_tokens"):
        _ = graph.invoke(state) if mode is None else list(graph.stream(state, stream_mode=mode))
    assert RAN == []
    assert len(emulator.requests) == (2 if arguments == "[1]" else 1)
    assert not emulator.refusals


@each_agent
@pytest.mark.parametrize("mode", ["messages", "values"])
def test_conversation_continues_after_truncated_call(
    agent: Any, mode: str, llm: ChatQwenVL, emulator: Emulator, bodies: Any
) -> None:
    """The loop may give no result for a truncated call beside words, but the service requires one."""
    calls = [ToolCall("c1", "crop", '{"left": 1'), ToolCall("c2", "convert", "{")]
    cut = Reply(text="I look.", tool_calls=calls, finish="length")
    emulator.script(cut, Reply(text="Again?"), Reply(text="Hello."))
    graph = agent(llm)
    *_, last = graph.stream({"messages": [HumanMessage("Look!")]}, stream_mode=[mode, "values"])
    messages = [*last[1]["messages"], HumanMessage("Hi")]
    assert graph.invoke({"messages": messages})["messages"][-1].content
    sent = next(message for message in bodies()[-1]["messages"] if message["role"] == "assistant")
    assert [call["function"]["arguments"] for call in sent["tool_calls"]] == ["{}", "{}"]
    assert [m["tool_call_id"] for m in bodies()[-1]["messages"] if m["role"] == "tool"] == ["c1", "c2"]


@each_agent
@pytest.mark.parametrize(
    "calls",
    [
        [ToolCall("", "crop", '{"left": 1, "top": 2}'), ToolCall("", "crop", '{"left": 2, "top": 2}')],
        [ToolCall("c1", "", "{}")],
        [ToolCall("c1", "zoom", "{}"), ToolCall("c2", "crop", '{"left": "x"}'), ToolCall("c3", "crop", "{")],
    ],
    ids=["no ids", "no name", "unknown tool, invalid arguments, incomplete arguments"],
)
def test_malformed_calls_do_not_stop_the_agent(
    agent: Any, calls: list[ToolCall], llm: ChatQwenVL, emulator: Emulator, bodies: Any
) -> None:
    emulator.script(Reply(reasoning="Hm.", tool_calls=calls), Reply(text="I see."))
    assert agent(llm).invoke({"messages": [QUESTION]})["messages"][-1].text == "I see."
    results = [message for message in bodies()[-1]["messages"] if message["role"] == "tool"]
    assert len({result["tool_call_id"] for result in results}) == len(calls)


# --- structured output


class Bill(pydantic.BaseModel):
    """A bill."""

    amount: float
    currency: str


FINAL = '{"amount": 9.5, "currency": "EUR"}'
LOOK_FIRST = Reply(tool_calls=[ToolCall("c1", "crop", '{"left": 1, "top": 2}')])


def build_agent(llm: ChatQwenVL, response_format: Any) -> Any:
    return create_agent(llm, [crop], response_format=response_format)


@pytest.mark.parametrize("response_format", [Bill, ToolStrategy(Bill)], ids=["class", "tool strategy"])
def test_response_format_is_forced_as_tool_without_thinking(
    response_format: Any, make: Make, emulator: Emulator, bodies: Any
) -> None:
    """`create_agent` forces a tool in each turn."""
    emulator.script(LOOK_FIRST, Reply(tool_calls=[ToolCall("c2", "Bill", FINAL)]))
    state = build_agent(make(forced_output="no_thinking"), response_format).invoke({"messages": [QUESTION]})
    assert state["structured_response"] == Bill(amount=9.5, currency="EUR")
    assert [(sent["tool_choice"], sent["enable_thinking"]) for sent in bodies()] == [("required", False)] * 2
    assert "response_format" not in bodies()[-1]
    turns = [message for message in state["messages"] if isinstance(message, AIMessage)]
    assert all("enable_thinking=False" in turn.response_metadata["adjustments"][0] for turn in turns)


@pytest.mark.parametrize("response_format", [Bill, ToolStrategy(Bill)], ids=["class", "tool strategy"])
def test_response_format_as_tool_thinks_in_each_turn(
    response_format: Any, llm: ChatQwenVL, emulator: Emulator, bodies: Any
) -> None:
    look = Reply(reasoning="I look.", tool_calls=LOOK_FIRST.tool_calls)
    prose = Reply(reasoning="9.50.", text="It is 9.50 EUR.")
    emulator.script(look, prose, Reply(tool_calls=[ToolCall("c2", "Bill", FINAL)]))
    state = build_agent(llm, response_format).invoke({"messages": [QUESTION]})
    assert state["structured_response"] == Bill(amount=9.5, currency="EUR")
    assert [sent["enable_thinking"] for sent in bodies()] == [True, True, False]
    assert [sent["tool_choice"] for sent in bodies()] == ["auto", "auto", "required"]
    _, *turns = [message for message in state["messages"] if isinstance(message, AIMessage)]
    assert turns[0].additional_kwargs["reasoning_content"] == "9.50."
    assert turns[0].content == "It is 9.50 EUR."


def test_invalid_object_is_requested_again(llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    wrong = [ToolCall("c1", "Bill", '{"amount": "much"}')]
    emulator.script(Reply(tool_calls=wrong), Reply(tool_calls=[ToolCall("c2", "Bill", FINAL)]))
    state = build_agent(llm, ToolStrategy(Bill)).invoke({"messages": [QUESTION]})
    assert state["structured_response"] == Bill(amount=9.5, currency="EUR")
    assert "amount" in bodies()[-1]["messages"][-1]["content"]


def test_response_format_as_tool_keeps_thinking_if_configured(make: Make, emulator: Emulator, bodies: Any) -> None:
    llm = make(forced_output="ask")
    look = Reply(reasoning="Hm.", tool_calls=LOOK_FIRST.tool_calls)
    emulator.script(look, Reply(reasoning="Ah.", tool_calls=[ToolCall("c2", "Bill", FINAL)]))
    state = build_agent(llm, Bill).invoke({"messages": [QUESTION]})
    assert state["structured_response"] == Bill(amount=9.5, currency="EUR")
    assert [(sent["tool_choice"], sent["enable_thinking"]) for sent in bodies()] == [("auto", True)] * 2


@pytest.mark.parametrize("model", ["qwen3-vl-plus", "qwen3.7-plus"])
def test_provider_strategy_sends_response_format(model: str, make: Make, emulator: Emulator, bodies: Any) -> None:
    prose = Reply(reasoning="9.50.", text="It is 9.50 EUR.")
    emulator.script(LOOK_FIRST, prose, Reply(text=FINAL))
    state = build_agent(make(model=model), ProviderStrategy(Bill)).invoke({"messages": [QUESTION]})
    assert state["structured_response"] == Bill(amount=9.5, currency="EUR")
    kind = "json_schema" if model == "qwen3.7-plus" else "json_object"
    assert [sent.get("response_format", {}).get("type") for sent in bodies()] == [None, None, kind]
    assert [sent["enable_thinking"] for sent in bodies()] == [True, True, False]
    assert state["messages"][-1].additional_kwargs["reasoning_content"] == "9.50.\n\nIt is 9.50 EUR."


def test_profile_selects_the_strategy(make: Make, emulator: Emulator, bodies: Any) -> None:
    """The strategy is the response format where the model has one, else a tool."""
    emulator.script(Reply(text=FINAL), Reply(text=FINAL), Reply(tool_calls=[ToolCall("c2", "Bill", FINAL)]))
    for model, thinks in (("qwen3.7-plus", True), ("qwen3.7-plus", False), ("qwen3-vl-plus", True)):
        llm = make(model=model, enable_thinking=thinks)
        state = build_agent(llm, Bill).invoke({"messages": [QUESTION]})
        assert state["structured_response"] == Bill(amount=9.5, currency="EUR")
    assert ["response_format" in sent for sent in bodies()] == [False, True, False]
    assert [len(sent["tools"]) for sent in bodies()] == [1, 1, 2]


def test_response_format_streamed_returns_object(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(LOOK_FIRST, Reply(tool_calls=[ToolCall("c2", "Bill", FINAL)]))
    *_, last = build_agent(llm, Bill).stream({"messages": [QUESTION]}, stream_mode=["messages", "values"])
    assert last[1]["structured_response"] == Bill(amount=9.5, currency="EUR")


# --- what tools return


@tool(response_format="content_and_artifact")
def picture() -> tuple[list[Any], str]:
    """Take a picture."""
    return [{"type": "image", "url": PNG}], "raw"


@tool
def leak() -> list[Any]:
    """Return an image that is a local file."""
    return [{"type": "image", "url": "file:///etc/passwd"}]


def test_tool_result_image_is_sent_in_user_message(llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    emulator.script(Reply(tool_calls=[ToolCall("c1", "picture")]), Reply(text="A grey square."))
    state = create_agent(llm, [picture]).invoke({"messages": [HumanMessage("Look!")]})
    assert state["messages"][-1].content == "A grey square."
    sent = bodies()[-1]["messages"]
    assert sent[-2]["role"] == "tool"
    assert sent[-2]["content"]
    assert sent[-1] == {"role": "user", "content": [SENT_IMAGE]}


def test_tool_result_local_path_is_described_and_not_read(llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    emulator.script(Reply(tool_calls=[ToolCall("c1", "leak")]), Reply(text="I can't see it."))
    state = create_agent(llm, [leak]).invoke({"messages": [HumanMessage("Look!")]})
    assert "file:///etc/passwd" in bodies()[-1]["messages"][-1]["content"]
    assert any("read from disk" in note for note in state["messages"][-1].response_metadata["adjustments"])


def test_parallel_tool_result_images_are_labeled(llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    calls = [ToolCall("c1", "crop", '{"left": 1, "top": 1}'), ToolCall("c2", "crop", '{"left": 2, "top": 2}')]
    emulator.script(Reply(reasoning="Both.", tool_calls=calls), Reply(text="Seen."))
    create_agent(llm, [crop]).invoke({"messages": [QUESTION]})
    roles = [message["role"] for message in bodies()[-1]["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user"]
    texts = [part.get("text") for part in bodies()[-1]["messages"][-1]["content"]]
    assert texts == ["Result of the tool call c1:", None, "Result of the tool call c2:", None]


def test_tool_error_is_sent_as_result(llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    messages = [QUESTION, AIMessage("", tool_calls=[{"id": "c1", "name": "crop", "args": {}, "type": "tool_call"}])]
    llm.invoke([*messages, ToolMessage("No such place.", tool_call_id="c1", status="error")])
    assert bodies()[-1]["messages"][-1]["content"] == "No such place."


def test_long_agent_run_is_never_refused(llm: ChatQwenVL, emulator: Emulator) -> None:
    """Run three conversations with two tools each, with a checkpoint between turns."""
    from langgraph.checkpoint.memory import InMemorySaver

    graph = create_agent(llm, [crop, convert], checkpointer=InMemorySaver(), system_prompt="Be exact.")
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    for _ in range(3):
        emulator.script(*TWO_TOOLS)
        question: AnyMessage = QUESTION.model_copy(update={"id": None})
        state = graph.invoke({"messages": [question]}, config)
    assert len(state["messages"]) == 18
    assert len(emulator.requests) == 9
    assert not emulator.refusals

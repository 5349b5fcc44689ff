"""Both adapters against llama.cpp's own HTTP server with a tiny Qwen3-VL."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.tools import tool
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.tools import FunctionTool

from langchain_qwenvl import QwenVLLoader
from llama_index_qwenvl import QwenVLReader, video_frames
from qwenvl_core.errors import QwenVLContextOverflowError, QwenVLError, QwenVLInputError
from tests.servers.conftest import chat, llm
from tests.support import llama_server
from tests.support.llama_server import LlamaServer
from tests.support.pipeline import png
from tests.support.scanned_pages import scan

pytestmark = [
    pytest.mark.llama_cpp,
    pytest.mark.skipif(not llama_server.is_available(), reason=llama_server.REASON),
]
GREETING, THOUGHT = "Hello! How can I help you today?", "A greeting.\n\nI answer politely."
SIZES = [(640, 480), (1920, 1080), (64, 64), (1000, 333), (20, 20), (3000, 4000)]


def merge(chunks: list[Any]) -> AIMessageChunk:
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    merged: AIMessageChunk = total
    return merged


def reasoning_of(message: Any) -> str:
    text: str = message.additional_kwargs.get("reasoning_content", "")
    return text.strip()


def test_langchain_answers_in_all_four_modes(hello: LlamaServer) -> None:
    model = chat(hello)

    async def call() -> list[Any]:
        return [await model.ainvoke("Hi"), merge([chunk async for chunk in model.astream("Hi")])]

    replies = [model.invoke("Hi"), merge(list(model.stream("Hi"))), *asyncio.run(call())]
    assert {reply.content for reply in replies} == {GREETING}
    assert {reasoning_of(reply) for reply in replies} == {THOUGHT}
    assert {reply.response_metadata["provider"] for reply in replies} == {"llama.cpp"}
    assert {reply.usage_metadata["output_tokens"] for reply in replies} == {16}
    model.close()


def test_llama_index_answers_in_all_four_modes(hello: LlamaServer) -> None:
    model, messages = llm(hello), [ChatMessage("Hi")]

    async def call() -> list[Any]:
        stream = await model.astream_chat(messages)
        return [await model.achat(messages), [chunk async for chunk in stream][-1]]

    replies = [model.chat(messages), list(model.stream_chat(messages))[-1], *asyncio.run(call())]
    assert {reply.message.content for reply in replies} == {GREETING}
    assert {reasoning_of(reply.message) for reply in replies} == {THOUGHT}
    assert {reply.additional_kwargs["provider"] for reply in replies} == {"llama.cpp"}
    model.close()


def test_thinking_off_and_budget_have_an_effect(hello: LlamaServer) -> None:
    off = chat(hello, enable_thinking=False).invoke("Hi")
    assert (off.content, reasoning_of(off)) == (GREETING, "")
    assert "adjustments" not in off.response_metadata
    cut = chat(hello, thinking_budget=3).invoke("Hi")
    assert (cut.content, reasoning_of(cut)) == (GREETING, "A greeting")
    assert reasoning_of(chat(hello).invoke("Hi", reasoning_effort="none")) == ""


def test_server_that_thinks_against_the_request_is_reported(hello: LlamaServer) -> None:
    template = {"chat_template_kwargs": {"enable_thinking": True}}
    reply = chat(hello, enable_thinking=False, extra_body=template).invoke("Hi")
    assert reasoning_of(reply) == THOUGHT
    assert reply.response_metadata["adjustments"] == ["the server thinks although enable_thinking=False was sent"]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_tokens_of_an_image_are_counted_exactly(hello: LlamaServer, width: int, height: int) -> None:
    model = chat(hello)
    text, picture = HumanMessage("Hi"), HumanMessage([{"type": "image", "data": png(width, height)}, "Hi"])
    sent = [model.invoke([message]).usage_metadata for message in (text, picture)]
    assert sent[0] is not None
    assert sent[1] is not None
    counted = [model.get_num_tokens_from_messages([message]) for message in (text, picture)]
    assert sent[1]["input_tokens"] - sent[0]["input_tokens"] == counted[1] - counted[0]


def test_max_pixels_scale_a_local_image_here(hello: LlamaServer) -> None:
    model = chat(hello)
    large = HumanMessage([{"type": "image", "data": png(640, 480), "max_pixels": 160 * 128}])
    reply, small = model.invoke([large]), model.invoke([HumanMessage([{"type": "image", "data": png(160, 96)}])])
    assert reply.usage_metadata is not None
    assert small.usage_metadata is not None
    assert reply.usage_metadata["input_tokens"] == small.usage_metadata["input_tokens"]
    assert "scaled from 640x480 to 160x96" in reply.response_metadata["adjustments"][0]
    plain = HumanMessage("")
    counts = [model.get_num_tokens_from_messages([message]) for message in (large, plain)]
    assert counts[0] - counts[1] == 5 * 3 + 2


def test_frames_arrive_as_images(hello: LlamaServer) -> None:
    frames = video_frames([f"data:image/png;base64,{_encode(png(64, 64))}"] * 2, fps=2.0)
    message = ChatMessage(role=MessageRole.USER, blocks=[frames, TextBlock(text="Hi")])
    model = llm(hello)
    reply = model.chat([message])
    plain = llm(hello).chat([ChatMessage("Hi")])
    assert reply.additional_kwargs["prompt_tokens"] - plain.additional_kwargs["prompt_tokens"] == 2 * (9 + 2)
    assert model.count_tokens([message]) - model.count_tokens([ChatMessage("Hi")]) == 2 * (9 + 2)
    assert any("frames" in note for note in reply.additional_kwargs["adjustments"])


def test_system_messages_are_joined(hello: LlamaServer) -> None:
    messages = [SystemMessage("Be brief."), HumanMessage("Hi"), SystemMessage("Be kind."), HumanMessage("You?")]
    reply = chat(hello).invoke(messages)
    assert reply.content == GREETING
    assert "system messages joined" in reply.response_metadata["adjustments"][0]


@pytest.mark.parametrize("streaming", [False, True])
def test_partial_message_is_continued_without_its_beginning(hello: LlamaServer, streaming: bool) -> None:
    partial = AIMessage("Hello! How", additional_kwargs={"partial": True})
    model = chat(hello)
    messages = [HumanMessage("Hi"), partial]
    reply = merge(list(model.stream(messages))) if streaming else model.invoke(messages)
    assert not reply.text.startswith("Hello! How")
    assert reply.response_metadata["finish_reason"] == "stop"


@tool(return_direct=True)
def get_weather(city: str, days: int) -> str:
    """Get the weather."""
    return f"Rain in {city} for {days} days."


@tool
def get_time(city: str) -> str:
    """Get the time."""
    return f"Noon in {city}."


def test_tool_is_called_with_whole_arguments(caller: LlamaServer) -> None:
    model = chat(caller).bind_tools([get_weather, get_time])
    for reply in (model.invoke("Weather?"), merge(list(model.stream("Weather?")))):
        assert [(call["name"], call["args"]) for call in reply.tool_calls] == [
            ("get_weather", {"city": "Paris", "days": 2})
        ]
        assert reasoning_of(reply) == "I need the weather tool."


def test_agents_of_both_frameworks_execute_the_tool(caller: LlamaServer) -> None:
    state = create_agent(chat(caller), [get_weather]).invoke({"messages": [HumanMessage("Weather?")]})
    assert state["messages"][-1].content == "Rain in Paris for 2 days."

    def weather(city: str, days: int) -> str:
        """Get the weather."""
        return f"Rain in {city} for {days} days."

    lookup = FunctionTool.from_defaults(weather, name="get_weather", return_direct=True)

    async def run() -> str:
        return str(await FunctionAgent(tools=[lookup], llm=llm(caller)).run("Weather?"))

    assert asyncio.run(run()) == "Rain in Paris for 2 days."


def test_loaders_read_the_pages_of_a_pdf(hello: LlamaServer) -> None:
    documents = QwenVLLoader(scan(2), llm=chat(hello), output="markdown").load()
    assert [document.page_content for document in documents] == [GREETING] * 2
    nodes = QwenVLReader(llm=llm(hello), output="markdown").load_data(io.BytesIO(scan(1)))
    assert [node.text for node in nodes] == [GREETING]


def test_context_overflow_is_typed(hello: LlamaServer) -> None:
    with pytest.raises(QwenVLContextOverflowError, match="exceeds the available context size"):
        chat(hello, max_retries=0).invoke("word " * 20_000)


def test_demand_that_the_server_lacks_is_refused_before_sending(hello: LlamaServer) -> None:
    with pytest.raises(QwenVLInputError, match="oss://"):
        chat(hello).invoke([HumanMessage([{"type": "image", "url": "oss://a/b.png"}])])


def test_auto_reads_the_name_and_the_context_window(hello: LlamaServer) -> None:
    model = llm(hello, provider="auto")
    assert model.chat([ChatMessage("Hi")]).additional_kwargs["provider"] == "llama.cpp"
    assert model.metadata.context_window == 8192

    async def call() -> list[str]:
        again = chat(hello, provider="auto")
        replies = await asyncio.gather(again.ainvoke("Hi"), again.ainvoke("Hi"))
        return [reply.response_metadata["provider"] for reply in replies]

    assert asyncio.run(call()) == ["llama.cpp"] * 2
    again = chat(hello, provider="auto")
    again.invoke("Hi")
    assert again.profile is not None
    assert again.profile["max_input_tokens"] == 8192
    own = chat(hello, provider="auto", profile={"max_input_tokens": 100})
    own.invoke("Hi")
    assert own.profile == {"max_input_tokens": 100}


def test_server_killed_in_the_stream_raises_with_the_text_so_far() -> None:
    with llama_server.serve("hello") as server:
        model = chat(server, enable_thinking=False, extra_body={"ignore_eos": True, "max_tokens": 4000}, max_retries=0)
        received = ""
        with pytest.raises(QwenVLError) as caught:  # noqa: PT012 - the server is killed between two chunks
            for chunk in model.stream("Hi"):
                received += chunk.text
                if len(received) > 20:
                    server.process.kill()
        assert caught.value.partial.startswith(GREETING[:20])


def test_image_block_reaches_the_server(hello: LlamaServer) -> None:
    message = ChatMessage(role=MessageRole.USER, blocks=[ImageBlock(image=png(64, 64)), TextBlock(text="Hi")])
    assert llm(hello).chat([message]).message.content == GREETING


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()

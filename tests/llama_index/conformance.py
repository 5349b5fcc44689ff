"""What LlamaIndex may expect of any LLM that thinks and calls tools: a suite for adapters to inherit.

Make a subclass whose name begins with `Test`, with a `llm` fixture, and a `says` that makes the model's next answer.
Nothing here knows Qwen-VL, or how its service is spoken to.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import LLM
from llama_index.core.tools import FunctionTool

Calls = Sequence[tuple[str, str, str]]
ASK = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Add 1 and 2.")]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = FunctionTool.from_defaults(add)
CALLS: Calls = [("call_1", "add", '{"a": 1, "b": 2}'), ("call_2", "add", '{"a": 3, "b": 4}')]


class LLMConformance:
    """The suite. `says(reasoning, text, calls)` scripts the next answer: calls are `(id, name, JSON arguments)`."""

    def says(self, reasoning: str = "", text: str = "", calls: Calls = ()) -> None:
        raise NotImplementedError

    # --- One answer in every way ---

    async def _ways(self, llm: Any, **keywords: Any) -> dict[str, ChatResponse]:
        """The same answer, asked for in all four ways; of a stream, its last chunk."""
        return {
            "chat": llm.chat(ASK, **keywords),
            "stream_chat": list(llm.stream_chat(ASK, **keywords))[-1],
            "achat": await llm.achat(ASK, **keywords),
            "astream_chat": [chunk async for chunk in await llm.astream_chat(ASK, **keywords)][-1],
        }

    async def test_all_ways_give_the_same_message(self, llm: Any) -> None:
        for _ in range(4):
            self.says("Hm.", "Three.", CALLS[:1])
        ways = await self._ways(llm)
        first = ways["chat"].message
        assert all(response.message == first for response in ways.values()), ways
        assert [type(block) for block in first.blocks] == [ThinkingBlock, TextBlock, ToolCallBlock]
        assert first.content == "Three."
        assert first.role == "assistant"

    async def test_completions_give_the_same_text(self, llm: Any) -> None:
        for _ in range(4):
            self.says("Hm.", "Three.")
        assert llm.complete("?").text == "Three."
        assert list(llm.stream_complete("?"))[-1].text == "Three."
        assert (await llm.acomplete("?")).text == "Three."
        assert [chunk async for chunk in await llm.astream_complete("?")][-1].text == "Three."

    async def test_usage_is_where_counters_look(self, llm: Any) -> None:
        for _ in range(4):
            self.says("", "Three.")
        for response in (await self._ways(llm)).values():
            assert isinstance(response.raw, dict)
            assert response.raw["usage"]["prompt_tokens"] > 0
            assert response.additional_kwargs["prompt_tokens"] == response.raw["usage"]["prompt_tokens"]
            json.dumps(response.raw)

    # --- Streams ---

    def test_deltas_add_up(self, llm: Any) -> None:
        self.says("One and two …", "Three.")
        chunks = list(llm.stream_chat(ASK))
        assert "".join(chunk.delta or "" for chunk in chunks) == "Three."
        assert "".join(chunk.additional_kwargs.get("thinking_delta") or "" for chunk in chunks) == "One and two …"
        contents = [chunk.message.content or "" for chunk in chunks]
        assert contents == sorted(contents, key=len)

    async def test_async_loses_no_thinking(self, llm: Any) -> None:
        self.says("One and two …", "Three.")
        chunks = [chunk async for chunk in await llm.astream_chat(ASK)]
        assert "".join(chunk.additional_kwargs.get("thinking_delta") or "" for chunk in chunks) == "One and two …"

    def test_earlier_chunks_never_change(self, llm: Any) -> None:
        self.says("One and two …", "It is three.", CALLS)
        kept, copies = [], []
        for chunk in llm.stream_chat(ASK):
            kept.append(chunk)
            copies.append(copy.deepcopy(chunk))
        assert kept == copies

    def test_messages_can_be_stored(self, llm: Any) -> None:
        self.says("Hm.", "Three.", CALLS)
        message = llm.chat(ASK).message
        assert ChatMessage.model_validate_json(message.model_dump_json()) == message

    # --- Tools ---

    def test_calls_stay_apart(self, llm: Any) -> None:
        self.says("", "", CALLS)
        last = list(llm.stream_chat_with_tools([ADD], "Add.", allow_parallel_tool_calls=True))[-1]
        selected = llm.get_tool_calls_from_response(last)
        assert [(call.tool_id, call.tool_kwargs) for call in selected] == [
            ("call_1", {"a": 1, "b": 2}),
            ("call_2", {"a": 3, "b": 4}),
        ]

    def test_one_call_unless_more_are_allowed(self, llm: Any) -> None:
        self.says("", "", CALLS)
        response = llm.chat_with_tools([ADD], "Add.", allow_parallel_tool_calls=False)
        assert len(llm.get_tool_calls_from_response(response)) == 1

    @pytest.mark.parametrize("arguments", ["", '{"a": ', "[1]", "null"])
    def test_odd_arguments_never_raise(self, llm: Any, arguments: str) -> None:
        self.says("", "", [("call_1", "add", arguments)])
        for chunk in llm.stream_chat_with_tools([ADD], "Add."):
            llm.get_tool_calls_from_response(chunk, error_on_no_tool_call=False)

    def test_a_tool_is_predicted_and_called(self, llm: Any) -> None:
        self.says("", "", CALLS[:1])
        assert llm.predict_and_call([ADD], "Add.").response == "3"

    def test_a_turn_goes_round(self, llm: Any) -> None:
        self.says("Hm.", "", CALLS[:1])
        self.says("", "Three.")
        history = list(ASK)
        message = llm.chat_with_tools([ADD], chat_history=history).message
        result = ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "call_1"})
        assert llm.chat_with_tools([ADD], chat_history=[*history, message, result]).message.content == "Three."
        assert history == ASK

    # --- The object itself ---

    def test_metadata(self, llm: Any) -> None:
        assert isinstance(llm, LLM)
        assert llm.metadata.is_chat_model
        assert llm.metadata.context_window > 8_000

    def test_it_can_be_stored(self, llm: Any) -> None:
        assert type(llm).from_dict(llm.to_dict()).to_dict() == llm.to_dict()
        json.dumps(llm.to_dict())

    @pytest.mark.parametrize(
        "ask", [lambda llm: llm.chat(ASK), lambda llm: list(llm.stream_chat(ASK)), lambda llm: llm.complete("?")]
    )
    def test_tokens_are_counted_once(self, llm: Any, ask: Callable[[Any], Any]) -> None:
        self.says("", "Three.")
        counter = TokenCountingHandler(tokenizer=str.split)
        llm.callback_manager = CallbackManager([counter])
        ask(llm)
        assert len(counter.llm_token_counts) == 1

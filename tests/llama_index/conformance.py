"""A conformance suite for LlamaIndex LLMs that think and call tools; adapters inherit it.

Write a subclass whose name begins with `Test`, with an `llm` fixture and a `script_reply` that sets the model's next
reply. The suite does not depend on Qwen-VL or its API.
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
MESSAGES = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Add 1 and 2.")]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = FunctionTool.from_defaults(add)
CALLS: Calls = [("call_1", "add", '{"a": 1, "b": 2}'), ("call_2", "add", '{"a": 3, "b": 4}')]


class LLMConformance:
    """Tests of one LLM; subclasses implement `script_reply`."""

    def script_reply(self, reasoning: str = "", text: str = "", calls: Calls = ()) -> None:
        """Set the model's next reply; calls are `(id, name, JSON arguments)`."""
        raise NotImplementedError

    # --- The same reply from all methods ---

    async def _chat_with_all_methods(self, llm: Any, **keywords: Any) -> dict[str, ChatResponse]:
        """Return the response of each chat method; of a stream, its last chunk."""
        return {
            "chat": llm.chat(MESSAGES, **keywords),
            "stream_chat": list(llm.stream_chat(MESSAGES, **keywords))[-1],
            "achat": await llm.achat(MESSAGES, **keywords),
            "astream_chat": [chunk async for chunk in await llm.astream_chat(MESSAGES, **keywords)][-1],
        }

    async def test_chat_methods_return_same_message(self, llm: Any) -> None:
        for _ in range(4):
            self.script_reply("Hm.", "Three.", CALLS[:1])
        responses = await self._chat_with_all_methods(llm)
        first = responses["chat"].message
        assert all(response.message == first for response in responses.values()), responses
        assert [type(block) for block in first.blocks] == [ThinkingBlock, TextBlock, ToolCallBlock]
        assert first.content == "Three."
        assert first.role == "assistant"

    async def test_completion_methods_return_same_text(self, llm: Any) -> None:
        for _ in range(4):
            self.script_reply("Hm.", "Three.")
        assert llm.complete("?").text == "Three."
        assert list(llm.stream_complete("?"))[-1].text == "Three."
        assert (await llm.acomplete("?")).text == "Three."
        assert [chunk async for chunk in await llm.astream_complete("?")][-1].text == "Three."

    async def test_usage_is_in_raw_and_additional_kwargs(self, llm: Any) -> None:
        for _ in range(4):
            self.script_reply("", "Three.")
        for response in (await self._chat_with_all_methods(llm)).values():
            assert isinstance(response.raw, dict)
            assert response.raw["usage"]["prompt_tokens"] > 0
            assert response.additional_kwargs["prompt_tokens"] == response.raw["usage"]["prompt_tokens"]
            json.dumps(response.raw)

    # --- Streams ---

    def test_stream_deltas_join_to_whole_text(self, llm: Any) -> None:
        self.script_reply("One and two …", "Three.")
        chunks = list(llm.stream_chat(MESSAGES))
        assert "".join(chunk.delta or "" for chunk in chunks) == "Three."
        assert "".join(chunk.additional_kwargs.get("thinking_delta") or "" for chunk in chunks) == "One and two …"
        contents = [chunk.message.content or "" for chunk in chunks]
        assert contents == sorted(contents, key=len)

    async def test_async_stream_keeps_thinking_deltas(self, llm: Any) -> None:
        self.script_reply("One and two …", "Three.")
        chunks = [chunk async for chunk in await llm.astream_chat(MESSAGES)]
        assert "".join(chunk.additional_kwargs.get("thinking_delta") or "" for chunk in chunks) == "One and two …"

    def test_stream_earlier_chunks_stay_unchanged(self, llm: Any) -> None:
        self.script_reply("One and two …", "It is three.", CALLS)
        chunks, copies = [], []
        for chunk in llm.stream_chat(MESSAGES):
            chunks.append(chunk)
            copies.append(copy.deepcopy(chunk))
        assert chunks == copies

    def test_message_survives_json_round_trip(self, llm: Any) -> None:
        self.script_reply("Hm.", "Three.", CALLS)
        message = llm.chat(MESSAGES).message
        assert ChatMessage.model_validate_json(message.model_dump_json()) == message

    # --- Tools ---

    def test_parallel_calls_are_not_mixed(self, llm: Any) -> None:
        self.script_reply("", "", CALLS)
        last = list(llm.stream_chat_with_tools([ADD], "Add.", allow_parallel_tool_calls=True))[-1]
        selected = llm.get_tool_calls_from_response(last)
        assert [(call.tool_id, call.tool_kwargs) for call in selected] == [
            ("call_1", {"a": 1, "b": 2}),
            ("call_2", {"a": 3, "b": 4}),
        ]

    def test_parallel_calls_not_allowed_returns_one_call(self, llm: Any) -> None:
        self.script_reply("", "", CALLS)
        response = llm.chat_with_tools([ADD], "Add.", allow_parallel_tool_calls=False)
        assert len(llm.get_tool_calls_from_response(response)) == 1

    @pytest.mark.parametrize("arguments", ["", '{"a": ', "[1]", "null"])
    def test_invalid_arguments_do_not_raise(self, llm: Any, arguments: str) -> None:
        self.script_reply("", "", [("call_1", "add", arguments)])
        for chunk in llm.stream_chat_with_tools([ADD], "Add."):
            llm.get_tool_calls_from_response(chunk, error_on_no_tool_call=False)

    def test_predict_and_call_runs_tool(self, llm: Any) -> None:
        self.script_reply("", "", CALLS[:1])
        assert llm.predict_and_call([ADD], "Add.").response == "3"

    def test_tool_result_is_accepted_in_next_turn(self, llm: Any) -> None:
        self.script_reply("Hm.", "", CALLS[:1])
        self.script_reply("", "Three.")
        history = list(MESSAGES)
        message = llm.chat_with_tools([ADD], chat_history=history).message
        result = ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "call_1"})
        assert llm.chat_with_tools([ADD], chat_history=[*history, message, result]).message.content == "Three."
        assert history == MESSAGES

    # --- The LLM object ---

    def test_metadata_describes_chat_model(self, llm: Any) -> None:
        assert isinstance(llm, LLM)
        assert llm.metadata.is_chat_model
        assert llm.metadata.context_window > 8_000

    def test_llm_survives_dict_round_trip(self, llm: Any) -> None:
        assert type(llm).from_dict(llm.to_dict()).to_dict() == llm.to_dict()
        json.dumps(llm.to_dict())

    @pytest.mark.parametrize(
        "call",
        [lambda llm: llm.chat(MESSAGES), lambda llm: list(llm.stream_chat(MESSAGES)), lambda llm: llm.complete("?")],
    )
    def test_call_counts_tokens_once(self, llm: Any, call: Callable[[Any], Any]) -> None:
        self.script_reply("", "Three.")
        counter = TokenCountingHandler(tokenizer=str.split)
        llm.callback_manager = CallbackManager([counter])
        call(llm)
        assert len(counter.llm_token_counts) == 1

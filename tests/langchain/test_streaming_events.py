"""Callbacks and events: LangChain's v2 and v3 streams, and `invoke` under a handler that wants tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.tracers._streaming import _StreamingCallbackHandler, _V2StreamingCallbackHandler
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_qwenvl import ChatQwenVL
from qwenvl_core.errors import QwenVLError
from tests.emulator import Emulator, Fault, Quirks, Reply, ToolCall
from tests.langchain.conftest import Make
from tests.langchain.test_responses import CALLS, WHOLE, essence, total

pytestmark = pytest.mark.filterwarnings("ignore:.*is in beta")  # LangChain's words on v3

# Calls that must not be executed, though LangChain's own reading of a stream would have some of them run.
CUT = Reply(
    reasoning="Hm.",
    tool_calls=[
        ToolCall("a", "look", '{"x": 1}'),
        ToolCall("b", "look", '{"path": "/tmp/no'),
        ToolCall("c", "look", '{"x": t'),
    ],
    finish="length",
)
CUT_BEFORE_ARGUMENTS = Reply(tool_calls=[ToolCall("a", "look", "{}"), ToolCall("b", "wipe", "")], finish="length")
NO_OBJECTS = Reply(
    tool_calls=[ToolCall("a", "look", "[1]"), ToolCall("b", "look", "null"), ToolCall("c", "look", '"x"')]
)
INVALID_CALLS_KEY = Reply(tool_calls=[ToolCall("a", "look", '{"x": 1}}'), ToolCall("b", "look", "")])
ANSWERS = {
    "whole": (WHOLE, {"call_a": {"x": "Paris"}, "call_b": {}}, set()),
    "text": (Reply(text="Hi."), {}, set()),
    "reasoning": (Reply(reasoning="Hm."), {}, set()),
    "cut off": (CUT, {"a": {"x": 1}}, {"b", "c"}),
    "cut off before the arguments": (CUT_BEFORE_ARGUMENTS, {"a": {}}, {"b"}),
    "no objects": (NO_OBJECTS, {}, {"a", "b", "c"}),
    "broken, and without arguments": (INVALID_CALLS_KEY, {"b": {}}, {"a"}),
}
each_answer = pytest.mark.parametrize(("reply", "valid", "invalid"), ANSWERS.values(), ids=ANSWERS)


def executable(message: AIMessage) -> tuple[dict[Any, Any], set[Any]]:
    return {call["id"]: call["args"] for call in message.tool_calls}, {
        call["id"] for call in message.invalid_tool_calls
    }


class Tokens(BaseCallbackHandler):
    """Writes down the order of what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.told.append("start")

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        blocks = chunk.message.content_blocks
        self.told.append((token, blocks[0]["type"] if blocks else chunk.message.chunk_position))

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.told.append("end")
        self.message = response.generations[0][0].message

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.told.append("error")


class WantsTokens(Tokens, _StreamingCallbackHandler[Any]):
    """As LangGraph's `stream_mode="messages"` attaches."""

    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[Any]) -> AsyncIterator[Any]:
        return output

    def tap_output_iter(self, run_id: UUID, output: Iterator[Any]) -> Iterator[Any]:
        return output


class WantsEvents(WantsTokens, _V2StreamingCallbackHandler):
    """As LangGraph attaches for v3."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def on_stream_event(self, event: Any, **kwargs: Any) -> None:
        self.events.append(event)


class TestCallbacks:
    @pytest.fixture
    def reply(self, emulator: Emulator) -> Reply:
        reply = Reply(reasoning=["I ", "look."], text=["Yes", "."], tool_calls=[ToolCall("a", "look", ["{", "}"])])
        emulator.script(reply, reply)
        return reply

    EXPECTED = (
        "start",
        ("", "reasoning"),
        ("", "reasoning"),
        ("Yes", "text"),
        (".", "text"),
        *[("", "tool_call_chunk")] * 4,  # the first has id and name, the last nothing more
        ("", "last"),
        "end",
    )

    async def test_the_order(self, reply: Reply, llm: ChatQwenVL) -> None:
        sync, native = Tokens(), Tokens()
        list(llm.stream("Hi", {"callbacks": [sync]}))
        assert [chunk async for chunk in llm.astream("Hi", {"callbacks": [native]})]
        await llm.aclose()
        assert tuple(sync.told) == tuple(native.told) == self.EXPECTED

    async def test_under_a_handler_that_wants_tokens(self, reply: Reply, llm: ChatQwenVL) -> None:
        sync, native = WantsTokens(), WantsTokens()
        llm.invoke("Hi", {"callbacks": [sync]})
        await llm.ainvoke("Hi", {"callbacks": [native]})
        await llm.aclose()
        assert tuple(sync.told) == tuple(native.told) == self.EXPECTED

    def test_streaming_true_tells_any_handler(self, reply: Reply, make: Make) -> None:
        told = Tokens()
        make(streaming=True).invoke("Hi", {"callbacks": [told]})
        assert tuple(told.told) == self.EXPECTED

    def test_invoke_tells_no_tokens(self, reply: Reply, llm: ChatQwenVL) -> None:
        told = Tokens()
        llm.invoke("Hi", {"callbacks": [told]})
        assert told.told == ["start", "end"]

    def test_batches_tell_each(self, reply: Reply, llm: ChatQwenVL) -> None:
        told = [Tokens(), Tokens()]
        llm.batch(["Hi", "Ho"], [{"callbacks": [one]} for one in told])
        assert [one.told for one in told] == [["start", "end"]] * 2

    async def test_async_handlers(self, reply: Reply, llm: ChatQwenVL) -> None:
        tokens: list[Any] = []

        class Handler(AsyncCallbackHandler):
            async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
                tokens.append(token)

        assert [chunk async for chunk in llm.astream("Hi", {"callbacks": [Handler()]})]
        await llm.aclose()
        assert "".join(tokens) == "Yes."

    def test_an_error(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(Fault(reply=Reply(text=["Ye", "s."]), close_without_finish=True, after=2))
        told = Tokens()
        with pytest.raises(QwenVLError):
            list(llm.stream("Hi", {"callbacks": [told]}))
        assert (told.told[0], told.told[-1]) == ("start", "error")


class TestInvokeUnderAHandler:
    """LangChain makes the message of such an `invoke` from chunks: it must be the message it would have been."""

    @each_answer
    @pytest.mark.parametrize("output_version", [None, "v1"])
    async def test_tokens(
        self, reply: Reply, valid: Any, invalid: Any, output_version: Any, make: Make, emulator: Emulator
    ) -> None:
        llm = make(output_version=output_version)
        emulator.script(reply, reply, reply)
        plain, told = llm.invoke("Hi"), WantsTokens()
        for message in (
            llm.invoke("Hi", {"callbacks": [told]}),
            await llm.ainvoke("Hi", {"callbacks": [WantsTokens()]}),
        ):
            assert type(message) is AIMessage
            assert executable(message) == executable(plain) == (valid, invalid)
            assert message.text == plain.text
            assert message.additional_kwargs == plain.additional_kwargs
            assert message.usage_metadata == plain.usage_metadata
            types = [block["type"] for block in message.content_blocks]
            assert sorted(types) == sorted(block["type"] for block in plain.content_blocks)
            if output_version is None:
                assert essence(message) == essence(plain)
        await llm.aclose()
        assert executable(told.message) == (valid, invalid)  # traces see the same

    @each_answer
    async def test_events(self, reply: Reply, valid: Any, invalid: Any, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(reply, reply, reply)
        plain = llm.invoke("Hi")
        told = [WantsEvents(), WantsEvents()]
        messages = [
            llm.invoke("Hi", {"callbacks": [told[0]]}),
            await llm.ainvoke("Hi", {"callbacks": [told[1]]}),
        ]
        await llm.aclose()
        for message in messages:
            assert executable(message) == (valid, invalid)
            assert message.text == plain.text
            assert message.additional_kwargs == plain.additional_kwargs
        for handler in told:
            assert_valid_event_stream(handler.events)

    def test_a_cache_keeps_it_so(self, make: Make, emulator: Emulator) -> None:
        emulator.script(CUT)
        llm = make(cache=InMemoryCache())
        for _ in range(2):
            assert executable(llm.invoke("Hi", {"callbacks": [WantsTokens()]})) == ({"a": {"x": 1}}, {"b", "c"})
        assert len(emulator.requests) == 1

    def test_the_sum_of_a_stream_says_it(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        """LangChain's own sum would execute it, as of any model: who adds up chunks by hand looks here."""
        emulator.script(CUT)
        summed = total(llm.stream("Hi"))
        assert [call["id"] for call in summed.additional_kwargs["invalid_tool_calls"]] == ["b", "c"]
        types = [(block["type"], block.get("id")) for block in summed.content_blocks]
        assert types == [
            ("reasoning", None),
            ("tool_call", "a"),
            ("invalid_tool_call", "b"),
            ("invalid_tool_call", "c"),
        ]


class TestV2:
    async def test_events(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(WHOLE)
        events = [event async for event in llm.astream_events("Hi", version="v2")]
        await llm.aclose()
        kinds = [event["event"] for event in events]
        assert kinds == ["on_chat_model_start", *["on_chat_model_stream"] * (len(events) - 2), "on_chat_model_end"]
        summed = total(event["data"]["chunk"] for event in events[1:-1])
        assert summed.content == events[-1]["data"]["output"].content == WHOLE.text
        assert events[0]["metadata"]["ls_model_name"] == "qwen3-vl-plus"

    async def test_the_event_log_of_invoke(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        """`astream_events` over a chain attaches a handler that wants tokens, and the chain calls `invoke`."""
        from langchain_core.runnables import RunnableLambda

        emulator.script(WHOLE)
        chain = RunnableLambda(lambda question: llm.invoke(question).content)
        events = [event async for event in chain.astream_events("Hi", version="v2")]
        tokens = [e["data"]["chunk"].content for e in events if e["event"] == "on_chat_model_stream"]
        assert "".join(tokens) == WHOLE.text == events[-1]["data"]["output"]


class TestV3:
    @each_answer
    async def test_lifecycle_and_output(
        self, reply: Reply, valid: Any, invalid: Any, llm: ChatQwenVL, emulator: Emulator
    ) -> None:
        emulator.script(reply, reply, reply)
        plain = llm.invoke("Hi")
        stream = llm.stream_events("Hi", version="v3")
        events = list(stream)
        assert_valid_event_stream(events)
        native = await llm.astream_events("Hi", version="v3")
        assert [event async for event in native]
        outputs = [stream.output, await native.output]
        await llm.aclose()
        for output in outputs:
            assert executable(output) == (valid, invalid)
            assert output.text == plain.text
            reasoning = plain.additional_kwargs.get("reasoning_content")
            assert output.additional_kwargs.get("reasoning_content") == reasoning
            assert {
                key: output.response_metadata[key] for key in ("model_name", "finish_reason", "model_provider")
            } == {key: plain.response_metadata[key] for key in ("model_name", "finish_reason", "model_provider")}
            assert output.usage_metadata["total_tokens"] == plain.usage_metadata["total_tokens"]

    @pytest.mark.parametrize(
        "quirks",
        [Quirks(), Quirks(empty_tool_id=True, empty_tool_deltas=True), Quirks(tool_fragment_without_id=True),
         Quirks(two_tool_indexes_in_one_chunk=True), Quirks(reasoning_and_text_in_one_chunk=True)],
        ids=["plain", "empty ids", "no ids", "two calls in a chunk", "reasoning and text in a chunk"],
    )  # fmt: skip
    @pytest.mark.parametrize("output_version", [None, "v1"])
    def test_ids_names_and_arguments_survive(
        self, quirks: Quirks, output_version: Any, make: Make, emulator: Emulator
    ) -> None:
        llm = make(output_version=output_version)
        emulator.script(Reply(reasoning=["I ", "think."], text=["So", ": "], tool_calls=CALLS, quirks=quirks))
        output = llm.stream_events("Hi", version="v3").output
        assert [{key: value for key, value in block.items() if key != "index"} for block in output.content] == [
            {"type": "reasoning", "reasoning": "I think."},
            {"type": "text", "text": "So: "},
            {"type": "tool_call", "id": "call_a", "name": "look", "args": {"x": "Paris"}},
            {"type": "tool_call", "id": "call_b", "name": "zoom", "args": {}},
        ]

    def test_projections(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(WHOLE, WHOLE, WHOLE)
        assert "".join(llm.stream_events("Hi", version="v3").text) == WHOLE.text
        assert "".join(llm.stream_events("Hi", version="v3").reasoning) == WHOLE.reasoning
        chunks = list(llm.stream_events("Hi", version="v3").tool_calls)
        assert "".join(chunk["args"] for chunk in chunks if chunk["index"] == "lc_tool_0") == '{"x": "Paris"}'

    def test_old_handlers_get_tokens_too(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(WHOLE)
        told = Tokens()
        assert llm.stream_events("Hi", {"callbacks": [told]}, version="v3").output
        assert "".join(entry[0] for entry in told.told if isinstance(entry, tuple)) == WHOLE.text

    def test_an_output_goes_back_as_history(self, llm: ChatQwenVL, emulator: Emulator, body: Any) -> None:
        from langchain_core.messages import HumanMessage, ToolMessage

        emulator.script(WHOLE)
        output = llm.stream_events("Hi", version="v3").output
        results = [ToolMessage("a", tool_call_id="call_a"), ToolMessage("b", tool_call_id="call_b")]
        llm.invoke([HumanMessage("Hi"), output, *results])
        sent = body()["messages"][1]
        assert sent["content"] == WHOLE.text
        assert [call["function"]["arguments"] for call in sent["tool_calls"]] == ['{"x": "Paris"}', "{}"]

    def test_a_failure(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(Fault(reply=Reply(text=["Ye", "s."]), close_without_finish=True, after=2))
        with pytest.raises(QwenVLError):
            assert llm.stream_events("Hi", version="v3").output

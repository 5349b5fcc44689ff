"""Callbacks and events: LangChain's v2 and v3 streams, and `invoke` with a handler for tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast
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

pytestmark = pytest.mark.filterwarnings("ignore:.*is in beta")  # LangChain's warning on v3

# Calls that must not be executed; LangChain's own parser of streams would accept some of them.
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
NOT_OBJECTS = Reply(
    tool_calls=[ToolCall("a", "look", "[1]"), ToolCall("b", "look", "nul"), ToolCall("c", "look", '"x"')]
)
BROKEN = Reply(tool_calls=[ToolCall("a", "look", '{"x": 1}}'), ToolCall("b", "look", "")])
ANSWERS = {
    "whole": (WHOLE, {"call_a": {"x": "Paris"}, "call_b": {}}, set()),
    "text": (Reply(text="Hi."), {}, set()),
    "reasoning": (Reply(reasoning="Hm."), {}, set()),
    "cut off": (CUT, {"a": {"x": 1}}, {"b", "c"}),
    "cut off before the arguments": (CUT_BEFORE_ARGUMENTS, {"a": {}}, {"b"}),
    "not objects": (NOT_OBJECTS, {}, {"a", "b", "c"}),
    "whitespace arguments": (
        Reply(tool_calls=[ToolCall("a", "look", [" ", "\n"]), ToolCall("b", "look", "\r")]), {"a": {}, "b": {}}, set()),
    "null arguments": (
        Reply(tool_calls=[ToolCall("a", "look", ["nu", "ll"]), ToolCall("b", "look", " null ")]), {"a": {}, "b": {}},
        set(),
    ),
    "broken, and without arguments": (BROKEN, {"b": {}}, {"a"}),
}  # fmt: skip
each_answer = pytest.mark.parametrize(("reply", "valid", "invalid"), ANSWERS.values(), ids=ANSWERS)


def executable(message: AIMessage) -> tuple[dict[Any, Any], set[Any]]:
    return {call["id"]: call["args"] for call in message.tool_calls}, {
        call["id"] for call in message.invalid_tool_calls
    }


class TokenHandler(BaseCallbackHandler):
    """Records the order of its callbacks."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append("start")

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        blocks = chunk.message.content_blocks
        self.calls.append((token, blocks[0]["type"] if blocks else chunk.message.chunk_position))

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.calls.append("end")
        self.message = response.generations[0][0].message

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.calls.append("error")


class StreamingHandler(TokenHandler, _StreamingCallbackHandler[Any]):
    """A handler like that of LangGraph's `stream_mode="messages"`."""

    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[Any]) -> AsyncIterator[Any]:
        return output

    def tap_output_iter(self, run_id: UUID, output: Iterator[Any]) -> Iterator[Any]:
        return output


class EventHandler(StreamingHandler, _V2StreamingCallbackHandler):
    """A handler like LangGraph's for v3."""

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
        *[("", "tool_call_chunk")] * 4,  # the first has id and name, the last is empty
        ("", "last"),
        "end",
    )

    async def test_stream_callbacks_are_in_order(self, reply: Reply, llm: ChatQwenVL) -> None:
        sync_handler, async_handler = TokenHandler(), TokenHandler()
        list(llm.stream("Hi", {"callbacks": [sync_handler]}))
        assert [chunk async for chunk in llm.astream("Hi", {"callbacks": [async_handler]})]
        await llm.aclose()
        assert tuple(sync_handler.calls) == tuple(async_handler.calls) == self.EXPECTED

    async def test_invoke_with_streaming_handler_reports_tokens(self, reply: Reply, llm: ChatQwenVL) -> None:
        sync_handler, async_handler = StreamingHandler(), StreamingHandler()
        llm.invoke("Hi", {"callbacks": [sync_handler]})
        await llm.ainvoke("Hi", {"callbacks": [async_handler]})
        await llm.aclose()
        assert tuple(sync_handler.calls) == tuple(async_handler.calls) == self.EXPECTED

    def test_invoke_with_streaming_true_reports_tokens(self, reply: Reply, make: Make) -> None:
        handler = TokenHandler()
        make(streaming=True).invoke("Hi", {"callbacks": [handler]})
        assert tuple(handler.calls) == self.EXPECTED

    def test_invoke_reports_no_tokens(self, reply: Reply, llm: ChatQwenVL) -> None:
        handler = TokenHandler()
        llm.invoke("Hi", {"callbacks": [handler]})
        assert handler.calls == ["start", "end"]

    def test_batch_reports_to_each_handler(self, reply: Reply, llm: ChatQwenVL) -> None:
        handlers = [TokenHandler(), TokenHandler()]
        llm.batch(["Hi", "Ho"], [{"callbacks": [handler]} for handler in handlers])
        assert [handler.calls for handler in handlers] == [["start", "end"]] * 2

    async def test_async_handler_receives_tokens(self, reply: Reply, llm: ChatQwenVL) -> None:
        tokens: list[Any] = []

        class Handler(AsyncCallbackHandler):
            async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
                tokens.append(token)

        assert [chunk async for chunk in llm.astream("Hi", {"callbacks": [Handler()]})]
        await llm.aclose()
        assert "".join(tokens) == "Yes."

    def test_failed_stream_reports_error(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(Fault(reply=Reply(text=["Ye", "s."]), close_without_finish=True, after=2))
        handler = TokenHandler()
        with pytest.raises(QwenVLError):
            list(llm.stream("Hi", {"callbacks": [handler]}))
        assert (handler.calls[0], handler.calls[-1]) == ("start", "error")


class TestInvokeWithHandler:
    """LangChain adds up the message of such an `invoke` from chunks; it must equal that without a handler."""

    @each_answer
    @pytest.mark.parametrize("output_version", [None, "v1"])
    async def test_streaming_handler_does_not_change_the_message(
        self, reply: Reply, valid: Any, invalid: Any, output_version: Any, make: Make, emulator: Emulator
    ) -> None:
        llm = make(output_version=output_version)
        emulator.script(*[reply] * 6)  # an empty one is requested again
        plain, handler = llm.invoke("Hi"), StreamingHandler()
        for message in (
            llm.invoke("Hi", {"callbacks": [handler]}),
            await llm.ainvoke("Hi", {"callbacks": [StreamingHandler()]}),
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
        assert executable(handler.message) == (valid, invalid)  # traces get the same message

    @each_answer
    async def test_event_handler_does_not_change_the_message(
        self, reply: Reply, valid: Any, invalid: Any, llm: ChatQwenVL, emulator: Emulator
    ) -> None:
        emulator.script(*[reply] * 6)  # an empty one is requested again
        plain = llm.invoke("Hi")
        handlers = [EventHandler(), EventHandler()]
        messages = [
            llm.invoke("Hi", {"callbacks": [handlers[0]]}),
            await llm.ainvoke("Hi", {"callbacks": [handlers[1]]}),
        ]
        await llm.aclose()
        for message in messages:
            assert executable(message) == (valid, invalid)
            assert message.text == plain.text
            assert message.additional_kwargs == plain.additional_kwargs
        for handler in handlers:
            assert_valid_event_stream(handler.events)

    def test_cached_message_keeps_invalid_calls(self, make: Make, emulator: Emulator) -> None:
        emulator.script(CUT)
        llm = make(cache=InMemoryCache())
        for _ in range(2):
            assert executable(llm.invoke("Hi", {"callbacks": [StreamingHandler()]})) == ({"a": {"x": 1}}, {"b", "c"})
        assert len(emulator.requests) == 1

    def test_sum_of_stream_lists_invalid_calls(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        """In LangChain's own sum of chunks the calls look complete, as with any model; the list is for such sums."""
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
    async def test_events_contain_the_chunks(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(WHOLE)
        events = [event async for event in llm.astream_events("Hi", version="v2")]
        await llm.aclose()
        kinds = [event["event"] for event in events]
        assert kinds == ["on_chat_model_start", *["on_chat_model_stream"] * (len(events) - 2), "on_chat_model_end"]
        summed = total(event["data"]["chunk"] for event in events[1:-1])
        assert summed.content == events[-1]["data"]["output"].content == WHOLE.text
        assert events[0]["metadata"]["ls_model_name"] == "qwen3-vl-plus"

    async def test_chain_with_invoke_emits_tokens(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        """`astream_events` of a chain attaches a handler for tokens, and the chain calls `invoke`."""
        from langchain_core.runnables import RunnableLambda

        emulator.script(WHOLE)
        chain: RunnableLambda[str, Any] = RunnableLambda(lambda question: llm.invoke(question).content)
        events = [event async for event in chain.astream_events("Hi", version="v2")]
        tokens = [e["data"]["chunk"].content for e in events if e["event"] == "on_chat_model_stream"]
        assert "".join(tokens) == WHOLE.text == events[-1]["data"]["output"]


class TestV3:
    @each_answer
    async def test_events_are_valid_and_output_equals_invoke(
        self, reply: Reply, valid: Any, invalid: Any, llm: ChatQwenVL, emulator: Emulator
    ) -> None:
        emulator.script(*[reply] * 6)  # an empty one is requested again
        plain = llm.invoke("Hi")
        stream = llm.stream_events("Hi", version="v3")
        events = list(stream)
        assert_valid_event_stream(events)
        async_stream = await llm.astream_events("Hi", version="v3")
        assert [event async for event in async_stream]
        outputs = [stream.output, await async_stream.output]
        await llm.aclose()
        for output in outputs:
            assert executable(output) == (valid, invalid)
            assert output.text == plain.text
            reasoning = plain.additional_kwargs.get("reasoning_content")
            assert output.additional_kwargs.get("reasoning_content") == reasoning
            assert {
                key: output.response_metadata[key] for key in ("model_name", "finish_reason", "model_provider")
            } == {key: plain.response_metadata[key] for key in ("model_name", "finish_reason", "model_provider")}
            assert output.usage_metadata is not None
            assert plain.usage_metadata is not None
            assert output.usage_metadata["total_tokens"] == plain.usage_metadata["total_tokens"]

    @pytest.mark.parametrize(
        "quirks",
        [Quirks(), Quirks(empty_tool_id=True, empty_tool_deltas=True), Quirks(tool_fragment_without_id=True),
         Quirks(two_tool_indexes_in_one_chunk=True), Quirks(reasoning_and_text_in_one_chunk=True)],
        ids=["plain", "empty ids", "no ids", "two calls in a chunk", "reasoning and text in a chunk"],
    )  # fmt: skip
    @pytest.mark.parametrize("output_version", [None, "v1"])
    def test_output_keeps_ids_names_and_arguments(
        self, quirks: Quirks, output_version: Any, make: Make, emulator: Emulator
    ) -> None:
        llm = make(output_version=output_version)
        emulator.script(Reply(reasoning=["I ", "think."], text=["So", ": "], tool_calls=CALLS, quirks=quirks))
        output = llm.stream_events("Hi", version="v3").output
        blocks = cast("list[dict[str, Any]]", output.content)
        assert [{key: value for key, value in block.items() if key != "index"} for block in blocks] == [
            {"type": "reasoning", "reasoning": "I think."},
            {"type": "text", "text": "So: "},
            {"type": "tool_call", "id": "call_a", "name": "look", "args": {"x": "Paris"}},
            {"type": "tool_call", "id": "call_b", "name": "zoom", "args": {}},
        ]

    def test_projections_yield_text_reasoning_and_calls(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(WHOLE, WHOLE, WHOLE)
        assert "".join(llm.stream_events("Hi", version="v3").text) == WHOLE.text
        assert "".join(llm.stream_events("Hi", version="v3").reasoning) == WHOLE.reasoning
        chunks = list(llm.stream_events("Hi", version="v3").tool_calls)
        assert "".join(chunk["args"] for chunk in chunks if chunk["index"] == "lc_tool_0") == '{"x": "Paris"}'

    def test_plain_handler_receives_tokens(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(WHOLE)
        handler = TokenHandler()
        assert llm.stream_events("Hi", {"callbacks": [handler]}, version="v3").output.text
        assert "".join(entry[0] for entry in handler.calls if isinstance(entry, tuple)) == WHOLE.text

    def test_output_is_accepted_as_history(self, llm: ChatQwenVL, emulator: Emulator, body: Any) -> None:
        from langchain_core.messages import HumanMessage, ToolMessage

        emulator.script(WHOLE)
        output = llm.stream_events("Hi", version="v3").output
        results = [ToolMessage("a", tool_call_id="call_a"), ToolMessage("b", tool_call_id="call_b")]
        llm.invoke([HumanMessage("Hi"), output, *results])
        sent = body()["messages"][1]
        assert sent["content"] == WHOLE.text
        assert [call["function"]["arguments"] for call in sent["tool_calls"]] == ['{"x": "Paris"}', "{}"]

    def test_failed_stream_raises(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(Fault(reply=Reply(text=["Ye", "s."]), close_without_finish=True, after=2))
        with pytest.raises(QwenVLError):
            _ = llm.stream_events("Hi", version="v3").output

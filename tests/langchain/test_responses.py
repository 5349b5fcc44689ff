"""Responses: messages, chunks and their sum, blocks, usage and metadata."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_qwenvl import ChatQwenVL
from langchain_qwenvl.content_blocks import finalize_tool_calls
from langchain_qwenvl.responses import to_ai_message
from langchain_qwenvl.streaming import ChunkBuilder
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.reply import accumulate
from tests.emulator import Emulator, Quirks, Reply, ToolCall
from tests.langchain.conftest import KEY, Make

CALLS = [ToolCall("call_a", "look", ['{"x"', ': "Pa', 'ris"}']), ToolCall("call_b", "zoom", "{}")]
WHOLE = Reply(
    reasoning="First, I look. 先看。",
    text="I look… 😀\u2028and\u0085see.",
    tool_calls=CALLS,
    usage={"prompt": 1500, "completion": 90, "reasoning": 40, "image": 1290, "video": 100, "cached": 64},
)


def total(chunks: Iterable[AIMessageChunk]) -> AIMessageChunk:
    first, *others = chunks
    for chunk in others:
        first += chunk
    return first


def essence(message: AIMessage) -> dict[str, Any]:
    """Return the facts of a message that must not depend on how it was requested."""
    metadata = {key: value for key, value in message.response_metadata.items() if key not in ("request_id", "id")}
    if "adjustments" in metadata:
        metadata["adjustments"] = [re.sub(r"request id [\w-]+", "", text) for text in metadata["adjustments"]]
    return {
        "content": message.content,
        "additional_kwargs": message.additional_kwargs,
        "tool_calls": message.tool_calls,
        "invalid_tool_calls": [(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls],
        "usage": message.usage_metadata,
        "metadata": metadata,
    }


def test_invoke_returns_message_with_reasoning_text_and_calls(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(WHOLE)
    message = llm.invoke("Hi")
    assert type(message) is AIMessage
    assert message.content == message.text == "I look… 😀\u2028and\u0085see."
    assert message.additional_kwargs == {"reasoning_content": "First, I look. 先看。"}
    assert message.tool_calls == [
        {"id": "call_a", "name": "look", "args": {"x": "Paris"}, "type": "tool_call"},
        {"id": "call_b", "name": "zoom", "args": {}, "type": "tool_call"},
    ]
    assert message.content_blocks == [
        {"type": "reasoning", "reasoning": "First, I look. 先看。"},
        {"type": "text", "text": message.content},
        *message.tool_calls,
    ]
    assert message.id is not None
    assert message.id.startswith("lc_run-")


def test_invoke_returns_usage_and_metadata(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(WHOLE)
    message = llm.invoke("Hi")
    assert message.usage_metadata == {
        "input_tokens": 1500,
        "output_tokens": 90,
        "total_tokens": 1590,
        "input_token_details": {"cache_read": 64, "image": 1290, "video": 100},
        "output_token_details": {"reasoning": 40},
    }
    metadata = message.response_metadata
    assert metadata["model_name"] == "qwen3-vl-plus"
    assert metadata["model_provider"] == "qwenvl"
    assert metadata["finish_reason"] == "tool_calls"
    assert metadata["request_id"] == "00000000-0000-9000-8000-000000000001"
    assert metadata["id"].startswith("chatcmpl-")
    assert metadata["token_usage"]["prompt_tokens_details"]["image_tokens"] == 1290
    assert "adjustments" not in metadata
    json.dumps(metadata)


def test_model_name_is_the_servers(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(Reply(text="Hi.", model="qwen3-vl-plus-2025-12-19"))
    assert llm.invoke("Hi").response_metadata["model_name"] == "qwen3-vl-plus-2025-12-19"


def test_reply_without_reasoning_has_no_reasoning_key(make: Make, emulator: Emulator) -> None:
    emulator.script(Reply(text="Hi."), Reply(text="Hi."))
    llm = make(enable_thinking=False)
    assert llm.invoke("Hi").additional_kwargs == {}
    assert total(llm.stream("Hi")).additional_kwargs == {}


def test_usage_details_not_reported_are_omitted(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(
        Reply(text="Hi.", quirks=Quirks(usage_details_absent=True)), Reply(text="Hi.", quirks=Quirks(no_usage=True))
    )
    usage = llm.invoke("Hi").usage_metadata
    assert usage is not None
    assert not usage.get("input_token_details")
    assert llm.invoke("Hi").usage_metadata is None


def test_reply_extras_are_in_the_metadata(llm: ChatQwenVL, emulator: Emulator) -> None:
    logprobs = {"content": [{"token": "Hi", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}
    replies = [Reply(text=["Hi"], choice_extra={"logprobs": logprobs}, quirks=Quirks(search_info=True))] * 2
    emulator.script(*replies)
    for message in (llm.invoke("Hi"), total(llm.stream("Hi"))):
        assert message.response_metadata["logprobs"] == logprobs
        assert message.response_metadata["search_info"]["search_results"]


def test_reply_extras_do_not_replace_our_metadata() -> None:
    events: list[Event] = [
        TextDelta("Yes"),
        Finish("stop", "m", "id-1", "r-1", extras={"id": 1, "model_provider": "x", "more": 2}),
    ]
    builder = ChunkBuilder()
    streamed = [chunk.message for event in events if (chunk := builder.build(event))]
    for metadata in (to_ai_message(accumulate(events)).response_metadata, streamed[-1].response_metadata):
        assert (metadata["id"], metadata["model_provider"], metadata["more"]) == ("id-1", "qwenvl", 2)


class TestChunks:
    @pytest.fixture
    def chunks(self, llm: ChatQwenVL, emulator: Emulator) -> list[AIMessageChunk]:
        emulator.script(WHOLE)
        return list(llm.stream("Hi"))

    def test_chunk_has_no_more_than_one_block(self, chunks: list[AIMessageChunk]) -> None:
        kinds: list[str] = []
        for chunk in chunks:
            blocks: set[str] = {block["type"] for block in chunk.content_blocks}
            assert len(blocks) <= 1
            kinds += blocks or {"last"}
        order = sorted(set(kinds), key=kinds.index)
        assert order == ["reasoning", "text", "tool_call_chunk", "last"]
        assert kinds == sorted(kinds, key=order.index)

    def test_chunk_content_is_a_string(self, chunks: list[AIMessageChunk]) -> None:
        assert all(type(chunk.content) is str for chunk in chunks)
        assert "".join(chunk.additional_kwargs.get("reasoning_content", "") for chunk in chunks) == WHOLE.reasoning

    def test_last_chunk_alone_has_usage_and_metadata(self, chunks: list[AIMessageChunk]) -> None:
        assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
        for chunk in chunks[:-1]:
            assert chunk.usage_metadata is None
            assert chunk.response_metadata == {"model_provider": "qwenvl"}
        assert chunks[-1].usage_metadata
        assert chunks[-1].response_metadata["finish_reason"] == "tool_calls"

    def test_chunks_share_one_id(self, chunks: list[AIMessageChunk]) -> None:
        assert len({chunk.id for chunk in chunks}) == 1

    def test_tool_call_chunks_are_the_fragments(self, chunks: list[AIMessageChunk]) -> None:
        fragments = [fragment for chunk in chunks for fragment in chunk.tool_call_chunks]
        assert [(p["index"], p["id"], p["name"]) for p in fragments if p["id"]] == [
            (0, "call_a", "look"),
            (1, "call_b", "zoom"),
        ]
        assert not [p for p in fragments if p["id"] == "" or p["name"] == ""]
        assert "".join(p["args"] or "" for p in fragments if p["index"] == 0) == '{"x": "Paris"}'

    def test_chunks_share_no_containers(self, chunks: list[AIMessageChunk]) -> None:
        for name in ("additional_kwargs", "response_metadata", "tool_calls", "invalid_tool_calls", "tool_call_chunks"):
            assert len({id(getattr(chunk, name)) for chunk in chunks}) == len(chunks), name

    def test_sum_of_chunks_equals_message(
        self, chunks: list[AIMessageChunk], llm: ChatQwenVL, emulator: Emulator
    ) -> None:
        emulator.script(WHOLE)
        message = llm.invoke("Hi")
        assert essence(total(chunks)) == essence(message)
        assert total(chunks).content_blocks == message.content_blocks

    def test_sum_without_last_chunk_has_block_indices(self, chunks: list[AIMessageChunk]) -> None:
        blocks = total(chunks[:-1]).content_blocks
        assert [block["type"] for block in blocks] == ["reasoning", "text", "tool_call_chunk", "tool_call_chunk"]
        assert [block["index"] for block in blocks] == ["lc_rea_0", "lc_tex_0", "lc_tool_0", "lc_tool_1"]


def texts() -> st.SearchStrategy[str]:
    awkward = st.sampled_from(
        ["\u2028", "\u2029", "\u0085", "\r", "\n", "\r\n", "😀", "好", "e\u0301", "\x00", "data: ", '"']
    )
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6) | awkward


fragments = st.lists(texts(), max_size=6)
calls = st.lists(
    st.builds(
        ToolCall,
        id=st.uuids().map(lambda uuid: f"call_{uuid}"),
        name=st.sampled_from(["look", "zoom"]),
        arguments=st.dictionaries(texts(), texts(), max_size=2).map(json.dumps)
        | st.sampled_from(["", "{}", "[1]", "null", "3", '{"x": ', "{x}"])
        | st.lists(texts(), max_size=3),
    ),
    max_size=3,
)
quirks = st.builds(
    Quirks,
    first_reasoning_empty=st.booleans(),
    reasoning_and_text_in_one_chunk=st.booleans(),
    finish_on_last_text_chunk=st.booleans(),
    finish_with_last_arguments=st.booleans(),
    empty_tool_id=st.booleans(),
    tool_fragment_without_id=st.booleans(),
    tool_fragment_without_type=st.booleans(),
    arguments_with_name=st.booleans(),
    empty_tool_deltas=st.booleans(),
    two_tool_indexes_in_one_chunk=st.booleans(),
    empty_tool_calls=st.booleans(),
    usage_every_chunk=st.booleans(),
    usage_on_last_chunk=st.booleans(),
    content_mode=st.sampled_from([None, "null", "empty", "missing"]),
    reasoning_key=st.sampled_from(["reasoning_content", "reasoning", "both"]),
    split_bytes=st.sampled_from([0, 1, 3, 7]),
    crlf=st.booleans(),
    comments=st.booleans(),
    no_done=st.booleans(),
)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Emulator, ChatQwenVL]]:
    """Return one server and one model for many examples."""
    with Emulator() as server:
        llm = ChatQwenVL(base_url=server.compat_url, api_key=KEY)
        yield server, llm
        llm.close()


class TestInvokeEqualsStream:
    @settings(max_examples=60, deadline=None)
    @given(
        reasoning=fragments,
        text=fragments,
        tool_calls=calls,
        quirks=quirks,
        is_truncated=st.booleans(),
        thinking=st.booleans(),
    )
    def test_invoke_equals_sum_of_stream(
        self,
        served: tuple[Emulator, ChatQwenVL],
        reasoning: list[str],
        text: list[str],
        tool_calls: list[ToolCall],
        quirks: Quirks,
        is_truncated: bool,
        thinking: bool,
    ) -> None:
        server, llm = served
        reply = Reply(reasoning, text, tool_calls, finish="length" if is_truncated else None, quirks=quirks)
        server.script(reply, reply)
        message = llm.invoke("Hi", enable_thinking=thinking, output_retries=0)
        summed = total(llm.stream("Hi", enable_thinking=thinking, output_retries=0))
        assert message.content == summed.content == "".join(text).lstrip("\r\n")
        assert message.additional_kwargs.get("reasoning_content", "") == "".join(reasoning).lstrip("\r\n")
        assert essence(finalize_tool_calls(summed)) == essence(message)
        assert {call["id"] for call in [*message.tool_calls, *message.invalid_tool_calls]} == {c.id for c in tool_calls}


events = st.lists(
    st.builds(TextDelta, texts()) | st.builds(ReasoningDelta, texts())
    | st.builds(ToolCallDelta, st.integers(0, 2), st.none(), st.none(), texts()),
    max_size=30,
)  # fmt: skip


def add_call_ids(deltas: list[Event]) -> list[Event]:
    """Add id and name to the first delta of each call, and arguments at the end."""
    known: set[int] = set()
    result: list[Event] = []
    for delta in deltas:
        if isinstance(delta, ToolCallDelta) and delta.call_index not in known:
            known.add(delta.call_index)
            delta = delta._replace(id=f"call_{delta.call_index}", name="look")
        result.append(delta)
    # A call without arguments is complete; one with spaces only is incomplete in LangChain's sum.
    return [*result, *(ToolCallDelta(index, None, None, "{}") for index in known)]


@given(events, st.sampled_from(["stop", "tool_calls", "length"]))
def test_sum_of_built_chunks_equals_message(deltas: list[Event], reason: str) -> None:
    """The chunks are built from events directly: deltas may be in any order and interleaved."""
    whole = [*add_call_ids(deltas), Usage(3, 2, 5), Finish(reason, "m", "r", "q")]
    builder = ChunkBuilder()
    built = [chunk for event in whole if (chunk := builder.build(event)) is not None]
    message = to_ai_message(accumulate(whole))
    summed = total(chunk.message for chunk in built)  # type: ignore[misc]
    assert all(type(chunk) is ChatGenerationChunk and chunk.text == chunk.message.content for chunk in built)
    assert essence(finalize_tool_calls(summed)) == essence(message)


class TestV1Content:
    """With `output_version="v1"` the content is a list of standard blocks."""

    @pytest.fixture
    def llm(self, make: Make) -> ChatQwenVL:
        return make(output_version="v1")

    def test_invoke_returns_blocks(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(WHOLE)
        message = llm.invoke("Hi")
        assert message.content == message.content_blocks
        assert [block["type"] for block in message.content_blocks] == ["reasoning", "text", "tool_call", "tool_call"]
        assert message.text == WHOLE.text
        assert message.additional_kwargs["reasoning_content"] == WHOLE.reasoning

    def test_sum_of_chunks_has_merged_blocks(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(WHOLE)
        summed = total(llm.stream("Hi"))
        assert summed.content == [
            {"type": "reasoning", "reasoning": WHOLE.reasoning, "index": "lc_rea_0"},
            {"type": "text", "text": WHOLE.text, "index": "lc_tex_0"},
            {"type": "tool_call", "id": "call_a", "name": "look", "args": {"x": "Paris"}},
            {"type": "tool_call", "id": "call_b", "name": "zoom", "args": {}},
        ]
        assert summed.content == summed.content_blocks
        assert [call["args"] for call in summed.tool_calls] == [{"x": "Paris"}, {}]
        assert summed.usage_metadata

    async def test_async_stream_equals_sync_stream(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(WHOLE, WHOLE, WHOLE)
        sync_sum, async_sum = total(llm.stream("Hi")), total([chunk async for chunk in llm.astream("Hi")])
        assert sync_sum.content == async_sum.content
        assert (await llm.ainvoke("Hi")).text == WHOLE.text
        await llm.aclose()

    def test_output_version_is_read_from_the_environment(
        self, make: Make, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LC_OUTPUT_VERSION", "v1")
        emulator.script(WHOLE)
        assert isinstance(make().invoke("Hi").content, list)


@pytest.mark.parametrize(
    "scripted",
    [WHOLE, Reply(reasoning="Hm."), Reply(text="Hi."), Reply(tool_calls=CALLS), Reply()],
    ids=["whole", "reasoning", "text", "calls", "nothing"],
)
async def test_async_results_equal_sync_results(scripted: Reply, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(*[scripted] * 8)  # an empty one is requested again
    invoked, streamed = llm.invoke("Hi"), list(llm.stream("Hi"))
    ainvoked, astreamed = await llm.ainvoke("Hi"), [chunk async for chunk in llm.astream("Hi")]
    await llm.aclose()
    assert essence(invoked) == essence(ainvoked) == essence(total(streamed)) == essence(total(astreamed))
    assert [essence(chunk) for chunk in streamed] == [essence(chunk) for chunk in astreamed]


async def test_usage_callback_sums_per_model(make: Make, emulator: Emulator) -> None:
    usage = {"prompt": 100, "completion": 20, "reasoning": 5, "image": 60, "cached": 10}
    emulator.script(*[Reply(reasoning="Hm.", text="Hi.", usage=usage)] * 5)
    plus, flash = make(), make(model="qwen3-vl-flash")
    with get_usage_metadata_callback() as callback:
        plus.invoke("Hi")
        list(plus.stream("Hi"))
        await plus.ainvoke("Hi")
        assert [chunk async for chunk in plus.astream("Hi")]
        flash.invoke("Hi")
    await plus.aclose()
    single = {
        "input_tokens": 100,
        "output_tokens": 20,
        "total_tokens": 120,
        "input_token_details": {"cache_read": 10, "image": 60},
        "output_token_details": {"reasoning": 5},
    }
    four = {
        "input_tokens": 400,
        "output_tokens": 80,
        "total_tokens": 480,
        "input_token_details": {"cache_read": 40, "image": 240},
        "output_token_details": {"reasoning": 20},
    }
    assert callback.usage_metadata == {"qwen3-vl-plus": four, "qwen3-vl-flash": single}


@pytest.mark.parametrize(
    ("event", "content", "additional_kwargs"),
    [(TextDelta("Hi."), "Hi.", {}), (ReasoningDelta("Hm."), "", {"reasoning_content": "Hm."})],
)
def test_text_chunk_equals_validated_chunk(event: Event, content: str, additional_kwargs: dict[str, Any]) -> None:
    message = AIMessageChunk(
        content=content, additional_kwargs=additional_kwargs, response_metadata={"model_provider": "qwenvl"}
    )
    chunk, validated = ChunkBuilder().build(event), ChatGenerationChunk(text=content, message=message)
    assert chunk is not None
    assert chunk == validated
    assert chunk.model_dump(exclude_unset=True) == validated.model_dump(exclude_unset=True)
    assert repr(chunk) == repr(validated)
    assert pickle.loads(pickle.dumps(chunk)) == chunk.model_copy(deep=True) == validated
    assert chunk + chunk == validated + validated


@given(
    st.one_of(
        st.text('{}[]:,"\\ \n\t\u00a0\ufeff1ae'),
        st.sampled_from(["", " ", "null", "1", "[{}]", "\u2028{}", '{"a": 1}', ' {"a"', 'x{"a": 1}', '"{}"', "\x1c{"]),
    ),
    st.sampled_from([None, "crop"]),
)
def test_call_chunk_equals_validated_chunk(arguments: str, name: str | None) -> None:
    call_chunk = tool_call_chunk(name=name, args=arguments, id=name, index=1)
    message = AIMessageChunk(content="", tool_call_chunks=[call_chunk], response_metadata={"model_provider": "qwenvl"})
    chunk, validated = (
        ChunkBuilder().build(ToolCallDelta(1, name, name, arguments)),
        ChatGenerationChunk(message=message),
    )
    assert chunk is not None
    assert chunk == validated
    assert chunk.model_dump(exclude_unset=True) == validated.model_dump(exclude_unset=True)


def test_changing_a_chunk_does_not_change_later_chunks() -> None:
    builder = ChunkBuilder()
    for fresh in (builder.build(TextDelta("a")), builder.build(TextDelta("a"))):
        assert fresh is not None
        assert fresh == ChatGenerationChunk(
            message=AIMessageChunk(content="a", response_metadata={"model_provider": "qwenvl"})
        )
        message = cast("AIMessageChunk", fresh.message)
        for container in (message.additional_kwargs, message.response_metadata, message.model_extra):
            assert container is not None
            container["x"] = 1
        for calls in (message.tool_calls, message.invalid_tool_calls, message.tool_call_chunks):
            cast("list[Any]", calls).append({})
        message.model_fields_set.add("x")
        fresh.model_fields_set.add("x")
    assert "x" not in cast("ChatGenerationChunk", builder.build(TextDelta("a"))).model_fields_set

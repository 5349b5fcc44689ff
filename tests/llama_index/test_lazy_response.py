"""Chunks of a stream: the last one holds the whole answer, and earlier ones never change, however they are read."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.instrumentation.events.llm import LLMChatInProgressEvent
from pydantic import TypeAdapter

from llama_index_qwenvl.lazy_response import LazyChatResponse, to_chunk
from llama_index_qwenvl.responses import to_chat_response
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from qwenvl_core.types.reply import ReplyAccumulator, accumulate

_TEXT = st.text(min_size=1, max_size=5)
_CALL = st.tuples(
    _TEXT, _TEXT, st.lists(st.sampled_from(['{"a":', " 1", "}", "[", '"é"', "{}", ""]), min_size=1, max_size=5)
)
_COUNT = st.integers(0, 99)
_USAGE = st.none() | st.tuples(_COUNT, _COUNT, _COUNT, st.none() | _COUNT, st.none() | _COUNT).map(
    lambda counts: Usage(*counts, raw={"prompt_tokens": counts[0]})
)
_FINISH = st.sampled_from(["stop", "length", "tool_calls"]).flatmap(
    lambda reason: st.sampled_from([Finish(reason), Finish(reason, "qwen3-vl-plus", adjustments=("changed",))])
)


@st.composite
def replies(draw: st.DrawFn) -> list[Event]:
    """Build the events of one reply, split in any way that a server may choose."""
    events: list[Event] = [ReasoningDelta(text) for text in draw(st.lists(_TEXT, max_size=5))]
    events += [TextDelta(text) for text in draw(st.lists(_TEXT, max_size=5))]
    for index, (call_id, name, fragments) in enumerate(draw(st.lists(_CALL, max_size=3))):
        events.append(ToolCallDelta(index, call_id, name, fragments[0]))
        events += [ToolCallDelta(index, None, None, fragment) for fragment in fragments[1:]]
    events += [usage] if (usage := draw(_USAGE)) else []
    return [*events, draw(_FINISH)]


def read_raw(response: ChatResponse) -> dict[str, Any]:
    """Return `raw`, which is a dict in every whole response."""
    assert isinstance(response.raw, dict)
    return response.raw


def chunks_of(events: list[Event]) -> list[ChatResponse]:
    """Convert the events of a reply to the chunks of a stream."""
    accumulator = ReplyAccumulator()
    chunks = []
    for event in events:
        accumulator.add(event)
        chunks.append(to_chunk(event, accumulator.snapshot()))
    return [chunk for chunk in chunks if chunk is not None]


@given(replies())
def test_last_chunk_equals_whole_answer(events: list[Event]) -> None:
    last, whole = chunks_of(events)[-1], to_chat_response(accumulate(events))
    assert last.delta == ""
    assert last.model_copy(update={"delta": None}) == whole
    assert json.loads(whole.model_dump_json())["raw"] == whole.raw


@given(replies())
def test_chunk_deltas_join_to_whole_answer(events: list[Event]) -> None:
    chunks, message = chunks_of(events), to_chat_response(accumulate(events)).message
    assert "".join(chunk.delta or "" for chunk in chunks) == (message.content or "")
    reasoning = "".join(chunk.additional_kwargs.get("thinking_delta", "") for chunk in chunks)
    assert reasoning == message.additional_kwargs.get("reasoning_content", "")


@given(replies(), st.data())
def test_earlier_chunks_stay_unchanged(events: list[Event], data: st.DataObject) -> None:
    """A chunk has the same content whether it is read on arrival or after the last chunk."""
    accumulator, dumps_on_arrival, chunks = ReplyAccumulator(), [], []
    for event in events:
        accumulator.add(event)
        chunks.append(to_chunk(event, accumulator.snapshot()))
        chunk = to_chunk(event, accumulator.snapshot())
        dumps_on_arrival.append(None if chunk is None else chunk.model_dump_json())
    for index in data.draw(st.permutations(range(len(chunks)))):
        chunk = chunks[index]
        assert (None if chunk is None else chunk.model_dump_json()) == dumps_on_arrival[index]


def test_chunks_do_not_share_blocks() -> None:
    chunks = chunks_of([ReasoningDelta("a"), TextDelta("b"), TextDelta("c"), Finish("stop")])
    blocks = [id(block) for chunk in chunks for block in chunk.message.blocks]
    assert len(blocks) == len(set(blocks)) == 7


# --- Chunks whose message has not been built yet, and the equal plain response -------------------------------


def _lazy_chunk() -> ChatResponse:
    """Build a chunk whose message has not been built yet; it equals `_PLAIN`."""
    *_, chunk = chunks_of([ReasoningDelta("Hm."), TextDelta("Yes"), ToolCallDelta(0, "call_1", "crop", '{"x":')])
    assert type(chunk) is LazyChatResponse
    return chunk


_PLAIN = ChatResponse(
    message=ChatMessage(
        role=MessageRole.ASSISTANT,
        blocks=[
            ThinkingBlock(content="Hm.", num_tokens=None),
            TextBlock(text="Yes"),
            ToolCallBlock(tool_call_id="call_1", tool_name="crop", tool_kwargs='{"x":'),
        ],
        additional_kwargs={
            "reasoning_content": "Hm.",
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "crop", "arguments": '{"x":'}}],
        },
    ),
    delta="",
    additional_kwargs={},
)

READS: dict[str, Callable[[ChatResponse], Any]] = {
    "model_dump": lambda chunk: chunk.model_dump(),
    "model_dump exclude_unset": lambda chunk: chunk.model_dump(exclude_unset=True),
    "model_dump_json": lambda chunk: chunk.model_dump_json(),
    "type adapter": lambda chunk: TypeAdapter(ChatResponse).dump_python(chunk),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda chunk: chunk.model_copy(),
    "model_copy deep": lambda chunk: chunk.model_copy(deep=True),
    "model_copy update": lambda chunk: chunk.model_copy(update={"delta": "x"}),
    "pickle": lambda chunk: pickle.loads(pickle.dumps(chunk)),
    "validate": lambda chunk: ChatResponse.model_validate_json(chunk.model_dump_json()),
    "repr": repr,
    "str": str,
    "dict": dict,
    "vars": vars,
    "fields set": lambda chunk: chunk.model_fields_set,
    "message": lambda chunk: chunk.message,
    "getattr": lambda chunk: getattr(chunk, "message", None),
    "hasattr": lambda chunk: hasattr(chunk, "something"),
    "event": lambda chunk: LLMChatInProgressEvent(messages=[], response=chunk).model_dump()["response"],
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_lazy_chunk_read_gives_same_result_as_plain_response(read: Callable[[ChatResponse], Any]) -> None:
    lazy, plain = read(_lazy_chunk()), read(_PLAIN)
    assert lazy == plain
    assert type(lazy) is type(plain)


def test_lazy_chunk_equals_plain_response() -> None:
    assert _lazy_chunk() == _PLAIN
    assert _PLAIN == _lazy_chunk()  # noqa: SIM300 - calls the other `__eq__`
    assert _lazy_chunk() == _lazy_chunk()
    assert _lazy_chunk() != _PLAIN.model_copy(update={"delta": "x"})
    something_else: object = "something else"
    assert _lazy_chunk() != something_else


def test_lazy_chunk_can_be_changed() -> None:
    chunk = _lazy_chunk()
    chunk.delta = "changed"
    assert chunk.delta == "changed"
    assert chunk.message == _PLAIN.message
    chunk.message = ChatMessage(content="mine")
    assert chunk.message.content == "mine"


def test_lazy_chunk_unknown_attribute_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _lazy_chunk().nothing  # type: ignore[attr-defined]  # noqa: B018


def test_event_with_lazy_chunk_does_not_build_its_message() -> None:
    chunk = _lazy_chunk()
    assert LLMChatInProgressEvent(messages=[], response=chunk).response is chunk
    assert type(chunk) is LazyChatResponse


# --- Content of the last chunk -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason", "kwargs"),
    [
        ('{"x": 1}', "tool_calls", {"x": 1}),
        ("{}", "stop", {}),
        ("", "tool_calls", {}),
        ("", "length", None),
        ('{"x": 1', "length", None),
        ('{"x": 1', "tool_calls", None),
        ("[1]", "tool_calls", None),
        ("null", "tool_calls", {}),
        ("nul", "tool_calls", None),
    ],
)
def test_call_that_must_not_be_executed_has_no_block(arguments: str, reason: str, kwargs: Any) -> None:
    message = to_chat_response(accumulate([ToolCallDelta(0, "call_1", "crop", arguments), Finish(reason)])).message
    valid = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    invalid = message.additional_kwargs.get("invalid_tool_calls", [])
    if kwargs is None:
        assert valid == []
        assert [(call["id"], call["name"], call["args"]) for call in invalid] == [("call_1", "crop", arguments)]
        assert "tool_calls" not in message.additional_kwargs
    else:
        assert [(block.tool_call_id, block.tool_name, block.tool_kwargs) for block in valid] == [
            ("call_1", "crop", kwargs)
        ]
        assert invalid == []


def test_usage_is_reported_in_raw_and_additional_kwargs() -> None:
    raw = {"prompt_tokens": 24, "completion_tokens": 9, "total_tokens": 33}
    usage = Usage(24, 9, 33, reasoning=4, cached=2, image=10, video=0, raw=raw)
    response = to_chat_response(accumulate([ReasoningDelta("Hm."), TextDelta("Yes."), usage, Finish("stop")]))
    assert read_raw(response)["usage"] == raw
    assert response.additional_kwargs == raw | {
        "reasoning_tokens": 4,
        "cached_tokens": 2,
        "image_tokens": 10,
        "video_tokens": 0,
        "finish_reason": "stop",
        "provider": "model-studio",
    }
    thinking = response.message.blocks[0]
    assert isinstance(thinking, ThinkingBlock)
    assert thinking.num_tokens == 4


def test_usage_of_dashscope_api_has_names_of_both_apis() -> None:
    usage = Usage(24, 9, 33, raw={"input_tokens": 24, "output_tokens": 9})
    response = to_chat_response(accumulate([usage, Finish("stop")]))
    assert read_raw(response)["usage"] == {
        "prompt_tokens": 24,
        "completion_tokens": 9,
        "total_tokens": 33,
        "input_tokens": 24,
        "output_tokens": 9,
    }


def test_server_extras_do_not_replace_own_fields_of_raw() -> None:
    finish = Finish("stop", "m", "id-1", "r-1", extras={"id": 1, "usage": 3, "more": 2})
    raw = read_raw(to_chat_response(accumulate([finish])))
    assert (raw["id"], raw["usage"], raw["more"]) == ("id-1", None, 2)


def test_logprobs_are_converted_and_kept_in_raw() -> None:
    entry = {"token": "Yes", "logprob": -0.1, "bytes": None}
    content = [{**entry, "top_logprobs": [entry, {**entry, "token": "No"}]}, {**entry, "top_logprobs": []}]
    response = to_chat_response(
        accumulate([TextDelta("Yes"), Finish("stop", extras={"logprobs": {"content": content}})])
    )
    assert response.logprobs is not None
    assert [[alternative.token for alternative in token] for token in response.logprobs] == [["Yes", "No"], ["Yes"]]
    assert read_raw(response)["logprobs"] == {"content": content}

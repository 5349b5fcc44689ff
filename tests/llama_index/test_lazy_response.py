"""Chunks: the last one is the whole answer, and an earlier one never changes, however it is looked at."""

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
    """The events of one reply, as any server might cut it."""
    events: list[Event] = [ReasoningDelta(text) for text in draw(st.lists(_TEXT, max_size=5))]
    events += [TextDelta(text) for text in draw(st.lists(_TEXT, max_size=5))]
    for slot, (call_id, name, pieces) in enumerate(draw(st.lists(_CALL, max_size=3))):
        events.append(ToolCallDelta(slot, call_id, name, pieces[0]))
        events += [ToolCallDelta(slot, None, None, piece) for piece in pieces[1:]]
    events += [usage] if (usage := draw(_USAGE)) else []
    return [*events, draw(_FINISH)]


def read_raw(response: ChatResponse) -> dict[str, Any]:
    """Return `raw`, which is a dict in every whole response."""
    assert isinstance(response.raw, dict)
    return response.raw


def chunks_of(events: list[Event]) -> list[ChatResponse]:
    accumulator = ReplyAccumulator()
    chunks = []
    for event in events:
        accumulator.add(event)
        chunks.append(to_chunk(event, accumulator.snapshot()))
    return [chunk for chunk in chunks if chunk is not None]


@given(replies())
def test_the_last_chunk_is_the_whole_answer(events: list[Event]) -> None:
    last, whole = chunks_of(events)[-1], to_chat_response(accumulate(events))
    assert last.delta == ""
    assert last.model_copy(update={"delta": None}) == whole
    assert json.loads(whole.model_dump_json())["raw"] == whole.raw


@given(replies())
def test_deltas_add_up_to_the_answer(events: list[Event]) -> None:
    chunks, message = chunks_of(events), to_chat_response(accumulate(events)).message
    assert "".join(chunk.delta or "" for chunk in chunks) == (message.content or "")
    thought = "".join(chunk.additional_kwargs.get("thinking_delta", "") for chunk in chunks)
    assert thought == message.additional_kwargs.get("reasoning_content", "")


@given(replies(), st.data())
def test_earlier_chunks_never_change(events: list[Event], data: st.DataObject) -> None:
    """What a chunk shows is the same whether it is looked at when it comes, when all have come, or twice."""
    accumulator, at_once, late = ReplyAccumulator(), [], []
    for event in events:
        accumulator.add(event)
        late.append(to_chunk(event, accumulator.snapshot()))
        shown = to_chunk(event, accumulator.snapshot())
        at_once.append(None if shown is None else shown.model_dump_json())
    for at in data.draw(st.permutations(range(len(late)))):
        chunk = late[at]
        assert (None if chunk is None else chunk.model_dump_json()) == at_once[at]


def test_chunks_share_no_blocks() -> None:
    chunks = chunks_of([ReasoningDelta("a"), TextDelta("b"), TextDelta("c"), Finish("stop")])
    blocks = [id(block) for chunk in chunks for block in chunk.message.blocks]
    assert len(blocks) == len(set(blocks)) == 7


# --- A chunk that nobody has looked at yet, and the response it stands for -----------------------------------


def _unseen() -> ChatResponse:
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

LOOKS: dict[str, Callable[[ChatResponse], Any]] = {
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


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_an_unseen_chunk_looks_like_the_plain_response(look: Callable[[ChatResponse], Any]) -> None:
    seen, plain = look(_unseen()), look(_PLAIN)
    assert seen == plain
    assert type(seen) is type(plain)


def test_an_unseen_chunk_equals_the_plain_response() -> None:
    assert _unseen() == _PLAIN
    assert _PLAIN == _unseen()  # noqa: SIM300 - the other way round is another way
    assert _unseen() == _unseen()
    assert _unseen() != _PLAIN.model_copy(update={"delta": "x"})
    something_else: object = "something else"
    assert _unseen() != something_else


def test_an_unseen_chunk_can_be_changed() -> None:
    chunk = _unseen()
    chunk.delta = "changed"
    assert chunk.delta == "changed"
    assert chunk.message == _PLAIN.message
    chunk.message = ChatMessage(content="mine")
    assert chunk.message.content == "mine"


def test_what_no_chunk_has_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _unseen().nothing  # type: ignore[attr-defined]  # noqa: B018


def test_an_event_keeps_an_unseen_chunk_unseen() -> None:
    chunk = _unseen()
    assert LLMChatInProgressEvent(messages=[], response=chunk).response is chunk
    assert type(chunk) is LazyChatResponse


# --- What the last chunk holds -------------------------------------------------------------------------------


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
        ("null", "tool_calls", None),
    ],
)
def test_a_call_that_must_not_be_executed_is_no_block(arguments: str, reason: str, kwargs: Any) -> None:
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


def test_usage_by_all_its_names() -> None:
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
    }
    thinking = response.message.blocks[0]
    assert isinstance(thinking, ThinkingBlock)
    assert thinking.num_tokens == 4


def test_usage_in_the_other_apis_words_is_found_under_both() -> None:
    usage = Usage(24, 9, 33, raw={"input_tokens": 24, "output_tokens": 9})
    response = to_chat_response(accumulate([usage, Finish("stop")]))
    assert read_raw(response)["usage"] == {
        "prompt_tokens": 24,
        "completion_tokens": 9,
        "total_tokens": 33,
        "input_tokens": 24,
        "output_tokens": 9,
    }


def test_extras_take_no_place_of_ours() -> None:
    finish = Finish("stop", "m", "id-1", "r-1", extras={"id": 1, "usage": 3, "more": 2})
    raw = read_raw(to_chat_response(accumulate([finish])))
    assert (raw["id"], raw["usage"], raw["more"]) == ("id-1", None, 2)


def test_logprobs() -> None:
    one = {"token": "Yes", "logprob": -0.1, "bytes": None}
    content = [{**one, "top_logprobs": [one, {**one, "token": "No"}]}, {**one, "top_logprobs": []}]
    response = to_chat_response(
        accumulate([TextDelta("Yes"), Finish("stop", extras={"logprobs": {"content": content}})])
    )
    assert response.logprobs is not None
    assert [[alternative.token for alternative in token] for token in response.logprobs] == [["Yes", "No"], ["Yes"]]
    assert read_raw(response)["logprobs"] == {"content": content}

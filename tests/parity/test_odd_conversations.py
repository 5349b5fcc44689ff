"""Build odd conversations at random: the strict emulator accepts each, and nothing is lost without a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ThinkingBlock, ToolCallBlock

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator
from tests.support.media_files import grey_png
from tests.support.model_factories import model_factory

URL = "https://example.com/a.png"
TINY = grey_png(5, 5)
MODELS = ["qwen3-vl-plus", "qwen3.8-max", "qwen3.7-max", "qvq-max", "qwen-vl-ocr-latest"]


class Turn(NamedTuple):
    """A message of a conversation, for both frameworks; `ids` are those of calls or of the answered call."""

    kind: str
    ids: tuple[str, ...] = ()


_IDS = st.sampled_from(["", "a", "b", "0"])
TURNS = st.one_of(
    st.sampled_from(["user", "system", "answer", "reasoned answer", "answer with a picture"]).map(Turn),
    st.lists(_IDS, min_size=1, max_size=3).map(lambda ids: Turn("calls", tuple(ids))),
    st.tuples(st.sampled_from(["result", "picture", "broken picture", "path"]), _IDS).map(
        lambda pair: Turn(pair[0], (pair[1],))
    ),
)


def build_langchain(index: int, turn: Turn) -> AnyMessage:
    text = f"text-{index}-end"
    blocks: dict[str, list[Any]] = {
        "result": [text],
        "picture": [text, {"type": "image", "url": URL}],
        "broken picture": [text, {"type": "image", "url": TINY}],
        "path": [text, {"type": "image", "url": "file:///etc/passwd"}],
    }
    match turn.kind:
        case "user":
            return HumanMessage(text)
        case "system":
            return SystemMessage(text)
        case "answer":
            return AIMessage(text)
        case "reasoned answer":
            return AIMessage(text, additional_kwargs={"reasoning_content": "Hm."})
        case "answer with a picture":
            return AIMessage([text, {"type": "image", "url": URL}])
        case "calls":
            calls = [{"id": call_id, "name": "crop", "args": {}, "type": "tool_call"} for call_id in turn.ids]
            return AIMessage(text, tool_calls=calls)
        case _:
            return ToolMessage(blocks[turn.kind], tool_call_id=turn.ids[0])


def build_llama_index(index: int, turn: Turn) -> ChatMessage:
    text = TextBlock(text=f"text-{index}-end")
    pictures = {
        "picture": ImageBlock(url=URL),
        "broken picture": ImageBlock(image=TINY),
        "path": ImageBlock(url="file:///etc/passwd"),
        "answer with a picture": ImageBlock(url=URL),
    }
    blocks: list[Any] = [text, *([pictures[turn.kind]] if turn.kind in pictures else [])]
    match turn.kind:
        case "user" | "system":
            return ChatMessage(role=turn.kind, blocks=blocks)
        case "answer" | "answer with a picture":
            return ChatMessage(role="assistant", blocks=blocks)
        case "reasoned answer":
            return ChatMessage(role="assistant", blocks=[ThinkingBlock(content="Hm."), text])
        case "calls":
            calls = [ToolCallBlock(tool_call_id=call_id, tool_name="crop", tool_kwargs={}) for call_id in turn.ids]
            return ChatMessage(role="assistant", blocks=[text, *calls])
        case _:
            extra_fields = {"tool_call_id": turn.ids[0]} if turn.ids[0] else {}
            return ChatMessage(role="tool", blocks=blocks, additional_kwargs=extra_fields)


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope="module", params=["openai", "dashscope"])
def models(request: pytest.FixtureRequest, server: Emulator) -> Iterator[tuple[ChatQwenVL, QwenVL]]:
    base_url = server.compat_url if request.param == "openai" else server.native_url
    with model_factory(ChatQwenVL, base_url) as make, model_factory(QwenVL, base_url) as make_llama_index:
        yield make(api=request.param), make_llama_index(api=request.param)


def read_body(server: Emulator) -> dict[str, Any]:
    body: dict[str, Any] = server.requests[-1].json
    return body


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(MODELS), st.lists(TURNS, min_size=1, max_size=8))
def test_odd_conversation_is_accepted_and_nothing_is_lost(
    server: Emulator, models: tuple[ChatQwenVL, QwenVL], model: str, turns: Sequence[Turn]
) -> None:
    langchain, llama_index = models
    conversation = [build_langchain(index, turn) for index, turn in enumerate(turns)]
    reply = langchain.invoke(conversation, model=model)
    body = read_body(server)
    llama_index.chat([build_llama_index(index, turn) for index, turn in enumerate(turns)], model=model)
    assert read_body(server) == body
    assert not server.refusals
    adjustments = reply.response_metadata.get("adjustments", [])
    for index, turn in enumerate(turns):
        assert f"text-{index}-end" in str(body) or is_reported(turn, adjustments)
    if "This call was not executed." in str(body):
        assert any("were not executed" in note for note in adjustments)


def is_reported(turn: Turn, adjustments: Sequence[str]) -> bool:
    """Return whether a turn is a second result, which is left out and named in the report."""
    return any(note.startswith("second results") and turn.ids[0] in note for note in adjustments)


CASES: dict[str, list[Turn]] = {
    "calls without results": [Turn("user"), Turn("calls", ("a", "b"))],
    "a result without its call": [Turn("result", ("a",))],
    "system messages alone": [Turn("system"), Turn("system")],
    "an answer alone": [Turn("answer")],
    "no user message": [Turn("system"), Turn("calls", ("a",)), Turn("result", ("a",))],
    "a picture between results": [
        Turn("user"),
        Turn("calls", ("a", "b")),
        Turn("picture", ("a",)),
        Turn("user"),
        Turn("broken picture", ("b",)),
    ],
}


@pytest.mark.parametrize("turns", CASES.values(), ids=CASES)
@pytest.mark.parametrize("model", MODELS)
def test_known_odd_conversation_is_accepted(
    model: str, turns: Sequence[Turn], server: Emulator, models: tuple[ChatQwenVL, QwenVL]
) -> None:
    langchain, llama_index = models
    reply = langchain.invoke([build_langchain(index, turn) for index, turn in enumerate(turns)], model=model)
    body = read_body(server)
    list(llama_index.stream_chat([build_llama_index(index, turn) for index, turn in enumerate(turns)], model=model))
    assert read_messages(read_body(server)) == read_messages(body)
    assert not server.refusals
    assert reply.response_metadata["adjustments"]


def read_messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = body.get("messages") or body["input"]["messages"]
    return messages

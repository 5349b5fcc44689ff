"""Replies of other servers, in both frameworks: line breaks, thoughts against the request, errors, detection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from llama_index.core.base.llms.types import ChatMessage, MessageRole

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.client.provider_detection import Detection, parse_models
from qwenvl_core.errors import QwenVLAuthenticationError, QwenVLError
from tests.support.pipeline import chunk, sse
from tests.support.raw_server import RawServer

HYBRID = "Qwen/Qwen3.5-27B"
CLASSES = [ChatQwenVL, QwenVL]


@contextmanager
def answering(*bodies: tuple[str, str, bytes]) -> Iterator[RawServer]:
    """Serve replies, each a status, a content type and a body."""
    scripts: list[Sequence[bytes]] = []
    for status, content_type, body in bodies:
        head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        scripts.append([head.encode() + body])
    server = RawServer(scripts)
    try:
        yield server
    finally:
        server.close()


def stream_of(*chunks: dict[str, Any]) -> tuple[str, str, bytes]:
    return "200 OK", "text/event-stream", sse(*chunks)


def whole(**message: Any) -> tuple[str, str, bytes]:
    payload = {"id": "1", "model": "m", "choices": [{"message": message, "finish_reason": "stop", "index": 0}]}
    return "200 OK", "application/json", json.dumps(payload).encode()


def ask(cls: Any, server: RawServer, messages: Any = "Hi", **keywords: Any) -> tuple[str, str, list[str], Any]:
    """Return text, reasoning, adjustments and provider of a reply."""
    model = cls(**{"model": HYBRID, "base_url": server.url, "provider": "vllm", "max_retries": 0, **keywords})
    try:
        if cls is ChatQwenVL:
            reply = model.invoke(messages)
            metadata = reply.response_metadata
            reasoning = reply.additional_kwargs.get("reasoning_content", "")
            return reply.text, reasoning, metadata.get("adjustments", []), metadata["provider"]
        turns = [ChatMessage(messages)] if isinstance(messages, str) else messages
        response = model.chat(turns)
        extra = response.additional_kwargs
        message = response.message
        reasoning = message.additional_kwargs.get("reasoning_content", "")
        return message.content or "", reasoning, extra.get("adjustments", []), extra["provider"]
    finally:
        model.close()


@pytest.mark.parametrize("cls", CLASSES)
def test_line_breaks_in_front_of_text_and_reasoning_are_dropped(cls: Any) -> None:
    pieces = [chunk(reasoning="\n"), chunk(reasoning="\nI think"), chunk(reasoning="\n."), chunk(content="\n"),
              chunk(content="\n  An\nanswer\n"), chunk("stop")]  # fmt: skip
    with answering(stream_of(*pieces)) as server:
        assert ask(cls, server) == ("  An\nanswer\n", "I think\n.", [], "vllm")


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_of_line_breaks_alone_is_none(cls: Any, streamed: bool) -> None:
    reply = whole(content="Yes.", reasoning_content="\n\n")
    if streamed:
        reply = stream_of(chunk(reasoning_content="\n"), chunk(reasoning_content="\n"), chunk("stop", content="Yes."))
    with answering(reply) as server:
        assert ask(cls, server, enable_thinking=False, provider="transformers") == ("Yes.", "", [], "transformers")


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("space", ["\u2028", "\u3000", "  ", "\t\n"])
def test_reasoning_of_other_white_space_is_kept(cls: Any, streamed: bool, space: str) -> None:
    reply = whole(content="Yes.", reasoning_content=f"\r\n{space}")
    if streamed:
        pieces = [chunk(reasoning_content="\r"), chunk(reasoning_content=f"\n{space}"), chunk("stop", content="Yes.")]
        reply = stream_of(*pieces)
    with answering(reply) as server:
        assert ask(cls, server, enable_thinking=False) == ("Yes.", space, [], "vllm")  # no thought to report


@pytest.mark.parametrize("cls", CLASSES)
def test_thoughts_against_the_request_are_reported(cls: Any) -> None:
    with answering(whole(content="Yes.", reasoning="Hm.")) as server:
        text, reasoning, adjustments, _ = ask(cls, server, enable_thinking=False)
    assert (text, reasoning) == ("Yes.", "Hm.")
    assert adjustments == ["the server thinks although enable_thinking=False was sent"]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("content", ["One, two, three", ", three"])
def test_repeated_beginning_of_a_whole_continuation_is_dropped(cls: Any, content: str) -> None:
    messages: list[Any] = [HumanMessage("Count"), AIMessage("One, two", additional_kwargs={"partial": True})]
    if cls is QwenVL:
        partial = ChatMessage(role=MessageRole.ASSISTANT, content="One, two", additional_kwargs={"partial": True})
        messages = [ChatMessage("Count"), partial]
    with answering(whole(content=content)) as server:
        assert ask(cls, server, messages, provider="llama.cpp")[0] == ", three"


@pytest.mark.parametrize("cls", CLASSES)
def test_continuation_keeps_its_first_line_break(cls: Any) -> None:
    messages: list[Any] = [HumanMessage("List"), AIMessage("- a", additional_kwargs={"partial": True})]
    if cls is QwenVL:
        partial = ChatMessage(role=MessageRole.ASSISTANT, content="- a", additional_kwargs={"partial": True})
        messages = [ChatMessage("List"), partial]
    with answering(whole(content="\n- b")) as server:
        assert ask(cls, server, messages)[0] == "\n- b"


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("provider", "words"),
    [("vllm", ["api_key=", "provider="]), ("groq", ["GROQ_API_KEY"]), ("openai-compatible", ["api_key=", "provider="])],
)
def test_refused_key_names_the_way_out_of_the_provider(cls: Any, provider: str, words: list[str]) -> None:
    with answering(("401 Unauthorized", "application/json", b'{"error": "Unauthorized"}')) as server:
        with pytest.raises(QwenVLAuthenticationError) as caught:
            ask(cls, server, provider=provider, api_key="k")
        assert all(word in caught.value.hint for word in words)
        assert "region" not in str(caught.value)


@pytest.mark.parametrize("cls", CLASSES)
def test_missing_model_names_no_region(cls: Any) -> None:
    body = b'{"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}}'
    with answering(("404 Not Found", "application/json", body)) as server:
        with pytest.raises(QwenVLError, match="GET /models") as caught:
            ask(cls, server)
        assert "region" not in str(caught.value)


LIST = json.dumps({"object": "list", "data": [{"id": HYBRID, "owned_by": "vllm", "max_model_len": 9000}]}).encode()


@pytest.mark.parametrize("cls", CLASSES)
def test_auto_asks_once_and_speaks_the_dialect(cls: Any) -> None:
    answer = stream_of(chunk("stop", content="Yes."))
    with answering(("200 OK", "application/json", LIST), answer, answer) as server:
        model = cls(model=HYBRID, base_url=server.url, provider="auto")
        for _ in range(2):
            model.invoke("Hi") if cls is ChatQwenVL else model.complete("Hi")
        model.close()
        question, *sent = server.bodies
    assert question == b""
    assert [json.loads(body)["chat_template_kwargs"] for body in sent] == [{"enable_thinking": True}] * 2


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "reply",
    [
        ("404 Not Found", "text/html", b"<html>"),
        ("200 OK", "application/json", b"[1]"),
        ("500 Oops", "text/plain", b""),
    ],
)
def test_auto_falls_back_to_the_guess(cls: Any, reply: tuple[str, str, bytes]) -> None:
    with answering(reply, stream_of(chunk("stop", content="Yes."))) as server:
        assert ask(cls, server, provider="auto")[3] == "openai-compatible"


def test_concurrent_calls_share_the_question() -> None:
    answer = stream_of(chunk("stop", content="Yes."))
    with answering(("200 OK", "application/json", LIST), answer, answer, answer) as server:
        model = ChatQwenVL(model=HYBRID, base_url=server.url, provider="auto")

        async def call() -> list[str]:
            replies = await asyncio.gather(*(model.ainvoke("Hi") for _ in range(3)))
            await model.aclose()
            return [reply.response_metadata["provider"] for reply in replies]

        assert asyncio.run(call()) == ["vllm"] * 3
        assert [body for body in server.bodies if not body] == [b""]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 7}]}, Detection("vllm", 7)),
        ({"data": [{"id": "x.gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 8}}]}, Detection("llama.cpp", 8)),
        ({"data": [{"id": "x", "owned_by": "library"}]}, Detection()),
        ({"data": [{"id": "a", "max_model_len": 5}, {"id": "m", "max_model_len": 6}]}, Detection(None, 6)),
        ({"data": [{"id": "a", "max_model_len": 5}, {"id": "b", "max_model_len": 6}]}, Detection()),
        ({"data": [{"id": "m", "owned_by": ["vllm"], "max_model_len": True, "meta": None}]}, Detection()),
        ({"data": []}, Detection()),
        ({"data": None}, Detection()),
        ({"data": ["m"]}, Detection()),
        ([], Detection()),
        ("text", Detection()),
    ],
)
def test_parse_models_reads_owner_and_window(payload: Any, expected: Detection) -> None:
    assert parse_models(json.dumps(payload).encode(), "m") == expected
    assert parse_models(b"\xff not json", "m") == Detection()

"""Replies over both APIs are the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.types.events import Usage
from qwenvl_core.types.reply import Reply
from tests.core.client.scripted import both_call_modes
from tests.core.transport.native import KEY, TOOL, create_client, fetch_reply, make_request
from tests.emulator import Emulator, Quirks, ToolCall
from tests.emulator import Reply as Scripted
from tests.support.pipeline import CallMode

# --- both APIs --------------------------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[Scripted, dict[str, Any]]] = {
    "text": (Scripted(text="好的 ok"), {}),
    "thinking": (Scripted(reasoning="Hm, 好", text="Yes."), {"enable_thinking": True}),
    "only thinking": (Scripted(reasoning="Hm", finish="length"), {"enable_thinking": True}),
    "tools": (
        Scripted(
            reasoning="Two.",
            text="Wait.",
            tool_calls=[ToolCall("call_1", "crop", '{"x": "好"}'), ToolCall("call_2", "crop", "{}")],
        ),
        {"enable_thinking": True, "tools": (TOOL,)},
    ),
    "usage": (
        Scripted(text="A", usage={"prompt": 9, "completion": 4, "reasoning": 2, "image": 3, "video": 1, "cached": 5}),
        {},
    ),
    "log probabilities": (
        Scripted(text=["A", "B"], choice_extra={"logprobs": {"content": [{"token": "A"}]}}),
        {"logprobs": True},
    ),
    "search": (Scripted(text="A", quirks=Quirks(search_info=True)), {}),
}


def endpoints(emulator: Emulator) -> list[tuple[Api, str]]:
    return [("openai", emulator.compat_url), ("dashscope", emulator.native_url)]


@both_call_modes
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ANSWERS)
def test_accumulated_reply_is_the_same_over_both_apis(
    emulator: Emulator, name: str, stream: bool, call_mode: CallMode
) -> None:
    answer, settings = ANSWERS[name]
    replies = []
    for api, url in endpoints(emulator):
        emulator.reset()
        emulator.script(answer)
        replies.append(fetch_reply(create_client(url, api=api), make_request(stream=stream, **settings), call_mode))
    compatible, native = (comparable(reply) for reply in replies)
    assert native == compatible
    assert native["request_id"]


def comparable(reply: Reply) -> dict[str, Any]:
    """Return what both APIs must agree on: all but the prefix of the ids and the raw usage."""
    assert isinstance(reply.usage, Usage)
    finish = reply.finish
    return {
        "reasoning": reply.reasoning,
        "text": reply.text,
        "calls": reply.tool_calls,
        "usage": reply.usage._replace(raw={}),
        "reason": finish.finish_reason,
        "model": finish.model,
        "request_id": finish.request_id,
        "adjustments": finish.adjustments,
        "extras": finish.extras,
    }


@both_call_modes
@pytest.mark.parametrize("method", ["stream", "invoke"])
@pytest.mark.parametrize("name", ["text", "thinking", "tools", "usage"])
def test_langchain_messages_are_the_same_over_both_apis(
    emulator: Emulator, name: str, method: str, call_mode: CallMode
) -> None:
    from langchain_qwenvl import ChatQwenVL  # here, so that the other tests need the core alone

    answer, settings = ANSWERS[name]
    messages = []
    for api, url in endpoints(emulator):
        emulator.reset()
        emulator.script(answer)
        llm = ChatQwenVL(api=api, base_url=url, api_key=SecretStr(KEY))
        messages.append(
            asyncio.run(afetch_message(llm, method, settings))
            if call_mode == "async"
            else fetch_message(llm, method, settings)
        )
        llm.close()
    compatible, native = (comparable_message(message) for message in messages)
    assert native == compatible


def fetch_message(llm: Any, method: str, settings: dict[str, Any]) -> Any:
    if method == "invoke":
        return llm.invoke("Hi", **settings)
    first, *rest = llm.stream("Hi", **settings)
    return sum(rest, first)


async def afetch_message(llm: Any, method: str, settings: dict[str, Any]) -> Any:
    if method == "invoke":
        return await llm.ainvoke("Hi", **settings)
    first, *rest = [chunk async for chunk in llm.astream("Hi", **settings)]
    return sum(rest, first)


def comparable_message(message: Any) -> dict[str, Any]:
    metadata = {name: value for name, value in message.response_metadata.items() if name not in ("id", "token_usage")}
    return {
        "content": message.content,
        "blocks": message.content_blocks,
        "kwargs": message.additional_kwargs,
        "calls": message.tool_calls,
        "usage": message.usage_metadata,
        "metadata": metadata,
    }

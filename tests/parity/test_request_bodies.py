"""Test that every conversation gives the same request body and the same answer in every call mode and API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from pydantic import SecretStr

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator
from tests.emulator.replies import split_text
from tests.parity.call_modes import APIS, Api, sum_chunks
from tests.parity.conversations import PATH, PNG, ROWS, Row

# One event loop, and so one async client of each model, for all rows.
pytestmark = pytest.mark.asyncio(loop_scope="module")

every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
every_api = pytest.mark.parametrize("api", APIS)


@pytest.fixture(scope="module", autouse=True)
def _image_file() -> Iterator[None]:
    PATH.write_bytes(PNG)
    yield
    PATH.unlink()


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


class Models(NamedTuple):
    """The models of both frameworks for one API."""

    langchain: ChatQwenVL
    llama_index: QwenVL


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models(server: Emulator) -> AsyncIterator[dict[Api, Models]]:
    """Make one model of each framework for each API."""
    urls: dict[Api, str] = {"openai": server.compat_url, "dashscope": server.native_url}
    key = SecretStr("sk-test")
    pairs = {
        api: Models(ChatQwenVL(api=api, base_url=url, api_key=key), QwenVL(api=api, base_url=url, api_key=key))
        for api, url in urls.items()
    }
    yield pairs
    for model in (model for pair in pairs.values() for model in pair):
        model.close()
        await model.aclose()


class Report(NamedTuple):
    """An answer with its metadata, independent of the framework."""

    reasoning: str
    text: str
    calls: list[tuple[str | None, str, Any]]
    invalid: list[tuple[str | None, str | None, str | None]]
    usage: dict[str, int]
    finish: str
    adjustments: list[str]
    model: str
    logprobs: Any


_LANGCHAIN_DETAILS = {
    "cache_read": "cached", "cache_creation": "cache_creation", "image": "image", "video": "video",
    "reasoning": "reasoning",
}  # fmt: skip


def report_langchain(message: AIMessage) -> Report:
    """Report a LangChain message."""
    usage, metadata = message.usage_metadata, message.response_metadata
    assert usage is not None
    details: dict[str, Any] = {**usage.get("input_token_details", {}), **usage.get("output_token_details", {})}
    return Report(
        message.additional_kwargs.get("reasoning_content", ""),
        str(message.content),
        [(call["id"], call["name"], call["args"]) for call in message.tool_calls],
        [(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls],
        {
            "prompt": usage["input_tokens"], "completion": usage["output_tokens"], "total": usage["total_tokens"],
            **{_LANGCHAIN_DETAILS[name]: count for name, count in details.items()},
        },
        metadata["finish_reason"],
        metadata.get("adjustments", []),
        metadata["model_name"],
        metadata.get("logprobs"),
    )  # fmt: skip


def report_llama_index(response: ChatResponse) -> Report:
    """Report a LlamaIndex response."""
    extra, metadata = response.message.additional_kwargs, response.additional_kwargs
    raw: dict[str, Any] = response.raw or {}
    blocks = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
    return Report(
        extra.get("reasoning_content", ""),
        response.message.content or "",
        [(block.tool_call_id, block.tool_name, block.tool_kwargs) for block in blocks],
        [(call["id"], call["name"], call["args"]) for call in extra.get("invalid_tool_calls", [])],
        {name.removesuffix("_tokens"): count for name, count in metadata.items() if name.endswith("_tokens")},
        metadata["finish_reason"],
        metadata.get("adjustments", []),
        raw["model"],
        raw.get("logprobs"),
    )


def report_langchain_chunks(chunks: list[Any], row: Row) -> Report:
    """Report the sum of LangChain's chunks.

    LangChain repairs the arguments of an invalid call in the sum, so that call is taken from the row.
    """
    report = report_langchain(sum_chunks(chunks))
    return report if row.invalid is None else report._replace(calls=report.calls[:1], invalid=[row.invalid])


async def call_every_mode(models: Models, row: Row) -> AsyncIterator[tuple[bool, Report]]:
    """Send a row in every call mode; yield whether it was streamed, and the report."""
    langchain, llama_index = models
    settings = {**row.settings, "model": row.model}
    messages, chat_messages = list(row.langchain), list(row.llama_index)
    yield False, report_langchain(langchain.invoke(messages, **settings))
    yield False, report_llama_index(llama_index.chat(chat_messages, **settings))
    yield False, report_langchain(await langchain.ainvoke(messages, **settings))
    yield False, report_llama_index(await llama_index.achat(chat_messages, **settings))
    yield True, report_langchain_chunks(list(langchain.stream(messages, **settings)), row)
    yield True, report_llama_index(list(llama_index.stream_chat(chat_messages, **settings))[-1])
    yield True, report_langchain_chunks([chunk async for chunk in langchain.astream(messages, **settings)], row)
    yield (
        True,
        report_llama_index([chunk async for chunk in await llama_index.astream_chat(chat_messages, **settings)][-1]),
    )


def is_always_streamed(row: Row) -> bool:
    """Whether the request streams in every call mode, because the model thinks."""
    always_thinks = row.model.startswith("qvq") or row.model.endswith("thinking")
    return always_thinks or row.body.get("enable_thinking") is True


@every_api
@every_row
async def test_conversation_gives_same_body_and_report_in_every_mode(
    server: Emulator, models: dict[Api, Models], row: Row, api: Api
) -> None:
    server.reset()
    server.script(*[row.reply] * 8)
    reports: list[Report] = []
    bodies: dict[bool, list[Any]] = {True: [], False: []}
    async for streamed, report in call_every_mode(models[api], row):
        reports.append(report)
        bodies[streamed or is_always_streamed(row)].append(server.requests[-1].json)
    assert server.refusals == []
    for equal_bodies in bodies.values():
        assert all(body == equal_bodies[0] for body in equal_bodies)
    if api == "openai":
        for streamed, equal_bodies in bodies.items():
            streaming = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
            for body in equal_bodies[:1]:
                assert body == {"model": row.model, "messages": list(row.messages), **row.body, **streaming}
    first = reports[0]
    assert all(report == first for report in reports)
    assert first.reasoning == "".join(split_text(row.reply.reasoning))
    assert first.text == "".join(split_text(row.reply.text))
    assert first.finish == row.reply.finish_reason
    assert len(first.calls) + len(first.invalid) == len(row.reply.tool_calls)
    assert first.invalid == ([] if row.invalid is None else [row.invalid])
    assert len(first.adjustments) == row.adjustments

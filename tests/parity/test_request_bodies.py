"""Same bytes: every conversation through both frameworks, both APIs, sync and async, streamed and not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator
from tests.emulator.replies import split_text
from tests.parity.conversations import PATH, PNG, ROWS, Row

# One loop, and so one async client of each, for all rows.
pytestmark = pytest.mark.asyncio(loop_scope="module")

every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
every_api = pytest.mark.parametrize("api", ["openai", "dashscope"])


@pytest.fixture(scope="module", autouse=True)
def _picture() -> Iterator[None]:
    PATH.write_bytes(PNG)
    yield
    PATH.unlink()


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


class Models(NamedTuple):
    langchain: ChatQwenVL
    llama_index: QwenVL


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models(server: Emulator) -> AsyncIterator[dict[str, Models]]:
    """One model of each framework for each API."""
    urls = {"openai": server.compat_url, "dashscope": server.native_url}
    made = {
        api: Models(
            ChatQwenVL(api=api, base_url=url, api_key="sk-test"), QwenVL(api=api, base_url=url, api_key="sk-test")
        )
        for api, url in urls.items()
    }
    yield made
    for model in (model for pair in made.values() for model in pair):
        model.close()
        await model.aclose()


class Report(NamedTuple):
    """What a framework tells of an answer."""

    reasoning: str
    text: str
    calls: list[tuple[str, str, Any]]
    invalid: list[tuple[str, str, str]]
    usage: dict[str, int]
    finish: str
    adjustments: list[str]
    model: str
    logprobs: Any


_LANGCHAIN_DETAILS = {"cache_read": "cached", "image": "image", "video": "video", "reasoning": "reasoning"}


def of_langchain(message: AIMessage) -> Report:
    usage, told = message.usage_metadata, message.response_metadata
    assert usage is not None
    details = {**usage.get("input_token_details", {}), **usage.get("output_token_details", {})}
    return Report(
        message.additional_kwargs.get("reasoning_content", ""),
        str(message.content),
        [(call["id"], call["name"], call["args"]) for call in message.tool_calls],
        [(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls],
        {
            "prompt": usage["input_tokens"], "completion": usage["output_tokens"], "total": usage["total_tokens"],
            **{_LANGCHAIN_DETAILS[name]: count for name, count in details.items()},
        },
        told["finish_reason"],
        told.get("adjustments", []),
        told["model_name"],
        told.get("logprobs"),
    )  # fmt: skip


def of_llama_index(response: ChatResponse) -> Report:
    beside, told = response.message.additional_kwargs, response.additional_kwargs
    blocks = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
    return Report(
        beside.get("reasoning_content", ""),
        response.message.content or "",
        [(block.tool_call_id, block.tool_name, block.tool_kwargs) for block in blocks],
        [(call["id"], call["name"], call["args"]) for call in beside.get("invalid_tool_calls", [])],
        {name.removesuffix("_tokens"): count for name, count in told.items() if name.endswith("_tokens")},
        told["finish_reason"],
        told.get("adjustments", []),
        response.raw["model"],
        response.raw.get("logprobs"),
    )


def summed(chunks: list[Any]) -> Any:
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


def of_langchain_chunks(chunks: list[Any], row: Row) -> Report:
    """Of the sum of a stream's chunks. LangChain itself repairs the arguments of calls in it, so those are as told."""
    report = of_langchain(summed(chunks))
    return report if row.invalid is None else report._replace(calls=report.calls[:1], invalid=[row.invalid])


async def call_every_mode(models: Models, row: Row) -> AsyncIterator[tuple[bool, Report]]:
    """The row through each framework in each way; whether it was streamed, and what was reported."""
    chain, index = models
    settings = {**row.settings, "model": row.model}
    said, asked = list(row.langchain), list(row.llama_index)
    yield False, of_langchain(chain.invoke(said, **settings))
    yield False, of_llama_index(index.chat(asked, **settings))
    yield False, of_langchain(await chain.ainvoke(said, **settings))
    yield False, of_llama_index(await index.achat(asked, **settings))
    yield True, of_langchain_chunks(list(chain.stream(said, **settings)), row)
    yield True, of_llama_index(list(index.stream_chat(asked, **settings))[-1])
    yield True, of_langchain_chunks([chunk async for chunk in chain.astream(said, **settings)], row)
    yield True, of_llama_index([chunk async for chunk in await index.astream_chat(asked, **settings)][-1])


def thinks(row: Row) -> bool:
    """Whether the wire streams whatever was asked for."""
    always = row.model.startswith("qvq") or row.model.endswith("thinking")
    return always or row.body.get("enable_thinking") is True


@every_api
@every_row
async def test_the_same_bytes_and_the_same_report(
    server: Emulator, models: dict[str, Models], row: Row, api: str
) -> None:
    server.reset()
    server.script(*[row.reply] * 8)
    reports: list[Report] = []
    bodies: dict[bool, list[Any]] = {True: [], False: []}
    async for streamed, report in call_every_mode(models[api], row):
        reports.append(report)
        bodies[streamed or thinks(row)].append(server.requests[-1].json)
    assert server.refusals == []
    for same in bodies.values():
        assert all(body == same[0] for body in same)
    if api == "openai":
        for streamed, same in bodies.items():
            streaming = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
            for body in same[:1]:
                assert body == {"model": row.model, "messages": list(row.messages), **row.body, **streaming}
    first = reports[0]
    assert all(report == first for report in reports)
    assert first.reasoning == "".join(split_text(row.reply.reasoning))
    assert first.text == "".join(split_text(row.reply.text))
    assert first.finish == row.reply.finish_reason
    assert len(first.calls) + len(first.invalid) == len(row.reply.tool_calls)
    assert first.invalid == ([] if row.invalid is None else [row.invalid])
    assert len(first.adjustments) == row.adjustments

"""Connections: abandoned and cancelled streams close theirs; loops, threads and errors."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.llms import ChatMessage

from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLAuthenticationError,
    QwenVLContentFilterError,
    QwenVLContextOverflowError,
    QwenVLError,
    QwenVLRateLimitError,
    QwenVLStreamInterruptedError,
)
from tests.emulator import Emulator, Fault, Reply

ASK = [ChatMessage(role="user", content="Go.")]
LONG = Reply(reasoning=["Hm"] * 3, text=["word "] * 500, delay=0.01)


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)


def hung_up(emulator: Emulator) -> bool:
    return emulator.disconnects == 1 and emulator.open_connections == 0


STREAMS: dict[str, Callable[[QwenVL], Any]] = {
    "stream_chat": lambda llm: llm.stream_chat(ASK),
    "stream_complete": lambda llm: llm.stream_complete("Go."),
}
ASYNC_STREAMS: dict[str, Callable[[QwenVL], Any]] = {
    "astream_chat": lambda llm: llm.astream_chat(ASK),
    "astream_complete": lambda llm: llm.astream_complete("Go."),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_closed_stream_closes_its_connection(llm: QwenVL, emulator: Emulator, stream: Any) -> None:
    emulator.script(LONG)
    chunks = stream(llm)
    next(chunks)
    chunks.close()
    until(lambda: hung_up(emulator))


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_forgotten_stream_closes_its_connection(llm: QwenVL, emulator: Emulator, stream: Any) -> None:
    emulator.script(LONG)
    for _ in stream(llm):
        break
    gc.collect()
    until(lambda: hung_up(emulator))


@pytest.mark.parametrize("stream", ASYNC_STREAMS.values(), ids=ASYNC_STREAMS)
async def test_a_closed_async_stream_closes_its_connection(llm: QwenVL, emulator: Emulator, stream: Any) -> None:
    emulator.script(LONG)
    async with aclosing(await stream(llm)) as chunks:
        await anext(chunks)
    del chunks
    gc.collect()
    await asyncio.to_thread(until, lambda: hung_up(emulator))


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("closed", [True, False])
def test_a_handler_that_keeps_all_it_is_told_keeps_no_connection(
    make: Callable[..., QwenVL], emulator: Emulator, stream: Any, closed: bool
) -> None:
    """It is told of the exception that ends an abandoned stream, and of all that hangs on it."""
    handler = LlamaDebugHandler(print_trace_on_end=False)
    chunks = stream(make(callback_manager=CallbackManager([handler])))
    emulator.script(LONG)
    next(chunks)
    if closed:
        chunks.close()
    del chunks
    gc.collect()
    assert len(handler.get_llm_inputs_outputs()) == 1
    until(lambda: hung_up(emulator))


@pytest.mark.parametrize("stream", ASYNC_STREAMS.values(), ids=ASYNC_STREAMS)
async def test_a_handler_keeps_no_connection_of_an_async_stream(
    make: Callable[..., QwenVL], emulator: Emulator, stream: Any
) -> None:
    handler = LlamaDebugHandler(print_trace_on_end=False)
    emulator.script(LONG)
    async with aclosing(await stream(make(callback_manager=CallbackManager([handler])))) as chunks:
        await anext(chunks)
    assert len(handler.get_llm_inputs_outputs()) == 1
    await asyncio.to_thread(until, lambda: hung_up(emulator))


@pytest.mark.parametrize("stream", ASYNC_STREAMS.values(), ids=ASYNC_STREAMS)
async def test_a_cancelled_stream_closes_its_connection(llm: QwenVL, emulator: Emulator, stream: Any) -> None:
    emulator.script(LONG)
    came = asyncio.Event()

    async def consume() -> None:
        async for _ in await stream(llm):
            came.set()

    task = asyncio.create_task(consume())
    await came.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(until, lambda: hung_up(emulator))


@pytest.mark.parametrize("stream", ASYNC_STREAMS.values(), ids=ASYNC_STREAMS)
@pytest.mark.parametrize("closed", [True, False])
def test_a_loop_may_end_right_after_an_abandoned_stream(
    llm: QwenVL, emulator: Emulator, stream: Any, closed: bool
) -> None:
    """A loop that ends closes what is left at once; nothing may break off half closed, which is a warning here."""
    emulator.script(LONG)

    async def abandon() -> None:
        chunks = await stream(llm)
        await anext(chunks)
        if closed:
            await chunks.aclose()

    asyncio.run(abandon())
    gc.collect()
    until(lambda: hung_up(emulator))


@pytest.mark.parametrize("api", ["openai", "dashscope"])
def test_a_loop_has_nothing_to_report_of_a_stream_that_was_left(
    make: Callable[..., QwenVL], emulator: Emulator, api: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It tells its log of generators that can't be closed; nobody else hears of it."""
    llm = make(api=api, base_url=emulator.compat_url if api == "openai" else emulator.native_url)
    emulator.script(LONG)

    async def leave() -> None:
        async for _ in await llm.astream_chat(ASK):
            break

    asyncio.run(leave())
    gc.collect()
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    until(lambda: hung_up(emulator))


async def test_a_cancelled_chat_closes_its_connection(llm: QwenVL, emulator: Emulator) -> None:
    emulator.script(LONG)
    task = asyncio.create_task(llm.achat(ASK))
    await asyncio.to_thread(until, lambda: emulator.open_connections == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(until, lambda: hung_up(emulator))


def test_chunks_come_when_they_are_sent(llm: QwenVL, emulator: Emulator) -> None:
    """Each event is sent only when the chunk of the one before has arrived."""
    gates = [threading.Event() for _ in range(4)]
    emulator.script(Reply(text=["a", "b", "c"], gates=gates))
    for gate in gates[:2]:  # the role comes alone, and says nothing
        gate.set()
    chunks = llm.stream_chat(ASK)
    for said, gate in (("a", gates[2]), ("b", gates[3])):
        assert next(chunks).delta == said
        gate.set()
    assert [chunk.delta for chunk in chunks] == ["c", ""]


def test_event_loops_one_after_another(llm: QwenVL, emulator: Emulator) -> None:
    async def chat() -> str | None:
        content: str | None = (await llm.achat(ASK)).message.content
        return content

    emulator.script(*[Reply(text="Yes.")] * 3)
    assert [asyncio.run(chat()) for _ in range(3)] == ["Yes."] * 3


@pytest.mark.parametrize("api", ["openai", "dashscope"])
def test_threads_share_one_model(make: Callable[..., QwenVL], emulator: Emulator, api: str) -> None:
    llm = make(api=api, base_url=emulator.compat_url if api == "openai" else emulator.native_url)
    emulator.respond = lambda request: Reply(text=f"You said {_said(request.json)}.")
    start = threading.Barrier(8)

    def work(number: int) -> list[str | None]:
        start.wait()
        ask = [ChatMessage(role="user", content=str(number))]
        return [llm.chat(ask).message.content, [*llm.stream_chat(ask)][-1].message.content]

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(work, range(8)))
    assert said == [[f"You said {number}."] * 2 for number in range(8)]


def _said(body: dict[str, Any]) -> str:
    """The one message's text, in either API."""
    (message,) = body.get("messages") or body["input"]["messages"]
    content = message["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


async def test_many_tasks_share_one_model(llm: QwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(text=f"You said {_said(request.json)}.")
    asks = [[ChatMessage(role="user", content=str(number))] for number in range(16)]
    said = await asyncio.gather(*[llm.achat(ask) for ask in asks])
    assert [response.message.content for response in said] == [f"You said {number}." for number in range(16)]


def test_closing_and_going_on(llm: QwenVL, emulator: Emulator) -> None:
    llm.close()
    llm.chat(ASK)
    llm.close()
    llm.chat(ASK)
    assert emulator.connections == 2


# --- Errors ------------------------------------------------------------------------------------------------------

ERRORS: list[tuple[Fault, type[QwenVLError], str]] = [
    (Fault(status=401, code="invalid_api_key"), QwenVLAuthenticationError, "region"),
    (Fault(status=429, code="limit_requests"), QwenVLRateLimitError, "max_retries"),
    (Fault(status=400, message="Range of input length should be [1, 9]"), QwenVLContextOverflowError, "fewer"),
    (Fault(status=500, error_format="in-stream", reply=Reply(text=["a", "b"]), after=3), QwenVLError, "internal_error"),
    (Fault(reply=Reply(text=["a", "b"]), after=3, close_without_finish=True), QwenVLStreamInterruptedError, "partial"),
]


@pytest.mark.parametrize(("fault", "error", "hint"), ERRORS, ids=[row[1].__name__ for row in ERRORS])
async def test_errors(
    make: Callable[..., QwenVL], emulator: Emulator, fault: Fault, error: type[QwenVLError], hint: str
) -> None:
    """Never an empty or half answer that looks whole."""
    llm = make(max_retries=0)

    async def astream() -> None:
        async for _ in await llm.astream_chat(ASK):
            pass

    ways: list[Callable[[], Any]] = [
        lambda: llm.chat(ASK),
        lambda: list(llm.stream_chat(ASK)),
        lambda: llm.complete("?"),
    ]
    for call_mode in ways:
        emulator.script(fault)
        with pytest.raises(error, match=hint) as caught:
            call_mode()
        assert caught.value.request_id
        assert caught.value.partial == ("ab" if fault.after else "")
    for away in (lambda: llm.achat(ASK), astream):
        emulator.script(fault)
        with pytest.raises(error, match=hint):
            await away()


@pytest.mark.parametrize(("reason", "error"), [("content_filter", QwenVLContentFilterError), ("error", QwenVLAPIError)])
async def test_an_answer_that_was_held_back_is_no_answer(
    llm: QwenVL, emulator: Emulator, reason: str, error: type[QwenVLError]
) -> None:
    """An agent would take it for a whole one."""
    emulator.script(*[Reply(text="Half of", finish=reason)] * 3)
    for call_mode in (lambda: llm.chat(ASK), lambda: list(llm.stream_complete("?"))):
        with pytest.raises(error, match=reason) as caught:
            call_mode()
        assert (caught.value.partial, bool(caught.value.request_id)) == ("Half of", True)
    with pytest.raises(error, match=reason):
        await llm.achat(ASK)


def test_a_busy_server_is_asked_again(llm: QwenVL, emulator: Emulator) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "0"}), Reply(text="Yes."))
    assert llm.chat(ASK).message.content == "Yes."
    assert len(emulator.requests) == 2

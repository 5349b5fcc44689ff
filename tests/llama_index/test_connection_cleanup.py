"""Connections: abandoned and cancelled streams, event loops, threads, and errors of the service."""

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

MESSAGES = [ChatMessage(role="user", content="Go.")]
LONG = Reply(reasoning=["Hm"] * 3, text=["word "] * 500, delay=0.01)


def wait_until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition; fail after a timeout in seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.005)


def has_disconnected(emulator: Emulator) -> bool:
    """Return whether the client has closed its only connection before the reply ended."""
    return emulator.disconnects == 1 and emulator.open_connections == 0


STREAMS: dict[str, Callable[[QwenVL], Any]] = {
    "stream_chat": lambda llm: llm.stream_chat(MESSAGES),
    "stream_complete": lambda llm: llm.stream_complete("Go."),
}
ASYNC_STREAMS: dict[str, Callable[[QwenVL], Any]] = {
    "astream_chat": lambda llm: llm.astream_chat(MESSAGES),
    "astream_complete": lambda llm: llm.astream_complete("Go."),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_stream_closed_closes_connection(llm: QwenVL, emulator: Emulator, stream: Any) -> None:
    emulator.script(LONG)
    chunks = stream(llm)
    next(chunks)
    chunks.close()
    wait_until(lambda: has_disconnected(emulator))


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_stream_dropped_closes_connection(llm: QwenVL, emulator: Emulator, stream: Any) -> None:
    emulator.script(LONG)
    for _ in stream(llm):
        break
    gc.collect()
    wait_until(lambda: has_disconnected(emulator))


@pytest.mark.parametrize("stream", ASYNC_STREAMS.values(), ids=ASYNC_STREAMS)
async def test_async_stream_closed_closes_connection(llm: QwenVL, emulator: Emulator, stream: Any) -> None:
    emulator.script(LONG)
    async with aclosing(await stream(llm)) as chunks:
        await anext(chunks)
    del chunks
    gc.collect()
    await asyncio.to_thread(wait_until, lambda: has_disconnected(emulator))


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("closed", [True, False])
def test_stream_abandoned_closes_connection_despite_handler_with_exception(
    make: Callable[..., QwenVL], emulator: Emulator, stream: Any, closed: bool
) -> None:
    """The handler keeps the exception that ended the stream, and with it the frames of its traceback."""
    handler = LlamaDebugHandler(print_trace_on_end=False)
    chunks = stream(make(callback_manager=CallbackManager([handler])))
    emulator.script(LONG)
    next(chunks)
    if closed:
        chunks.close()
    del chunks
    gc.collect()
    assert len(handler.get_llm_inputs_outputs()) == 1
    wait_until(lambda: has_disconnected(emulator))


@pytest.mark.parametrize("stream", ASYNC_STREAMS.values(), ids=ASYNC_STREAMS)
async def test_async_stream_closed_closes_connection_despite_handler_with_exception(
    make: Callable[..., QwenVL], emulator: Emulator, stream: Any
) -> None:
    handler = LlamaDebugHandler(print_trace_on_end=False)
    emulator.script(LONG)
    async with aclosing(await stream(make(callback_manager=CallbackManager([handler])))) as chunks:
        await anext(chunks)
    assert len(handler.get_llm_inputs_outputs()) == 1
    await asyncio.to_thread(wait_until, lambda: has_disconnected(emulator))


@pytest.mark.parametrize("stream", ASYNC_STREAMS.values(), ids=ASYNC_STREAMS)
async def test_async_stream_cancelled_closes_connection(llm: QwenVL, emulator: Emulator, stream: Any) -> None:
    emulator.script(LONG)
    first_chunk = asyncio.Event()

    async def consume() -> None:
        async for _ in await stream(llm):
            first_chunk.set()

    task = asyncio.create_task(consume())
    await first_chunk.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wait_until, lambda: has_disconnected(emulator))


@pytest.mark.parametrize("stream", ASYNC_STREAMS.values(), ids=ASYNC_STREAMS)
@pytest.mark.parametrize("closed", [True, False])
def test_event_loop_ending_after_abandoned_stream_closes_connection(
    llm: QwenVL, emulator: Emulator, stream: Any, closed: bool
) -> None:
    """A loop that ends closes all open generators at once; a half-closed connection would raise a warning."""
    emulator.script(LONG)

    async def abandon() -> None:
        chunks = await stream(llm)
        await anext(chunks)
        if closed:
            await chunks.aclose()

    asyncio.run(abandon())
    gc.collect()
    wait_until(lambda: has_disconnected(emulator))


@pytest.mark.parametrize("api", ["openai", "dashscope"])
def test_event_loop_ending_after_abandoned_stream_logs_no_error(
    make: Callable[..., QwenVL], emulator: Emulator, api: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A loop only logs the generators that it cannot close."""
    llm = make(api=api, base_url=emulator.compat_url if api == "openai" else emulator.native_url)
    emulator.script(LONG)

    async def abandon() -> None:
        async for _ in await llm.astream_chat(MESSAGES):
            break

    asyncio.run(abandon())
    gc.collect()
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    wait_until(lambda: has_disconnected(emulator))


async def test_async_chat_cancelled_closes_connection(llm: QwenVL, emulator: Emulator) -> None:
    emulator.script(LONG)
    task = asyncio.create_task(llm.achat(MESSAGES))
    await asyncio.to_thread(wait_until, lambda: emulator.open_connections == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wait_until, lambda: has_disconnected(emulator))


def test_stream_yields_each_chunk_when_it_is_sent(llm: QwenVL, emulator: Emulator) -> None:
    """The emulator sends an event only after the chunk of the previous one has arrived."""
    gates = [threading.Event() for _ in range(4)]
    emulator.script(Reply(text=["a", "b", "c"], gates=gates))
    for gate in gates[:2]:  # the first event holds the role only
        gate.set()
    chunks = llm.stream_chat(MESSAGES)
    for delta, gate in (("a", gates[2]), ("b", gates[3])):
        assert next(chunks).delta == delta
        gate.set()
    assert [chunk.delta for chunk in chunks] == ["c", ""]


def test_async_chat_in_consecutive_event_loops_succeeds(llm: QwenVL, emulator: Emulator) -> None:
    async def chat() -> str | None:
        content: str | None = (await llm.achat(MESSAGES)).message.content
        return content

    emulator.script(*[Reply(text="Yes.")] * 3)
    assert [asyncio.run(chat()) for _ in range(3)] == ["Yes."] * 3


@pytest.mark.parametrize("api", ["openai", "dashscope"])
def test_model_shared_by_threads_answers_each(make: Callable[..., QwenVL], emulator: Emulator, api: str) -> None:
    llm = make(api=api, base_url=emulator.compat_url if api == "openai" else emulator.native_url)
    emulator.respond = lambda request: Reply(text=f"You said {read_text(request.json)}.")
    start = threading.Barrier(8)

    def chat_twice(number: int) -> list[str | None]:
        start.wait()
        messages = [ChatMessage(role="user", content=str(number))]
        return [llm.chat(messages).message.content, [*llm.stream_chat(messages)][-1].message.content]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(chat_twice, range(8)))
    assert answers == [[f"You said {number}."] * 2 for number in range(8)]


def read_text(body: dict[str, Any]) -> str:
    """Return the text of the only message, in either API."""
    (message,) = body.get("messages") or body["input"]["messages"]
    content = message["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


async def test_model_shared_by_tasks_answers_each(llm: QwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(text=f"You said {read_text(request.json)}.")
    conversations = [[ChatMessage(role="user", content=str(number))] for number in range(16)]
    responses = await asyncio.gather(*[llm.achat(messages) for messages in conversations])
    assert [response.message.content for response in responses] == [f"You said {number}." for number in range(16)]


def test_chat_after_close_opens_new_connection(llm: QwenVL, emulator: Emulator) -> None:
    llm.close()
    llm.chat(MESSAGES)
    llm.close()
    llm.chat(MESSAGES)
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
async def test_service_error_raises_in_every_call_mode(
    make: Callable[..., QwenVL], emulator: Emulator, fault: Fault, error: type[QwenVLError], hint: str
) -> None:
    """An empty or partial answer is never returned as a whole one."""
    llm = make(max_retries=0)

    async def astream() -> None:
        async for _ in await llm.astream_chat(MESSAGES):
            pass

    call_modes: list[Callable[[], Any]] = [
        lambda: llm.chat(MESSAGES),
        lambda: list(llm.stream_chat(MESSAGES)),
        lambda: llm.complete("?"),
    ]
    for call_mode in call_modes:
        emulator.script(fault)
        with pytest.raises(error, match=hint) as caught:
            call_mode()
        assert caught.value.request_id
        assert caught.value.partial == ("ab" if fault.after else "")
    for async_call_mode in (lambda: llm.achat(MESSAGES), astream):
        emulator.script(fault)
        with pytest.raises(error, match=hint):
            await async_call_mode()


@pytest.mark.parametrize(("reason", "error"), [("content_filter", QwenVLContentFilterError), ("error", QwenVLAPIError)])
async def test_answer_with_failed_finish_reason_raises(
    llm: QwenVL, emulator: Emulator, reason: str, error: type[QwenVLError]
) -> None:
    """Agents do not check the finish reason and would use the partial answer."""
    emulator.script(*[Reply(text="Half of", finish=reason)] * 3)
    for call_mode in (lambda: llm.chat(MESSAGES), lambda: list(llm.stream_complete("?"))):
        with pytest.raises(error, match=reason) as caught:
            call_mode()
        assert (caught.value.partial, bool(caught.value.request_id)) == ("Half of", True)
    with pytest.raises(error, match=reason):
        await llm.achat(MESSAGES)


def test_rate_limited_request_is_retried(llm: QwenVL, emulator: Emulator) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "0"}), Reply(text="Yes."))
    assert llm.chat(MESSAGES).message.content == "Yes."
    assert len(emulator.requests) == 2

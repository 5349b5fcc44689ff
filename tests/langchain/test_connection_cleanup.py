"""Abandoned streams, several event loops, threads and forks leave no open connection."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from langchain_qwenvl import ChatQwenVL
from qwenvl_core.errors import QwenVLError
from tests.emulator import Emulator, Fault, Reply
from tests.langchain.conftest import KEY, Make

pytestmark = pytest.mark.filterwarnings("ignore:.*is in beta")  # LangChain's warning on v3
LONG = Reply(reasoning=["Hm. "] * 50, text=["word "] * 400, delay=0.01)


@pytest.fixture(autouse=True)
def no_open_connections(emulator: Emulator) -> Iterator[None]:
    """Check after each test that no connection is open and no object warns that it was not closed."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()
    assert wait_until(lambda: emulator.open_connections == 0)


def wait_until(condition: Callable[[], bool], seconds: float = 2.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


async def await_until(condition: Callable[[], bool], seconds: float = 2.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return condition()


# Chains such as `llm | parser` are left out: LangChain reads an abandoned one to its end, for its trace.
SYNC_STREAMS: dict[str, Callable[[ChatQwenVL], Iterator[Any]]] = {
    "stream": lambda llm: llm.stream("Hi"),
    "bound": lambda llm: llm.bind(temperature=1).stream("Hi"),
}
ASYNC_STREAMS: dict[str, Callable[[ChatQwenVL], AsyncIterator[Any]]] = {
    "astream": lambda llm: llm.astream("Hi"),
    "v2": lambda llm: llm.astream_events("Hi", version="v2"),
    "bound": lambda llm: llm.bind(temperature=1).astream("Hi"),
}


@pytest.mark.parametrize("how", SYNC_STREAMS)
@pytest.mark.parametrize("ending", ["close", "del", "break", "raise"])
def test_abandoned_stream_closes_the_connection(how: str, ending: str, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(LONG)
    stream = SYNC_STREAMS[how](llm)
    next(stream)
    assert wait_until(lambda: emulator.open_connections == 1)
    match ending:
        case "close":
            stream.close()  # type: ignore[attr-defined]
        case "del":
            del stream
        case "break":
            for _ in stream:
                break
            del stream
        case "raise":
            with suppress(ZeroDivisionError):
                for _ in stream:
                    raise ZeroDivisionError
            del stream
    assert wait_until(lambda: emulator.disconnects == 1)
    emulator.script(Reply(text="Next."))
    assert llm.invoke("Hi").content == "Next."


@pytest.mark.parametrize("how", ASYNC_STREAMS)
@pytest.mark.parametrize("ending", ["aclose", "del", "break"])
async def test_abandoned_async_stream_closes_the_connection(
    how: str, ending: str, llm: ChatQwenVL, emulator: Emulator
) -> None:
    emulator.script(LONG)
    stream = ASYNC_STREAMS[how](llm)
    await anext(stream)
    if how == "v2":
        await anext(stream)  # the first event comes before the request
    assert await await_until(lambda: emulator.open_connections == 1)
    match ending:
        case "aclose":
            await stream.aclose()  # type: ignore[attr-defined]
        case "del":
            del stream
        case "break":
            async for _ in stream:
                break
            del stream
    assert await await_until(lambda: emulator.disconnects == 1)
    emulator.script(Reply(text="Next."))
    assert (await llm.ainvoke("Hi")).content == "Next."
    await llm.aclose()


@pytest.mark.parametrize("how", ["ainvoke", "astream", "abatch", "timeout", "v3"])
async def test_cancelled_call_closes_the_connection(how: str, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(LONG)

    async def call() -> None:
        match how:
            case "ainvoke":
                await llm.ainvoke("Hi")
            case "abatch":
                await llm.abatch(["Hi"])
            case "v3":
                await (await llm.astream_events("Hi", version="v3")).output
            case _:
                async for _ in llm.astream("Hi"):
                    pass

    if how == "timeout":
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call(), 0.2)
    else:
        task = asyncio.create_task(call())
        assert await await_until(lambda: emulator.open_connections == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    if how == "v3":  # LangChain's producer is a separate task, which it does not cancel with the reader
        for other in asyncio.all_tasks() - {asyncio.current_task()}:
            other.cancel()
    assert await await_until(lambda: emulator.disconnects == 1)
    await llm.aclose()


def test_abandoned_v3_stream_closes_the_connection(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(LONG)
    stream = llm.stream_events("Hi", version="v3")
    for _ in stream:
        if emulator.open_connections:
            break
    del stream, _
    gc.collect()  # LangChain's stream object refers to itself
    assert wait_until(lambda: emulator.disconnects == 1)


def test_stream_delivers_each_delta_at_once(llm: ChatQwenVL, emulator: Emulator) -> None:
    gates = [threading.Event() for _ in range(4)]  # for the role, and for each delta
    emulator.script(Reply(reasoning=["a", "b"], text=["c"], gates=gates))
    gates[0].set()
    stream = llm.stream("Hi")
    for gate, delta in zip(gates[1:], "abc", strict=True):
        gate.set()
        chunk = next(stream)
        assert chunk.additional_kwargs.get("reasoning_content", chunk.content) == delta
    assert list(stream)[-1].chunk_position == "last"


def test_calls_work_in_several_event_loops(llm: ChatQwenVL) -> None:
    for _ in range(3):
        assert asyncio.run(llm.ainvoke("Hi")).content
        asyncio.run(llm.abatch(["Hi", "Ho"]))
    assert llm.invoke("Hi").content


def test_threads_share_a_model(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(text=f"Re: {request.json['messages'][0]['content']}")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: llm.invoke(str(number)).content, range(64)))
    assert answers == [f"Re: {number}" for number in range(64)]


async def test_concurrent_streams_are_not_mixed(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(text=["Re: ", str(request.json["messages"][0]["content"])])

    async def collect_text(number: int) -> str:
        return "".join([chunk.text async for chunk in llm.astream(str(number))])

    assert await asyncio.gather(*map(collect_text, range(48))) == [f"Re: {number}" for number in range(48)]
    await llm.aclose()


def test_closed_model_opens_new_connections(llm: ChatQwenVL, emulator: Emulator) -> None:
    llm.invoke("Hi")
    llm.close()
    llm.close()
    assert llm.invoke("Hi").content
    assert emulator.connections == 2
    ChatQwenVL(api_key=KEY).close()  # no connection was opened


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the emulator's threads stay in the parent
def test_forked_child_opens_its_own_connections(llm: ChatQwenVL, emulator: Emulator) -> None:
    llm.invoke("Hi")
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if llm.invoke("Hi").content else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert llm.invoke("Hi").content


@pytest.mark.parametrize("limit", [{"timeout": 0.6}, {"stream_chunk_timeout": 0.3}], ids=str)
async def test_stalled_stream_raises_timeout(limit: dict[str, Any], make: Make, emulator: Emulator) -> None:
    from langchain_core.exceptions import ModelTimeoutError

    llm = make(max_retries=0, **limit)
    stalls = Fault(reply=Reply(text=["So", " far", "."]), stall=3.0, after=2)
    emulator.script(stalls, stalls)
    with pytest.raises(ModelTimeoutError) as raised:
        llm.invoke("Hi")
    assert isinstance(raised.value, QwenVLError)
    assert raised.value.partial == "So"
    received: list[str] = []

    async def read() -> None:
        async for chunk in llm.astream("Hi"):
            received.append(chunk.text)  # noqa: PERF401  # read after the failure

    with pytest.raises(ModelTimeoutError):
        await read()
    assert "".join(received) == "So"
    await llm.aclose()

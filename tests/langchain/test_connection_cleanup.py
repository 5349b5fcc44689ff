"""Streams that nobody reads to the end, event loops that come and go, threads: no connection is left behind."""

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

pytestmark = pytest.mark.filterwarnings("ignore:.*is in beta")  # LangChain's words on v3
LONG = Reply(reasoning=["Hm. "] * 50, text=["word "] * 400, delay=0.01)


@pytest.fixture(autouse=True)
def nothing_left(emulator: Emulator) -> Iterator[None]:
    """After each test no stream is being written, and no object complains that it was forgotten."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()
    assert until(lambda: emulator.open_connections == 0)


def until(true: Callable[[], bool], seconds: float = 2.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


async def auntil(true: Callable[[], bool], seconds: float = 2.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return true()


# Not here: chains such as `llm | parser`. LangChain reads an abandoned one to its end, for its trace.
SYNC: dict[str, Callable[[ChatQwenVL], Iterator[Any]]] = {
    "stream": lambda llm: llm.stream("Hi"),
    "bound": lambda llm: llm.bind(temperature=1).stream("Hi"),
}
ASYNC: dict[str, Callable[[ChatQwenVL], AsyncIterator[Any]]] = {
    "astream": lambda llm: llm.astream("Hi"),
    "v2": lambda llm: llm.astream_events("Hi", version="v2"),
    "bound": lambda llm: llm.bind(temperature=1).astream("Hi"),
}


@pytest.mark.parametrize("how", SYNC)
@pytest.mark.parametrize("ending", ["close", "forget", "break", "raise"])
def test_an_abandoned_stream(how: str, ending: str, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(LONG)
    stream = SYNC[how](llm)
    next(stream)
    assert until(lambda: emulator.open_connections == 1)
    match ending:
        case "close":
            stream.close()  # type: ignore[attr-defined]
        case "forget":
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
    assert until(lambda: emulator.disconnects == 1)
    emulator.script(Reply(text="Next."))
    assert llm.invoke("Hi").content == "Next."


@pytest.mark.parametrize("how", ASYNC)
@pytest.mark.parametrize("ending", ["aclose", "forget", "break"])
async def test_an_abandoned_async_stream(how: str, ending: str, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(LONG)
    stream = ASYNC[how](llm)
    await anext(stream)
    if how == "v2":
        await anext(stream)  # the first event comes before the request
    assert await auntil(lambda: emulator.open_connections == 1)
    match ending:
        case "aclose":
            await stream.aclose()  # type: ignore[attr-defined]
        case "forget":
            del stream
        case "break":
            async for _ in stream:
                break
            del stream
    assert await auntil(lambda: emulator.disconnects == 1)
    emulator.script(Reply(text="Next."))
    assert (await llm.ainvoke("Hi")).content == "Next."
    await llm.aclose()


@pytest.mark.parametrize("how", ["ainvoke", "astream", "abatch", "timeout", "v3"])
async def test_a_cancelled_call(how: str, llm: ChatQwenVL, emulator: Emulator) -> None:
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
        assert await auntil(lambda: emulator.open_connections == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    if how == "v3":  # LangChain's producer is a task of its own, which it does not cancel with its reader
        for other in asyncio.all_tasks() - {asyncio.current_task()}:
            other.cancel()
    assert await auntil(lambda: emulator.disconnects == 1)
    await llm.aclose()


def test_an_abandoned_v3_stream(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(LONG)
    stream = llm.stream_events("Hi", version="v3")
    for _ in stream:
        if emulator.open_connections:
            break
    del stream, _
    gc.collect()  # LangChain's stream object refers to itself
    assert until(lambda: emulator.disconnects == 1)


def test_a_delta_is_delivered_before_the_next_is_sent(llm: ChatQwenVL, emulator: Emulator) -> None:
    gates = [threading.Event() for _ in range(4)]  # of the role, and of each delta
    emulator.script(Reply(reasoning=["a", "b"], text=["c"], gates=gates))
    gates[0].set()
    stream = llm.stream("Hi")
    for gate, delta in zip(gates[1:], "abc", strict=True):
        gate.set()
        chunk = next(stream)
        assert chunk.additional_kwargs.get("reasoning_content", chunk.content) == delta
    assert list(stream)[-1].chunk_position == "last"


def test_loops_that_come_and_go(llm: ChatQwenVL) -> None:
    for _ in range(3):
        assert asyncio.run(llm.ainvoke("Hi")).content
        asyncio.run(llm.abatch(["Hi", "Ho"]))
    assert llm.invoke("Hi").content


def test_many_threads(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(text=f"Re: {request.json['messages'][0]['content']}")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: llm.invoke(str(number)).content, range(64)))
    assert answers == [f"Re: {number}" for number in range(64)]


async def test_many_streams_at_once(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(text=["Re: ", str(request.json["messages"][0]["content"])])

    async def ask(number: int) -> str:
        return "".join([chunk.text async for chunk in llm.astream(str(number))])

    assert await asyncio.gather(*map(ask, range(48))) == [f"Re: {number}" for number in range(48)]
    await llm.aclose()


def test_closed_and_used_again(llm: ChatQwenVL, emulator: Emulator) -> None:
    llm.invoke("Hi")
    llm.close()
    llm.close()
    assert llm.invoke("Hi").content
    assert emulator.connections == 2
    ChatQwenVL(api_key=KEY).close()  # never opened


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the emulator's threads are the parent's alone
def test_a_forked_child_has_its_own_connections(llm: ChatQwenVL, emulator: Emulator) -> None:
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
async def test_a_stalled_stream_ends_in_time(limit: dict[str, Any], make: Make, emulator: Emulator) -> None:
    from langchain_core.exceptions import ModelTimeoutError

    llm = make(max_retries=0, **limit)
    stalls = Fault(reply=Reply(text=["So", " far", "."]), stall=3.0, after=2)
    emulator.script(stalls, stalls)
    with pytest.raises(ModelTimeoutError) as raised:
        llm.invoke("Hi")
    assert isinstance(raised.value, QwenVLError)
    assert raised.value.partial == "So"
    seen: list[str] = []

    async def read() -> None:
        async for chunk in llm.astream("Hi"):
            seen.append(chunk.text)  # noqa: PERF401  # what had come is looked at after the failure

    with pytest.raises(ModelTimeoutError):
        await read()
    assert "".join(seen) == "So"
    await llm.aclose()

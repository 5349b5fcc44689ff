"""How connections are reused, shared and closed."""

from __future__ import annotations

import asyncio
import gc
import gzip
import os
import threading
import time
import weakref
from contextlib import suppress
from typing import Any

import openai
import pytest

from qwenvl_core.client.client import Client
from qwenvl_core.errors import (
    QwenVLConnectionError,
    QwenVLStreamInterruptedError,
)
from qwenvl_core.types.events import Event, TextDelta
from qwenvl_core.types.reply import accumulate
from tests.core.client.scripted import STREAM, TEXT, WHOLE, ways
from tests.emulator import Emulator, Fault, Reply
from tests.support.pipeline import CallMode, chunk, client, events_of, reply_of, request, sse, until
from tests.support.raw_server import chunked, head, raw_server

# --- lifetimes --------------------------------------------------------------------------------------------------------


def gated(count: int = 8) -> tuple[Reply, list[threading.Event]]:
    """A reply whose events are sent one at a time, when the test says so."""
    gates = [threading.Event() for _ in range(count)]
    return Reply(text=["Ein ", "Löwe", "."], gates=gates), gates


@ways
def test_a_delta_is_delivered_before_the_next_one_is_sent(call_mode: CallMode, emulator: Emulator) -> None:
    reply, gates = gated()
    emulator.script(reply)
    asking = client(emulator.compat_url)
    gates[0].set()  # the role
    texts: list[str] = []

    def heard(event: Event) -> None:
        if isinstance(event, TextDelta):
            texts.append(event.text)
            gates[len(texts) + 1].set()
        if len(texts) == 3:
            for gate in gates:
                gate.set()

    gates[1].set()
    if call_mode == "sync":
        for event in asking.stream(STREAM):
            heard(event)
        asking.close()
    else:

        async def collect() -> None:
            async for event in asking.astream(STREAM):
                heard(event)

        asyncio.run(collect())
    assert texts == ["Ein ", "Löwe", "."]


def leave(asking: Client, how: str) -> None:
    """Listen to the first event and go."""
    match how:
        case "close":
            events = asking.stream(STREAM)
            assert isinstance(next(events), TextDelta)
            events.close()
        case "break":
            for _ in asking.stream(STREAM):
                break
        case _:
            with suppress(KeyError):
                for _ in asking.stream(STREAM):
                    raise KeyError


async def aleave(asking: Client, how: str) -> None:
    match how:
        case "close":
            events = asking.astream(STREAM)
            assert isinstance(await anext(events), TextDelta)
            await events.aclose()
        case "break":
            async for _ in asking.astream(STREAM):
                break
        case _:
            with suppress(KeyError):
                async for _ in asking.astream(STREAM):
                    raise KeyError


@ways
@pytest.mark.parametrize("how", ["close", "break", "error"])
def test_an_abandoned_stream_closes_its_connection(how: str, call_mode: CallMode, emulator: Emulator) -> None:
    reply, gates = gated()
    emulator.script(reply, TEXT)
    gates[0].set()
    gates[1].set()
    asking = client(emulator.compat_url)

    async def leave_and_return() -> None:
        await aleave(asking, how)
        gc.collect()
        await asyncio.sleep(0.05)
        assert emulator.open_connections == 0
        assert accumulate([event async for event in asking.astream(STREAM)]).text == "Ein Löwe 😀."

    if call_mode == "sync":
        leave(asking, how)
        gc.collect()
        until(lambda: emulator.open_connections == 0)
        assert accumulate(asking.stream(STREAM)).text == "Ein Löwe 😀."
        asking.close()
    else:
        asyncio.run(leave_and_return())


@pytest.mark.parametrize("when", ["before the headers", "between chunks"])
def test_a_cancelled_stream_closes_its_connection(when: str, emulator: Emulator) -> None:
    reply, gates = gated()
    emulator.script(Fault(stall=30) if when == "before the headers" else reply, TEXT)
    gates[0].set()
    gates[1].set()
    asking = client(emulator.compat_url)
    heard: list[Event] = []

    async def listen() -> None:
        async for event in asking.astream(STREAM):
            heard.append(event)  # noqa: PERF401  # as it comes

    async def cancel() -> None:
        task = asyncio.create_task(listen())
        while not (heard or (emulator.requests and when == "before the headers")):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(100):
            if emulator.open_connections == 0:
                break
            await asyncio.sleep(0.01)
        assert emulator.open_connections == 0
        await listen()  # the connection's end is no trouble to the next request

    asyncio.run(cancel())


@ways
@pytest.mark.parametrize("asked", [STREAM, WHOLE], ids=["stream", "whole"])
def test_one_connection_carries_one_request_after_another(asked: Any, call_mode: CallMode, emulator: Emulator) -> None:
    asking = client(emulator.compat_url)
    if call_mode == "sync":
        for _ in range(20):
            accumulate(asking.stream(asked))
        asking.close()
    else:

        async def repeat() -> None:
            for _ in range(20):
                [event async for event in asking.astream(asked)]

        asyncio.run(repeat())
    assert emulator.connections == 1
    assert len(emulator.requests) == 20


ANSWER = sse(chunk(content="Ein Löwe"), chunk("stop"))


@ways
def test_the_connection_is_used_again_when_the_end_came_with_the_last_event(call_mode: CallMode) -> None:
    """One write for the last event and the end of the body: there is nothing left to wait for."""
    with raw_server([head("Transfer-Encoding: chunked") + chunked(ANSWER)]) as server:
        asking = client(server.url)
        start = time.monotonic()
        if call_mode == "sync":
            for _ in range(10):
                assert accumulate(asking.stream(STREAM)).text == "Ein Löwe"
            asking.close()
        else:

            async def repeat() -> None:
                for _ in range(10):
                    [event async for event in asking.astream(STREAM)]

            asyncio.run(repeat())
        took = time.monotonic() - start
    assert server.connections == 1
    assert took < 0.9


@ways
@pytest.mark.parametrize(
    "after",
    [
        pytest.param([5.0], id="silence"),
        pytest.param([chunked(b": keep-alive\n\n", end=False), 0.04] * 100, id="comments"),
        pytest.param([chunked(sse(chunk(content="more"), done=False), end=False), 0.04] * 100, id="chatter"),
    ],
)
def test_what_the_server_does_after_the_end_delays_nothing(after: Any, call_mode: CallMode) -> None:
    with raw_server([head("Transfer-Encoding: chunked"), chunked(ANSWER, end=False), *after]) as server:
        start = time.monotonic()
        assert reply_of(client(server.url), STREAM, call_mode).text == "Ein Löwe"
        assert time.monotonic() - start < 0.8


@ways
@pytest.mark.parametrize(
    "after",
    [pytest.param([b""], id="closed"), pytest.param([5.0], id="silence")],
)
def test_an_answer_that_said_why_it_ended_is_whole(after: Any, call_mode: CallMode) -> None:
    """Without `[DONE]`, and without the end of the body."""
    said = sse(chunk(content="Ein Löwe"), chunk("stop", usage={"prompt_tokens": 1, "completion_tokens": 2}), done=False)
    with raw_server([head("Transfer-Encoding: chunked"), chunked(said, end=False), *after]) as server:
        reply = reply_of(client(server.url, stream_chunk_timeout=0.2), STREAM, call_mode)
    assert (reply.text, reply.finish.finish_reason) == ("Ein Löwe", "stop")
    assert reply.usage is not None


@ways
def test_a_body_without_length_ends_with_the_connection(call_mode: CallMode) -> None:
    with raw_server([head("Connection: close"), ANSWER, b""]) as server:
        assert reply_of(client(server.url), STREAM, call_mode).text == "Ein Löwe"
    with (
        raw_server([head("Connection: close"), ANSWER[:40], b""]) as server,
        pytest.raises(QwenVLStreamInterruptedError),
    ):
        events_of(client(server.url), STREAM, call_mode)


@ways
def test_a_broken_gzip_is_an_error(call_mode: CallMode) -> None:
    packed = gzip.compress(ANSWER)
    for body in (packed[: len(packed) // 2], b"not gzip at all"):
        script = [head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + chunked(body)]
        with raw_server(script) as server, pytest.raises(QwenVLStreamInterruptedError):
            events_of(client(server.url), STREAM, call_mode)


@ways
def test_a_server_that_speaks_no_http_is_an_error(call_mode: CallMode) -> None:
    with raw_server([b"SSH-2.0-OpenSSH_9.6\r\n", b""]) as server, pytest.raises(QwenVLConnectionError):
        events_of(client(server.url), STREAM, call_mode)


def test_event_loops_in_sequence(emulator: Emulator) -> None:
    asking = client(emulator.compat_url)
    loops: list[weakref.ref[Any]] = []

    async def ask() -> str:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        return accumulate([event async for event in asking.astream(STREAM)]).text

    answers = {asyncio.run(ask()) for _ in range(3)}
    loop = asyncio.new_event_loop()  # ended as libraries do, without any farewell to generators
    answers.add(loop.run_until_complete(ask()))
    loop.run_until_complete(asking.aclose())
    loop.close()
    assert len(answers) == 1
    del loop
    gc.collect()
    assert [ref() for ref in loops] == [None] * 4  # nothing of an ended loop is kept
    until(lambda: not emulator._server.open)


def test_event_loops_side_by_side(emulator: Emulator) -> None:
    asking = client(emulator.compat_url)
    answers: list[str] = []

    async def ask() -> None:
        for _ in range(5):
            reply = accumulate([event async for event in asking.astream(STREAM)])
            answers.append(reply.text)

    threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1


def test_many_streams_at_a_time_in_one_loop(emulator: Emulator) -> None:
    emulator.respond = lambda sent: Reply(text=sent.json["messages"][0]["content"].split(" "))
    asking = client(emulator.compat_url)

    async def ask(number: int) -> str:
        asked = request(f"{number} and {number}", stream=True)
        return accumulate([event async for event in asking.astream(asked)]).text

    async def ask_all() -> list[str]:
        return await asyncio.gather(*(ask(number) for number in range(64)))

    assert asyncio.run(ask_all()) == [f"{number}and{number}" for number in range(64)]


def test_threads_share_a_client(emulator: Emulator) -> None:
    emulator.respond = lambda sent: Reply(text=sent.json["messages"][0]["content"].split(" "))
    asking = client(emulator.compat_url)
    start = threading.Barrier(8)
    wrong: list[str] = []

    def ask(number: int) -> None:
        start.wait()
        for turn in range(5):
            text = accumulate(asking.stream(request(f"{number} and {turn}", stream=True))).text
            if text != f"{number}and{turn}":
                wrong.append(text)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert emulator.connections <= 8  # one pool, although all of them came first
    asking.close()
    until(lambda: not emulator._server.open)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(emulator: Emulator) -> None:
    asking = client(emulator.compat_url)
    before = accumulate(asking.stream(STREAM)).text
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if accumulate(asking.stream(STREAM)).text == before else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert accumulate(asking.stream(STREAM)).text == before
    assert emulator.connections == 2  # the parent's is still its own
    asking.close()


def test_closed_connections_are_opened_again(emulator: Emulator) -> None:
    asking = client(emulator.compat_url)
    asking.close()  # nothing is open yet
    for _ in range(2):
        accumulate(asking.stream(STREAM))
        asking.close()
        until(lambda: not emulator._server.open)
    asking.close()

    async def twice() -> None:
        await asking.aclose()
        for _ in range(2):
            [event async for event in asking.astream(STREAM)]
            await asking.aclose()
        await asking.aclose()

    asyncio.run(twice())
    assert emulator.connections == 4


@ways
def test_the_callers_own_http_client_is_used_and_left_open(call_mode: CallMode, emulator: Emulator) -> None:
    seen: list[str] = []
    if call_mode == "sync":
        with openai.DefaultHttpxClient(event_hooks={"request": [lambda sent: seen.append(sent.method)]}) as own:
            asking = client(emulator.compat_url, http_client=own)
            accumulate(asking.stream(STREAM))
            asking.close()
            assert not own.is_closed
            accumulate(asking.stream(STREAM))
    else:

        async def hook(sent: Any) -> None:
            seen.append(sent.method)

        async def ask() -> None:
            async with openai.DefaultAsyncHttpxClient(event_hooks={"request": [hook]}) as own:
                asking = client(emulator.compat_url, http_async_client=own)
                [event async for event in asking.astream(STREAM)]
                await asking.aclose()
                assert not own.is_closed
                [event async for event in asking.astream(STREAM)]

        asyncio.run(ask())
    assert seen == ["POST", "POST"]
    assert emulator.connections == 1


@ways
def test_a_proxy_of_the_environment_is_used(call_mode: CallMode, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = head(f"Content-Length: {len(ANSWER)}") + ANSWER
    with raw_server([answer]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "")
        assert reply_of(client("http://model.test/v1"), STREAM, call_mode).text == "Ein Löwe"
        assert proxy.connections == 1


def test_the_same_client_is_held_for_the_same_connection(emulator: Emulator) -> None:
    one, same, other = (
        client(emulator.compat_url),
        client(emulator.compat_url),
        client(emulator.compat_url, timeout=9.0),
    )
    assert Client.reuse_or_create(same._connection, one) is one
    assert Client.reuse_or_create(other._connection, one) is not one
    assert Client.reuse_or_create(one._connection, None) is not one

"""How connections are reused, shared and closed."""

from __future__ import annotations

import asyncio
import gc
import gzip
import threading
import time
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
from tests.core.client.scripted import STREAM, TEXT, WHOLE, both_call_modes
from tests.emulator import Emulator, Fault, Reply
from tests.support.pipeline import CallMode, chunk, client, events_of, reply_of, sse, until
from tests.support.raw_server import chunked, head, raw_server


def gated(count: int = 8) -> tuple[Reply, list[threading.Event]]:
    """Return a reply whose events are sent one at a time, each when its gate is set."""
    gates = [threading.Event() for _ in range(count)]
    return Reply(text=["Ein ", "Löwe", "."], gates=gates), gates


@both_call_modes
def test_stream_delivers_a_delta_before_the_next_is_sent(call_mode: CallMode, emulator: Emulator) -> None:
    reply, gates = gated()
    emulator.script(reply)
    core_client = client(emulator.compat_url)
    gates[0].set()  # the role
    texts: list[str] = []

    def receive(event: Event) -> None:
        if isinstance(event, TextDelta):
            texts.append(event.text)
            gates[len(texts) + 1].set()
        if len(texts) == 3:
            for gate in gates:
                gate.set()

    gates[1].set()
    if call_mode == "sync":
        for event in core_client.stream(STREAM):
            receive(event)
        core_client.close()
    else:

        async def collect() -> None:
            async for event in core_client.astream(STREAM):
                receive(event)

        asyncio.run(collect())
    assert texts == ["Ein ", "Löwe", "."]


def abandon(core_client: Client, how: str) -> None:
    """Read the first event of a stream and abandon it."""
    match how:
        case "close":
            events = core_client.stream(STREAM)
            assert isinstance(next(events), TextDelta)
            events.close()
        case "break":
            for _ in core_client.stream(STREAM):
                break
        case _:
            with suppress(KeyError):
                for _ in core_client.stream(STREAM):
                    raise KeyError


async def aabandon(core_client: Client, how: str) -> None:
    match how:
        case "close":
            events = core_client.astream(STREAM)
            assert isinstance(await anext(events), TextDelta)
            await events.aclose()
        case "break":
            async for _ in core_client.astream(STREAM):
                break
        case _:
            with suppress(KeyError):
                async for _ in core_client.astream(STREAM):
                    raise KeyError


@both_call_modes
@pytest.mark.parametrize("how", ["close", "break", "error"])
def test_abandoned_stream_closes_its_connection(how: str, call_mode: CallMode, emulator: Emulator) -> None:
    reply, gates = gated()
    emulator.script(reply, TEXT)
    gates[0].set()
    gates[1].set()
    core_client = client(emulator.compat_url)

    async def abandon_and_return() -> None:
        await aabandon(core_client, how)
        gc.collect()
        async with asyncio.timeout(3):
            while emulator.open_connections:
                await asyncio.sleep(0.002)
        assert accumulate([event async for event in core_client.astream(STREAM)]).text == "Ein Löwe 😀."

    if call_mode == "sync":
        abandon(core_client, how)
        gc.collect()
        until(lambda: emulator.open_connections == 0)
        assert accumulate(core_client.stream(STREAM)).text == "Ein Löwe 😀."
        core_client.close()
    else:
        asyncio.run(abandon_and_return())


@pytest.mark.parametrize("when", ["before the headers", "between chunks"])
def test_cancelled_stream_closes_its_connection(when: str, emulator: Emulator) -> None:
    reply, gates = gated()
    emulator.script(Fault(stall=30) if when == "before the headers" else reply, TEXT)
    gates[0].set()
    gates[1].set()
    core_client = client(emulator.compat_url)
    events: list[Event] = []

    async def listen() -> None:
        async for event in core_client.astream(STREAM):
            events.append(event)  # noqa: PERF401  # a comprehension would not collect events before the end

    async def cancel() -> None:
        task = asyncio.create_task(listen())
        while not (events or (emulator.requests and when == "before the headers")):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(100):
            if emulator.open_connections == 0:
                break
            await asyncio.sleep(0.01)
        assert emulator.open_connections == 0
        await listen()  # the next request works after the connection was closed

    asyncio.run(cancel())


@both_call_modes
@pytest.mark.parametrize("chat_request", [STREAM, WHOLE], ids=["stream", "whole"])
def test_consecutive_requests_share_one_connection(chat_request: Any, call_mode: CallMode, emulator: Emulator) -> None:
    core_client = client(emulator.compat_url)
    if call_mode == "sync":
        for _ in range(20):
            accumulate(core_client.stream(chat_request))
        core_client.close()
    else:

        async def repeat() -> None:
            for _ in range(20):
                [event async for event in core_client.astream(chat_request)]

        asyncio.run(repeat())
    assert emulator.connections == 1
    assert len(emulator.requests) == 20


ANSWER = sse(chunk(content="Ein Löwe"), chunk("stop"))


@both_call_modes
def test_body_end_in_the_last_write_keeps_the_connection(call_mode: CallMode) -> None:
    """The last event and the end of the body arrive in one write, so there is nothing left to wait for."""
    with raw_server([head("Transfer-Encoding: chunked") + chunked(ANSWER)]) as server:
        core_client = client(server.url)
        start = time.monotonic()
        if call_mode == "sync":
            for _ in range(10):
                assert accumulate(core_client.stream(STREAM)).text == "Ein Löwe"
            core_client.close()
        else:

            async def repeat() -> None:
                for _ in range(10):
                    [event async for event in core_client.astream(STREAM)]

            asyncio.run(repeat())
        took = time.monotonic() - start
    assert server.connections == 1
    assert took < 0.9


@both_call_modes
@pytest.mark.parametrize(
    "after",
    [
        pytest.param([5.0], id="silence"),
        pytest.param([chunked(b": keep-alive\n\n", end=False), 0.04] * 100, id="comments"),
        pytest.param([chunked(sse(chunk(content="more"), done=False), end=False), 0.04] * 100, id="chatter"),
    ],
)
def test_data_after_the_end_does_not_delay_the_reply(after: Any, call_mode: CallMode) -> None:
    with raw_server([head("Transfer-Encoding: chunked"), chunked(ANSWER, end=False), *after]) as server:
        start = time.monotonic()
        assert reply_of(client(server.url), STREAM, call_mode).text == "Ein Löwe"
        assert time.monotonic() - start < 0.8


@both_call_modes
@pytest.mark.parametrize(
    "after",
    [pytest.param([b""], id="closed"), pytest.param([5.0], id="silence")],
)
def test_stream_with_finish_reason_and_without_end_is_complete(after: Any, call_mode: CallMode) -> None:
    """Neither `[DONE]` nor the end of the body arrives."""
    data = sse(chunk(content="Ein Löwe"), chunk("stop", usage={"prompt_tokens": 1, "completion_tokens": 2}), done=False)
    with raw_server([head("Transfer-Encoding: chunked"), chunked(data, end=False), *after]) as server:
        reply = reply_of(client(server.url, stream_chunk_timeout=0.2), STREAM, call_mode)
    assert (reply.text, reply.finish.finish_reason) == ("Ein Löwe", "stop")
    assert reply.usage is not None


@both_call_modes
def test_body_without_length_ends_with_the_connection(call_mode: CallMode) -> None:
    with raw_server([head("Connection: close"), ANSWER, b""]) as server:
        assert reply_of(client(server.url), STREAM, call_mode).text == "Ein Löwe"
    with (
        raw_server([head("Connection: close"), ANSWER[:40], b""]) as server,
        pytest.raises(QwenVLStreamInterruptedError),
    ):
        events_of(client(server.url), STREAM, call_mode)


@both_call_modes
def test_broken_gzip_raises_stream_interrupted_error(call_mode: CallMode) -> None:
    packed = gzip.compress(ANSWER)
    for body in (packed[: len(packed) // 2], b"not gzip at all"):
        script = [head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + chunked(body)]
        with raw_server(script) as server, pytest.raises(QwenVLStreamInterruptedError):
            events_of(client(server.url), STREAM, call_mode)


@both_call_modes
def test_server_without_http_raises_connection_error(call_mode: CallMode) -> None:
    with raw_server([b"SSH-2.0-OpenSSH_9.6\r\n", b""]) as server, pytest.raises(QwenVLConnectionError):
        events_of(client(server.url), STREAM, call_mode)


def test_closed_client_opens_new_connections(emulator: Emulator) -> None:
    core_client = client(emulator.compat_url)
    core_client.close()  # nothing is open yet
    for _ in range(2):
        accumulate(core_client.stream(STREAM))
        core_client.close()
        until(lambda: not emulator._server.open_connections)
    core_client.close()

    async def twice() -> None:
        await core_client.aclose()
        for _ in range(2):
            [event async for event in core_client.astream(STREAM)]
            await core_client.aclose()
        await core_client.aclose()

    asyncio.run(twice())
    assert emulator.connections == 4


@both_call_modes
def test_callers_http_client_is_used_and_left_open(call_mode: CallMode, emulator: Emulator) -> None:
    methods: list[str] = []
    if call_mode == "sync":
        with openai.DefaultHttpxClient(event_hooks={"request": [lambda sent: methods.append(sent.method)]}) as own:
            core_client = client(emulator.compat_url, http_client=own)
            accumulate(core_client.stream(STREAM))
            core_client.close()
            assert not own.is_closed
            accumulate(core_client.stream(STREAM))
    else:

        async def hook(sent: Any) -> None:
            methods.append(sent.method)

        async def send() -> None:
            async with openai.DefaultAsyncHttpxClient(event_hooks={"request": [hook]}) as own:
                core_client = client(emulator.compat_url, http_async_client=own)
                [event async for event in core_client.astream(STREAM)]
                await core_client.aclose()
                assert not own.is_closed
                [event async for event in core_client.astream(STREAM)]

        asyncio.run(send())
    assert methods == ["POST", "POST"]
    assert emulator.connections == 1


@both_call_modes
def test_proxy_from_the_environment_is_used(call_mode: CallMode, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = head(f"Content-Length: {len(ANSWER)}") + ANSWER
    with raw_server([answer]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "")
        assert reply_of(client("http://model.test/v1"), STREAM, call_mode).text == "Ein Löwe"
        assert proxy.connections == 1


def test_reuse_or_create_returns_the_client_of_an_equal_connection(emulator: Emulator) -> None:
    one, same, other = (
        client(emulator.compat_url),
        client(emulator.compat_url),
        client(emulator.compat_url, timeout=9.0),
    )
    assert Client.reuse_or_create(same._connection, one) is one
    assert Client.reuse_or_create(other._connection, one) is not one
    assert Client.reuse_or_create(one._connection, None) is not one

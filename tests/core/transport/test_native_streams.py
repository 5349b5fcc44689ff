"""Streams over the native API: how they are framed, delivered, abandoned and closed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Generator

import pytest

from qwenvl_core.types.events import Event
from qwenvl_core.types.reply import accumulate
from tests.core.client.scripted import both_call_modes
from tests.core.transport.native import create_client, fetch_reply, make_request
from tests.emulator import Emulator, Quirks
from tests.emulator import Reply as Scripted
from tests.support.pipeline import CallMode, until

# --- streams ----------------------------------------------------------------------------------------------------

FRAMINGS = {
    "crlf": Quirks(crlf=True, comments=True),
    "cr": Quirks(cr=True),
    "a byte at a time": Quirks(split_bytes=1),
    "gzip": Quirks(gzip=True, comments=True),
    "byte order mark": Quirks(bom=True),
    "data on many lines": Quirks(multi_line_data=True),
    "a space after data": Quirks(no_space_after_data=False),
    "no reasoning key, empty content": Quirks(answer_reasoning="empty", content_mode="null"),
    "one chunk with reasoning and text": Quirks(reasoning_and_text_in_one_chunk=True),
    "no total, no details": Quirks(usage_details_absent=True, no_total_tokens=True),
    "usage at the end": Quirks(usage_every_chunk=False),
    "no finish reason until the end": Quirks(finish_missing_key=True),
    "finish alone": Quirks(finish_on_last_text_chunk=False),
}


@both_call_modes
@pytest.mark.parametrize("name", FRAMINGS)
def test_stream_framings_give_the_same_reply(emulator: Emulator, name: str, call_mode: CallMode) -> None:
    emulator.script(Scripted(reasoning="我想想 🤔", text="好的\u2028😀 ok.", quirks=FRAMINGS[name]))
    reply = fetch_reply(create_client(emulator.native_url), make_request(enable_thinking=True), call_mode)
    assert (reply.reasoning, reply.text, reply.finish.finish_reason) == ("我想想 🤔", "好的\u2028😀 ok.", "stop")
    assert reply.usage is not None
    assert reply.usage.total == reply.usage.input + reply.usage.output


@both_call_modes
def test_line_of_a_megabyte_is_read(emulator: Emulator, call_mode: CallMode) -> None:
    text = "好" * 350_000
    emulator.script(Scripted(text=[text]))
    assert fetch_reply(create_client(emulator.native_url), make_request(), call_mode).text == text


def test_stream_delivers_a_delta_before_the_next_is_sent(emulator: Emulator) -> None:
    gates = [threading.Event() for _ in range(3)]
    gates[0].set()
    emulator.script(Scripted(text=["a", "b", "c"], gates=gates))
    events = create_client(emulator.native_url).stream(make_request())
    for gate, text in zip(gates, "abc", strict=True):
        gate.set()
        assert next(events)[0] == text
    assert [type(event).__name__ for event in events] == ["Usage", "Finish"]


@pytest.mark.parametrize("how", ["close", "forget", "raise"])
def test_abandoned_stream_closes_its_connection(emulator: Emulator, how: str) -> None:
    emulator.script(Scripted(text=["word "] * 2000, delay=0.01))
    events: Generator[Event] | None = create_client(emulator.native_url).stream(make_request())
    assert events is not None
    next(events)
    if how == "raise":
        with contextlib.suppress(KeyError), contextlib.closing(events):
            raise KeyError
    elif how == "close":
        events.close()
    events = None
    gc.collect()
    until(lambda: emulator.disconnects == 1 and not emulator.open_connections)


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_abandoned_async_stream_closes_its_connection(emulator: Emulator, how: str) -> None:
    emulator.script(Scripted(text=["word "] * 2000, delay=0.01))
    started = asyncio.Event()

    async def consume(events: AsyncIterator[Event]) -> None:
        async for _ in events:
            started.set()

    client = create_client(emulator.native_url)
    events = client.astream(make_request())
    if how == "aclose":
        await anext(events)
        await events.aclose()
    else:
        task = asyncio.create_task(consume(events))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.to_thread(until, lambda: emulator.disconnects == 1 and not emulator.open_connections)
    assert (await anext(client.astream(make_request())))[0]
    await client.aclose()


def test_consecutive_requests_share_one_connection(emulator: Emulator) -> None:
    client = create_client(emulator.native_url)
    for stream in (True, False, True):
        assert accumulate(client.stream(make_request(stream=stream))).text
    assert emulator.connections == 1
    client.close()
    assert accumulate(client.stream(make_request())).text
    assert emulator.connections == 2
    client.close()


def test_deleted_client_closes_its_connections(emulator: Emulator) -> None:
    client = create_client(emulator.native_url)
    assert accumulate(client.stream(make_request())).text
    http = client._transport._sync.http
    del client
    gc.collect()
    assert http.is_closed


async def test_parallel_streams_get_the_same_events(emulator: Emulator) -> None:
    client = create_client(emulator.native_url)

    async def count_events() -> int:
        return len([event async for event in client.astream(make_request())])

    assert len(set(await asyncio.gather(*(count_events() for _ in range(120))))) == 1
    await client.aclose()

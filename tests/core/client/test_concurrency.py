"""One client in several event loops, threads and processes."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import weakref
from typing import Any

import pytest

from qwenvl_core.types.reply import accumulate
from tests.core.client.scripted import STREAM
from tests.emulator import Emulator, Reply
from tests.support.pipeline import client, request, until


def test_client_used_in_consecutive_event_loops_keeps_no_loop(emulator: Emulator) -> None:
    core_client = client(emulator.compat_url)
    loops: list[weakref.ref[Any]] = []

    async def send() -> str:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        return accumulate([event async for event in core_client.astream(STREAM)]).text

    answers = {asyncio.run(send()) for _ in range(3)}
    loop = asyncio.new_event_loop()  # closed without closing its generators, as some libraries do
    answers.add(loop.run_until_complete(send()))
    loop.run_until_complete(core_client.aclose())
    loop.close()
    assert len(answers) == 1
    del loop
    gc.collect()
    assert [ref() for ref in loops] == [None] * 4  # no closed loop is kept alive
    until(lambda: not emulator._server.open_connections)


def test_client_used_in_parallel_event_loops_answers_all(emulator: Emulator) -> None:
    core_client = client(emulator.compat_url)
    answers: list[str] = []

    async def send() -> None:
        for _ in range(5):
            reply = accumulate([event async for event in core_client.astream(STREAM)])
            answers.append(reply.text)

    threads = [threading.Thread(target=lambda: asyncio.run(send())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1


def test_parallel_streams_in_one_loop_are_not_mixed(emulator: Emulator) -> None:
    emulator.respond = lambda sent: Reply(text=sent.json["messages"][0]["content"].split(" "))
    core_client = client(emulator.compat_url)

    async def send(number: int) -> str:
        chat_request = request(f"{number} and {number}", stream=True)
        return accumulate([event async for event in core_client.astream(chat_request)]).text

    async def send_all() -> list[str]:
        return await asyncio.gather(*(send(number) for number in range(64)))

    assert asyncio.run(send_all()) == [f"{number}and{number}" for number in range(64)]


def test_threads_share_one_connection_pool(emulator: Emulator) -> None:
    emulator.respond = lambda sent: Reply(text=sent.json["messages"][0]["content"].split(" "))
    core_client = client(emulator.compat_url)
    start = threading.Barrier(8)
    wrong: list[str] = []

    def send(number: int) -> None:
        start.wait()
        for turn in range(5):
            text = accumulate(core_client.stream(request(f"{number} and {turn}", stream=True))).text
            if text != f"{number}and{turn}":
                wrong.append(text)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert emulator.connections <= 8  # one pool, although all threads started at once
    core_client.close()
    until(lambda: not emulator._server.open_connections)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_opens_its_own_connection(emulator: Emulator) -> None:
    core_client = client(emulator.compat_url)
    before = accumulate(core_client.stream(STREAM)).text
    child = os.fork()
    if child == 0:
        code = 1
        signal.alarm(60)  # ends a child that waits for what only its parent has
        try:
            code = 0 if accumulate(core_client.stream(STREAM)).text == before else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert accumulate(core_client.stream(STREAM)).text == before
    assert emulator.connections == 2  # the parent still uses its own connection
    core_client.close()

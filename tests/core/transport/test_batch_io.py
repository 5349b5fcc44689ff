"""Test how the steps of flows are performed."""

from __future__ import annotations

import asyncio
import threading
import time

from qwenvl_core.transport.batch_io import acall_in_thread


def test_acall_in_thread_at_the_end_of_the_event_loop_waits_for_its_thread() -> None:
    started, events = threading.Event(), list[str]()

    def work() -> None:
        started.set()
        time.sleep(0.2)
        events.append("thread ended")

    async def call() -> None:
        try:
            await acall_in_thread(work)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async def start() -> asyncio.Task[None]:
        task = asyncio.create_task(call())
        await asyncio.to_thread(started.wait, 10)
        return task

    assert asyncio.run(start()).cancelled()  # the end of `asyncio.run` cancels all tasks
    assert events == ["thread ended", "cancelled"]

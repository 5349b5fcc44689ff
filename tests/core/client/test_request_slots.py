"""Share slots between threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qwenvl_core.client.request_slots import RequestSlots


def test_slots_are_shared_by_threads_and_event_loops() -> None:
    slots, lock = RequestSlots(2), threading.Lock()
    running, peak = 0, 0

    def count(change: int) -> None:
        nonlocal running, peak
        with lock:
            running += change
            peak = max(peak, running)

    def use_sync() -> None:
        for _ in range(20):
            slots.acquire()
            count(1)
            count(-1)
            slots.release()

    async def use_async() -> None:
        for _ in range(20):
            await slots.aacquire()
            count(1)
            await asyncio.sleep(0)
            count(-1)
            slots.release()

    async def use_async_twice() -> None:
        await asyncio.gather(use_async(), use_async())

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(use_sync) for _ in range(2)]
        futures += [pool.submit(lambda: asyncio.run(use_async_twice())) for _ in range(2)]
        for future in futures:
            future.result(timeout=20)
    assert peak == 2


async def test_slot_goes_to_those_who_wait_in_their_order() -> None:
    slots, order = RequestSlots(1), []

    async def use(name: str) -> None:
        await slots.aacquire()
        order.append(name)
        slots.release()

    await slots.aacquire()
    tasks = [asyncio.create_task(use(name)) for name in "abc"]
    await asyncio.sleep(0)
    slots.release()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert order == ["a", "b", "c"]


@pytest.mark.parametrize("is_granted", [False, True])
async def test_cancelled_wait_takes_no_slot(is_granted: bool) -> None:
    """Also when the slot is granted in the same turn of the event loop in which the wait is cancelled."""
    slots = RequestSlots(1)
    await slots.aacquire()
    task = asyncio.create_task(slots.aacquire())
    await asyncio.sleep(0)
    if is_granted:
        slots.release()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if not is_granted:
        slots.release()
    await asyncio.wait_for(slots.aacquire(), 5)


def test_wait_of_a_closed_event_loop_takes_no_slot() -> None:
    slots = RequestSlots(1)
    slots.acquire()
    loop = asyncio.new_event_loop()
    waiting = slots.aacquire()
    loop.call_soon(waiting.send, None)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    slots.release()  # granted to the coroutine that nobody runs any more
    waiting.close()
    thread = threading.Thread(target=slots.acquire, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()

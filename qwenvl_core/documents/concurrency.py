"""Work on many items at a time, its outcomes in the order of the items."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from threading import current_thread
from typing import TypeVar

Item = TypeVar("Item")
T = TypeVar("T")

_WORKER = "qwenvl-page"  # what the names of the threads begin with


def map_ordered(
    work: Callable[[Item], T], items: Iterable[Item], width: int, *, finish: Callable[[], bool]
) -> Generator[tuple[Item, T | Exception]]:
    """Do `work` on each item in threads, and give each item with its outcome.

    Args:
        work: What to do. An `Exception` of it is the item's outcome.
        items: Taken one by one, as there is room.
        width: Most items that are begun and not yet given.
        finish: Whether, when the caller stops early, what is being worked on is waited for. What is not begun by then
            is never begun.
    """
    todo = iter(items)
    begun: deque[tuple[Item, Future[T]]] = deque()
    pool = ThreadPoolExecutor(width, thread_name_prefix=_WORKER)
    waits = True
    try:
        while True:
            for item in islice(todo, width - len(begun)):
                begun.append((item, pool.submit(copy_context().run, work, item)))
            if not begun:
                return
            item, future = begun.popleft()
            outcome: T | Exception = _outcome(future)
            yield item, outcome
    except KeyboardInterrupt:
        waits = False
        raise
    finally:
        # The garbage collector may end this in one of the threads that would be waited for.
        waits = waits and finish() and not current_thread().name.startswith(_WORKER)
        pool.shutdown(wait=waits, cancel_futures=True)


async def amap_ordered(
    work: Callable[[Item], Awaitable[T]], items: Iterable[Item], width: int, *, finish: bool
) -> AsyncGenerator[tuple[Item, T | Exception]]:
    """As `map_ordered`, with tasks. What is cancelled is not waited for, and neither is its work."""
    todo = iter(items)
    begun: deque[tuple[Item, asyncio.Task[T]]] = deque()

    async def run(item: Item) -> T:
        return await work(item)

    try:
        while True:
            for item in islice(todo, width - len(begun)):
                begun.append((item, asyncio.create_task(run(item))))
            if not begun:
                return
            item, task = begun[0]
            outcome = await _aoutcome(task)
            begun.popleft()
            yield item, outcome
    except asyncio.CancelledError:
        finish = False
        raise
    finally:
        tasks = [task for _, task in begun]
        for task in tasks if not finish else ():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _outcome(future: Future[T]) -> T | Exception:
    try:
        return future.result()
    except Exception as error:
        return error


async def _aoutcome(task: asyncio.Task[T]) -> T | Exception:
    try:
        return await task
    except Exception as error:
        return error

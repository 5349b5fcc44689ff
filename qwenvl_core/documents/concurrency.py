"""Map a function over items concurrently, with results in the order of the items."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from threading import current_thread
from typing import TypeVar

from qwenvl_core.errors import QwenVLInputError

Item = TypeVar("Item")
T = TypeVar("T")

_THREAD_NAME_PREFIX = "qwenvl-page"


def map_ordered(
    function: Callable[[Item], T],
    items: Iterable[Item],
    max_concurrency: int,
    *,
    finish_on_close: Callable[[], bool],
) -> Generator[tuple[Item, T | Exception]]:
    """Call `function` on each item in threads, and yield each item with its result.

    Args:
        function: Called with an item, in a copy of the caller's context. An `Exception` that it raises is the result.
        items: Iterated lazily, one item for each call that starts.
        max_concurrency: Maximum number of items whose call has started and whose result is not yielded yet.
        finish_on_close: Whether closing the generator early waits for the calls in progress. Calls that have not
            started are dropped in any case.
    """
    remaining = iter(items)
    pending: deque[tuple[Item, Future[T]]] = deque()
    pool = ThreadPoolExecutor(max_concurrency, thread_name_prefix=_THREAD_NAME_PREFIX)
    is_interrupted = False
    process = os.getpid()
    try:
        while True:
            for item in islice(remaining, max_concurrency - len(pending)):
                pending.append((item, pool.submit(copy_context().run, function, item)))
            if not pending:
                return
            item, future = pending.popleft()
            result: T | Exception = _get_result(future)
            yield item, result
            if os.getpid() != process:  # the threads that would give the next results are not here
                raise QwenVLInputError("This load began in a parent process. Load the document again in this one.")
    except KeyboardInterrupt:
        is_interrupted = True
        raise
    finally:
        # The garbage collector may close the generator in one of the pool's threads, which can't join itself; see
        # `qwenvl_core.rendering.lock`.
        is_worker = current_thread().name.startswith(_THREAD_NAME_PREFIX)
        pool.shutdown(wait=not is_interrupted and finish_on_close() and not is_worker, cancel_futures=True)


async def amap_ordered(
    function: Callable[[Item], Awaitable[T]], items: Iterable[Item], max_concurrency: int, *, finish_on_close: bool
) -> AsyncGenerator[tuple[Item, T | Exception]]:
    """Map a coroutine function in tasks; see `map_ordered`.

    Cancelling the consumer cancels the calls in progress, whatever `finish_on_close` is.
    """
    remaining = iter(items)
    pending: deque[tuple[Item, asyncio.Task[T]]] = deque()

    async def call(item: Item) -> T:
        return await function(item)

    try:
        while True:
            for item in islice(remaining, max_concurrency - len(pending)):
                pending.append((item, asyncio.create_task(call(item))))
            if not pending:
                return
            item, task = pending[0]
            result = await _aget_result(task)
            pending.popleft()
            yield item, result
    except asyncio.CancelledError:
        finish_on_close = False
        raise
    finally:
        tasks = [task for _, task in pending]
        for task in tasks if not finish_on_close else ():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _get_result(future: Future[T]) -> T | Exception:
    try:
        return future.result()
    except Exception as error:
        return error


async def _aget_result(task: asyncio.Task[T]) -> T | Exception:
    try:
        return await task
    except Exception as error:
        return error

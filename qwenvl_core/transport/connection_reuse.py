"""Finish reading an ended stream, so that its connection can serve the next request.

A stream of the OpenAI-compatible API ends with the event `[DONE]`, a few bytes before the HTTP body ends. The HTTP
libraries close a connection whose body was not read to its end, and the next request needs a new TCP and TLS
handshake. So the rest of the body is read, for at most `DRAIN_SECONDS`, because some servers keep the body open.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

DRAIN_SECONDS = 0.1

# Each ended stream occupies a thread until its body ends, for little more than `DRAIN_SECONDS`. By process id: in a
# forked child, no thread would leave what the threads of its parent occupy.
_free_threads: dict[int, threading.BoundedSemaphore] = {}
_MAX_THREADS = 100


def drain(response: Any, data: Iterator[bytes]) -> None:
    """Read the rest of a response's body and close the response.

    The timeout of a blocking read can't be changed from outside the HTTP library. So a daemon thread reads the body and
    closes the response, and the caller waits for it for at most `DRAIN_SECONDS`. Then the caller shuts the socket down,
    which ends the blocked read and with it the thread.
    """
    free_threads = _free_threads.setdefault(os.getpid(), threading.BoundedSemaphore(_MAX_THREADS))
    if not free_threads.acquire(blocking=False):
        response.close()
        return
    finished = threading.Event()
    try:
        threading.Thread(target=_read_rest, args=(response, data, finished, free_threads), daemon=True).start()
    except RuntimeError:  # no new thread can start while the interpreter shuts down
        _read_rest(response, iter(()), finished, free_threads)
    if not finished.wait(DRAIN_SECONDS) and not response.is_closed:  # a closed one is back in the pool
        _shut_down(response)
        finished.wait(DRAIN_SECONDS)


def _shut_down(response: Any) -> None:
    """Shut down a response's socket, where the HTTP library gives access to it (extension `network_stream`)."""
    with suppress(Exception):  # the response may end, or use no socket
        response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _read_rest(
    response: Any, data: Iterator[bytes], finished: threading.Event, free_threads: threading.BoundedSemaphore
) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS
    try:
        with suppress(Exception):  # the answer is complete, so a connection failure does not fail the call
            for _ in data:
                if time.monotonic() > deadline:
                    break
        with suppress(Exception):
            response.close()
    finally:
        free_threads.release()
        finished.set()


async def adrain(data: AsyncIterator[bytes]) -> None:
    """Read the rest of a response's body asynchronously; the caller closes the response. See `drain`."""
    with suppress(Exception):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in data:
                pass

"""Perform the steps of flows (`transport.batch_steps`), sync or async, and stream the lines of files."""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, aclosing, closing, nullcontext, suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from qwenvl_core.errors import QwenVLAPIError, QwenVLError, QwenVLInputError
from qwenvl_core.transport.batch_steps import Call, Flow, Pause, ReadLines, Step, Work
from qwenvl_core.transport.connection import Connection, HttpRequest
from qwenvl_core.transport.http_transport import HttpTransport
from qwenvl_core.transport.redaction import redact
from qwenvl_core.transport.retry import RetryPolicy, acall_with_retries, call_with_retries
from qwenvl_core.wire import files

T = TypeVar("T")


class TransportSource(Protocol):
    """What opens the transport of a connection: `qwenvl_core.client.client.Client`."""

    @property
    def connection(self) -> Connection:
        """The connection."""

    def open_transport(self) -> HttpTransport:
        """Return the transport."""

    async def aopen_transport(self) -> HttpTransport:
        """Return the transport; the SDK is imported off the event loop."""


def run(client: TransportSource, flow: Flow[T]) -> T:
    """Run a flow.

    Raises:
        QwenVLError: One of its requests failed.
    """
    try:
        step = next(flow)
        while True:
            try:
                result = _perform(client, step)
            except BaseException as error:  # an interruption too: the flow releases what it holds
                step = flow.throw(_redact(client, error))
            else:
                step = flow.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value


async def arun(client: TransportSource, flow: Flow[T]) -> T:
    """Run a flow asynchronously; see `run`. A cancellation is raised in the flow."""
    try:
        step = next(flow)
        while True:
            try:
                result = await _aperform(client, step)
            except BaseException as error:
                step = flow.throw(_redact(client, error))
            else:
                step = flow.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value


async def acall_in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread; a cancellation waits until it returns, and is raised then."""
    # Not a task: the end of `asyncio.run` cancels all tasks, and this one would end before its thread.
    call = partial(contextvars.copy_context().run, function)
    future = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((future,))
        future.exception()  # is retrieved, so that it is not reported as lost
        raise


def iterate_lines(client: TransportSource, file_id: str) -> Generator[list[bytes]]:
    """Yield the lines of a file in groups, as they arrive; after an interruption, the file is requested again.

    Raises:
        QwenVLError: The file can't be read.
    """
    download = _Download(client.connection, file_id)
    transport = client.open_transport()
    while True:
        try:
            with transport.open(download.start()) as response:
                for data in response.data:
                    yield download.decode(data)
            break
        except QwenVLError as error:
            time.sleep(download.find_delay(error))
    yield download.flush()


async def aiterate_lines(client: TransportSource, file_id: str) -> AsyncGenerator[list[bytes]]:
    """Yield the lines of a file in groups asynchronously; see `iterate_lines`."""
    download = _Download(client.connection, file_id)
    transport = await client.aopen_transport()
    while True:
        try:
            async with transport.aopen(download.start()) as response:
                async for data in response.data:
                    yield download.decode(data)
            break
        except QwenVLError as error:
            await asyncio.sleep(download.find_delay(error))
    yield download.flush()


class _Download:
    """The lines of a file that is downloaded, and requested again after an interruption."""

    def __init__(self, connection: Connection, file_id: str) -> None:
        self._connection = connection
        self._request = HttpRequest("GET", files.build_content_path(file_id))
        self._decoder = files.LineDecoder()
        self._policy = RetryPolicy(connection)
        self._count = 0  # of the lines that were yielded
        self._skipped = 0  # of those, how many must arrive again first
        self._has_progress = False

    def start(self) -> HttpRequest:
        """Return the request of the file; its lines arrive from the first one on."""
        self._decoder, self._skipped, self._has_progress = files.LineDecoder(), self._count, False
        return self._request

    def decode(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete with `data` and were not returned before."""
        return self._select(self._decoder.decode(data))

    def flush(self) -> list[bytes]:
        """Return the line after the last line end."""
        return self._select(self._decoder.flush())

    def find_delay(self, error: QwenVLError) -> float:
        """Return the seconds before the next attempt; each attempt that brought lines allows new ones.

        Raises:
            QwenVLError: `error`, if there is none.
        """
        redact(error, self._connection.api_key)
        if self._has_progress:
            self._policy = RetryPolicy(self._connection)
        return self._policy.next_delay(error)

    def _select(self, lines: Iterable[bytes]) -> list[bytes]:
        found = list(lines)
        new = found[self._skipped :]
        self._skipped -= min(self._skipped, len(found))
        self._count += len(new)
        self._has_progress = self._has_progress or bool(new)
        return new


def _redact(client: TransportSource, error: BaseException) -> BaseException:
    if isinstance(error, QwenVLError):
        redact(error, client.connection.api_key)
    return error


def _perform(client: TransportSource, step: Step) -> Any:
    match step:
        case Pause(seconds, loop):
            if loop is not None and loop is asyncio._get_running_loop():
                raise QwenVLInputError(
                    "An async call in this event loop works on the batches of this cache_dir. Await it first, or use "
                    "asubmit_batch() and acollect_batch() here."
                )
            return time.sleep(seconds)
        case Work(function):
            return function()
        case ReadLines(file_id, consume):
            with closing(iterate_lines(client, file_id)) as groups:
                for lines in groups:
                    _consume(consume, lines)
            return None
        case Call():
            return _call(client, step)


async def _aperform(client: TransportSource, step: Step) -> Any:
    match step:
        case Pause(seconds, _):
            return await asyncio.sleep(seconds)
        case Work(function):
            return await acall_in_thread(function)
        case ReadLines(file_id, consume):
            async with aclosing(aiterate_lines(client, file_id)) as groups:
                async for lines in groups:
                    if lines:
                        await acall_in_thread(partial(_consume, consume, lines))
            return None
        case Call():
            return await _acall(client, step)


def _consume(consume: Callable[[bytes], object], lines: Sequence[bytes]) -> None:
    for line in lines:
        consume(line)


def _call(client: TransportSource, step: Call) -> Any:
    transport = client.open_transport()

    def attempt() -> bytes:
        with (
            step.file.open("rb") if step.file else nullcontext() as file,
            transport.open(step.build(file)) as response,
        ):
            return b"".join(response.data)

    return _parse(call_with_retries(client.connection, attempt) if step.is_repeated else attempt())


async def _acall(client: TransportSource, step: Call) -> Any:
    transport = await client.aopen_transport()

    async def attempt() -> bytes:
        with ExitStack() as stack:  # closes a file that was opened in spite of a cancellation
            path = step.file
            file = await acall_in_thread(lambda: stack.enter_context(path.open("rb"))) if path else None
            async with transport.aopen(step.build(file)) as response:
                return b"".join([data async for data in response.data])

    return _parse(await acall_with_retries(client.connection, attempt) if step.is_repeated else await attempt())


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise QwenVLAPIError(f"The reply is not valid JSON: {error}.", status_code=200) from None

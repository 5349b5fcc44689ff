"""Run the requests of batches (`transport.batch_calls`) over a transport, and stream the lines of their files."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import nullcontext
from typing import Any, Protocol, TypeVar

from qwenvl_core.errors import QwenVLAPIError, QwenVLError
from qwenvl_core.transport.batch_calls import Call, Flow, Pause
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
                reply = _perform(client, step)
            except QwenVLError as error:
                redact(error, client.connection.api_key)
                step = flow.throw(error)
            else:
                step = flow.send(reply)
    except StopIteration as stop:
        result: T = stop.value
        return result


async def arun(client: TransportSource, flow: Flow[T]) -> T:
    """Run a flow asynchronously; see `run`."""
    try:
        step = next(flow)
        while True:
            try:
                reply = await _aperform(client, step)
            except QwenVLError as error:
                redact(error, client.connection.api_key)
                step = flow.throw(error)
            else:
                step = flow.send(reply)
    except StopIteration as stop:
        result: T = stop.value
        return result


def iterate_lines(client: TransportSource, file_id: str) -> Generator[bytes]:
    """Yield the lines of a file as they arrive; after an interruption, the file is requested again.

    Raises:
        QwenVLError: The file can't be read.
    """
    request, policy = _build_content_request(file_id), RetryPolicy(client.connection)
    count = 0
    transport = client.open_transport()
    while True:
        decoder, skipped = files.LineDecoder(), count
        try:
            with transport.open(request) as response:
                for data in response.data:
                    for line in decoder.decode(data):
                        skipped -= 1
                        if skipped < 0:
                            count += 1
                            yield line
            break
        except QwenVLError as error:
            redact(error, client.connection.api_key)
            time.sleep(policy.next_delay(error))
    if skipped <= 0:
        yield from decoder.flush()


async def aiterate_lines(client: TransportSource, file_id: str) -> AsyncGenerator[bytes]:
    """Yield the lines of a file asynchronously; see `iterate_lines`."""
    request, policy = _build_content_request(file_id), RetryPolicy(client.connection)
    count = 0
    transport = await client.aopen_transport()
    while True:
        decoder, skipped = files.LineDecoder(), count
        try:
            async with transport.aopen(request) as response:
                async for data in response.data:
                    for line in decoder.decode(data):
                        skipped -= 1
                        if skipped < 0:
                            count += 1
                            yield line
            break
        except QwenVLError as error:
            redact(error, client.connection.api_key)
            await asyncio.sleep(policy.next_delay(error))
    if skipped <= 0:
        for line in decoder.flush():
            yield line


def _build_content_request(file_id: str) -> HttpRequest:
    return HttpRequest("GET", files.build_content_path(file_id))


def _perform(client: TransportSource, step: Call | Pause) -> Any:
    if isinstance(step, Pause):
        time.sleep(step.seconds)
        return None
    transport = client.open_transport()

    def attempt() -> bytes:
        with (
            step.file.open("rb") if step.file else nullcontext() as file,
            transport.open(step.build(file)) as response,
        ):
            return b"".join(response.data)

    return _parse(call_with_retries(client.connection, attempt) if step.is_repeated else attempt())


async def _aperform(client: TransportSource, step: Call | Pause) -> Any:
    if isinstance(step, Pause):
        await asyncio.sleep(step.seconds)
        return None
    transport = await client.aopen_transport()

    async def attempt() -> bytes:
        file = await asyncio.to_thread(step.file.open, "rb") if step.file else None
        with file or nullcontext():
            async with transport.aopen(step.build(file)) as response:
                return b"".join([data async for data in response.data])

    return _parse(await acall_with_retries(client.connection, attempt) if step.is_repeated else await attempt())


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise QwenVLAPIError(f"The reply is not valid JSON: {error}.", status_code=200) from None

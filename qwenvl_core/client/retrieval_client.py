"""Send requests for vectors and scores: several at once, each within the limits of the service.

```
items ─► validation ─► packing ─► (uploads) ─► wire.encode ─► transport ─► wire.decode ─► vectors or scores
```
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from qwenvl_core.client.client import Client
from qwenvl_core.client.request_slots import RequestSlots
from qwenvl_core.errors import QwenVLError
from qwenvl_core.request.retrieval_uploads import plan_uploads
from qwenvl_core.transport.connection import HttpRequest
from qwenvl_core.transport.redaction import redact
from qwenvl_core.transport.retry import acall_with_retries, call_with_retries
from qwenvl_core.types.retrieval import Item
from qwenvl_core.wire.retrieval_fields import parse_reply
from qwenvl_core.wire.upload_policy import is_url_rejected

T = TypeVar("T")


class RateLimiter(Protocol):
    """What both frameworks' rate limiters are made into: one call before each request."""

    def acquire(self) -> None:
        """Wait until a request may be sent."""

    async def aacquire(self) -> None:
        """Wait asynchronously until a request may be sent."""


@dataclass(frozen=True, slots=True)
class RetrievalRequest(Generic[T]):
    """One request.

    Attributes:
        model: The model, which uploads are bound to.
        items: The items whose media may be uploaded.
        upload: Which local images are uploaded: `"auto"`, `"always"` or `"never"`; local videos always are.
        encode: Builds the HTTP request from the items, with the URLs of their uploads.
        decode: Reads the parsed reply.
    """

    model: str
    items: tuple[Item, ...]
    upload: str
    encode: Callable[[tuple[Item, ...]], HttpRequest]
    decode: Callable[[Any], T]


class CallGuard:
    """Ends a call at its first error: requests that have not begun, and attempts to repeat one, raise that error too.

    Attributes:
        error: The first error; `None` if there is none.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def check(self) -> None:
        """Raise the first error, if there is one."""
        if self.error is not None:
            raise self.error

    def end(self, error: BaseException) -> None:
        """Record an error; the first one stays."""
        if self.error is None:
            self.error = error

    @contextmanager
    def watch(self, api_key: str) -> Iterator[None]:
        """Record an error that is raised within the context, without the key."""
        try:
            yield
        except Exception as error:
            if isinstance(error, QwenVLError):
                redact(error, api_key)
            self.end(error)
            raise


class RetrievalClient:
    """Sends the requests of one object; safe to share between threads and event loops.

    Args:
        max_concurrency: How many requests are sent at once.
    """

    def __init__(self, max_concurrency: int) -> None:
        self.max_concurrency = max_concurrency
        self._slots = RequestSlots(max_concurrency)
        self._pid = os.getpid()

    def can_serve(self, max_concurrency: int) -> bool:
        """Return whether it has this limit and was made in this process; slots of a parent may never become free."""
        return self.max_concurrency == max_concurrency and self._pid == os.getpid()

    def run(self, client: Client, requests: Sequence[RetrievalRequest[T]], limiter: RateLimiter) -> list[T]:
        """Send requests and return their results, in the order of the requests.

        Raises:
            QwenVLError: The first error; no further request begins after it.
        """
        guard = CallGuard()
        if len(requests) <= 1:
            return [self._run_one(client, request, limiter, guard) for request in requests]
        pool = ThreadPoolExecutor(min(self.max_concurrency, len(requests)), thread_name_prefix="qwenvl-retrieval")
        try:
            futures = [
                pool.submit(copy_context().run, self._run_one, client, request, limiter, guard) for request in requests
            ]
            wait(futures, return_when=FIRST_EXCEPTION)
            guard.check()
            return [future.result() for future in futures]
        except BaseException as error:  # also an interrupt: no further request may begin
            guard.end(error)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    async def arun(
        self,
        client: Client,
        requests: Sequence[RetrievalRequest[T]],
        limiter: RateLimiter,
        guard: CallGuard | None = None,
    ) -> list[T]:
        """Send requests asynchronously; see `run`. After an error, requests in progress are cancelled.

        Args:
            client: The client of the connection.
            requests: The requests.
            limiter: Waited for once a request.
            guard: Shared by the parts of a call that a framework has split into batches.
        """
        guard = guard or CallGuard()
        if len(requests) <= 1:
            return [await self._arun_one(client, request, limiter, guard) for request in requests]
        waiting = iter(enumerate(requests))
        results: dict[int, T] = {}

        async def work() -> None:
            for index, request in waiting:
                results[index] = await self._arun_one(client, request, limiter, guard)

        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.max_concurrency, len(requests))):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            failure = errors.exceptions[0]
        if failure is not None:  # outside of the handler, so that it keeps its own cause
            raise failure
        return [results[index] for index in range(len(requests))]

    def _run_one(self, client: Client, request: RetrievalRequest[T], limiter: RateLimiter, guard: CallGuard) -> T:
        self._slots.acquire()
        try:
            with guard.watch(client.connection.api_key):
                guard.check()
                transport = client.open_transport()
                limiter.acquire()
                guard.check()  # waiting may have taken long
                return self._send(client, transport, request, guard)
        finally:
            self._slots.release()

    async def _arun_one(
        self, client: Client, request: RetrievalRequest[T], limiter: RateLimiter, guard: CallGuard
    ) -> T:
        await self._slots.aacquire()
        try:
            with guard.watch(client.connection.api_key):
                guard.check()
                transport = await client.aopen_transport()
                await limiter.aacquire()
                guard.check()
                return await self._asend(client, transport, request, guard)
        finally:
            self._slots.release()

    def _send(self, client: Client, transport: Any, request: RetrievalRequest[T], guard: CallGuard) -> T:
        plan = plan_uploads(request.items, request.upload)
        urls = client.uploader.upload_all(transport, plan.uploads, request.model) if plan.uploads else []
        try:
            return self._attempt(client, transport, request, plan.replace_sources(urls), guard)
        except QwenVLError as error:
            if not urls or not is_url_rejected(error):
                raise
        client.uploader.discard(plan.uploads, urls, request.model)
        urls = client.uploader.upload_all(transport, plan.uploads, request.model)
        return self._attempt(client, transport, request, plan.replace_sources(urls), guard)

    async def _asend(self, client: Client, transport: Any, request: RetrievalRequest[T], guard: CallGuard) -> T:
        plan = await asyncio.to_thread(plan_uploads, request.items, request.upload)
        urls = await client.uploader.aupload_all(transport, plan.uploads, request.model) if plan.uploads else []
        try:
            return await self._aattempt(client, transport, request, plan.replace_sources(urls), guard)
        except QwenVLError as error:
            if not urls or not is_url_rejected(error):
                raise
        await asyncio.to_thread(client.uploader.discard, plan.uploads, urls, request.model)
        urls = await client.uploader.aupload_all(transport, plan.uploads, request.model)
        return await self._aattempt(client, transport, request, plan.replace_sources(urls), guard)

    def _attempt(
        self,
        client: Client,
        transport: Any,
        request: RetrievalRequest[T],
        items: tuple[Item, ...],
        guard: CallGuard,
    ) -> T:
        http_request = request.encode(items)

        def attempt() -> T:
            _check_repetition(guard)
            with transport.open(http_request) as response:
                body = b"".join(response.data)
            return request.decode(parse_reply(body))

        return call_with_retries(client.connection, attempt)

    async def _aattempt(
        self,
        client: Client,
        transport: Any,
        request: RetrievalRequest[T],
        items: tuple[Item, ...],
        guard: CallGuard,
    ) -> T:
        http_request = await asyncio.to_thread(request.encode, items)

        async def attempt() -> T:
            _check_repetition(guard)
            async with transport.aopen(http_request) as response:
                body = b"".join([data async for data in response.data])
            return await asyncio.to_thread(lambda: request.decode(parse_reply(body)))

        return await acall_with_retries(client.connection, attempt)


def _check_repetition(guard: CallGuard) -> None:
    """Raise if the call has ended; the error must not be one that is worth repeating the request for."""
    if guard.error is not None:
        raise QwenVLError("The request was not repeated, because another one of the call failed.") from guard.error

"""The one way through the house: a request goes in, events come out.

```
Request ─► policy ─► (fit) ─► checks ─► (uploads) ─► wire.encode ─► transport ─► Reading (sse, wire.Decoder) ─► Event…
```
"""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from qwenvl_core.catalog.models import describe
from qwenvl_core.errors import (
    QwenVLAuthenticationError,
    QwenVLError,
    QwenVLInputError,
    QwenVLMissingKeyError,
)
from qwenvl_core.media import uploads
from qwenvl_core.request import image_fitting, pdf_attachments, policy, validation
from qwenvl_core.transport.connection import Connection
from qwenvl_core.transport.redaction import redact
from qwenvl_core.transport.retry import Retries
from qwenvl_core.types.events import Event
from qwenvl_core.types.request import Plan, Request
from qwenvl_core.wire import dashscope, openai
from qwenvl_core.wire.response_reader import Reading


@dataclass(frozen=True, slots=True)
class _Api:
    """One of the service's two APIs: its wire, its transport's module and class, and whether it takes uploads.

    The module is imported with the first request, so that importing an adapter imports no SDK.
    """

    wire: ModuleType
    module: str
    transport: str
    uploads: bool


_APIS = {
    "openai": _Api(openai, "qwenvl_core.transport.openai", "OpenAITransport", uploads=False),
    "dashscope": _Api(dashscope, "qwenvl_core.transport.dashscope", "DashScopeTransport", uploads=True),
}


class Client:
    """Talks to one endpoint with one key; safe to share between threads, event loops and forked processes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._api = _APIS[connection.api]
        self._transport: Any = None
        self._pid = 0
        self._lock = threading.Lock()

    @classmethod
    def of(cls, connection: Connection, held: Client | None) -> Client:
        """`held`, if it is for this `connection`; a new client otherwise."""
        return held if held is not None and held._connection == connection else cls(connection)

    def __deepcopy__(self, memo: Any) -> Client:
        """A copied model shares its connections until it is changed."""
        return self

    def events(self, request: Request) -> Generator[Event]:
        """The events of the reply to `request`, as they arrive. Closing the iterator closes the connection.

        Raises:
            QwenVLError: See `qwenvl_core.errors`; with the text received so far in `partial`.
        """
        transport = self._open()
        wire = self._api.wire
        plan = self._uploaded(self._plan(request), transport)
        body, headers = wire.encode(plan), wire.headers(plan)
        retries = Retries(self._connection)
        while True:
            reading = self._reading(plan)
            try:
                with transport.open(wire.PATH, body, headers, stream=plan.stream) as response:
                    reading.begin(response.headers)
                    for block in response.blocks:
                        yield from reading.feed(block)
                        if reading.done:
                            break
                    yield from reading.close()
                return
            except QwenVLError as error:
                redact(error, self._connection.api_key)
                if reading.began:
                    yield from reading.broken(error)
                    return
                pause = retries.pause_after(reading.described(error))
            time.sleep(pause)

    async def aevents(self, request: Request) -> AsyncGenerator[Event]:
        """As `events`, for async."""
        transport = await self._aopen()
        wire = self._api.wire
        plan = await self._auploaded(await self._aplan(request), transport)
        body, headers = wire.encode(plan), wire.headers(plan)
        retries = Retries(self._connection)
        while True:
            reading = self._reading(plan)
            try:
                async with transport.aopen(wire.PATH, body, headers, stream=plan.stream) as response:
                    reading.begin(response.headers)
                    async for block in response.blocks:
                        for event in reading.feed(block):
                            yield event
                        if reading.done:
                            break
                    for event in reading.close():
                        yield event
                return
            except QwenVLError as error:
                redact(error, self._connection.api_key)
                if reading.began:
                    for event in reading.broken(error):
                        yield event
                    return
                pause = retries.pause_after(reading.described(error))
            await asyncio.sleep(pause)

    def close(self) -> None:
        """Close the sync connections; the next request opens new ones."""
        if self._transport is not None:
            self._transport.close()

    async def aclose(self) -> None:
        """Close the async connections of this event loop; the next request opens new ones."""
        if self._transport is not None:
            await self._transport.aclose()

    def _reading(self, plan: Plan) -> Reading:
        connection = self._connection
        return Reading(
            self._api.wire.Decoder(),
            plan,
            timeout=connection.timeout,
            chunk_timeout=connection.stream_chunk_timeout,
        )

    def _open(self) -> Any:
        """The transport. A forked child builds its own: sockets can't be shared with the parent."""
        self._check_key()
        with self._lock:
            if self._transport is None or self._pid != os.getpid():
                self._transport, self._pid = self._build(), os.getpid()
        return self._transport

    def _check_key(self) -> None:
        """Before anything is sent; what a header can't hold, libraries quote in their errors."""
        key = self._connection.api_key
        if not key.strip():
            raise QwenVLMissingKeyError("There is no API key.")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise QwenVLAuthenticationError("The API key has a space, a line break or another character of no key.")

    async def _aopen(self) -> Any:
        """As `_open`; what takes a while, the import of an SDK, is done off the event loop."""
        self._check_key()
        if self._transport is None or self._pid != os.getpid():
            return await asyncio.to_thread(self._open)
        return self._transport

    def _build(self) -> Any:
        try:
            module = importlib.import_module(self._api.module)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "dashscope":
                raise
            raise QwenVLInputError(
                'api="dashscope" needs the dashscope SDK (2.x): pip install "qwenvl-adapters[dashscope]"'
            ) from error
        return getattr(module, self._api.transport)(self._connection)

    def _plan(self, request: Request) -> Plan:
        """What is sent for `request`, once nothing is known against it.

        Raises:
            QwenVLInputError: The service would refuse it.
        """
        facts = describe(request.settings.model)
        plan = image_fitting.apply(policy.apply(pdf_attachments.with_pages(request), facts), facts)
        validation.check(plan, facts, self._connection.api)
        return plan

    async def _aplan(self, request: Request) -> Plan:
        """As `_plan`; images are scaled and pages rendered off the event loop."""
        if request.settings.media_policy == "fit" or pdf_attachments.any_in(request):
            return await asyncio.to_thread(self._plan, request)
        return self._plan(request)

    def _uploaded(self, plan: Plan, transport: Any) -> Plan:
        """`plan` with its large local media uploaded, where the API takes that."""
        if not self._api.uploads or not uploads.any_needed(plan):
            return plan
        found = self._to_upload(plan)
        with self._without_key():
            urls = [transport.upload(upload, plan.settings.model) for upload in found]
        return uploads.replaced(plan, found, urls)

    async def _auploaded(self, plan: Plan, transport: Any) -> Plan:
        """As `_uploaded`, for async."""
        if not self._api.uploads or not uploads.any_needed(plan):
            return plan
        found = await asyncio.to_thread(self._to_upload, plan)
        with self._without_key():
            urls = [await transport.aupload(upload, plan.settings.model) for upload in found]
        return uploads.replaced(plan, found, urls)

    @contextmanager
    def _without_key(self) -> Iterator[None]:
        try:
            yield
        except QwenVLError as error:
            redact(error, self._connection.api_key)
            raise

    def _to_upload(self, plan: Plan) -> list[uploads.Upload]:
        """What has to be uploaded, once all the rest is known to be fit to be sent."""
        found = uploads.needed(plan)
        self._api.wire.encode(uploads.replaced(plan, found, [""] * len(found)))
        return found

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
from qwenvl_core.transport.retry import RetryPolicy
from qwenvl_core.types.events import Event
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.wire import dashscope, openai
from qwenvl_core.wire.response_reader import ResponseReader


@dataclass(frozen=True, slots=True)
class _ApiBackend:
    """One of the service's two APIs: its wire, its transport's module and class, and whether it takes uploads.

    The module is imported with the first request, so that importing an adapter imports no SDK.
    """

    wire: ModuleType
    transport_module: str
    transport: str
    uploads: bool


_BACKENDS = {
    "openai": _ApiBackend(openai, "qwenvl_core.transport.openai", "OpenAITransport", uploads=False),
    "dashscope": _ApiBackend(dashscope, "qwenvl_core.transport.dashscope", "DashScopeTransport", uploads=True),
}


class Client:
    """Talks to one endpoint with one key; safe to share between threads, event loops and forked processes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._api = _BACKENDS[connection.api]
        self._transport: Any = None
        self._pid = 0
        self._lock = threading.Lock()

    @classmethod
    def reuse_or_create(cls, connection: Connection, current: Client | None) -> Client:
        """`current`, if it is for this `connection`; a new client otherwise."""
        return current if current is not None and current._connection == connection else cls(connection)

    def __deepcopy__(self, memo: Any) -> Client:
        """A copied model shares its connections until it is changed."""
        return self

    def stream(self, request: Request) -> Generator[Event]:
        """The events of the reply to `request`, as they arrive. Closing the iterator closes the connection.

        Raises:
            QwenVLError: See `qwenvl_core.errors`; with the text received so far in `partial`.
        """
        transport = self._open()
        wire = self._api.wire
        prepared = self._upload_media(self._prepare(request), transport)
        body, headers = wire.encode(prepared), wire.headers(prepared)
        retry_policy = RetryPolicy(self._connection)
        while True:
            reader = self._new_reader(prepared)
            try:
                with transport.open(wire.PATH, body, headers, stream=prepared.stream) as response:
                    reader.start(response.headers)
                    for block in response.blocks:
                        yield from reader.decode(block)
                        if reader.done:
                            break
                    yield from reader.flush()
                return
            except QwenVLError as error:
                redact(error, self._connection.api_key)
                if reader.started:
                    yield from reader.finish_after_error(error)
                    return
                delay = retry_policy.next_delay(reader.add_context(error))
            time.sleep(delay)

    async def astream(self, request: Request) -> AsyncGenerator[Event]:
        """As `stream`, for async."""
        transport = await self._aopen()
        wire = self._api.wire
        prepared = await self._aupload_media(await self._aprepare(request), transport)
        body, headers = wire.encode(prepared), wire.headers(prepared)
        retry_policy = RetryPolicy(self._connection)
        while True:
            reader = self._new_reader(prepared)
            try:
                async with transport.aopen(wire.PATH, body, headers, stream=prepared.stream) as response:
                    reader.start(response.headers)
                    async for block in response.blocks:
                        for event in reader.decode(block):
                            yield event
                        if reader.done:
                            break
                    for event in reader.flush():
                        yield event
                return
            except QwenVLError as error:
                redact(error, self._connection.api_key)
                if reader.started:
                    for event in reader.finish_after_error(error):
                        yield event
                    return
                delay = retry_policy.next_delay(reader.add_context(error))
            await asyncio.sleep(delay)

    def close(self) -> None:
        """Close the sync connections; the next request opens new ones."""
        if self._transport is not None:
            self._transport.close()

    async def aclose(self) -> None:
        """Close the async connections of this event loop; the next request opens new ones."""
        if self._transport is not None:
            await self._transport.aclose()

    def _new_reader(self, prepared: PreparedRequest) -> ResponseReader:
        connection = self._connection
        return ResponseReader(
            self._api.wire.Decoder(),
            prepared,
            timeout=connection.timeout,
            chunk_timeout=connection.stream_chunk_timeout,
        )

    def _open(self) -> Any:
        """The transport. A forked child builds its own: sockets can't be shared with the parent."""
        self._check_key()
        with self._lock:
            if self._transport is None or self._pid != os.getpid():
                self._transport, self._pid = self._create_transport(), os.getpid()
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

    def _create_transport(self) -> Any:
        try:
            transport_module = importlib.import_module(self._api.transport_module)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "dashscope":
                raise
            raise QwenVLInputError(
                'api="dashscope" needs the dashscope SDK (2.x): pip install "qwenvl-adapters[dashscope]"'
            ) from error
        return getattr(transport_module, self._api.transport)(self._connection)

    def _prepare(self, request: Request) -> PreparedRequest:
        """What is sent for `request`, once nothing is known against it.

        Raises:
            QwenVLInputError: The service would refuse it.
        """
        facts = describe(request.settings.model)
        prepared = image_fitting.fit_images(policy.prepare(pdf_attachments.with_pages(request), facts), facts)
        validation.check(prepared, facts, self._connection.api)
        return prepared

    async def _aprepare(self, request: Request) -> PreparedRequest:
        """As `_prepare`; images are scaled and pages rendered off the event loop."""
        if request.settings.media_policy == "fit" or pdf_attachments.any_in(request):
            return await asyncio.to_thread(self._prepare, request)
        return self._prepare(request)

    def _upload_media(self, prepared: PreparedRequest, transport: Any) -> PreparedRequest:
        """`prepared` with its large local media uploaded, where the API takes that."""
        if not self._api.uploads or not uploads.any_needed(prepared):
            return prepared
        found = self._find_uploads(prepared)
        with self._redact_errors():
            urls = [transport.upload(upload, prepared.settings.model) for upload in found]
        return uploads.replaced(prepared, found, urls)

    async def _aupload_media(self, prepared: PreparedRequest, transport: Any) -> PreparedRequest:
        """As `_upload_media`, for async."""
        if not self._api.uploads or not uploads.any_needed(prepared):
            return prepared
        found = await asyncio.to_thread(self._find_uploads, prepared)
        with self._redact_errors():
            urls = [await transport.aupload(upload, prepared.settings.model) for upload in found]
        return uploads.replaced(prepared, found, urls)

    @contextmanager
    def _redact_errors(self) -> Iterator[None]:
        try:
            yield
        except QwenVLError as error:
            redact(error, self._connection.api_key)
            raise

    def _find_uploads(self, prepared: PreparedRequest) -> list[uploads.Upload]:
        """What has to be uploaded, once all the rest is known to be fit to be sent."""
        found = uploads.needed(prepared)
        self._api.wire.encode(uploads.replaced(prepared, found, [""] * len(found)))
        return found

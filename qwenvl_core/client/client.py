"""Run a chat request through the pipeline and yield response events.

```
Request ─► policy ─► (fit) ─► validation ─► (uploads) ─► wire.encode ─► transport ─► ResponseReader ─► Event…
                                                              ▲                            │
                                                              └─ next request (Exchange) ◄─┘ of an unusable reply
```
"""

from __future__ import annotations

import asyncio
import importlib
import os
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.client import batch_chat, batch_results
from qwenvl_core.client.attempts import Attempts
from qwenvl_core.client.exchange import Exchange
from qwenvl_core.client.media_uploads import MediaUploads, UploadedRequest
from qwenvl_core.client.provider_detection import ProviderDetector
from qwenvl_core.errors import (
    QwenVLAuthenticationError,
    QwenVLError,
    QwenVLInputError,
    QwenVLMissingKeyError,
)
from qwenvl_core.request import (
    batch_context,
    file_parts,
    image_fitting,
    pdf_attachments,
    policy,
    tool_media,
    validation,
    video_fitting,
)
from qwenvl_core.request.batch_demand import build_unchecked_request
from qwenvl_core.transport import batch_files
from qwenvl_core.transport.connection import Connection, HttpRequest
from qwenvl_core.transport.redaction import redact
from qwenvl_core.transport.retry import RetryPolicy
from qwenvl_core.transport.upload_urls import UploadUrls
from qwenvl_core.transport.uploader import Uploader
from qwenvl_core.types.batch import BatchResult
from qwenvl_core.types.events import Event
from qwenvl_core.types.fork_lock import ForkSafeLock
from qwenvl_core.types.messages import Media, Message
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.types.settings import ModelSettings
from qwenvl_core.wire import dashscope, openai
from qwenvl_core.wire.response_reader import ResponseReader


@dataclass(frozen=True, slots=True)
class _ApiBackend:
    """One of the service's two APIs: its wire format and its transport.

    The transport is a module and class name: the module is imported with the first request, so that importing an
    adapter imports no SDK.
    """

    wire: ModuleType
    transport_module: str
    transport_class: str


_BACKENDS = {
    "openai": _ApiBackend(openai, "qwenvl_core.transport.openai", "OpenAITransport"),
    "dashscope": _ApiBackend(dashscope, "qwenvl_core.transport.dashscope", "DashScopeTransport"),
}


class Client:
    """Sends requests over one connection; safe to share between threads, event loops and forked processes."""

    def __init__(self, connection: Connection, urls: UploadUrls | None = None) -> None:
        self._connection = connection
        self._backend = _BACKENDS[connection.api]
        self._urls = urls or UploadUrls(connection.upload_cache)
        self._uploads = MediaUploads(Uploader(connection, self._urls), self._encode)
        self._transport: Any = None
        self._pid = 0
        self._lock = ForkSafeLock()
        self._detection = ProviderDetector(connection)

    @classmethod
    def reuse_or_create(cls, connection: Connection, current: Client | None) -> Client:
        """Return `current` if it uses this `connection`, or else a new client that knows its uploads."""
        if current is None:
            return cls(connection)
        if current._connection == connection:
            return current
        return cls(connection, current._urls if current._urls.folder == connection.upload_cache else None)

    def __deepcopy__(self, memo: Any) -> Client:
        """Return the client itself: a copied model shares its connections until it is changed."""
        return self

    def stream(self, request: Request) -> Generator[Event]:
        """Yield the events of the reply as they arrive. Closing the iterator closes the connection.

        Raises:
            QwenVLError: See `qwenvl_core.errors`; the text received so far is in `partial`.
        """
        transport = self.open_transport()
        request = batch_chat.apply_tier(self._detection.apply(request, transport), self._connection)
        uploaded = self._uploads.upload(self._prepare(request), transport)
        exchange = Exchange(uploaded.prepared, self._describe(request))
        while exchange.prepared:
            uploaded = uploaded.continue_with(exchange.prepared)
            attempts = Attempts(uploaded, self._encode(exchange.prepared), self._new_retry_policy(request))
            while True:
                reader = self._new_reader(exchange.prepared)
                try:
                    with transport.open(attempts.http_request) as response:
                        reader.start(response.headers)
                        for data in response.data:
                            yield from exchange.shape(reader.decode(data))
                            if reader.done:
                                break
                        yield from exchange.shape(reader.flush())
                    break
                except QwenVLError as error:
                    if self._is_complete(error, reader, exchange, attempts):
                        break
                    attempts.plan_next(error)
                uploaded = self._prepare_attempt(attempts, transport, exchange)
            yield from exchange.finish(reader)

    async def astream(self, request: Request) -> AsyncGenerator[Event]:
        """Yield the events of the reply asynchronously; see `stream`."""
        transport = await self.aopen_transport()
        request = batch_chat.apply_tier(await self._detection.aapply(request, transport), self._connection)
        uploaded = await self._uploads.aupload(await self._aprepare(request), transport)
        exchange = Exchange(uploaded.prepared, self._describe(request))
        while exchange.prepared:
            uploaded = uploaded.continue_with(exchange.prepared)
            attempts = Attempts(uploaded, await self._aencode(exchange.prepared), self._new_retry_policy(request))
            while True:
                reader = self._new_reader(exchange.prepared)
                try:
                    async with transport.aopen(attempts.http_request) as response:
                        reader.start(response.headers)
                        async for data in response.data:
                            for event in exchange.shape(reader.decode(data)):
                                yield event
                            if reader.done:
                                break
                        for event in exchange.shape(reader.flush()):
                            yield event
                    break
                except QwenVLError as error:
                    if self._is_complete(error, reader, exchange, attempts):
                        break
                    attempts.plan_next(error)
                uploaded = await self._aprepare_attempt(attempts, transport, exchange)
            for event in exchange.finish(reader):
                yield event

    def prepare_batch_body(self, request: Request) -> tuple[PreparedRequest, dict[str, Any]]:
        """Return a request as batch files have it, and its body, whose media may be `DataUri` objects.

        Raises:
            QwenVLInputError: It can't be sent in a batch file.
        """
        prepared = self._prepare(batch_files.adapt_request(request, self._connection))
        return prepared, batch_files.build_body(self._encode(prepared))

    def decode_batch_result(self, result: BatchResult, model: str) -> Reply | QwenVLError:
        """Decode a result of a batch whose requests state no demand: the reply, or the error."""
        return batch_results.decode_outcome(result, replace(build_unchecked_request(model), adjustments=()))

    @property
    def detected_context_window(self) -> int | None:
        """The context window that the server reports, in tokens; `None` until the first call of `provider="auto"`."""
        return self._detection.result.context_window

    @property
    def detected_provider(self) -> str | None:
        """The provider that the server's list of models names; `None` until the first call of `provider="auto"`."""
        return self._detection.result.provider

    @property
    def connection(self) -> Connection:
        """The connection."""
        return self._connection

    @property
    def uploader(self) -> Uploader:
        """The uploader of the connection."""
        return self._uploads.uploader

    def close(self) -> None:
        """Close the sync connections; the next request opens new ones."""
        if self._transport is not None:
            self._transport.close()

    async def aclose(self) -> None:
        """Close the async connections of this event loop; the next request opens new ones."""
        if self._transport is not None:
            await self._transport.aclose()

    def _new_reader(self, prepared: PreparedRequest) -> ResponseReader:
        settings = prepared.settings
        connection = self._connection.with_timeout(settings.timeout, settings.stream_chunk_timeout)
        return ResponseReader(
            self._backend.wire.Decoder(),
            prepared,
            timeout=connection.timeout,
            chunk_timeout=connection.stream_chunk_timeout,
        )

    def _new_retry_policy(self, request: Request) -> RetryPolicy:
        return RetryPolicy(self._connection.with_timeout(request.settings.timeout))

    @staticmethod
    def _describe(request: Request) -> ModelFacts:
        return describe_at(request.settings.model, request.settings.provider)

    def _is_complete(self, error: QwenVLError, reader: ResponseReader, exchange: Exchange, attempts: Attempts) -> bool:
        """Return whether the reply is complete despite `error`; if not, the request may be repeated.

        Raises:
            QwenVLError: `error`, if a part of the reply had arrived.
        """
        redact(error, self._connection.api_key)
        exchange.add_context(reader.add_context(error))
        batch_chat.add_timeout_hint(error, attempts.uploaded.prepared.settings)
        if reader.started:
            reader.finish_after_error(error)
        return reader.started

    def _prepare_attempt(self, attempts: Attempts, transport: Any, exchange: Exchange) -> UploadedRequest:
        """Wait for the next attempt, or upload the media of the request once more; return the request."""
        if attempts.should_renew:
            attempts.uploaded = self._uploads.renew(attempts.uploaded, transport)
            exchange.prepared = attempts.uploaded.prepared
            attempts.http_request = self._encode(exchange.prepared)
        time.sleep(attempts.delay)
        return attempts.uploaded

    async def _aprepare_attempt(self, attempts: Attempts, transport: Any, exchange: Exchange) -> UploadedRequest:
        """Wait for the next attempt asynchronously; see `_prepare_attempt`."""
        if attempts.should_renew:
            attempts.uploaded = await self._uploads.arenew(attempts.uploaded, transport)
            exchange.prepared = attempts.uploaded.prepared
            attempts.http_request = await self._aencode(exchange.prepared)
        await asyncio.sleep(attempts.delay)
        return attempts.uploaded

    def _encode(self, prepared: PreparedRequest) -> HttpRequest:
        wire = self._backend.wire
        body, headers = wire.encode(prepared), wire.headers(prepared)
        return HttpRequest(
            "POST",
            batch_chat.build_url(wire.get_path(prepared), prepared.settings, self._connection),
            body,
            {**headers, **prepared.settings.extra_headers},
            prepared.settings.extra_query or None,
            prepared.settings.timeout,
            prepared.settings.stream_chunk_timeout,
            stream=prepared.stream,
            reads_files=file_parts.has_files(prepared.messages),
        )

    async def _aencode(self, prepared: PreparedRequest) -> HttpRequest:
        """Encode a request; the heads of its files are read off the event loop. See `_encode`."""
        if file_parts.has_files(prepared.messages):
            return await asyncio.to_thread(self._encode, prepared)
        return self._encode(prepared)

    def open_transport(self) -> Any:
        """Return the transport. A forked child creates its own: it can't share sockets and threads with its parent."""
        self._check_key()
        with self._lock:
            if self._transport is None or self._pid != os.getpid():
                self._transport, self._pid = self._create_transport(), os.getpid()
                self._uploads = MediaUploads(Uploader(self._connection, self._urls), self._encode)
        return self._transport

    def _check_key(self) -> None:
        """Check the key before anything is sent: the HTTP libraries quote an invalid header in their errors."""
        key = self._connection.api_key
        if not key.strip():
            raise QwenVLMissingKeyError("Missing API key.", hint=self._connection.missing_key_hint or None)
        if not key.isascii() or not key.isprintable() or " " in key:
            raise QwenVLAuthenticationError(
                "Invalid API key: it contains whitespace, control characters or non-ASCII characters."
            )

    async def aopen_transport(self) -> Any:
        """Return the transport; the SDK is imported off the event loop. See `open_transport`."""
        self._check_key()
        if self._transport is None or self._pid != os.getpid():
            return await asyncio.to_thread(self.open_transport)
        return self._transport

    def _create_transport(self) -> Any:
        try:
            transport_module = importlib.import_module(self._backend.transport_module)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in ("dashscope", "httpx"):
                raise
            raise QwenVLInputError(
                f'api="dashscope" needs dashscope (2.x) and httpx, and {missing} is not installed: '
                'pip install "qwenvl-adapters[dashscope]"'
            ) from error
        return getattr(transport_module, self._backend.transport_class)(self._connection)

    def _prepare(self, request: Request) -> PreparedRequest:
        """Apply the policy to a request and validate the result.

        Raises:
            QwenVLInputError: The service would refuse the request.
        """
        facts = self._describe(request)
        request = pdf_attachments.replace_pdfs(file_parts.resolve_files(request))
        has_storage = self._connection.storage_url is not None
        request = video_fitting.fit_videos(request, facts, has_storage=has_storage)
        check_media = partial(self._check_media, request.settings, facts)
        request = replace(request, messages=tool_media.replace_refused_media(request.messages, check_media))
        prepared = replace(policy.prepare(request, facts), has_storage=has_storage)
        prepared = image_fitting.fit_images(prepared, facts)
        prepared = image_fitting.scale_images(prepared, facts)
        validation.check(prepared, facts, self._connection.api)
        batch_context.check_batch_context(prepared, facts)
        return prepared

    def _check_media(self, settings: ModelSettings, facts: ModelFacts, part: Media) -> None:
        """Check one image or video of a message other than the user's.

        Raises:
            QwenVLInputError: The service would refuse it in a user message.
        """
        single = PreparedRequest(
            messages=(Message("user", (part,)),),
            settings=settings,
            enable_thinking=None,
            stream=False,
            data_uri_max_bytes=facts.data_uri_max_bytes,
            video_max_bytes=facts.video_max_bytes,
            has_storage=self._connection.storage_url is not None,
            is_text_only=facts.is_text_only,
        )
        video_fitting.check_fitted(part, video_fitting.FittingContext(settings, facts, single.has_storage))
        single = image_fitting.fit_images(single, facts)
        validation.check_media(single, facts)
        self._uploads.check(single)

    async def _aprepare(self, request: Request) -> PreparedRequest:
        """Prepare a request; files are read and images scaled, and long texts counted, off the event loop.

        See `_prepare`.
        """
        if (
            file_parts.has_files(request.messages)  # first: the next ones may read files
            or request.settings.media_policy == "fit"
            or image_fitting.needs_scaling(request)
            or pdf_attachments.has_pdfs(request)
            or batch_context.has_long_text(request, self._describe(request))
        ):
            return await asyncio.to_thread(self._prepare, request)
        return self._prepare(request)

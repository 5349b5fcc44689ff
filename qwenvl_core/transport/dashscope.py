"""Transport over the dashscope SDK (2.x): its client, its connections, its exceptions; our bytes and our retries.

The SDK's own calls build the body from messages of its own types, upload what looks like a path in them, and read the
stream in a typed way; none of them sends a ready body or gives back raw bytes. So requests go through the HTTP client
of the SDK's client, and never through the module's globals.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import httpx
from dashscope.v2 import AsyncClient, Client
from dashscope.v2 import errors as sdk

from qwenvl_core.body import AsyncBody, SyncBody, encode_body
from qwenvl_core.connection import Connection, Response
from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLConnectionError,
    QwenVLError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
    error_from,
)
from qwenvl_core.transport.loops import PerLoop
from qwenvl_core.transport.multipart import Multipart
from qwenvl_core.transport.retries import Retries
from qwenvl_core.uploads import Upload
from qwenvl_core.wire import failure, storage

T = TypeVar("T")

_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)


class DashScopeTransport:
    """Sends JSON bodies and gives back raw responses; uploads media."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Reading the certificates takes tens of milliseconds: once, and not on an event loop.
        self._tls = httpx.create_ssl_context()
        self._sync: Client | None = None
        self._async = PerLoop(self._build_async, self._close_async)

    @contextmanager
    def open(self, path: str, body: Any, headers: Mapping[str, str], *, stream: bool) -> Iterator[Any]:
        """A response to `body`; within the context, failures to read it are raised as our errors.

        Raises:
            QwenVLError: No response, or one with an error status, after all retries.
        """
        content = encode_body(body, SyncBody)
        http = self._client.transport.http_client
        response = self._retrying(lambda: _send(http, self._post(http, path, content, headers)))
        try:
            with _broken_off():
                self._limit_gaps(response, stream)
                yield Response(response.headers, response.iter_bytes())
        finally:
            response.close()

    @asynccontextmanager
    async def aopen(self, path: str, body: Any, headers: Mapping[str, str], *, stream: bool) -> AsyncIterator[Any]:
        """As `open`, for async."""
        content = encode_body(body, AsyncBody)
        http = (await self._async.get()).transport.http_client
        response = await self._aretrying(lambda: _asend(http, self._post(http, path, content, headers)))
        try:
            with _broken_off():
                self._limit_gaps(response, stream)
                yield Response(response.headers, response.aiter_bytes())
        finally:
            await response.aclose()

    def upload(self, upload: Upload, model: str) -> str:
        """Put a medium into the vendor's temporary storage, for requests to `model`.

        The SDK's own uploader blocks, holds the whole file in memory, goes past the client's connections, and gives
        two files of one name one place. So its two requests are made here, on the SDK client's connections.

        Returns:
            The medium's `oss://` URL.

        Raises:
            QwenVLError: As `open`.
        """
        http = self._client.transport.http_client

        def attempt() -> str:
            leave = _send(http, self._ask_leave(http, model))
            with _broken_off():
                form = storage.form(_document(leave.read()), name=upload.name, mime=upload.uri.mime)
            with upload.open() as file:
                sent = Multipart(form, upload, file)
                # No key, neither ours nor one that the caller's client adds by itself.
                _send(http, self._put(http, form, iter(sent), sent.headers), auth=None).close()
            return form.url

        return self._retrying(attempt)

    async def aupload(self, upload: Upload, model: str) -> str:
        """As `upload`, for async; the medium is read and decoded in a thread, a block at a time."""
        http = (await self._async.get()).transport.http_client

        async def attempt() -> str:
            leave = await _asend(http, self._ask_leave(http, model))
            with _broken_off():
                form = storage.form(_document(await leave.aread()), name=upload.name, mime=upload.uri.mime)
            with upload.open() as file:
                sent = Multipart(form, upload, file)
                response = await _asend(http, self._put(http, form, aiter(sent), sent.headers), auth=None)
                await response.aclose()
            return form.url

        return await self._aretrying(attempt)

    def close(self) -> None:
        """Close the sync client's connections; the next request opens new ones."""
        client, self._sync = self._sync, None
        if client is not None and self._connection.http_client is None:
            client.transport.http_client.close()

    async def aclose(self) -> None:
        """Close the async client's connections of this event loop."""
        await self._async.aclose()

    @property
    def _client(self) -> Client:
        if self._sync is None:
            given = self._connection.http_client
            self._sync = Client(http_client=given or httpx.Client(**self._http_options()), **self._sdk_options())
        return self._sync

    def _build_async(self) -> AsyncClient:
        given = self._connection.http_async_client
        return AsyncClient(http_client=given or httpx.AsyncClient(**self._http_options()), **self._sdk_options())

    async def _close_async(self, client: AsyncClient) -> None:
        if self._connection.http_async_client is None:
            await client.transport.http_client.aclose()

    def _http_options(self) -> dict[str, Any]:
        # The SDK has no keyword for the size of its pool: it takes it from its settings and environment.
        return {"limits": _LIMITS, "timeout": self._connection.timeout, "verify": self._tls}

    def _sdk_options(self) -> dict[str, Any]:
        """All of the SDK's options: what is left out, it takes from settings, environment and files of its own."""
        connection = self._connection
        return {
            "api_key": connection.api_key,
            "base_url": connection.base_url,
            "workspace": "",
            "region": "cn-beijing",  # says nothing beside a base URL, but the environment's may have a name unknown to it
            "protocol": "native",
            "timeout": connection.timeout or 300.0,
            "max_retries": 0,
            "config_path": os.devnull,
        }

    def _post(self, http: Any, path: str, content: Any, headers: Mapping[str, str]) -> httpx.Request:
        # A body that is streamed does not tell an async client its length; without it, it goes out chunked.
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
        return self._request(http, "POST", self._connection.base_url + path, content=content, headers=headers)

    def _ask_leave(self, http: Any, model: str) -> httpx.Request:
        url = self._connection.base_url + storage.PATH
        return self._request(http, "GET", url, params=storage.query(model), headers={})

    def _put(self, http: Any, form: storage.Form, content: Any, headers: Mapping[str, str]) -> httpx.Request:
        request = self._request(http, "POST", form.host, content=content, headers=headers)
        for name in ("Authorization", *self._connection.default_headers):
            request.headers.pop(name, None)
        return request

    def _request(self, http: Any, method: str, url: str, *, headers: Mapping[str, str], **options: Any) -> Any:
        connection = self._connection
        merged = httpx.Headers({"Authorization": f"Bearer {connection.api_key}"})
        merged.update(connection.headers)
        merged.update(headers)
        limits = dict.fromkeys(("connect", "read", "write", "pool"), connection.timeout)
        return http.build_request(method, url, headers=merged, extensions={"timeout": limits}, **options)

    def _limit_gaps(self, response: Any, stream: bool) -> None:
        """From the headers on, the wait for the next bytes has its own limit; the HTTP library reads it here."""
        if stream:
            response.request.extensions["timeout"]["read"] = self._connection.read_timeout

    def _retrying(self, attempt: Callable[[], T]) -> T:
        retries = Retries(self._connection.max_retries)
        while True:
            try:
                return attempt()
            except QwenVLError as error:
                time.sleep(retries.pause_after(error, _headers_of(error)))

    async def _aretrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        retries = Retries(self._connection.max_retries)
        while True:
            try:
                return await attempt()
            except QwenVLError as error:
                await asyncio.sleep(retries.pause_after(error, _headers_of(error)))


def _send(http: Any, request: Any, **options: Any) -> Any:
    """A response with a good status, its body still to be read."""
    with _no_answer():
        # No redirects: a key and a document go to the endpoint the user named, and nowhere else.
        response = http.send(request, stream=True, follow_redirects=False, **options)
        if response.is_success:
            return response
        try:
            response.read()
        finally:
            response.close()
    raise _refusal(response)


async def _asend(http: Any, request: Any, **options: Any) -> Any:
    """As `_send`, for async."""
    with _no_answer():
        response = await http.send(request, stream=True, follow_redirects=False, **options)
        if response.is_success:
            return response
        try:
            await response.aread()
        finally:
            await response.aclose()
    raise _refusal(response)


def _refusal(response: Any) -> QwenVLError:
    """Our error for a response with an error status; the SDK's is its cause."""
    told = failure.from_body(
        response.text, status_code=response.status_code, request_id=response.headers.get("x-request-id")
    )
    error = error_from(told)
    error.__cause__ = sdk.response_error(response)
    return error


def _headers_of(error: QwenVLError) -> Mapping[str, str]:
    """Headers of the response that an error is for."""
    return error.__cause__.headers if isinstance(error.__cause__, sdk.DashScopeError) else {}


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise QwenVLAPIError(f"The reply to a request for an upload is no JSON: {error}.") from error


@contextmanager
def _no_answer() -> Iterator[None]:
    """Raises our errors where no response comes, by way of the SDK's, as its own calls do."""
    try:
        yield
    except _http_errors("TimeoutException") as error:
        raise QwenVLTimeoutError("The server did not answer in time.") from _of_sdk(sdk.APITimeoutError, error)
    except _http_errors("RequestError") as error:
        why = str(error) or type(error).__name__
        raise QwenVLConnectionError(f"Can't reach the server: {why}.") from _of_sdk(sdk.APIConnectionError, error)


def _of_sdk(cls: type[sdk.DashScopeError], cause: Exception) -> sdk.DashScopeError:
    error = cls(str(cause))
    error.__cause__ = cause
    return error


@contextmanager
def _broken_off() -> Iterator[None]:
    """Raises our errors where a response breaks off."""
    try:
        yield
    except _http_errors("TimeoutException") as error:
        raise QwenVLTimeoutError("The server stopped sending within its answer.") from error
    except _http_errors("RequestError", "StreamError") as error:
        raise QwenVLStreamInterruptedError(f"The connection broke within the answer: {error}.") from error


def _http_errors(*names: str) -> tuple[type[Exception], ...]:
    """Exceptions of the SDK's HTTP library, and of its successor, of which a caller's own client may be."""
    libraries = {httpx, sys.modules.get("httpx2", httpx)}
    return tuple(getattr(library, name) for library in libraries for name in names)

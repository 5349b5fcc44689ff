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
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import finalize

import httpx
from dashscope.v2 import AsyncClient, Client
from dashscope.v2 import errors as sdk

from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLConnectionError,
    QwenVLError,
    QwenVLInputError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
    error_from_payload,
)
from qwenvl_core.media.uploads import Upload
from qwenvl_core.transport.connection import Connection, Response
from qwenvl_core.transport.event_loops import PerEventLoop
from qwenvl_core.transport.http_client import client_setup_errors, preload
from qwenvl_core.transport.multipart import Multipart
from qwenvl_core.transport.response_stream import AsyncResponseContext, iterate_data
from qwenvl_core.transport.retry import RetryPolicy, retry_after
from qwenvl_core.wire import errors, upload_policy
from qwenvl_core.wire.json_body import AsyncBody, SyncBody, encode_body

T = TypeVar("T")
C = TypeVar("C")

preload("httpcore")

_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)


class DashScopeTransport:
    """Sends JSON bodies and gives back raw responses; uploads media."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Reading the certificates takes tens of milliseconds: once, and not on an event loop.
        with client_setup_errors():
            self._tls = httpx.create_ssl_context()
        self._sync: Client | None = None
        self._building = threading.Lock()
        self._async = PerEventLoop(self._build_async, self._close_async)

    @contextmanager
    def open(self, path: str, body: Any, headers: Mapping[str, str], *, stream: bool) -> Iterator[Any]:
        """A response to `body`; within the context, failures to read it are raised as our errors.

        Raises:
            QwenVLError: No response, or one with an error status.
        """
        http = self._client.transport.http_client
        response = _send(http, self._post(http, path, encode_body(body, SyncBody), headers))
        try:
            with _broken_off():
                self._set_read_timeout(response, stream)
                yield Response(response.headers, iterate_data(response))
        finally:
            response.close()

    def aopen(self, path: str, body: Any, headers: Mapping[str, str], *, stream: bool) -> AsyncResponseContext:
        """As `open`, for async."""

        async def send() -> Any:
            http = (await self._async.get()).transport.http_client
            response = await _asend(http, self._post(http, path, encode_body(body, AsyncBody), headers))
            self._set_read_timeout(response, stream)
            return response

        return AsyncResponseContext(send, _broken_off())

    def upload(self, upload: Upload, model: str) -> str:
        """Put a medium into the vendor's temporary storage, for requests to `model`.

        The SDK's own uploader blocks, holds the whole file in memory, goes past the client's connections, and gives
        two files of one name one place. So its two requests are made here, on the SDK client's connections.

        Returns:
            The medium's `oss://` URL.

        Raises:
            QwenVLError: No response, or one with an error status, after all retries.
        """
        http = self._client.transport.http_client

        def attempt() -> str:
            leave = _send(http, self._ask_leave(http, model))
            with _broken_off():
                form = self._form(leave.read(), upload)
            with upload.open() as file:
                sent = Multipart(form, upload, file)
                _send(http, self._submit(http, form, iter(sent), sent.headers), auth=None).close()
            return form.url

        with _told_of(upload):
            return self._retrying(attempt)

    async def aupload(self, upload: Upload, model: str) -> str:
        """As `upload`, for async; the medium is read and decoded in a thread, a block at a time."""
        http = (await self._async.get()).transport.http_client

        async def attempt() -> str:
            leave = await _asend(http, self._ask_leave(http, model))
            with _broken_off():
                form = self._form(await leave.aread(), upload)
            with upload.open() as file:
                sent = Multipart(form, upload, file)
                response = await _asend(http, self._submit(http, form, aiter(sent), sent.headers), auth=None)
                await response.aclose()
            return form.url

        with _told_of(upload):
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
        # One for all threads: of two, one would be forgotten with its connections open.
        with self._building:
            if self._sync is None:
                self._sync = self._built_by_sdk(Client, self._connection.http_client, httpx.Client)
                if self._connection.http_client is None:  # a forgotten model leaves no socket open
                    finalize(self, self._sync.transport.http_client.close)
            return self._sync

    def _build_async(self) -> AsyncClient:
        return self._built_by_sdk(AsyncClient, self._connection.http_async_client, httpx.AsyncClient)

    async def _close_async(self, client: AsyncClient) -> None:
        if self._connection.http_async_client is None:
            await client.transport.http_client.aclose()

    def _built_by_sdk(self, cls: Callable[..., C], given: Any, http: Callable[..., Any]) -> C:
        """A client of the SDK. What it is not told, it takes from settings, environment and files of its own."""
        connection = self._connection
        try:
            return cls(
                api_key=connection.api_key,
                base_url=connection.base_url,
                workspace="",
                region="cn-beijing",  # means nothing beside a base URL; but the environment's may be an alias of ours
                protocol="native",
                timeout=connection.timeout or 300.0,
                max_retries=0,
                config_path=os.devnull,
                http_client=given or self._http(http),
            )
        except QwenVLInputError:
            raise
        except ValueError as error:  # it reads all of its environment, even where it was told
            raise QwenVLInputError(f"The dashscope SDK can't be set up: {error}.") from error

    def _http(self, http: Callable[..., Any]) -> Any:
        """An HTTP client for the SDK's, which has no keyword for the size of its pool."""
        with client_setup_errors():
            return http(limits=_LIMITS, timeout=self._connection.timeout, verify=self._tls)

    def _post(self, http: Any, path: str, content: Any, headers: Mapping[str, str]) -> Any:
        # A body that is streamed does not tell an async client its length; without it, it goes out chunked.
        own = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
        return self._built(http, "POST", self._connection.base_url + path, self._signed(own), content=content)

    def _ask_leave(self, http: Any, model: str) -> Any:
        url = self._connection.base_url + upload_policy.PATH
        return self._built(http, "GET", url, self._signed({}), params=upload_policy.query(model))

    def _form(self, leave: bytes, upload: Upload) -> upload_policy.Form:
        endpoint = self._connection.base_url
        return upload_policy.form(_document(leave), endpoint=endpoint, name=upload.name, mime=upload.uri.mime)

    def _submit(self, http: Any, form: upload_policy.Form, content: Any, headers: Mapping[str, str]) -> Any:
        """The storage is another host: it gets neither the key nor headers that are meant for the service."""
        request = self._built(http, "POST", form.host, headers, content=content)
        request.headers.pop("Authorization", None)  # of a client that the caller gave
        return request

    def _signed(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        signed = httpx.Headers({"Authorization": f"Bearer {self._connection.api_key}"})
        signed.update(self._connection.headers)
        signed.update(headers)
        return signed

    def _built(self, http: Any, method: str, url: str, headers: Mapping[str, str], **content: Any) -> Any:
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._connection.timeout)
        return http.build_request(method, url, headers=headers, extensions={"timeout": limits}, **content)

    def _set_read_timeout(self, response: Any, stream: bool) -> None:
        """From the headers on, the wait for the next bytes has its own limit; the HTTP library reads it here."""
        if stream:
            response.request.extensions["timeout"]["read"] = self._connection.read_timeout

    def _retrying(self, attempt: Callable[[], T]) -> T:
        retries = RetryPolicy(self._connection)
        while True:
            try:
                return attempt()
            except QwenVLError as error:
                time.sleep(retries.next_delay(error))

    async def _aretrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        retries = RetryPolicy(self._connection)
        while True:
            try:
                return await attempt()
            except QwenVLError as error:
                await asyncio.sleep(retries.next_delay(error))


def _send(http: Any, request: Any, **options: Any) -> Any:
    """A response with a good status, its body still to be read."""
    with _map_connect_errors():
        # No redirects: a key and a document go to the endpoint the user named, and nowhere else.
        response = http.send(request, stream=True, follow_redirects=False, **options)
    if response.is_success:
        return response
    try:
        response.read()
    except _http_errors("RequestError", "StreamError") as error:
        raise _refusal(response, "its text broke off") from error
    finally:
        response.close()
    raise _refusal_of_sdk(response)


async def _asend(http: Any, request: Any, **options: Any) -> Any:
    """As `_send`, for async."""
    with _map_connect_errors():
        response = await http.send(request, stream=True, follow_redirects=False, **options)
    if response.is_success:
        return response
    try:
        await response.aread()
    except _http_errors("RequestError", "StreamError") as error:
        raise _refusal(response, "its text broke off") from error
    finally:
        await response.aclose()
    raise _refusal_of_sdk(response)


def _refusal_of_sdk(response: Any) -> QwenVLError:
    """Our error for a response with an error status; the SDK's is its cause."""
    error = _refusal(response, response.text)
    with suppress(TypeError):  # it takes for granted that a code is text
        error.__cause__ = cause = sdk.response_error(response)
        if cause is not None:  # its own text is the whole body: a page, or an echo of the request
            cause.message, cause.args, cause.body = error.message, (error.message,), None
    return error


def _refusal(response: Any, body: str) -> QwenVLError:
    told = errors.from_body(body, status_code=response.status_code, request_id=response.headers.get("x-request-id"))
    error = error_from_payload(told)
    error.retry_after = retry_after(response.headers)
    return error


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise QwenVLAPIError(f"The reply to a request for an upload is no JSON: {error}.") from error


@contextmanager
def _map_connect_errors() -> Iterator[None]:
    """Raises our errors where no response comes, by way of the SDK's, as its own calls do."""
    try:
        yield
    except _http_errors("TimeoutException") as error:
        raise QwenVLTimeoutError("The server did not answer in time.") from _of_sdk(sdk.APITimeoutError, error)
    except _http_errors("RequestError", "InvalidURL") as error:  # the latter of a place to go on to
        why = str(error) or type(error).__name__
        raise QwenVLConnectionError(f"Can't reach the server: {why}.") from _of_sdk(sdk.APIConnectionError, error)


def _of_sdk(cls: type[sdk.DashScopeError], cause: Exception) -> sdk.DashScopeError:
    error = cls(str(cause))
    error.__cause__ = cause
    return error


@contextmanager
def _told_of(upload: Upload) -> Iterator[None]:
    """Says in an error which medium's upload failed."""
    try:
        yield
    except QwenVLInputError:
        raise
    except QwenVLError as error:
        error.message = f"{upload.location}: the upload of this {upload.kind} failed: {error.message}"
        raise


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

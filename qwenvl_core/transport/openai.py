"""Transport over the openai SDK (2.x on httpx, 3.x on httpx2): its auth, pooling and timeouts; our bytes and retries.

The SDK's typed stream costs more than everything else of a request together, so its raw response is read instead. Its
retries see the status alone, where the body tells whether waiting helps: 429 is said of an unpaid bill, too.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import Any
from weakref import finalize

import openai

from qwenvl_core.errors import (
    QwenVLConnectionError,
    QwenVLError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
    error_from_payload,
)
from qwenvl_core.transport.connection import Connection, Response
from qwenvl_core.transport.event_loops import PerEventLoop
from qwenvl_core.transport.http_client import client_setup_errors, preload
from qwenvl_core.transport.response_stream import AsyncResponseContext, iterate_data
from qwenvl_core.transport.retry import retry_after
from qwenvl_core.wire import errors
from qwenvl_core.wire.json_body import AsyncBody, SyncBody, encode_body

# The HTTP library under this SDK: httpx up to 2.x, httpx2 from 3.0 on.
_http: Any = importlib.import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])

preload(_http.__name__.replace("httpx", "httpcore"))

_DRAIN = 0.1  # seconds that an ended stream's connection is waited for, to be used again


class OpenAITransport:
    """Sends JSON bodies and gives back raw responses."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Reading the certificates takes tens of milliseconds: once, and not on an event loop.
        with client_setup_errors():
            self._tls = _http.create_ssl_context()
        self._sync: openai.OpenAI | None = None
        self._building = threading.Lock()
        self._async = PerEventLoop(self._build_async, self._close_async)

    @contextmanager
    def open(self, path: str, body: Any, headers: Mapping[str, str], *, stream: bool) -> Iterator[Any]:
        """A response to `body`; within the context, failures to read it are raised as our errors.

        Raises:
            QwenVLError: No response, or one with an error status.
        """
        with _map_sdk_errors():
            options = self._options(encode_body(body, SyncBody), headers)
            response: Any = self._client.post(path, **options, stream_cls=openai.Stream[Any])
        try:
            with _map_sdk_errors():
                self._set_read_timeout(response, stream)
                blocks = iterate_data(response)
                yield Response(response.headers, blocks)
                if stream:
                    _drain(response, blocks)
        finally:
            response.close()

    def aopen(self, path: str, body: Any, headers: Mapping[str, str], *, stream: bool) -> AsyncResponseContext:
        """As `open`, for async."""

        async def send() -> Any:
            client = await self._async.get()
            with _map_sdk_errors():
                options = self._options(encode_body(body, AsyncBody), headers)
                response: Any = await client.post(path, **options, stream_cls=openai.AsyncStream[Any])
            self._set_read_timeout(response, stream)
            return response

        return AsyncResponseContext(send, _map_sdk_errors(), _adrain if stream else None)

    def close(self) -> None:
        """Close the sync client's connections; the next request opens new ones."""
        client, self._sync = self._sync, None
        if client is not None and self._connection.http_client is None:
            client.close()

    async def aclose(self) -> None:
        """Close the async client's connections of this event loop."""
        await self._async.aclose()

    @property
    def _client(self) -> openai.OpenAI:
        # One for all threads: a second one would close the first one's connections when it takes its place.
        with self._building:
            if self._sync is None:
                given = self._connection.http_client
                with client_setup_errors():
                    http = given or openai.DefaultHttpxClient(verify=self._tls)
                    self._sync = openai.OpenAI(http_client=http, **self._client_options())
                if given is None:  # a forgotten model leaves no socket open
                    finalize(self, self._sync.close)
            return self._sync

    def _build_async(self) -> openai.AsyncOpenAI:
        with client_setup_errors():
            http = self._connection.http_async_client or openai.DefaultAsyncHttpxClient(verify=self._tls)
            return openai.AsyncOpenAI(http_client=http, **self._client_options())

    async def _close_async(self, client: openai.AsyncOpenAI) -> None:
        if self._connection.http_async_client is None:  # the caller's own is the caller's to close
            await client.close()

    def _client_options(self) -> dict[str, Any]:
        connection = self._connection
        return {
            "api_key": connection.api_key,
            "base_url": connection.base_url,
            "timeout": connection.timeout,
            "max_retries": 0,
            "default_headers": {
                **_omit_openai_env_headers(),
                "Authorization": f"Bearer {connection.api_key}",  # said again, as it may be among the foreign ones
                **connection.headers,
            },
        }

    def _options(self, content: Any, headers: Mapping[str, str]) -> dict[str, Any]:
        return {
            "content": content,
            "cast_to": _http.Response,
            # A whole answer, too, is read here: one that breaks off is told from a server that can't be reached.
            "stream": True,
            "options": {
                # A body that is streamed does not tell an async client its length; without it, it goes out chunked.
                "headers": {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(content)),
                    **headers,
                },
                "follow_redirects": False,  # a key and a document go to the endpoint the user named, and nowhere else
            },
        }

    def _set_read_timeout(self, response: Any, stream: bool) -> None:
        """From the headers on, the wait for the next bytes has its own limit; the HTTP library reads it here."""
        if stream:
            response.request.extensions.setdefault("timeout", {})["read"] = self._connection.read_timeout


def _omit_openai_env_headers() -> dict[str, Any]:
    """Takes out what the SDK reads from an environment that is meant for another vendor."""
    names = ["OpenAI-Organization", "OpenAI-Project"]
    names += [line.partition(":")[0].strip() for line in os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")]
    return {name: openai.Omit() for name in names if name}


@contextmanager
def _map_sdk_errors() -> Iterator[None]:
    """Raises our errors for the SDK's and the HTTP library's; theirs is the cause."""
    try:
        yield
    except openai.APIStatusError as error:
        ours = _refusal(error.response, error.response.text)
        # The SDK's own text is the whole body: a page, or an echo of the request.
        error.message, error.args, error.body = ours.message, (ours.message,), None
        raise ours from error
    except openai.APITimeoutError as error:
        raise QwenVLTimeoutError("The server did not answer in time.") from error
    except openai.APIConnectionError as error:
        if isinstance(error.__cause__, QwenVLError):  # raised by our body, while it was being sent
            raise error.__cause__ from error.__cause__.__cause__
        raise QwenVLConnectionError(f"Can't reach the server: {error.__cause__ or error}.") from error
    except _http_classes("TimeoutException", "RequestError", "StreamError") as error:
        refused = _refused(error)
        if refused is not None:
            raise _refusal(refused, "its text broke off") from error
        if isinstance(error, _http_classes("TimeoutException")):
            raise QwenVLTimeoutError("The server stopped sending within its answer.") from error
        raise QwenVLStreamInterruptedError(f"The connection broke within the answer: {error}.") from error


def _refused(error: BaseException) -> Any:
    """The response with an error status that the SDK was reading when this went wrong; `None` if it was none.

    The frames it went through know. The chain of contexts leads to none where a time limit of async has woken a task.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, _http_classes("Response")) and not value.is_success:
                return value
    return None


def _refusal(response: Any, body: str) -> QwenVLError:
    """Our error for a response with an error status."""
    told = errors.from_body(body, status_code=response.status_code, request_id=response.headers.get("x-request-id"))
    error = error_from_payload(told)
    error.retry_after = retry_after(response.headers)
    return error


def _http_classes(*names: str) -> tuple[type[Any], ...]:
    """Classes of the SDK's HTTP library, and of httpx where a caller's own client may be one."""
    libraries = {_http, sys.modules.get("httpx", _http)}
    return tuple(getattr(library, name) for library in libraries for name in names)


def _drain(response: Any, blocks: Iterator[bytes]) -> None:
    """Read the end that follows a finished stream, if it is there, so that the connection can be used again."""
    with suppress(Exception):  # the answer is whole; what becomes of its connection is no error of the caller's
        stream = response.extensions["network_stream"]
        read, us, end = stream.read, get_ident(), time.monotonic() + _DRAIN
        # The limit that the HTTP library waits with was fixed when reading began, and the end may be read already.
        # As soon as it is, another thread may have this connection.
        stream.read = lambda size, timeout=None: read(
            size, max(end - time.monotonic(), 0.0) if get_ident() == us else timeout
        )
        try:
            for _ in blocks:
                pass
        finally:
            del stream.read


async def _adrain(response: Any, blocks: AsyncIterator[bytes]) -> None:
    """As `_drain`, for async."""
    with suppress(Exception):
        async with asyncio.timeout(_DRAIN):
            async for _ in blocks:
                pass

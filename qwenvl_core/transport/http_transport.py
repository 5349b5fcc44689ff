"""Send requests and read responses over the HTTP client of a vendor SDK.

The SDKs provide authentication, the endpoint and their exception classes. Their request methods are not used:
the typed stream of the openai SDK costs more than all other steps together, and the dashscope SDK uploads every file
whose path it finds in a prompt. Both retry by the status alone, although only the body shows whether a retry can
succeed: 429 is also the status for an unpaid bill.
"""

from __future__ import annotations

import asyncio
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar
from weakref import finalize

from qwenvl_core.errors import QwenVLConnectionError, QwenVLError, QwenVLInputError, QwenVLTimeoutError
from qwenvl_core.transport.connection import USER_AGENT, Connection, HttpRequest, Response
from qwenvl_core.transport.connection_reuse import drain
from qwenvl_core.transport.event_loops import PerEventLoop
from qwenvl_core.transport.http_client import map_setup_errors
from qwenvl_core.transport.http_errors import build_error, get_http_classes, get_network_errors, map_read_errors
from qwenvl_core.transport.multipart import MultipartForm
from qwenvl_core.transport.response_stream import AsyncResponseContext, iterate_data
from qwenvl_core.wire.json_body import AsyncBody, SyncBody, encode_body

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"([^\x00\s]+([ \t]+[^\x00\s]+)*)?")
"""Names and values of headers that HTTP allows (RFC 9110, section 5); the HTTP libraries check them in the network."""
_POOL_SIZE = {"max_connections": 1000, "max_keepalive_connections": 100}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An HTTP client, and what an SDK's client adds to the requests over it: base URL and authentication headers."""

    http: Any
    base_url: str
    headers: Mapping[str, str] = field(repr=False)


class HttpTransport(ABC):
    """Send requests over one connection, from any number of threads and event loops.

    A subclass for each SDK names its HTTP library, creates its client, and builds its exceptions.
    """

    http_library: ClassVar[Any]
    """The module `httpx` or `httpx2`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        # Loading the certificates takes tens of milliseconds, so it is done once, and not on an event loop.
        with map_setup_errors():
            self._ssl_context = self.http_library.create_ssl_context()
        self._sync: Endpoint | None = None
        self._sync_lock = threading.Lock()
        is_own = connection.http_async_client is None
        self._async = PerEventLoop(self._create_async, partial(_close_endpoint, is_own=is_own))

    @abstractmethod
    def _create_endpoint(self, http: Any, *, is_async: bool) -> Endpoint:
        """Create the SDK's client over an HTTP client, and return the endpoint that it resolves."""

    @abstractmethod
    def _build_sdk_connection_error(self, error: Exception, request: Any) -> Exception:
        """Build the SDK's exception for a request without a response."""

    @abstractmethod
    def _build_sdk_timeout_error(self, error: Exception, request: Any) -> Exception:
        """Build the SDK's exception for a request without a response in time."""

    @abstractmethod
    def _build_sdk_status_error(self, message: str, response: Any) -> Exception | None:
        """Build the SDK's exception for an error status; it must not contain the response's body."""

    @contextmanager
    def open(self, request: HttpRequest) -> Iterator[Response]:
        """Send a request and yield the response, to be read within the context.

        Raises:
            QwenVLError: No response, an error status, or, within the context, a response that was interrupted.
        """
        response = self._send(request)
        data = iterate_data(response)
        try:
            with map_read_errors():
                yield Response(response.headers, data)
        except BaseException:
            response.close()
            raise
        if request.stream:
            drain(response, data)
        else:
            response.close()

    def aopen(self, request: HttpRequest) -> AsyncResponseContext:
        """Send a request asynchronously; see `open`."""
        return AsyncResponseContext(lambda: self._asend(request), should_drain=request.stream)

    def close(self) -> None:
        """Close the sync connections; the next request opens new ones."""
        endpoint, self._sync = self._sync, None
        if endpoint is not None and self.connection.http_client is None:
            endpoint.http.close()

    async def aclose(self) -> None:
        """Close the async connections of this event loop; the next request opens new ones."""
        await self._async.aclose()

    def _send(self, request: HttpRequest) -> Any:
        """Return a response with a success status (2xx) and an unread body."""
        endpoint = self._get_sync_endpoint()
        prepared = self._build_request(endpoint, request, SyncBody)
        with self._map_connect_errors(prepared):
            response = endpoint.http.send(prepared, **_build_send_options(request))
        if response.is_success:
            self._set_read_timeout(response, request)
            return response
        try:
            response.read()
        except get_network_errors() as error:
            raise build_error(response, "the response body is incomplete") from error
        finally:
            response.close()
        raise self._build_status_error(response)

    async def _asend(self, request: HttpRequest) -> Any:
        """Send a request asynchronously; see `_send`."""
        endpoint = await self._async.get()
        if request.reads_files:
            prepared = await asyncio.to_thread(self._build_request, endpoint, request, AsyncBody)
        else:
            prepared = self._build_request(endpoint, request, AsyncBody)
        with self._map_connect_errors(prepared):
            response = await endpoint.http.send(prepared, **_build_send_options(request))
        if response.is_success:
            self._set_read_timeout(response, request)
            return response
        try:
            await response.aread()
        except get_network_errors() as error:
            raise build_error(response, "the response body is incomplete") from error
        finally:
            await response.aclose()
        raise self._build_status_error(response)

    def _build_request(self, endpoint: Endpoint, request: HttpRequest, body_class: type[SyncBody | AsyncBody]) -> Any:
        """Return the HTTP library's request."""
        content, content_headers = _encode_content(request.body, body_class)
        headers = self._merge_headers(endpoint, request, content_headers)
        url = endpoint.base_url + request.url if request.url.startswith("/") else request.url
        try:
            built = endpoint.http.build_request(
                request.method,
                url,
                params=request.params,
                headers=headers,
                content=content,
                timeout=self.connection.with_timeout(request.timeout).timeout,
            )
        except get_http_classes("InvalidURL") as error:
            raise QwenVLInputError(f"Invalid URL: {str(error).rstrip('.')}. Check base_url=.") from error
        if not request.authenticate:  # leave out headers, cookies and parameters of a client that the caller passed
            built = type(built)(
                request.method,
                url,
                params=request.params,
                headers=headers,
                content=content,
                extensions=built.extensions,
            )
        return built

    def _merge_headers(self, endpoint: Endpoint, request: HttpRequest, content_headers: Mapping[str, str]) -> Any:
        """Return the headers of a request as the HTTP library's `Headers`.

        The repr of `Headers` hides the key, because some loggers write the local variables of a traceback.
        """
        try:
            headers = self.http_library.Headers(endpoint.headers if request.authenticate else {})
            headers.update(self.connection.headers if request.authenticate else USER_AGENT)
            headers.update(content_headers)
            headers.update(request.headers)
            is_valid = all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers.raw)
        except (TypeError, UnicodeEncodeError):
            is_valid = False
        if not is_valid:  # not quoted: a header may contain a secret
            raise QwenVLInputError(
                "Invalid HTTP header: names and values must be ASCII text without line breaks, and names without "
                "spaces. Check default_headers= and extra_headers=."
            )
        return headers

    def _set_read_timeout(self, response: Any, request: HttpRequest) -> None:
        """Limit the wait for the next bytes of a stream; the HTTP library applies it from the first read on."""
        if request.stream:
            connection = self.connection.with_timeout(request.timeout, request.stream_chunk_timeout)
            response.request.extensions["timeout"]["read"] = connection.read_timeout

    @contextmanager
    def _map_connect_errors(self, request: Any) -> Iterator[None]:
        """Raise this package's errors for a request without a response; the SDK's exception is the cause."""
        try:
            yield
        except get_http_classes("TimeoutException") as error:
            cause = self._build_sdk_timeout_error(error, request)
            cause.__cause__ = error
            raise QwenVLTimeoutError("The server did not respond in time.") from cause
        except (*get_network_errors(), *get_http_classes("InvalidURL")) as error:  # the latter in a redirect's location
            cause = self._build_sdk_connection_error(error, request)
            cause.__cause__ = error
            reason = str(error) or type(error).__name__
            raise QwenVLConnectionError(f"Can't reach the server: {reason}.") from cause

    def _build_status_error(self, response: Any) -> QwenVLError:
        error = build_error(response, response.text)
        error.__cause__ = self._build_sdk_status_error(error.message, response)
        return error

    def _get_sync_endpoint(self) -> Endpoint:
        # One endpoint for all threads; a second one would be discarded with its connections open.
        with self._sync_lock:
            if self._sync is None:
                http = self.connection.http_client
                _check_http_client("http_client", http, "Client")
                if http is None:
                    http = self._create_http_client(self.http_library.Client)
                    finalize(self, http.close)  # closes the sockets when the model is garbage-collected
                self._sync = self._create_endpoint(http, is_async=False)
            return self._sync

    def _create_async(self) -> Endpoint:
        http = self.connection.http_async_client
        _check_http_client("http_async_client", http, "AsyncClient")
        if http is None:
            http = self._create_http_client(self.http_library.AsyncClient)
        return self._create_endpoint(http, is_async=True)

    def _create_http_client(self, client_class: Any) -> Any:
        with map_setup_errors():
            limits = self.http_library.Limits(**_POOL_SIZE)
            return client_class(limits=limits, timeout=self.connection.timeout, verify=self._ssl_context)


async def _close_endpoint(endpoint: Endpoint, *, is_own: bool) -> None:
    """Close the connections of an endpoint, unless they belong to a client that the caller passed."""
    if is_own:
        await endpoint.http.aclose()


def _check_http_client(keyword: str, http: Any, class_name: str) -> None:
    if http is not None and not hasattr(http, "build_request"):
        raise QwenVLInputError(
            f"Invalid {keyword}: {type(http).__name__}. Pass an httpx.{class_name} or httpx2.{class_name}."
        )


def _encode_content(body: Any, body_class: type[SyncBody | AsyncBody]) -> tuple[Any, dict[str, str]]:
    """Return the content of a request for a sync or async client, and the headers that describe it."""
    if body is None:
        return None, {}
    if isinstance(body, MultipartForm):
        return aiter(body) if body_class is AsyncBody else iter(body), body.headers
    content = encode_body(body, body_class)
    # Without the length, the HTTP libraries send a streamed body in chunked coding.
    return content, {"content-type": "application/json", "content-length": str(len(content))}


def _build_send_options(request: HttpRequest) -> dict[str, Any]:
    # Redirects are not followed, so that key and media are sent only to the endpoint that the caller named.
    options: dict[str, Any] = {"stream": True, "follow_redirects": False}
    return options if request.authenticate else {**options, "auth": None}

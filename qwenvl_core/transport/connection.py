"""Describe a connection to the service, a request over it, and the response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qwenvl_core import __version__
from qwenvl_core.catalog.endpoints import Api

USER_AGENT = {"User-Agent": f"qwenvl-adapters/{__version__}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The settings of a connection: all that is the same for every request.

    Attributes:
        api: Which of the service's two APIs.
        base_url: The API's base URL, without a trailing slash.
        api_key: The key; not part of the repr.
        timeout: Seconds to connect, to wait for a response or its next bytes, and from the headers of an unstreamed
            response to its end; `None` waits forever. Also the longest delay before a retry: if the server asks for
            a longer one, the request is not repeated.
        stream_chunk_timeout: Seconds between two chunks of a stream; `None` waits forever.
        max_retries: How often a failed request is repeated, if no part of the answer has arrived.
        http_client: The caller's own sync HTTP client for the SDK.
        http_async_client: The caller's own async HTTP client for the SDK.
        default_headers: Headers of every request.
    """

    api: Api
    base_url: str
    api_key: str = field(repr=False)
    timeout: float | None = 300.0
    stream_chunk_timeout: float | None = 120.0
    max_retries: int = 2
    http_client: Any = field(default=None, repr=False)
    http_async_client: Any = field(default=None, repr=False)
    default_headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request; the caller's own win."""
        # In one spelling, so that a header that is given in two is not sent twice.
        return USER_AGENT | {name.title(): value for name, value in self.default_headers.items()}

    @property
    def read_timeout(self) -> float | None:
        """Seconds to wait for the next bytes of a stream."""
        limits = [limit for limit in (self.timeout, self.stream_chunk_timeout) if limit is not None]
        return min(limits, default=None)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request over a transport.

    Attributes:
        method: The HTTP method.
        url: A path below the connection's base URL, or a whole URL.
        body: JSON-like data that may hold `DataUri` objects, a `MultipartForm`, or `None`.
        headers: Headers of this request; they win over the connection's.
        params: The query string.
        stream: Whether the response is a stream of events.
        authenticate: Whether the key and the caller's default headers are sent. `False` for hosts that are not the
            service's own: they receive nothing but `headers` and `body`.
    """

    method: str
    url: str
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] | None = None
    stream: bool = False
    authenticate: bool = True


class Response(NamedTuple):
    """A response with a good status: its headers, and its body as a sync or async iterator of bytes."""

    headers: Mapping[str, str]
    data: Any

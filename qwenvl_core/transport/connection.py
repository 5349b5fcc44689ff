"""Describe a connection to the service, a request over it, and the response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from qwenvl_core import __version__
from qwenvl_core.catalog.endpoints import Api, find_storage_url
from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.catalog.providers import MODEL_STUDIO

USER_AGENT = {"User-Agent": f"qwenvl-adapters/{__version__}"}


@dataclass(frozen=True, slots=True)
class BatchChat:
    """How Batch Chat is reached over a connection.

    Attributes:
        url: Its base URL; `None` in a region without Batch Chat.
        timeout: Seconds to wait for a reply, unless a call passes its own; `None` for no limit.
        region: The caller's region, for errors.
        workspace: `caller` if the caller passed a workspace, which Batch Chat does not have; `environment` if a
            variable sets one.
    """

    url: str | None = None
    timeout: float | None = 3600.0
    region: str = ""
    workspace: Literal["caller", "environment"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The settings that are the same for every request over a connection.

    Attributes:
        api: `"openai"` for the OpenAI-compatible API, `"dashscope"` for the native one.
        base_url: The API's base URL, without a trailing slash.
        api_key: The key; not part of the repr.
        timeout: Seconds to connect, to wait for a response or its next bytes, and from the headers of an unstreamed
            response to its end; `None` for no limit. Also the longest delay before a retry: if the server requests
            a longer one, the request is not repeated.
        stream_chunk_timeout: Seconds between two chunks of a stream; `None` for no limit.
        max_retries: How often a failed request is repeated, if no part of the answer has arrived.
        http_client: A sync HTTP client from the caller, for the SDK.
        http_async_client: An async HTTP client from the caller, for the SDK.
        default_headers: Headers of every request.
        upload_cache: A directory that keeps the URLs of uploads across processes; `None` keeps them in memory only.
        provider: Who answers, for the hints of errors.
        detects_provider: Whether the server is asked once for its name.
        missing_key_hint: What to do where the key is missing.
        batch_chat: How Batch Chat is reached.
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
    upload_cache: Path | None = None
    provider: Provider = field(default=MODEL_STUDIO, repr=False)
    detects_provider: bool = False
    missing_key_hint: str = ""
    batch_chat: BatchChat = BatchChat()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request; those of the caller override the defaults."""
        # Names are case-insensitive: one spelling keeps a header from being sent twice.
        return USER_AGENT | {name.title(): value for name, value in self.default_headers.items()}

    def with_timeout(self, timeout: float | None, stream_chunk_timeout: float | None = None) -> Connection:
        """Return the connection with the timeouts of one call; `None` keeps that of the connection."""
        own = {"timeout": timeout, "stream_chunk_timeout": stream_chunk_timeout}
        changed: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
        return replace(self, **changed) if changed else self

    @property
    def storage_url(self) -> str | None:
        """The endpoint that grants uploads to the vendor's temporary storage; `None` where there is none."""
        return find_storage_url(self.api, self.base_url) if self.provider.is_model_studio else None

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
        body: JSON-like data that may contain `DataUri` objects, a `MultipartForm`, or `None`.
        headers: Headers of this request; they override the connection's.
        params: The query string.
        timeout: Seconds, in place of the connection's `timeout`.
        stream_chunk_timeout: Seconds, in place of the connection's `stream_chunk_timeout`.
        stream: Whether the response is a stream of events.
        reads_files: Whether the body holds files, which are read while it is built and sent.
        authenticate: Whether the key and the caller's default headers are sent. `False` for hosts other
            than the service: they receive only `headers` and `body`.
    """

    method: str
    url: str
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, Any] | None = None
    timeout: float | None = None
    stream_chunk_timeout: float | None = None
    stream: bool = False
    reads_files: bool = False
    authenticate: bool = True


class Response(NamedTuple):
    """A response with a success status (2xx): its headers, and its body as a sync or async iterator of bytes."""

    headers: Mapping[str, str]
    data: Any

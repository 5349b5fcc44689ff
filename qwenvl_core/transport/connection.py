"""How to reach the service: everything about a connection that is not part of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qwenvl_core import __version__
from qwenvl_core.catalog.endpoints import Api


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection's settings.

    Attributes:
        api: Which of the service's two APIs.
        base_url: Where it is, ready to use.
        api_key: The key; in no repr.
        timeout: Seconds to connect, to wait for a response or its next bytes, and from the headers of a whole answer to
            its end; `None` waits forever. No pause before a retry is longer: a server that asks for more is not asked
            again.
        stream_chunk_timeout: Seconds between two chunks of a stream; `None` waits forever.
        max_retries: Tries after the first, before anything of the answer has arrived.
        http_client: The caller's own sync HTTP client for the SDK.
        http_async_client: The caller's own async one.
        default_headers: Sent with every request.
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
        """Headers of every request, the caller's last."""
        # Spelled alike: openai 2.x tells a caller's `authorization` from its own `Authorization`, and sends both.
        given = {name.title(): value for name, value in self.default_headers.items()}
        return {"User-Agent": f"qwenvl-adapters/{__version__}", **given}

    @property
    def read_timeout(self) -> float | None:
        """Seconds to wait for the next bytes within a stream."""
        limits = [limit for limit in (self.timeout, self.stream_chunk_timeout) if limit is not None]
        return min(limits, default=None)


class Response(NamedTuple):
    """What a transport gives: headers (case-insensitive), and the body as a sync or async iterator of blocks."""

    headers: Mapping[str, str]
    blocks: Any

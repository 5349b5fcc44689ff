"""Define the keywords of embeddings and rerankers, and run their calls."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import Field, PrivateAttr

from qwenvl_core.catalog.endpoints import derive_endpoint, resolve_endpoint
from qwenvl_core.catalog.provider_guess import describe_vendor_key, find_vendor_key
from qwenvl_core.catalog.retrieval_facts import EmbeddingFacts
from qwenvl_core.catalog.retrieval_models import describe_embedding_model, describe_reranker
from qwenvl_core.client.connection_config import ConnectionConfig
from qwenvl_core.request.retrieval_packing import pack_items
from qwenvl_core.request.retrieval_uploads import check_uploads
from qwenvl_core.request.retrieval_validation import check_embedding, check_region, check_rerank
from qwenvl_core.transport.connection import Connection, HttpRequest
from qwenvl_core.types.fork_lock import ForkSafeLock
from qwenvl_core.types.retrieval import EmbeddingSettings, Item, Ranked, RerankSettings, RetrievalUsage
from qwenvl_core.types.settings import CALL_SETTINGS
from qwenvl_core.wire import embeddings, rerank
from qwenvl_core.wire.retrieval_fields import build_headers, has_files

if TYPE_CHECKING:
    from qwenvl_core.client.client import Client
    from qwenvl_core.client.retrieval_client import CallGuard, RateLimiter, RetrievalClient, RetrievalRequest

T = TypeVar("T")

_KEYWORD_HINTS = {
    **dict.fromkeys(CALL_SETTINGS, "It belongs to chat models: leave it out."),
    **dict.fromkeys(("api", "provider"), "Leave it out: vectors and scores are offered by Model Studio's native API."),
    **dict.fromkeys(
        ("chunk_size", "batch_size", "embed_batch_size"), "Leave it out: requests are packed to the model's limits."
    ),
    **dict.fromkeys(("headers", "extra_headers"), "Use default_headers=."),
    "text_type": "Leave it out: the method that is called decides whether a text is a query or a document.",
    "max_concurrency": "Leave it out: a ranking is one request.",
    "stream_chunk_timeout": "Use timeout=.",
}

_client_lock = ForkSafeLock()  # so that threads that share an object share one client
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class RunState:
    """What calls of one object share: the limit on concurrent requests, and the usage so far.

    A copy begins anew with the same connections, a pickle with none.

    Args:
        client: The client of the object that is copied.
    """

    def __init__(self, client: Client | None = None) -> None:
        self.client = client
        self.runner: RetrievalClient | None = None
        self.usage = RetrievalUsage()
        self.lock = ForkSafeLock()

    def __reduce__(self) -> Any:
        return RunState, ()

    def __deepcopy__(self, memo: Any) -> RunState:
        return RunState(self.client)

    def add_usage(self, usage: RetrievalUsage) -> None:
        """Add the usage of one reply."""
        with self.lock:
            self.usage += usage


class RetrievalConfig(ConnectionConfig):
    """The validated keywords of an embedding model or a reranker."""

    instruct: str | None = None
    """What the search is for, in words; it is sent with queries."""
    fps: float | None = None
    """Rate at which videos are sampled, from 0 to 1."""
    extra_body: Mapping[str, Any] | None = None
    """Merged into the parameters of each request last."""

    _keyword_hints: ClassVar[Mapping[str, str]] = _KEYWORD_HINTS
    _state: RunState = PrivateAttr(default_factory=RunState)

    def model_post_init(self, context: Any, /) -> None:
        """Import the client now, not on the event loop of the first call, and check the region and base URL."""
        import qwenvl_core.client.retrieval_client  # noqa: F401

        super().model_post_init(context)
        self._resolve_prefix()
        self._read_environment_key()

    def __copy__(self) -> Self:
        """Copy the settings; the copy counts its own usage and concurrent requests."""
        copy = super().__copy__()
        copy._state = RunState(self._state.client)
        return copy

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy the settings, and share the caller's HTTP clients and rate limiter, which cannot be copied."""
        memo = {} if memo is None else memo
        shared = (self.http_client, self.http_async_client, getattr(self, "rate_limiter", None))
        return super().__deepcopy__(memo | {id(value): value for value in shared})

    def __getstate__(self) -> dict[Any, Any]:
        """Omit the API key; a pickled `RunState` begins anew."""
        copy = self.model_copy()  # LlamaIndex removes from the object what can't be pickled
        copy.__dict__["api_key"] = None
        return super(RetrievalConfig, copy).__getstate__()

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore the state with the key of this environment."""
        super().__setstate__(state)
        self._read_environment_key()

    @property
    def usage(self) -> RetrievalUsage:
        """Tokens and requests of this object so far; a copy begins anew."""
        return self._state.usage

    def close(self) -> None:
        """Close the connections of sync calls; the next call opens new ones."""
        if self._state.client is not None:
            self._state.client.close()

    async def aclose(self) -> None:
        """Close the connections that async calls of this event loop opened; the next call opens new ones."""
        if self._state.client is not None:
            await self._state.client.aclose()

    def _find_environment_key(self) -> str | None:
        return find_vendor_key(self.base_url)

    def _get_key_target(self) -> Any:
        return self.base_url

    def _resolve_prefix(self) -> str:
        """Return the base URL of the native API."""
        base_url = resolve_endpoint("openai", region=self.region, workspace=self.workspace, base_url=self.base_url)
        return derive_endpoint(base_url, "dashscope")

    def _get_region(self) -> str | None:
        return None if self.base_url else self.region

    def _build_connection(self) -> Connection:
        self._update_environment_key()
        return Connection(
            # The HTTP client of the OpenAI-compatible API; requests name the whole URL of the native one.
            api="openai",
            base_url=derive_endpoint(self._resolve_prefix(), "openai"),
            api_key=self.api_key.get_secret_value() if self.api_key else "",
            missing_key_hint=describe_vendor_key(self.base_url),
            timeout=self.timeout,
            max_retries=self.max_retries,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            default_headers=self.default_headers or {},
            upload_cache=self._resolve_upload_cache(),
        )

    def _get_client(self) -> Client:
        """Return the client for the current connection; a changed copy gets its own."""
        from qwenvl_core.client.client import Client

        with _client_lock:
            self._state.client = client = Client.reuse_or_create(self._build_connection(), self._state.client)
        return client

    def _get_runner(self, max_concurrency: int) -> RetrievalClient:
        from qwenvl_core.client.retrieval_client import RetrievalClient

        with _client_lock:
            runner = self._state.runner
            if runner is None or not runner.can_serve(max_concurrency):
                self._state.runner = runner = RetrievalClient(max_concurrency)
        return runner

    def _get_limiter(self) -> RateLimiter:
        """Return the framework's rate limiter, with one call before each request."""
        raise NotImplementedError


class EmbeddingConfig(RetrievalConfig):
    """The validated keywords of an embedding model."""

    model: str = "qwen3-vl-embedding"
    """Name of the model."""
    dimensions: int | None = None
    """Length of the vectors; by default the model's."""
    max_concurrency: int = Field(default=4, ge=1)
    """How many requests are sent at once."""

    @property
    def identity(self) -> str:
        """A name for the vectors of this model, its dimensions and `instruct`: safe as a file name.

        Vectors with the same identity can be compared, so it is a namespace for caches.
        """
        dimensions = self._get_length(describe_embedding_model(self.model)) or "default"
        digest = hashlib.sha256((self.instruct or "").encode()).hexdigest()[:8]
        return _UNSAFE.sub("_", f"{self.model}-{dimensions}-{digest}")

    def _embed_items(self, items: Sequence[Item], *, is_query: bool = False) -> list[list[float]]:
        """Return the vectors of items, in their order."""
        packed, requests = self._build_requests(items, is_query=is_query)
        runner = self._get_runner(self.max_concurrency)
        results = runner.run(self._get_client(), requests, self._get_limiter()) if requests else []
        return _unpack(packed, results, len(items))

    async def _aembed_items(
        self, items: Sequence[Item], *, is_query: bool = False, guard: CallGuard | None = None
    ) -> list[list[float]]:
        """Return the vectors of items asynchronously, in their order; see `RetrievalClient.arun` for `guard`."""
        packed, requests = await asyncio.to_thread(self._build_requests, items, is_query=is_query)  # it reads files
        runner = self._get_runner(self.max_concurrency)
        results = await runner.arun(self._get_client(), requests, self._get_limiter(), guard) if requests else []
        return _unpack(packed, results, len(items))

    def _check_items(self, items: Sequence[Item]) -> None:
        """Check items that a framework splits into batches, before the first of these is sent.

        Raises:
            QwenVLInputError: An item or a setting is invalid.
        """
        self._build_requests(items, is_query=False)

    def _build_requests(
        self, items: Sequence[Item], *, is_query: bool
    ) -> tuple[list[list[int]], list[RetrievalRequest[list[list[float]]]]]:
        """Check the items, pack them, and return the packing and the requests.

        Raises:
            QwenVLInputError: An item or a setting is invalid; nothing was sent.
        """
        from qwenvl_core.client.retrieval_client import RetrievalRequest

        facts = describe_embedding_model(self.model)
        settings = EmbeddingSettings(
            model=self.model,
            dimensions=self.dimensions,
            instruct=self.instruct,
            fps=self.fps,
            is_query=is_query,
            extra_body=self.extra_body or {},
        )
        if items:
            check_region(self._get_region(), facts)
            check_embedding(items, settings, facts)
            check_uploads(items, self.upload, has_storage=self._build_connection().storage_url is not None)
        packed = pack_items(items, facts)
        url = self._resolve_prefix() + embeddings.get_path(facts)

        def encode(part: tuple[Item, ...]) -> HttpRequest:
            body = embeddings.encode(part, settings, facts)
            return HttpRequest("POST", url, body, build_headers(part), reads_files=has_files(part))

        requests = [
            RetrievalRequest(
                self.model,
                tuple(items[index] for index in indices),
                self.upload,
                encode,
                self._make_decoder(len(indices), facts),
            )
            for indices in packed
        ]
        return packed, requests

    def _get_length(self, facts: EmbeddingFacts) -> int | None:
        """Return the length of the vectors; `None` if it is not known."""
        length = (self.extra_body or {}).get("dimension", self.dimensions)
        return length if type(length) is int else facts.default_dimensions

    def _make_decoder(self, count: int, facts: EmbeddingFacts) -> Any:
        dimensions = self._get_length(facts)

        def decode(payload: Any) -> list[list[float]]:
            reply = embeddings.decode(payload, count, dimensions)
            self._state.add_usage(reply.usage)
            return reply.vectors

        return decode


class RerankConfig(RetrievalConfig):
    """The validated keywords of a reranker."""

    model: str = "qwen3-vl-rerank"
    """Name of the model."""
    top_n: int | None = None
    """How many of the best are returned; all by default."""
    image_key: str = "image_path"
    """Key of the metadata under which a document names its picture."""

    def _rank_items(self, query: Item, documents: Sequence[Item], top_n: int | None) -> list[Ranked]:
        """Return the scores of documents, best first."""
        requests = list(self._build_requests(query, documents, top_n))
        results = self._get_runner(1_000).run(self._get_client(), requests, self._get_limiter()) if requests else [[]]
        return results[0]

    async def _arank_items(self, query: Item, documents: Sequence[Item], top_n: int | None) -> list[Ranked]:
        """Return the scores of documents asynchronously, best first."""
        # It reads files.
        requests = await asyncio.to_thread(lambda: list(self._build_requests(query, documents, top_n)))
        runner = self._get_runner(1_000)
        return (await runner.arun(self._get_client(), requests, self._get_limiter()))[0] if requests else []

    def _build_requests(
        self, query: Item, documents: Sequence[Item], top_n: int | None
    ) -> Iterator[RetrievalRequest[list[Ranked]]]:
        """Yield the one request of a call, or none without documents.

        Raises:
            QwenVLInputError: An item or a setting is invalid; nothing was sent.
        """
        from qwenvl_core.client.retrieval_client import RetrievalRequest

        if not documents:
            return
        facts = describe_reranker(self.model)
        top_n = self.top_n if top_n is None else top_n
        settings = RerankSettings(
            model=self.model, top_n=top_n, instruct=self.instruct, fps=self.fps, extra_body=self.extra_body or {}
        )
        items = (query, *documents)
        check_region(self._get_region(), facts)
        check_rerank(query, documents, settings, facts)
        check_uploads(items, self.upload, has_storage=self._build_connection().storage_url is not None)
        url = rerank.build_url(facts, self._resolve_prefix())
        expected = len(documents) if top_n is None else min(top_n, len(documents))

        def encode(part: tuple[Item, ...]) -> HttpRequest:
            body = rerank.encode(part[0], part[1:], settings, facts)
            return HttpRequest("POST", url, body, build_headers(part), reads_files=has_files(part))

        def decode(payload: Any) -> list[Ranked]:
            reply = rerank.decode(payload, len(documents), expected)
            self._state.add_usage(reply.usage)
            return reply.ranked

        yield RetrievalRequest(self.model, items, self.upload, encode, decode)


def _unpack(packed: list[list[int]], results: Sequence[list[list[float]]], count: int) -> list[list[float]]:
    """Return the vectors of all requests in the order of the items."""
    vectors: list[list[float]] = [[]] * count
    for indices, result in zip(packed, results, strict=True):
        for index, vector in zip(indices, result, strict=True):
            vectors[index] = vector
    return vectors

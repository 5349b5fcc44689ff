"""Share what embeddings and rerankers have in common: content blocks, the rate limiter, pickles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import Field

from langchain_qwenvl.input_blocks import convert_block
from qwenvl_core.client.retrieval_config import RetrievalConfig, RunState
from qwenvl_core.types.location import Location
from qwenvl_core.types.messages import Part


def convert_item_block(block: Any, location: Location) -> Iterator[Part]:
    """Convert a content block that is an item.

    Raises:
        QwenVLInputError: The block is not supported.
    """
    yield convert_block(block, location)


class Limiter:
    """A rate limiter that may be missing, with one call before each request."""

    def __init__(self, limiter: BaseRateLimiter | None) -> None:
        self._limiter = limiter

    def acquire(self) -> None:
        """Wait until a request may be sent."""
        if self._limiter is not None:
            self._limiter.acquire(blocking=True)

    async def aacquire(self) -> None:
        """Wait asynchronously until a request may be sent."""
        if self._limiter is not None:
            await self._limiter.aacquire(blocking=True)


class RetrievalBase(RetrievalConfig):
    """Define the keywords and methods that LangChain's embeddings and rerankers add to the core's."""

    rate_limiter: BaseRateLimiter | None = Field(default=None, exclude=True, repr=False)
    """Waited for once a request."""

    def _get_limiter(self) -> Limiter:
        return Limiter(self.rate_limiter)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy the settings, and share the caller's HTTP clients and rate limiter, which cannot be copied."""
        memo = {} if memo is None else memo
        shared = (self.http_client, self.http_async_client, self.rate_limiter)
        return super().__deepcopy__(memo | {id(value): value for value in shared})

    def __getstate__(self) -> dict[Any, Any]:
        """Omit the API key and the connections."""
        state = super().__getstate__()
        private = {**(state["__pydantic_private__"] or {}), "_state": RunState()}
        return {**state, "__dict__": {**state["__dict__"], "api_key": None}, "__pydantic_private__": private}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        self._read_environment_key()

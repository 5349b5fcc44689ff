"""Share what embeddings and rerankers have in common: content blocks, the rate limiter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import Field

from langchain_qwenvl.input_blocks import convert_block
from qwenvl_core.client.retrieval_config import RetrievalConfig
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

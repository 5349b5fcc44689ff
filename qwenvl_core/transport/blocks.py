"""The body of a response, as it comes off the network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any


def blocks_of(response: Any) -> Iterator[bytes]:
    """The blocks of a response's body. The caller closes the response.

    The HTTP library's own way leads each block through two more generators, a tenth of all that a block costs. It is
    taken where the library has something to do: with a body that is compressed, or that was read before.
    """
    blocks: Iterator[bytes] = response.iter_bytes() if _is_for_library(response) else iter(response.stream)
    return blocks


def ablocks_of(response: Any) -> AsyncIterator[bytes]:
    """As `blocks_of`, for async."""
    blocks: AsyncIterator[bytes] = response.aiter_bytes() if _is_for_library(response) else aiter(response.stream)
    return blocks


def _is_for_library(response: Any) -> bool:
    return response.is_stream_consumed or "content-encoding" in response.headers

"""Pack items into as few requests as an embedding model's limits allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from qwenvl_core.catalog.retrieval_facts import EmbeddingFacts
from qwenvl_core.types.messages import ImagePart, VideoPart
from qwenvl_core.types.retrieval import Item


class _Load(NamedTuple):
    """What an item, or a request, holds."""

    items: int
    images: int
    videos: int


def pack_items(items: Sequence[Item], facts: EmbeddingFacts) -> list[list[int]]:
    """Return the indices of the items of each request.

    A fused item of a model that fuses whole requests has a request of its own. Items with media come first, so that
    texts fill what the limits on media leave free: the number of requests is then the least that the limits allow.
    Within a request, items are in their order.
    """
    alone, together = [], defaultdict[_Load, list[int]](list)
    for index, item in enumerate(items):
        if facts.fusion == "always" or (facts.fusion == "request" and item.is_fused):
            alone.append([index])
        else:
            together[_Load(1, item.count(ImagePart), item.count(VideoPart))].append(index)
    limit = _Load(
        facts.max_items, *(len(items) if limit is None else limit for limit in (facts.max_images, facts.max_videos))
    )
    packed = _pack_loads(together, limit)
    return sorted([sorted(indices) for indices in packed] + alone)


def _pack_loads(together: dict[_Load, list[int]], limit: _Load) -> list[list[int]]:
    """Put each item into the first request that it fits into, heavy items first."""
    requests: list[list[int]] = []
    remaining: list[_Load] = []  # what each request can still take
    for load in sorted(together, key=lambda load: (load.videos, load.images), reverse=True):
        number = 0  # such a load fits into no request before this one
        for index in together[load]:
            while number < len(requests) and any(
                part > free for part, free in zip(load, remaining[number], strict=True)
            ):
                number += 1
            if number == len(requests):
                requests.append([])
                remaining.append(limit)
            requests[number].append(index)
            remaining[number] = _Load(*(free - part for part, free in zip(load, remaining[number], strict=True)))
    return requests

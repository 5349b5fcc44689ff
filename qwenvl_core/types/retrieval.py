"""Define what is embedded and ranked, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qwenvl_core.types.messages import ImagePart, TextPart, VideoPart

ItemPart = TextPart | ImagePart | VideoPart


@dataclass(frozen=True, slots=True)
class Item:
    """What becomes one vector, or what is ranked: one part, or several that are fused.

    Attributes:
        parts: The texts, images and videos; at least one.
        location: Where the item is in the caller's input, for errors.
    """

    parts: tuple[ItemPart, ...]
    location: str

    def count(self, part_class: type[ItemPart]) -> int:
        """Return the number of parts of a class."""
        return sum(isinstance(part, part_class) for part in self.parts)

    @property
    def is_fused(self) -> bool:
        """Whether several parts become one vector."""
        return len(self.parts) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSettings:
    """What a request for vectors says besides the items.

    Attributes:
        model: The model's name.
        dimensions: Length of the vectors; `None` for the model's default.
        instruct: What the search is for, in words; it goes with queries only.
        fps: Rate at which videos are sampled, from 0 to 1.
        is_query: Whether the items are queries; documents otherwise.
        extra_body: Merged into the parameters last.
    """

    model: str
    dimensions: int | None = None
    instruct: str | None = None
    fps: float | None = None
    is_query: bool = False
    extra_body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankSettings:
    """What a request for scores says besides the query and the items.

    Attributes:
        model: The model's name.
        top_n: How many of the best are returned; all by default.
        instruct: What the ranking is for, in words.
        fps: Rate at which videos are sampled, from 0 to 1.
        extra_body: Merged into the parameters last.
    """

    model: str
    top_n: int | None = None
    instruct: str | None = None
    fps: float | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)


class Ranked(NamedTuple):
    """The score of one item.

    Attributes:
        index: Position of the item in the input, from 0.
        score: How well it answers the query: higher is better.

    Example:
        ```python
        from langchain_qwenvl import QwenVLReranker

        for index, score in QwenVLReranker().rerank("a receipt", [Path("receipt.png"), "a contract"]):
            print(index, score)
        ```
    """

    index: int  # type: ignore[assignment]  # hides the method of tuples
    score: float


@dataclass(frozen=True, slots=True)
class RetrievalUsage:
    """Tokens and requests so far.

    Attributes:
        input_tokens: Tokens of all inputs.
        image_tokens: Those of images and videos among them.
        text_tokens: Those of texts among them.
        total_tokens: All tokens that are billed.
        requests: Number of answered requests.

    Example:
        ```python
        from langchain_qwenvl import QwenVLEmbeddings

        embeddings = QwenVLEmbeddings()
        embeddings.embed([Path("receipt.png"), "a receipt"])
        print(embeddings.usage.requests, embeddings.usage.total_tokens)
        ```
    """

    input_tokens: int = 0
    image_tokens: int = 0
    text_tokens: int = 0
    total_tokens: int = 0
    requests: int = 0

    def __add__(self, other: RetrievalUsage) -> RetrievalUsage:
        return RetrievalUsage(
            self.input_tokens + other.input_tokens,
            self.image_tokens + other.image_tokens,
            self.text_tokens + other.text_tokens,
            self.total_tokens + other.total_tokens,
            self.requests + other.requests,
        )

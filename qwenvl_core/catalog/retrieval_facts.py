"""Define what a row states about an embedding model or a reranker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qwenvl_core.catalog.facts import MB

__all__ = ["EmbeddingFacts", "Fusion", "RerankFacts"]

Fusion = Literal["request", "content", "images", "always", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingFacts:
    """Capabilities and limits of an embedding model. A limit of `None` is stated by no source and is not checked.

    Attributes:
        name: The model's name.
        known: Whether a row matched the name.
        media: Kinds of media that are accepted besides text: `"image"`, `"video"`.
        fusion: How several elements become one vector: all elements of a `request`, the elements of one `content`
            object, several `images` only, `always` (a request gives one vector), or `never`.
        dimensions: Lengths of vectors to choose from; empty where the model has no choice or none is known.
        default_dimensions: Length of a vector when none is chosen.
        max_items: Elements per request.
        max_images: Images per request.
        max_videos: Videos per request.
        max_fused_images: Images that one `content` object holds.
        image_max_bytes: Largest image file.
        video_max_bytes: Largest video file.
        instruct: Whether a query may carry an instruction.
        fps: Whether the rate at which videos are sampled can be chosen, from 0 to 1.
        regions: The regions that offer the model; empty where none are stated.
        source: Where the facts are from.
    """

    name: str
    known: bool = True
    media: tuple[str, ...] = ()
    fusion: Fusion = "never"
    dimensions: tuple[int, ...] = ()
    default_dimensions: int | None = None
    max_items: int
    max_images: int | None = None
    max_videos: int | None = None
    max_fused_images: int = 1
    image_max_bytes: int | None = None
    video_max_bytes: int | None = None
    instruct: bool = False
    fps: bool = False
    regions: tuple[str, ...] = ()
    source: str = ""

    @property
    def is_text_only(self) -> bool:
        """Whether the model takes texts only; the service has another endpoint for those models."""
        return not self.media


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankFacts:
    """Capabilities and limits of a reranker.

    Attributes:
        name: The model's name.
        known: Whether a row matched the name.
        media: Kinds of media that are accepted besides text.
        flat: Whether the model is at the OpenAI-like endpoint, whose body has no `input` and `parameters`.
        max_texts: Texts per request.
        max_images: Images per request.
        max_videos: Videos per request.
        image_max_bytes: Largest image file.
        video_max_bytes: Largest video file.
        instruct: Whether a request may carry an instruction.
        fps: Whether the rate at which videos are sampled can be chosen.
        regions: The regions that offer the model; empty where none are stated.
        retired: What to use in place of a model that is no longer offered.
        source: Where the facts are from.
    """

    name: str
    known: bool = True
    media: tuple[str, ...] = ()
    flat: bool = False
    max_texts: int | None = None
    max_images: int | None = None
    max_videos: int | None = None
    image_max_bytes: int | None = 10 * MB
    video_max_bytes: int | None = 50 * MB
    instruct: bool = True
    fps: bool = False
    regions: tuple[str, ...] = ()
    retired: str | None = None
    source: str = ""

    @property
    def is_text_only(self) -> bool:
        """Whether the model takes texts only."""
        return not self.media

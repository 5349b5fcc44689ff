"""List the embedding models and rerankers of the service, with the limits that it enforces.

Sources: the vendor's pages "Multimodal embedding", "Text embedding" and "Rerank" of 2026.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_MB = 1024 * 1024


@dataclass(frozen=True)
class EmbeddingModel:
    """What an embedding model takes."""

    keys: frozenset[str]
    """Keys of a content object; a text model takes strings instead."""
    dimensions: tuple[int, ...]
    """The default first."""
    max_items: int
    max_images: int = 0
    max_videos: int = 0
    max_image_bytes: int = 0
    fuses_request: bool = False
    """Whether `enable_fusion` is known."""
    fuses_always: bool = False
    merges_keys: bool = False
    """Whether one content object may hold several kinds."""
    instruct: bool = False


_SEES = frozenset({"text", "image", "video"})
_QWEN3_VL = EmbeddingModel(
    _SEES, (2560, 2048, 1536, 1024, 768, 512, 256), 20, 5, 1, 10 * _MB, fuses_request=True, instruct=True
)
_TONGYI = EmbeddingModel(_SEES | {"multi_images"}, (1152,), 20, 8, 1, 3 * _MB)
_TEXT = EmbeddingModel(frozenset(), (1024, 2048, 1536, 768, 512, 256, 128, 64), 10, instruct=True)

EMBEDDING_MODELS: dict[str, EmbeddingModel] = {
    "qwen3-vl-embedding": _QWEN3_VL,
    "qwen2.5-vl-embedding": replace(
        _QWEN3_VL, dimensions=(1024, 2048, 768, 512), max_items=3, max_images=1, fuses_request=False, fuses_always=True
    ),
    "tongyi-embedding-vision-plus": _TONGYI,
    "tongyi-embedding-vision-flash": replace(_TONGYI, dimensions=(768,)),
    "tongyi-embedding-vision-plus-2026-03-06": replace(
        _TONGYI,
        dimensions=(1152, 1024, 512, 256, 128, 64),
        max_items=64,
        max_images=64,
        max_videos=8,
        max_image_bytes=10 * _MB,
        merges_keys=True,
    ),
    "multimodal-embedding-v1": replace(_TONGYI, keys=_SEES, dimensions=(1024,), max_images=1),
    "text-embedding-v4": _TEXT,
    "qwen3.7-text-embedding": _TEXT,
}


@dataclass(frozen=True)
class RerankModel:
    """What a reranker takes."""

    max_texts: int
    max_images: int = 0
    max_videos: int = 0
    flat: bool = False


RERANKERS: dict[str, RerankModel] = {
    "qwen3-vl-rerank": RerankModel(100, 40, 4),
    "qwen3.7-text-rerank": RerankModel(500),
    "gte-rerank-v2": RerankModel(500),
    "qwen3-rerank": RerankModel(500, flat=True),
}

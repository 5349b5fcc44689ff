"""List the embedding models and rerankers that see, and those of the same service that read text only."""

from __future__ import annotations

from dataclasses import replace

from qwenvl_core.catalog.facts import MB
from qwenvl_core.catalog.retrieval_facts import EmbeddingFacts, RerankFacts

__all__ = ["EMBEDDING_MODELS", "RERANKERS", "describe_embedding_model", "describe_reranker"]

_EMBEDDING_API = "Alibaba Cloud Model Studio, Multimodal embedding (API reference), 2026-06"
_TEXT_API = "Alibaba Cloud Model Studio, Text embedding (API reference), 2026; dashscope SDK 2.0.2"
_RERANK_API = "Alibaba Cloud Model Studio, Rerank (API reference), 2026; dashscope SDK 2.0.2"
_SEES = ("image", "video")
_BEIJING = ("cn-beijing",)
_BEIJING_SINGAPORE = ("cn-beijing", "ap-southeast-1")

_QWEN3_VL = EmbeddingFacts(
    name="qwen3-vl-embedding",
    media=_SEES,
    fusion="request",
    dimensions=(2560, 2048, 1536, 1024, 768, 512, 256),
    default_dimensions=2560,
    max_items=20,
    max_images=5,
    max_videos=1,
    image_max_bytes=10 * MB,
    video_max_bytes=50 * MB,
    instruct=True,
    fps=True,
    regions=_BEIJING,
    source=_EMBEDDING_API,
)
_QWEN25_VL = replace(
    _QWEN3_VL,
    name="qwen2.5-vl-embedding",
    fusion="always",
    dimensions=(2048, 1024, 768, 512),
    default_dimensions=1024,
    max_items=3,  # one text, one image and one video
    max_images=1,
)
_TONGYI_PLUS = replace(
    _QWEN3_VL,
    name="tongyi-embedding-vision-plus",
    fusion="images",
    dimensions=(1152,),
    default_dimensions=1152,
    max_images=8,
    max_fused_images=8,
    image_max_bytes=3 * MB,
    video_max_bytes=10 * MB,
    instruct=False,
    regions=_BEIJING_SINGAPORE,
)
_TONGYI_FLASH = replace(_TONGYI_PLUS, name="tongyi-embedding-vision-flash", dimensions=(768,), default_dimensions=768)
_TONGYI_PLUS_2026 = replace(
    _TONGYI_PLUS,
    name="tongyi-embedding-vision-plus-2026-03-06",
    fusion="content",
    dimensions=(1152, 1024, 512, 256, 128, 64),
    max_items=64,
    max_images=64,
    max_videos=8,
    image_max_bytes=10 * MB,
    source=f"{_EMBEDDING_API}; dashscope SDK 2.0.2",
)
_TEXT_V4 = EmbeddingFacts(
    name="text-embedding-v4",
    dimensions=(2048, 1536, 1024, 768, 512, 256, 128, 64),
    default_dimensions=1024,
    max_items=10,
    instruct=True,
    source=_TEXT_API,
)

EMBEDDING_MODELS: tuple[EmbeddingFacts, ...] = (
    _QWEN3_VL,
    _QWEN25_VL,
    _TONGYI_PLUS_2026,
    replace(
        _TONGYI_PLUS_2026,
        name="tongyi-embedding-vision-flash-2026-03-06",
        dimensions=(768, 512, 256, 128, 64),
        default_dimensions=768,
    ),
    _TONGYI_PLUS,
    _TONGYI_FLASH,
    replace(
        _QWEN3_VL,
        name="multimodal-embedding-v1",
        fusion="never",
        dimensions=(1024,),
        default_dimensions=1024,
        max_images=1,
        image_max_bytes=3 * MB,
        video_max_bytes=10 * MB,
        instruct=False,
        fps=False,
    ),
    replace(_TEXT_V4, name="qwen3.7-text-embedding", dimensions=(), default_dimensions=None),
    _TEXT_V4,
    replace(_TEXT_V4, name="text-embedding-v3", dimensions=(1024, 768, 512, 256, 128, 64), instruct=False),
    replace(_TEXT_V4, name="text-embedding-v2", dimensions=(1536,), default_dimensions=1536, instruct=False),
    replace(_TEXT_V4, name="text-embedding-v1", dimensions=(1536,), default_dimensions=1536, instruct=False),
)
"""The embedding models; a name gets the first row that it begins with."""

_ASSUMED_EMBEDDING = replace(
    _QWEN3_VL,
    name="",
    known=False,
    dimensions=(),
    default_dimensions=None,
    image_max_bytes=None,
    video_max_bytes=None,
    regions=(),
    source="Assumed from qwen3-vl-embedding",
)

_QWEN3_VL_RERANK = RerankFacts(
    name="qwen3-vl-rerank",
    media=_SEES,
    max_texts=100,
    max_images=40,
    max_videos=4,
    fps=True,
    regions=_BEIJING,
    source=_RERANK_API,
)
_TEXT_RERANK = RerankFacts(name="qwen3.7-text-rerank", max_texts=500, source=_RERANK_API)

RERANKERS: tuple[RerankFacts, ...] = (
    _QWEN3_VL_RERANK,
    replace(_TEXT_RERANK, name="qwen3-rerank", flat=True),
    _TEXT_RERANK,
    replace(_TEXT_RERANK, name="gte-rerank-v2"),
    replace(_TEXT_RERANK, name="gte-rerank", retired="gte-rerank was retired on 2026-05-30. Use qwen3-vl-rerank."),
)
"""The rerankers; a name gets the first row that it begins with."""

_ASSUMED_RERANKER = replace(
    _QWEN3_VL_RERANK,
    name="",
    known=False,
    image_max_bytes=None,
    video_max_bytes=None,
    regions=(),
    source="Assumed from qwen3-vl-rerank",
)


def describe_embedding_model(name: str) -> EmbeddingFacts:
    """Return the facts of an embedding model.

    A name that no row knows gets the row of the newest model that sees, without the limits that may differ.
    """
    key = name.strip().lower()
    return next((facts for facts in EMBEDDING_MODELS if _matches(key, facts.name)), None) or replace(
        _ASSUMED_EMBEDDING, name=name
    )


def describe_reranker(name: str) -> RerankFacts:
    """Return the facts of a reranker; see `describe_embedding_model`."""
    key = name.strip().lower()
    return next((facts for facts in RERANKERS if _matches(key, facts.name)), None) or replace(
        _ASSUMED_RERANKER, name=name
    )


def _matches(key: str, row: str) -> bool:
    return key == row or key.startswith(f"{row}-")

"""Embed texts, images and videos with LlamaIndex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.schema import BaseNode, ImageType
from pydantic import Field, model_validator
from typing_extensions import override

from llama_index_qwenvl.retrieval_base import (
    Limiter,
    RetrievalBase,
    build_node_item,
    convert_item_block,
    has_picture,
)
from qwenvl_core.catalog.retrieval_models import describe_embedding_model
from qwenvl_core.client.retrieval_config import EmbeddingConfig
from qwenvl_core.request import retrieval_items
from qwenvl_core.types.retrieval import Item

_MAX_BATCH = 2048  # LlamaIndex accepts no larger `embed_batch_size`


class RequestLimiter:
    """The caller's rate limiter, which LlamaIndex waits for once a batch, although a batch has several requests.

    What LlamaIndex calls does nothing; `inner` is waited for once a request.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def acquire(self) -> None:
        """Return at once."""

    async def async_acquire(self) -> None:
        """Return at once."""


class QwenVLEmbedding(RetrievalBase, EmbeddingConfig, MultiModalEmbedding):
    """Embed texts, images and videos in one vector space.

    Items are packed into as few requests as the model's limits allow, sent `max_concurrency` at once, and put back in
    order. All are checked before the first request, and a missing or broken vector is an error. It serves
    `VectorStoreIndex`, `IngestionPipeline` and, as `image_embed_model`, `MultiModalVectorStoreIndex`. A plain
    `VectorStoreIndex` passes over nodes without text.

    Example:
        ```python
        embed_model = QwenVLEmbedding(dimensions=1024)
        vectors = embed_model.embed(["a receipt", Path("receipt.png"), ["total", Path("receipt.png")]])
        ```

    Raises:
        QwenVLError: As the chat model; an invalid item raises `QwenVLInputError`, which names its index.
    """

    rate_limiter: Any = Field(default=None, exclude=True, repr=False)
    """Waited for once a request."""

    @model_validator(mode="before")
    @classmethod
    def _fill_base_fields(cls, values: Any) -> Any:
        """Accept LlamaIndex's `model_name` as `model`, and size the batches so that requests are sent at once."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        model = values.get("model") or values.get("model_name") or cls.model_fields["model"].default
        values["model"] = values["model_name"] = model
        if "embed_batch_size" not in values and isinstance(model, str):
            concurrency = values.get("max_concurrency", cls.model_fields["max_concurrency"].default)
            if type(concurrency) is int and concurrency > 0:
                values["embed_batch_size"] = min(describe_embedding_model(model).max_items * concurrency, _MAX_BATCH)
        return values

    @override
    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self.rate_limiter = self.rate_limiter

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "rate_limiter" and value is not None and not isinstance(value, RequestLimiter):
            value = RequestLimiter(value)
        super().__setattr__(name, value)

    @classmethod
    @override
    def class_name(cls) -> str:
        return "QwenVLEmbedding"

    def _get_limiter(self) -> Limiter:
        return Limiter(self.rate_limiter.inner if self.rate_limiter is not None else None)

    @override
    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embed_items([retrieval_items.build_text_item(query, "query")], is_query=True)[0]

    @override
    async def _aget_query_embedding(self, query: str) -> list[float]:
        return (await self._aembed_items([retrieval_items.build_text_item(query, "query")], is_query=True))[0]

    @override
    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    @override
    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    @override
    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embed_items(retrieval_items.build_text_items(texts, "texts"))

    @override
    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await self._aembed_items(retrieval_items.build_text_items(texts, "texts"))

    @override
    def _get_image_embedding(self, img_file_path: ImageType) -> list[float]:
        return self._get_image_embeddings([img_file_path])[0]

    @override
    async def _aget_image_embedding(self, img_file_path: ImageType) -> list[float]:
        return (await self._aget_image_embeddings([img_file_path]))[0]

    @override
    def _get_image_embeddings(self, img_file_paths: list[ImageType]) -> list[list[float]]:
        return self._embed_items(self._build_image_items(img_file_paths))

    @override
    async def _aget_image_embeddings(self, img_file_paths: list[ImageType]) -> list[list[float]]:
        return await self._aembed_items(self._build_image_items(img_file_paths))

    def embed(self, items: Sequence[Any]) -> list[list[float]]:
        """Return the vectors of texts, images and videos.

        Args:
            items: Strings, which are texts; `pathlib.Path` objects, Pillow images, bytes or content blocks, which are
                images or videos; or lists of these, each of which becomes one vector.
        """
        return self._embed_items(self._build_items(items))

    async def aembed(self, items: Sequence[Any]) -> list[list[float]]:
        """Return the vectors of texts, images and videos, asynchronously; see `embed`."""
        return await self._aembed_items(self._build_items(items))

    @override
    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Embed nodes: those with a picture by it, the others by their text."""
        pictured, others = _split_nodes(nodes)
        items = self._build_node_items(pictured)  # checked before the first request
        super().__call__(others, **kwargs)
        _set_embeddings(pictured, self._embed_items(items))
        return nodes

    @override
    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Embed nodes asynchronously; see `__call__`."""
        pictured, others = _split_nodes(nodes)
        items = self._build_node_items(pictured)
        await super().acall(others, **kwargs)
        _set_embeddings(pictured, await self._aembed_items(items))
        return nodes

    def _build_items(self, items: Sequence[Any]) -> list[Item]:
        return retrieval_items.build_items(
            items, "items", convert_block=convert_item_block, local_files=self.local_files
        )

    def _build_image_items(self, images: Sequence[Any]) -> list[Item]:
        return retrieval_items.build_path_items(images, "images", local_files=self.local_files)

    def _build_node_items(self, nodes: Sequence[BaseNode]) -> list[Item]:
        return [
            build_node_item(node, f"nodes[{index}]", image_key="", local_files=self.local_files)
            for index, node in enumerate(nodes)
        ]


def _split_nodes(nodes: Sequence[BaseNode]) -> tuple[list[BaseNode], list[BaseNode]]:
    """Return the nodes with a picture, and the others."""
    pictured = [node for node in nodes if has_picture(node, "")]
    return pictured, [node for node in nodes if not has_picture(node, "")]


def _set_embeddings(nodes: Sequence[BaseNode], vectors: Sequence[list[float]]) -> None:
    for node, vector in zip(nodes, vectors, strict=True):
        node.embedding = vector

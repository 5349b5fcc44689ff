"""Embed texts, images and videos with LlamaIndex."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.schema import BaseNode, ImageType, MetadataMode
from pydantic import Field, model_validator
from typing_extensions import override

from llama_index_qwenvl.retrieval_base import (
    Limiter,
    build_node_item,
    convert_item_block,
    has_picture,
)
from qwenvl_core.catalog.retrieval_models import describe_embedding_model
from qwenvl_core.client.retrieval_config import EmbeddingConfig
from qwenvl_core.request import retrieval_items
from qwenvl_core.types.retrieval import Item

if TYPE_CHECKING:
    from qwenvl_core.client.retrieval_client import CallGuard

_dispatcher = get_dispatcher(__name__)
_guard: ContextVar[CallGuard | None] = ContextVar("qwenvl_embedding_guard", default=None)
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


class QwenVLEmbedding(EmbeddingConfig, MultiModalEmbedding):
    """Embed texts, images and videos in one vector space.

    Items are packed into as few requests as the model's limits allow, sent `max_concurrency` at once, and put back in
    order. All are checked before the first request, and a missing or broken vector is an error. It serves
    `VectorStoreIndex`, `IngestionPipeline` and, as `image_embed_model`, `MultiModalVectorStoreIndex`. A plain
    `VectorStoreIndex` embeds the text and metadata of a node, not its picture; both indices pass over a node that has
    neither.

    Example:
        ```python
        embed_model = QwenVLEmbedding(dimensions=1024)
        vectors = embed_model.embed(["a receipt", Path("receipt.png"), ["total", Path("receipt.png")]])
        print(len(vectors), len(vectors[0]))  # 3 1024
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
        return await self._aembed_items(retrieval_items.build_text_items(texts, "texts"), guard=_guard.get())

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
        items = await asyncio.to_thread(self._build_image_items, img_file_paths)
        return await self._aembed_items(items, guard=_guard.get())

    def embed(self, items: Sequence[Any]) -> list[list[float]]:
        """Return the vectors of texts, images and videos.

        Args:
            items: Strings, which are texts; `pathlib.Path` objects, Pillow images, bytes or content blocks, which are
                images or videos; or lists of these, each of which becomes one vector.

        Returns:
            One vector for each item, in their order.

        Raises:
            QwenVLInputError: An item or a setting is invalid; the message has the item's index, and nothing was sent.
            QwenVLError: A request failed, or a vector is missing or broken.

        Example:
            ```python
            items = ["a receipt", Path("receipt.png"), ["the total", Path("receipt.png")]]
            print(len(QwenVLEmbedding().embed(items)))  # 3
            ```
        """
        return self._embed_items(self._build_items(items))

    async def aembed(self, items: Sequence[Any]) -> list[list[float]]:
        """Return the vectors of texts, images and videos, asynchronously.

        Args:
            items: As for `embed`.

        Returns:
            One vector for each item, in their order.

        Raises:
            QwenVLError: As for `embed`.
        """
        return await self._aembed_items(await asyncio.to_thread(self._build_items, items))

    # LlamaIndex splits a call into batches. These methods check all of it before the first batch, and start no request
    # after an error in another batch.

    @override
    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """Return the vectors of texts to search in; all are checked before the first request.

        Args:
            texts: The texts; none may be empty.
            show_progress: Whether to show a progress bar.
            kwargs: Keywords of LlamaIndex's method.

        Returns:
            One vector for each text, in their order.

        Raises:
            QwenVLInputError: A text or a setting is invalid; nothing was sent.
            QwenVLError: A request failed, or a vector is missing or broken.

        Example:
            ```python
            embed_model = QwenVLEmbedding(dimensions=256)
            print(len(embed_model.get_text_embedding_batch(["Terms of delivery", "Total: 18.37"])))  # 2
            ```
        """
        self._check_items(retrieval_items.build_text_items(texts, "texts"))
        vectors: list[list[float]] = super().get_text_embedding_batch(texts, show_progress, **kwargs)
        return vectors

    @override
    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        """Return the vectors of texts to search in, asynchronously; see `get_text_embedding_batch`."""
        self._check_items(retrieval_items.build_text_items(texts, "texts"))
        with _share_guard():
            vectors: list[list[float]] = await super().aget_text_embedding_batch(texts, show_progress, **kwargs)
        return vectors

    @override
    def get_image_embedding_batch(
        self, img_file_paths: list[ImageType], show_progress: bool = False
    ) -> list[list[float]]:
        """Return the vectors of images; all are checked before the first request.

        Args:
            img_file_paths: URLs or paths of images, or open files. Paths are read unless `local_files` excludes them.
            show_progress: Whether to show a progress bar.

        Returns:
            One vector for each image, in their order.

        Raises:
            QwenVLInputError: An image can't be read, is too large, or the model reads texts only; nothing was sent.
            QwenVLError: A request failed, or a vector is missing or broken.

        Example:
            ```python
            print(len(QwenVLEmbedding().get_image_embedding_batch(["receipt.png"])))  # 1
            ```
        """
        self._check_items(self._build_image_items(img_file_paths))
        return super().get_image_embedding_batch(img_file_paths, show_progress)

    @override
    async def aget_image_embedding_batch(
        self, img_file_paths: list[ImageType], show_progress: bool = False
    ) -> list[list[float]]:
        """Return the vectors of images, asynchronously; see `get_image_embedding_batch`."""
        await asyncio.to_thread(lambda: self._check_items(self._build_image_items(img_file_paths)))
        with _share_guard():
            return await super().aget_image_embedding_batch(img_file_paths, show_progress)

    @override
    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Embed nodes: those with a picture by it, the others by their text.

        Texts and pictures share requests. With an `embeddings_cache`, which is for texts, texts
        and pictures have requests of their own.
        """
        pictured, others = _split_nodes(nodes)
        if not pictured:
            return super().__call__(nodes, **kwargs)
        items = self._build_node_items(nodes)
        self._check_items(items)
        together = pictured if self.embeddings_cache else nodes
        if self.embeddings_cache:
            super().__call__(others, **kwargs)
        with self._report_embedding(together) as vectors:
            vectors += self._embed_items(_select_items(nodes, items, together))
        return nodes

    @override
    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Embed nodes asynchronously: those with a picture by it, the others by their text.

        Args:
            nodes: The nodes; their `embedding` is set.
            kwargs: Keywords of LlamaIndex's method.

        Returns:
            The nodes.

        Raises:
            QwenVLInputError: A node or a setting is invalid; the message has the node's index, and nothing was sent.
            QwenVLError: A request failed, or a vector is missing or broken.
        """
        pictured, others = _split_nodes(nodes)
        if not pictured:
            return await super().acall(nodes, **kwargs)
        items = await asyncio.to_thread(self._build_node_items, nodes)
        await asyncio.to_thread(self._check_items, items)
        together = pictured if self.embeddings_cache else nodes
        if self.embeddings_cache:
            await super().acall(others, **kwargs)
        with self._report_embedding(together) as vectors:
            vectors += await self._aembed_items(_select_items(nodes, items, together))
        return nodes

    @contextmanager
    def _report_embedding(self, nodes: Sequence[BaseNode]) -> Iterator[list[list[float]]]:
        """Report the embedding of nodes to LlamaIndex's callbacks; the vectors put into the list become the nodes'."""
        model_dict = self.to_payload()
        vectors: list[list[float]] = []
        chunks = [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
        _dispatcher.event(EmbeddingStartEvent(model_dict=model_dict))
        with self.callback_manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: model_dict}) as event:
            yield vectors
            event.on_end(payload={EventPayload.CHUNKS: chunks, EventPayload.EMBEDDINGS: vectors})
        _dispatcher.event(EmbeddingEndEvent(chunks=chunks, embeddings=vectors))
        for node, vector in zip(nodes, vectors, strict=True):
            node.embedding = vector

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


def _select_items(nodes: Sequence[BaseNode], items: Sequence[Item], selected: Sequence[BaseNode]) -> list[Item]:
    """Return the items of the selected nodes."""
    chosen = {id(node) for node in selected}
    return [item for node, item in zip(nodes, items, strict=True) if id(node) in chosen]


@contextmanager
def _share_guard() -> Iterator[None]:
    """Share one guard among the batches of a call, which LlamaIndex runs in tasks."""
    from qwenvl_core.client.retrieval_client import CallGuard

    token = _guard.set(CallGuard())
    try:
        yield
    finally:
        _guard.reset(token)

"""Embed texts, images and videos with LangChain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.embeddings.embeddings import Embeddings
from typing_extensions import override

from langchain_qwenvl.exceptions import map_core_errors
from langchain_qwenvl.retrieval_base import RetrievalBase, convert_item_block
from qwenvl_core.client.retrieval_config import EmbeddingConfig
from qwenvl_core.request import retrieval_items
from qwenvl_core.types.retrieval import Item


class QwenVLEmbeddings(RetrievalBase, EmbeddingConfig, Embeddings):
    """Embed texts, images and videos in one vector space.

    Items are packed into as few requests as the model's limits allow, sent `max_concurrency` at once, and put back in
    order. All are checked before the first request, and a missing or broken vector is an error.

    Example:
        ```python
        embeddings = QwenVLEmbeddings(dimensions=1024)
        vectors = embeddings.embed(["a receipt", Path("receipt.png"), ["total", Path("receipt.png")]])
        print(len(vectors), len(vectors[0]))  # 3 1024
        ```

    Raises:
        QwenVLError: As the chat model; an invalid item raises `QwenVLInputError`, which names its index.
    """

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts to search in."""
        with map_core_errors():
            return self._embed_items(retrieval_items.build_text_items(texts, "texts"))

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts to search in, asynchronously."""
        with map_core_errors():
            return await self._aembed_items(retrieval_items.build_text_items(texts, "texts"))

    @override
    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text to search for; it carries `instruct`."""
        with map_core_errors():
            return self._embed_items([retrieval_items.build_text_item(text, "text")], is_query=True)[0]

    @override
    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of a text to search for, asynchronously; it carries `instruct`."""
        with map_core_errors():
            items = [retrieval_items.build_text_item(text, "text")]
            return (await self._aembed_items(items, is_query=True))[0]

    def embed_image(self, uris: list[str]) -> list[list[float]]:
        """Return the vectors of images at URLs or paths, as LangChain's vector stores call it (`add_images`)."""
        with map_core_errors():
            return self._embed_items(self._build_image_items(uris))

    async def aembed_image(self, uris: list[str]) -> list[list[float]]:
        """Return the vectors of images at URLs or paths, asynchronously; see `embed_image`."""
        with map_core_errors():
            return await self._aembed_items(await asyncio.to_thread(self._build_image_items, uris))

    def embed(self, items: Sequence[Any]) -> list[list[float]]:
        """Return the vectors of texts, images and videos.

        Args:
            items: Strings, which are texts; `pathlib.Path` objects, Pillow images, bytes or content blocks, which are
                images or videos; or lists of these, each of which becomes one vector.
        """
        with map_core_errors():
            return self._embed_items(self._build_items(items))

    async def aembed(self, items: Sequence[Any]) -> list[list[float]]:
        """Return the vectors of texts, images and videos, asynchronously; see `embed`."""
        with map_core_errors():
            return await self._aembed_items(await asyncio.to_thread(self._build_items, items))

    def _build_items(self, items: Sequence[Any]) -> list[Item]:
        return retrieval_items.build_items(
            items, "items", convert_block=convert_item_block, local_files=self.local_files
        )

    def _build_image_items(self, uris: Sequence[Any]) -> list[Item]:
        return retrieval_items.build_path_items(uris, "uris", local_files=self.local_files)

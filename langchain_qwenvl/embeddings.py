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
        """Return the vectors of texts to search in.

        Args:
            texts: The texts; none may be empty.

        Returns:
            One vector for each text, in their order.

        Raises:
            QwenVLInputError: A text is empty, or a setting does not fit the model; nothing was sent.
            QwenVLError: A request failed, or a vector is missing or broken.

        Example:
            ```python
            vectors = QwenVLEmbeddings(dimensions=256).embed_documents(["Terms of delivery", "Total: 18.37"])
            print(len(vectors), len(vectors[0]))  # 2 256
            ```
        """
        with map_core_errors():
            return self._embed_items(retrieval_items.build_text_items(texts, "texts"))

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts to search in, asynchronously.

        Args:
            texts: The texts; none may be empty.

        Returns:
            One vector for each text, in their order.

        Raises:
            QwenVLError: As for `embed_documents`.
        """
        with map_core_errors():
            return await self._aembed_items(retrieval_items.build_text_items(texts, "texts"))

    @override
    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text to search for; it carries `instruct`.

        Args:
            text: The query; it must not be empty.

        Returns:
            The vector.

        Raises:
            QwenVLInputError: The text is empty, or a setting does not fit the model; nothing was sent.
            QwenVLError: The request failed, or the vector is missing or broken.

        Example:
            ```python
            embeddings = QwenVLEmbeddings(instruct="Find the page that answers the question.")
            print(len(embeddings.embed_query("What was paid?")))  # 2560
            ```
        """
        with map_core_errors():
            return self._embed_items([retrieval_items.build_text_item(text, "text")], is_query=True)[0]

    @override
    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of a text to search for, asynchronously; it carries `instruct`.

        Args:
            text: The query; it must not be empty.

        Returns:
            The vector.

        Raises:
            QwenVLError: As for `embed_query`.
        """
        with map_core_errors():
            items = [retrieval_items.build_text_item(text, "text")]
            return (await self._aembed_items(items, is_query=True))[0]

    def embed_image(self, uris: list[str]) -> list[list[float]]:
        """Return the vectors of images; LangChain's vector stores call it (`Chroma.add_images`).

        Args:
            uris: URLs or paths of images. Paths are read unless `local_files` excludes them.

        Returns:
            One vector for each image, in their order.

        Raises:
            QwenVLInputError: An image can't be read, is too large, or the model reads texts only; nothing was sent.
            QwenVLError: A request failed, or a vector is missing or broken.

        Example:
            ```python
            print(len(QwenVLEmbeddings().embed_image(["receipt.png"])))  # 1
            ```
        """
        with map_core_errors():
            return self._embed_items(self._build_image_items(uris))

    async def aembed_image(self, uris: list[str]) -> list[list[float]]:
        """Return the vectors of images, asynchronously.

        Args:
            uris: URLs or paths of images, as for `embed_image`.

        Returns:
            One vector for each image, in their order.

        Raises:
            QwenVLError: As for `embed_image`.
        """
        with map_core_errors():
            return await self._aembed_items(await asyncio.to_thread(self._build_image_items, uris))

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
            print(len(QwenVLEmbeddings().embed(items)))  # 3
            ```
        """
        with map_core_errors():
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
        with map_core_errors():
            return await self._aembed_items(await asyncio.to_thread(self._build_items, items))

    def _build_items(self, items: Sequence[Any]) -> list[Item]:
        return retrieval_items.build_items(
            items, "items", convert_block=convert_item_block, local_files=self.local_files
        )

    def _build_image_items(self, uris: Sequence[Any]) -> list[Item]:
        return retrieval_items.build_path_items(uris, "uris", local_files=self.local_files)

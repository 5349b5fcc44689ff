"""Rank documents by their texts and pictures with LangChain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.documents.base import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from typing_extensions import override

from langchain_qwenvl.exceptions import map_core_errors
from langchain_qwenvl.retrieval_base import RetrievalBase, convert_item_block
from qwenvl_core.client.retrieval_config import RerankConfig
from qwenvl_core.request import retrieval_items
from qwenvl_core.types.retrieval import Item, Ranked

if TYPE_CHECKING:
    from langchain_core.callbacks.base import Callbacks


class QwenVLReranker(RetrievalBase, RerankConfig, BaseDocumentCompressor):
    """Rank documents by how well they answer a query: texts and pictures in one list.

    A document whose metadata holds a picture under `image_key` is ranked by the picture, any other by its text. It is a
    compressor for LangChain's `ContextualCompressionRetriever`.

    Example:
        ```python
        from langchain_core.documents import Document

        pages = [Document("Terms of delivery"), Document("Total: 18.37, paid by card")]
        reranker = QwenVLReranker(top_n=1)
        best = reranker.compress_documents(pages, "What was paid?")
        print(best[0].page_content, best[0].metadata["relevance_score"])
        ```

    Raises:
        QwenVLError: As the chat model. More documents than one request takes are an error, since scores of different
            requests do not compare.
    """

    @override
    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return the best documents, best first.

        Args:
            documents: What is ranked: by the picture under `image_key` of the metadata, else by the text.
            query: The query.
            callbacks: Not used; a ranking reports no events.

        Returns:
            Copies of the `top_n` best documents, with the score in `metadata["relevance_score"]`.

        Raises:
            QwenVLInputError: The query, a document or a setting is invalid, or there are more documents than one
                request takes; nothing was sent.
            QwenVLError: The request failed, or a score is missing or broken.

        Example:
            ```python
            from langchain_core.documents import Document

            page = Document("", metadata={"image_path": "receipt.png"})
            ranked = QwenVLReranker().compress_documents([page, Document("Terms of delivery")], "What was paid?")
            print(len(ranked), type(ranked[0].metadata["relevance_score"]).__name__)  # 2 float
            ```
        """
        with map_core_errors():
            query_item = retrieval_items.build_text_item(query, "query")
            ranked = self._rank_items(query_item, self._build_document_items(documents), None)
        return _add_scores(documents, ranked)

    @override
    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return the best documents, best first, asynchronously.

        Args:
            documents: What is ranked, as for `compress_documents`.
            query: The query.
            callbacks: Not used; a ranking reports no events.

        Returns:
            Copies of the `top_n` best documents, with the score in `metadata["relevance_score"]`.

        Raises:
            QwenVLError: As for `compress_documents`.
        """
        with map_core_errors():
            query_item = retrieval_items.build_text_item(query, "query")
            items = await asyncio.to_thread(self._build_document_items, documents)
            ranked = await self._arank_items(query_item, items, None)
        return _add_scores(documents, ranked)

    def rerank(self, query: Any, items: Sequence[Any], top_n: int | None = None) -> list[Ranked]:
        """Return the scores of items, best first; items with the same score stay in their order.

        Args:
            query: A text, an image or a video; see `QwenVLEmbeddings.embed`.
            items: What is ranked, in the same forms, without lists.
            top_n: How many of the best are returned; by default the object's `top_n`, else all.

        Returns:
            The index and the score of each item.

        Raises:
            QwenVLInputError: The query, an item or a setting is invalid, or there are more items than one request
                takes; nothing was sent.
            QwenVLError: The request failed, or a score is missing or broken.

        Example:
            ```python
            best = QwenVLReranker().rerank("What was paid?", ["Terms of delivery", "Total paid: 18.37"], top_n=1)
            print(best[0].index)  # 1
            ```
        """
        with map_core_errors():
            return self._rank_items(self._build_item(query), self._build_items(items), top_n)

    async def arerank(self, query: Any, items: Sequence[Any], top_n: int | None = None) -> list[Ranked]:
        """Return the scores of items, best first, asynchronously.

        Args:
            query: A text, an image or a video, as for `rerank`.
            items: What is ranked, as for `rerank`.
            top_n: How many of the best are returned.

        Returns:
            The index and the score of each item.

        Raises:
            QwenVLError: As for `rerank`.
        """
        with map_core_errors():
            query_item = await asyncio.to_thread(self._build_item, query)
            return await self._arank_items(query_item, await asyncio.to_thread(self._build_items, items), top_n)

    def _build_item(self, query: Any) -> Item:
        return retrieval_items.build_item(
            query, "query", convert_block=convert_item_block, local_files=self.local_files
        )

    def _build_items(self, items: Sequence[Any]) -> list[Item]:
        return retrieval_items.build_items(
            items, "items", convert_block=convert_item_block, local_files=self.local_files
        )

    def _build_document_items(self, documents: Sequence[Document]) -> list[Item]:
        return [self._build_document_item(document, index) for index, document in enumerate(documents)]

    def _build_document_item(self, document: Document, index: int) -> Item:
        picture = document.metadata.get(self.image_key)
        if picture:
            location = f"documents[{index}].metadata[{self.image_key!r}]"
            return retrieval_items.build_path_item(picture, location, local_files=self.local_files)
        return retrieval_items.build_text_item(document.page_content, f"documents[{index}]")


def _add_scores(documents: Sequence[Document], ranked: list[Ranked]) -> list[Document]:
    return [
        documents[index].model_copy(update={"metadata": {**documents[index].metadata, "relevance_score": score}})
        for index, score in ranked
    ]

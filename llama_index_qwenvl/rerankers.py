"""Rank nodes by their texts and pictures with LlamaIndex."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import Field
from typing_extensions import override

from llama_index_qwenvl.retrieval_base import Limiter, build_node_item, convert_item_block
from qwenvl_core.client.retrieval_config import RerankConfig
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import retrieval_items
from qwenvl_core.types.retrieval import Item, Ranked

_dispatcher = get_dispatcher(__name__)


class QwenVLRerank(RerankConfig, BaseNodePostprocessor):
    """Rank nodes by how well they answer a query: texts and pictures in one list.

    An image node, and a node whose metadata holds a picture under `image_key`, is ranked by the picture, any other by
    its text. The new score is the node's score.

    Example:
        ```python
        from llama_index.core.schema import NodeWithScore, TextNode

        texts = ["Terms of delivery", "Total: 18.37, paid by card"]
        nodes = [NodeWithScore(node=TextNode(text=text)) for text in texts]
        best = QwenVLRerank(top_n=1).postprocess_nodes(nodes, query_str="What was paid?")
        print(best[0].text, best[0].score)
        ```

    Raises:
        QwenVLError: As the chat model. More nodes than one request takes are an error, since scores of different
            requests do not compare.
    """

    rate_limiter: Any = Field(default=None, exclude=True, repr=False)
    """Waited for once a request."""

    @classmethod
    @override
    def class_name(cls) -> str:
        return "QwenVLRerank"

    def _get_limiter(self) -> Limiter:
        return Limiter(self.rate_limiter)

    @override
    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        query = self._build_query_item(query_bundle)
        with self._report_ranking(nodes, query_bundle) as best:
            best += _set_scores(nodes, self._rank_items(query, self._build_node_items(nodes), None))
        return best

    @override
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        query = self._build_query_item(query_bundle)
        items = await asyncio.to_thread(self._build_node_items, nodes)
        with self._report_ranking(nodes, query_bundle) as best:
            best += _set_scores(nodes, await self._arank_items(query, items, None))
        return best

    def rerank(self, query: Any, items: Sequence[Any], top_n: int | None = None) -> list[Ranked]:
        """Return the scores of items, best first; items with the same score stay in their order.

        Args:
            query: A text, an image or a video; see `QwenVLEmbedding.embed`.
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
            best = QwenVLRerank().rerank("What was paid?", ["Terms of delivery", "Total paid: 18.37"], top_n=1)
            print(best[0].index)  # 1
            ```
        """
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
        query_item = await asyncio.to_thread(self._build_item, query)
        return await self._arank_items(query_item, await asyncio.to_thread(self._build_items, items), top_n)

    @contextmanager
    def _report_ranking(
        self, nodes: Sequence[NodeWithScore], query_bundle: QueryBundle | None
    ) -> Iterator[list[NodeWithScore]]:
        """Report a ranking to LlamaIndex's callbacks; the nodes put into the list are its result."""
        top_n = len(nodes) if self.top_n is None else self.top_n
        best: list[NodeWithScore] = []
        _dispatcher.event(ReRankStartEvent(query=query_bundle, nodes=list(nodes), top_n=top_n, model_name=self.model))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: self.model,
            EventPayload.QUERY_STR: query_bundle.query_str if query_bundle else "",
            EventPayload.TOP_K: top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            yield best
            event.on_end(payload={EventPayload.NODES: best})
        _dispatcher.event(ReRankEndEvent(nodes=best))

    def _build_query_item(self, query_bundle: QueryBundle | None) -> Item:
        if query_bundle is None:
            raise QwenVLInputError("Missing query: nodes are ranked by how well they answer one. Pass query_str=.")
        if query_bundle.image_path:
            return retrieval_items.build_path_item(
                query_bundle.image_path, "query.image_path", local_files=self.local_files
            )
        return retrieval_items.build_text_item(query_bundle.query_str, "query")

    def _build_node_items(self, nodes: Sequence[NodeWithScore]) -> list[Item]:
        return [
            build_node_item(node.node, f"nodes[{index}]", image_key=self.image_key, local_files=self.local_files)
            for index, node in enumerate(nodes)
        ]

    def _build_item(self, query: Any) -> Item:
        return retrieval_items.build_item(
            query, "query", convert_block=convert_item_block, local_files=self.local_files
        )

    def _build_items(self, items: Sequence[Any]) -> list[Item]:
        return retrieval_items.build_items(
            items, "items", convert_block=convert_item_block, local_files=self.local_files
        )


def _set_scores(nodes: Sequence[NodeWithScore], ranked: Sequence[Ranked]) -> list[NodeWithScore]:
    return [NodeWithScore(node=nodes[index].node, score=score) for index, score in ranked]

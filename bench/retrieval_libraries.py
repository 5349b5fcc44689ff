"""The measured libraries for vectors and scores, and how each is called.

Imports are within the functions, because each library runs in an environment without the others.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.retrieval_server import DIMENSIONS

TEXT_MODEL, MEDIA_MODEL, RERANKER = "text-embedding-v4", "qwen3-vl-embedding", "qwen3-vl-rerank"


class RetrievalCalls(NamedTuple):
    """The operations of one library; `None` for one that it does not have.

    Attributes:
        embed_texts: Return the vectors of texts.
        embed_pictures: Return the vectors of image files.
        rank_texts: Return the indexes of texts, best first.
        rank_pictures: The same for image files.
    """

    embed_texts: Callable[[Sequence[str]], Sequence[Any]]
    embed_pictures: Callable[[Sequence[Path]], Sequence[Any]] | None = None
    rank_texts: Callable[[Sequence[str]], Sequence[int]] | None = None
    rank_pictures: Callable[[Sequence[Path]], Sequence[int]] | None = None


class RetrievalLibrary(NamedTuple):
    """A measured library: its name in the report, its environment, and what creates its calls for a host."""

    name: str
    venv: str
    connect: Callable[[str], RetrievalCalls]


_QUERY = "What was paid?"


def _connect_ours(host: str, module: str, embeddings_class: str, reranker_class: str) -> RetrievalCalls:
    import importlib

    package: Any = importlib.import_module(module)
    keywords: dict[str, Any] = {"base_url": f"{host}/compatible-mode/v1", "api_key": "sk-bench"}

    def embed(model: str) -> Callable[[Sequence[Any]], Sequence[Any]]:
        embeddings = getattr(package, embeddings_class)(model=model, dimensions=DIMENSIONS, **keywords)
        return lambda items: embeddings.embed(items)

    reranker = getattr(package, reranker_class)(model=RERANKER, **keywords)

    def rank(items: Sequence[Any]) -> list[int]:
        return [ranked.index for ranked in reranker.rerank(_QUERY, items)]

    return RetrievalCalls(embed(TEXT_MODEL), embed(MEDIA_MODEL), rank, rank)


def _connect_langchain(host: str) -> RetrievalCalls:
    return _connect_ours(host, "langchain_qwenvl", "QwenVLEmbeddings", "QwenVLReranker")


def _connect_llama_index(host: str) -> RetrievalCalls:
    return _connect_ours(host, "llama_index_qwenvl", "QwenVLEmbedding", "QwenVLRerank")


def _set_host(host: str) -> None:
    import dashscope

    dashscope.base_http_api_url = f"{host}/api/v1"


def _connect_langchain_community(host: str) -> RetrievalCalls:
    from langchain_community.document_compressors.dashscope_rerank import DashScopeRerank
    from langchain_community.embeddings.dashscope import DashScopeEmbeddings

    _set_host(host)
    embeddings = DashScopeEmbeddings(model=TEXT_MODEL)

    def rank(texts: Sequence[str]) -> list[int]:
        return [ranked["index"] for ranked in DashScopeRerank(model=RERANKER).rerank(texts, _QUERY, top_n=None)]

    return RetrievalCalls(lambda texts: embeddings.embed_documents(list(texts)), rank_texts=rank)


def _connect_llama_index_dashscope(host: str, **keywords: Any) -> RetrievalCalls:
    from llama_index.core.schema import NodeWithScore, TextNode
    from llama_index.embeddings.dashscope import DashScopeEmbedding
    from llama_index.postprocessor.dashscope_rerank import DashScopeRerank

    _set_host(host)
    embeddings = DashScopeEmbedding(model_name=TEXT_MODEL, **keywords)
    media = DashScopeEmbedding(model_name=MEDIA_MODEL, **keywords)

    def embed_pictures(files: Sequence[Path]) -> Any:
        """Embed data URIs, which the service accepts, unlike paths."""
        return media.get_image_embedding_batch(
            [f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}" for file in files]
        )

    def rank(texts: Sequence[str]) -> list[int]:
        nodes = [NodeWithScore(node=TextNode(text=text, id_=str(index))) for index, text in enumerate(texts)]
        reranker = DashScopeRerank(model=RERANKER, top_n=len(nodes))
        return [int(node.node_id) for node in reranker.postprocess_nodes(nodes, query_str=_QUERY)]

    return RetrievalCalls(lambda texts: embeddings.get_text_embedding_batch(list(texts)), embed_pictures, rank)


def _connect_llama_index_dashscope_in_tens(host: str) -> RetrievalCalls:
    return _connect_llama_index_dashscope(host, embed_batch_size=10)


RETRIEVAL_LIBRARIES = {
    library.name: library
    for library in (
        RetrievalLibrary("langchain-community", "langchain-community", _connect_langchain_community),
        RetrievalLibrary(
            "llama-index-…-dashscope, as it comes", "llama-index-dashscope", _connect_llama_index_dashscope
        ),
        RetrievalLibrary(
            "llama-index-…-dashscope, embed_batch_size=10",
            "llama-index-dashscope",
            _connect_llama_index_dashscope_in_tens,
        ),
        RetrievalLibrary("langchain_qwenvl", "ours", _connect_langchain),
        RetrievalLibrary("llama_index_qwenvl", "ours", _connect_llama_index),
    )
}

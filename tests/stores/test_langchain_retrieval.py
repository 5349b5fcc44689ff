"""Tests of page pictures in LangChain's vector stores, of cached embeddings, and of the reranker in a retriever."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.stores import InMemoryByteStore

from examples import langchain_visual
from langchain_qwenvl import QwenVLEmbeddings, QwenVLLoader, QwenVLReranker, citation
from tests.emulator import Emulator
from tests.support.scanned_pages import scan
from tests.support.vcr_config import replayed

pytestmark = pytest.mark.filterwarnings("ignore")  # of the stores' packages

_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
_REASON = "vector stores are not installed; see `make test-stores`"


def make(emulator: Emulator, **keywords: Any) -> QwenVLEmbeddings:
    return QwenVLEmbeddings(**{"api_key": "sk-test", "base_url": emulator.compat_url, "dimensions": 256, **keywords})


def load_pages(folder: Path, emulator: Emulator) -> list[Document]:
    """Load the pictures of a scan's pages, and let the emulator know what they show."""
    path = folder / "scan.pdf"
    path.write_bytes(scan(8))
    pages = QwenVLLoader(path, mode="image", image_dir=folder / "pictures").load()
    for page, word in zip(pages, _WORDS, strict=True):
        emulator.eyes.learn(Path(page.metadata["image_path"]).read_bytes(), f"page {word}")
    return pages


class FixedRetriever(BaseRetriever):
    """Find the same documents for each query."""

    documents: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return self.documents


def test_chroma_adds_pictures_and_finds_them_by_text(emulator: Emulator, tmp_path: Path) -> None:
    chroma: Any = pytest.importorskip("langchain_chroma", reason=_REASON)
    pages = load_pages(tmp_path, emulator)
    store = chroma.Chroma(embedding_function=make(emulator), persist_directory=str(tmp_path / "chroma"))
    store.add_images([page.metadata["image_path"] for page in pages], metadatas=[page.metadata for page in pages])
    (found,) = store.similarity_search("seven", k=1)
    assert {name: found.metadata[name] for name in pages[6].metadata} == pages[6].metadata
    assert str(citation(found)) == str(citation(pages[6]))
    assert len(emulator.requests) == 3  # 8 pictures, and the query
    store.add_texts(["words about tea"])
    (found,) = store.similarity_search("tea", k=1)
    assert found.page_content == "words about tea"
    (best, *_) = QwenVLReranker(api_key="sk-test", base_url=emulator.compat_url).compress_documents(
        store.similarity_search("page two", k=5), "page two"
    )
    assert best.metadata["page_number"] == 2
    assert emulator.refusals == []


def test_qdrant_keeps_pictures_and_finds_them_by_text(emulator: Emulator, tmp_path: Path) -> None:
    qdrant: Any = pytest.importorskip("langchain_qdrant", reason=_REASON)
    client_module: Any = pytest.importorskip("qdrant_client", reason=_REASON)
    pages = load_pages(tmp_path, emulator)
    embeddings = make(emulator)
    client = client_module.QdrantClient(path=str(tmp_path / "qdrant"))
    distance = client_module.models.Distance.COSINE
    client.create_collection("pages", client_module.models.VectorParams(size=256, distance=distance))
    vectors = embeddings.embed_image([page.metadata["image_path"] for page in pages])
    points = [
        client_module.models.PointStruct(
            id=number, vector=vector, payload={"page_content": page.page_content, "metadata": page.metadata}
        )
        for number, (page, vector) in enumerate(zip(pages, vectors, strict=True))
    ]
    client.upsert("pages", points)
    store = qdrant.QdrantVectorStore(client=client, collection_name="pages", embedding=embeddings)
    (found,) = store.similarity_search("five", k=1)
    assert {name: found.metadata[name] for name in pages[4].metadata} == pages[4].metadata
    client.close()


def test_cache_asks_again_for_another_identity_only(emulator: Emulator) -> None:
    embeddings: Any = pytest.importorskip("langchain_classic.embeddings", reason=_REASON)
    store = InMemoryByteStore()

    def embed(**keywords: Any) -> list[float]:
        model = make(emulator, **keywords)
        cached = embeddings.CacheBackedEmbeddings.from_bytes_store(
            model, store, namespace=model.identity, key_encoder="sha256", query_embedding_cache=True
        )
        vectors: list[list[float]] = cached.embed_documents(["a"])
        return vectors[0]

    first = embed()
    assert embed() == first
    assert len(emulator.requests) == 1
    assert len(embed(dimensions=512)) == 512
    embed(instruct="find")
    assert len(emulator.requests) == 3


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_compression_retriever_gives_the_best_pages(emulator: Emulator, is_async: bool, tmp_path: Path) -> None:
    retrievers: Any = pytest.importorskip("langchain_classic.retrievers", reason=_REASON)
    retriever = retrievers.ContextualCompressionRetriever(
        base_compressor=QwenVLReranker(api_key="sk-test", base_url=emulator.compat_url, top_n=2),
        base_retriever=FixedRetriever(documents=[*load_pages(tmp_path, emulator), Document("page five")]),
    )
    best = asyncio.run(retriever.ainvoke("page five")) if is_async else retriever.invoke("page five")
    assert [document.metadata.get("page_number") for document in best] == [5, None]
    assert [document.metadata["relevance_score"] for document in best] == [1.0, 1.0]


def test_example_with_chroma_replays_its_cassette() -> None:
    pytest.importorskip("langchain_chroma", reason=_REASON)
    with replayed("demo_langchain_visual") as cassette:
        assert "370.00" in langchain_visual.main()
    assert cassette.all_played

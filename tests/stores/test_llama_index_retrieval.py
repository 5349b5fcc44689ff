"""Tests of page pictures in LlamaIndex's vector stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.indices.multi_modal import MultiModalVectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.vector_stores import VectorStoreQuery

from llama_index_qwenvl import QwenVLEmbedding, QwenVLReader, citation
from tests.emulator import Emulator
from tests.support.scanned_pages import scan

pytestmark = pytest.mark.filterwarnings("ignore")  # of the stores' packages

_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
_REASON = "vector stores are not installed; see `make test-stores`"


def create_chroma(folder: Path) -> Any:
    module: Any = pytest.importorskip("llama_index.vector_stores.chroma", reason=_REASON)
    chromadb: Any = pytest.importorskip("chromadb", reason=_REASON)
    collection = chromadb.PersistentClient(str(folder)).get_or_create_collection("pages")
    return module.ChromaVectorStore(chroma_collection=collection)


def create_qdrant(folder: Path) -> Any:
    module: Any = pytest.importorskip("llama_index.vector_stores.qdrant", reason=_REASON)
    qdrant: Any = pytest.importorskip("qdrant_client", reason=_REASON)
    return module.QdrantVectorStore(client=qdrant.QdrantClient(path=str(folder)), collection_name="pages")


per_store = pytest.mark.parametrize("create", [create_chroma, create_qdrant])


def load_pages(folder: Path, emulator: Emulator) -> list[Any]:
    """Load the pictures of a scan's pages, and let the emulator know what they show."""
    path = folder / "scan.pdf"
    path.write_bytes(scan(8))
    pages: list[Any] = QwenVLReader(mode="image", image_dir=folder / "pictures").load_data(path)
    for page, word in zip(pages, _WORDS, strict=True):
        emulator.eyes.learn(Path(page.image_path).read_bytes(), f"page {word}")
    return pages


@per_store
def test_multi_modal_index_with_store_finds_pictures_by_text(
    create: Callable[[Path], Any], emulator: Emulator, tmp_path: Path
) -> None:
    pages = load_pages(tmp_path, emulator)
    model = QwenVLEmbedding(api_key="sk-test", base_url=emulator.compat_url, dimensions=256)
    index = MultiModalVectorStoreIndex.from_documents(
        pages, embed_model=model, image_embed_model=model, image_vector_store=create(tmp_path / "store")
    )
    (found,) = index.as_retriever(image_similarity_top_k=1).text_to_image_retrieve("seven")
    assert found.metadata == pages[6].metadata
    assert str(citation(found)) == str(citation(pages[6]))
    assert len(emulator.requests) == 3  # 8 pictures, and the query
    assert emulator.refusals == []


@per_store
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_ingestion_pipeline_stores_vectors_of_pictures(
    create: Callable[[Path], Any], is_async: bool, emulator: Emulator, tmp_path: Path
) -> None:
    pages, store = load_pages(tmp_path, emulator), create(tmp_path / "store")
    model = QwenVLEmbedding(api_key="sk-test", base_url=emulator.compat_url, dimensions=256)
    pipeline = IngestionPipeline(transformations=[SentenceSplitter(), model])  # makes image nodes
    nodes = asyncio.run(pipeline.arun(documents=pages)) if is_async else pipeline.run(documents=pages)
    store.add(list(nodes))
    query = VectorStoreQuery(query_embedding=model.get_query_embedding("five"), similarity_top_k=1)
    (found,) = store.query(query).nodes
    assert found.metadata["page_number"] == 5
    assert len(emulator.requests) == 3

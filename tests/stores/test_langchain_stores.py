"""Tests of LangChain's vector stores with the documents of `QwenVLLoader`: all take them, and give them back whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import VectorStore

from langchain_qwenvl import ChatQwenVL, QwenVLLoader, citation
from tests.emulator import Emulator
from tests.stores.scanned_document import DIMENSIONS, PAGE_COUNT, Mode, all_modes, answer_page, check_records
from tests.support.scanned_pages import scan

pytestmark = pytest.mark.filterwarnings("ignore")  # of the stores' packages

_REASON = "vector stores are not installed; see `make test-stores`"
Create = Callable[[list[Document], Any, Path], VectorStore]


def create_milvus(documents: list[Document], embedding: Any, folder: Path) -> VectorStore:
    milvus: Any = pytest.importorskip("langchain_milvus", reason=_REASON)
    pytest.importorskip("milvus_lite", reason=_REASON)
    store: VectorStore = milvus.Milvus.from_documents(
        documents,
        embedding,
        connection_args={"uri": str(folder / "milvus.db")},
        index_params={"index_type": "FLAT", "metric_type": "L2", "params": {}},
    )
    return store


def create_lancedb(documents: list[Document], embedding: Any, folder: Path) -> VectorStore:
    lancedb: Any = pytest.importorskip("lancedb", reason=_REASON)
    stores: Any = pytest.importorskip("langchain_community.vectorstores", reason=_REASON)
    store: VectorStore = stores.LanceDB.from_documents(
        documents, embedding, connection=lancedb.connect(folder), mode="append"
    )
    return store


def create_chroma(documents: list[Document], embedding: Any, folder: Path) -> VectorStore:
    chroma: Any = pytest.importorskip("langchain_chroma", reason=_REASON)
    store: VectorStore = chroma.Chroma.from_documents(documents, embedding, persist_directory=str(folder))
    return store


def create_qdrant(documents: list[Document], embedding: Any, folder: Path) -> VectorStore:
    qdrant: Any = pytest.importorskip("langchain_qdrant", reason=_REASON)
    store: VectorStore = qdrant.QdrantVectorStore.from_documents(
        documents, embedding, path=str(folder), collection_name="scans"
    )
    return store


def create_faiss(documents: list[Document], embedding: Any, folder: Path) -> VectorStore:
    pytest.importorskip("faiss", reason=_REASON)
    stores: Any = pytest.importorskip("langchain_community.vectorstores", reason=_REASON)
    stores.FAISS.from_documents(documents, embedding).save_local(str(folder))
    store: VectorStore = stores.FAISS.load_local(str(folder), embedding, allow_dangerous_deserialization=True)
    return store


@all_modes
@pytest.mark.parametrize("create", [create_milvus, create_lancedb, create_chroma, create_qdrant, create_faiss])
def test_store_gives_back_documents_and_citations(
    create: Create, mode: Mode, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.respond = answer_page
    llm = ChatQwenVL(api_key="sk-stores", base_url=emulator.compat_url)
    loader = QwenVLLoader(scan(PAGE_COUNT), llm=llm, mode=mode, output="text", image_dir=tmp_path / "images")
    documents = loader.load()
    llm.close()
    embedding = DeterministicFakeEmbedding(size=DIMENSIONS)
    store = create(documents, embedding, tmp_path)
    added = store.add_documents([documents[0].model_copy(update={"page_content": "Added later."})])
    assert len(added) == 1
    found = store.similarity_search("Tea", k=100)
    (late,) = [document for document in found if document.page_content == "Added later."]
    found.remove(late)
    check_records(
        [(document.page_content, document.metadata) for document in documents],
        [(document.page_content, document.metadata) for document in found],
        lambda text, metadata: citation(Document(text, metadata=dict(metadata))),
    )

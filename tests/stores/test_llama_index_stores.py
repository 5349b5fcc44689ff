"""Tests of LlamaIndex's vector stores and node parsers with the documents of `QwenVLReader`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.node_parser import HTMLNodeParser, SentenceSplitter
from llama_index.core.schema import Document, MetadataMode, TextNode

from llama_index_qwenvl import QwenVL, QwenVLReader, citation
from tests.emulator import Emulator
from tests.stores.scanned_document import DIMENSIONS, PAGE_COUNT, Mode, all_modes, answer_page, check_records
from tests.support.scanned_pages import scan

pytestmark = pytest.mark.filterwarnings("ignore")  # of the stores' packages

_REASON = "vector stores are not installed; see `make test-stores`"


def create_milvus(folder: Path) -> Any:
    module: Any = pytest.importorskip("llama_index.vector_stores.milvus", reason=_REASON)
    pytest.importorskip("milvus_lite", reason=_REASON)
    return module.MilvusVectorStore(
        uri=str(folder / "milvus.db"), dim=DIMENSIONS, overwrite=True, use_async_client=False
    )


def create_lancedb(folder: Path) -> Any:
    module: Any = pytest.importorskip("llama_index.vector_stores.lancedb", reason=_REASON)
    return module.LanceDBVectorStore(uri=str(folder))


def create_chroma(folder: Path) -> Any:
    module: Any = pytest.importorskip("llama_index.vector_stores.chroma", reason=_REASON)
    chromadb: Any = pytest.importorskip("chromadb", reason=_REASON)
    collection = chromadb.PersistentClient(str(folder)).get_or_create_collection("scans")
    return module.ChromaVectorStore(chroma_collection=collection)


def create_qdrant(folder: Path) -> Any:
    module: Any = pytest.importorskip("llama_index.vector_stores.qdrant", reason=_REASON)
    qdrant: Any = pytest.importorskip("qdrant_client", reason=_REASON)
    return module.QdrantVectorStore(client=qdrant.QdrantClient(path=str(folder)), collection_name="scans")


def create_faiss(folder: Path) -> Any:
    module: Any = pytest.importorskip("llama_index.vector_stores.faiss", reason=_REASON)
    faiss: Any = pytest.importorskip("faiss", reason=_REASON)
    return module.FaissVectorStore(faiss_index=faiss.IndexFlatL2(DIMENSIONS))


def load(emulator: Emulator, **options: Any) -> list[Document]:
    emulator.respond = answer_page
    llm = QwenVL(api_key="sk-stores", base_url=emulator.compat_url)
    documents = QwenVLReader(llm=llm, **options).load_data(scan(PAGE_COUNT))
    llm.close()
    return documents


@all_modes
@pytest.mark.parametrize("has_splitter", [True, False])
@pytest.mark.parametrize("create", [create_milvus, create_lancedb, create_chroma, create_qdrant, create_faiss])
def test_store_gives_back_documents_and_citations(
    create: Callable[[Path], Any], has_splitter: bool, mode: Mode, emulator: Emulator, tmp_path: Path
) -> None:
    store = create(tmp_path)
    documents = load(emulator, mode=mode, output="text", image_dir=tmp_path / "images")
    index = VectorStoreIndex(
        SentenceSplitter()(documents) if has_splitter else documents,
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=MockEmbedding(embed_dim=DIMENSIONS),
    )
    later = TextNode(text="Added later.", metadata=documents[0].metadata)
    index.insert_nodes([later])
    nodes = [result.node for result in index.as_retriever(similarity_top_k=100).retrieve("Tea")]
    found = [(node.get_content(MetadataMode.NONE), node.metadata) for node in nodes]
    assert [text for text, _ in found].count("Added later.") == 1
    check_records(
        [(document.text, document.metadata) for document in documents],
        [(text, metadata) for text, metadata in found if text != "Added later."],
        lambda text, metadata: citation(Document(text=text.strip(), metadata=dict(metadata))),
    )


@pytest.mark.parametrize("mode", ["page", "element", "chunk"])
def test_html_node_parser_finds_all_elements(mode: Mode, emulator: Emulator) -> None:
    pytest.importorskip("bs4", reason="BeautifulSoup is not installed; see `make test-stores`")
    documents = load(emulator, mode=mode, pages="2")
    nodes = HTMLNodeParser().get_nodes_from_documents(documents)
    text = " ".join(" ".join(node.get_content(MetadataMode.NONE).split()) for node in nodes)
    assert text == "Title 2 Words of page 2. Item Price Tea 2.50"
    assert {citation(node).page for node in nodes} == {2}

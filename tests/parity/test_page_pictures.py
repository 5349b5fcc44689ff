"""Load page pictures without a model (`mode="image"`) in both frameworks."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents.base import Blob
from llama_index.core import SimpleDirectoryReader
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import ImageDocument, ImageNode
from PIL import Image

import langchain_qwenvl
import llama_index_qwenvl
from langchain_qwenvl import ChatQwenVL, QwenVLLoader, QwenVLParser
from llama_index_qwenvl import QwenVLReader
from qwenvl_core.errors import QwenVLPageError
from tests.support.scanned_pages import scan, width_of

per_mode = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture(autouse=True)
def unset_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the key: pictures need none."""
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)


def load_langchain(file: Any, *, is_async: bool = False, **options: Any) -> list[Any]:
    loader = QwenVLLoader(file, mode="image", **options)
    return asyncio.run(loader.aload()) if is_async else loader.load()


def load_llama_index(file: Any, *, is_async: bool = False, **options: Any) -> list[Any]:
    reader = QwenVLReader(mode="image", **options)
    return asyncio.run(reader.aload_data(file)) if is_async else reader.load_data(file)


LOAD = (load_langchain, load_llama_index)
per_framework = pytest.mark.parametrize("load", LOAD, ids=["langchain", "llama_index"])


@per_framework
@per_mode
def test_image_mode_without_key_gives_one_picture_a_page(load: Any, is_async: bool, tmp_path: Path) -> None:
    documents = load(scan(4), is_async=is_async, image_dir=tmp_path / "pictures", pages="2-4", max_concurrency=2)
    assert [document.metadata["page_number"] for document in documents] == [2, 3, 4]
    assert {document.metadata["total_pages"] for document in documents} == {4}
    for document in documents:
        with Image.open(document.metadata["image_path"]) as picture:
            size = (document.metadata["page_width"], document.metadata["page_height"])
            assert picture.size == size == (width_of(document.metadata["page_number"]), 320)
    assert len({document.metadata["image_path"] for document in documents}) == 3


def test_reader_in_image_mode_gives_image_documents_that_become_image_nodes(tmp_path: Path) -> None:
    documents = load_llama_index(scan(2), image_dir=tmp_path)
    assert all(isinstance(document, ImageDocument) for document in documents)
    assert [document.image_path for document in documents] == [
        document.metadata["image_path"] for document in documents
    ]
    nodes = SentenceSplitter()(documents)
    assert all(isinstance(node, ImageNode) for node in nodes)
    assert [node.metadata for node in nodes] == [document.metadata for document in documents]
    again = load_llama_index(scan(2), image_dir=tmp_path)
    assert [(document.id_, document.hash) for document in again] == [
        (document.id_, document.hash) for document in documents
    ]


@per_framework
def test_image_mode_sizes_pictures_by_dpi_and_model(load: Any, tmp_path: Path) -> None:
    half = load(scan(1, height=640), image_dir=tmp_path, dpi=100)[0].metadata
    assert (half["page_width"], half["page_height"]) == (192, 320)  # 176 at 100 DPI, in steps of 32


def test_image_mode_with_model_uses_its_input_size(tmp_path: Path) -> None:
    llm = ChatQwenVL(model="qwen-vl-ocr-2025-04-13").bind(temperature=0.1)
    (document,) = load_langchain(scan(1), image_dir=tmp_path, llm=llm)
    assert document.metadata["page_width"] % 28 == 0


@per_framework
def test_image_mode_without_folder_raises_before_reading(load: Any) -> None:
    with pytest.raises(ValueError, match="Missing image_dir"):
        load("missing.pdf")


@per_framework
@per_mode
def test_image_mode_with_unwritable_picture_raises_with_its_page(
    load: Any, is_async: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qwenvl_core.documents.transcription.export_images", fail)
    with pytest.raises(QwenVLPageError, match=r"page 1: .*No space left") as caught:
        load(scan(2), is_async=is_async, image_dir=tmp_path)
    assert caught.value.page_number == 1
    assert load(scan(2), is_async=is_async, image_dir=tmp_path, on_error="skip") == []


def test_image_mode_counts_pages_and_writes_no_cache(tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    loader = QwenVLLoader(
        scan(2),
        mode="image",
        image_dir=tmp_path / "pictures",
        cache_dir=tmp_path / "cache",
        progress=lambda done, total, usage: reports.append((done, total)),
    )
    loader.load()
    assert reports == [(1, 2), (2, 2)]
    assert (loader.usage.pages, loader.usage.total_tokens, loader.failures) == (2, 0, [])
    assert not (tmp_path / "cache").exists()


def test_parser_and_directory_reader_give_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(scan(2))
    parser = pickle.loads(pickle.dumps(QwenVLParser(mode="image", image_dir=tmp_path / "pictures")))
    parsed = parser.parse(Blob.from_path(folder / "a.pdf"))
    reader = QwenVLReader.from_dict(QwenVLReader(mode="image", image_dir=str(tmp_path / "pictures")).to_dict())
    read = SimpleDirectoryReader(folder, file_extractor={".pdf": reader}).load_data()
    assert [document.metadata["image_path"] for document in parsed] == [
        document.metadata["image_path"] for document in read
    ]


@pytest.mark.parametrize(
    ("load", "module"),
    [(load_langchain, langchain_qwenvl), (load_llama_index, llama_index_qwenvl)],
    ids=["langchain", "llama_index"],
)
def test_citation_of_picture_names_page_and_draws_it(load: Any, module: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(scan(2))
    document = load(path, image_dir=tmp_path)[1]
    assert str(module.citation(document)) == f"{path}, page 2"
    assert module.highlight(document, path).size == (width_of(2), 320)

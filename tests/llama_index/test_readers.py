"""Tests of `QwenVLReader` against the emulator, in LlamaIndex's pipelines, and of PDFs in chat messages."""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import json
import os
import pickle
import random
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar
from uuid import UUID

import pytest
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from llama_index.core import SimpleDirectoryReader
from llama_index.core.base.llms.types import ChatMessage, DocumentBlock, TextBlock
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionCache, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document, MetadataMode, NodeWithScore
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.utils import node_to_metadata_dict

import llama_index_qwenvl
from llama_index_qwenvl import QwenVL, QwenVLReader, citation, highlight
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.errors import QwenVLInputError, QwenVLPageError
from tests.emulator import Emulator, Fault, RecordedRequest, Reply
from tests.llama_index.conftest import KEY
from tests.support.paths import SCANS
from tests.support.scanned_pages import answer, html, page_in, scan, size_in, width_of

CallMode = Literal["sync", "async"]
both_call_modes = pytest.mark.parametrize("call_mode", ["sync", "async"])
T = TypeVar("T")


@pytest.fixture(autouse=True)
def transcribe_pages(emulator: Emulator) -> None:
    emulator.respond = answer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a scan.pdf"
    path.write_bytes(scan(3))
    return path


def load(reader: QwenVLReader, file: Any, call_mode: CallMode, **arguments: Any) -> list[Document]:
    if call_mode == "sync":
        return reader.load_data(file, **arguments)
    assert reader.llm
    return run(reader.aload_data(file, **arguments), reader.llm)


def run(coroutine: Coroutine[Any, Any, T], llm: QwenVL) -> T:
    """Run a coroutine in a new event loop, and close the connections that were opened in it."""

    async def run_and_close() -> T:
        try:
            return await coroutine
        finally:
            await llm.aclose()

    return asyncio.run(run_and_close())


def page_numbers(documents: list[Document]) -> list[int]:
    return [document.metadata["page_number"] for document in documents]


# --- Class and keywords ---


def test_reader_subclasses_reader_of_llama_index() -> None:
    assert issubclass(QwenVLReader, BasePydanticReader)
    assert QwenVLReader.class_name() == "QwenVLReader"
    assert QwenVLReader().is_remote
    with pytest.raises(AttributeError, match="QwenVLLoader"):
        _ = llama_index_qwenvl.QwenVLLoader


def test_fields_equal_loader_options_in_name_type_and_default() -> None:
    options = inspect.signature(LoaderOptions).parameters
    fields = QwenVLReader.model_fields
    assert [name for name in fields if name in options] == list(options)
    assert {name: fields[name].default for name in options} == {name: options[name].default for name in options}
    assert {name: QwenVLReader.__annotations__[name] for name in options} == {
        name: options[name].annotation for name in options
    }
    assert set(fields) - set(options) == {"llm", "is_remote"}


@pytest.mark.parametrize(
    "keywords", [{"mode": "pages"}, {"pages": "x"}, {"max_concurrency": 0}, {"llm": 5}, {"page": "1"}]
)
def test_unknown_keywords_and_invalid_values_raise_in_constructor(keywords: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(keywords))):
        QwenVLReader(**keywords)


def test_reader_round_trips_through_dict_without_secrets(llm: QwenVL) -> None:
    reader = QwenVLReader(llm=llm, mode="chunk", password="secret", progress=print)
    data = reader.to_dict()
    assert "secret" not in str(data)
    assert KEY not in str(data)
    json.dumps(data)
    restored = QwenVLReader.from_dict(data)
    assert (restored.mode, restored.llm and restored.llm.base_url) == ("chunk", llm.base_url)
    assert QwenVLReader.model_validate(data).mode == "chunk"


# --- Pages and requests ---


@both_call_modes
def test_page_mode_returns_one_document_per_page(
    call_mode: CallMode, file: Path, llm: QwenVL, emulator: Emulator
) -> None:
    reader = QwenVLReader(llm=llm)
    documents = load(reader, file, call_mode)
    assert documents[1].text.startswith('<h2>Title 2</h2>\n<p class="text">Words of page 2.</p>')
    assert [document.metadata["page_label"] for document in documents] == ["1", "2", "3"]
    assert documents[1].metadata == {
        "file_name": "a scan.pdf", "file_path": str(file), "page_label": "2", "page_number": 2, "total_pages": 3,
        "page_width": width_of(2), "page_height": 320, "model": "qwen3-vl-plus", "finish_reason": "stop",
        "truncated": False, "warnings": "",
    }  # fmt: skip
    assert (reader.usage.input_tokens, reader.usage.image_tokens, reader.failures) == (300, 270, [])
    assert not emulator.refusals


@both_call_modes
def test_request_has_page_image_and_prompt(call_mode: CallMode, file: Path, llm: QwenVL, emulator: Emulator) -> None:
    load(QwenVLReader(llm=llm, pages="2", output="markdown"), file, call_mode)
    (request,) = emulator.requests
    (message,) = request.json["messages"]
    image, text = message["content"]
    assert text == {"type": "text", "text": "qwenvl markdown"}
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert size_in(request) == (width_of(2), 320)


@pytest.mark.skipif(not SCANS.is_dir(), reason="the real scans are not here")
def test_real_scans_are_sent_at_exact_sizes(llm: QwenVL, emulator: Emulator) -> None:
    emulator.respond = None
    QwenVLReader(llm=llm, max_concurrency=1).load_data(SCANS / "multipage.pdf")
    sizes = [(1024, 1312), (1600, 1600), (1984, 832), (1984, 832), (1408, 1824), (1824, 1408)]
    assert [size_in(request) for request in emulator.requests] == sizes


@both_call_modes
def test_documents_with_random_delays_are_in_page_order(call_mode: CallMode, llm: QwenVL, emulator: Emulator) -> None:
    delays = random.Random(3)
    emulator.respond = lambda request: Reply(text=["", html(page_in(request))], delay=delays.uniform(0, 0.03))
    documents = load(QwenVLReader(llm=llm, max_concurrency=6), scan(16), call_mode)
    assert page_numbers(documents) == list(range(1, 17))
    assert all(f"Title {number}<" in document.text for number, document in enumerate(documents, 1))


@both_call_modes
@pytest.mark.parametrize("enable_thinking", [True, False])
def test_enable_thinking_of_model_is_sent(
    call_mode: CallMode, enable_thinking: bool, make: Callable[..., QwenVL], emulator: Emulator
) -> None:
    reader = QwenVLReader(llm=make(enable_thinking=enable_thinking, model="qwen3-vl-flash"), high_resolution=True)
    load(reader, scan(1), call_mode)
    (request,) = emulator.requests
    assert request.json["enable_thinking"] is enable_thinking
    assert request.json["model"] == "qwen3-vl-flash"
    assert request.json["vl_high_resolution_images"] is True


def test_lazy_load_data_sends_requests_when_iterated(file: Path, llm: QwenVL, emulator: Emulator) -> None:
    lazy = iter(QwenVLReader(llm=llm, max_concurrency=1).lazy_load_data(file))
    assert emulator.requests == []
    assert next(lazy).metadata["page_number"] == 1
    assert len(emulator.requests) == 1
    assert page_numbers(list(run(QwenVLReader(llm=llm).alazy_load_data(file), llm))) == [1, 2, 3]


# --- Failures and the cache ---


def fail_at(number: int) -> Callable[[RecordedRequest], Reply | Fault]:
    def respond(request: RecordedRequest) -> Reply | Fault:
        if page_in(request) == number:
            return Fault(status=400, code="invalid_parameter_error", message="No.")
        return answer(request)

    return respond


@both_call_modes
def test_failed_page_raises_after_documents_of_earlier_pages(
    call_mode: CallMode, llm: QwenVL, emulator: Emulator
) -> None:
    emulator.respond = fail_at(3)
    reader = QwenVLReader(llm=llm)
    with pytest.raises(QwenVLPageError, match="page 3") as caught:
        load(reader, scan(5), call_mode)
    assert (caught.value.page_number, caught.value.status_code) == (3, 400)
    assert reader.usage.pages == 2
    lazy = reader.lazy_load_data(scan(5))
    assert [document.metadata["page_number"] for _, document in zip(range(2), lazy, strict=False)] == [1, 2]


@both_call_modes
def test_failed_page_with_on_error_skip_is_skipped(call_mode: CallMode, llm: QwenVL, emulator: Emulator) -> None:
    emulator.respond = fail_at(3)
    reader = QwenVLReader(llm=llm, on_error="skip")
    assert page_numbers(load(reader, scan(5), call_mode)) == [1, 2, 4, 5]
    assert [number for number, _ in reader.failures] == [3]


@both_call_modes
def test_run_after_failed_page_requests_only_missing_pages(
    call_mode: CallMode, llm: QwenVL, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.respond = fail_at(4)
    reader = QwenVLReader(llm=llm, cache_dir=tmp_path)
    with pytest.raises(QwenVLPageError):
        load(reader, scan(9), call_mode)
    transcribed = [page_in(request) for request in emulator.requests if page_in(request) != 4]
    emulator.reset()
    emulator.respond = answer
    assert page_numbers(load(reader, scan(9), call_mode)) == list(range(1, 10))
    assert sorted(transcribed + [page_in(request) for request in emulator.requests]) == list(range(1, 10))


def test_cache_is_shared_by_both_frameworks(make: Callable[..., QwenVL], emulator: Emulator, tmp_path: Path) -> None:
    langchain = pytest.importorskip("langchain_qwenvl")
    QwenVLReader(llm=make(), cache_dir=tmp_path).load_data(scan(2))
    emulator.reset()
    llm = langchain.ChatQwenVL(base_url=emulator.compat_url, api_key="sk-other")
    loader = langchain.QwenVLLoader(scan(2), llm=llm, cache_dir=tmp_path)
    assert len(loader.load()) == 2
    assert loader.usage.output_tokens == 20
    assert emulator.requests == []
    llm.close()


# --- Directories, processes, file systems ---


def test_reader_in_simple_directory_reader(llm: QwenVL, tmp_path: Path) -> None:
    for name, count in (("a", 2), ("b", 1)):
        (tmp_path / f"{name}.pdf").write_bytes(scan(count))
    (tmp_path / "c.tiff").write_bytes(scan(2, "TIFF"))
    reader = QwenVLReader(llm=llm, output="text")
    directory = SimpleDirectoryReader(
        str(tmp_path), file_extractor={".pdf": reader, ".tiff": reader}, filename_as_id=True, raise_on_error=True
    )
    documents = directory.load_data()
    assert [(document.metadata["file_name"], document.metadata["page_number"]) for document in documents] == [
        ("a.pdf", 1), ("a.pdf", 2), ("b.pdf", 1), ("c.tiff", 1), ("c.tiff", 2),
    ]  # fmt: skip
    assert documents[1].metadata["file_type"] == "application/pdf"
    assert documents[1].id_.endswith("a.pdf_part_1")
    assert len(run(directory.aload_data(), llm)) == 5


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="LlamaIndex warns of more workers than processors")
def test_reader_in_several_processes(
    llm: QwenVL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)  # else its host gets no key of the environment
    for name in "abc":
        (tmp_path / f"{name}.pdf").write_bytes(scan(2))
    directory = SimpleDirectoryReader(
        str(tmp_path), file_extractor={".pdf": QwenVLReader(llm=llm, mode="chunk")}, raise_on_error=True
    )
    documents = directory.load_data(num_workers=2)
    assert [document.metadata["file_name"] for document in documents] == ["a.pdf"] * 2 + ["b.pdf"] * 2 + ["c.pdf"] * 2


def test_pickled_reader_works_and_holds_no_key(
    llm: QwenVL, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)  # else its host gets no key of the environment
    reader = QwenVLReader(llm=llm, mode="element")
    first = reader.load_data(scan(2))
    data = pickle.dumps(reader)
    assert KEY.encode() not in data
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    unpickled: QwenVLReader = pickle.loads(data)
    assert unpickled.usage.pages == 0
    assert [document.text for document in unpickled.load_data(scan(2))] == [document.text for document in first]
    assert unpickled.llm
    unpickled.llm.close()


@pytest.mark.parametrize("form", ["path", "str", "PurePath", "bytes", "memory fs", "local fs"])
def test_reader_accepts_paths_bytes_and_file_systems(form: str, file: Path, llm: QwenVL) -> None:
    memory = MemoryFileSystem()
    memory.pipe("/scans/a scan.pdf", scan(3))
    arguments: dict[str, dict[str, Any]] = {
        "path": {"file": file},
        "str": {"file": str(file)},
        "PurePath": {"file": PurePosixPath(file)},
        "bytes": {"file": scan(3)},
        "memory fs": {"file": PurePosixPath("/scans/a scan.pdf"), "fs": memory},
        "local fs": {"file": file, "fs": LocalFileSystem()},
    }
    documents = QwenVLReader(llm=llm, pages="1").load_data(
        **arguments[form], extra_info={"owner": "me", "page_number": 99}
    )
    (document,) = documents
    assert (document.metadata["owner"], document.metadata["page_number"]) == ("me", 1)
    if form != "bytes":
        assert document.metadata["file_name"] == "a scan.pdf"


# --- Pipelines, stores, citations ---


@pytest.mark.parametrize("mode", ["page", "element", "chunk", "single"])
def test_stores_and_splitters_accept_documents(mode: Any, file: Path, llm: QwenVL) -> None:
    documents = QwenVLReader(llm=llm, mode=mode, output="text").load_data(file)
    for document in documents:
        assert node_to_metadata_dict(document, flat_metadata=True)
        for metadata_mode in (MetadataMode.EMBED, MetadataMode.LLM):
            assert set(document.get_metadata_str(metadata_mode).split("\n")) <= {
                "file_name: a scan.pdf", *(f"page_label: {number}" for number in (1, 2, 3)),
            }  # fmt: skip
    nodes = SentenceSplitter(chunk_size=64, chunk_overlap=0).get_nodes_from_documents(documents)
    assert len(nodes) >= len(documents)
    assert citation(nodes[-1]).source == str(file)


def test_ingestion_cache_distinguishes_pages_with_equal_text(file: Path, llm: QwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(text="The same on every page.")
    documents = QwenVLReader(llm=llm).load_data(file)
    pipeline = IngestionPipeline(transformations=[SentenceSplitter()], cache=IngestionCache())
    for _ in range(2):
        nodes = [node for document in documents for node in pipeline.run(documents=[document])]
        assert [node.metadata["page_number"] for node in nodes] == [1, 2, 3]


@pytest.mark.parametrize("mode", ["page", "element", "chunk", "single"])
def test_ingestion_of_unchanged_file_changes_nothing(mode: Any, file: Path, llm: QwenVL, emulator: Emulator) -> None:
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), MockEmbedding(embed_dim=4)],
        docstore=SimpleDocumentStore(),
        vector_store=SimpleVectorStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
        disable_cache=True,
    )
    counts = []
    for input_tokens in (100, 77):
        emulator.respond = lambda request, count=input_tokens: Reply(
            text=html(page_in(request)), usage={"prompt": count, "completion": count, "image": 9}
        )
        documents = QwenVLReader(llm=llm, mode=mode).load_data(file)
        counts.append(len(pipeline.run(documents=documents)))
    assert counts[0] >= len(documents)
    assert counts[1] == 0
    emulator.respond = lambda request: Reply(text=html(page_in(request) + (page_in(request) == 2)))
    changed = pipeline.run(documents=QwenVLReader(llm=llm, mode=mode).load_data(file))
    assert {node.metadata.get("page_number", 2) for node in changed} == {2}


def test_ids_of_documents_distinguish_files_modes_prompts_and_places(file: Path, llm: QwenVL) -> None:
    loads: list[tuple[dict[str, Any], Any]] = [
        ({}, file), ({"mode": "element"}, file), ({"mode": "chunk", "chunk_size": 1}, file),
        ({"prompt": "Who signed?"}, file), ({}, scan(3)), ({}, scan(2)), ({}, named_stream(2)), ({}, named_stream(1)),
    ]  # fmt: skip
    ids = [
        [document.id_ for document in QwenVLReader(llm=llm, **options).load_data(document)]
        for options, document in loads
    ]
    assert ids[0] == [document.id_ for document in QwenVLReader(llm=llm).load_data(str(file))]
    assert ids[5] == ids[6], "the same bytes"
    del ids[6]
    assert len({id_ for group in ids for id_ in group}) == sum(map(len, ids))
    assert all(str(UUID(id_)) == id_ for id_ in ids[0]), "Qdrant takes only UUIDs"


def named_stream(pages: int) -> io.BytesIO:
    stream = io.BytesIO(scan(pages))
    stream.name = "upload.pdf"
    return stream


def test_bytes_and_streams_have_the_metadata_of_files(file: Path, llm: QwenVL) -> None:
    of_path, of_bytes, of_stream = (
        QwenVLReader(llm=llm, pages="1").load_data(document)[0].metadata
        for document in (file, scan(3), named_stream(3))
    )
    assert list(of_path) == list(of_bytes) == list(of_stream)
    assert (of_bytes["file_path"], of_stream["file_path"], of_stream["file_name"]) == ("", "", "upload.pdf")


def test_citation_and_highlight_of_chunk(file: Path, llm: QwenVL) -> None:
    document = QwenVLReader(llm=llm, mode="chunk", output="text").load_data(file)[1]
    cited = citation(document)
    assert (cited.source, cited.page, len(cited.boxes)) == (str(file), 2, 3)
    assert cited.text == document.text
    assert citation(NodeWithScore(node=document, score=1.0)) == cited
    assert highlight(document, file).tobytes() == highlight(cited, scan(3)).tobytes()
    assert highlight(document, file).size == (width_of(2), 320)


# --- PDFs in chat messages ---


@both_call_modes
@pytest.mark.parametrize("form", ["data", "path", "url"])
def test_pdf_block_is_sent_as_page_images(
    call_mode: CallMode, form: str, file: Path, llm: QwenVL, emulator: Emulator
) -> None:
    emulator.respond = None
    block = {
        "data": DocumentBlock(data=scan(3)),
        "path": DocumentBlock(path=file),
        "url": DocumentBlock(url=f"data:application/pdf;base64,{base64.b64encode(scan(3)).decode()}"),
    }[form]
    message = ChatMessage(role="user", blocks=[block, TextBlock(text="What is it?")])
    restored = ChatMessage.model_validate_json(message.model_dump_json())
    for sent in (message, restored):
        llm.chat([sent]) if call_mode == "sync" else run(llm.achat([sent]), llm)
    for request in emulator.requests:
        content = request.json["messages"][0]["content"]
        assert [part["type"] for part in content] == ["image_url", "image_url", "image_url", "text"]
    assert not emulator.refusals


def test_pdf_in_tool_result_is_sent_as_page_images(llm: QwenVL, emulator: Emulator) -> None:
    emulator.respond = None
    call = {"id": "call_1", "type": "function", "function": {"name": "fetch", "arguments": "{}"}}
    llm.chat(
        [
            ChatMessage(role="user", content="Fetch it."),
            ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [call]}),
            ChatMessage(
                role="tool", blocks=[DocumentBlock(data=scan(2))], additional_kwargs={"tool_call_id": "call_1"}
            ),
        ]
    )
    *_, tool, media = emulator.requests[0].json["messages"]
    assert tool["role"] == "tool"
    assert (media["role"], [part["type"] for part in media["content"]]) == ("user", ["image_url", "image_url"])


def test_pdf_block_without_pypdfium2_raises_error_that_names_extra(
    llm: QwenVL, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.startswith("qwenvl_core.rendering.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(QwenVLInputError, match=r"blocks\[0\].*qwenvl-adapters\[documents\]"):
        llm.chat([ChatMessage(role="user", blocks=[DocumentBlock(data=scan(1))])])
    assert emulator.requests == []

"""Tests of `QwenVLLoader` and `QwenVLParser` against the emulator, and of PDFs in chat messages."""

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
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy
import pytest
from langchain_core.document_loaders import BaseBlobParser, BaseLoader
from langchain_core.documents import Document
from langchain_core.documents.base import Blob
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.vectorstores import InMemoryVectorStore
from PIL import Image

import langchain_qwenvl
from langchain_qwenvl import ChatQwenVL, QwenVLLoader, QwenVLParser, citation, highlight
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.errors import QwenVLInputError, QwenVLPageError
from tests.emulator import Emulator, Fault, RecordedRequest, Reply
from tests.langchain.conftest import KEY
from tests.support.paths import SCANS
from tests.support.scanned_pages import answer, html, image_in, page_in, scan, size_in, width_of

CallMode = Literal["sync", "async"]
both_call_modes = pytest.mark.parametrize("call_mode", ["sync", "async"])
Make = Callable[..., ChatQwenVL]
T = TypeVar("T")


@pytest.fixture(autouse=True)
def transcribe_pages(emulator: Emulator) -> None:
    emulator.respond = answer


def load(loader: QwenVLLoader, call_mode: CallMode, llm: ChatQwenVL) -> list[Document]:
    return loader.load() if call_mode == "sync" else run(loader.aload(), llm)


def run(coroutine: Coroutine[Any, Any, T], llm: ChatQwenVL) -> T:
    """Run a coroutine in a new event loop, and close the connections that were opened in it."""

    async def run_and_close() -> T:
        try:
            return await coroutine
        finally:
            await llm.aclose()

    return asyncio.run(run_and_close())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a scan.pdf"
    path.write_bytes(scan(3))
    return path


# --- Classes and keywords ---


def test_loader_and_parser_subclass_classes_of_langchain() -> None:
    assert issubclass(QwenVLLoader, BaseLoader)
    assert issubclass(QwenVLParser, BaseBlobParser)
    assert set(langchain_qwenvl.__all__) <= {*dir(langchain_qwenvl), *dir(langchain_qwenvl.document_loaders)}
    with pytest.raises(AttributeError, match="QwenVLReader"):
        _ = langchain_qwenvl.QwenVLReader


@pytest.mark.parametrize("cls", [QwenVLLoader, QwenVLParser])
def test_keywords_equal_loader_options_in_name_type_and_default(cls: Callable[..., Any]) -> None:
    keywords = inspect.signature(cls).parameters
    options = inspect.signature(LoaderOptions).parameters
    assert [name for name in keywords if name in options] == list(options)
    assert {name: keywords[name].default for name in options} == {name: options[name].default for name in options}
    assert {name: keywords[name].annotation for name in options} == {name: options[name].annotation for name in options}
    assert set(keywords) - set(options) <= {"file", "llm"}


def test_unknown_keywords_and_invalid_values_raise_in_constructor() -> None:
    with pytest.raises(TypeError, match="modus"):
        QwenVLLoader("none.pdf", modus="page")  # type: ignore[call-arg]
    with pytest.raises(QwenVLInputError, match="mode"):
        QwenVLLoader("none.pdf", mode="pages")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ChatQwenVL"):
        QwenVLLoader("none.pdf", llm=object())  # type: ignore[arg-type]


# --- Pages and requests ---


@both_call_modes
def test_page_mode_returns_one_document_per_page(
    call_mode: CallMode, file: Path, llm: ChatQwenVL, emulator: Emulator
) -> None:
    loader = QwenVLLoader(file, llm=llm)
    documents = load(loader, call_mode, llm)
    assert [document.metadata["page_number"] for document in documents] == [1, 2, 3]
    assert documents[1].page_content.startswith('<h2>Title 2</h2>\n<p class="text">Words of page 2.</p>')
    assert documents[1].metadata == {
        "source": str(file), "page": 1, "page_label": "2", "page_number": 2, "total_pages": 3,
        "page_width": width_of(2), "page_height": 320, "model": "qwen3-vl-plus", "finish_reason": "stop",
        "truncated": False, "warnings": "",
    }  # fmt: skip
    assert loader.failures == []
    assert (loader.usage.input_tokens, loader.usage.output_tokens, loader.usage.image_tokens) == (300, 30, 270)
    assert loader.usage["reasoning_tokens"] > 0
    assert not emulator.refusals


@both_call_modes
def test_request_has_page_image_and_prompt(
    call_mode: CallMode, file: Path, llm: ChatQwenVL, emulator: Emulator
) -> None:
    load(QwenVLLoader(file, llm=llm, pages="2"), call_mode, llm)
    (request,) = emulator.requests
    (message,) = request.json["messages"]
    image, text = message["content"]
    assert text == {"type": "text", "text": "qwenvl html"}
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert size_in(request) == (width_of(2), 320)
    assert "vl_high_resolution_images" not in request.json


@pytest.mark.skipif(not SCANS.is_dir(), reason="the real scans are not here")
def test_real_scans_are_sent_at_exact_sizes(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = None
    QwenVLLoader(SCANS / "multipage.pdf", llm=llm, max_concurrency=1).load()
    sizes = [(1024, 1312), (1600, 1600), (1984, 832), (1984, 832), (1408, 1824), (1824, 1408)]
    assert [size_in(request) for request in emulator.requests] == sizes


@both_call_modes
def test_documents_with_random_delays_are_in_page_order(
    call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator
) -> None:
    delays = random.Random(3)

    def respond_slowly(request: RecordedRequest) -> Reply:
        number = page_in(request)
        return Reply(text=[html(number)[:9], html(number)[9:]], delay=delays.uniform(0, 0.03))

    emulator.respond = respond_slowly
    documents = load(QwenVLLoader(scan(16), llm=llm, max_concurrency=6), call_mode, llm)
    assert [document.metadata["page"] for document in documents] == list(range(16))
    assert all(f"Title {number}<" in document.page_content for number, document in enumerate(documents, 1))


# --- Settings of the model ---


@both_call_modes
@pytest.mark.parametrize("enable_thinking", [True, False])
def test_enable_thinking_of_model_is_sent(
    call_mode: CallMode, enable_thinking: bool, make: Make, emulator: Emulator
) -> None:
    llm = make(enable_thinking=enable_thinking, temperature=0.0)
    load(QwenVLLoader(scan(1), llm=llm), call_mode, llm)
    (request,) = emulator.requests
    assert request.json["enable_thinking"] is enable_thinking
    assert request.json["temperature"] == 0.0


def test_keywords_bound_to_model_are_sent(make: Make, emulator: Emulator) -> None:
    llm = make().bind(model="qwen2.5-vl-72b-instruct", seed=7).with_retry().with_config(tags=["a"])
    (document, *_) = QwenVLLoader(scan(1), llm=llm, mode="element").load()
    (request,) = emulator.requests
    assert (request.json["model"], request.json["seed"]) == ("qwen2.5-vl-72b-instruct", 7)
    assert size_in(request) == (364, 308)  # multiples of 28 pixels
    x0 = json.loads(document.metadata["bbox"])[0]
    assert x0 == pytest.approx(100 / 364, abs=1e-4), "boxes of this model are in pixels"


def test_high_resolution_is_sent_and_enlarges_page(llm: ChatQwenVL, emulator: Emulator) -> None:
    QwenVLLoader(scan(1, height=9600), llm=llm, high_resolution=True).load()
    (request,) = emulator.requests
    assert request.json["vl_high_resolution_images"] is True
    assert size_in(request) == (width_of(1), 9600)


def test_llm_omitted_uses_default_model(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)
    loader = QwenVLLoader(scan(1))
    assert len(loader.load()) == 1
    assert emulator.requests[0].json["enable_thinking"] is True
    transcriber: Any = loader._parser._transcriber
    transcriber._llm.close()


def test_native_api_transcribes_pages(make: Make, emulator: Emulator) -> None:
    pytest.importorskip("dashscope")
    loader = QwenVLLoader(scan(2), llm=make(api="dashscope", base_url=emulator.native_url))
    assert [document.metadata["page"] for document in loader.load()] == [0, 1]


def test_usage_callback_counts_each_page(llm: ChatQwenVL) -> None:
    from langchain_core.callbacks import get_usage_metadata_callback

    with get_usage_metadata_callback() as callback:
        QwenVLLoader(scan(3), llm=llm).load()
    assert callback.usage_metadata["qwen3-vl-plus"]["input_tokens"] == 300


# --- Failures and the cache ---


def fail_at(number: int) -> Callable[[RecordedRequest], Reply | Fault]:
    def respond(request: RecordedRequest) -> Reply | Fault:
        if page_in(request) == number:
            return Fault(status=400, code="invalid_parameter_error", message="No.")
        return answer(request)

    return respond


@both_call_modes
def test_failed_page_raises_after_documents_of_earlier_pages(
    call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator
) -> None:
    emulator.respond = fail_at(3)
    loader = QwenVLLoader(scan(5), llm=llm)
    documents: list[Document] = []

    async def collect() -> None:
        async for document in loader.alazy_load():
            documents.append(document)  # noqa: PERF401  # keeps what comes before the error

    with pytest.raises(QwenVLPageError, match="page 3") as caught:  # noqa: PT012
        if call_mode == "async":
            run(collect(), llm)
        for document in loader.lazy_load():
            documents.append(document)  # noqa: PERF402
    assert [document.metadata["page_number"] for document in documents] == [1, 2]
    assert (caught.value.page_number, caught.value.status_code) == (3, 400)
    assert caught.value.__cause__ is loader.failures[0][1]


@both_call_modes
def test_failed_page_with_on_error_skip_is_skipped(call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = fail_at(3)
    loader = QwenVLLoader(scan(5), llm=llm, on_error="skip")
    assert [document.metadata["page_number"] for document in load(loader, call_mode, llm)] == [1, 2, 4, 5]
    assert [number for number, _ in loader.failures] == [3]
    assert loader.usage.pages == 4


@both_call_modes
def test_run_after_failed_page_requests_only_missing_pages(
    call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.respond = fail_at(4)
    with pytest.raises(QwenVLPageError):
        load(QwenVLLoader(scan(9), llm=llm, cache_dir=tmp_path), call_mode, llm)
    transcribed = [page_in(request) for request in emulator.requests if page_in(request) != 4]
    emulator.reset()
    emulator.respond = answer
    loader = QwenVLLoader(scan(9), llm=llm, cache_dir=tmp_path)
    assert [document.metadata["page_number"] for document in load(loader, call_mode, llm)] == list(range(1, 10))
    assert sorted(transcribed + [page_in(request) for request in emulator.requests]) == list(range(1, 10))
    emulator.reset()
    load(QwenVLLoader(scan(9), llm=llm, cache_dir=tmp_path), call_mode, llm)
    assert emulator.requests == []


@both_call_modes
def test_cut_page_is_marked_as_truncated(call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(text=html(1)[:200], finish="length")
    (document,) = load(QwenVLLoader(scan(1), llm=llm), call_mode, llm)
    assert (document.metadata["finish_reason"], document.metadata["truncated"]) == ("length", True)


def test_wrong_password_raises_input_error(llm: ChatQwenVL, emulator: Emulator) -> None:
    from tests.core.rendering.pdf_samples import LOCKED

    loader = QwenVLLoader(LOCKED, llm=llm, password="wrong", on_error="skip")
    parser = QwenVLParser(llm=llm, password="wrong")
    for read in (loader.load, lambda: asyncio.run(loader.aload()), lambda: parser.parse(Blob.from_data(LOCKED))):
        with pytest.raises(ModelInvalidRequestError, match="password") as raised:
            read()
        assert isinstance(raised.value, QwenVLInputError)
    assert len(QwenVLLoader(LOCKED, llm=llm, password="open").load()) == 1


def test_progress_callback_receives_pages_done_total_and_usage(llm: ChatQwenVL) -> None:
    calls: list[tuple[int, int, int]] = []
    QwenVLLoader(
        scan(3), llm=llm, progress=lambda done, total, usage: calls.append((done, total, usage["input_tokens"]))
    ).load()
    assert calls == [(1, 3, 100), (2, 3, 200), (3, 3, 300)]


# --- Streams ---


class Stream(io.RawIOBase):
    """A response of an HTTP client, which cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data, self._rest = self._rest, b""
        return data


@both_call_modes
def test_stream_that_cannot_seek_is_read_once_for_all_loads(
    call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator
) -> None:
    loader = QwenVLLoader(Stream(scan(2)), llm=llm)  # type: ignore[arg-type]
    first, second = load(loader, call_mode, llm), load(loader, call_mode, llm)
    assert first == second
    assert [document.metadata["page"] for document in first] == [0, 1]
    assert first[0].metadata["source"].startswith("sha256:")
    assert highlight(first[1], Stream(scan(2))).size == (width_of(2), 320)  # type: ignore[arg-type]


def test_file_url_has_path_as_source(file: Path, llm: ChatQwenVL) -> None:
    documents = QwenVLLoader(file.as_uri(), llm=llm).load()
    assert {document.metadata["source"] for document in documents} == {str(file)}


# --- Modes, stores, citations ---


def test_index_of_unchanged_file_changes_nothing(file: Path, llm: ChatQwenVL, emulator: Emulator) -> None:
    from langchain_core.indexing import InMemoryRecordManager, index

    records, store = InMemoryRecordManager("n"), InMemoryVectorStore(DeterministicFakeEmbedding(size=4))
    results = []
    for input_tokens in (100, 77):
        emulator.respond = lambda request, count=input_tokens: Reply(
            text=html(page_in(request)), usage={"prompt": count, "completion": count, "image": 9}
        )
        loader = QwenVLLoader(file, llm=llm, mode="chunk")
        results.append(index(loader, records, store, cleanup="full", source_id_key="source", key_encoder="sha256"))
    assert (results[0]["num_added"], results[1]["num_added"], results[1]["num_skipped"]) == (3, 0, 3)
    assert results[1]["num_deleted"] == 0


@pytest.mark.parametrize("mode", ["page", "element", "chunk", "single"])
def test_vector_store_accepts_documents(mode: Any, file: Path, llm: ChatQwenVL) -> None:
    documents = QwenVLLoader(file, llm=llm, mode=mode, output="text").load()
    store = InMemoryVectorStore.from_documents(documents, DeterministicFakeEmbedding(size=4))
    (found, *_) = store.similarity_search("Tea", k=1)
    assert found.metadata["source"] == str(file)
    assert all(
        isinstance(value, str | int | float | bool) for document in documents for value in document.metadata.values()
    )


def test_citation_and_highlight_of_chunk(file: Path, llm: ChatQwenVL) -> None:
    documents = QwenVLLoader(file, llm=llm, mode="chunk", output="text").load()
    cited = citation(documents[1])
    assert (cited.source, cited.page, len(cited.boxes)) == (str(file), 2, 3)
    assert cited.text == documents[1].page_content
    image = highlight(documents[1], file)
    assert image.size == (width_of(2), 320)
    assert image.tobytes() == highlight(cited, file.read_bytes()).tobytes()
    without_boxes = Document("", metadata={"page_number": 2})
    assert image.tobytes() != highlight(without_boxes, file).tobytes()


def test_single_mode_returns_one_document_without_page(file: Path, llm: ChatQwenVL) -> None:
    (document,) = QwenVLLoader(file, llm=llm, mode="single", output="text").load()
    assert document.page_content.count("\n\f") == 2
    assert "page" not in document.metadata


# --- The parser ---


def npy_page(number: int) -> bytes:
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.full((320, width_of(number), 3), 255, dtype=numpy.uint8))
    return buffer.getvalue()


def png_page(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width_of(number), 320), "white").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mime", "data", "pages"),
    [
        ("application/pdf", scan(2), [1, 2]),
        ("image/tiff", scan(3, "TIFF"), [1, 2, 3]),
        ("image/png", png_page(5), [5]),
        ("application/x-npy", npy_page(4), [4]),
    ],
)
def test_parser_parses_blobs_of_each_type(
    mime: str, data: bytes, pages: list[int], llm: ChatQwenVL, emulator: Emulator
) -> None:
    blob = Blob.from_data(data, mime_type=mime, path="of.pdf", metadata={"owner": "me"})
    documents = QwenVLParser(llm=llm, output="text", max_concurrency=1).parse(blob)
    assert [page_in(request) for request in emulator.requests] == pages
    assert [document.metadata["page"] for document in documents] == list(range(len(pages)))
    assert {(document.metadata["source"], document.metadata["owner"]) for document in documents} == {("of.pdf", "me")}


def test_parser_uses_path_of_blob_as_source(file: Path, llm: ChatQwenVL) -> None:
    (document, *_) = QwenVLParser(llm=llm).parse(Blob.from_path(file))
    assert document.metadata["source"] == str(file)


def test_parser_as_images_parser_of_another_loader(llm: ChatQwenVL, emulator: Emulator) -> None:
    """PyMuPDFLoader and similar loaders call their `images_parser=` like this."""
    parser = QwenVLParser(llm=llm, output="markdown")
    blob = Blob.from_data(npy_page(1), mime_type="application/x-npy")
    assert "Words of page 1." in next(parser.lazy_parse(blob)).page_content
    emulator.respond = lambda request: Reply(text="")
    assert next(parser.lazy_parse(blob)).page_content == "[no text]"


def parse_texts(parser: QwenVLParser, data: bytes) -> list[str]:
    return [document.page_content for document in parser.parse(Blob.from_data(data))]


def test_pickled_loader_and_parser_work_and_hold_no_key(
    file: Path, llm: ChatQwenVL, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)  # else its host gets no key of the environment
    loader = QwenVLLoader(file, llm=llm, mode="chunk", password="p")
    first = loader.load()
    data = pickle.dumps(loader)
    assert KEY.encode() not in data
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    unpickled: QwenVLLoader = pickle.loads(data)
    assert unpickled.usage.pages == 0
    assert unpickled.load() == first
    parser = pickle.loads(pickle.dumps(QwenVLParser(llm=llm)))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(parse_texts, parser, scan(2)).result(60) == parse_texts(parser, scan(2))


# --- PDFs in chat messages ---

QUESTION = {"type": "text", "text": "What is it?"}
B64 = base64.b64encode(scan(2)).decode()


def pdf_blocks(file: Path) -> dict[str, dict[str, Any]]:
    data_url = f"data:application/pdf;base64,{B64}"
    return {
        "base64": {"type": "file", "base64": B64, "mime_type": "application/pdf"},
        "v0": {"type": "file", "source_type": "base64", "data": B64, "mime_type": "application/pdf"},
        "data URL": {"type": "file", "url": data_url},
        "OpenAI": {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url}},
        "Anthropic": {
            "type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": B64},
        },
        "bytes": {"type": "file", "data": scan(2), "mime_type": "application/pdf"},
        "path": {"type": "file", "path": file, "mime_type": "application/pdf"},
        "Path": {"type": "file", "path": file},
    }  # fmt: skip


@both_call_modes
@pytest.mark.parametrize("form", pdf_blocks(Path()))
def test_pdf_block_is_sent_as_page_images(
    call_mode: CallMode, form: str, tmp_path: Path, llm: ChatQwenVL, emulator: Emulator
) -> None:
    file = tmp_path / "two.pdf"
    file.write_bytes(scan(2))
    emulator.respond = None
    message = HumanMessage([pdf_blocks(file)[form], QUESTION])
    llm.invoke([message]) if call_mode == "sync" else run(llm.ainvoke([message]), llm)
    content = emulator.requests[0].json["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
    assert not emulator.refusals
    assert len(image_in(emulator.requests[0])) > 100


def test_pdf_in_tool_result_is_sent_as_page_images(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = None
    call = AIMessage("", tool_calls=[{"name": "fetch", "args": {}, "id": "call_1"}])
    llm.invoke([HumanMessage("Fetch it."), call, ToolMessage([pdf_blocks(Path())["base64"]], tool_call_id="call_1")])
    *_, tool, media = emulator.requests[0].json["messages"]
    assert tool["role"] == "tool"
    assert (media["role"], [part["type"] for part in media["content"]]) == ("user", ["image_url", "image_url"])


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ({"type": "file", "url": "https://example.com/a.pdf", "mime_type": "application/pdf"}, "not fetched"),
        ({"type": "file", "data": b"%PDF-1.7", "mime_type": "application/pdf"}, "can't read this PDF"),
        ({"type": "file", "data": scan(51, height=64), "mime_type": "application/pdf"}, "51 pages, and at most 50"),
    ],
)
def test_pdf_block_that_cannot_be_sent_raises_error_with_location(
    block: dict[str, Any], reason: str, llm: ChatQwenVL, emulator: Emulator
) -> None:
    with pytest.raises(QwenVLInputError, match=rf"messages\[0\]\.content\[0\] \(file\).*{reason}"):
        llm.invoke([HumanMessage([block])])
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("name", "reason"), [("pipe.pdf", "it is not a regular file"), ("gone.pdf", "No such file or directory")]
)
def test_pdf_path_that_cannot_be_read_raises_error_with_path(
    name: str, reason: str, llm: ChatQwenVL, emulator: Emulator, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.pdf")
    message = HumanMessage([{"type": "file", "path": tmp_path / name}])
    with pytest.raises(QwenVLInputError) as raised:
        llm.invoke([message])
    assert raised.value.message == f"messages[0].content[0] (file): can't read {tmp_path / name}: {reason}."
    assert emulator.requests == []


def test_pdf_path_in_tool_result_is_not_read(file: Path, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = None
    call = AIMessage("", tool_calls=[{"name": "fetch", "args": {}, "id": "call_1"}])
    result = ToolMessage([{"type": "file", "path": str(file), "mime_type": "application/pdf"}], tool_call_id="call_1")
    reply = llm.invoke([HumanMessage("Fetch it."), call, result])
    assert b"data:image" not in emulator.requests[0].body
    assert any("messages[2].content[0]" in note for note in reply.response_metadata["adjustments"])


def test_pdf_block_without_pypdfium2_raises_error_that_names_extra(
    llm: ChatQwenVL, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.startswith("qwenvl_core.rendering.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(QwenVLInputError, match=r"content\[0\].*qwenvl-adapters\[documents\]"):
        llm.invoke([HumanMessage([pdf_blocks(Path())["base64"]])])
    assert emulator.requests == []


def test_token_count_of_pdf_is_that_of_its_pages(llm: ChatQwenVL) -> None:
    def tokens(*content: dict[str, Any]) -> int:
        return llm.get_num_tokens_from_messages([HumanMessage([*content])])

    page = {"type": "image", "base64": base64.b64encode(png_page(1)).decode(), "mime_type": "image/png"}
    assert tokens(pdf_blocks(Path())["base64"]) - tokens(page) == (width_of(2) // 32) * 10 + 2

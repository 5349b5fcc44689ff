"""`QwenVLLoader` and `QwenVLParser` against the emulator, and PDFs in chats."""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import json
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
ways = pytest.mark.parametrize("call_mode", ["sync", "async"])
Make = Callable[..., ChatQwenVL]
T = TypeVar("T")


@pytest.fixture(autouse=True)
def reads_pages(emulator: Emulator) -> None:
    emulator.respond = answer


def load(loader: QwenVLLoader, call_mode: CallMode, llm: ChatQwenVL) -> list[Document]:
    return loader.load() if call_mode == "sync" else run(loader.aload(), llm)


def run(work: Coroutine[Any, Any, T], llm: ChatQwenVL) -> T:
    """Do it in an event loop of its own, and close the connections that were opened in it."""

    async def do() -> T:
        try:
            return await work
        finally:
            await llm.aclose()

    return asyncio.run(do())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a scan.pdf"
    path.write_bytes(scan(3))
    return path


# --- What it is ---


def test_the_loader_is_langchains_loader_and_the_parser_its_parser() -> None:
    assert issubclass(QwenVLLoader, BaseLoader)
    assert issubclass(QwenVLParser, BaseBlobParser)
    assert set(langchain_qwenvl.__all__) <= {*dir(langchain_qwenvl), *dir(langchain_qwenvl.document_loaders)}
    with pytest.raises(AttributeError, match="QwenVLReader"):
        _ = langchain_qwenvl.QwenVLReader  # type: ignore[attr-defined]


@pytest.mark.parametrize("made", [QwenVLLoader, QwenVLParser])
def test_its_keywords_are_the_options_with_their_defaults(made: Any) -> None:
    given = {name: item.default for name, item in inspect.signature(made).parameters.items()}
    options = {name: item.default for name, item in inspect.signature(LoaderOptions).parameters.items()}
    assert {name: given[name] for name in options} == options
    assert set(given) - set(options) <= {"file", "llm"}


def test_unknown_keywords_and_values_raise_before_anything_is_read() -> None:
    with pytest.raises(TypeError, match="modus"):
        QwenVLLoader("none.pdf", modus="page")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="mode"):
        QwenVLLoader("none.pdf", mode="pages")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ChatQwenVL"):
        QwenVLLoader("none.pdf", llm=object())  # type: ignore[arg-type]


# --- Pages ---


@ways
def test_a_document_for_each_page(call_mode: CallMode, file: Path, llm: ChatQwenVL, emulator: Emulator) -> None:
    loader = QwenVLLoader(file, llm=llm)
    documents = load(loader, call_mode, llm)
    assert [document.metadata["page_number"] for document in documents] == [1, 2, 3]
    assert documents[1].page_content.startswith('<h2>Title 2</h2>\n<div class="text">Words of page 2.</div>')
    assert documents[1].metadata == {
        "source": str(file), "page": 1, "page_label": "2", "page_number": 2, "total_pages": 3,
        "page_width": width_of(2), "page_height": 320, "model": "qwen3-vl-plus", "finish_reason": "stop",
        "truncated": False, "warnings": "", "input_tokens": 100, "output_tokens": 10,
    }  # fmt: skip
    assert loader.failures == []
    assert (loader.usage.input_tokens, loader.usage.output_tokens, loader.usage.image_tokens) == (300, 30, 270)
    assert loader.usage["reasoning_tokens"] > 0
    assert not emulator.refusals


@ways
def test_what_is_sent(call_mode: CallMode, file: Path, llm: ChatQwenVL, emulator: Emulator) -> None:
    load(QwenVLLoader(file, llm=llm, pages="2"), call_mode, llm)
    (request,) = emulator.requests
    (message,) = request.json["messages"]
    image, text = message["content"]
    assert text == {"type": "text", "text": "qwenvl html"}
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert size_in(request) == (width_of(2), 320)
    assert "vl_high_resolution_images" not in request.json


@pytest.mark.skipif(not SCANS.is_dir(), reason="the real scans are not here")
def test_real_scans_are_sent_at_their_exact_sizes(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = None
    QwenVLLoader(SCANS / "multipage.pdf", llm=llm, max_concurrency=1).load()
    sizes = [(1024, 1312), (1600, 1600), (1984, 832), (1984, 832), (1408, 1824), (1824, 1408)]
    assert [size_in(request) for request in emulator.requests] == sizes


@ways
def test_order_under_random_latencies(call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator) -> None:
    waits = random.Random(3)

    def slowly(request: RecordedRequest) -> Reply:
        number = page_in(request)
        return Reply(text=[html(number)[:9], html(number)[9:]], delay=waits.uniform(0, 0.03))

    emulator.respond = slowly
    documents = load(QwenVLLoader(scan(16), llm=llm, max_concurrency=6), call_mode, llm)
    assert [document.metadata["page"] for document in documents] == list(range(16))
    assert all(f"Title {number}<" in document.page_content for number, document in enumerate(documents, 1))


# --- The model is obeyed ---


@ways
@pytest.mark.parametrize("thinks", [True, False])
def test_the_model_thinks_if_it_is_set_to(call_mode: CallMode, thinks: bool, make: Make, emulator: Emulator) -> None:
    llm = make(enable_thinking=thinks, temperature=0.0)
    load(QwenVLLoader(scan(1), llm=llm), call_mode, llm)
    (request,) = emulator.requests
    assert request.json["enable_thinking"] is thinks
    assert request.json["temperature"] == 0.0


def test_what_is_bound_to_the_model_holds(make: Make, emulator: Emulator) -> None:
    llm = make().bind(model="qwen2.5-vl-72b-instruct", seed=7).with_retry().with_config(tags=["a"])
    (document, *_) = QwenVLLoader(scan(1), llm=llm, mode="element").load()  # type: ignore[arg-type]
    (request,) = emulator.requests
    assert (request.json["model"], request.json["seed"]) == ("qwen2.5-vl-72b-instruct", 7)
    assert size_in(request) == (364, 308)  # squares of 28 pixels
    left = json.loads(document.metadata["bbox"])[0]
    assert left == pytest.approx(100 / 364, abs=1e-4), "the boxes of this model are in pixels"


def test_high_resolution_is_asked_for(llm: ChatQwenVL, emulator: Emulator) -> None:
    QwenVLLoader(scan(1, height=9600), llm=llm, high_resolution=True).load()
    (request,) = emulator.requests
    assert request.json["vl_high_resolution_images"] is True
    assert size_in(request) == (width_of(1), 9600)


def test_without_a_model_there_is_the_usual_one(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)
    loader = QwenVLLoader(scan(1))
    assert len(loader.load()) == 1
    assert emulator.requests[0].json["enable_thinking"] is True
    loader._parser._transcriber._llm.close()


def test_the_native_api(make: Make, emulator: Emulator) -> None:
    pytest.importorskip("dashscope")
    loader = QwenVLLoader(scan(2), llm=make(api="dashscope", base_url=emulator.native_url))
    assert [document.metadata["page"] for document in loader.load()] == [0, 1]


def test_callbacks_see_each_page(llm: ChatQwenVL) -> None:
    from langchain_core.callbacks import get_usage_metadata_callback

    with get_usage_metadata_callback() as seen:
        QwenVLLoader(scan(3), llm=llm).load()
    assert seen.usage_metadata["qwen3-vl-plus"]["input_tokens"] == 300


# --- Failures and resuming ---


def failing_at(number: int) -> Callable[[RecordedRequest], Reply | Fault]:
    def respond(request: RecordedRequest) -> Reply | Fault:
        if page_in(request) == number:
            return Fault(status=400, code="invalid_parameter_error", message="No.")
        return answer(request)

    return respond


@ways
def test_a_failing_page_raises_after_the_pages_before_it(
    call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator
) -> None:
    emulator.respond = failing_at(3)
    loader = QwenVLLoader(scan(5), llm=llm)
    documents: list[Document] = []

    async def collect() -> None:
        async for document in loader.alazy_load():
            documents.append(document)  # noqa: PERF401  # what came before the error is wanted

    with pytest.raises(QwenVLPageError, match="page 3") as caught:  # noqa: PT012
        if call_mode == "async":
            run(collect(), llm)
        for document in loader.lazy_load():
            documents.append(document)  # noqa: PERF402
    assert [document.metadata["page_number"] for document in documents] == [1, 2]
    assert (caught.value.page_number, caught.value.status_code) == (3, 400)
    assert caught.value.__cause__ is loader.failures[0][1]


@ways
def test_a_failing_page_is_skipped(call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = failing_at(3)
    loader = QwenVLLoader(scan(5), llm=llm, on_error="skip")
    assert [document.metadata["page_number"] for document in load(loader, call_mode, llm)] == [1, 2, 4, 5]
    assert [number for number, _ in loader.failures] == [3]
    assert loader.usage.pages == 4


@ways
def test_a_broken_run_goes_on_with_no_repeated_request(
    call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.respond = failing_at(4)
    with pytest.raises(QwenVLPageError):
        load(QwenVLLoader(scan(9), llm=llm, cache_dir=tmp_path), call_mode, llm)
    answered = [page_in(request) for request in emulator.requests if page_in(request) != 4]
    emulator.reset()
    emulator.respond = answer
    loader = QwenVLLoader(scan(9), llm=llm, cache_dir=tmp_path)
    assert [document.metadata["page_number"] for document in load(loader, call_mode, llm)] == list(range(1, 10))
    assert sorted(answered + [page_in(request) for request in emulator.requests]) == list(range(1, 10))
    emulator.reset()
    load(QwenVLLoader(scan(9), llm=llm, cache_dir=tmp_path), call_mode, llm)
    assert emulator.requests == []


@ways
def test_a_cut_page_is_marked(call_mode: CallMode, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(text=html(1)[:200], finish="length")
    (document,) = load(QwenVLLoader(scan(1), llm=llm), call_mode, llm)
    assert (document.metadata["finish_reason"], document.metadata["truncated"]) == ("length", True)


def test_a_wrong_password(llm: ChatQwenVL, emulator: Emulator) -> None:
    from tests.core.rendering.pdf_samples import LOCKED

    with pytest.raises(QwenVLInputError, match="password"):
        QwenVLLoader(LOCKED, llm=llm, password="wrong", on_error="skip").load()
    assert len(QwenVLLoader(LOCKED, llm=llm, password="open").load()) == 1


def test_progress(llm: ChatQwenVL) -> None:
    told: list[tuple[int, int, int]] = []
    QwenVLLoader(
        scan(3), llm=llm, progress=lambda done, total, usage: told.append((done, total, usage["input_tokens"]))
    ).load()
    assert told == [(1, 3, 100), (2, 3, 200), (3, 3, 300)]


# --- Modes, stores, citations ---


@pytest.mark.parametrize("mode", ["page", "element", "chunk", "single"])
def test_a_vector_store_takes_the_documents(mode: Any, file: Path, llm: ChatQwenVL) -> None:
    documents = QwenVLLoader(file, llm=llm, mode=mode, output="text").load()
    store = InMemoryVectorStore.from_documents(documents, DeterministicFakeEmbedding(size=4))
    (found, *_) = store.similarity_search("Tea", k=1)
    assert found.metadata["source"] == str(file)
    assert all(isinstance(value, str | int | float | bool) for one in documents for value in one.metadata.values())


def test_an_answer_is_cited_and_shown(file: Path, llm: ChatQwenVL) -> None:
    documents = QwenVLLoader(file, llm=llm, mode="chunk", output="text").load()
    cited = citation(documents[1])
    assert (cited.source, cited.page, len(cited.boxes)) == (str(file), 2, 3)
    assert cited.text == documents[1].page_content
    shown = highlight(documents[1], file)
    assert shown.size == (width_of(2), 320)
    assert shown.tobytes() == highlight(cited, file.read_bytes()).tobytes()
    bare = Document("", metadata={"page_number": 2})
    assert shown.tobytes() != highlight(bare, file).tobytes()


def test_a_single_document(file: Path, llm: ChatQwenVL) -> None:
    (document,) = QwenVLLoader(file, llm=llm, mode="single", output="text").load()
    assert document.page_content.count("\n\f") == 2
    assert "page" not in document.metadata


# --- The parser ---


def array(number: int) -> bytes:
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.full((320, width_of(number), 3), 255, dtype=numpy.uint8))
    return buffer.getvalue()


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width_of(number), 320), "white").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mime", "data", "pages"),
    [
        ("application/pdf", scan(2), [1, 2]),
        ("image/tiff", scan(3, "TIFF"), [1, 2, 3]),
        ("image/png", picture(5), [5]),
        ("application/x-npy", array(4), [4]),
    ],
)
def test_blobs(mime: str, data: bytes, pages: list[int], llm: ChatQwenVL, emulator: Emulator) -> None:
    blob = Blob.from_data(data, mime_type=mime, path="of.pdf", metadata={"owner": "me"})
    documents = QwenVLParser(llm=llm, output="text", max_concurrency=1).parse(blob)
    assert [page_in(request) for request in emulator.requests] == pages
    assert [document.metadata["page"] for document in documents] == list(range(len(pages)))
    assert {(document.metadata["source"], document.metadata["owner"]) for document in documents} == {("of.pdf", "me")}


def test_a_blob_of_a_file(file: Path, llm: ChatQwenVL) -> None:
    (document, *_) = QwenVLParser(llm=llm).parse(Blob.from_path(file))
    assert document.metadata["source"] == str(file)


def test_it_reads_the_images_of_another_loader(llm: ChatQwenVL, emulator: Emulator) -> None:
    """As PyMuPDFLoader and its kin call `images_parser=`."""
    parser = QwenVLParser(llm=llm, output="markdown")
    blob = Blob.from_data(array(1), mime_type="application/x-npy")
    assert "Words of page 1." in next(parser.lazy_parse(blob)).page_content
    emulator.respond = lambda request: Reply(text="")
    assert next(parser.lazy_parse(blob)).page_content == ""


def parsed(parser: QwenVLParser, data: bytes) -> list[str]:
    return [document.page_content for document in parser.parse(Blob.from_data(data))]


def test_loader_and_parser_pickle_and_carry_no_key(
    file: Path, llm: ChatQwenVL, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = QwenVLLoader(file, llm=llm, mode="chunk", password="p")
    first = loader.load()
    data = pickle.dumps(loader)
    assert KEY.encode() not in data
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    again: QwenVLLoader = pickle.loads(data)
    assert again.usage.pages == 0
    assert again.load() == first
    parser = pickle.loads(pickle.dumps(QwenVLParser(llm=llm)))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(parsed, parser, scan(2)).result(60) == parsed(parser, scan(2))


# --- PDFs in chats ---

QUESTION = {"type": "text", "text": "What is it?"}
B64 = base64.b64encode(scan(2)).decode()


def blocks(file: Path) -> dict[str, dict[str, Any]]:
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
        "path": {"type": "file", "path": str(file), "mime_type": "application/pdf"},
        "Path": {"type": "file", "path": file},
    }  # fmt: skip


@ways
@pytest.mark.parametrize("form", blocks(Path()))
def test_a_pdf_in_a_message_is_its_pages(
    call_mode: CallMode, form: str, tmp_path: Path, llm: ChatQwenVL, emulator: Emulator
) -> None:
    file = tmp_path / "two.pdf"
    file.write_bytes(scan(2))
    emulator.respond = None
    message = HumanMessage([blocks(file)[form], QUESTION])
    llm.invoke([message]) if call_mode == "sync" else run(llm.ainvoke([message]), llm)
    content = emulator.requests[0].json["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
    assert not emulator.refusals
    assert len(image_in(emulator.requests[0])) > 100


def test_a_pdf_in_a_tool_result_is_its_pages(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = None
    call = AIMessage("", tool_calls=[{"name": "fetch", "args": {}, "id": "call_1"}])
    llm.invoke([HumanMessage("Fetch it."), call, ToolMessage([blocks(Path())["base64"]], tool_call_id="call_1")])
    *_, tool, media = emulator.requests[0].json["messages"]
    assert tool["role"] == "tool"
    assert (media["role"], [part["type"] for part in media["content"]]) == ("user", ["image_url", "image_url"])


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ({"type": "file", "url": "https://example.com/a.pdf", "mime_type": "application/pdf"}, "not fetched"),
        ({"type": "file", "data": b"%PDF-1.7", "mime_type": "application/pdf"}, "can't read this PDF"),
        ({"type": "file", "data": scan(51, height=64), "mime_type": "application/pdf"}, "51 pages, and at most 50"),
    ],
)
def test_a_pdf_that_can_not_be_sent(block: dict[str, Any], why: str, llm: ChatQwenVL, emulator: Emulator) -> None:
    with pytest.raises(QwenVLInputError, match=rf"messages\[0\]\.content\[0\] \(file\).*{why}"):
        llm.invoke([HumanMessage([block])])
    assert emulator.requests == []


def test_a_tool_must_not_make_us_read_a_file(file: Path, llm: ChatQwenVL) -> None:
    call = AIMessage("", tool_calls=[{"name": "fetch", "args": {}, "id": "call_1"}])
    result = ToolMessage([{"type": "file", "path": str(file), "mime_type": "application/pdf"}], tool_call_id="call_1")
    with pytest.raises(QwenVLInputError, match="only in the media parts of user messages"):
        llm.invoke([HumanMessage("Fetch it."), call, result])


def test_without_the_extra_the_error_names_it(
    llm: ChatQwenVL, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [module for module in sys.modules if module.startswith("qwenvl_core.rendering.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(QwenVLInputError, match=r"content\[0\].*qwenvl-adapters\[documents\]"):
        llm.invoke([HumanMessage([blocks(Path())["base64"]])])
    assert emulator.requests == []


def test_tokens_of_a_pdf_are_those_of_its_pages(llm: ChatQwenVL) -> None:
    def tokens(*content: dict[str, Any]) -> int:
        return llm.get_num_tokens_from_messages([HumanMessage([*content])])

    page = {"type": "image", "base64": base64.b64encode(picture(1)).decode(), "mime_type": "image/png"}
    assert tokens(blocks(Path())["base64"]) - tokens(page) == (width_of(2) // 32) * 10 + 2

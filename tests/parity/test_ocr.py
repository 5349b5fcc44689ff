"""Test OCR models through both frameworks: tasks, results in messages and streams, and scanned documents."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from langchain_core.messages import AIMessage, BaseMessageChunk, HumanMessage
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock

import langchain_qwenvl
import llama_index_qwenvl
from langchain_qwenvl import ChatQwenVL, QwenVLLoader
from llama_index_qwenvl import QwenVL, QwenVLReader
from qwenvl_core.documents.page_task import TEXT_PROMPT
from qwenvl_core.grounding import ocr_boxes
from tests.emulator import Emulator, RecordedRequest, Reply
from tests.emulator.ocr_replies import WORDS
from tests.support.model_factories import model_factory
from tests.support.paths import RECORDINGS
from tests.support.scanned_pages import scan, size_in

Framework = Literal["langchain", "llama_index"]
Make = Callable[..., Any]
URL = "https://example.com/receipt.jpg"
LINES = {"task": "advanced_recognition"}
WORDS_RESULT = {"words_info": [dict(word) for word in WORDS]}
SCHEMA = {"invoice": {"code": "the code"}, "total": "the amount"}
EXTRACT = {"task": "key_information_extraction", "task_config": {"result_schema": SCHEMA}}
FIELDS_RESULT = {"kv_result": {"invoice": {"code": "7"}, "total": "7"}}

both = pytest.mark.parametrize("framework", ["langchain", "llama_index"])


class Answer(NamedTuple):
    """What a message and its response hold."""

    text: str
    additional_kwargs: dict[str, Any]
    metadata: dict[str, Any]


@pytest.fixture
def make(emulator: Emulator) -> Iterator[Make]:
    classes = {"langchain": ChatQwenVL, "llama_index": QwenVL}
    with ExitStack() as stack:
        factories = {
            name: stack.enter_context(model_factory(cls, emulator.native_url)) for name, cls in classes.items()
        }

        def build(framework: Framework, **keywords: Any) -> Any:
            is_native = keywords.get("api", "dashscope") == "dashscope"
            base_url = emulator.native_url if is_native else emulator.compat_url
            return factories[framework](
                **{"model": "qwen-vl-ocr", "api": "dashscope", "base_url": base_url, **keywords}
            )

        yield build


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


def build_message(framework: Framework, *, rotate: bool | None = None) -> Any:
    """Build a message that holds an image only."""
    if framework == "langchain":
        hint = {} if rotate is None else {"enable_rotate": rotate}
        return HumanMessage([{"type": "image", "url": URL, **hint}])
    detail = None if rotate is None else json.dumps({"enable_rotate": rotate})
    return ChatMessage(role="user", blocks=[ImageBlock(url=URL, detail=detail)])


def ask(framework: Framework, llm: Any, message: Any, *, streamed: bool, asynchronous: bool, **keywords: Any) -> Answer:
    """Return the answer; of a stream, the sum (LangChain) or the last chunk (LlamaIndex)."""
    coroutine = _ask(framework, llm, message, streamed=streamed, asynchronous=asynchronous, keywords=keywords)
    return asyncio.run(coroutine)


async def _ask(
    framework: Framework, llm: Any, message: Any, *, streamed: bool, asynchronous: bool, keywords: dict[str, Any]
) -> Answer:
    if framework == "langchain":
        if not streamed:
            reply = await llm.ainvoke([message], **keywords) if asynchronous else llm.invoke([message], **keywords)
        else:
            chunks = (
                [chunk async for chunk in llm.astream([message], **keywords)]
                if asynchronous
                else list(llm.stream([message], **keywords))
            )
            assert sum("ocr_result" in chunk.additional_kwargs for chunk in chunks) <= 1
            reply = add_chunks(chunks)
        return Answer(reply.text, reply.additional_kwargs, reply.response_metadata)
    if not streamed:
        response = await llm.achat([message], **keywords) if asynchronous else llm.chat([message], **keywords)
    else:
        chunks = (
            [chunk async for chunk in await llm.astream_chat([message], **keywords)]
            if asynchronous
            else list(llm.stream_chat([message], **keywords))
        )
        assert not any("ocr_result" in chunk.message.additional_kwargs for chunk in chunks[:-1])
        response = chunks[-1]
    return Answer(response.message.content or "", response.message.additional_kwargs, response.raw)


def add_chunks(chunks: list[BaseMessageChunk]) -> Any:
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total


# --- chats ------------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(("options", "result"), [(LINES, WORDS_RESULT), (EXTRACT, FIELDS_RESULT)])
def test_ocr_result_is_in_additional_kwargs_once(
    make: Make,
    emulator: Emulator,
    framework: Framework,
    streamed: bool,
    asynchronous: bool,
    options: dict[str, Any],
    result: dict[str, Any],
) -> None:
    answers = [
        ask(framework, llm, build_message(framework), streamed=streamed, asynchronous=asynchronous, **keywords)
        for llm, keywords in (
            (make(framework, ocr_options=options), {}),
            (make(framework, ocr_options={"task": "multi_lan"}), {"ocr_options": options}),
        )
    ]
    for answer in answers:
        assert answer.additional_kwargs["ocr_result"] == result
        assert "ocr_result" not in answer.metadata
        assert answer.text.startswith("```json")
    first, second = (json.loads(request.body) for request in emulator.requests)
    assert first == second
    assert first["parameters"]["ocr_options"] == options
    assert first["input"]["messages"] == [{"role": "user", "content": [{"image": URL}]}]


@both
@pytest.mark.parametrize("task", ["text_recognition", "table_parsing", "document_parsing", "formula_recognition"])
def test_task_without_result_adds_nothing(make: Make, framework: Framework, task: str) -> None:
    answer = ask(framework, make(framework), build_message(framework), streamed=True, asynchronous=False,
                 ocr_options={"task": task})  # fmt: skip
    assert answer.text
    assert "ocr_result" not in answer.additional_kwargs


@both
@pytest.mark.parametrize(
    ("of_model", "of_part", "sent"), [(True, None, True), (True, False, False), (None, True, True)]
)
def test_rotation_of_part_overrides_that_of_model(
    make: Make, emulator: Emulator, framework: Framework, of_model: bool | None, of_part: bool | None, sent: bool
) -> None:
    llm = make(framework, ocr_options={**LINES, **({} if of_model is None else {"enable_rotate": of_model})})
    ask(framework, llm, build_message(framework, rotate=of_part), streamed=False, asynchronous=False)
    body = json.loads(emulator.requests[-1].body)
    assert body["input"]["messages"][0]["content"] == [{"image": URL, "enable_rotate": sent}]
    assert body["parameters"]["ocr_options"] == LINES


def test_llama_index_message_hints_include_rotation(make: Make, emulator: Emulator) -> None:
    message = ChatMessage(
        role="user", blocks=[ImageBlock(url=URL)], additional_kwargs={"qwen_vl": {"enable_rotate": True}}
    )
    make("llama_index").chat([message])
    assert json.loads(emulator.requests[-1].body)["input"]["messages"][0]["content"][0]["enable_rotate"] is True


@both
def test_ocr_result_is_not_sent_back(make: Make, emulator: Emulator, framework: Framework) -> None:
    llm = make(framework, ocr_options=LINES)
    question = build_message(framework)
    if framework == "langchain":
        reply = llm.invoke([question])
        llm.invoke([question, reply, HumanMessage("And the total?")])
    else:
        response = llm.chat([question])
        llm.chat([question, response.message, ChatMessage(role="user", blocks=[TextBlock(text="And the total?")])])
    assert b"ocr_result" not in emulator.requests[-1].body
    assert b"words_info" not in emulator.requests[-1].body


@both
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are absent")
def test_recorded_extraction_is_in_additional_kwargs(make: Make, emulator: Emulator, framework: Framework) -> None:
    name = "multimodal-generation-vl-ocr-key-information-extraction-nosse"
    recorded = json.loads((RECORDINGS / f"{name}.response.body.txt").read_text("utf-8-sig"))
    (content,) = recorded["output"]["choices"][0]["message"]["content"]
    request = json.loads((RECORDINGS / f"{name}.request.body.json").read_text("utf-8-sig"))
    emulator.script(Reply(text=content["text"], content_extra={"ocr_result": content["ocr_result"]}))
    options = request["parameters"]["ocr_options"]
    answer = ask(framework, make(framework), build_message(framework), streamed=False, asynchronous=False,
                 ocr_options=options)  # fmt: skip
    assert answer.additional_kwargs["ocr_result"] == content["ocr_result"]
    assert ocr_boxes(answer.additional_kwargs["ocr_result"], size=(1, 1)) == []
    assert json.loads(emulator.requests[-1].body)["parameters"]["ocr_options"] == options


@both
@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"ocr_options": {"task": "tables"}}, ["'tables'", "advanced_recognition", "multi_lan"]),
        ({"ocr_options": LINES, "model": "qwen3-vl-plus"}, ["qwen3-vl-plus", "table_parsing", "qwen3.5-ocr"]),
        ({"ocr_options": LINES, "api": "openai"}, ['api="openai"', 'api="dashscope"']),
    ],
)
def test_options_that_cannot_be_sent_raise_before_any_request(
    make: Make, emulator: Emulator, framework: Framework, keywords: dict[str, Any], words: list[str]
) -> None:
    llm = make(framework, **keywords)
    with pytest.raises(ValueError, match="ocr_options") as error:
        ask(framework, llm, build_message(framework), streamed=False, asynchronous=False)
    for word in words:
        assert word in str(error.value)
    assert emulator.requests == []


def test_saved_models_keep_their_ocr_options(make: Make) -> None:
    llama_index = make("llama_index", ocr_options=LINES)
    assert QwenVL.from_dict(llama_index.to_dict()).ocr_options == LINES
    langchain = make("langchain", ocr_options=LINES)
    assert langchain.model_copy().ocr_options == LINES
    assert langchain._identifying_params["ocr_options"] == LINES


# --- scanned documents ------------------------------------------------------------------------------------------------


class Record(NamedTuple):
    text: str
    metadata: dict[str, Any]
    document: Any


def load(framework: Framework, llm: Any, file: Any, *, asynchronous: bool = False, **options: Any) -> list[Record]:
    """Load a document with the framework's loader."""
    if framework == "langchain":
        loader = QwenVLLoader(file, llm=llm, **options)
        documents = asyncio.run(loader.aload()) if asynchronous else loader.load()
        return [Record(document.page_content, document.metadata, document) for document in documents]
    reader = QwenVLReader(llm=llm, **options)
    found = asyncio.run(reader.aload_data(io.BytesIO(file))) if asynchronous else reader.load_data(io.BytesIO(file))
    return [Record(document.text, document.metadata, document) for document in found]


def read_parameters(request: RecordedRequest) -> dict[str, Any]:
    body = json.loads(request.body)
    (message,) = body["input"]["messages"]
    texts = [part["text"] for part in message["content"] if "text" in part]
    return {"ocr_options": body["parameters"].get("ocr_options"), "texts": texts}


@both
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("model", ["qwen-vl-ocr", "qwen3.5-ocr"])
def test_element_mode_has_a_cited_record_for_each_line(
    make: Make, emulator: Emulator, framework: Framework, asynchronous: bool, model: str
) -> None:
    file = scan(1)
    records = load(
        framework, make(framework, model=model), file, asynchronous=asynchronous, mode="element", output="text"
    )
    assert read_parameters(emulator.requests[-1]) == {"ocr_options": LINES, "texts": []}
    assert [record.text for record in records] == [word["text"] for word in WORDS]
    expected = ocr_boxes(WORDS_RESULT, size=size_in(emulator.requests[-1]))
    package = langchain_qwenvl if framework == "langchain" else llama_index_qwenvl
    for record, item in zip(records, expected, strict=True):
        cited = package.citation(record.document)
        assert cited.box is not None
        assert item.box is not None
        assert [cited.box.x0, cited.box.y1] == pytest.approx([item.box.x0, item.box.y1], abs=1e-3)
        assert cited.page_number == 1
    image = package.highlight(records[0].document, file)
    assert image.size == size_in(emulator.requests[-1])


@both
def test_chunk_mode_joins_lines_and_keeps_their_boxes(make: Make, emulator: Emulator, framework: Framework) -> None:
    (record,) = load(framework, make(framework), scan(1), mode="chunk", output="markdown")
    assert record.text == "\n\n".join(word["text"] for word in WORDS)
    assert len(json.loads(record.metadata["bboxes"])) == len(WORDS)
    assert read_parameters(emulator.requests[-1])["ocr_options"] == LINES


@both
@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("html", "<h1>Invoice 7</h1>\n<h2>Items</h2>\n<p>One <b>pen</b>.</p>"),
        ("markdown", "# Invoice 7\n\n## Items\n\nOne **pen**."),
        ("text", "Invoice 7\n\nItems\n\nOne pen."),
    ],
)
@pytest.mark.parametrize("mode", ["page", "single"])
def test_page_mode_converts_latex_to_the_output(
    make: Make, emulator: Emulator, framework: Framework, output: str, text: str, mode: str
) -> None:
    (record,) = load(framework, make(framework), scan(1), mode=mode, output=output)
    assert record.text == text
    assert read_parameters(emulator.requests[-1]) == {"ocr_options": {"task": "document_parsing"}, "texts": []}


@both
@pytest.mark.parametrize(
    ("task", "output", "text"),
    [
        ("table_parsing", "markdown", "| Pen | 9.50 |\n| --- | --- |"),
        ("table_parsing", "text", "Pen | 9.50"),
        ("formula_recognition", "markdown", "$$E = m c ^ { 2 }$$"),
        ("formula_recognition", "html", '<p class="formula">E = m c ^ { 2 }</p>'),
        ("text_recognition", "html", "Invoice 7\nTotal: 9.50"),
        ("multi_lan", "text", "Invoice 7\n发票 7"),
        ("advanced_recognition", "text", "Invoice 7\n\nTotal: 9.50"),
        ("key_information_extraction", "text", '{\n "invoice": "7",\n "total": "7"\n}'),
    ],
)
def test_own_task_of_model_takes_precedence(
    make: Make, emulator: Emulator, framework: Framework, task: str, output: str, text: str
) -> None:
    (record,) = load(framework, make(framework, ocr_options={"task": task}), scan(1), output=output)
    assert record.text == text
    assert read_parameters(emulator.requests[-1]) == {"ocr_options": {"task": task}, "texts": []}


@both
def test_own_rotation_is_kept_with_the_task_of_the_mode(make: Make, emulator: Emulator, framework: Framework) -> None:
    load(framework, make(framework, ocr_options={"enable_rotate": True}), scan(1))
    assert read_parameters(emulator.requests[-1])["ocr_options"] == {"task": "document_parsing"}
    assert b'"enable_rotate":true' in emulator.requests[-1].body


@both
def test_prompt_replaces_the_task_of_pages_and_accompanies_that_of_lines(
    make: Make, emulator: Emulator, framework: Framework
) -> None:
    (record,) = load(framework, make(framework), scan(1), prompt="Read it.")
    assert record.text.startswith("This is the emulator's answer")
    assert read_parameters(emulator.requests[-1]) == {"ocr_options": None, "texts": ["Read it."]}
    load(framework, make(framework), scan(1), prompt="Read it.", mode="element")
    assert read_parameters(emulator.requests[-1]) == {"ocr_options": LINES, "texts": ["Read it."]}


@both
@pytest.mark.parametrize("mode", ["page", "single"])
@pytest.mark.parametrize("output", ["html", "markdown", "text"])
@pytest.mark.parametrize(("prompt", "sent"), [(None, TEXT_PROMPT), ("Read it.", "Read it.")])
def test_compatible_api_gives_the_plain_text_of_pages(
    make: Make, emulator: Emulator, framework: Framework, mode: str, output: str, prompt: str | None, sent: str
) -> None:
    text = "# 1 | a\n\n\n5 < 6 <b>"
    emulator.script(Reply(text=text))
    llm = make(framework, api="openai")
    (record,) = load(framework, llm, scan(1), mode=mode, output=output, prompt=prompt)
    assert record.text == text
    body = json.loads(emulator.requests[-1].body)
    assert body["messages"][0]["content"][1] == {"type": "text", "text": sent}
    assert "ocr_options" not in body


@both
@pytest.mark.parametrize("mode", ["element", "chunk"])
def test_compatible_api_where_boxes_are_needed_raises(
    make: Make, emulator: Emulator, framework: Framework, mode: str
) -> None:
    llm = make(framework, api="openai")
    with pytest.raises(ValueError, match="needs boxes") as error:
        load(framework, llm, scan(1), mode=mode)
    for word in (f"mode='{mode}'", "qwen-vl-ocr", 'api="dashscope"', 'mode="page"'):
        assert word in str(error.value)
    assert emulator.requests == []


@both
@pytest.mark.parametrize("keywords", [{"api": "openai"}, {"model": "qwen3-vl-plus"}, {"ocr_options": {"task": "x"}}])
def test_own_options_that_cannot_be_sent_raise_before_any_request(
    make: Make, emulator: Emulator, framework: Framework, keywords: dict[str, Any]
) -> None:
    llm = make(framework, **{"ocr_options": LINES, **keywords})
    with pytest.raises(ValueError, match="ocr_options"):
        load(framework, llm, scan(1))
    assert emulator.requests == []


@both
def test_cached_lines_need_no_request(make: Make, emulator: Emulator, framework: Framework, tmp_path: Path) -> None:
    first = load(framework, make(framework), scan(2), mode="element", cache_dir=tmp_path)
    emulator.requests.clear()
    second = load(framework, make(framework), scan(2), mode="element", cache_dir=tmp_path)
    assert [(record.text, record.metadata) for record in first] == [(record.text, record.metadata) for record in second]
    assert emulator.requests == []
    load(framework, make(framework), scan(2), mode="page", cache_dir=tmp_path)
    assert len(emulator.requests) == 2


@both
def test_answer_without_result_is_read_from_its_text(make: Make, emulator: Emulator, framework: Framework) -> None:
    cut = '```json\n[{"rotate_rect": [500, 500, 100, 200, 90], "text": "One"},\n{"rotate_rect": [500'
    emulator.script(Reply(text=cut, finish="length"))
    (record,) = load(framework, make(framework), scan(1), mode="element", output="text")
    assert record.text == "One"
    assert json.loads(record.metadata["bbox"]) == [0.4, 0.45, 0.6, 0.55]
    assert record.metadata["truncated"] is True


def test_bound_keywords_of_langchain_are_part_of_the_task(make: Make, emulator: Emulator) -> None:
    llm = make("langchain").bind(ocr_options={"task": "table_parsing"})
    load("langchain", llm, scan(1))
    assert read_parameters(emulator.requests[-1])["ocr_options"] == {"task": "table_parsing"}
    assert isinstance(llm.invoke([build_message("langchain")]), AIMessage)

"""Test batches of chats in both frameworks: the lines, the results in their order, errors in place, lost replies."""

from __future__ import annotations

import asyncio
import json
import pickle
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from pydantic import BaseModel

import langchain_qwenvl
from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import (
    QwenVLContextOverflowError,
    QwenVLError,
    QwenVLInputError,
    QwenVLOutputError,
    QwenVLTimeoutError,
)
from qwenvl_core.transport import batch_calls
from qwenvl_core.wire import batches
from tests.emulator import Emulator, Reply, ToolCall
from tests.support.media_files import grey_png
from tests.support.model_factories import KEY

CLASSES = [ChatQwenVL, QwenVL]
per_adapter = pytest.mark.parametrize("model_class", CLASSES)


@tool
def crop(x: int) -> str:
    """Crop."""
    return str(x)


class Person(BaseModel):
    """A person."""

    name: str


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between looks at a batch."""
    monkeypatch.setattr(batch_calls, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(batch_calls, "_LOOK_UP_PAUSE", 0.01)


def make(model_class: Any, emulator: Emulator, **keywords: Any) -> Any:
    return model_class(**{"base_url": emulator.compat_url, "api_key": KEY, **keywords})


def inputs_of(model_class: Any, *texts: str) -> list[Any]:
    return [text if model_class is ChatQwenVL else [ChatMessage(role="user", content=text)] for text in texts]


def text_of(answer: AIMessage | ChatResponse) -> str:
    return (answer.message.content or "") if isinstance(answer, ChatResponse) else str(answer.content)


def lines_of(emulator: Emulator, index: int = 0) -> list[dict[str, Any]]:
    content = list(emulator.batch_store.files.values())[index]
    return [json.loads(line) for line in content.splitlines()]


def answer_with_question(emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(
        reasoning="Hm.", text=f"You asked: {request.json['messages'][-1]['content']}"
    )


@per_adapter
@pytest.mark.parametrize("is_async", [False, True])
def test_batch_results_are_in_the_order_of_inputs(model_class: Any, is_async: bool, emulator: Emulator) -> None:
    answer_with_question(emulator)
    llm, texts = make(model_class, emulator), [f"Question {index}" for index in range(12)]

    async def run() -> list[Any]:
        job = await llm.asubmit_batch(inputs_of(model_class, *texts))
        assert (await job.apoll()).state == (await job.astatus()).state == "completed"
        results = await job.aresults()
        await llm.aclose()
        return list(results)

    if is_async:
        results = asyncio.run(run())
    else:
        job = llm.submit_batch(inputs_of(model_class, *texts))
        assert job.poll().completed == 12
        results = job.results()
    assert [text_of(result) for result in results] == [f"You asked: {text}" for text in texts]
    first = results[0]
    usage: Any = first.usage_metadata if isinstance(first, AIMessage) else first.raw["usage"]
    assert usage["total_tokens"] > 0


@per_adapter
@pytest.mark.parametrize(
    "settings",
    [{}, {"enable_thinking": False}, {"temperature": 0.0, "max_tokens": 5}, {"extra_body": {"stream": True}}],
)
def test_batch_line_is_the_body_of_the_chat_without_stream(
    model_class: Any, settings: dict[str, Any], emulator: Emulator
) -> None:
    llm = make(model_class, emulator)
    llm.submit_batch(inputs_of(model_class, "Hi"), **settings)
    (line,) = lines_of(emulator)
    emulator.requests.clear()
    llm.invoke("Hi", **settings) if model_class is ChatQwenVL else llm.chat(inputs_of(model_class, "Hi")[0], **settings)
    body = emulator.requests[0].json
    assert line == {
        "custom_id": "0",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {name: value for name, value in body.items() if name not in ("stream", "stream_options")},
    }
    assert "enable_thinking" in line["body"]


@per_adapter
def test_batch_errors_are_in_place(model_class: Any, emulator: Emulator) -> None:
    answer_with_question(emulator)
    refused = {"error": {"code": "data_inspection_failed", "message": "no"}}
    emulator.batch_store.failures = {"1": (400, refused)}
    emulator.batch_store.unanswered = {"2"}
    llm = make(model_class, emulator)
    job = llm.submit_batch(inputs_of(model_class, "a", "b", "c", "d"))
    assert job.poll().failed == 1
    results = job.results()
    assert [isinstance(result, QwenVLError) for result in results] == [False, True, True, False]
    assert results[1].code == "data_inspection_failed"
    assert results[1].request_id == "r-1"
    assert "no result" in str(results[2])
    if model_class is ChatQwenVL:
        assert isinstance(results[1], langchain_qwenvl.QwenVLContentFilterError)


@per_adapter
def test_batch_demand_that_is_not_kept_is_an_error_in_place_also_from_ids(model_class: Any, emulator: Emulator) -> None:
    def respond(request: Any) -> Reply:
        if "good" in json.dumps(request.json["messages"]):
            return Reply(reasoning="Hm.", tool_calls=[ToolCall("1", "crop", '{"x": 1}')])
        return Reply(reasoning="Hm.", text="I won't.")

    emulator.respond = respond
    tools = [crop] if model_class is ChatQwenVL else [make_llama_tool()]
    llm = make(model_class, emulator)
    job = llm.submit_batch(inputs_of(model_class, "good", "bad"), tools=tools, tool_choice="crop")
    job.poll()
    assert "tool_choice" not in lines_of(emulator)[0]["body"] or lines_of(emulator)[0]["body"]["tool_choice"] == "auto"
    for found in (job, pickle.loads(pickle.dumps(job)), llm.batch_job(job.ids)):
        if found._llm.api_key is None:
            found._llm = llm
        good, bad = found.results()
        assert not isinstance(good, QwenVLError)
        assert isinstance(bad, QwenVLOutputError)
        assert bad.partial == "I won't."
        assert bad.reasoning == "Hm."


def make_llama_tool() -> Any:
    from llama_index.core.tools import FunctionTool

    def crop(x: int) -> str:
        """Crop."""
        return str(x)

    return FunctionTool.from_defaults(crop)


@pytest.mark.parametrize("enable_thinking", [True, False])
def test_batch_json_demand_is_read_from_ids(enable_thinking: bool, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(
        text='Here:\n```json\n{"name": "Ada"}\n```' if "good" in json.dumps(request.json) else "Nobody."
    )
    llm = make(ChatQwenVL, emulator, enable_thinking=enable_thinking)
    job = llm.submit_batch(["good", "bad"], response_format=Person)
    job.poll()
    for found in (job, llm.batch_job(job.ids[0])):
        good, bad = found.results()
        assert good.content == '{"name": "Ada"}'
        assert isinstance(bad, QwenVLOutputError) is enable_thinking


@per_adapter
def test_batch_job_without_its_input_file_reports_unchecked_replies(model_class: Any, emulator: Emulator) -> None:
    answer_with_question(emulator)
    llm = make(model_class, emulator)
    texts = [str(index) for index in range(11)]
    job = llm.submit_batch(inputs_of(model_class, *texts))
    job.poll()
    del emulator.batch_store.files[next(iter(emulator.batch_store.files))]
    results = llm.batch_job(job.ids).results()
    assert [text_of(result) for result in results] == [f"You asked: {text}" for text in texts]
    first = results[0]
    notes = (
        first.response_metadata["adjustments"]
        if isinstance(first, AIMessage)
        else first.additional_kwargs["adjustments"]
    )
    assert any("not checked" in note for note in notes)


@pytest.mark.parametrize("retries", [0, 2])
@per_adapter
def test_batch_is_created_once_when_the_reply_is_lost(model_class: Any, retries: int, emulator: Emulator) -> None:
    emulator.batch_store.lost_replies = 1
    job = make(model_class, emulator, max_retries=retries).submit_batch(inputs_of(model_class, "Hi"))
    assert job.ids == list(emulator.batch_store.batches)
    assert len(emulator.batch_store.batches) == 1


@per_adapter
async def test_batch_submission_cancelled_in_its_clean_up_names_the_batches(
    model_class: Any, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, started, may_continue = shutil.rmtree, threading.Event(), threading.Event()

    def remove_later(*args: Any, **keywords: Any) -> None:
        started.set()
        may_continue.wait(10)
        remove(*args, **keywords)

    monkeypatch.setattr(shutil, "rmtree", remove_later)
    llm = make(model_class, emulator)
    task = asyncio.create_task(llm.asubmit_batch(inputs_of(model_class, "Hi")))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    may_continue.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    (batch_id,) = emulator.batch_store.batches
    assert any(batch_id in note for note in caught.value.__notes__)  # else its results are paid for and lost
    await llm.aclose()


def test_bound_model_submits_with_its_keywords(emulator: Emulator) -> None:
    llm = make(ChatQwenVL, emulator)
    bound = llm.with_config(tags=["x"]).bind(temperature=0.5)
    bound.submit_batch(["Hi"])
    llm.bind_tools([crop]).submit_batch(["Hi"])
    assert lines_of(emulator, 0)[0]["body"]["temperature"] == 0.5
    assert lines_of(emulator, 1)[0]["body"]["tools"][0]["function"]["name"] == "crop"
    with pytest.raises(QwenVLInputError, match="configurable"):
        llm.configurable_fields().bind(temperature=1.0).submit_batch(["Hi"])


@per_adapter
def test_batch_of_no_inputs_has_no_ids_and_sends_nothing(model_class: Any, emulator: Emulator) -> None:
    job = make(model_class, emulator).submit_batch([])
    assert (job.ids, job.results(), job.status().state) == ([], [], "completed")
    assert emulator.requests == []


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "native API": ({"api": "dashscope"}, {}, 'api="openai"'),
    "provider": ({"provider": "vllm"}, {}, "Model Studio"),
    "stream-only model": ({"model": "qvq-max"}, {}, "qvq-max"),
    "model without batch files": ({"model": "qwen-vl-max"}, {}, "qwen3-vl-plus"),
    "headers": ({}, {"extra_headers": {"X": "1"}}, "extra_headers"),
    "window": ({}, {"window": "1h"}, "window"),
    "unknown keyword": ({}, {"temperatur": 1}, "temperature"),
}


@per_adapter
@pytest.mark.parametrize(("model", "call", "message"), REFUSED.values(), ids=list(REFUSED))
def test_batch_that_cannot_be_sent_is_refused_before_any_request(
    model_class: Any, model: dict[str, Any], call: dict[str, Any], message: str, emulator: Emulator
) -> None:
    llm = make(model_class, emulator, **model)
    with pytest.raises(QwenVLInputError, match=message):
        llm.submit_batch(inputs_of(model_class, "Hi"), **call)
    assert emulator.requests == []


@per_adapter
@pytest.mark.parametrize("is_async", [False, True])
def test_batch_input_longer_than_the_context_is_refused_with_its_index(
    model_class: Any, is_async: bool, emulator: Emulator
) -> None:
    llm = make(model_class, emulator, model="qwen3.7-plus")
    inputs = inputs_of(model_class, "Hi", "a " * 270_000)
    with pytest.raises(QwenVLContextOverflowError, match=r"inputs\[1\].*270,000 input tokens.*262,144"):
        asyncio.run(llm.asubmit_batch(inputs)) if is_async else llm.submit_batch(inputs)
    assert emulator.requests == []


def build_image_input(length: int) -> list[HumanMessage]:
    url = f"https://example.com/{'x' * length}"
    return [HumanMessage([{"type": "image_url", "image_url": {"url": url}}])]


def test_batch_line_of_exactly_one_mebibyte_is_sent_and_a_longer_one_refused(emulator: Emulator) -> None:
    llm = make(ChatQwenVL, emulator)
    llm.submit_batch([build_image_input(0)])
    rest = batches.MAX_LINE_BYTES - len(next(iter(emulator.batch_store.files.values())).rstrip(b"\n"))
    job = llm.submit_batch([build_image_input(rest)])
    assert job.poll().state == "completed"
    count = len(emulator.requests)
    with pytest.raises(QwenVLInputError, match=r"inputs\[1\].*1,048,577 bytes"):
        llm.submit_batch(["Hi", build_image_input(rest + 1)])
    assert len(emulator.requests) == count


def test_batch_image_goes_inline_even_where_the_model_uploads(tmp_path: Path, emulator: Emulator) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(grey_png())
    llm = make(ChatQwenVL, emulator, upload="always")
    llm.submit_batch([[HumanMessage([{"type": "image", "url": path}])]])
    url = lines_of(emulator)[0]["body"]["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/png;base64,")
    assert emulator.uploads == []
    with pytest.raises(QwenVLInputError, match=r"inputs\[0\].*oss://"):
        llm.submit_batch([[HumanMessage([{"type": "image_url", "image_url": {"url": "oss://a/b.png"}}])]])


@per_adapter
def test_batch_lines_are_split_into_files(
    model_class: Any, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_FILE_LINES", 2)
    answer_with_question(emulator)
    llm = make(model_class, emulator)
    job = llm.submit_batch(inputs_of(model_class, *"abcde"))
    assert len(job.ids) == 3
    job.poll()
    expected = [f"You asked: {text}" for text in "abcde"]
    assert [text_of(result) for result in job.results()] == expected
    assert [text_of(result) for result in llm.batch_job(job.ids).results()] == expected


def test_batch_poll_times_out_and_reports_progress(emulator: Emulator) -> None:
    emulator.batch_store.steps = ["validating", "in_progress"] + ["in_progress"] * 50 + ["completed"]
    job = make(ChatQwenVL, emulator).submit_batch(["Hi"])
    states: list[str] = []
    with pytest.raises(QwenVLTimeoutError, match="in_progress") as caught:
        job.poll(timeout=0.05, progress=lambda status: states.append(status.state))
    assert isinstance(caught.value, langchain_qwenvl.QwenVLTimeoutError)
    assert set(states) == {"in_progress"}
    with pytest.raises(QwenVLInputError, match="in_progress"):
        job.results()
    assert job.cancel().state == "cancelling"
    assert job.poll().state == "cancelled"


@per_adapter
def test_batch_that_failed_has_its_problems_in_place(model_class: Any, emulator: Emulator) -> None:
    job = make(model_class, emulator).submit_batch(inputs_of(model_class, "a", "b"))
    emulator.batch_store.files["file-batch-00000001"] = b'{"custom_id": "0"}\n'
    assert job.poll().state == "failed"
    results = job.results()
    assert len(results) == 2
    assert all(isinstance(result, QwenVLError) and "line 1" in str(result) for result in results)


def test_batch_job_pickle_holds_no_key(emulator: Emulator) -> None:
    for model_class in CLASSES:
        job = make(model_class, emulator).submit_batch(inputs_of(model_class, "Hi"))
        data = pickle.dumps(job)
        assert KEY.encode() not in data
        assert pickle.loads(data).ids == job.ids

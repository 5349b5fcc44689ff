"""Test result files as they may arrive: in any order, with lines that are doubled, broken, unknown or missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import ChatMessage

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLError
from qwenvl_core.transport import retry
from qwenvl_core.types.batch import BatchStatus
from tests.emulator import Emulator, RecordedRequest, Reply
from tests.support.batch_documents import FRAMEWORKS, Documents, LangChainDocuments, count_chats, count_paid_pages
from tests.support.batch_process import shorten_pauses
from tests.support.model_factories import KEY
from tests.support.raw_server import head, raw_server
from tests.support.scanned_pages import answer, page_in, scan

COUNT = 5
per_adapter = pytest.mark.parametrize("model_class", [ChatQwenVL, QwenVL])
Change = Callable[[list[bytes]], bytes]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)
    monkeypatch.setattr(retry, "_FIRST_DELAY", 0.0)


def _respond(request: RecordedRequest) -> Reply:
    return Reply(text=f"Answer {request.json['messages'][-1]['content']}")


def _fail(custom_id: str, **fields: Any) -> bytes:
    return json.dumps({"id": "x", "custom_id": custom_id, "response": None, "error": None} | fields).encode()


CHANGES: dict[str, tuple[Change, str]] = {
    "another order": (lambda lines: b"\n".join(lines[2:] + lines[:2]), "01234"),
    "CR LF": (lambda lines: b"\r\n".join(lines) + b"\r\n", "01234"),
    "blank lines": (lambda lines: b"\n\n \n" + b"\n\t\n\r\n".join(lines) + b"\n\n", "01234"),
    "byte order mark": (lambda lines: b"\xef\xbb\xbf" + b"\n".join(lines), "01234"),
    "doubled lines": (lambda lines: b"\n".join(lines * 2), "01234"),
    "an error after the answer": (
        lambda lines: b"\n".join([*lines, _fail("3", error={"code": "x", "message": "late"})]), "01234"),
    "an error before the answer": (
        lambda lines: b"\n".join([_fail("3", error={"code": "x", "message": "early"}), *lines]), "01234"),
    "unknown ids": (lambda lines: b"\n".join([_fail("99"), _fail("x"), *lines]), "01234"),
    "broken lines": (
        lambda lines: b"\n".join([b"{", b"null", b"[1]", b'"x"', b"\xff\xfe", b"[" * 9999, lines[0][:40], *lines[1:]]),
        "-1234",
    ),
    "missing lines": (lambda lines: b"\n".join([lines[1], lines[4]]), "-1--4"),
    "nothing": (lambda lines: b"", "-----"),
    "errors in all shapes": (
        lambda lines: b"\n".join(
            [
                _fail("0", response={"status_code": 400, "request_id": "r", "body": {"error": {"message": "no"}}}),
                _fail("1", response={"status_code": "400", "body": {"code": "InvalidParameter", "message": "no"}}),
                _fail("2", error={"code": "batch_expired", "message": "no"}),
                _fail("3", response={"status_code": 200, "body": "text"}),
                _fail("4", response=[], error="no"),
            ]
        ),
        "-----",
    ),
}  # fmt: skip


def _text_of(result: Any) -> str:
    return str(result.content if isinstance(result, AIMessage) else result.message.content)


@per_adapter
@pytest.mark.parametrize("name", CHANGES)
def test_results_of_damaged_file_are_in_order_with_errors_in_place(
    model_class: Any, name: str, emulator: Emulator
) -> None:
    emulator.respond = _respond
    llm = model_class(base_url=emulator.compat_url, api_key=KEY, enable_thinking=False)
    inputs = [str(i) if model_class is ChatQwenVL else [ChatMessage(str(i))] for i in range(COUNT)]
    job = llm.submit_batch(inputs)
    job.poll()
    change, expected = CHANGES[name]
    store = emulator.batch_store
    (file_id,) = (batch.output_file_id for batch in store.batches.values())
    assert file_id
    store.files[file_id] = change(
        sorted(store.files[file_id].splitlines(), key=lambda line: json.loads(line)["custom_id"])
    )

    async def read() -> list[Any]:
        results = await job.aresults()
        await llm.aclose()
        return list(results)

    for results in (job.results(), asyncio.run(read()), llm.batch_job(job.ids).results()):
        assert len(results) == COUNT
        assert (
            "".join("-" if isinstance(result, QwenVLError) else _text_of(result)[-1] for result in results) == expected
        )
        if name == "broken lines":
            assert "can't be read: 7" in str(results[0])


@per_adapter
@pytest.mark.parametrize("state", ["completed", "expired", "cancelled", "failed"])
def test_batch_without_result_files_has_an_error_in_each_place(
    model_class: Any, state: str, emulator: Emulator
) -> None:
    emulator.batch_store.steps = ["validating", "in_progress", state]
    emulator.batch_store.unanswered = {str(i) for i in range(COUNT)}
    llm = model_class(base_url=emulator.compat_url, api_key=KEY)
    job = llm.submit_batch([str(i) if model_class is ChatQwenVL else [ChatMessage(str(i))] for i in range(COUNT)])
    assert job.poll().state == state
    assert [f"is {state}" in str(result) for result in job.results()] == [True] * COUNT


@pytest.fixture
def file(tmp_path: Path, emulator: Emulator) -> Path:
    emulator.respond = answer
    path = tmp_path / "scan.pdf"
    path.write_bytes(scan(3))
    return path


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_broken_line_of_a_page_is_a_failure_of_that_page_alone(
    framework: type[Documents], file: Path, emulator: Emulator
) -> None:
    documents = framework(emulator.compat_url, file, cache_dir=file.parent / "cache", on_error="skip")
    job = documents.submit()
    job.poll()
    store = emulator.batch_store
    (file_id,) = (batch.output_file_id for batch in store.batches.values())
    assert file_id
    lines = store.files[file_id].splitlines()
    store.files[file_id] = b"\r\n".join([lines[2], b"", lines[0][:99], lines[1], lines[1]])
    assert documents.collect().state == "completed"
    assert len(documents.load()) == 2
    assert len(documents.loader.failures) == 1
    documents.submit()
    documents.collect(wait=True)
    assert sorted(count_paid_pages(emulator).values()) == [1, 1, 2]
    assert len(documents.load()) == 3
    assert count_chats(emulator) == 0


@pytest.mark.parametrize("is_async", [False, True])
def test_batch_with_missing_result_file_does_not_prevent_collecting_another(
    is_async: bool, file: Path, emulator: Emulator
) -> None:
    other = file.parent / "other.pdf"
    other.write_bytes(scan(2, height=384))
    cache = file.parent / "cache"
    gone, kept = (LangChainDocuments(emulator.compat_url, path, cache_dir=cache) for path in (file, other))
    for documents in (gone, kept):
        documents.submit().poll()
    first = next(iter(emulator.batch_store.batches.values()))
    assert first.output_file_id
    content = emulator.batch_store.files.pop(first.output_file_id)

    async def collect() -> None:
        try:
            await gone.acollect(wait=True)
        finally:
            await gone.llm.aclose()

    with pytest.raises(QwenVLError, match="No such File"):
        asyncio.run(collect()) if is_async else gone.collect(wait=True)
    assert len(kept.load()) == 2
    emulator.batch_store.files[first.output_file_id] = content
    assert gone.collect(wait=True).state == "completed"
    assert len(gone.load()) == 3
    assert set(count_paid_pages(emulator).values()) == {1}


@pytest.mark.parametrize("is_async", [False, True])
def test_download_that_is_interrupted_at_each_line_is_completed(is_async: bool) -> None:
    """Each attempt brings one line more before the connection breaks, more often than requests are repeated."""
    lines = [
        json.dumps({"custom_id": str(i), "response": {"status_code": 200, "body": body}}).encode() + b"\n"
        for i in range(6)
        for body in [{"choices": [{"index": 0, "message": {"content": f"Answer {i}"}, "finish_reason": "stop"}]}]
    ]
    content = b"".join(lines)
    batch = {"id": "b", "status": "completed", "input_file_id": "", "output_file_id": "o", "request_counts": None}
    description = json.dumps(batch).encode()
    json_head = head(f"Content-Length: {len(description)}", kind="application/json")
    file_head = head(f"Content-Length: {len(content)}", kind="application/octet-stream")
    cuts = [[file_head, b"".join(lines[: i + 1])[:-3], b""] for i in range(1, 6)]
    with raw_server([json_head, description], *cuts, [file_head, content]) as server:
        llm = ChatQwenVL(base_url=server.url, api_key=KEY, provider="model-studio", max_retries=1)

        async def read() -> list[Any]:
            results = await llm.batch_job("b").aresults()
            await llm.aclose()
            return results

        results = asyncio.run(read()) if is_async else llm.batch_job("b").results()
        llm.close()
    assert [_text_of(result) for result in results] == [f"Answer {i}" for i in range(6)]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_refused_creation_does_not_prevent_submitting_and_collecting_others(
    framework: type[Documents], file: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [file.parent / f"{height}.pdf" for height in (384, 416)]
    for path in paths:
        path.write_bytes(scan(2, height=int(path.stem)))
    first, refused, other = (
        framework(emulator.compat_url, path, cache_dir=file.parent / "cache") for path in (file, *paths)
    )
    first.submit()
    create, store = emulator.batch_store._create, emulator.batch_store
    refused_id = f"file-batch-{len(store.files) + 1:08d}"

    def refuse_one(body: dict[str, Any]) -> tuple[int, bytes]:
        error = {"error": {"code": "invalid_parameter_error", "message": "no such batch"}}
        return (400, json.dumps(error).encode()) if body["input_file_id"] == refused_id else create(body)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_create", refuse_one)
        for call in (refused.submit, other.submit, lambda: first.collect(wait=True)):
            with pytest.raises(QwenVLError, match="no such batch"):
                call()
    assert len(store.batches) == 2
    assert (len(first.load()), len(other.load())) == (3, 2)
    refused.submit()
    refused.collect(wait=True)
    assert len(refused.load()) == 2
    assert set(count_paid_pages(emulator).values()) == {1}
    assert count_chats(emulator) == 0


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_lone_surrogates_in_results_do_not_prevent_collecting(
    framework: type[Documents], file: Path, emulator: Emulator
) -> None:
    """A text that is cut within a character may end with half of it: JSON can escape that, UTF-8 can't encode it."""
    emulator.respond = lambda request: Reply(text="Cut HALF", finish="length" if page_in(request) == 3 else "stop")
    documents = framework(
        emulator.compat_url, file, cache_dir=file.parent / "cache", output="text", on_error="skip", mode="page"
    )
    store, job = emulator.batch_store, documents.submit()
    refused = {"error": {"code": "data_inspection_failed", "message": "refused HALF"}}
    store.failures = {next(iter(count_paid_pages(emulator))): (400, refused)}
    job.poll()
    store.files = {name: content.replace(b"HALF", b"\\ud83d") for name, content in store.files.items()}
    assert documents.collect() == BatchStatus("completed", 3, 2, 1)
    assert documents.load() == ["Cut \ufffd"] * 2  # as HTML readers replace it
    ((_, error),) = documents.loader.failures
    assert "refused \\ud83d" in str(error)
    assert count_chats(emulator) == 0

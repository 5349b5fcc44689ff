"""Test batches that the service has lost, in whole or their answers: nothing is submitted anew; the way out works."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from langchain_core.exceptions import LangChainException
from llama_index.core.base.llms.types import ChatMessage

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core import errors
from qwenvl_core.documents.batch_state import BatchState, build_record, describe_error
from qwenvl_core.errors import QwenVLError, QwenVLPageError
from tests.emulator import Emulator
from tests.support.batch_documents import FRAMEWORKS, Documents, LangChainDocuments, count_chats, count_paid_pages
from tests.support.batch_process import shorten_pauses
from tests.support.model_factories import KEY
from tests.support.scanned_pages import answer, scan


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)


@pytest.fixture
def file(tmp_path: Path, emulator: Emulator) -> Path:
    emulator.respond = answer
    path = tmp_path / "scan.pdf"
    path.write_bytes(scan(2))
    return path


def lose_batch(emulator: Emulator) -> None:
    emulator.batch_store.batches.clear()


def lose_answers(emulator: Emulator) -> None:
    store = emulator.batch_store
    for batch in store.batches.values():
        store.files.pop(batch.output_file_id or "")


async def _acollect(documents: Documents, wait: bool) -> None:
    try:
        await documents.acollect(wait=wait)
    finally:
        await documents.llm.aclose()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("lose", "is_async"), [(lose_batch, False), (lose_answers, True)])
def test_lost_batch_of_pages_names_its_state_file_and_is_submitted_again_without_it(
    framework: type[Documents], lose: Any, is_async: bool, file: Path, emulator: Emulator
) -> None:
    documents = framework(emulator.compat_url, file, cache_dir=file.parent / "cache", on_error="skip")
    documents.submit().poll()
    lose(emulator)
    created = [request.route for request in emulator.requests if request.method == "POST"]
    (path,) = (documents.cache / "batches").glob("*.json")
    for wait in (False, True):
        with pytest.raises(QwenVLError, match=f"(?s)delete .*{path.name} and call submit_batch") as caught:
            asyncio.run(_acollect(documents, wait)) if is_async else documents.collect(wait=wait)
        assert caught.value.status_code == 404
        assert framework is not LangChainDocuments or isinstance(caught.value, LangChainException)
    with pytest.raises(QwenVLPageError, match="waits in batch"):
        documents.load()
    documents.submit()
    assert [request.route for request in emulator.requests if request.method == "POST"] == created
    path.unlink()
    documents.submit()
    documents.collect(wait=True)
    assert len(documents.load()) == 2
    assert count_chats(emulator) == 0


def test_lost_batch_does_not_end_the_wait_for_another(file: Path, emulator: Emulator) -> None:
    other = file.parent / "other.pdf"
    other.write_bytes(scan(2, height=384))
    lost, kept = (
        LangChainDocuments(emulator.compat_url, path, cache_dir=file.parent / "cache") for path in (file, other)
    )
    lost.submit()
    lose_batch(emulator)
    emulator.batch_store.batches["placeholder"] = None  # type: ignore[assignment]  # the next id is another
    kept.submit()
    del emulator.batch_store.batches["placeholder"]
    with pytest.raises(QwenVLError, match="was not found"):
        lost.collect(wait=True)
    assert len(kept.load()) == 2
    assert set(count_paid_pages(emulator).values()) == {1}


@pytest.mark.parametrize("model_class", [ChatQwenVL, QwenVL])
@pytest.mark.parametrize("name", ["status", "poll", "results", "cancel"])
def test_lost_job_names_its_batch_and_why_it_may_be_unknown(model_class: Any, name: str, emulator: Emulator) -> None:
    job = model_class(base_url=emulator.compat_url, api_key=KEY).batch_job("batch_x")

    async def run() -> None:
        try:
            await getattr(job, f"a{name}")()
        finally:
            await job._llm.aclose()

    for call in (getattr(job, name), lambda: asyncio.run(run())):
        with pytest.raises(QwenVLError, match=r"Batch batch_x was not found.*API key, region= and base_url="):
            call()


def test_refused_creation_names_its_state_file_and_what_giving_up_costs(file: Path, emulator: Emulator) -> None:
    documents = LangChainDocuments(emulator.compat_url, file, cache_dir=file.parent / "cache")
    refusal = {"error": {"message": "The model has no batches.", "code": "InvalidParameter"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulator.batch_store, "_create", lambda body: (400, json.dumps(refusal).encode()))
        with pytest.raises(QwenVLError, match=r"has no batches.*delete .*\.json .*none of them was billed"):
            documents.submit()
    (path,) = (documents.cache / "batches").glob("*.json")
    path.unlink()
    documents.submit()
    assert len(emulator.batch_store.batches) == 1
    assert set(count_paid_pages(emulator).values()) == {1}


CORE_CLASSES = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, QwenVLError)]


@pytest.mark.parametrize("cls", CORE_CLASSES)
def test_error_of_a_page_is_read_from_the_state_as_it_was(cls: type[QwenVLError], tmp_path: Path) -> None:
    error = cls("half \ud83d", code="c", status_code=400, request_id="r", partial="p \ud83d", hint="Submit it again.")
    record = build_record("group", 0, "model", "24h")
    record.pages, record.is_collected, record.outcomes = {"key": 1}, True, {"key": describe_error(error)}
    state = BatchState(tmp_path)
    state.folder.mkdir()
    state.save(record)
    assert [asdict(each) for each in BatchState(tmp_path).read_records()] == [asdict(record)]
    with pytest.raises(QwenVLError) as caught:
        BatchState(tmp_path).find_outcome("key")
    assert type(caught.value) is cls
    assert vars(caught.value) == vars(error)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_page_without_an_answer_has_the_class_and_hint_of_its_batch(state: str, file: Path, emulator: Emulator) -> None:
    documents = LangChainDocuments(emulator.compat_url, file, cache_dir=file.parent / "cache", on_error="skip")
    emulator.batch_store.steps = ["validating", state]
    documents.submit()
    emulator.batch_store.unanswered = set(count_paid_pages(emulator))
    if state == "failed":
        emulator.batch_store.files = dict.fromkeys(emulator.batch_store.files, b"{}\n")
    documents.collect(wait=True)
    assert documents.load() == []
    error = documents.loader.failures[0][1]
    if state == "failed":
        assert isinstance(error, errors.QwenVLInvalidRequestError)
        assert "line 1" in str(error)
    else:
        assert isinstance(error, errors.QwenVLAPIError)
        assert "Submit the request again." in str(error)


@pytest.mark.parametrize("model_class", [ChatQwenVL, QwenVL])
async def test_cancellation_while_the_temporary_folder_is_created_leaves_none(
    model_class: Any, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, has_begun, may_continue = tempfile.mkdtemp, threading.Event(), threading.Event()

    def create_later(**keywords: Any) -> str:
        path: str = original(**keywords)
        has_begun.set()
        may_continue.wait(10)
        return path

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", create_later)
    llm = model_class(base_url=emulator.compat_url, api_key=KEY)
    inputs: list[Any] = ["Hi"] if model_class is ChatQwenVL else [[ChatMessage("Hi")]]
    task = asyncio.create_task(llm.asubmit_batch(inputs))
    await asyncio.to_thread(has_begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    may_continue.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await llm.aclose()
    assert list(tmp_path.iterdir()) == []
    assert emulator.requests == []

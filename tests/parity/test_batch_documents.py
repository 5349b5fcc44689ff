"""Test batches of scanned pages in both frameworks: submitted, collected elsewhere, failed in part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from llama_index.core.base.llms.types import ChatMessage
from PIL import Image

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.documents.transcription import Transcription
from qwenvl_core.errors import QwenVLError, QwenVLInputError, QwenVLPageError, QwenVLTimeoutError
from qwenvl_core.rendering.pages import shrink_jpeg
from qwenvl_core.transport import batch_calls
from qwenvl_core.types.batch import BatchStatus
from qwenvl_core.wire import batches
from tests.emulator import Emulator, Reply
from tests.support.batch_documents import (
    FRAMEWORKS,
    Documents,
    LangChainDocuments,
    count_chats,
    count_paid_pages,
)
from tests.support.model_factories import KEY
from tests.support.scanned_pages import answer, page_in, scan

both = pytest.mark.parametrize("framework", FRAMEWORKS)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_calls, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(batch_calls, "_LOOK_UP_PAUSE", 0.01)


@pytest.fixture
def file(tmp_path: Path, emulator: Emulator) -> Path:
    emulator.respond = answer
    path = tmp_path / "scan.pdf"
    path.write_bytes(scan(3))
    return path


@both
def test_batch_of_pages_is_collected_by_another_object_and_loads_without_requests(
    framework: Any, file: Path, emulator: Emulator
) -> None:
    expected = framework(emulator.compat_url, file).load()
    emulator.requests.clear()
    cache = file.parent / "cache"
    job = framework(emulator.compat_url, file, cache_dir=cache).submit()
    with pytest.raises(QwenVLInputError, match="collect_batch"):
        job.results()
    assert framework(emulator.compat_url, file, cache_dir=cache).submit().ids == job.ids
    states: list[str] = []
    documents = framework(emulator.compat_url, file, cache_dir=cache)
    status = documents.collect(wait=True, progress=lambda status: states.append(status.state))
    assert status == BatchStatus("completed", 3, 3, 0)
    assert states[-1] == "completed"
    assert documents.load() == expected
    assert count_chats(emulator) == 0
    assert documents.collect() == status
    assert len(emulator.batch_store.batches) == 1


@both
def test_pages_that_wait_in_a_batch_are_not_requested(framework: Any, file: Path, emulator: Emulator) -> None:
    documents = framework(emulator.compat_url, file, cache_dir=file.parent / "cache", on_error="skip")
    emulator.batch_store.steps = ["validating", *["in_progress"] * 200, "completed"]
    documents.submit()
    with pytest.raises(QwenVLPageError, match="waits in batch"):
        documents.load()
    assert documents.collect().state == "in_progress"
    with pytest.raises(QwenVLTimeoutError):
        documents.collect(wait=True, timeout=0.05)
    assert count_chats(emulator) == 0


@both
def test_failed_and_cut_pages_are_outcomes_and_submitted_alone(framework: Any, file: Path, emulator: Emulator) -> None:
    def respond(request: Any) -> Reply:
        return Reply(text="cut", finish="length") if page_in(request) == 2 else answer(request)

    emulator.respond = respond
    cache = file.parent / "cache"
    documents = framework(emulator.compat_url, file, cache_dir=cache, on_error="skip", output="text")
    documents.submit()
    keys = list(count_paid_pages(emulator))
    refused = {"error": {"code": "data_inspection_failed", "message": "refused"}}
    emulator.batch_store.failures = {keys[0]: (400, refused)}
    assert documents.collect(wait=True).failed == 1
    assert len(documents.load()) == 2
    ((number, error),) = documents.loader.failures
    assert number == 1
    assert isinstance(error, QwenVLError)
    assert error.code == "data_inspection_failed"
    with pytest.raises(QwenVLPageError, match="refused"):
        framework(emulator.compat_url, file, cache_dir=cache).load()
    assert count_chats(emulator) == 0
    emulator.batch_store.failures, emulator.respond = {}, answer
    documents.submit()
    documents.collect(wait=True)
    assert count_paid_pages(emulator) == {keys[0]: 2, keys[1]: 2, keys[2]: 1}
    assert len(documents.load()) == 3
    assert documents.loader.failures == []
    assert count_chats(emulator) == 0


@both
@pytest.mark.parametrize("state", ["expired", "cancelled", "failed"])
def test_results_of_unfinished_batches_are_used(framework: Any, state: str, file: Path, emulator: Emulator) -> None:
    documents = framework(emulator.compat_url, file, cache_dir=file.parent / "cache", on_error="skip")
    emulator.batch_store.steps = ["validating", "in_progress", state]
    documents.submit()
    keys = list(count_paid_pages(emulator))
    emulator.batch_store.unanswered = {keys[1]}
    assert documents.collect(wait=True).state == state
    assert len(documents.load()) == (0 if state == "failed" else 2)
    assert f"is {state}" in str(documents.loader.failures[0][1])
    assert count_chats(emulator) == 0


@both
def test_lost_reply_to_the_creation_is_found_again(framework: Any, file: Path, emulator: Emulator) -> None:
    emulator.batch_store.lost_replies = 1
    documents = framework(emulator.compat_url, file, cache_dir=file.parent / "cache")
    documents.submit()
    assert set(count_paid_pages(emulator).values()) == {1}


@both
def test_page_that_is_too_large_for_a_line_is_reduced_and_marked(
    framework: Any, file: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = file.parent / "cache"
    documents = framework(emulator.compat_url, file, cache_dir=cache)
    monkeypatch.setattr(batches, "MAX_LINE_BYTES", 3500)
    documents.submit()
    documents.collect(wait=True)
    sizes = [len(line) for line in next(iter(emulator.batch_store.files.values())).splitlines()]
    assert max(sizes) <= 3500
    pages = documents.loader.load() if framework is LangChainDocuments else documents.loader.load_data(file)
    assert any(page.metadata["image_reduced"] for page in pages)
    assert count_chats(emulator) == 0


@both
@pytest.mark.parametrize("mode", ["page", "element", "chunk", "single"])
def test_keys_of_records_depend_on_cache_dir_only(
    framework: type[Documents], mode: str, file: Path, emulator: Emulator
) -> None:
    plain = framework(emulator.compat_url, file, mode=mode)
    cached = framework(emulator.compat_url, file, mode=mode, cache_dir=file.parent / "cache")
    cached.submit()
    cached.collect(wait=True)
    without, with_cache = plain.list_metadata(), cached.list_metadata()
    assert {*with_cache[0]} - {*without[0]} == {"image_reduced"}
    assert all(metadata["image_reduced"] is False for metadata in with_cache)


def test_shrink_jpeg_keeps_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "noise.jpg"
    Image.effect_noise((800, 600), 90).save(path, quality=95)
    for limit in (100_000, 20_000, 5_000):
        assert len(shrink_jpeg(path.read_bytes(), limit)) <= limit


@both
def test_page_collected_between_its_look_up_and_the_reading_of_the_state_is_not_requested(
    framework: type[Documents], file: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents, other = (framework(emulator.compat_url, file, cache_dir=file.parent / "cache") for _ in range(2))
    documents.submit()
    original = Transcription._look_up_page

    def look_up_and_collect(transcription: Transcription, *args: Any) -> Any:
        result = original(transcription, *args)
        other.collect(wait=True)  # as another process may at this moment
        return result

    monkeypatch.setattr(Transcription, "_look_up_page", look_up_and_collect)
    assert len(documents.load()) == 3
    assert count_chats(emulator) == 0


@both
def test_batch_needs_cache_dir(framework: Any, file: Path, emulator: Emulator) -> None:
    for call in (framework(emulator.compat_url, file).submit, framework(emulator.compat_url, file).collect):
        with pytest.raises(QwenVLInputError, match="cache_dir"):
            call()


@both
async def test_async_batch_of_pages_is_that_of_sync_calls_and_does_not_block(
    framework: type[Documents], file: Path, emulator: Emulator
) -> None:
    documents = framework(emulator.compat_url, file, cache_dir=file.parent / "cache")
    states: list[str] = []
    with blockbuster_ctx(["qwenvl_core", "langchain_qwenvl", "llama_index_qwenvl"]):
        job = await documents.asubmit()
        assert (await documents.asubmit()).ids == job.ids
        status = await documents.acollect(wait=True, progress=lambda status: states.append(status.state))
        await documents.llm.aclose()
    assert (status.state, states[-1]) == ("completed", "completed")
    assert len(documents.load()) == 3
    assert count_chats(emulator) == 0


@pytest.mark.parametrize("model_class", [ChatQwenVL, QwenVL])
async def test_async_batch_of_chats_does_not_block(model_class: Any, emulator: Emulator) -> None:
    llm = model_class(base_url=emulator.compat_url, api_key=KEY)
    inputs: list[Any] = ["Hi"] if model_class is ChatQwenVL else [[ChatMessage(role="user", content="Hi")]]
    with blockbuster_ctx(["qwenvl_core", "langchain_qwenvl", "llama_index_qwenvl"]):
        job = await llm.asubmit_batch(inputs)
        await job.apoll()
        assert len(await job.aresults()) == 1
        await llm.aclose()

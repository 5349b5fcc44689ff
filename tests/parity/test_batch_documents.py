"""Test batches of scanned pages in both frameworks: submitted, collected elsewhere, interrupted at any point."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import pytest
from PIL import Image

from langchain_qwenvl import ChatQwenVL, QwenVLLoader
from llama_index_qwenvl import QwenVL, QwenVLReader
from qwenvl_core.documents.batch_state import BatchState
from qwenvl_core.documents.page_cache import PageCache
from qwenvl_core.errors import QwenVLError, QwenVLInputError, QwenVLPageError, QwenVLTimeoutError
from qwenvl_core.rendering.pages import shrink_jpeg
from qwenvl_core.transport import batch_calls, batch_io
from qwenvl_core.types.batch import BatchStatus
from qwenvl_core.wire import batches
from tests.emulator import Emulator, Reply
from tests.support.model_factories import KEY
from tests.support.scanned_pages import answer, page_in, scan


class Documents(Protocol):
    """A loader or reader of one file."""

    def submit(self) -> Any: ...

    def collect(self, **keywords: Any) -> BatchStatus: ...

    def load(self) -> list[str]: ...


class LangChainDocuments:
    def __init__(self, emulator: Emulator, file: Path, **options: Any) -> None:
        llm = ChatQwenVL(base_url=emulator.compat_url, api_key=KEY, enable_thinking=False)
        self.loader = QwenVLLoader(file, llm=llm, **options)
        self.submit = self.loader.submit_batch
        self.collect = self.loader.collect_batch

    def load(self) -> list[str]:
        return [document.page_content for document in self.loader.load()]


class LlamaIndexDocuments:
    def __init__(self, emulator: Emulator, file: Path, **options: Any) -> None:
        llm = QwenVL(base_url=emulator.compat_url, api_key=KEY, enable_thinking=False)
        self.loader, self.file = QwenVLReader(llm=llm, **options), file
        self.collect = self.loader.collect_batch

    def submit(self) -> Any:
        return self.loader.submit_batch(self.file)

    def load(self) -> list[str]:
        return [document.text for document in self.loader.load_data(self.file)]


both = pytest.mark.parametrize("framework", [LangChainDocuments, LlamaIndexDocuments])


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


def count_answers(emulator: Emulator) -> Counter[str]:
    """Return how often each page was paid for: once for each batch whose input file has it."""
    inputs = [emulator.batch_store.files[batch.input_file_id] for batch in emulator.batch_store.batches.values()]
    return Counter(json.loads(line)["custom_id"] for content in inputs for line in content.splitlines())


def count_chats(emulator: Emulator) -> int:
    return sum(request.route.endswith("/chat/completions") for request in emulator.requests)


@both
def test_batch_of_pages_is_collected_by_another_object_and_loads_without_requests(
    framework: Any, file: Path, emulator: Emulator
) -> None:
    expected = framework(emulator, file).load()
    emulator.requests.clear()
    cache = file.parent / "cache"
    job = framework(emulator, file, cache_dir=cache).submit()
    with pytest.raises(QwenVLInputError, match="collect_batch"):
        job.results()
    assert framework(emulator, file, cache_dir=cache).submit().ids == job.ids
    states: list[str] = []
    documents = framework(emulator, file, cache_dir=cache)
    status = documents.collect(wait=True, progress=lambda status: states.append(status.state))
    assert status == BatchStatus("completed", 3, 3, 0)
    assert states[-1] == "completed"
    assert documents.load() == expected
    assert count_chats(emulator) == 0
    assert documents.collect() == status
    assert len(emulator.batch_store.batches) == 1


@both
def test_pages_that_wait_in_a_batch_are_not_requested(framework: Any, file: Path, emulator: Emulator) -> None:
    documents = framework(emulator, file, cache_dir=file.parent / "cache", on_error="skip")
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
    documents = framework(emulator, file, cache_dir=cache, on_error="skip", output="text")
    documents.submit()
    keys = list(count_answers(emulator))
    refused = {"error": {"code": "data_inspection_failed", "message": "refused"}}
    emulator.batch_store.failures = {keys[0]: (400, refused)}
    assert documents.collect(wait=True).failed == 1
    assert len(documents.load()) == 2
    ((number, error),) = documents.loader.failures
    assert number == 1
    assert isinstance(error, QwenVLError)
    assert error.code == "data_inspection_failed"
    with pytest.raises(QwenVLPageError, match="refused"):
        framework(emulator, file, cache_dir=cache).load()
    assert count_chats(emulator) == 0
    emulator.batch_store.failures, emulator.respond = {}, answer
    documents.submit()
    documents.collect(wait=True)
    assert count_answers(emulator) == {keys[0]: 2, keys[1]: 2, keys[2]: 1}
    assert len(documents.load()) == 3
    assert documents.loader.failures == []
    assert count_chats(emulator) == 0


@both
@pytest.mark.parametrize("state", ["expired", "cancelled", "failed"])
def test_results_of_unfinished_batches_are_used(framework: Any, state: str, file: Path, emulator: Emulator) -> None:
    documents = framework(emulator, file, cache_dir=file.parent / "cache", on_error="skip")
    emulator.batch_store.steps = ["validating", "in_progress", state]
    documents.submit()
    keys = list(count_answers(emulator))
    emulator.batch_store.unanswered = {keys[1]}
    assert documents.collect(wait=True).state == state
    assert len(documents.load()) == (0 if state == "failed" else 2)
    assert f"is {state}" in str(documents.loader.failures[0][1])
    assert count_chats(emulator) == 0


class Crash(BaseException):
    """The process ends here."""


def crash_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program end before or after the step with this number: a request, a line, or a write to disk."""
    count = 0
    for owner, name in (
        (BatchState, "save"),
        (BatchState, "add_record"),
        (PageCache, "put"),
        (batch_io, "_perform"),
    ):
        original = getattr(owner, name)

        def wrapped(*args: Any, original: Any = original) -> Any:
            nonlocal count
            count += 2
            number = count
            if number - 1 == step:
                raise Crash
            result = original(*args)
            if number == step:
                raise Crash
            return result

        monkeypatch.setattr(owner, name, wrapped)


@both
def test_crash_at_any_point_pays_for_nothing_twice(
    framework: Any, file: Path, emulator: Emulator, tmp_path: Path
) -> None:
    for step in range(1, 60):
        emulator.reset()
        emulator.respond = answer
        cache = tmp_path / f"cache-{step}"
        has_crashed = False
        with pytest.MonkeyPatch.context() as patch:
            crash_at(step, patch)
            documents = framework(emulator, file, cache_dir=cache)
            try:
                documents.submit()
                documents.collect(wait=True)
            except Crash:
                has_crashed = True
        documents = framework(emulator, file, cache_dir=cache)
        documents.submit()
        documents.collect(wait=True)
        assert len(documents.load()) == 3
        assert set(count_answers(emulator).values()) == {1}, step
        assert count_chats(emulator) == 0
        assert not list((cache / "batches").glob("*.jsonl"))
        if not has_crashed:
            break
    assert step > 20
    assert not has_crashed


@both
def test_lost_reply_to_the_creation_is_found_again(framework: Any, file: Path, emulator: Emulator) -> None:
    emulator.batch_store.lost_replies = 1
    documents = framework(emulator, file, cache_dir=file.parent / "cache")
    documents.submit()
    assert set(count_answers(emulator).values()) == {1}


@both
def test_damaged_state_is_an_error_that_names_the_file(framework: Any, file: Path, emulator: Emulator) -> None:
    documents = framework(emulator, file, cache_dir=file.parent / "cache")
    documents.submit()
    (path,) = (file.parent / "cache" / "batches").glob("*.json")
    path.write_text('{"name": "')
    for call in (documents.submit, documents.collect):
        with pytest.raises(QwenVLInputError, match=path.name):
            call()
    assert len(emulator.batch_store.batches) == 1


@both
def test_page_that_is_too_large_for_a_line_is_reduced_and_marked(
    framework: Any, file: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = file.parent / "cache"
    documents = framework(emulator, file, cache_dir=cache)
    monkeypatch.setattr(batches, "MAX_LINE_BYTES", 3500)
    documents.submit()
    documents.collect(wait=True)
    sizes = [len(line) for line in next(iter(emulator.batch_store.files.values())).splitlines()]
    assert max(sizes) <= 3500
    pages = documents.loader.load() if framework is LangChainDocuments else documents.loader.load_data(file)
    assert any(page.metadata["image_reduced"] for page in pages)
    assert count_chats(emulator) == 0


def test_shrink_jpeg_keeps_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "noise.jpg"
    Image.effect_noise((800, 600), 90).save(path, quality=95)
    for limit in (100_000, 20_000, 5_000):
        assert len(shrink_jpeg(path.read_bytes(), limit)) <= limit


@both
def test_batch_needs_cache_dir(framework: Any, file: Path, emulator: Emulator) -> None:
    for call in (framework(emulator, file).submit, framework(emulator, file).collect):
        with pytest.raises(QwenVLInputError, match="cache_dir"):
            call()


def test_async_batches_of_pages_are_those_of_sync_calls(file: Path, emulator: Emulator) -> None:
    loader = LangChainDocuments(emulator, file, cache_dir=file.parent / "a").loader
    reader = LlamaIndexDocuments(emulator, file, cache_dir=file.parent / "b").loader

    async def run() -> list[str]:
        await loader.asubmit_batch()
        await reader.asubmit_batch(file)
        return [(await loader.acollect_batch(wait=True)).state, (await reader.acollect_batch(True)).state]

    assert asyncio.run(run()) == ["completed", "completed"]
    assert len(loader.load()) == len(reader.load_data(file)) == 3
    assert count_chats(emulator) == 0

"""Test that batches of pages, interrupted at any point, are completed later without paying for a page twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from qwenvl_core.documents.batch_state import BatchRecord, BatchState, FolderLock
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.transport import batch_io
from tests.emulator import Emulator
from tests.support.batch_documents import FRAMEWORKS, Documents, LangChainDocuments, count_chats, count_paid_pages
from tests.support.batch_process import end_at, shorten_pauses
from tests.support.paths import ROOT
from tests.support.scanned_pages import answer, scan

PAGES = 2
MAX_STEPS = 400
STRIDE = 3  # odd, so that both ends before a call and ends after it are met; "after" is "before" the next call


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)


@pytest.fixture
def file(tmp_path: Path, emulator: Emulator) -> Path:
    path = tmp_path / "scan.pdf"
    path.write_bytes(scan(PAGES))
    return path


def start_again(emulator: Emulator) -> None:
    emulator.reset()
    emulator.respond = answer


def complete(documents: Documents, emulator: Emulator) -> None:
    """Complete what was interrupted; each page is there, and was paid for once."""
    documents.submit()
    documents.collect(wait=True)
    assert len(documents.load()) == PAGES
    assert set(count_paid_pages(emulator).values()) == {1}
    assert count_chats(emulator) == 0
    assert [path.suffix for path in (documents.cache / "batches").iterdir() if path.name != "lock"] == [".json"]


class Interruption(BaseException):
    """Ends the program as `KeyboardInterrupt` does."""


def interrupt() -> None:
    raise Interruption


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # an interrupted clean-up
def test_interruption_at_any_step_pays_for_nothing_twice(file: Path, emulator: Emulator, tmp_path: Path) -> None:
    for step in range(1, MAX_STEPS, STRIDE):
        start_again(emulator)
        framework, cache = FRAMEWORKS[step % 2], tmp_path / f"cache-{step}"
        documents = framework(emulator.compat_url, file, cache_dir=cache)
        try:
            with pytest.MonkeyPatch.context() as patch:
                end_at(step, interrupt, patch)
                documents.submit()
                documents.collect(wait=True)
        except Interruption:
            complete(framework(emulator.compat_url, file, cache_dir=cache), emulator)
        else:
            break
    assert 50 < step < MAX_STEPS - STRIDE


def test_process_killed_at_any_step_pays_for_nothing_twice(file: Path, emulator: Emulator, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.batch_process", emulator.compat_url, str(file), str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin
        assert process.stdout
        start_again(emulator)
        assert process.stdout.readline() == "ready\n"
        for step in range(2, MAX_STEPS, STRIDE):
            start_again(emulator)
            process.stdin.write(f"{step}\n")
            code = process.stdout.readline().strip()
            complete(LangChainDocuments(emulator.compat_url, file, cache_dir=tmp_path / str(step)), emulator)
            if code == "0":
                break
            assert code == "9"
        process.stdin.close()
    assert 50 < step < MAX_STEPS - STRIDE


def cancel_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancel the running task while the step with this number is performed."""
    original: Any = batch_io._aperform
    count = 0

    async def perform(client: Any, item: Any) -> Any:
        nonlocal count
        count += 1
        task = asyncio.current_task()
        if count == step and task is not None:
            asyncio.get_running_loop().call_later(0.003 * (step % 3), task.cancel)
        return await original(client, item)

    monkeypatch.setattr(batch_io, "_aperform", perform)


async def _submit_and_collect(documents: Documents) -> None:
    try:
        await documents.asubmit()
        await documents.acollect(wait=True)
    finally:
        await documents.llm.aclose()


def test_cancellation_at_any_step_pays_for_nothing_twice(file: Path, emulator: Emulator, tmp_path: Path) -> None:
    cancelled = 0
    for step in range(1, MAX_STEPS):
        start_again(emulator)
        framework, cache = FRAMEWORKS[step % 2], tmp_path / f"cache-{step}"
        documents = framework(emulator.compat_url, file, cache_dir=cache)
        is_last = False
        with pytest.MonkeyPatch.context() as patch:
            cancel_at(step, patch)
            try:
                asyncio.run(_submit_and_collect(documents))
                is_last = step > 25 and count_paid_pages(emulator).total() == PAGES
            except asyncio.CancelledError:
                cancelled += 1
        requests = len(emulator.requests)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")]
        assert len(emulator.requests) == requests
        complete(framework(emulator.compat_url, file, cache_dir=cache), emulator)
        if is_last:
            break
    assert cancelled > 15


def test_two_tasks_that_submit_one_folder_pay_for_its_pages_once(
    file: Path, emulator: Emulator, tmp_path: Path
) -> None:
    start_again(emulator)
    documents = [framework(emulator.compat_url, file, cache_dir=tmp_path / "cache") for framework in FRAMEWORKS * 2]

    async def run() -> list[Any]:
        jobs = await asyncio.gather(*(each.asubmit() for each in documents))
        await asyncio.gather(*(each.acollect(wait=True) for each in documents))
        for each in documents:
            await each.llm.aclose()
        return jobs

    ids = {tuple(job.ids) for job in asyncio.run(run())}
    assert len(ids) == 1 or () in ids
    complete(documents[0], emulator)


def test_async_submission_that_the_end_of_its_event_loop_cancels_holds_the_lock_until_its_thread_ends(
    file: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_again(emulator)
    documents = LangChainDocuments(emulator.compat_url, file, cache_dir=file.parent / "cache")
    original, started, free = BatchState.save, threading.Event(), list[bool]()

    def save_slowly(state: BatchState, record: BatchRecord) -> None:
        if record.file_id and not started.is_set():
            started.set()
            time.sleep(0.2)
            lock = FolderLock(state.folder)
            free.append(lock.try_acquire())
            lock.release()
        original(state, record)

    async def start() -> asyncio.Task[Any]:
        task = asyncio.create_task(documents.asubmit())
        await asyncio.to_thread(started.wait, 10)
        return task

    monkeypatch.setattr(BatchState, "save", save_slowly)
    assert asyncio.run(start()).cancelled()
    assert free == [False]  # else another process would upload the file again, and pay for another batch
    complete(documents, emulator)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_sync_call_in_the_event_loop_of_an_async_one_with_the_lock_raises(
    framework: type[Documents], file: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_again(emulator)
    documents = framework(emulator.compat_url, file, cache_dir=file.parent / "cache")
    original, has_lock, may_continue = BatchState.create_folder, threading.Event(), threading.Event()
    results: list[Any] = []

    def create_folder_later(state: BatchState) -> Path:
        has_lock.set()
        may_continue.wait(10)
        return original(state)

    async def run() -> None:
        task = asyncio.create_task(documents.asubmit())
        await asyncio.to_thread(has_lock.wait, 10)
        for call in (documents.submit, documents.collect):
            with pytest.raises(QwenVLInputError, match="Await it first"):
                call()
        may_continue.set()
        results.append(await task)
        await documents.llm.aclose()

    monkeypatch.setattr(BatchState, "create_folder", create_folder_later)
    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)  # a blocked event loop has no timeout
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert results[0].ids == list(emulator.batch_store.batches)
    complete(documents, emulator)

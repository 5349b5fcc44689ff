"""Test damaged state files of batches: an error that names the file, and no page is submitted or requested anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from langchain_core.exceptions import ModelInvalidRequestError

import langchain_qwenvl
from qwenvl_core.documents.batch_state import BatchState, DamagedStateError, build_record
from qwenvl_core.errors import QwenVLError, QwenVLInputError
from tests.emulator import Emulator
from tests.support.batch_documents import FRAMEWORKS, Documents, LangChainDocuments, count_chats, count_paid_pages
from tests.support.batch_process import shorten_pauses
from tests.support.scanned_pages import answer, scan


def _change(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda values: {**values, **fields}


def _drop(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda values: {key: value for key, value in values.items() if key != name}


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "list": lambda values: [values],
    "number": lambda _: 7,
    "null": lambda _: None,
    "empty object": lambda _: {},
    "other file": lambda _: {"text": "A page.", "finish_reason": "stop"},
    "field of a later version": _change(version=2),
    "another name": _change(name="other"),
    **{f"without {name}": _drop(name) for name in asdict(build_record("g", 0, "m", "24h"))},
    **{f"{name} null": _change(**{name: None}) for name in asdict(build_record("g", 0, "m", "24h"))},
    "pages a list": _change(pages=["a"]),
    "no pages": _change(pages={}),
    "page numbers as text": _change(pages={"a": "1"}),
    "batch_id a number": _change(batch_id=7),
    "created as text": _change(created="yesterday"),
    "is_collected a number": _change(is_collected=1),
    "status of another shape": _change(status={"state": "completed"}),
    "status with text": _change(status={"state": "completed", "total": "1", "completed": 1, "failed": 0}),
    "outcomes a list": _change(outcomes=[]),
    "outcome of another kind": _change(outcomes={"a": {"answer": {}}}),
    "outcome of another shape": _change(outcomes={"a": {"error": {"message": 7}}}),
    "outcome without text": _change(outcomes={"a": {"transcription": {"finish_reason": "length"}}}),
}  # fmt: skip
CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "zeros": bytes(300),
    "not UTF-8": b"\xff\xfe{",
    "nested deeply": b"[" * 100_000,
    "text": b"Nothing here.",
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)


@pytest.fixture
def file(tmp_path: Path, emulator: Emulator) -> Path:
    emulator.respond = answer
    path = tmp_path / "scan.pdf"
    path.write_bytes(scan(2))
    return path


def find_state_file(documents: Documents) -> Path:
    (path,) = (documents.cache / "batches").glob("*.json")
    return path


def assert_refused(documents: Documents, path: Path, emulator: Emulator) -> None:
    """Check that each call raises an error that names the file, and that nothing is paid for."""
    requests = len(emulator.requests)
    for call in (documents.submit, documents.collect, documents.load):
        with pytest.raises(QwenVLError, match=path.name) as caught:
            call()
        assert isinstance(caught.value, QwenVLInputError) or "page 1" in str(caught.value)
    assert len(emulator.requests) == requests


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("is_collected", [False, True])
def test_damaged_state_file_is_named_and_nothing_submitted_anew(
    framework: type[Documents], is_collected: bool, file: Path, emulator: Emulator
) -> None:
    documents = framework(emulator.compat_url, file, cache_dir=file.parent / "cache", on_error="skip")
    documents.submit()
    if is_collected:
        emulator.batch_store.unanswered = set(count_paid_pages(emulator))
        documents.collect(wait=True)
    path = find_state_file(documents)
    whole = path.read_bytes()
    values = json.loads(whole)
    cut = {f"cut at {end}": whole[:end] for end in range(1, len(whole), 97)}
    changed = {name: json.dumps(change(values)).encode() for name, change in CHANGES.items()}
    for content in (CONTENTS | cut | changed).values():
        path.write_bytes(content)
        assert_refused(documents, path, emulator)
    path.unlink()
    path.mkdir()
    assert_refused(documents, path, emulator)
    path.rmdir()
    path.write_bytes(whole)
    assert documents.collect(wait=True).state == "completed"
    assert set(count_paid_pages(emulator).values()) == {1}


def test_state_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    state = BatchState(tmp_path)
    state.folder.mkdir()
    record = build_record("group", 0, "model", "24h")
    record.pages, record.batch_id, record.file_id = {"key": 1}, "batch-1", "file-1"
    state.save(record)
    path = state.folder / f"{record.name}.json"
    whole = path.read_bytes()
    assert BatchState(tmp_path).read_records() == [record]
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DamagedStateError, match=record.name):
            BatchState(tmp_path).read_records()


def test_folder_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "batches").write_text("a file")
    with pytest.raises(DamagedStateError, match="batches"):
        BatchState(tmp_path).read_records()
    assert BatchState(tmp_path / "new").read_records() == []


def test_unreadable_state_file_is_refused(file: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = LangChainDocuments(emulator.compat_url, file, cache_dir=file.parent / "cache")
    documents.submit()
    path = find_state_file(documents)
    original = Path.read_text

    def read_text(self: Path, **keywords: Any) -> str:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return original(self, **keywords)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert_refused(documents, path, emulator)


def test_input_file_cut_before_its_upload_is_written_again(file: Path, emulator: Emulator) -> None:
    documents = LangChainDocuments(emulator.compat_url, file, cache_dir=file.parent / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qwenvl_core.transport.batch_calls.upload_file", _fail)
        with pytest.raises(RuntimeError):
            documents.submit()
    (path,) = (documents.cache / "batches").glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-1500])
    documents.submit()
    assert documents.collect(wait=True).completed == 2
    assert set(count_paid_pages(emulator).values()) == {1}
    assert len(documents.load()) == 2
    assert count_chats(emulator) == 0


def _fail(_: Path) -> Any:
    raise RuntimeError


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_pages_in_the_cache_load_in_spite_of_a_damaged_state_file(
    framework: type[Documents], file: Path, emulator: Emulator
) -> None:
    documents = framework(emulator.compat_url, file, cache_dir=file.parent / "cache")
    documents.submit()
    documents.collect(wait=True)
    find_state_file(documents).write_bytes(b"")
    assert len(documents.load()) == 2
    assert count_chats(emulator) == 0


def test_damaged_state_file_is_an_invalid_request_in_langchain(file: Path, emulator: Emulator) -> None:
    documents = LangChainDocuments(emulator.compat_url, file, cache_dir=file.parent / "cache")
    documents.submit()
    find_state_file(documents).write_bytes(b"{")
    for call in (documents.submit, documents.collect):
        with pytest.raises(langchain_qwenvl.QwenVLInputError) as caught:
            call()
        assert isinstance(caught.value, ModelInvalidRequestError)

"""Tests of the cache: resumed runs, keys, files, and usage totals."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qwenvl_core.documents.page_cache import PageCache, PageTranscription, UsageTotals, compute_cache_key
from qwenvl_core.errors import QwenVLPageError
from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.rendering.pdf import PdfPages
from qwenvl_core.types.settings import ModelSettings, NamedTool
from tests.core.documents.fake_transcriber import (
    CallMode,
    FakeTranscriber,
    both_call_modes,
    collect_records,
    create_transcription,
    fail_at,
    page_numbers,
)
from tests.support.scanned_pages import html, scan

# --- Resumed runs ---


@both_call_modes
def test_run_after_failed_page_requests_only_missing_pages(call_mode: CallMode, tmp_path: Path) -> None:
    failing = FakeTranscriber(fail_at(5), delay=lambda number: 0.0 if number == 5 else 0.03)
    with pytest.raises(QwenVLPageError):
        collect_records(create_transcription(scan(12), failing, cache_dir=tmp_path), call_mode)
    resumed = FakeTranscriber()
    transcription = create_transcription(scan(12), resumed, cache_dir=tmp_path)
    assert page_numbers(collect_records(transcription, call_mode)) == list(range(1, 13))
    assert sorted([number for number in failing.started if number != 5] + resumed.started) == list(range(1, 13))
    assert transcription.usage.cached_pages == len(failing.started) - 1
    unused = FakeTranscriber(fail_at(*range(1, 13)))
    transcription = create_transcription(scan(12), unused, cache_dir=tmp_path)
    collect_records(transcription, call_mode)
    assert unused.started == []
    usage = transcription.usage
    assert (usage.pages, usage.cached_pages, usage.input_tokens, usage.output_tokens) == (12, 12, 1278, 120)


@both_call_modes
def test_run_after_early_close_requests_only_missing_pages(call_mode: CallMode, tmp_path: Path) -> None:
    closed = FakeTranscriber(delay=lambda number: 0.02)
    transcription = create_transcription(scan(9), closed, cache_dir=tmp_path)

    async def read_first() -> None:
        async with aclosing(transcription.arecords()) as records:
            await anext(records)

    if call_mode == "sync":
        with closing(transcription.records()) as records:
            next(records)
    else:
        asyncio.run(read_first())
    started = list(closed.started)
    resumed = FakeTranscriber()
    collect_records(create_transcription(scan(9), resumed, cache_dir=tmp_path), call_mode)
    assert sorted(started + resumed.started) == list(range(1, 10))


def test_records_closed_by_lock_owner_does_not_deadlock(tmp_path: Path) -> None:
    """The garbage collector may close the generator in a thread that holds the lock the pages in progress wait for."""
    transcriber = FakeTranscriber(delay=lambda number: 0.02)
    records = create_transcription(scan(9), transcriber, cache_dir=tmp_path).records()
    next(records)

    def close() -> None:
        with PdfPages.lock:
            records.close()

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


# --- Answers that are not kept ---

LOOP = '<div class="text" data-bbox="1 2 30 40">The same again and again.</div>' * 9


@both_call_modes
@pytest.mark.parametrize(("text", "finish_reason"), [(html(1), "length"), (LOOP, "stop")], ids=["cut", "loop"])
def test_cut_or_looping_page_is_requested_again(
    text: str, finish_reason: str, call_mode: CallMode, tmp_path: Path
) -> None:
    bad = FakeTranscriber(lambda number: text, finish_reason=finish_reason)
    transcription = create_transcription(scan(1), bad, cache_dir=tmp_path)
    (record,) = collect_records(transcription, call_mode)
    assert record.metadata["truncated"] or "repetition" in record.metadata["warnings"]
    assert transcription.usage.output_tokens == 10
    assert not list(tmp_path.glob("*.json"))
    good = FakeTranscriber()
    (record,) = collect_records(create_transcription(scan(1), good, cache_dir=tmp_path), call_mode)
    assert good.started == [1]
    assert (record.metadata["truncated"], record.metadata["warnings"]) == (False, "")


@pytest.mark.parametrize(("text", "finish_reason"), [(html(1), "length"), (LOOP, "stop")], ids=["cut", "loop"])
def test_cut_or_looping_page_of_earlier_version_is_requested_again(
    text: str, finish_reason: str, tmp_path: Path
) -> None:
    collect_records(create_transcription(scan(1), FakeTranscriber(), cache_dir=tmp_path))
    (file,) = tmp_path.glob("*.json")
    stored = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**stored, "text": text, "finish_reason": finish_reason}), "utf-8")
    transcriber = FakeTranscriber()
    collect_records(create_transcription(scan(1), transcriber, cache_dir=tmp_path))
    assert transcriber.started == [1]
    assert json.loads(file.read_text("utf-8")) == stored


def test_page_without_text_is_cached(tmp_path: Path) -> None:
    collect_records(create_transcription(scan(1), FakeTranscriber(lambda number: ""), cache_dir=tmp_path))
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_page_that_cannot_be_cached_is_not_lost(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.write_text("a file")
    transcription = create_transcription(scan(2), FakeTranscriber(), cache_dir=folder)
    records = collect_records(transcription)
    assert page_numbers(records) == [1, 2]
    assert all("not stored in cache_dir" in record.metadata["warnings"] for record in records)
    assert (transcription.usage.pages, transcription.failures) == (2, [])


# --- Keys ---


def test_other_modes_use_cached_pages(tmp_path: Path) -> None:
    collect_records(create_transcription(scan(2), FakeTranscriber(), cache_dir=tmp_path))
    transcriber = FakeTranscriber()
    for mode in ("element", "chunk", "single"):
        collect_records(create_transcription(scan(2), transcriber, cache_dir=tmp_path, mode=mode, output="text"))
    assert transcriber.started == []


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"model": "qwen3-vl-flash"}, {}),
        ({"temperature": 0.0}, {}),
        ({"enable_thinking": False}, {}),
        ({"extra_body": {"a": 1}}, {}),
        ({"model": "qwen-vl-ocr", "ocr_options": {"task": "table_parsing"}}, {}),
        ({}, {"output": "markdown"}),
        ({}, {"prompt": "Read."}),
        ({}, {"dpi": 100}),
    ],
)
def test_other_settings_or_options_request_pages_again(
    settings: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    collect_records(create_transcription(scan(1), FakeTranscriber(), cache_dir=tmp_path))
    transcriber = FakeTranscriber(**settings)
    collect_records(create_transcription(scan(1), transcriber, cache_dir=tmp_path, **options))
    assert transcriber.started == [1]


def test_cache_key_depends_on_image_and_not_on_page_number() -> None:
    page = PageImage(1, "1", 32, 32, b"jpeg")
    renumbered = replace(page, number=9, label="ix")
    assert compute_cache_key(page, "q", ModelSettings()) == compute_cache_key(
        renumbered, "q", ModelSettings(model="qwen3-vl-plus")
    )
    assert compute_cache_key(page, "q", ModelSettings()) != compute_cache_key(
        replace(page, jpeg=b"other"), "q", ModelSettings()
    )


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "277289cf6cee01a1761a75d4263e689eab31d1bf463abcd72abf2d330ae6db73"),
        (
            {
                "model": "qwen2.5-vl-72b-instruct", "enable_thinking": False, "thinking_source": "model",
                "temperature": 0.0, "stop": ("a",), "extra_body": {"b": 1},
            },
            "189bc0358a888443118e91c400818f52e14e6344c95ff8fc1e8ea7597dd2b37f",
        ),
        (
            {"enable_thinking": False, "thinking_source": "call", "tool_choice": NamedTool("x")},
            "35b009ad38fdd158c732e90f8af394a75f6a84a1e94c437e300695a0fe876e0c",
        ),
    ],
    ids=["defaults", "model", "call"],
)  # fmt: skip
def test_cache_key_of_earlier_versions_is_unchanged(settings: dict[str, Any], key: str) -> None:
    page = PageImage(1, "1", 32, 32, b"jpeg")
    assert compute_cache_key(page, "qwenvl html", ModelSettings(**settings)) == key


def test_cache_key_depends_on_ocr_options() -> None:
    page = PageImage(1, "1", 32, 32, b"jpeg")
    tasks: list[dict[str, Any] | None] = [
        None, {"task": "table_parsing"}, {"task": "multi_lan"}, {"task": "multi_lan", "enable_rotate": True},
    ]  # fmt: skip
    assert len({compute_cache_key(page, "", ModelSettings(ocr_options=options)) for options in tasks}) == len(tasks)


# --- Files ---


def test_page_cache_keeps_ocr_result_and_omits_a_missing_one(tmp_path: Path) -> None:
    cache = PageCache(tmp_path)
    located = PageTranscription("x", ocr_result={"words_info": [{"text": "ä", "location": [1] * 8}]})
    cache.put("a", located)
    cache.put("b", PageTranscription("x"))
    assert (cache.get("a"), cache.get("b")) == (located, PageTranscription("x"))
    assert "ocr_result" not in (tmp_path / "b.json").read_text("utf-8")


def test_page_cache_ignores_files_that_cannot_be_read(tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "new" / "folder")
    transcription = PageTranscription("Wörter\u2028", "length", "m", {"input_tokens": 3})
    cache.put("k", transcription)
    assert cache.get("k") == transcription
    (file,) = (tmp_path / "new" / "folder").iterdir()
    assert json.loads(file.read_text(encoding="utf-8"))["text"] == "Wörter\u2028"
    for broken in ("", "[]", '{"text"', '{"other": 1}', "\x00"):
        file.write_text(broken, encoding="utf-8")
        assert cache.get("k") is None


def test_page_cache_failed_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        PageCache(tmp_path).put("k", PageTranscription("a", usage={"input_tokens": object()}))  # type: ignore[dict-item]
    assert list(tmp_path.iterdir()) == []


# --- Usage totals ---


def test_usage_totals_are_keys_and_attributes() -> None:
    totals = UsageTotals()
    totals.add({"input_tokens": 5}, is_cached=False)
    assert totals["input_tokens"] == totals.input_tokens == 5
    assert not hasattr(totals, "dollars")
    assert pickle.loads(pickle.dumps(totals)) == totals

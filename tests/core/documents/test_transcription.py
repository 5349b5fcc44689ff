"""Tests of `Transcription`: order, concurrency, failures, prompts and settings."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import pickle
import random
import subprocess
import sys
from contextlib import aclosing, closing
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.documents.records import Record
from qwenvl_core.errors import QwenVLError, QwenVLInputError, QwenVLPageError, QwenVLRateLimitError
from qwenvl_core.rendering.pages import PageImage
from tests.core.documents.fake_transcriber import (
    CallMode,
    FakeTranscriber,
    both_call_modes,
    collect_records,
    create_transcription,
    fail_at,
    page_numbers,
)
from tests.core.rendering.scan_samples import tiff
from tests.core.rendering.test_pdf_extent import portfolio
from tests.support.paths import ROOT
from tests.support.scanned_pages import scan

# --- Order and concurrency ---


@both_call_modes
def test_records_with_random_delays_are_in_page_order(call_mode: CallMode) -> None:
    delays = random.Random(7)
    transcriber = FakeTranscriber(delay=lambda number: delays.uniform(0, 0.03))
    records = collect_records(create_transcription(scan(24), transcriber, max_concurrency=5), call_mode)
    assert page_numbers(records) == list(range(1, 25))
    assert all(f"Words of page {number}." in record.text for number, record in enumerate(records, 1))
    assert sorted(transcriber.started) == list(range(1, 25))
    assert transcriber.started != transcriber.finished


@both_call_modes
@pytest.mark.parametrize("max_concurrency", [1, 3, 8])
def test_max_concurrency_is_reached_and_not_exceeded(call_mode: CallMode, max_concurrency: int) -> None:
    transcriber = FakeTranscriber(delay=lambda number: 0.02 * max_concurrency)
    transcription = create_transcription(scan(2 * max_concurrency + 1), transcriber, max_concurrency=max_concurrency)
    collect_records(transcription, call_mode)
    assert transcriber.max_concurrent == max_concurrency


@both_call_modes
def test_slow_first_page_delays_start_of_later_pages(call_mode: CallMode) -> None:
    transcriber = FakeTranscriber(delay=lambda number: 0.4 if number == 1 else 0.0)
    started_counts: list[int] = []

    def report(done: int, total: int, usage: Any) -> None:
        started_counts.append(len(transcriber.started))

    collect_records(create_transcription(scan(10), transcriber, max_concurrency=3, progress=report), call_mode)
    assert started_counts[0] == 3


def test_records_not_iterated_open_no_file(tmp_path: Path) -> None:
    transcription = create_transcription(tmp_path / "none.pdf", FakeTranscriber())
    records, arecords = transcription.records(), transcription.arecords()
    records.close()
    asyncio.run(arecords.aclose())


@both_call_modes
def test_first_record_starts_only_as_many_pages_as_run_concurrently(call_mode: CallMode) -> None:
    transcriber = FakeTranscriber()
    transcription = create_transcription(scan(9), transcriber, max_concurrency=2)
    if call_mode == "sync":
        with closing(transcription.records()) as records:
            assert next(records).metadata["page_number"] == 1
            assert set(transcriber.started) <= {1, 2}
        return

    async def read_first() -> None:
        async with aclosing(transcription.arecords()) as records:
            assert (await anext(records)).metadata["page_number"] == 1
            assert set(transcriber.started) <= {1, 2}

    asyncio.run(read_first())


@both_call_modes
def test_pages_option_transcribes_only_selected_pages(call_mode: CallMode) -> None:
    transcriber = FakeTranscriber()
    records = collect_records(create_transcription(scan(9), transcriber, pages="7,2-3"), call_mode)
    assert page_numbers(records) == [2, 3, 7]
    assert {record.metadata["total_pages"] for record in records} == {9}
    assert sorted(transcriber.started) == [2, 3, 7]


def test_arecords_closed_early_cancels_pages_in_progress() -> None:
    transcriber = FakeTranscriber(delay=lambda number: 0.3 if number == 1 else 60.0)
    cancelled = 0

    async def read_first() -> None:
        nonlocal cancelled
        async with aclosing(create_transcription(scan(4), transcriber).arecords()) as records:
            await anext(records)
        cancelled = len(transcriber.finished) - 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(read_first())
    assert cancelled == 3


def test_arecords_cancelled_with_cache_ends_without_waiting(tmp_path: Path) -> None:
    async def cancel() -> None:
        transcriber = FakeTranscriber(delay=lambda number: 60.0)
        transcription = create_transcription(scan(2), transcriber, cache_dir=tmp_path)
        task = asyncio.ensure_future(anext(transcription.arecords()))
        while len(transcriber.started) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(transcriber.finished) == [1, 2]

    asyncio.run(cancel())


def test_threads_have_context_variables_of_caller() -> None:
    name: ContextVar[str] = ContextVar("name", default="none")
    names = []

    class ContextTranscriber(FakeTranscriber):
        def transcribe(self, page: PageImage, prompt: str) -> PageTranscription:
            names.append(name.get())
            return super().transcribe(page, prompt)

    name.set("mine")
    collect_records(create_transcription(scan(2), ContextTranscriber()))
    assert names == ["mine", "mine"]


def test_page_images_in_memory_do_not_exceed_max_concurrency() -> None:
    highest = 0

    def count_page_images() -> int:
        return sum(type(item) is PageImage for item in gc.get_objects())

    class CountingTranscriber(FakeTranscriber):
        def transcribe(self, page: PageImage, prompt: str) -> PageTranscription:
            nonlocal highest
            with self.lock:
                highest = max(highest, count_page_images() - others)
            return super().transcribe(page, prompt)

    gc.collect()
    others = count_page_images()  # of earlier tests in this process
    collect_records(create_transcription(scan(12), CountingTranscriber(), max_concurrency=3))
    assert 1 <= highest <= 3


_MEMORY_SCRIPT = """
import resource, sys
from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.rendering.pdf import PdfPages
from qwenvl_core.documents.transcription import Transcription
from qwenvl_core.types.settings import ModelSettings
import pypdfium2 as pdfium, io

class Transcriber:
    settings = ModelSettings()
    def transcribe(self, page, prompt):
        return PageTranscription("Page", "stop", "m", {})

def measure(count):
    document = pdfium.PdfDocument.new()
    for _ in range(count):
        document.new_page(612, 792).close()
    buffer = io.BytesIO()
    document.save(buffer)
    document.close()
    transcription = Transcription(buffer.getvalue(), LoaderOptions(max_concurrency=4), Transcriber())
    assert sum(1 for _ in transcription.records()) == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

short = measure(20)
print(short, measure(200))
"""


def test_long_document_needs_no_more_memory_than_short_one() -> None:
    done = subprocess.run([sys.executable, "-c", _MEMORY_SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    short, long = map(int, done.stdout.split())  # KiB
    assert long - short < 40 * 1024, "200 pages of 10 MB each are 2 GB"


# --- Failures ---


@both_call_modes
@pytest.mark.parametrize("mode", ["page", "element"])
def test_failed_page_raises_after_records_of_earlier_pages(call_mode: CallMode, mode: str) -> None:
    transcriber = FakeTranscriber(fail_at(4, 6), delay=lambda number: 0.05 if number < 4 else 0.0)
    transcription = create_transcription(scan(8), transcriber, mode=mode)
    records: list[Record] = []
    with pytest.raises(QwenVLPageError, match="page 4") as caught:
        collect_records(transcription, call_mode, into=records)
    assert list(dict.fromkeys(page_numbers(records))) == [1, 2, 3]
    assert caught.value.page_number == 4
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.cause is caught.value.__cause__
    assert [number for number, _ in transcription.failures] == [4]
    assert transcription.usage.pages == 3


@both_call_modes
def test_failed_page_with_on_error_skip_is_skipped_and_logged(
    call_mode: CallMode, caplog: pytest.LogCaptureFixture
) -> None:
    transcription = create_transcription(scan(6), FakeTranscriber(fail_at(1, 4)), on_error="skip")
    records = collect_records(transcription, call_mode)
    assert page_numbers(records) == [2, 3, 5, 6]
    assert [number for number, _ in transcription.failures] == [1, 4]
    assert all(isinstance(error, ZeroDivisionError) for _, error in transcription.failures)
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [1, 4]
    assert {record.metadata["total_pages"] for record in records} == {6}


def test_page_error_has_fields_of_service_error() -> None:
    rate_limit = QwenVLRateLimitError("Slow.", code="Throttling", status_code=429, request_id="r1", partial="Pa")
    transcription = create_transcription(scan(2), FakeTranscriber(fail_at(2, error=lambda: rate_limit)))
    with pytest.raises(QwenVLPageError) as caught:
        collect_records(transcription)
    error = caught.value
    assert (error.code, error.status_code, error.request_id, error.partial) == ("Throttling", 429, "r1", "Pa")
    assert str(error).count("Throttling") == 1
    assert rate_limit.hint in str(error)
    unpickled = pickle.loads(pickle.dumps(error))
    assert (unpickled.page_number, str(unpickled), type(unpickled.cause)) == (2, str(error), QwenVLRateLimitError)


def test_page_error_is_a_qwenvl_error() -> None:
    assert issubclass(QwenVLPageError, QwenVLError)


@both_call_modes
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_page_that_cannot_be_rendered_is_a_failed_page(call_mode: CallMode, on_error: str) -> None:
    frames = [Image.new("L", size, 255) for size in ((64, 64), (9000, 10), (64, 64))]
    buffer = io.BytesIO()
    frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:])
    transcription = create_transcription(buffer.getvalue(), FakeTranscriber(), on_error=on_error)
    records: list[Record] = []
    if on_error == "skip":
        collect_records(transcription, call_mode, into=records)
        assert page_numbers(records) == [1, 3]
    else:
        with pytest.raises(QwenVLPageError, match=r"page 2.*Crop or split"):
            collect_records(transcription, call_mode, into=records)
        assert page_numbers(records) == [1]
    assert isinstance(transcription.failures[0][1], QwenVLInputError)


@both_call_modes
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_document_that_cannot_be_opened_raises_whatever_on_error_is(call_mode: CallMode, on_error: str) -> None:
    with pytest.raises(QwenVLInputError, match="neither"):
        collect_records(create_transcription(b"x", FakeTranscriber(), on_error=on_error), call_mode)


# --- Warnings about the document ---


@both_call_modes
def test_attached_files_are_warning_of_first_selected_page(
    call_mode: CallMode, caplog: pytest.LogCaptureFixture
) -> None:
    transcriber = FakeTranscriber(lambda number: "The cover.")
    (record,) = collect_records(create_transcription(portfolio("a.pdf"), transcriber), call_mode)
    assert record.metadata["warnings"].startswith("1 attached file(s) are not read: a.pdf")
    assert "a.pdf" in caplog.text


def test_cut_tiff_is_warning_of_first_selected_page_only() -> None:
    pages = [Image.new("L", (640, 480), 255)] * 4
    whole = tiff(pages, [{}] * 4)
    for selected, numbers in ((None, [1, 2, 3]), ("2-", [2, 3])):
        transcription = create_transcription(whole[: len(whole) * 3 // 4], FakeTranscriber(), pages=selected)
        records = collect_records(transcription)
        assert page_numbers(records) == numbers
        assert ["ends early" in record.metadata["warnings"] for record in records] == [
            True,
            *[False] * (len(records) - 1),
        ]


# --- Prompts and settings ---


@pytest.mark.parametrize(
    ("options", "prompt"),
    [
        ({}, "qwenvl html"),
        ({"output": "text"}, "qwenvl html"),
        ({"output": "markdown"}, "qwenvl markdown"),
        ({"output": "markdown", "prompt": "Read it."}, "Read it."),
    ],
)
def test_prompt_follows_output_and_prompt_options(options: dict[str, Any], prompt: str) -> None:
    transcriber = FakeTranscriber()
    collect_records(create_transcription(scan(1), transcriber, **options))
    assert transcriber.prompts == [prompt]


@pytest.mark.parametrize(
    ("model", "coordinates", "box"),
    [
        ("qwen3-vl-plus", None, [0.1, 0.2, 0.3, 0.4]),
        ("qwen2.5-vl-7b-instruct", None, [100 / 364, 200 / 308, 300 / 364, 1.0]),
        ("qwen2.5-vl-7b-instruct", "relative", [0.1, 0.2, 0.3, 0.4]),
        ("qwen3-vl-plus", "absolute", [100 / 352, 200 / 320, 300 / 352, 1.0]),
        ("my-own", None, [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_boxes_are_in_coordinates_of_model_or_option(model: str, coordinates: str | None, box: list[float]) -> None:
    text = '<div class="text" data-bbox="100 200 300 400">x</div>'
    transcriber = FakeTranscriber(lambda number: text, model=model)
    (record,) = collect_records(create_transcription(scan(1), transcriber, mode="element", coordinates=coordinates))
    assert json.loads(record.metadata["bbox"]) == pytest.approx(box, abs=1e-4)


def test_high_resolution_setting_enlarges_rendered_page() -> None:
    tall = scan(1, height=12_000)
    (default,) = collect_records(create_transcription(tall, FakeTranscriber()))
    (high,) = collect_records(create_transcription(tall, FakeTranscriber(vl_high_resolution_images=True)))
    assert default.metadata["page_height"] < 12_000 == high.metadata["page_height"]

"""The reading of a document: order, window, failures, cache, progress; then records, chunks and citations."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import pickle
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image

from qwenvl_core.documents.citations import citation_from_metadata, draw_citation
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.documents.page_cache import PageCache, PageTranscription, UsageTotals, cache_key
from qwenvl_core.documents.records import Record, TranscribedPage, build_records
from qwenvl_core.documents.transcription import Transcription
from qwenvl_core.errors import QwenVLError, QwenVLInputError, QwenVLPageError, QwenVLRateLimitError
from qwenvl_core.grounding import Box
from qwenvl_core.layout import parse_layout
from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.rendering.pdf import PdfPages
from qwenvl_core.types.settings import ModelSettings, NamedTool
from tests.support.paths import ROOT
from tests.support.scanned_pages import html, scan, width_of

CallMode = Literal["sync", "async"]
ways = pytest.mark.parametrize("call_mode", ["sync", "async"])
Say = Callable[[int], str]


class Model:
    """A model that says what a test wants of each page, and counts."""

    def __init__(self, say: Say = html, *, seconds: Callable[[int], float] = lambda n: 0.0, **settings: Any) -> None:
        self.settings = ModelSettings(**settings)
        self.asked: list[int] = []
        self.questions: list[str] = []
        self.pages: list[PageImage] = []
        self.most = 0
        self.done: list[int] = []
        self._say, self._seconds = say, seconds
        self._inside = 0
        self._lock = threading.Lock()

    def transcribe(self, page: PageImage, prompt: str) -> PageTranscription:
        self._enter(page, prompt)
        try:
            time.sleep(self._seconds(page.number))
            return self._answer(page)
        finally:
            self._leave(page)

    async def atranscribe(self, page: PageImage, prompt: str) -> PageTranscription:
        self._enter(page, prompt)
        try:
            await asyncio.sleep(self._seconds(page.number))
            return self._answer(page)
        finally:
            self._leave(page)

    def _enter(self, page: PageImage, prompt: str) -> None:
        with self._lock:
            self.asked.append(page.number)
            self.questions.append(prompt)
            self._inside += 1
            self.most = max(self.most, self._inside)

    def _leave(self, page: PageImage) -> None:
        with self._lock:
            self._inside -= 1
            self.done.append(page.number)

    def _answer(self, page: PageImage) -> PageTranscription:
        counts = {"input_tokens": 100 + page.number, "output_tokens": 10, "total_tokens": 110 + page.number}
        return PageTranscription(self._say(page.number), "stop", "qwen3-vl-plus", counts)


def reading(file: Any, model: Any, **options: Any) -> Transcription:
    return Transcription(file, LoaderOptions(**options), model)


def read(run: Transcription, call_mode: CallMode, *, into: list[Record] | None = None) -> list[Record]:
    records = [] if into is None else into
    if call_mode == "sync":
        records.extend(run.records())
        return records

    async def collect() -> None:
        async for record in run.arecords():
            records.append(record)  # what came before an error is wanted

    asyncio.run(collect())
    return records


def numbers(records: list[Record]) -> list[int]:
    return [record.metadata["page_number"] for record in records]


def fails_at(*bad: int, error: Callable[[], Exception] = lambda: ZeroDivisionError("no")) -> Say:
    def say(number: int) -> str:
        if number in bad:
            raise error()
        return html(number)

    return say


# --- Order and window ---


@ways
def test_pages_come_in_order_whatever_they_take(call_mode: CallMode) -> None:
    waits = random.Random(7)
    model = Model(seconds=lambda number: waits.uniform(0, 0.03))
    records = read(reading(scan(24), model, max_concurrency=5), call_mode)
    assert numbers(records) == list(range(1, 25))
    assert all(f"Words of page {number}." in record.text for number, record in enumerate(records, 1))
    assert sorted(model.asked) == list(range(1, 25))
    assert model.asked != model.done


@ways
@pytest.mark.parametrize("width", [1, 3, 8])
def test_so_many_pages_are_read_at_a_time_and_no_more(call_mode: CallMode, width: int) -> None:
    model = Model(seconds=lambda number: 0.02 * width)
    read(reading(scan(2 * width + 1), model, max_concurrency=width), call_mode)
    assert model.most == width


@ways
def test_a_slow_page_holds_back_the_window(call_mode: CallMode) -> None:
    model = Model(seconds=lambda number: 0.4 if number == 1 else 0.0)
    seen: list[int] = []

    def look(done: int, total: int, usage: Any) -> None:
        seen.append(len(model.asked))

    read(reading(scan(10), model, max_concurrency=3, progress=look), call_mode)
    assert seen[0] == 3


@ways
def test_nothing_is_done_before_it_is_asked_for(call_mode: CallMode, tmp_path: Path) -> None:
    model = Model()
    run = reading(tmp_path / "none.pdf", model)
    sync, not_sync = run.records(), run.arecords()
    sync.close()
    asyncio.run(not_sync.aclose())
    run = reading(scan(9), model, max_concurrency=2)
    if call_mode == "sync":
        with closing(run.records()) as records:
            assert next(records).metadata["page_number"] == 1
            assert set(model.asked) <= {1, 2}  # what the window holds
        return

    async def first() -> None:
        async with aclosing(run.arecords()) as records:
            assert (await anext(records)).metadata["page_number"] == 1
            assert set(model.asked) <= {1, 2}  # what the window holds

    asyncio.run(first())


@ways
def test_only_the_pages_that_are_wanted(call_mode: CallMode) -> None:
    model = Model()
    records = read(reading(scan(9), model, pages="7,2-3"), call_mode)
    assert numbers(records) == [2, 3, 7]
    assert {record.metadata["total_pages"] for record in records} == {9}
    assert sorted(model.asked) == [2, 3, 7]


def test_an_abandoned_async_reading_cancels_what_runs() -> None:
    model = Model(seconds=lambda number: 0.3 if number == 1 else 60.0)
    cancelled = 0

    async def first() -> None:
        nonlocal cancelled
        async with aclosing(reading(scan(4), model).arecords()) as records:
            await anext(records)
        cancelled = len(model.done) - 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(first())
    assert cancelled == 3


def test_a_cancelled_async_reading_ends_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        model = Model(seconds=lambda number: 60.0)
        task = asyncio.create_task(anext(reading(scan(2), model, cache_dir=tmp_path).arecords()))
        while len(model.asked) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(model.done) == [1, 2]

    asyncio.run(run())


def test_threads_see_the_context_of_the_caller() -> None:
    from contextvars import ContextVar

    name: ContextVar[str] = ContextVar("name", default="none")
    seen = []

    class Looking(Model):
        def transcribe(self, page: PageImage, prompt: str) -> PageTranscription:
            seen.append(name.get())
            return super().transcribe(page, prompt)

    name.set("mine")
    read(reading(scan(2), Looking()), "sync")
    assert seen == ["mine", "mine"]


def test_no_more_pages_are_in_memory_than_are_being_read() -> None:
    most = 0

    class Counting(Model):
        def transcribe(self, page: PageImage, prompt: str) -> PageTranscription:
            nonlocal most
            with self._lock:
                most = max(most, sum(type(thing) is PageImage for thing in gc.get_objects()))
            return super().transcribe(page, prompt)

    read(reading(scan(12), Counting(), max_concurrency=3), "sync")
    assert 1 <= most <= 3


_LONG = """
import resource, sys
from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.rendering.pdf import PdfPages
from qwenvl_core.documents.transcription import Transcription
from qwenvl_core.types.settings import ModelSettings, NamedTool
import pypdfium2 as pdfium, io

class Model:
    settings = ModelSettings()
    def transcribe(self, page, prompt):
        return PageTranscription("Page", "stop", "m", {})

def read(count):
    document = pdfium.PdfDocument.new()
    for _ in range(count):
        document.new_page(612, 792).close()
    buffer = io.BytesIO()
    document.save(buffer)
    document.close()
    run = Transcription(buffer.getvalue(), LoaderOptions(max_concurrency=4), Model())
    assert sum(1 for _ in run.records()) == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

short = read(20)
print(short, read(500))
"""


def test_memory_is_bounded_on_a_long_document() -> None:
    done = subprocess.run([sys.executable, "-c", _LONG], cwd=ROOT, capture_output=True, text=True, check=True)
    short, long = map(int, done.stdout.split())  # KiB
    assert long - short < 40 * 1024, "500 pages of 10 MB each are 5 GB"


# --- Failures ---


@ways
@pytest.mark.parametrize("mode", ["page", "element"])
def test_a_failing_page_raises_after_the_pages_before_it(call_mode: CallMode, mode: Any) -> None:
    run = reading(scan(8), Model(fails_at(4, 6), seconds=lambda n: 0.05 if n < 4 else 0.0), mode=mode)
    records: list[Record] = []
    with pytest.raises(QwenVLPageError, match="page 4") as caught:
        read(run, call_mode, into=records)
    assert list(dict.fromkeys(numbers(records))) == [1, 2, 3]
    assert caught.value.page_number == 4
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.cause is caught.value.__cause__
    assert [number for number, _ in run.failures] == [4]
    assert run.usage.pages == 3


@ways
def test_a_failing_page_is_skipped(call_mode: CallMode, caplog: pytest.LogCaptureFixture) -> None:
    run = reading(scan(6), Model(fails_at(1, 4)), on_error="skip")
    records = read(run, call_mode)
    assert numbers(records) == [2, 3, 5, 6]
    assert [number for number, _ in run.failures] == [1, 4]
    assert all(isinstance(error, ZeroDivisionError) for _, error in run.failures)
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [1, 4]
    assert {record.metadata["total_pages"] for record in records} == {6}


def test_what_the_service_said_is_in_the_error() -> None:
    refused = QwenVLRateLimitError("Slow.", code="Throttling", status_code=429, request_id="r1", partial="Pa")
    run = reading(scan(2), Model(fails_at(2, error=lambda: refused)))
    with pytest.raises(QwenVLPageError) as caught:
        read(run, "sync")
    error = caught.value
    assert (error.code, error.status_code, error.request_id, error.partial) == ("Throttling", 429, "r1", "Pa")
    assert str(error).count("Throttling") == 1
    assert refused.hint in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.page_number, str(again), type(again.cause)) == (2, str(error), QwenVLRateLimitError)


@ways
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_page_that_can_not_be_rendered_is_a_failing_page(call_mode: CallMode, on_error: Any) -> None:
    frames = [Image.new("L", size, 255) for size in ((64, 64), (9000, 10), (64, 64))]
    buffer = io.BytesIO()
    frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:])
    run = reading(buffer.getvalue(), Model(), on_error=on_error)
    records: list[Record] = []
    if on_error == "skip":
        read(run, call_mode, into=records)
        assert numbers(records) == [1, 3]
    else:
        with pytest.raises(QwenVLPageError, match=r"page 2.*Crop or split"):
            read(run, call_mode, into=records)
        assert numbers(records) == [1]
    assert isinstance(run.failures[0][1], QwenVLInputError)


@ways
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_document_that_can_not_be_opened_is_never_skipped(call_mode: CallMode, on_error: Any) -> None:
    with pytest.raises(QwenVLInputError, match="neither"):
        read(reading(b"x", Model(), on_error=on_error), call_mode)


# --- Cache ---


@ways
def test_a_broken_run_goes_on_where_it_was(call_mode: CallMode, tmp_path: Path) -> None:
    broken = Model(fails_at(5), seconds=lambda number: 0.0 if number == 5 else 0.03)
    with pytest.raises(QwenVLPageError):
        read(reading(scan(12), broken, cache_dir=tmp_path), call_mode)
    again = Model()
    run = reading(scan(12), again, cache_dir=tmp_path)
    assert numbers(read(run, call_mode)) == list(range(1, 13))
    assert sorted([number for number in broken.asked if number != 5] + again.asked) == list(range(1, 13))
    assert run.usage.cached_pages == len(broken.asked) - 1
    third = Model(fails_at(*range(1, 13)))
    run = reading(scan(12), third, cache_dir=tmp_path)
    records = read(run, call_mode)
    assert third.asked == []
    assert [record.metadata["input_tokens"] for record in records] == [100 + number for number in range(1, 13)]
    assert (run.usage.pages, run.usage.cached_pages, run.usage.output_tokens) == (12, 12, 120)


@ways
def test_an_abandoned_run_goes_on_where_it_was(call_mode: CallMode, tmp_path: Path) -> None:
    model = Model(seconds=lambda number: 0.02)
    run = reading(scan(9), model, cache_dir=tmp_path)

    async def first() -> None:
        async with aclosing(run.arecords()) as records:
            await anext(records)

    if call_mode == "sync":
        with closing(run.records()) as records:
            next(records)
    else:
        asyncio.run(first())
    asked = list(model.asked)
    again = Model()
    read(reading(scan(9), again, cache_dir=tmp_path), call_mode)
    assert sorted(asked + again.asked) == list(range(1, 10))


def test_a_forgotten_run_ends_in_the_midst_of_work(tmp_path: Path) -> None:
    """As by the garbage collector, in a thread whose turn it is with PDFium: the pages that are read wait for it."""
    records = reading(scan(9), Model(seconds=lambda number: 0.02), cache_dir=tmp_path).records()
    next(records)

    def work() -> None:
        with PdfPages.lock:
            records.close()

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(10)
    assert not worker.is_alive()


def test_another_mode_asks_nothing_again(tmp_path: Path) -> None:
    read(reading(scan(2), Model(), cache_dir=tmp_path), "sync")
    model = Model()
    for mode in ("element", "chunk", "single"):
        read(reading(scan(2), model, cache_dir=tmp_path, mode=mode, output="text"), "sync")
    assert model.asked == []


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"model": "qwen3-vl-flash"}, {}),
        ({"temperature": 0.0}, {}),
        ({"enable_thinking": False}, {}),
        ({"extra_body": {"a": 1}}, {}),
        ({}, {"output": "markdown"}),
        ({}, {"prompt": "Read."}),
        ({}, {"dpi": 100}),
    ],
)
def test_another_question_is_asked(settings: dict[str, Any], options: dict[str, Any], tmp_path: Path) -> None:
    read(reading(scan(1), Model(), cache_dir=tmp_path), "sync")
    model = Model(**settings)
    read(reading(scan(1), model, cache_dir=tmp_path, **options), "sync")
    assert model.asked == [1]


def test_what_is_kept_is_readable_and_whole(tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "new" / "folder")
    answer = PageTranscription("Wörter\u2028", "length", "m", {"input_tokens": 3})
    cache.put("k", answer)
    assert cache.get("k") == answer
    (kept,) = (tmp_path / "new" / "folder").iterdir()
    assert json.loads(kept.read_text(encoding="utf-8"))["text"] == "Wörter\u2028"
    for broken in ("", "[]", '{"text"', '{"other": 1}', "\x00"):
        kept.write_text(broken, encoding="utf-8")
        assert cache.get("k") is None


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        PageCache(tmp_path).put("k", PageTranscription("a", usage={"input_tokens": object()}))  # type: ignore[dict-item]
    assert list(tmp_path.iterdir()) == []


def test_the_key_of_an_answer_does_not_change_by_itself() -> None:
    page = PageImage(1, "1", 32, 32, b"jpeg")
    other = replace(page, number=9, label="ix")
    assert cache_key(page, "q", ModelSettings()) == cache_key(other, "q", ModelSettings(model="qwen3-vl-plus"))
    assert cache_key(page, "q", ModelSettings()) != cache_key(replace(page, jpeg=b"other"), "q", ModelSettings())


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
    assert cache_key(page, "qwenvl html", ModelSettings(**settings)) == key


# --- Progress and totals ---


@ways
def test_progress_is_told_in_order(call_mode: CallMode) -> None:
    told: list[tuple[int, int, Any]] = []
    run = reading(scan(5), Model(fails_at(3)), on_error="skip", progress=lambda *seen: told.append(seen))
    read(run, call_mode)
    assert [(done, total) for done, total, _ in told] == [(number, 5) for number in range(1, 6)]
    assert [usage["pages"] for _, _, usage in told] == [1, 2, 2, 3, 4]
    assert told[-1][2] == run.usage
    assert told[-1][2].total_tokens == 4 * 110 + 1 + 2 + 4 + 5


@ways
def test_a_bar_is_shown(call_mode: CallMode, capsys: pytest.CaptureFixture[str]) -> None:
    read(reading(scan(3), Model(), progress=True), call_mode)
    assert "3/3" in capsys.readouterr().err


def test_a_bar_needs_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"tqdm.*qwenvl-adapters\[documents\]"):
        read(reading(scan(1), Model(), progress=True), "sync")


def test_totals_are_read_by_key_and_as_attributes() -> None:
    totals = UsageTotals()
    totals.add({"input_tokens": 5}, cached=False)
    assert totals["input_tokens"] == totals.input_tokens == 5
    assert not hasattr(totals, "dollars")
    assert pickle.loads(pickle.dumps(totals)) == totals


# --- Records ---


def transcript(text: str, *, finish: str = "stop") -> TranscribedPage:
    return TranscribedPage(
        3, "iii", (1000, 800), PageTranscription(text, finish, "m", {"input_tokens": 7}), parse_layout(text)
    )


def of(text: str, finish: str = "stop", **options: Any) -> list[Record]:
    return list(build_records(transcript(text, finish=finish), 9, LoaderOptions(**options)))


FLAT = (str, int, float, bool)
PAGE = {
    "page_label": "iii", "page_number": 3, "total_pages": 9, "page_width": 1000, "page_height": 800, "model": "m",
    "finish_reason": "stop", "truncated": False, "warnings": "", "input_tokens": 7, "output_tokens": 0,
}  # fmt: skip


def test_a_page() -> None:
    (record,) = of(html(1))
    assert record.metadata == PAGE
    assert record.text == (
        '<h2>Title 1</h2>\n<div class="text">Words of page 1.</div>\n'
        "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>1.50</td></tr></table>"
    )
    assert of(html(1), output="text")[0].text == "Title 1\n\nWords of page 1.\n\nItem | Price\nTea | 1.50"
    assert of(html(1), output="markdown")[0].text == (
        "## Title 1\n\nWords of page 1.\n\n| Item | Price |\n| --- | --- |\n| Tea | 1.50 |"
    )


def test_elements() -> None:
    title, text, table = of(html(1), mode="element", output="markdown")
    assert title.metadata == {
        **PAGE, "category": "title", "element_index": 0, "bbox": "[0.1, 0.05, 0.9, 0.1]",
    }  # fmt: skip
    assert (title.text, text.text) == ("## Title 1", "Words of page 1.")
    assert table.text == "| Item | Price |\n| --- | --- |\n| Tea | 1.50 |"
    assert table.metadata["category"] == "table"


def test_an_element_without_a_box_has_none() -> None:
    assert "bbox" not in of("Just words.", mode="element")[0].metadata
    assert not {"bbox", "bboxes"} & of("Just words.", mode="chunk")[0].metadata.keys()


@pytest.mark.parametrize("output", ["html", "markdown", "text"])
def test_a_picture_is_never_empty_text(output: Any) -> None:
    (picture,) = of('<div class="image" data-bbox="1 2 3 4"></div>', mode="element", output=output)
    assert "image" in picture.text


def test_chunks() -> None:
    (one,) = of(html(1), mode="chunk", output="text")
    assert one.metadata == {
        **PAGE, "category": "title,text,table", "element_index": "0-2", "bbox": "[0.1, 0.05, 0.9, 0.8]",
        "bboxes": "[[0.1, 0.05, 0.9, 0.1], [0.1, 0.15, 0.9, 0.4], [0.1, 0.5, 0.9, 0.8]]",
    }  # fmt: skip
    assert one.text == "Title 1\n\nWords of page 1.\n\nItem | Price\nTea | 1.50"


def test_pieces_of_an_ordered_list_keep_their_numbers() -> None:
    said = '<ol><li data-bbox="1 1 9 9">Pay.</li><li data-bbox="1 10 9 19">Sail.</li></ol>'
    assert [record.text for record in of(said, mode="element", output="markdown")] == ["1. Pay.", "2. Sail."]
    (chunk,) = of(said, mode="chunk", output="markdown")
    assert chunk.text == "1. Pay.\n\n2. Sail."


def long_page() -> str:
    rows = "".join(f"<tr><td>Row {number}</td><td>{number * 7}</td></tr>" for number in range(60))
    words = "".join(
        f'<div class="text" data-bbox="100 {10 * number} 900 {10 * number + 9}">{"word " * 12}</div>'
        for number in range(9)
    )
    return (
        f"<html><body>{words}<h2 data-bbox='1 100 9 110'>The table</h2>"
        f'<div class="table" data-bbox="100 200 900 900"><table>{rows}</table></div>{words}</body></html>'
    )


@pytest.mark.parametrize("output", ["html", "markdown", "text"])
def test_chunks_keep_to_their_size_and_split_nothing(output: Any) -> None:
    chunks = of(long_page(), mode="chunk", output=output, chunk_size=200)
    elements = of(long_page(), mode="element", output=output)
    assert len(chunks) > 5
    spans = [tuple(map(int, chunk.metadata["element_index"].split("-"))) for chunk in chunks]
    assert [index for first, last in spans for index in range(first, last + 1)] == list(range(len(elements)))
    for chunk, (first, last) in zip(chunks, spans, strict=True):
        assert all(element.text in chunk.text for element in elements[first : last + 1])
        boxes = [Box(*json.loads(element.metadata["bbox"])) for element in elements[first : last + 1]]
        around = boxes[0]
        for box in boxes[1:]:
            around = around.union(box)
        assert Box(*json.loads(chunk.metadata["bbox"])) == around
        assert len(chunk.text) <= 200 or sum(e.metadata["category"] != "title" for e in elements[first : last + 1]) == 1
    (table,) = [chunk for chunk in chunks if "table" in chunk.metadata["category"]]
    assert table.metadata["category"] == "title,table", "a title goes with what it is the title of"
    assert "Row 0" in table.text
    assert "Row 59" in table.text


@ways
def test_a_single_record(call_mode: CallMode) -> None:
    (record,) = read(reading(scan(3), Model(fails_at(2)), mode="single", on_error="skip", output="text"), call_mode)
    assert record.text.split("\n\f")[1].startswith("Title 3")
    assert record.metadata == {
        "total_pages": 3, "model": "qwen3-vl-plus", "finish_reason": "stop", "truncated": False,
        "warnings": "page 2 is missing: no", "input_tokens": 204, "output_tokens": 20,
    }  # fmt: skip


def test_a_cut_page_is_marked() -> None:
    whole, cut = of(html(1))[0].metadata, of(html(1)[:200], "length")[0].metadata
    assert not whole["truncated"]
    assert cut["truncated"]
    assert cut["finish_reason"] == "length"
    assert of(html(1), "length")[0].metadata["truncated"]
    assert of(html(1)[:200])[0].metadata["truncated"]


def test_a_looping_page_is_marked() -> None:
    loop = '<div class="text" data-bbox="1 2 30 40">The same again and again.</div>' * 9
    assert "repetition" in of(f"<html><body>{loop}</body></html>")[0].metadata["warnings"]


def test_metadata_is_flat_and_distinct_for_every_page() -> None:
    for mode in ("page", "element", "chunk", "single"):
        records = read(reading(scan(3), Model(lambda number: "The same."), mode=mode), "sync")
        assert all(isinstance(value, FLAT) for record in records for value in record.metadata.values())
        json.dumps([record.metadata for record in records])
        assert len({json.dumps(record.metadata) for record in records}) == len(records)


@pytest.mark.parametrize("output", ["html", "markdown", "text"])
@pytest.mark.parametrize("text", ["", "Page 1", "One.\n\nTwo & three."])
def test_an_answer_without_a_layout_is_its_words(output: Any, text: str) -> None:
    (record,) = of(text, output=output)
    assert record.text == text


def test_an_answer_to_a_question_of_ones_own() -> None:
    answer = '```json\n{"total": 5}\n```'
    assert of(answer, prompt="The total as JSON.")[0].text == answer
    assert of(html(1), prompt="QwenVL HTML")[0].text == of(html(1))[0].text


@pytest.mark.parametrize(
    ("options", "prompt"),
    [
        ({}, "qwenvl html"),
        ({"output": "text"}, "qwenvl html"),
        ({"output": "markdown"}, "qwenvl markdown"),
        ({"output": "markdown", "prompt": "Read it."}, "Read it."),
    ],
)
def test_what_is_asked(options: dict[str, Any], prompt: str) -> None:
    model = Model()
    read(reading(scan(1), model, **options), "sync")
    assert model.questions == [prompt]


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
def test_the_space_of_the_boxes_is_that_of_the_model(model: str, coordinates: Any, box: list[float]) -> None:
    said = '<div class="text" data-bbox="100 200 300 400">x</div>'
    asked = Model(lambda number: said, model=model)
    (record,) = read(reading(scan(1), asked, mode="element", coordinates=coordinates), "sync")
    assert json.loads(record.metadata["bbox"]) == pytest.approx(box, abs=1e-4)


def test_high_resolution_is_that_of_the_request() -> None:
    big = scan(1, height=12_000)
    (usual,) = read(reading(big, Model()), "sync")
    (high,) = read(reading(big, Model(vl_high_resolution_images=True)), "sync")
    assert usual.metadata["page_height"] < 12_000 == high.metadata["page_height"]


# --- Images that are kept ---


def image_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize("mode", ["page", "element", "chunk"])
def test_pages_and_their_pictures_are_kept(mode: Any, tmp_path: Path) -> None:
    said = (
        '<html><body><div class="text" data-bbox="0 0 500 500">a</div>'
        '<div class="image" data-bbox="500 500 1000 1000"></div></body></html>'
    )
    records = read(reading(scan(2), Model(lambda number: said), mode=mode, image_dir=tmp_path / "images"), "sync")
    paths = [Path(record.metadata["image_path"]) for record in records]
    assert all(path.parent == tmp_path / "images" for path in paths)
    sizes = [image_size(path) for path in paths]
    page, cut = (width_of(1), 320), (round(width_of(1) / 2) + 2, 162)
    assert sizes[0] == page
    assert len({*paths}) == (4 if mode == "element" else 2)
    if mode == "element":
        assert all(abs(ours - wanted) <= 2 for ours, wanted in zip(sizes[1], cut, strict=True))


def test_documents_of_the_same_name_keep_their_own_images(tmp_path: Path) -> None:
    paths = set()
    for folder, pages in (("a", 1), ("b", 2)):
        file = tmp_path / folder / "scan: 1.pdf"
        file.parent.mkdir()
        file.write_bytes(scan(pages, height=320 * pages))
        (record, *_) = read(reading(file, Model(), image_dir=tmp_path), "sync")
        paths.add(record.metadata["image_path"])
    assert len(paths) == 2


# --- Citations ---


def cited(mode: str = "chunk") -> Iterator[Record]:
    return iter(read(reading(scan(3), Model(), mode=mode, output="text"), "sync"))


def test_a_citation() -> None:
    record = list(cited())[1]
    citation = citation_from_metadata(record.text, {"source": "scan.pdf", **record.metadata})
    assert (citation.source, citation.page_number, citation.page, citation.page_label) == ("scan.pdf", 2, 2, "2")
    assert citation.text == record.text
    assert citation.box == Box(0.1, 0.05, 0.9, 0.8)
    assert citation.boxes == (Box(0.1, 0.05, 0.9, 0.1), Box(0.1, 0.15, 0.9, 0.4), Box(0.1, 0.5, 0.9, 0.8))
    assert str(citation) == "scan.pdf, page 2"


def test_a_citation_of_an_element_and_of_a_page() -> None:
    element = next(cited("element"))
    assert citation_from_metadata(element.text, element.metadata).boxes == (Box(0.1, 0.05, 0.9, 0.1),)
    page = next(cited("page"))
    citation = citation_from_metadata(page.text, page.metadata)
    assert (citation.box, citation.boxes, citation.source) == (None, (), "")


def test_a_highlight() -> None:
    record = list(cited())[1]
    picture = draw_citation(citation_from_metadata(record.text, record.metadata), scan(3))
    assert picture.size == (width_of(2), 320)
    red, green, blue = picture.getpixel((round(0.1 * width_of(2)), round(0.3 * 320)))
    assert red > 150 > max(green, blue)


def test_a_store_may_give_back_whole_numbers_as_floats() -> None:
    record = list(cited())[1]
    floats = {key: float(value) if type(value) is int else value for key, value in record.metadata.items()}
    citation = citation_from_metadata(record.text, floats)
    assert citation == citation_from_metadata(record.text, record.metadata)
    assert draw_citation(citation, scan(3)).size == (width_of(2), 320)


def test_a_highlight_of_what_is_not_one_page() -> None:
    (single,) = cited("single")
    with pytest.raises(QwenVLInputError, match="several pages"):
        draw_citation(citation_from_metadata(single.text, single.metadata), scan(3))
    with pytest.raises(QwenVLInputError, match="page 9"):
        draw_citation(citation_from_metadata("", {"page_number": 9}), scan(3))


def test_errors_are_of_one_tree() -> None:
    assert issubclass(QwenVLPageError, QwenVLError)

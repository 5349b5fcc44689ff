"""A transcriber without a model, and helpers that run a transcription with it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import pytest

from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.documents.records import Record
from qwenvl_core.documents.transcription import Transcription
from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.types.settings import ModelSettings
from tests.support.scanned_pages import html

CallMode = Literal["sync", "async"]
both_call_modes = pytest.mark.parametrize("call_mode", ["sync", "async"])
TextOfPage = Callable[[int], str]


class FakeTranscriber:
    """Returns the text that a test chooses for each page, and counts the calls.

    Attributes:
        started: Page numbers in the order in which calls started.
        finished: Page numbers in the order in which calls ended.
        prompts: The prompt of each call.
        max_concurrent: Highest number of calls at the same time.
    """

    def __init__(
        self,
        text_of: TextOfPage = html,
        *,
        delay: Callable[[int], float] = lambda number: 0.0,
        finish_reason: str = "stop",
        **settings: Any,
    ) -> None:
        self.settings = ModelSettings(**settings)
        self.started: list[int] = []
        self.finished: list[int] = []
        self.prompts: list[str] = []
        self.max_concurrent = 0
        self.lock = threading.Lock()
        self._text_of, self._delay, self._finish_reason = text_of, delay, finish_reason
        self._concurrent = 0

    def transcribe(self, page: PageImage, prompt: str) -> PageTranscription:
        self._start(page, prompt)
        try:
            time.sleep(self._delay(page.number))
            return self._build_transcription(page)
        finally:
            self._finish(page)

    async def atranscribe(self, page: PageImage, prompt: str) -> PageTranscription:
        self._start(page, prompt)
        try:
            await asyncio.sleep(self._delay(page.number))
            return self._build_transcription(page)
        finally:
            self._finish(page)

    def _start(self, page: PageImage, prompt: str) -> None:
        with self.lock:
            self.started.append(page.number)
            self.prompts.append(prompt)
            self._concurrent += 1
            self.max_concurrent = max(self.max_concurrent, self._concurrent)

    def _finish(self, page: PageImage) -> None:
        with self.lock:
            self._concurrent -= 1
            self.finished.append(page.number)

    def _build_transcription(self, page: PageImage) -> PageTranscription:
        counts = {"input_tokens": 100 + page.number, "output_tokens": 10, "total_tokens": 110 + page.number}
        return PageTranscription(self._text_of(page.number), self._finish_reason, "qwen3-vl-plus", counts)


def fail_at(*numbers: int, error: Callable[[], Exception] = lambda: ZeroDivisionError("no")) -> TextOfPage:
    """Return a function that raises for some pages, and returns the HTML of the others."""

    def text_of(number: int) -> str:
        if number in numbers:
            raise error()
        return html(number)

    return text_of


def create_transcription(file: Any, transcriber: FakeTranscriber, **options: Any) -> Transcription:
    return Transcription(file, LoaderOptions(**options), transcriber)


def collect_records(
    transcription: Transcription, call_mode: CallMode = "sync", *, into: list[Record] | None = None
) -> list[Record]:
    """Return all records; `into` receives those that come before an error, too."""
    records = [] if into is None else into
    if call_mode == "sync":
        records.extend(transcription.records())
        return records

    async def collect() -> None:
        async for record in transcription.arecords():
            records.append(record)

    asyncio.run(collect())
    return records


def page_numbers(records: list[Record]) -> list[int]:
    return [record.metadata["page_number"] for record in records]

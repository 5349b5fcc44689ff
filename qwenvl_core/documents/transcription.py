"""The reading of one document: pages in order, a window of them at a time, each asked for once.

```
render (PDFium's lock) ─► cache ─► model ─► parse ─► records
```

Sync and async share every step but the call to the model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, closing
from copy import copy

from qwenvl_core.catalog.models import describe
from qwenvl_core.documents.concurrency import amap_ordered, map_ordered
from qwenvl_core.documents.image_export import keep_images
from qwenvl_core.documents.options import Options
from qwenvl_core.documents.page_cache import PageCache, PageTranscription, Transcriber, UsageTotals, cache_key
from qwenvl_core.documents.progress import Report, reporting
from qwenvl_core.documents.records import Record, TranscribedPage, records_of, single_record
from qwenvl_core.errors import QwenVLPageError
from qwenvl_core.layout import parse_layout
from qwenvl_core.rendering.open import Document, file_name, open_pages
from qwenvl_core.rendering.page_size import Sizing
from qwenvl_core.rendering.pages import PageImage, Pages, page_image

_LOG = logging.getLogger(__name__)


class Transcription:
    """One document that is read once, by `records` or by `arecords`.

    Attributes:
        name: Of the document.
        usage: What the pages cost so far.
        failures: The pages that could not be read so far: their numbers, and why.
    """

    def __init__(self, file: Document, options: Options, transcriber: Transcriber, *, name: str | None = None) -> None:
        """Prepare the reading; the file is opened by it.

        Args:
            file: The document.
            options: How it is read.
            transcriber: The model.
            name: What the document is called; by default its path.
        """
        self.name = file_name(file) if name is None else name
        self.usage = UsageTotals()
        self.failures: list[tuple[int, Exception]] = []
        self._file = file
        self._options = options
        self._transcriber = transcriber
        self._cache = PageCache(options.cache_dir)
        self._facts = describe(transcriber.settings.model)
        self._kept: list[TranscribedPage] = []  # for a single record

    def records(self) -> Generator[Record]:
        """The document's records, as its pages are read.

        Raises:
            ImportError: pypdfium2, Pillow or tqdm is missing.
            OSError: The file can't be read.
            QwenVLInputError: It is no document, its password is not right, or it lacks a page that is asked for.
            QwenVLPageError: A page can't be read, and that is not to be skipped.
        """
        with self._open() as pages:
            numbers = self._options.numbers(pages.count)
            window = map_ordered(
                lambda number: self._read(pages, number),
                numbers,
                self._options.max_concurrency,
                finish=lambda: self._keeps and not pages.turns.here,
            )
            with reporting(self._options.progress, len(numbers), self.name) as report, closing(window):
                for number, outcome in window:
                    yield from self._taken(number, outcome, pages.count, report)
            yield from self._rest(pages.count)

    async def arecords(self) -> AsyncGenerator[Record]:
        """As `records`, for async."""
        with await asyncio.to_thread(self._open) as pages:
            numbers = self._options.numbers(pages.count)
            window = amap_ordered(
                lambda number: self._aread(pages, number), numbers, self._options.max_concurrency, finish=self._keeps
            )
            with reporting(self._options.progress, len(numbers), self.name) as report:
                async with aclosing(window):
                    async for number, outcome in window:
                        for record in self._taken(number, outcome, pages.count, report):
                            yield record
            for record in self._rest(pages.count):
                yield record

    def _open(self) -> Pages:
        return open_pages(self._file, password=self._options.password)

    @property
    def _keeps(self) -> bool:
        """Whether answers are kept. At an early end, pages that are being read are waited for then."""
        return self._options.cache_dir is not None

    # --- One page ---

    def _read(self, pages: Pages, number: int) -> TranscribedPage:
        page, key, known = self._prepared(pages, number)
        answer = known or self._transcriber.transcribe(page, self._options.prompt_for_page)
        return self._finished(page, key, answer, cached=known is not None)

    async def _aread(self, pages: Pages, number: int) -> TranscribedPage:
        page, key, known = await asyncio.to_thread(self._prepared, pages, number)
        answer = known or await self._transcriber.atranscribe(page, self._options.prompt_for_page)
        return await asyncio.to_thread(self._finished, page, key, answer, cached=known is not None)

    def _prepared(self, pages: Pages, number: int) -> tuple[PageImage, str, PageTranscription | None]:
        settings = self._transcriber.settings
        sizing = Sizing(self._facts, self._options.dpi, bool(settings.vl_high_resolution_images), settings.max_pixels)
        page = page_image(pages, number, sizing.fit)
        key = cache_key(page, self._options.prompt_for_page, settings) if self._keeps else ""
        return page, key, self._cache.get(key)

    def _finished(self, page: PageImage, key: str, answer: PageTranscription, *, cached: bool) -> TranscribedPage:
        if not cached:
            self._cache.put(key, answer)
        size = page.width, page.height
        space = self._options.coordinates or self._facts.coordinates or "auto"
        layout = parse_layout(answer.text, space=space, size=size)
        path, crops = keep_images(self._options.image_dir, self.name, page, layout)
        return TranscribedPage(page.number, page.label, size, answer, layout, cached, path, crops)

    # --- Their outcomes, in order ---

    def _taken(self, number: int, outcome: TranscribedPage | Exception, total: int, report: Report) -> Iterator[Record]:
        if isinstance(outcome, TranscribedPage):
            self.usage.add(outcome.answer.usage, cached=outcome.cached)
        else:
            self._failed(number, outcome)
        report(self.usage["pages"] + len(self.failures), copy(self.usage))
        if isinstance(outcome, Exception):
            return
        if self._options.mode == "single":
            self._kept.append(outcome)
        else:
            yield from records_of(outcome, total, self._options)

    def _failed(self, number: int, error: Exception) -> None:
        self.failures.append((number, error))
        if self._options.on_error == "raise":
            raise QwenVLPageError.of(error, number, self.name) from error
        _LOG.warning("%s: page %d is left out: %s", self.name, number, error)

    def _rest(self, total: int) -> Iterator[Record]:
        if self._options.mode == "single":
            yield single_record(self._kept, self.failures, total, self._options)

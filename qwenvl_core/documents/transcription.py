"""Transcribe one document: several pages concurrently, with their records in page order.

```
render (one thread at a time) ─► cache ─► model ─► parse ─► records
```

Sync and async share every step except the call of the model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from copy import copy

from qwenvl_core.catalog.models import describe
from qwenvl_core.documents import batch
from qwenvl_core.documents.batch import RequestBuilder
from qwenvl_core.documents.batch_state import BatchState, DamagedStateError, PendingPageError
from qwenvl_core.documents.concurrency import amap_ordered, map_ordered
from qwenvl_core.documents.image_export import check_folder, export_images
from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.documents.page_cache import PageCache, PageTranscription, Transcriber, UsageTotals, compute_cache_key
from qwenvl_core.documents.page_task import choose_prompt, get_answer_format, parse_answer
from qwenvl_core.documents.progress import Reporter, report_progress
from qwenvl_core.documents.records import Record, TranscribedPage, build_records, build_single_record
from qwenvl_core.errors import QwenVLError, QwenVLPageError
from qwenvl_core.layout import REPETITION, PageLayout
from qwenvl_core.parsing.text import escape_surrogates
from qwenvl_core.rendering.open import DocumentFile, File, open_pages
from qwenvl_core.rendering.page_size import PageSizing
from qwenvl_core.rendering.pages import PageImage, Pages, render_page
from qwenvl_core.transport.batch_steps import Flow

_LOG = logging.getLogger(__name__)


class Transcription:
    """The transcription of one document. Call `records` or `arecords`, once.

    Attributes:
        usage: Usage of the pages so far.
        failures: Numbers and errors of the pages that failed so far.
    """

    def __init__(
        self,
        file: File | DocumentFile,
        options: LoaderOptions,
        transcriber: Transcriber,
        *,
        name: str | None = None,
    ) -> None:
        """Set up the transcription; `records` opens the file.

        Args:
            file: The document.
            options: The loader's options.
            transcriber: The model.
            name: Name of the document; by default its path.
        """
        self.usage = UsageTotals()
        self.failures: list[tuple[int, Exception]] = []
        self._file = file if isinstance(file, DocumentFile) else DocumentFile(file)
        self._name = name
        self._options = options
        self._transcriber = transcriber
        self._cache = PageCache(options.cache_dir if options.mode != "image" else None)
        self._batches = BatchState(options.cache_dir) if options.cache_dir and options.mode != "image" else None
        self._facts = describe(transcriber.settings.model)
        self._prompt = choose_prompt(options, transcriber.settings)
        self._single_record_pages: list[TranscribedPage] = []
        self._document_warnings: dict[int, tuple[str, ...]] = {}  # by page number

    @property
    def name(self) -> str:
        """Name of the document. For a file object without a name, its content is read."""
        return self._file.name if self._name is None else self._name

    def records(self) -> Generator[Record]:
        """Transcribe the pages, and yield their records in page order.

        Raises:
            ImportError: pypdfium2, Pillow or tqdm is missing.
            OSError: The file can't be read.
            QwenVLInputError: The file is not a supported document, the password is missing or wrong, a selected
                page does not exist, or `image_dir` can't be written.
            QwenVLPageError: A page failed, and `on_error` is `"raise"`.
        """
        with self._open() as pages:
            numbers = self._select_pages(pages)
            results = map_ordered(
                lambda number: self._transcribe_page(pages, number),
                numbers,
                self._options.max_concurrency,
                # The threads may need the lock that the closing thread holds; see `qwenvl_core.rendering.lock`.
                finish_on_close=lambda: self._has_cache and not pages.lock.is_owned,
            )
            with report_progress(self._options.progress, len(numbers), self.name) as report, closing(results):
                for number, result in results:
                    yield from self._handle_result(number, result, pages.count, report)
            yield from self._build_last_record(pages.count)

    async def arecords(self) -> AsyncGenerator[Record]:
        """Transcribe the pages asynchronously; see `records`."""
        with await asyncio.to_thread(self._open) as pages:
            numbers = self._select_pages(pages)
            results = amap_ordered(
                lambda number: self._atranscribe_page(pages, number),
                numbers,
                self._options.max_concurrency,
                finish_on_close=self._has_cache,
            )
            with report_progress(self._options.progress, len(numbers), self.name) as report:
                async with aclosing(results):
                    async for number, result in results:
                        for record in self._handle_result(number, result, pages.count, report):
                            yield record
            for record in self._build_last_record(pages.count):
                yield record

    def submit_batch(self, builder: RequestBuilder, window: str) -> Flow[list[str]]:
        """Return the flow that submits the pages that the cache lacks, and returns the ids of their batches.

        See `qwenvl_core.documents.batch.submit_pages`.

        Raises:
            QwenVLInputError: There is no `cache_dir`, or a page can't be sent in a batch.
        """
        state = batch.get_state(self._options.cache_dir)
        return batch.submit_pages(state, builder, self._render_missing_pages(), self._prompt, window)

    def _select_pages(self, pages: Pages) -> list[int]:
        """Select the pages; the first of them has the warnings about the document in its metadata."""
        numbers = self._options.select_pages(pages.count)
        for warning in pages.warnings:
            _LOG.warning("%s: %s", escape_surrogates(self.name), warning)
        self._document_warnings = {numbers[0]: pages.warnings} if numbers else {}
        return numbers

    def _open(self) -> Pages:
        check_folder(self._options.image_dir)
        _ = self.name  # is read here, since async callers run this method in a thread
        return open_pages(self._file, password=self._options.password)

    @property
    def _has_cache(self) -> bool:
        """Whether transcriptions are cached. Closing early then waits for pages in progress, since these are billed."""
        return self._options.cache_dir is not None and self._options.mode != "image"

    # --- One page, in a thread or a task ---

    def _transcribe_page(self, pages: Pages, number: int) -> TranscribedPage:
        page, key, cached = self._prepare_page(pages, number)
        if cached is not None:
            return self._finish_page(page, *cached, is_cached=True)
        transcription = self._transcriber.transcribe(page, self._prompt)
        return self._finish_new_page(page, key, transcription)

    async def _atranscribe_page(self, pages: Pages, number: int) -> TranscribedPage:
        page, key, cached = await asyncio.to_thread(self._prepare_page, pages, number)
        if cached is not None:
            return await asyncio.to_thread(self._finish_page, page, *cached, is_cached=True)
        transcription = await self._transcriber.atranscribe(page, self._prompt)
        return await asyncio.to_thread(self._finish_new_page, page, key, transcription)

    def _prepare_page(
        self, pages: Pages, number: int
    ) -> tuple[PageImage, str, tuple[PageTranscription, PageLayout] | None]:
        """Render a page; return it with its cache key, and with its cached transcription and layout.

        Raises:
            PendingPageError: The page waits in a batch.
            QwenVLError: The page failed in a batch.
        """
        page, key, cached, is_good = self._look_up_page(pages, number)
        if not is_good and self._batches is not None:
            outcome = self._batches.find_outcome(key, cached)
            if outcome is None and self._batches.is_answered(key):  # collected since the look-up
                outcome = self._cache.get(key)
            cached, is_good = outcome, outcome is not None
        return page, key, (cached, self._parse(page, cached)) if cached is not None and is_good else None

    def _look_up_page(self, pages: Pages, number: int) -> tuple[PageImage, str, PageTranscription | None, bool]:
        """Render a page; return it with its cache key, its cached transcription, and whether that one is good."""
        settings = self._transcriber.settings
        sizing = PageSizing(
            self._facts, self._options.dpi, bool(settings.vl_high_resolution_images), settings.max_pixels
        )
        page = render_page(pages, number, sizing.fit)
        key = compute_cache_key(page, self._prompt, settings) if self._has_cache else ""
        cached = self._cache.get(key)
        return page, key, cached, cached is not None and _can_be_cached(cached, self._parse(page, cached))

    def _render_missing_pages(self) -> Generator[tuple[PageImage, str]]:
        """Yield the pages that are not in the cache, with their cache keys."""
        with self._open() as pages:
            for number in self._select_pages(pages):
                page, key, _, is_good = self._look_up_page(pages, number)
                if not is_good:
                    yield page, key

    def _finish_new_page(self, page: PageImage, key: str, transcription: PageTranscription) -> TranscribedPage:
        """Parse a new transcription and cache it; export the page's images."""
        layout = self._parse(page, transcription)
        warnings = []
        if _can_be_cached(transcription, layout):
            try:
                self._cache.put(key, transcription)
            except OSError as error:  # the page is paid for
                warnings.append(self._describe_unwritten("cache_dir", page, error))
        return self._finish_page(page, transcription, layout, is_cached=False, warnings=warnings)

    def _finish_page(
        self,
        page: PageImage,
        transcription: PageTranscription,
        layout: PageLayout,
        *,
        is_cached: bool,
        warnings: Sequence[str] = (),
    ) -> TranscribedPage:
        """Export the images of a transcribed page."""
        path: str | None
        try:
            path, crops = export_images(self._options.image_dir, self.name, page, layout)
        except OSError as error:
            if self._options.mode == "image":  # the picture is all that the page gives
                raise
            path, crops = "", {}
            warnings = (*warnings, self._describe_unwritten("image_dir", page, error))
        return TranscribedPage(
            page.number,
            page.label,
            (page.width, page.height),
            transcription,
            layout,
            is_cached,
            path,
            crops,
            (*self._document_warnings.get(page.number, ()), *warnings),
            get_answer_format(self._options, self._transcriber.settings),
            bool(transcription.image_reduced) if self._batches is not None else None,
        )

    def _parse(self, page: PageImage, transcription: PageTranscription) -> PageLayout:
        space = self._options.coordinates or self._facts.coordinates or "auto"
        settings = self._transcriber.settings
        return parse_answer(transcription, self._options, settings, space=space, size=(page.width, page.height))

    def _describe_unwritten(self, option: str, page: PageImage, error: OSError) -> str:
        """Log that a file of a page could not be written, and return the warning for its metadata."""
        _LOG.warning("%s: page %d is not stored in %s: %s", escape_surrogates(self.name), page.number, option, error)
        return f"not stored in {option}: {error.strerror or error}"

    # --- Results, in page order ---

    def _handle_result(
        self, number: int, result: TranscribedPage | Exception, total: int, report: Reporter
    ) -> Iterator[Record]:
        if isinstance(result, TranscribedPage):
            self.usage.add(result.transcription.usage, is_cached=result.is_cached)
        else:
            self._add_failure(number, result)
        report(self.usage["pages"] + len(self.failures), copy(self.usage))
        if isinstance(result, Exception):
            return
        if self._options.mode == "single":
            self._single_record_pages.append(result)
        else:
            yield from build_records(result, total, self._options)

    def _add_failure(self, number: int, error: Exception) -> None:
        self.failures.append((number, error))
        if self._options.on_error == "raise" or isinstance(error, (PendingPageError, DamagedStateError)):
            raise _build_page_error(error, number, self.name) from error
        _LOG.warning("%s: skipped page %d: %s", escape_surrogates(self.name), number, error)

    def _build_last_record(self, total: int) -> Iterator[Record]:
        """Yield the record of the mode `"single"`; nothing in other modes."""
        if self._options.mode == "single":
            yield build_single_record(self._single_record_pages, self.failures, total, self._options)


def _can_be_cached(transcription: PageTranscription, layout: PageLayout) -> bool:
    """Return whether an answer is worth keeping: one that was cut off or runs in a loop is requested again."""
    return transcription.finish_reason != "length" and REPETITION not in layout.warnings


def _build_page_error(cause: Exception, number: int, document: str) -> QwenVLPageError:
    """Build the error of one page from its cause."""
    known = cause if isinstance(cause, QwenVLError) else QwenVLError(f"{type(cause).__name__}: {cause}")
    error = QwenVLPageError(
        f"{document}, page {number}: {known.message}",
        code=known.code,
        status_code=known.status_code,
        request_id=known.request_id,
        partial=known.partial,
        hint=known.hint,
    )
    error.page_number, error.cause = number, cause
    return error

"""Load scanned documents as LangChain documents, and cite them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.document_loaders.base import BaseBlobParser, BaseLoader
from langchain_core.documents.base import Document
from langchain_core.messages.ai import AIMessage
from typing_extensions import override

from langchain_qwenvl.exceptions import map_core_errors
from langchain_qwenvl.page_transcriber import PageTranscriber, create_transcriber
from qwenvl_core.client.lazy_import import lazy_module
from qwenvl_core.documents.batch_loading import (
    acollect_pages,
    asubmit_pages,
    build_mode_error,
    collect_pages,
    submit_pages,
)
from qwenvl_core.documents.citations import Citation, build_citation, draw_citation
from qwenvl_core.documents.options import Coordinates, Dpi, LoaderOptions, Mode, OnError, Output, Progress
from qwenvl_core.documents.page_cache import UsageTotals
from qwenvl_core.documents.records import Record
from qwenvl_core.documents.transcription import Transcription
from qwenvl_core.rendering.open import DocumentFile, File

if TYPE_CHECKING:
    from langchain_core.documents.base import Blob
    from langchain_core.language_models.base import LanguageModelInput
    from langchain_core.runnables.base import Runnable
    from PIL.Image import Image

    from qwenvl_core.client import batch_job
    from qwenvl_core.client.batch_job import BatchJob
    from qwenvl_core.types.batch import BatchStatus

    Model = Runnable[LanguageModelInput, AIMessage]
else:
    batch_job = lazy_module("qwenvl_core.client.batch_job")

__all__ = ["Citation", "QwenVLLoader", "QwenVLParser", "citation", "highlight"]


class QwenVLLoader(BaseLoader):
    """Load a scanned document: a Qwen-VL model transcribes each page, with its tables and the boxes of its elements.

    With an OCR model such as `qwen3.5-ocr` and `api="dashscope"`, pages are read with the task `document_parsing`, and
    lines (`mode="element"` and `"chunk"`) with `advanced_recognition`, unless the model's own `ocr_options` name a
    task. With `api="openai"` an OCR model gives the plain text of pages, without boxes.

    Documents are in page order. Their metadata is flat: `source`, `page` (from 0), `page_number` (from 1),
    `page_label`, `total_pages`, `page_width`, `page_height`, `model`, `finish_reason`, `truncated`, `warnings`,
    with `image_dir` `image_path`, for elements and chunks `category`, `element_index` and `bbox`, for chunks `bboxes`.
    With `mode="image"`, the text is empty and the picture under `image_path`: pass those paths to `embed_image`.
    `citation` and `highlight` use them. Keys and types depend on the options only, so that stores with a schema take
    all documents: a missing value is `""`. A page without text has the text "[no text]" and the warning "no text".
    Token counts are in `usage`.

    Example:
        ```python
        llm = ChatQwenVL(enable_thinking=False)  # transcription needs no thinking, which is billed as output
        loader = QwenVLLoader("agreement.pdf", llm=llm, mode="chunk", cache_dir="answers")
        for document in loader.lazy_load():
            print(document.metadata["page_number"], document.metadata["bbox"], document.page_content)
        ```
    """

    def __init__(
        self,
        file: File,
        *,
        llm: Model | None = None,
        mode: Mode = "page",
        output: Output = "html",
        prompt: str | None = None,
        pages: str | None = None,
        dpi: Dpi = "auto",
        high_resolution: bool = False,
        max_concurrency: int = 4,
        on_error: OnError = "raise",
        cache_dir: str | Path | None = None,
        image_dir: str | Path | None = None,
        progress: Progress = False,
        password: str | None = None,
        coordinates: Coordinates | None = None,
        chunk_size: int = 1000,
    ) -> None:
        """Set the file and the options.

        Args:
            file: A PDF, a TIFF with any number of pages, or an image: a path or `file://` URL, bytes, or a file object
                (an open file, a response of an HTTP client, an upload). One that cannot seek is read once.
            llm: The model, also with keywords bound to it. Its settings apply, including thinking. By default
                `ChatQwenVL()`.
            mode: One document for each `"page"`, for each `"element"` of the pages, for each `"chunk"` of neighbouring
                elements (tables stay whole), or a `"single"` one; with `"image"` one for the picture of each page in
                `image_dir`, for visual retrieval: that asks no model and needs no key.
            output: Format of the text: `"html"`, `"markdown"` or `"text"`. With `"html"` and `"text"` the model returns
                boxes for all elements, with `"markdown"` for tables and pictures only.
            prompt: Prompt for each page, instead of the vendor's prompt for `output`.
            pages: Page numbers and ranges, such as `"1-3,7,9-"`; by default all pages.
            dpi: `"auto"` renders at the highest resolution of the model's input, up to 200 dots per inch. A number is
                the resolution in dots per inch, limited to that of the model's input.
            high_resolution: Whether to use up to 16,384 tokens per page, for small print.
            max_concurrency: Number of pages that are rendered and transcribed at the same time; it bounds memory.
            on_error: `"raise"` raises after the documents of the pages before the failed one; `"skip"` skips the page.
            cache_dir: Folder that caches transcriptions, so that an interrupted run resumes without repeated requests.
            image_dir: Folder for JPEG files of the pages and the pictures on them; their path is the metadata's
                `image_path`.
            progress: `True` for a progress bar, or a callable that takes the pages done, their total, and the usage.
            password: Password of the PDF, if it has one.
            coordinates: Unit of the model's boxes: `"relative"` (thousandths) or `"absolute"` (pixels). Needed only for
                models that are not in the catalog.
            chunk_size: Longest chunk, in characters; a longer element becomes one chunk.

        Raises:
            TypeError: `llm` is not a `ChatQwenVL`.
            ValueError: An option's value is not allowed.
        """
        self.file = file
        self._document = DocumentFile(file)
        self._parser = QwenVLParser(
            llm=llm, mode=mode, output=output, prompt=prompt, pages=pages, dpi=dpi, high_resolution=high_resolution,
            max_concurrency=max_concurrency, on_error=on_error, cache_dir=cache_dir, image_dir=image_dir,
            progress=progress, password=password, coordinates=coordinates, chunk_size=chunk_size,
        )  # fmt: skip
        self._last_run: Transcription | None = None

    @property
    def usage(self) -> UsageTotals:
        """Usage of the last load so far: token counts, and the number of pages and of cached pages."""
        return self._last_run.usage if self._last_run else UsageTotals()

    @property
    def failures(self) -> list[tuple[int, Exception]]:
        """Numbers and errors of the pages that failed in the last load so far."""
        return self._last_run.failures if self._last_run else []

    @override
    def lazy_load(self) -> Iterator[Document]:
        """Load the documents one by one, as their pages are transcribed.

        Yields:
            The documents, in the order of the pages.

        Raises:
            ImportError: pypdfium2, Pillow or tqdm is missing.
            OSError: The file can't be read.
            QwenVLInputError: The file is not a supported document, the password is missing or wrong, or a selected
                page does not exist, or `image_dir` can't be written.
            QwenVLPageError: A page failed, and `on_error` is `"raise"`; it has the `page_number` and the `cause`.
        """
        with map_core_errors():
            self._last_run = transcription = self._parser.transcribe(self._reopen())
            for record in transcription.records():
                yield _to_document(record, transcription.name)

    @override
    async def alazy_load(self) -> AsyncIterator[Document]:
        """Load the documents asynchronously; see `lazy_load`."""
        with map_core_errors():
            self._last_run = transcription = self._parser.transcribe(self._reopen())
            async for record in transcription.arecords():
                yield _to_document(record, transcription.name)

    def submit_batch(self, *, window: str = "24h") -> BatchJob[Any]:
        """Submit the pages that `cache_dir` lacks as batch files, which are answered at half the price.

        Pages that wait in a batch are not submitted again; pages that failed or were cut off in one are. A submission
        that a crash interrupted is completed first.

        Args:
            window: The time within which the service answers, at least `"24h"`.

        Returns:
            The job of the batches that the pages wait in; `collect_batch` fetches their results.

        Raises:
            QwenVLInputError: There is no `cache_dir`, or the pages can't be sent in a batch.
            QwenVLError: A request failed.

        Example:
            ```python
            loader = QwenVLLoader("agreement.pdf", llm=llm, cache_dir="answers")
            loader.submit_batch()
            print(loader.collect_batch(wait=True).state)  # completed
            print(len(loader.load()))  # 3
            ```
        """
        with map_core_errors():
            builder = self._parser.get_builder()
            ids = submit_pages(self._parser.transcribe(self._reopen()), builder, window)
            return batch_job.BatchJob(ids, builder.model, None, error_context=map_core_errors)

    async def asubmit_batch(self, *, window: str = "24h") -> BatchJob[Any]:
        """Submit the pages asynchronously; see `submit_batch`. After a cancellation, a later call completes it."""
        with map_core_errors():
            builder = self._parser.get_builder()
            ids = await asubmit_pages(self._parser.transcribe(self._reopen()), builder, window)
            return batch_job.BatchJob(ids, builder.model, None, error_context=map_core_errors)

    def collect_batch(
        self, wait: bool = False, timeout: float | None = None, progress: Callable[[BatchStatus], object] | None = None
    ) -> BatchStatus:
        """Fetch the answers of all finished batches of `cache_dir`; then loading asks nothing.

        Args:
            wait: Whether to wait until all batches are finished.
            timeout: Seconds to wait at most; `None` for no limit.
            progress: Called with each `BatchStatus`.

        Returns:
            The status of the batches that were waited for; the last one if none was.

        Raises:
            QwenVLTimeoutError: The batches are not finished in time.
            QwenVLInputError: There is no `cache_dir`, or the state in it is damaged.
            QwenVLError: A request failed.
        """
        return self._parser.collect_batch(wait, timeout, progress)

    async def acollect_batch(
        self, wait: bool = False, timeout: float | None = None, progress: Callable[[BatchStatus], object] | None = None
    ) -> BatchStatus:
        """Fetch the answers asynchronously; see `collect_batch`. After a cancellation, a later call completes it."""
        return await self._parser.acollect_batch(wait, timeout, progress)

    def _reopen(self) -> DocumentFile:
        if self._document.file is not self.file:
            self._document = DocumentFile(self.file)
        return self._document.reopen()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the file and the options, without the last load."""
        return {**self.__dict__, "_last_run": None}


class QwenVLParser(BaseBlobParser):
    """Parse blobs of scanned documents (`application/pdf`, `image/*`, `application/x-npy`); see `QwenVLLoader`.

    A parser has no state: threads and processes may share it, and it can be the `images_parser` of LangChain's PDF
    loaders. Its keywords are those of `QwenVLLoader`. The metadata of a blob is copied to its documents.

    Example:
        ```python
        from langchain_core.document_loaders import Blob

        parser = QwenVLParser(llm=ChatQwenVL(enable_thinking=False), output="markdown")
        for document in parser.lazy_parse(Blob.from_path("agreement.pdf")):
            print(document.page_content)
        ```
    """

    def __init__(
        self,
        *,
        llm: Model | None = None,
        mode: Mode = "page",
        output: Output = "html",
        prompt: str | None = None,
        pages: str | None = None,
        dpi: Dpi = "auto",
        high_resolution: bool = False,
        max_concurrency: int = 4,
        on_error: OnError = "raise",
        cache_dir: str | Path | None = None,
        image_dir: str | Path | None = None,
        progress: Progress = False,
        password: str | None = None,
        coordinates: Coordinates | None = None,
        chunk_size: int = 1000,
    ) -> None:
        """Set the options; see `QwenVLLoader`.

        Raises:
            TypeError: `llm` is not a `ChatQwenVL`.
            ValueError: An option's value is not allowed.
        """
        with map_core_errors():
            self._options = LoaderOptions(
                mode=mode, output=output, prompt=prompt, pages=pages, dpi=dpi, high_resolution=high_resolution,
                max_concurrency=max_concurrency, on_error=on_error, cache_dir=cache_dir, image_dir=image_dir,
                progress=progress, password=password, coordinates=coordinates, chunk_size=chunk_size,
            )  # fmt: skip
            self._transcriber = create_transcriber(llm, self._options)

    @override
    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        """Parse a blob, and yield its documents as its pages are transcribed.

        Args:
            blob: A scanned document: its path or its data.

        Yields:
            The documents, in the order of the pages, with the blob's metadata.

        Raises:
            ImportError: pypdfium2, Pillow or tqdm is missing.
            OSError: The blob can't be read.
            QwenVLInputError: The blob is not a supported document, the password is missing or wrong, or a selected
                page does not exist, or `image_dir` can't be written.
            QwenVLPageError: A page failed, and `on_error` is `"raise"`; it has the `page_number` and the `cause`.
        """
        with map_core_errors():
            file = Path(blob.path) if blob.data is None and blob.path is not None else blob.as_bytes()
            transcription = self.transcribe(file, name=blob.source)
            for record in transcription.records():
                yield _to_document(record, transcription.name, blob.metadata)

    def transcribe(self, file: File | DocumentFile, *, name: str | None = None) -> Transcription:
        """Set up the transcription of a document; its `records` run it."""
        return Transcription(file, self._options, self._transcriber, name=name)

    def get_builder(self) -> PageTranscriber:
        """Return what builds the requests of pages.

        Raises:
            QwenVLInputError: The mode asks no model.
        """
        if not isinstance(self._transcriber, PageTranscriber):
            raise build_mode_error()
        return self._transcriber

    def collect_batch(
        self, wait: bool = False, timeout: float | None = None, progress: Callable[[BatchStatus], object] | None = None
    ) -> BatchStatus:
        """Fetch the answers of all finished batches; see `QwenVLLoader.collect_batch`."""
        with map_core_errors():
            return collect_pages(self._options, self.get_builder(), wait, timeout, progress)

    async def acollect_batch(
        self, wait: bool = False, timeout: float | None = None, progress: Callable[[BatchStatus], object] | None = None
    ) -> BatchStatus:
        """Fetch the answers asynchronously; see `QwenVLLoader.collect_batch`."""
        with map_core_errors():
            return await acollect_pages(self._options, self.get_builder(), wait, timeout, progress)


def citation(document: Document) -> Citation:
    """Build the citation of a document, or of a piece that a text splitter created from it.

    See `qwenvl_core.documents.citations.build_citation`.

    Args:
        document: A document of `QwenVLLoader` or `QwenVLParser`.

    Returns:
        Where the text stands: the file, the page, and the boxes on it.

    Raises:
        ValueError: The metadata holds an invalid box.

    Example:
        ```python
        document = QwenVLLoader("agreement.pdf", mode="element").load()[0]
        print(citation(document))  # agreement.pdf, page 1
        print(citation(document).box)
        ```
    """
    return build_citation(document.page_content, document.metadata)


def highlight(document: Document | Citation, file: File, *, password: str | None = None) -> Image:
    """Render the page of a document, or of its citation, with the document's boxes drawn on it.

    Args:
        document: A document of `QwenVLLoader` or `QwenVLParser`, or its citation.
        file: The scanned document: its path, its bytes, or a file opened in binary mode.
        password: Password of the PDF, if it has one.

    Returns:
        A new Pillow image, at the size at which the page was sent to the model.

    Raises:
        ImportError: pypdfium2 or Pillow is missing (extra `documents`).
        QwenVLInputError: The citation covers several pages, or `file` does not have its page.

    Example:
        ```python
        document = QwenVLLoader("agreement.pdf", mode="element").load()[0]
        highlight(document, "agreement.pdf").save("cited.png")
        ```
    """
    with map_core_errors():
        cited = document if isinstance(document, Citation) else citation(document)
        return draw_citation(cited, file, password=password)


def _to_document(record: Record, source: str, blob_metadata: Mapping[str, Any] | None = None) -> Document:
    """Convert a record to a LangChain document; `page` counts from 0, as in LangChain's PDF loaders."""
    number = record.metadata.get("page_number")
    page = {} if number is None else {"page": number - 1}
    return Document(record.text, metadata={**(blob_metadata or {}), "source": source, **page, **record.metadata})

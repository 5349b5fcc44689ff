"""Read scanned documents as LlamaIndex documents, and cite them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import BaseNode, Document, ImageDocument, MetadataMode, NodeWithScore
from pydantic import ConfigDict, Field, PrivateAttr, SerializeAsAny, field_validator, model_validator
from typing_extensions import override

from llama_index_qwenvl.llm import QwenVL
from llama_index_qwenvl.page_transcriber import PageTranscriber, create_transcriber
from qwenvl_core.client.connection_config import build_keyword_error
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
from qwenvl_core.types.batch import BatchStatus

if TYPE_CHECKING:
    from PIL.Image import Image

    from qwenvl_core.client import batch_job
    from qwenvl_core.client.batch_job import BatchJob
else:
    batch_job = lazy_module("qwenvl_core.client.batch_job")

__all__ = ["Citation", "QwenVLReader", "citation", "highlight"]

_VISIBLE_METADATA = ("file_name", "page_label")  # in embeddings and prompts, where the rest would be noise


class QwenVLReader(BasePydanticReader):
    """Read scanned documents: a Qwen-VL model transcribes each page, with its tables and the boxes of its elements.

    With an OCR model such as `qwen3.5-ocr` and `api="dashscope"`, pages are read with the task `document_parsing`, and
    lines (`mode="element"` and `"chunk"`) with `advanced_recognition`, unless the model's own `ocr_options` name a
    task. With `api="openai"` an OCR model gives the plain text of pages, without boxes.

    Documents are in page order. Their metadata is flat: `file_name`, `file_path`, `page_number` (from 1),
    `page_label`, `total_pages`, `page_width`, `page_height`, `model`, `finish_reason`, `truncated`, `warnings`,
    with `image_dir` `image_path`, for elements and chunks `category`, `element_index` and `bbox`, for chunks `bboxes`.
    With `mode="image"`, documents are an `ImageDocument` without text.
    `citation` and `highlight` use them. Keys and types depend on the options only, so that stores with a schema take
    all documents: a missing value is `""`. A page without text has the text "[no text]" and the warning "no text".
    Token counts are in `usage`. Embeddings and prompts include only `file_name` and
    `page_label`.

    Raises:
        QwenVLInputError: An option's value is not allowed.
        ValidationError: A keyword is unknown, or `llm` is not a `QwenVL`.

    Example:
        ```python
        from llama_index.core import SimpleDirectoryReader

        llm = QwenVL(enable_thinking=False)  # transcription needs no thinking, which is billed as output
        reader = QwenVLReader(llm=llm, mode="chunk", cache_dir="answers")
        for document in reader.load_data("agreement.pdf"):
            print(document.metadata["page_number"], document.metadata["bbox"], document.text)
        folder = SimpleDirectoryReader(input_files=["agreement.pdf"], file_extractor={".pdf": reader})
        print(len(folder.load_data()))  # 3
        ```
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)  # the input may be a key or the password

    is_remote: bool = True
    """Whether data comes from elsewhere; LlamaIndex's pipelines read it."""
    llm: SerializeAsAny[QwenVL] | None = None
    """The model. Its settings apply, including thinking. By default `QwenVL()`."""
    mode: Mode = "page"
    """One document for each `"page"`, for each `"element"` of the pages, for each `"chunk"` of neighbouring elements
    (tables stay whole), or a `"single"` one; with `"image"` an `ImageDocument` of each page, in `image_dir`,
    for visual retrieval: that asks no model and needs no key."""
    output: Output = "html"
    """Format of the text: `"html"`, `"markdown"` or `"text"`. With `"html"` and `"text"` the model returns boxes for
    all elements, with `"markdown"` for tables and pictures only."""
    prompt: str | None = None
    """Prompt for each page, instead of the vendor's prompt for `output`."""
    pages: str | None = None
    """Page numbers and ranges, such as `"1-3,7,9-"`; by default all pages."""
    dpi: Dpi = "auto"
    """`"auto"` renders at the highest resolution of the model's input, up to 200 dots per inch. A number is the
    resolution in dots per inch, limited to that of the model's input."""
    high_resolution: bool = False
    """Whether to use up to 16,384 tokens per page, for small print."""
    max_concurrency: int = 4
    """Number of pages that are rendered and transcribed at the same time; it bounds memory."""
    on_error: OnError = "raise"
    """`"raise"` raises after the documents of the pages before the failed one; `"skip"` skips the page."""
    cache_dir: str | Path | None = None
    """Folder that caches transcriptions, so that an interrupted run resumes without repeated requests."""
    image_dir: str | Path | None = None
    """Folder for JPEG files of the pages and the pictures on them; their path is the metadata's `image_path`."""
    progress: Progress = Field(default=False, exclude=True)
    """`True` for a progress bar, or a callable that takes the pages done, their total, and the usage."""
    password: str | None = Field(default=None, exclude=True, repr=False)
    """Password of the PDF, if it has one."""
    coordinates: Coordinates | None = None
    """Unit of the model's boxes: `"relative"` (thousandths) or `"absolute"` (pixels). Needed only for models that are
    not in the catalog."""
    chunk_size: int = 1000
    """Longest chunk, in characters; a longer element becomes one chunk."""

    _last_run: Transcription | None = PrivateAttr(default=None)

    @classmethod
    @override
    def class_name(cls) -> str:
        return "QwenVLReader"

    @model_validator(mode="before")
    @classmethod
    def _check_keywords(cls, values: Any) -> Any:
        """Raise on a keyword of the model, and drop the class name, which LlamaIndex's `to_dict` adds to the fields."""
        if not isinstance(values, dict):
            return values
        for name in values.keys() & (QwenVL.model_fields.keys() - cls.model_fields.keys()):
            raise build_keyword_error(
                cls, name, f"Unknown keyword {name!r}. Set it on the model: llm=QwenVL({name}=...)."
            )
        return {name: values[name] for name in values if name != "class_name"}

    @field_validator("llm", mode="before")
    @classmethod
    def _load_llm(cls, value: Any) -> Any:
        return QwenVL.from_dict(value) if isinstance(value, dict) else value

    @override
    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._build_options()  # validates them

    @property
    def usage(self) -> UsageTotals:
        """Usage of the last load so far: token counts, and the number of pages and of cached pages."""
        return self._last_run.usage if self._last_run else UsageTotals()

    @property
    def failures(self) -> list[tuple[int, Exception]]:
        """Numbers and errors of the pages that failed in the last load so far."""
        return self._last_run.failures if self._last_run else []

    @override
    def lazy_load_data(
        self, file: File | PurePath, extra_info: Mapping[str, Any] | None = None, fs: Any = None
    ) -> Iterator[Document]:
        """Load the documents of a file one by one, as its pages are transcribed.

        Args:
            file: A PDF, a TIFF with any number of pages, or an image: a path or `file://` URL, bytes, or a file object
                (an open file, a response of an HTTP client, an upload).
            extra_info: Additional metadata for each document.
            fs: The fsspec file system of the path, if it is not a local one.

        Yields:
            The documents, in the order of the pages.

        Raises:
            ImportError: pypdfium2, Pillow or tqdm is missing.
            OSError: The file can't be read.
            QwenVLInputError: The file is not a supported document, the password is missing or wrong, or a selected
                page does not exist.
            QwenVLPageError: A page failed, and `on_error` is `"raise"`; it has the `page_number` and the `cause`.

        Example:
            ```python
            for document in QwenVLReader(llm=llm).lazy_load_data("agreement.pdf"):
                print(document.metadata["page_number"], len(document.text))
            ```
        """
        transcription, build_document = self._start_transcription(file, extra_info, fs)
        yield from map(build_document, transcription.records())

    @override
    def load_data(
        self, file: File | PurePath, extra_info: Mapping[str, Any] | None = None, fs: Any = None
    ) -> list[Document]:
        """Load the documents of a file; see `lazy_load_data`."""
        return list(self.lazy_load_data(file, extra_info, fs))

    @override
    async def aload_data(
        self, file: File | PurePath, extra_info: Mapping[str, Any] | None = None, fs: Any = None
    ) -> list[Document]:
        """Load the documents of a file asynchronously; see `lazy_load_data`."""
        transcription, build_document = await asyncio.to_thread(self._start_transcription, file, extra_info, fs)
        return [build_document(record) async for record in transcription.arecords()]

    @override
    async def alazy_load_data(
        self, file: File | PurePath, extra_info: Mapping[str, Any] | None = None, fs: Any = None
    ) -> Iterable[Document]:
        """Load the documents of a file; see `aload_data`. LlamaIndex expects a plain iterable here."""
        return await self.aload_data(file, extra_info, fs)

    def submit_batch(self, file: File | PurePath, fs: Any = None, *, window: str = "24h") -> BatchJob[Any]:
        """Submit the pages that `cache_dir` lacks as batch files, which are answered at half the price.

        Pages that wait in a batch are not submitted again; pages that failed or were cut off in one are. A submission
        that a crash interrupted is completed first.

        Args:
            file: The document, as for `load_data`.
            fs: The fsspec file system of the path, if it is not a local one.
            window: The time within which the service answers, at least `"24h"`.

        Returns:
            The job of the batches that the pages wait in; `collect_batch` fetches their results.

        Raises:
            QwenVLInputError: There is no `cache_dir`, or the pages can't be sent in a batch.
            QwenVLError: A request failed.

        Example:
            ```python
            reader = QwenVLReader(llm=llm, cache_dir="answers")
            reader.submit_batch("agreement.pdf")
            print(reader.collect_batch(wait=True).state)  # completed
            print(len(reader.load_data("agreement.pdf")))  # 3
            ```
        """
        transcription, _ = self._start_transcription(file, None, fs)
        builder = self._create_builder()
        return batch_job.BatchJob(submit_pages(transcription, builder, window), builder.model, None)

    async def asubmit_batch(self, file: File | PurePath, fs: Any = None, *, window: str = "24h") -> BatchJob[Any]:
        """Submit the pages asynchronously; see `submit_batch`. After a cancellation, a later call completes it."""
        transcription, _ = await asyncio.to_thread(self._start_transcription, file, None, fs)
        builder = self._create_builder()
        return batch_job.BatchJob(await asubmit_pages(transcription, builder, window), builder.model, None)

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
        return collect_pages(self._build_options(), self._create_builder(), wait, timeout, progress)

    def _create_builder(self) -> PageTranscriber:
        transcriber = create_transcriber(self.llm, self._build_options())
        if not isinstance(transcriber, PageTranscriber):
            raise build_mode_error()
        return transcriber

    async def acollect_batch(
        self, wait: bool = False, timeout: float | None = None, progress: Callable[[BatchStatus], object] | None = None
    ) -> BatchStatus:
        """Fetch the answers asynchronously; see `collect_batch`. After a cancellation, a later call completes it."""
        return await acollect_pages(self._build_options(), self._create_builder(), wait, timeout, progress)

    def _build_options(self) -> LoaderOptions:
        return LoaderOptions(**{item.name: getattr(self, item.name) for item in fields(LoaderOptions)})

    def _start_transcription(
        self, file: File | PurePath, extra_info: Mapping[str, Any] | None, fs: Any
    ) -> tuple[Transcription, Callable[[Record], Document]]:
        """Set up the transcription of a file; return it with the function that builds its documents."""
        if fs is not None:
            path: str | None = str(file)
            with fs.open(path, "rb") as stream:
                document = DocumentFile(stream.read())
        else:
            document = DocumentFile(Path(file) if isinstance(file, PurePath) else file)
            path = document.path
        options = self._build_options()
        self._last_run = Transcription(document, options, create_transcriber(self.llm, options), name=path)
        name = document.name if path is None else path
        metadata = {"file_name": PurePath(name).name, "file_path": path or "", **(extra_info or {})}
        identity = ":".join((path or document.identity, self.mode, self.prompt or ""))
        return self._last_run, _DocumentBuilder(metadata, identity, has_pictures=self.mode == "image")


def citation(document: BaseNode | NodeWithScore) -> Citation:
    """Build the citation of a document, of a node that a text splitter created from it, or of a retrieved node.

    See `qwenvl_core.documents.citations.build_citation`.

    Args:
        document: A document of `QwenVLReader`, or a node made from one.

    Returns:
        Where the text stands: the file, the page, and the boxes on it.

    Raises:
        ValueError: The metadata holds an invalid box.

    Example:
        ```python
        document = QwenVLReader(mode="element").load_data("agreement.pdf")[0]
        print(citation(document))  # agreement.pdf, page 1
        print(citation(document).box)
        ```
    """
    node = document.node if isinstance(document, NodeWithScore) else document
    return build_citation(node.get_content(MetadataMode.NONE), node.metadata)


def highlight(document: BaseNode | NodeWithScore | Citation, file: File, *, password: str | None = None) -> Image:
    """Render the page of a document or node, or of its citation, with the document's boxes drawn on it.

    Args:
        document: A document of `QwenVLReader`, a node made from one, or its citation.
        file: The scanned document: its path, its bytes, or a file opened in binary mode.
        password: Password of the PDF, if it has one.

    Returns:
        A new Pillow image, at the size at which the page was sent to the model.

    Raises:
        ImportError: pypdfium2 or Pillow is missing (extra `documents`).
        QwenVLInputError: The citation covers several pages, or `file` does not have its page.

    Example:
        ```python
        document = QwenVLReader(mode="element").load_data("agreement.pdf")[0]
        highlight(document, "agreement.pdf").save("cited.png")
        ```
    """
    cited = document if isinstance(document, Citation) else citation(document)
    return draw_citation(cited, file, password=password)


class _DocumentBuilder:
    """Convert the records of a file to LlamaIndex documents.

    The id of a document is its place: file, mode, page and position on the page. So ingestion pipelines recognize the
    documents of a file that is loaded again, and replace those that have changed.
    """

    def __init__(self, file_metadata: Mapping[str, Any], identity: str, *, has_pictures: bool) -> None:
        self._file_metadata, self._identity, self._has_pictures = file_metadata, identity, has_pictures
        self._counts: Counter[int] = Counter()

    def __call__(self, record: Record) -> Document | ImageDocument:
        """Convert a record to a LlamaIndex document."""
        page = record.metadata.get("page_number", 0)
        self._counts[page] += 1
        hidden = [name for name in ("file_path", *record.metadata) if name not in _VISIBLE_METADATA]
        fields: dict[str, Any] = {
            "id_": str(uuid5(NAMESPACE_URL, f"{self._identity}:{page}:{self._counts[page]}")),
            "metadata": {**self._file_metadata, **record.metadata},
            "excluded_embed_metadata_keys": hidden,
            "excluded_llm_metadata_keys": list(hidden),
        }
        if self._has_pictures:
            return ImageDocument(
                **fields, text="", image_path=record.metadata["image_path"], image_mimetype="image/jpeg"
            )
        return Document(**fields, text=record.text)

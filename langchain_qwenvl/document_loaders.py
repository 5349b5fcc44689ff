"""Scanned documents as LangChain documents: a loader, a parser of blobs, and the way back from a text to its page."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.document_loaders.base import BaseBlobParser, BaseLoader
from langchain_core.documents.base import Document
from langchain_core.messages.human import HumanMessage
from typing_extensions import override

from langchain_qwenvl.chat_models import ChatQwenVL
from qwenvl_core.documents.citations import Citation, citation_from_metadata, draw_citation
from qwenvl_core.documents.options import Coordinates, Dpi, Mode, OnError, Options, Output, Progress
from qwenvl_core.documents.page_cache import PageTranscription, UsageTotals
from qwenvl_core.documents.records import Record
from qwenvl_core.documents.transcription import Transcription
from qwenvl_core.rendering.open import Document as File
from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.types.settings import ModelSettings

if TYPE_CHECKING:
    from langchain_core.documents.base import Blob
    from langchain_core.language_models.base import LanguageModelInput
    from langchain_core.messages.ai import AIMessage
    from langchain_core.runnables.base import Runnable
    from PIL.Image import Image

    Model = Runnable[LanguageModelInput, AIMessage]

__all__ = ["Citation", "QwenVLLoader", "QwenVLParser", "citation", "highlight"]


class QwenVLLoader(BaseLoader):
    """Loads a scanned document: each page is read by a Qwen-VL model, with its tables and the places of its elements.

    ```python
    llm = ChatQwenVL(enable_thinking=False)  # transcription needs no thinking, which is billed as output
    for document in QwenVLLoader("scan.pdf", llm=llm, mode="chunk", cache_dir="answers").lazy_load():
        print(document.metadata["page_number"], document.metadata.get("bbox"), document.page_content)
    ```

    Documents come in the order of the pages. Their metadata is flat: `source`, `page` (from 0), `page_number` (from 1),
    `page_label`, `total_pages`, `page_width`, `page_height`, `model`, `finish_reason`, `truncated`, `warnings`,
    `input_tokens` and `output_tokens` (of the page), and for elements and chunks `category`, `element_index`, `bbox`
    and `bboxes`, which `citation` and `highlight` read.
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
        """Say what is to be loaded, and how.

        Args:
            file: A PDF, a TIFF with any number of pages, or an image: its path, its bytes, or a file open for bytes.
            llm: The model that reads, also with keywords bound to it. It is obeyed: it thinks if it is set to. By
                default `ChatQwenVL()`.
            mode: One document for each `"page"`, for each `"element"` of the pages, for each `"chunk"` of neighbouring
                elements (tables stay whole), or a `"single"` one.
            output: What the text is: `"html"`, `"markdown"` or `"text"`. The model gives boxes for all elements when
                asked for the first or the last, and for tables and pictures when asked for Markdown.
            prompt: What the model is asked instead of the vendor's words for `output`.
            pages: Which pages, as in `"1-3,7,9-"`.
            dpi: `"auto"` fills what the model sees of an image, up to 200 dots per inch; a number is that many, and no
                more than the model sees.
            high_resolution: Up to 16,384 tokens a page, for small print.
            max_concurrency: Most pages that are rendered and read at a time, which bounds memory.
            on_error: `"raise"` ends with an error after the pages before the failing one; `"skip"` leaves it out.
            cache_dir: Where answers are kept, so that a run that broke off goes on where it was.
            image_dir: Where pages and the pictures on them are kept as JPEG files; the metadata has their `image_path`.
            progress: `True` for a bar, or a callable that gets how many pages are done, of how many, and the usage.
            password: Of a PDF that has one.
            coordinates: `"relative"` or `"absolute"`, where the catalogue does not know what the model's boxes are in.
            chunk_size: How long a chunk may grow, in characters; a longer element is a chunk by itself.

        Raises:
            ValueError: A value is none of these.
        """
        self.file = file
        self._parser = QwenVLParser(
            llm=llm, mode=mode, output=output, prompt=prompt, pages=pages, dpi=dpi, high_resolution=high_resolution,
            max_concurrency=max_concurrency, on_error=on_error, cache_dir=cache_dir, image_dir=image_dir,
            progress=progress, password=password, coordinates=coordinates, chunk_size=chunk_size,
        )  # fmt: skip
        self._last: Transcription | None = None

    @property
    def usage(self) -> UsageTotals:
        """What the pages of the last loading cost so far: tokens, and how many answers came from the cache."""
        return self._last.usage if self._last else UsageTotals()

    @property
    def failures(self) -> list[tuple[int, Exception]]:
        """The pages that the last loading could not read so far: their numbers, and why."""
        return self._last.failures if self._last else []

    @override
    def lazy_load(self) -> Iterator[Document]:
        """The documents, as the pages are read.

        Raises:
            ImportError: pypdfium2, Pillow or tqdm is missing.
            OSError: The file can't be read.
            QwenVLInputError: It is no document, its password is not right, or it lacks a page that is asked for.
            QwenVLPageError: A page can't be read; it has the `page_number` and the `cause`.
        """
        self._last = reading = self._parser.transcribe(self.file)
        for record in reading.records():
            yield _document(record, reading.name)

    @override
    async def alazy_load(self) -> AsyncIterator[Document]:
        """As `lazy_load`, for async."""
        self._last = reading = self._parser.transcribe(self.file)
        async for record in reading.arecords():
            yield _document(record, reading.name)

    def __getstate__(self) -> dict[str, Any]:
        """A pickle says what is to be loaded, not what was."""
        return {**self.__dict__, "_last": None}


class QwenVLParser(BaseBlobParser):
    """Parses blobs of scanned documents (`application/pdf`, `image/*`, `application/x-npy`), as `QwenVLLoader` loads.

    It keeps no state, so one parser may work in many threads and processes, and it can be the `images_parser` of a
    PDF loader. Its keywords are those of `QwenVLLoader`; the metadata of a blob goes on to its documents.
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
        """Say how blobs are parsed; see `QwenVLLoader`.

        Raises:
            ValueError: A value is none of those that are known.
        """
        self._options = Options(
            mode=mode, output=output, prompt=prompt, pages=pages, dpi=dpi, high_resolution=high_resolution,
            max_concurrency=max_concurrency, on_error=on_error, cache_dir=cache_dir, image_dir=image_dir,
            progress=progress, password=password, coordinates=coordinates, chunk_size=chunk_size,
        )  # fmt: skip
        self._transcriber = _Transcriber(ChatQwenVL() if llm is None else llm, high_resolution=high_resolution)

    @override
    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        """The documents of a blob, as its pages are read.

        Raises:
            ImportError: pypdfium2, Pillow or tqdm is missing.
            OSError: The blob can't be read.
            QwenVLInputError: It is no document, its password is not right, or it lacks a page that is asked for.
            QwenVLPageError: A page can't be read; it has the `page_number` and the `cause`.
        """
        file = Path(blob.path) if blob.data is None and blob.path is not None else blob.as_bytes()
        reading = self.transcribe(file, name=blob.source)
        for record in reading.records():
            yield _document(record, reading.name, blob.metadata)

    def transcribe(self, file: File, *, name: str | None = None) -> Transcription:
        """A document that is about to be read."""
        return Transcription(file, self._options, self._transcriber, name=name)


def citation(document: Document) -> Citation:
    """Where a document stands: source, page, boxes and text.

    Also for a piece that a splitter made of it; the boxes are those of the whole document then.
    """
    return citation_from_metadata(document.page_content, document.metadata)


def highlight(document: Document | Citation, file: File, *, password: str | None = None) -> Image:
    """The page that a document stands on, with its boxes drawn.

    Args:
        document: A document of `QwenVLLoader` or `QwenVLParser`, or its citation.
        file: The scanned document itself.
        password: Of a PDF that has one.

    Returns:
        A new Pillow image, at the size at which the model saw the page.

    Raises:
        ImportError: pypdfium2 or Pillow is missing.
        QwenVLInputError: The document is of several pages, or `file` lacks its page.
    """
    cited = document if isinstance(document, Citation) else citation(document)
    return draw_citation(cited, file, password=password)


class _Transcriber:
    """A chat model as one that reads pages."""

    def __init__(self, llm: Any, *, high_resolution: bool) -> None:
        self._llm = llm
        self._call = {"vl_high_resolution_images": True} if high_resolution else {}
        self.settings = _settings(llm, self._call)

    def transcribe(self, page: PageImage, question: str) -> PageTranscription:
        """What the model says of a page."""
        return _answer(self._llm.invoke(_asked(page, question), **self._call))

    async def atranscribe(self, page: PageImage, question: str) -> PageTranscription:
        """As `transcribe`, for async."""
        return _answer(await self._llm.ainvoke(_asked(page, question), **self._call))


def _settings(llm: Any, call: Mapping[str, Any]) -> ModelSettings:
    """What shapes the requests of a model, whatever has been bound around it."""
    while not isinstance(llm, ChatQwenVL):
        call = {**getattr(llm, "kwargs", {}), **call}
        llm = getattr(llm, "bound", None)
        if llm is None:
            raise TypeError("llm= takes a ChatQwenVL, or one with keywords, a config or retries bound to it.")
    return llm._settings(call)


def _asked(page: PageImage, question: str) -> list[HumanMessage]:
    image = {"type": "image", "base64": base64.b64encode(page.jpeg).decode(), "mime_type": "image/jpeg"}
    return [HumanMessage([image, {"type": "text", "text": question}])]


def _answer(message: AIMessage) -> PageTranscription:
    usage: Any = message.usage_metadata or {}
    counts = {
        **{name: usage[name] for name in ("input_tokens", "output_tokens", "total_tokens") if name in usage},
        "reasoning_tokens": usage.get("output_token_details", {}).get("reasoning", 0),
        "image_tokens": usage.get("input_token_details", {}).get("image", 0),
    }
    told = message.response_metadata
    return PageTranscription(message.text, told.get("finish_reason", ""), told.get("model_name", ""), counts)


def _document(record: Record, source: str, given: Mapping[str, Any] | None = None) -> Document:
    """A record as LangChain has it: `page` counts from 0, as with other loaders of PDFs."""
    number = record.metadata.get("page_number")
    page = {} if number is None else {"page": number - 1}
    return Document(record.text, metadata={**(given or {}), "source": source, **page, **record.metadata})

"""Scanned documents as LlamaIndex documents: a reader, and the way back from a text to its page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ImageBlock, MessageRole, TextBlock
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import BaseNode, Document, MetadataMode, NodeWithScore
from pydantic import ConfigDict, Field, PrivateAttr, SerializeAsAny, field_validator, model_validator
from typing_extensions import override

from llama_index_qwenvl.llm import QwenVL
from qwenvl_core.documents.citations import Citation, citation_from_metadata, draw_citation
from qwenvl_core.documents.options import Coordinates, Dpi, Mode, OnError, Options, Output, Progress
from qwenvl_core.documents.page_cache import PageTranscription, UsageTotals
from qwenvl_core.documents.records import Record
from qwenvl_core.documents.transcription import Transcription
from qwenvl_core.rendering.open import Document as File
from qwenvl_core.rendering.open import file_name
from qwenvl_core.rendering.pages import PageImage

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Citation", "QwenVLReader", "citation", "highlight"]

_READ_BY_MODELS = ("file_name", "page_label")  # the others would only be noise in embeddings and prompts


class QwenVLReader(BasePydanticReader):
    """Reads scanned documents: each page is read by a Qwen-VL model, with its tables and the places of its elements.

    ```python
    llm = QwenVL(enable_thinking=False)  # transcription needs no thinking, which is billed as output
    reader = QwenVLReader(llm=llm, mode="chunk", cache_dir="answers")
    reader.load_data("scan.pdf")
    SimpleDirectoryReader("scans", file_extractor={".pdf": reader, ".tiff": reader}).load_data()
    ```

    Documents come in the order of the pages. Their metadata is flat: `file_name`, `file_path`, `page_number` (from 1),
    `page_label`, `total_pages`, `page_width`, `page_height`, `model`, `finish_reason`, `truncated`, `warnings`,
    `input_tokens` and `output_tokens` (of the page), and for elements and chunks `category`, `element_index`, `bbox`
    and `bboxes`, which `citation` and `highlight` read. Embeddings and prompts see `file_name` and `page_label` of it.
    """

    model_config = ConfigDict(extra="forbid")

    is_remote: bool = True
    llm: SerializeAsAny[QwenVL] | None = None
    """The model that reads. It is obeyed: it thinks if it is set to. By default `QwenVL()`."""
    mode: Mode = "page"
    """One document for each `"page"`, for each `"element"` of the pages, for each `"chunk"` of neighbouring elements
    (tables stay whole), or a `"single"` one."""
    output: Output = "html"
    """What the text is: `"html"`, `"markdown"` or `"text"`. The model gives boxes for all elements when asked for the
    first or the last, and for tables and pictures when asked for Markdown."""
    prompt: str | None = None
    """What the model is asked instead of the vendor's words for `output`."""
    pages: str | None = None
    """Which pages, as in `"1-3,7,9-"`."""
    dpi: Dpi = "auto"
    """`"auto"` fills what the model sees of an image, up to 200 dots per inch; a number is that many, and no more than
    the model sees."""
    high_resolution: bool = False
    """Up to 16,384 tokens a page, for small print."""
    max_concurrency: int = 4
    """Most pages that are rendered and read at a time, which bounds memory."""
    on_error: OnError = "raise"
    """`"raise"` ends with an error after the pages before the failing one; `"skip"` leaves it out."""
    cache_dir: str | Path | None = None
    """Where answers are kept, so that a run that broke off goes on where it was."""
    image_dir: str | Path | None = None
    """Where pages and the pictures on them are kept as JPEG files; the metadata has their `image_path`."""
    progress: Progress = Field(default=False, exclude=True)
    """`True` for a bar, or a callable that gets how many pages are done, of how many, and the usage."""
    password: str | None = Field(default=None, exclude=True, repr=False)
    """Of a PDF that has one."""
    coordinates: Coordinates | None = None
    """`"relative"` or `"absolute"`, where the catalogue does not know what the model's boxes are in."""
    chunk_size: int = 1000
    """How long a chunk may grow, in characters; a longer element is a chunk by itself."""

    _last: Transcription | None = PrivateAttr(default=None)

    @classmethod
    @override
    def class_name(cls) -> str:
        return "QwenVLReader"

    @model_validator(mode="before")
    @classmethod
    def _without_class_name(cls, values: Any) -> Any:
        """LlamaIndex writes the name of the class among the keywords that it stores."""
        return {name: values[name] for name in values if name != "class_name"} if isinstance(values, dict) else values

    @field_validator("llm", mode="before")
    @classmethod
    def _revived(cls, value: Any) -> Any:
        return QwenVL.from_dict(value) if isinstance(value, dict) else value

    @override
    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._options()  # raises what is wrong with them now

    @property
    def usage(self) -> UsageTotals:
        """What the pages of the last loading cost so far: tokens, and how many answers came from the cache."""
        return self._last.usage if self._last else UsageTotals()

    @property
    def failures(self) -> list[tuple[int, Exception]]:
        """The pages that the last loading could not read so far: their numbers, and why."""
        return self._last.failures if self._last else []

    @override
    def lazy_load_data(
        self, file: File | PurePath, extra_info: Mapping[str, Any] | None = None, fs: Any = None
    ) -> Iterator[Document]:
        """The documents of a file, as its pages are read.

        Args:
            file: A PDF, a TIFF with any number of pages, or an image: its path, its bytes, or a file open for bytes.
            extra_info: More metadata for each document.
            fs: An fsspec file system that the path is in.

        Raises:
            ImportError: pypdfium2, Pillow or tqdm is missing.
            OSError: The file can't be read.
            QwenVLInputError: It is no document, its password is not right, or it lacks a page that is asked for.
            QwenVLPageError: A page can't be read; it has the `page_number` and the `cause`.
        """
        reading, about = self._reading(file, extra_info, fs)
        for record in reading.records():
            yield _document(record, about)

    @override
    def load_data(
        self, file: File | PurePath, extra_info: Mapping[str, Any] | None = None, fs: Any = None
    ) -> list[Document]:
        """As `lazy_load_data`, all of them."""
        return list(self.lazy_load_data(file, extra_info, fs))

    @override
    async def aload_data(
        self, file: File | PurePath, extra_info: Mapping[str, Any] | None = None, fs: Any = None
    ) -> list[Document]:
        """As `load_data`, for async."""
        reading, about = self._reading(file, extra_info, fs)
        return [_document(record, about) async for record in reading.arecords()]

    @override
    async def alazy_load_data(
        self, file: File | PurePath, extra_info: Mapping[str, Any] | None = None, fs: Any = None
    ) -> Iterable[Document]:
        """As `aload_data`: LlamaIndex wants an iterable that does not wait."""
        return await self.aload_data(file, extra_info, fs)

    def _options(self) -> Options:
        return Options(**{name: getattr(self, name) for name in Options.__dataclass_fields__})

    def _reading(
        self, file: File | PurePath, extra_info: Mapping[str, Any] | None, fs: Any
    ) -> tuple[Transcription, dict[str, Any]]:
        """A document that is about to be read, and what all its parts say of it."""
        about = _about(file)
        if fs is not None:
            with fs.open(str(file), "rb") as opened:
                document: File = opened.read()
        else:
            document = Path(file) if isinstance(file, PurePath) else file
        llm = QwenVL() if self.llm is None else self.llm
        transcriber = _Transcriber(llm, high_resolution=self.high_resolution)
        self._last = Transcription(document, self._options(), transcriber, name=about.get("file_path"))
        return self._last, {**about, **(extra_info or {})}


def citation(document: BaseNode | NodeWithScore) -> Citation:
    """Where a document stands: source, page, boxes and text.

    Also for a node that a splitter made of it, and for a retrieved one; the boxes are those of the whole document then.
    """
    node = document.node if isinstance(document, NodeWithScore) else document
    return citation_from_metadata(node.get_content(MetadataMode.NONE), node.metadata)


def highlight(document: BaseNode | NodeWithScore | Citation, file: File, *, password: str | None = None) -> Image:
    """The page that a document stands on, with its boxes drawn.

    Args:
        document: A document of `QwenVLReader`, a node made of one, or its citation.
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
    """An LLM as one that reads pages."""

    def __init__(self, llm: QwenVL, *, high_resolution: bool) -> None:
        self._llm = llm
        self._call: dict[str, Any] = {"vl_high_resolution_images": True} if high_resolution else {}
        self.settings = llm._settings(self._call)

    def transcribe(self, page: PageImage, question: str) -> PageTranscription:
        """What the model says of a page."""
        return _answer(self._llm.chat([_asked(page, question)], **self._call))

    async def atranscribe(self, page: PageImage, question: str) -> PageTranscription:
        """As `transcribe`, for async."""
        return _answer(await self._llm.achat([_asked(page, question)], **self._call))


def _asked(page: PageImage, question: str) -> ChatMessage:
    image = ImageBlock(image=page.jpeg, image_mimetype="image/jpeg")
    return ChatMessage(role=MessageRole.USER, blocks=[image, TextBlock(text=question)])


def _answer(response: ChatResponse) -> PageTranscription:
    told = response.additional_kwargs
    counts = {
        "input_tokens": told.get("prompt_tokens", 0),
        "output_tokens": told.get("completion_tokens", 0),
        "total_tokens": told.get("total_tokens", 0),
        "reasoning_tokens": told.get("reasoning_tokens", 0),
        "image_tokens": told.get("image_tokens", 0),
    }
    raw = response.raw if isinstance(response.raw, Mapping) else {}
    return PageTranscription(
        response.message.content or "", told.get("finish_reason", ""), raw.get("model") or "", counts
    )


def _about(file: File | PurePath) -> dict[str, Any]:
    if isinstance(file, PurePath):
        file = str(file)
    name = file_name(file)
    return {"file_name": PurePath(name).name, **({"file_path": name} if isinstance(file, str) else {})}


def _document(record: Record, about: Mapping[str, Any]) -> Document:
    """A record as LlamaIndex has it."""
    hidden = [name for name in ("file_path", *record.metadata) if name not in _READ_BY_MODELS]
    return Document(
        text=record.text,
        metadata={**about, **record.metadata},
        excluded_embed_metadata_keys=hidden,
        excluded_llm_metadata_keys=list(hidden),
    )

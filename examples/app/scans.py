"""Read a scan, retrieve its elements for a question, and answer from them; nothing here knows the web page."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from PIL.Image import Image
from rank_bm25 import BM25Plus

from langchain_qwenvl import ChatQwenVL, Citation, QwenVLLoader, citation, highlight
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sniffing import sniff
from qwenvl_core.rendering.open import open_pages

EXAMPLES = Path(__file__).parents[1]
QUESTIONS = {
    "agreement.pdf": (
        "What does it cost to cancel the hire six weeks before it begins?",
        "Who pays for damage to the boat?",
        "What do I owe if I come back five hours late?",
    ),
    "receipt.png": ("Does the total add up?", "How was it paid?"),
}
"""The bundled scans, and the questions about them that have a recorded answer."""
MAX_BYTES = 20 * 2**20
MAX_PAGES = 20
SOURCES = 6
"""Number of elements that a question is answered from."""
PROMPT = (
    "Answer from these sources only, and cite them by their numbers, as in [1].\n\n{sources}\n\nQuestion: {question}"
)


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan, as far as it is read.

    Attributes:
        name: Name of the file.
        data: Its bytes.
        pages: Number of its pages.
        pages_read: Number of the pages that are read.
        elements: The elements of these pages, in reading order.
        tokens: Tokens that reading them took.
    """

    name: str
    data: bytes
    pages: int
    pages_read: int = 0
    elements: tuple[Document, ...] = ()
    tokens: int = 0


@dataclass(frozen=True, eq=False)
class Turn:
    """A question and its answer so far.

    Attributes:
        scan: The scan that it is about.
        question: The question.
        sources: The elements that the answer may cite, as [1], [2], ….
        thinking: What the model thought.
        answer: What it answered.
        usage: The tokens of the request, as LangChain counts them; `None` until the end.
    """

    scan: Scan
    question: str
    sources: tuple[Document, ...]
    thinking: str = ""
    answer: str = ""
    usage: Any = None


class _NamedFile(io.BytesIO):
    """A file in memory, whose name errors and citations show."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


def open_scan(name: str, data: bytes) -> Scan:
    """Check a file and count its pages.

    Raises:
        QwenVLInputError: The file is too large, has too many pages, or is neither a PDF nor an image.
    """
    if len(data) > MAX_BYTES:
        raise QwenVLInputError(f"File too large: {len(data):,} bytes. At most {MAX_BYTES:,} are read here.")
    if sniff(data).kind not in ("pdf", "image"):
        raise QwenVLInputError(f"Unsupported file: {name!r}. Upload a PDF, a TIFF or another image of a scan.")
    with open_pages(data) as pages:
        count = pages.count
    if count > MAX_PAGES:
        raise QwenVLInputError(f"Too many pages: {count}. At most {MAX_PAGES} are read here. Split the file.")
    return Scan(name, data, count)


def open_bundled(name: str) -> Scan:
    """Open one of the bundled scans.

    Raises:
        QwenVLInputError: There is no such scan.
    """
    if name not in QUESTIONS:
        raise QwenVLInputError(f"Unknown scan: {name!r}. Bundled: {', '.join(QUESTIONS)}.")
    return open_scan(name, (EXAMPLES / name).read_bytes())


def read_scan(scan: Scan, llm: ChatQwenVL, max_concurrency: int = 4) -> Iterator[Scan]:
    """Transcribe a scan, and yield it as often as another page is read; the last one has all elements."""
    elements: list[Document] = []
    loader = QwenVLLoader(
        _NamedFile(scan.name, scan.data), llm=llm, mode="element", output="text", max_concurrency=max_concurrency,
        progress=lambda done, total, usage: report.update(pages_read=done, tokens=usage["total_tokens"]),
    )  # fmt: skip
    report: dict[str, Any] = {}
    for element in loader.lazy_load():
        if not elements or element.metadata["page_number"] != elements[-1].metadata["page_number"]:
            yield replace(scan, elements=tuple(elements), **report)
        elements.append(element)
    yield replace(scan, elements=tuple(elements), **report)


def page_elements(scan: Scan, number: int) -> list[Document]:
    """Return the elements of a page, which counts from 1."""
    return [element for element in scan.elements if element.metadata["page_number"] == number]


def draw_page(scan: Scan, number: int) -> Image:
    """Render a page with the boxes of the elements that are read."""
    cited = [citation(element) for element in page_elements(scan, number)]
    boxes = tuple(box for place in cited for box in place.boxes)
    size = cited[0].page_size if cited else None
    return highlight(Citation(scan.name, number, str(number), None, boxes, "", size), scan.data)


def draw_source(turn: Turn, number: int) -> Image:
    """Render the page of a source, which counts from 1, with its place marked."""
    return highlight(turn.sources[number - 1], turn.scan.data)


def retrieve(elements: tuple[Document, ...], question: str) -> tuple[Document, ...]:
    """Return the elements that share the rarest words with the question, the best first.

    An element is found by its own words and by those at the top of its page, which is often the heading above it.
    """
    first = {element.metadata["page_number"]: element.page_content for element in reversed(elements)}
    candidates = [element for element in elements if element.metadata["category"] != "image"] or list(elements)
    texts = [f"{first[element.metadata['page_number']]}\n{element.page_content}" for element in candidates]
    scores = BM25Plus([split_words(text) or [""] for text in texts]).get_scores(split_words(question))
    best = sorted(range(len(candidates)), key=lambda index: -scores[index])[:SOURCES]
    return tuple(candidates[index] for index in best)


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words without a plural's s, and Chinese text into characters."""
    words = re.findall(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+", text.lower())
    return [word.removesuffix("s") if len(word) > 3 else word for word in words]


def ask(scan: Scan, question: str, llm: ChatQwenVL) -> Iterator[Turn]:
    """Answer a question from the elements of a scan, and yield the turn as often as it grows."""
    turn = Turn(scan, question, retrieve(scan.elements, question))
    yield turn
    texts = [f"[{number}] {source.page_content}" for number, source in enumerate(turn.sources, 1)]
    message = HumanMessage(PROMPT.format(sources="\n\n".join(texts), question=question))
    for chunk in llm.stream([message]):
        for block in chunk.content_blocks:
            if block["type"] == "reasoning":
                turn = replace(turn, thinking=turn.thinking + block["reasoning"])
            elif block["type"] == "text":
                turn = replace(turn, answer=turn.answer + block["text"])
        yield replace(turn, usage=chunk.usage_metadata) if chunk.usage_metadata else turn

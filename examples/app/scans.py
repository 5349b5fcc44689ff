"""Read a scan, retrieve its elements for a question, and answer from them; nothing here knows the web page."""

import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
MAX_BYTES, MAX_PAGES = 20 * 2**20, 20
SOURCES = 6
"""Number of elements that a question is answered from."""
PROMPT = (
    "Answer from these sources only, and cite them by their numbers, as in [1].\n\n{sources}\n\nQuestion: {question}"
)


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan, with the elements of its first `pages_read` pages and the tokens that reading them took."""

    name: str
    data: bytes
    pages: int
    pages_read: int = 0
    elements: tuple[Document, ...] = ()
    tokens: int = 0


@dataclass(frozen=True, eq=False)
class Turn:
    """An answer so far, the sources that it cites as [1], [2], …, and at its end the tokens of the request."""

    sources: tuple[Document, ...]
    thinking: str = ""
    answer: str = ""
    usage: Any = None


class _NamedFile(io.BytesIO):
    """A file in memory, whose name errors and citations show."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


def open_scan(path: Path) -> Scan:
    """Check a file and count its pages.

    Raises:
        QwenVLInputError: The file is too large, has too many pages, or is neither a PDF nor an image.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise QwenVLInputError(f"File too large: {path.name!r}. At most {MAX_BYTES:,} bytes are read here.")
    if sniff(data).kind not in ("pdf", "image"):
        raise QwenVLInputError(f"Unsupported file: {path.name!r}. Upload a PDF, a TIFF or another image of a scan.")
    try:
        with open_pages(data) as pages:
            count = pages.count
    except QwenVLInputError as error:
        if "password" in error.message:  # a page has no keyword to pass it by
            raise QwenVLInputError(f"{path.name!r} needs a password. Save it without one, and upload that.") from error
        raise
    if count > MAX_PAGES:
        raise QwenVLInputError(f"Too many pages: {count}. At most {MAX_PAGES} are read here. Split the file.")
    return Scan(path.name, data, count)


def read_scan(scan: Scan, llm: ChatQwenVL, max_concurrency: int = 4) -> Iterator[Scan]:
    """Transcribe a scan, and yield it with the elements of each further page as soon as that one is read."""

    def read_page(number: int) -> tuple[list[Document], int]:
        file = _NamedFile(scan.name, scan.data)
        loader = QwenVLLoader(file, llm=llm, mode="element", output="text", pages=str(number))
        return loader.load(), loader.usage["total_tokens"]

    read = scan
    pool = ThreadPoolExecutor(max_concurrency)
    try:
        for elements, tokens in pool.map(read_page, range(1, scan.pages + 1)):
            read = replace(
                read,
                pages_read=read.pages_read + 1,
                elements=(*read.elements, *elements),
                tokens=read.tokens + tokens,
            )
            yield read
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def draw_page(scan: Scan, number: int) -> Image:
    """Render a page, which counts from 1, with the boxes of its elements."""
    cited = [citation(element) for element in scan.elements if element.metadata["page_number"] == number]
    boxes = tuple(box for place in cited for box in place.boxes)
    size = cited[0].page_size if cited else None
    return highlight(Citation(scan.name, number, str(number), None, boxes, "", size), scan.data)


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
    turn = Turn(retrieve(scan.elements, question))
    yield turn
    texts = [f"[{number}] {source.page_content}" for number, source in enumerate(turn.sources, 1)]
    for chunk in llm.stream([HumanMessage(PROMPT.format(sources="\n\n".join(texts), question=question))]):
        thinking = "".join(block["reasoning"] for block in chunk.content_blocks if block["type"] == "reasoning")
        turn = replace(
            turn,
            thinking=turn.thinking + thinking,
            answer=turn.answer + chunk.text,
            usage=chunk.usage_metadata or turn.usage,
        )
        yield turn

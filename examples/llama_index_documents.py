"""LlamaIndex: ask a question about a scanned PDF; get an answer with citations, drawn on the pages."""

import re
import tempfile
from pathlib import Path

from llama_index.core import PromptTemplate, QueryBundle, get_response_synthesizer
from llama_index.core.query_engine import CitationQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import Document, NodeWithScore
from rank_bm25 import BM25Okapi

from examples.terminal import bold
from llama_index_qwenvl import QwenVL, QwenVLReader, citation, highlight

SCAN = Path(__file__).parent / "agreement.pdf"
QUESTION = "What does it cost to cancel the hire six weeks before it begins?"
PROMPT = PromptTemplate(
    "Answer from these sources only, and cite them by their numbers, as in [1].\n\n{context_str}\n\n"
    "Question: {query_str}"
)


class Bm25(BaseRetriever):
    """Rank chunks by their words, without embeddings. Any other retriever can take its place."""

    def __init__(self, documents: list[Document]) -> None:
        self._documents = documents
        self._index = BM25Okapi([split_words(document.text) for document in documents])
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        scores = self._index.get_scores(split_words(query_bundle.query_str))
        best = sorted(zip(scores, self._documents, strict=True), key=lambda pair: -pair[0])[:3]
        return [NodeWithScore(node=document, score=float(score)) for score, document in best]


def main(max_concurrency: int = 4) -> str:
    """Read the scan, retrieve chunks for the question, answer it, and draw the citations; return the answer."""
    # Thinking is off for transcription, which does not need it: thinking is billed as output. The answer thinks.
    reader = QwenVLReader(
        llm=QwenVL(enable_thinking=False), mode="chunk", output="text", chunk_size=250, max_concurrency=max_concurrency
    )
    chunks = reader.load_data(SCAN)
    print(f"{reader.usage.pages} pages, {len(chunks)} chunks, {reader.usage.total_tokens:,} tokens")

    llm = QwenVL()
    engine = CitationQueryEngine(
        retriever=Bm25(chunks),
        llm=llm,
        response_synthesizer=get_response_synthesizer(llm=llm, text_qa_template=PROMPT),
    )
    response = engine.query(QUESTION)
    answer = str(response)
    print(f"\n{QUESTION}\n\nAnswer: {bold(answer)}\n")

    for number in sorted({int(digits) for digits in re.findall(r"\[(\d+)\]", answer)} & {1, 2, 3}):
        cited = response.source_nodes[number - 1]
        picture = Path(tempfile.gettempdir()) / f"llama_index_cited_{number}.png"
        highlight(cited, SCAN).save(picture)
        print(f"[{number}] {SCAN.name}, page {citation(cited).page_label}: {picture}")
    return answer


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words for the retriever."""
    return re.findall(r"\w+", text.lower())


if __name__ == "__main__":
    main()

"""LangChain: ask a question about a scanned PDF; get an answer with citations, drawn on the pages."""

import re
import tempfile
from pathlib import Path

from langchain_core.messages import HumanMessage
from rank_bm25 import BM25Okapi

from examples.terminal import bold, dim
from langchain_qwenvl import ChatQwenVL, QwenVLLoader, citation, highlight

SCAN = Path(__file__).parent / "agreement.pdf"
QUESTION = "What does it cost to cancel the hire six weeks before it begins?"
PROMPT = (
    "Answer from these sources only, and cite them by their numbers, as in [1].\n\n{sources}\n\nQuestion: {question}"
)


def main(max_concurrency: int = 4) -> str:
    """Read the scan, retrieve chunks for the question, answer it, and draw the citations; return the answer."""
    # Thinking is off for transcription, which does not need it: thinking is billed as output. The answer thinks.
    loader = QwenVLLoader(
        SCAN, llm=ChatQwenVL(enable_thinking=False), mode="chunk", output="text", chunk_size=250,
        max_concurrency=max_concurrency,
    )  # fmt: skip
    chunks = loader.load()
    print(f"{loader.usage.pages} pages, {len(chunks)} chunks, {loader.usage.total_tokens:,} tokens")

    # Use any retriever. This one compares words, so it needs no embeddings.
    index = BM25Okapi([split_words(chunk.page_content) for chunk in chunks])
    retrieved = index.get_top_n(split_words(QUESTION), chunks, n=3)

    sources = "\n\n".join(f"[{number}] {chunk.page_content}" for number, chunk in enumerate(retrieved, 1))
    answer = ""
    print(f"\n{QUESTION}\n")
    for chunk in ChatQwenVL().stream([HumanMessage(PROMPT.format(sources=sources, question=QUESTION))]):
        for block in chunk.content_blocks:
            if block["type"] == "reasoning":
                print(dim(block["reasoning"]), end="", flush=True)
            elif block["type"] == "text":
                print("" if answer else "\n\nAnswer: ", end="")
                print(bold(block["text"]), end="", flush=True)
                answer += block["text"]
    print("\n")

    for number in sorted({int(digits) for digits in re.findall(r"\[(\d+)\]", answer)} & {1, 2, 3}):
        cited = retrieved[number - 1]
        picture = Path(tempfile.gettempdir()) / f"langchain_cited_{number}.png"
        highlight(cited, SCAN).save(picture)
        print(f"[{number}] {SCAN.name}, page {citation(cited).page_label}: {picture}")
    return answer


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words for the retriever."""
    return re.findall(r"\w+", text.lower())


if __name__ == "__main__":
    main()

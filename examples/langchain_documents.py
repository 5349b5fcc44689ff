"""LangChain: ask a scanned PDF; get an answer with citations, and see the cited places on the page."""

import re
import tempfile
from pathlib import Path

from langchain_core.messages import HumanMessage
from rank_bm25 import BM25Okapi

from langchain_qwenvl import ChatQwenVL, QwenVLLoader, citation, highlight

SCAN = Path(__file__).parent / "agreement.pdf"
QUESTION = "What does it cost to cancel the hire six weeks before it begins?"
PROMPT = (
    "Answer from these sources only, and cite them by their numbers, as in [1].\n\n{sources}\n\nQuestion: {question}"
)


def main(max_concurrency: int = 4) -> str:
    """Read the scan, find what the question is about, answer, and draw what was cited; return the answer."""
    # Reading is transcription: it needs no thinking, which is billed as output. Answering thinks.
    loader = QwenVLLoader(
        SCAN, llm=ChatQwenVL(enable_thinking=False), mode="chunk", output="text", chunk_size=250,
        max_concurrency=max_concurrency,
    )  # fmt: skip
    chunks = loader.load()
    print(f"{loader.usage.pages} pages, {len(chunks)} chunks, {loader.usage.total_tokens:,} tokens")

    # Any retriever does. This one counts words, and needs no embeddings.
    index = BM25Okapi([words(chunk.page_content) for chunk in chunks])
    found = index.get_top_n(words(QUESTION), chunks, n=3)

    sources = "\n\n".join(f"[{number}] {chunk.page_content}" for number, chunk in enumerate(found, 1))
    answer = ""
    print(f"\n{QUESTION}\n")
    for chunk in ChatQwenVL().stream([HumanMessage(PROMPT.format(sources=sources, question=QUESTION))]):
        for block in chunk.content_blocks:
            style = "90" if block["type"] == "reasoning" else "1"
            print("\n\n" if chunk.text and not answer else "", end="")
            print(f"\033[{style}m{block[block['type']]}\033[0m", end="", flush=True)
        answer += chunk.text
    print("\n")

    for number in sorted({int(digits) for digits in re.findall(r"\[(\d+)\]", answer)} & {1, 2, 3}):
        cited = found[number - 1]
        picture = Path(tempfile.gettempdir()) / f"cited_{number}.png"
        highlight(cited, SCAN).save(picture)
        print(f"[{number}] {SCAN.name}, page {citation(cited).page_label}: {picture}")
    return answer


def words(text: str) -> list[str]:
    """The words of a text, as they are compared."""
    return re.findall(r"\w+", text.lower())


if __name__ == "__main__":
    main()

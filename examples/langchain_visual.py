"""LangChain: find pages of a scan by what they look like, rank them, and answer from the best, without text."""

import re
import tempfile
from importlib.util import find_spec
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage

from examples.terminal import bold, dim
from langchain_qwenvl import ChatQwenVL, QwenVLEmbeddings, QwenVLLoader, QwenVLReranker, citation, highlight

SCAN = Path(__file__).parent / "agreement.pdf"
QUESTION = "What does it cost to cancel the hire six weeks before it begins?"
PROMPT = "Answer from these pages only, and cite them by their numbers, as in [1]."


def main() -> str:
    """Retrieve the three best pages for the question, and answer it from their pictures; return the answer."""
    with tempfile.TemporaryDirectory() as folder:  # keep it in your program, next to the vectors
        pages = QwenVLLoader(SCAN, mode="image", image_dir=folder).load()
        embeddings = QwenVLEmbeddings(dimensions=256)
        find = find_in_chroma if find_spec("langchain_chroma") else find_in_memory
        found = find(pages, embeddings, QUESTION, 20)
        reranker = QwenVLReranker(top_n=3)
        best = list(reranker.compress_documents(found, QUESTION))
        print(f"{len(pages)} pages, {embeddings.usage.total_tokens + reranker.usage.total_tokens:,} tokens")
        answer = ask(best)

    for number in sorted({int(digits) for digits in re.findall(r"\[(\d+)\]", answer)} & {1, 2, 3}):
        cited = best[number - 1]
        picture = Path(tempfile.gettempdir()) / f"langchain_page_{number}.png"
        highlight(cited, SCAN).save(picture)
        score = cited.metadata["relevance_score"]
        print(f"[{number}] {SCAN.name}, page {citation(cited).page_label}, relevance {score:.2f}: {picture}")
    return answer


def find_in_chroma(pages: list[Document], embeddings: QwenVLEmbeddings, question: str, k: int) -> list[Document]:
    """Find the `k` pages that are nearest to the question with a Chroma store of pictures."""
    from langchain_chroma import Chroma

    store = Chroma(embedding_function=embeddings)
    store.add_images([page.metadata["image_path"] for page in pages], metadatas=[page.metadata for page in pages])
    found: list[Document] = store.similarity_search(question, k=min(k, len(pages)))
    return found


def find_in_memory(pages: list[Document], embeddings: QwenVLEmbeddings, question: str, k: int) -> list[Document]:
    """Find the `k` pages that are nearest to the question without a vector store."""
    vectors = embeddings.embed_image([page.metadata["image_path"] for page in pages])
    query = embeddings.embed_query(question)
    scores = [sum(a * b for a, b in zip(query, vector, strict=True)) for vector in vectors]
    return [pages[index] for index in sorted(range(len(pages)), key=lambda index: -scores[index])[:k]]


def ask(pages: list[Document]) -> str:
    """Show the pages to the model, and print its thinking and its answer; return the answer."""
    blocks: list[str | dict[str, object]] = []
    for number, page in enumerate(pages, 1):
        blocks += [{"type": "text", "text": f"[{number}]"}, {"type": "image", "url": Path(page.metadata["image_path"])}]
    blocks.append({"type": "text", "text": f"{PROMPT}\n\n{QUESTION}"})
    answer = ""
    print(f"\n{QUESTION}\n")
    for chunk in ChatQwenVL().stream([HumanMessage(blocks)]):
        for block in chunk.content_blocks:
            if block["type"] == "reasoning":
                print(dim(block["reasoning"]), end="", flush=True)
            elif block["type"] == "text":
                print("" if answer else "\n\nAnswer: ", end="")
                print(bold(block["text"]), end="", flush=True)
                answer += block["text"]
    print("\n")
    return answer


if __name__ == "__main__":
    main()

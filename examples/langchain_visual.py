"""LangChain: find pages of a scan by what they look like, rank them, answer from the best, and draw what is cited."""

import re
import tempfile
from importlib.util import find_spec
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from PIL import Image

from examples.terminal import bold, dim
from langchain_qwenvl import ChatQwenVL, QwenVLEmbeddings, QwenVLLoader, QwenVLReranker, citation
from qwenvl_core.grounding import Grounded, draw, parse_grounding

SCAN = Path(__file__).parent / "agreement.pdf"
QUESTION = "What does it cost to cancel the hire six weeks before it begins?"
PROMPT = "Answer from these pages only, and cite them by their numbers, as in [1]."
LOCATE = (
    "Locate the passage of this page that supports the answer. Reply with JSON only: "
    '[{{"bbox_2d": [x1, y1, x2, y2], "label": "its first words"}}].\n\nQuestion: {question}\nAnswer: {answer}'
)


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
            passages = locate(cited, answer)
            picture = Path(tempfile.gettempdir()) / f"langchain_page_{number}.png"
            draw(Image.open(cited.metadata["image_path"]), passages, labels=False).save(picture)
            score = cited.metadata["relevance_score"]
            print(f"[{number}] {SCAN.name}, page {citation(cited).page_label}, relevance {score:.2f}: {picture}")
            print(f"    cited: {'; '.join(str(passage.label) for passage in passages) or 'no place was found'}")
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


def locate(page: Document, answer: str) -> list[Grounded]:
    """Ask where on the page the passage is that the answer cites, without thinking, which is billed as output."""
    image = {"type": "image", "url": Path(page.metadata["image_path"])}
    text = {"type": "text", "text": LOCATE.format(question=QUESTION, answer=answer)}
    reply = ChatQwenVL(enable_thinking=False).invoke([HumanMessage([image, text])])
    return [item for item in parse_grounding(reply.text) if item.box]


if __name__ == "__main__":
    main()

"""LlamaIndex: find pages of a scan by what they look like, rank them, answer from the best, and draw what is cited."""

import re
import tempfile
from pathlib import Path

from llama_index.core.indices.multi_modal import MultiModalVectorStoreIndex
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.schema import NodeWithScore
from PIL import Image

from examples.terminal import bold
from llama_index_qwenvl import QwenVL, QwenVLEmbedding, QwenVLReader, QwenVLRerank, citation
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
        pages = QwenVLReader(mode="image", image_dir=folder).load_data(SCAN)
        embed_model = QwenVLEmbedding(dimensions=256)
        # In memory; pass image_vector_store=ChromaVectorStore(…), or another store, to keep the vectors.
        index = MultiModalVectorStoreIndex.from_documents(pages, embed_model=embed_model, image_embed_model=embed_model)
        found = index.as_retriever(image_similarity_top_k=20).text_to_image_retrieve(QUESTION)
        reranker = QwenVLRerank(top_n=3)
        best = reranker.postprocess_nodes(found, query_str=QUESTION)
        print(f"{len(pages)} pages, {embed_model.usage.total_tokens + reranker.usage.total_tokens:,} tokens")
        answer = ask(best)

        for number in sorted({int(digits) for digits in re.findall(r"\[(\d+)\]", answer)} & {1, 2, 3}):
            cited = best[number - 1]
            passages = locate(cited, answer)
            picture = Path(tempfile.gettempdir()) / f"llama_index_page_{number}.png"
            draw(Image.open(cited.metadata["image_path"]), passages, labels=False).save(picture)
            print(f"[{number}] {SCAN.name}, page {citation(cited).page_label}, relevance {cited.score:.2f}: {picture}")
            print(f"    cited: {'; '.join(str(passage.label) for passage in passages) or 'no place was found'}")
    return answer


def ask(pages: list[NodeWithScore]) -> str:
    """Show the pages to the model, and print its answer; return the answer."""
    blocks: list[TextBlock | ImageBlock] = []
    for number, page in enumerate(pages, 1):
        blocks += [TextBlock(text=f"[{number}]"), ImageBlock(path=Path(page.metadata["image_path"]))]
    question = TextBlock(text=f"{PROMPT}\n\n{QUESTION}")
    answer = QwenVL().chat([ChatMessage(role="user", blocks=[*blocks, question])]).message.content or ""
    print(f"\n{QUESTION}\n\nAnswer: {bold(answer)}\n")
    return answer


def locate(page: NodeWithScore, answer: str) -> list[Grounded]:
    """Ask where on the page the passage is that the answer cites, without thinking, which is billed as output."""
    image = ImageBlock(path=Path(page.metadata["image_path"]))
    text = TextBlock(text=LOCATE.format(question=QUESTION, answer=answer))
    response = QwenVL(enable_thinking=False).chat([ChatMessage(role="user", blocks=[image, text])])
    return [item for item in parse_grounding(response.message.content or "") if item.box]


if __name__ == "__main__":
    main()

# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Find pages by what they look like (LangChain)
#
# Pages are found by their pictures, without a transcription: figures, stamps, handwriting and tables count as much as
# words. An embedding model finds candidates, a reranker sorts them, and the chat model answers from the best pages.
#
# **Install.** The package comes from a checkout of its repository, not from a package index. In the checkout:
#
# ```console
# $ pip install --editable ".[langchain,documents]" numpy jupyter
# $ export DASHSCOPE_API_KEY=sk-…    # a Model Studio key
# ```
#
# **The outputs shown here** were recorded from the project's emulator of the service. The code has run, but no live
# model was called: the model's words were written by hand. With a key, the same cells ask a live model, and its words
# will differ.

# %%
import re
import tempfile
from pathlib import Path

import langchain_qwenvl
from IPython.display import display
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_qwenvl import ChatQwenVL, QwenVLEmbeddings, QwenVLLoader, QwenVLReranker
from PIL import Image
from qwenvl_core.grounding import draw, parse_grounding

# The scan lies in the checkout. Use the path of a PDF or TIFF of your own.
SCAN = Path(langchain_qwenvl.__file__).parents[1] / "examples" / "agreement.pdf"
QUESTION = "What does it cost to cancel the hire six weeks before it begins?"

# %% [markdown]
# ## Pages to pictures
#
# `mode="image"` asks no model. In a program of yours, keep the folder next to the vectors.

# %%
folder = tempfile.TemporaryDirectory()
pages = QwenVLLoader(SCAN, mode="image", image_dir=folder.name).load()
width, height = pages[0].metadata["page_width"], pages[0].metadata["page_height"]
print(f"{len(pages)} pages of {width} × {height} pixels")

# %% [markdown]
# ## Pictures to vectors
#
# LangChain's vector stores embed the text of a document. Here the text is the path of a picture, and the embedding
# model embeds that picture; so any vector store takes pages. (Chroma can also do it by itself: `add_images`.)
# Questions are embedded as text: texts and pictures share one space.


# %%
class PageEmbeddings(QwenVLEmbeddings):
    """Embed the pictures that texts name by their paths."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed pictures."""
        return self.embed_image(texts)


embeddings = PageEmbeddings(dimensions=256)
store = InMemoryVectorStore(embeddings)
store.add_documents(
    [Document(page.metadata["image_path"], metadata=page.metadata) for page in pages]
)
print(embeddings.usage)

# %% [markdown]
# ## Find and rank
#
# The reranker looks at each page together with the question. It ranks the picture under `image_path`.

# %%
found = store.similarity_search(QUESTION, k=20)
best = list(QwenVLReranker(top_n=3).compress_documents(found, QUESTION))
for number, page in enumerate(best, 1):
    label, score = page.metadata["page_label"], page.metadata["relevance_score"]
    print(f"[{number}] page {label}, relevance {score:.2f}")

# %% [markdown]
# ## Ask
#
# The model sees the pages themselves.

# %%
blocks = []
for number, page in enumerate(best, 1):
    blocks += [
        {"type": "text", "text": f"[{number}]"},
        {"type": "image", "url": Path(page.metadata["image_path"])},
    ]
PROMPT = "Answer from these pages only, and cite them by their numbers, as in [1]."
question = HumanMessage([*blocks, {"type": "text", "text": f"{PROMPT}\n\n{QUESTION}"}])
answer, kind = "", ""
for chunk in ChatQwenVL().stream([question]):
    for block in chunk.content_blocks:
        if block["type"] != kind:
            kind = block["type"]
            print("Thinking: " if kind == "reasoning" else "\n\nAnswer: ", end="")
        print(block.get("reasoning") or block.get("text", ""), end="")
    answer += chunk.text

# %% [markdown]
# ## See the cited places
#
# Each cited page is shown to the model once more, which locates the passage: `parse_grounding` reads its answer, and
# `draw` marks the boxes.

# %%
LOCATE = (
    "Locate the passage of this page that supports the answer. Reply with JSON only: "
    '[{{"bbox_2d": [x1, y1, x2, y2], "label": "its first words"}}].\n\n'
    "Question: {question}\nAnswer: {answer}"
)

for digits in dict.fromkeys(re.findall(r"\[(\d+)\]", answer)):
    if 0 < int(digits) <= len(best):
        page = best[int(digits) - 1]
        image = {"type": "image", "url": Path(page.metadata["image_path"])}
        text = LOCATE.format(question=QUESTION, answer=answer)
        message = HumanMessage([image, {"type": "text", "text": text}])
        reply = ChatQwenVL(enable_thinking=False).invoke([message])
        passages = parse_grounding(reply.text)
        labels = [passage.label for passage in passages]
        print(f"[{digits}] page {page.metadata['page_label']}: {labels}")
        drawn = draw(Image.open(page.metadata["image_path"]), passages, labels=False)
        display(drawn.reduce(2))  # half the size

# %%
folder.cleanup()

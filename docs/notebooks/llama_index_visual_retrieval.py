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
# # Find pages by what they look like (LlamaIndex)
#
# Pages are found by their pictures, without a transcription: figures, stamps, handwriting and tables count as much as
# words. An embedding model finds candidates, a reranker sorts them, and the chat model answers from the best pages.
#
# **Install.** The package comes from a checkout of its repository, not from a package index. In the checkout:
#
# ```console
# $ pip install --editable ".[llama-index,documents]" jupyter
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

import llama_index_qwenvl
from IPython.display import display
from llama_index.core.indices.multi_modal import MultiModalVectorStoreIndex
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index_qwenvl import QwenVL, QwenVLEmbedding, QwenVLReader, QwenVLRerank
from PIL import Image
from qwenvl_core.grounding import draw, parse_grounding

# The scan lies in the checkout. Use the path of a PDF or TIFF of your own.
SCAN = Path(llama_index_qwenvl.__file__).parents[1] / "examples" / "agreement.pdf"
QUESTION = "What does it cost to cancel the hire six weeks before it begins?"

# %% [markdown]
# ## Pages to pictures
#
# `mode="image"` asks no model. In a program of yours, keep the folder next to the vectors.

# %%
folder = tempfile.TemporaryDirectory()
pages = QwenVLReader(mode="image", image_dir=folder.name).load_data(SCAN)
width, height = pages[0].metadata["page_width"], pages[0].metadata["page_height"]
print(f"{len(pages)} pages of {width} × {height} pixels")

# %% [markdown]
# ## Pictures to vectors
#
# A `MultiModalVectorStoreIndex` embeds the pages by their pictures. Its vectors are in memory here; pass
# `image_vector_store=` to keep them. Questions are embedded as text: texts and pictures share one space.

# %%
embed_model = QwenVLEmbedding(dimensions=256)
index = MultiModalVectorStoreIndex.from_documents(
    pages, embed_model=embed_model, image_embed_model=embed_model
)
print(embed_model.usage)

# %% [markdown]
# ## Find and rank
#
# The reranker looks at each page together with the question.

# %%
found = index.as_retriever(image_similarity_top_k=20).text_to_image_retrieve(QUESTION)
best = QwenVLRerank(top_n=3).postprocess_nodes(found, query_str=QUESTION)
for number, page in enumerate(best, 1):
    print(f"[{number}] page {page.metadata['page_label']}, relevance {page.score:.2f}")

# %% [markdown]
# ## Ask
#
# The model sees the pages themselves.

# %%
blocks = []
for number, page in enumerate(best, 1):
    blocks += [
        TextBlock(text=f"[{number}]"),
        ImageBlock(path=Path(page.metadata["image_path"])),
    ]
PROMPT = "Answer from these pages only, and cite them by their numbers, as in [1]."
question = ChatMessage(
    role="user", blocks=[*blocks, TextBlock(text=f"{PROMPT}\n\n{QUESTION}")]
)
answer, kind = "", ""
for chunk in QwenVL().stream_chat([question]):
    thinking = chunk.additional_kwargs.get("thinking_delta")
    for label, text in (("Thinking: ", thinking), ("\n\nAnswer: ", chunk.delta)):
        if text:
            print(text if label == kind else label + text, end="")
            kind = label
    answer += chunk.delta or ""

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
        image = ImageBlock(path=Path(page.metadata["image_path"]))
        text = TextBlock(text=LOCATE.format(question=QUESTION, answer=answer))
        message = ChatMessage(role="user", blocks=[image, text])
        reply = QwenVL(enable_thinking=False).chat([message])
        passages = parse_grounding(reply.message.content)
        labels = [passage.label for passage in passages]
        print(f"[{digits}] page {page.metadata['page_label']}: {labels}")
        drawn = draw(Image.open(page.metadata["image_path"]), passages, labels=False)
        display(drawn.reduce(2))  # half the size

# %%
folder.cleanup()

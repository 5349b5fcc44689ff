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
# # A scanned contract, with citations drawn (LangChain)
#
# A scan has no text. The loader has the model transcribe it, element by element, each with its place on the page. So
# an answer can cite its sources, and each citation can be drawn on the page.
#
# **Install.** The package comes from a checkout of its repository, not from a package index. In the checkout:
#
# ```console
# $ pip install --editable ".[langchain,documents]" jupyter
# $ export DASHSCOPE_API_KEY=sk-…    # a Model Studio key
# ```
#
# **The outputs shown here** were recorded from the project's emulator of the service. The code has run, but no live
# model was called: the model's words were written by hand. With a key, the same cells ask a live model, and its words
# will differ.

# %%
import re
from pathlib import Path

import langchain_qwenvl
from IPython.display import display
from langchain_core.messages import HumanMessage
from langchain_qwenvl import ChatQwenVL, QwenVLLoader, citation, highlight

# The scan lies in the checkout. Use the path of a PDF or TIFF of your own.
CONTRACT = Path(langchain_qwenvl.__file__).parents[1] / "examples" / "agreement.pdf"

# %% [markdown]
# ## Read the scan
#
# In element mode each document is a heading, a paragraph, a table or a figure. Thinking is off: transcription does
# not need it, and thinking is billed as output. Pages are sent one at a time here; by default four are on their way
# at once.

# %%
loader = QwenVLLoader(
    CONTRACT,
    llm=ChatQwenVL(enable_thinking=False),
    mode="element",
    output="markdown",
    max_concurrency=1,
)
elements = loader.load()
for number, element in enumerate(elements, 1):
    page, category = element.metadata["page_number"], element.metadata["category"]
    first_line = element.page_content.splitlines()[0]
    print(f"[{number}] page {page} {category:<6} {first_line[:60]}")
print(f"{loader.usage.pages} pages, {loader.usage.total_tokens:,} tokens")

# %% [markdown]
# ## Ask
#
# This contract is short, so every element is a source. For long documents, put the elements into a vector store, and
# take what its retriever finds.

# %%
sources = "\n\n".join(
    f"[{number}] {element.page_content}" for number, element in enumerate(elements, 1)
)
question = HumanMessage(
    "Answer from these sources only, and cite them by their numbers, as in [1].\n\n"
    f"{sources}\n\n"
    "Question: What does it cost to cancel the hire six weeks before it begins?"
)
answer, kind = "", ""
for chunk in ChatQwenVL().stream([question]):
    for block in chunk.content_blocks:
        if block["type"] != kind:
            kind = block["type"]
            print("Thinking: " if kind == "reasoning" else "\n\nAnswer: ", end="")
        print(block.get("reasoning") or block.get("text", ""), end="")
    answer += chunk.text

# %% [markdown]
# ## See the sources
#
# `citation` says where a document comes from, and `highlight` draws its place on the page. Both read the document's
# metadata only, so they also work for what a vector store gives back.

# %%
for digits in dict.fromkeys(re.findall(r"\[(\d+)\]", answer)):
    if 0 < int(digits) <= len(elements):
        cited = elements[int(digits) - 1]
        print(f"[{digits}] page {citation(cited).page_label}, {citation(cited).box}")
        display(highlight(cited, CONTRACT).reduce(2))  # half the size

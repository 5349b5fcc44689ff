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
# # A scanned contract, with citations drawn (LlamaIndex)
#
# A scan has no text. The reader has the model transcribe it, element by element, each with its place on the page. So
# an answer can cite its sources, and each citation can be drawn on the page.
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
from pathlib import Path

import llama_index_qwenvl
from IPython.display import display
from llama_index.core import PromptTemplate, SummaryIndex, get_response_synthesizer
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index.core.query_engine import CitationQueryEngine
from llama_index_qwenvl import QwenVL, QwenVLReader, citation, highlight

# The scan lies in the checkout. Use the path of a PDF or TIFF of your own.
CONTRACT = Path(llama_index_qwenvl.__file__).parents[1] / "examples" / "agreement.pdf"

# %% [markdown]
# ## Read the scan
#
# In element mode each document is a heading, a paragraph, a table or a figure. Thinking is off: transcription does
# not need it, and thinking is billed as output. Pages are sent one at a time here; by default four are on their way
# at once.

# %%
reader = QwenVLReader(
    llm=QwenVL(enable_thinking=False),
    mode="element",
    output="markdown",
    max_concurrency=1,
)
elements = reader.load_data(CONTRACT)
for number, element in enumerate(elements, 1):
    page, category = element.metadata["page_number"], element.metadata["category"]
    first_line = element.text.splitlines()[0]
    print(f"[{number}] page {page} {category:<6} {first_line[:60]}")
print(f"{reader.usage.pages} pages, {reader.usage.total_tokens:,} tokens")

# %% [markdown]
# ## Ask
#
# A `CitationQueryEngine` numbers its sources. This contract is short, so a `SummaryIndex` gives it every element; for
# long documents, take a `VectorStoreIndex`. An engine returns the answer only, and LlamaIndex's events hold the
# thinking.


# %%
class ThinkingPrinter(BaseEventHandler):
    """Print what the model thought, when a chat ends."""

    def handle(self, event, **kwargs):
        """Print the thinking of a reply."""
        if isinstance(event, LLMChatEndEvent) and event.response:
            reply = event.response.message
            print("Thinking:", reply.additional_kwargs.get("reasoning_content", ""))


get_dispatcher().add_event_handler(ThinkingPrinter())

PROMPT = PromptTemplate(
    "Answer from these sources only, and cite them by their numbers, as in [1].\n\n"
    "{context_str}\n\nQuestion: {query_str}"
)
llm = QwenVL()
engine = CitationQueryEngine(
    SummaryIndex(elements).as_retriever(),
    llm=llm,
    response_synthesizer=get_response_synthesizer(llm=llm, text_qa_template=PROMPT),
)
QUESTION = "What does it cost to cancel the hire six weeks before it begins?"
response = engine.query(QUESTION)
print("\nAnswer:", response)

# %% [markdown]
# ## See the sources
#
# `citation` says where a node comes from, and `highlight` draws its place on the page. Both read the node's metadata
# only, so they also work for what a vector store gives back.

# %%
for digits in dict.fromkeys(re.findall(r"\[(\d+)\]", str(response))):
    if 0 < int(digits) <= len(response.source_nodes):
        cited = response.source_nodes[int(digits) - 1]
        print(f"[{digits}] page {citation(cited).page_label}, {citation(cited).box}")
        display(highlight(cited, CONTRACT).reduce(2))  # half the size

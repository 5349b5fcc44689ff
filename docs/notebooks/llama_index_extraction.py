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
# # Structured extraction that thinks (LlamaIndex)
#
# Model Studio refuses forced JSON and forced tools while a model thinks. So here the model is asked for the object
# while it thinks, and forced, without thinking, only if its answer lacks it: `forced_output`.
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
from pathlib import Path

import llama_index_qwenvl
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.prompts import ChatPromptTemplate
from llama_index_qwenvl import QwenVL
from PIL import Image
from pydantic import BaseModel

# The receipt lies in the checkout. Use the path of a picture of your own.
RECEIPT = Path(llama_index_qwenvl.__file__).parents[1] / "examples" / "receipt.png"
Image.open(RECEIPT)

# %% [markdown]
# ## The object


# %%
class Item(BaseModel):
    """A line of a receipt."""

    count: int
    name: str
    price: float


class Receipt(BaseModel):
    """What a receipt says."""

    shop: str
    items: list[Item]
    total: float
    adds_up: bool


# %% [markdown]
# ## Ask while thinking
#
# `"think_first"` is the default, and written out here. `structured_predict` returns the object only. LlamaIndex's
# events hold the whole reply: its thinking, its usage, and the adjustments, which say what was changed about the
# request.


# %%
class ReplyPrinter(BaseEventHandler):
    """Print the reply of a chat, when it ends."""

    def handle(self, event, **kwargs):
        """Print the thinking, the tokens and the adjustments of a reply."""
        if isinstance(event, LLMChatEndEvent) and event.response:
            reply = event.response
            thinking = reply.message.additional_kwargs.get("reasoning_content")
            print("Thinking:", thinking or "(none)")
            usage = reply.raw["usage"]
            tokens = usage["prompt_tokens"], usage["completion_tokens"]
            print("Tokens:", tokens[0], "in,", tokens[1], "out")
            adjustments = reply.additional_kwargs.get("adjustments", ["none"])
            print("Adjustments:", *adjustments, sep="\n- ")


get_dispatcher().add_event_handler(ReplyPrinter())


def ask(text):
    """Build a prompt of the receipt and a question about it."""
    blocks = [ImageBlock(path=RECEIPT), TextBlock(text=text)]
    return ChatPromptTemplate([ChatMessage(role="user", blocks=blocks)])


llm = QwenVL(forced_output="think_first")
llm.structured_predict(Receipt, ask("Read this receipt. Do its prices add up?"))

# %% [markdown]
# ## When the model answers in words
#
# A model that thinks may answer a question instead of writing the object. Then a second request follows within the
# same call, without thinking: it holds the first answer, and the object is forced. There is one reply, with the
# reasoning of the first request, the usage of both, and a report of it.


# %%
class Tip(BaseModel):
    """A tip for the waiter."""

    percent: int
    amount: float


llm.structured_predict(Tip, ask("What is a fair tip, beyond the service charge?"))

# %% [markdown]
# ## When thinking is not worth its price
#
# Thinking is billed as output. `forced_output="no_thinking"` leaves it out of the requests that demand an object, and
# only of these. It is one request, and the service forces the object.

# %%
cheap = QwenVL(forced_output="no_thinking")
cheap.structured_predict(Tip, ask("What is a fair tip, beyond the service charge?"))

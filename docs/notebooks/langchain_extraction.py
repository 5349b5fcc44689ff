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
# # Structured extraction that thinks (LangChain)
#
# Model Studio refuses forced JSON and forced tools while a model thinks. So here the model is asked for the object
# while it thinks, and forced, without thinking, only if its answer lacks it: `forced_output`.
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
from pathlib import Path

import langchain_qwenvl
from langchain_core.messages import HumanMessage
from langchain_qwenvl import ChatQwenVL
from PIL import Image
from pydantic import BaseModel

# The receipt lies in the checkout. Use the path of a picture of your own.
RECEIPT = Path(langchain_qwenvl.__file__).parents[1] / "examples" / "receipt.png"
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
# `"think_first"` is the default, and written out here. With `include_raw=True` the whole reply comes with the object:
# its reasoning, its usage, and the adjustments, which say what was changed about the request.

# %%
llm = ChatQwenVL(forced_output="think_first")
question = HumanMessage(
    [
        {"type": "image", "url": RECEIPT},
        {"type": "text", "text": "Read this receipt. Do its prices add up?"},
    ]
)


def show(result):
    """Print the reasoning, the object, the tokens and the adjustments."""
    reply = result["raw"]
    print("Thinking:", reply.additional_kwargs.get("reasoning_content", "(none)"))
    print("Object:", repr(result["parsed"] or result["parsing_error"]))
    usage = reply.usage_metadata
    print("Tokens:", usage["input_tokens"], "in,", usage["output_tokens"], "out")
    adjustments = reply.response_metadata.get("adjustments", ["none"])
    print("Adjustments:", *adjustments, sep="\n- ")


show(llm.with_structured_output(Receipt, include_raw=True).invoke([question]))

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


question = HumanMessage(
    [
        {"type": "image", "url": RECEIPT},
        {"type": "text", "text": "What is a fair tip, beyond the service charge?"},
    ]
)
show(llm.with_structured_output(Tip, include_raw=True).invoke([question]))

# %% [markdown]
# ## When thinking is not worth its price
#
# Thinking is billed as output. `forced_output="no_thinking"` leaves it out of the requests that demand an object, and
# only of these. It is one request, and the service forces the object.

# %%
cheap = ChatQwenVL(forced_output="no_thinking")
show(cheap.with_structured_output(Tip, include_raw=True).invoke([question]))

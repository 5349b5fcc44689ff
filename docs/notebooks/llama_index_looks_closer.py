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
# # An agent that looks closer (LlamaIndex)
#
# Small print is hard to read in a picture of a whole page. This agent has a tool that cuts a box out of the picture
# and returns it enlarged, as a picture. The model thinks, chooses where to look, looks, and answers.
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
import io
from pathlib import Path

import llama_index_qwenvl
from IPython.display import display
from llama_index.core.agent.workflow import AgentStream, FunctionAgent, ToolCallResult
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index_qwenvl import QwenVL
from PIL import Image
from qwenvl_core import grounding

# The receipt lies in the checkout. Use the path of a picture of your own.
RECEIPT = Path(llama_index_qwenvl.__file__).parents[1] / "examples" / "receipt.png"
Image.open(RECEIPT)

# %% [markdown]
# ## The tool
#
# Qwen-VL writes boxes in thousandths of the picture's sides, and `Box.from_model` reads them. The tool returns an
# `ImageBlock`, and the model sees the picture.


# %%
def crop(bbox_2d: list[int]) -> ImageBlock | str:
    """Cut a box out of the picture and look at it enlarged.

    The box is left, top, right and bottom, in thousandths of the picture's sides.
    """
    box = grounding.Box.from_model(bbox_2d)
    if box is None:
        return f"Invalid box: {bbox_2d}. Expected [left, top, right, bottom]."
    region = grounding.crop(Image.open(RECEIPT).convert("RGB"), box)
    # The service refuses pictures with a side of 10 pixels or less.
    zoom = max(3, 32 // min(region.size))
    file = io.BytesIO()
    region.resize((region.width * zoom, region.height * zoom)).save(file, "PNG")
    return ImageBlock(image=file.getvalue(), image_mimetype="image/png")


# %% [markdown]
# ## The agent
#
# Thinking is on by default. `thinking_delta` is the thinking, `delta` the answer.

# %%
agent = FunctionAgent(
    tools=[crop],
    llm=QwenVL(),
    system_prompt="You read documents. Look closer before you answer.",
)
question = ChatMessage(
    role="user", blocks=[ImageBlock(path=RECEIPT), TextBlock(text="How was it paid?")]
)

label_shown = ""


def write(label, text):
    """Print a text, with its label where another kind of text begins."""
    global label_shown
    if text:
        print(text if label == label_shown else label + text, end="")
        label_shown = label


handler = agent.run(user_msg=question)
async for event in handler.stream_events():
    if isinstance(event, AgentStream):
        write("Thinking: ", event.thinking_delta)
        write("\n\nAnswer: ", event.delta)
    elif isinstance(event, ToolCallResult):
        write("\n\nTool call: ", f"{event.tool_name} {event.tool_kwargs}")
        write("\n\nThe tool returned: ", event.tool_output.content or "a picture")
        for block in event.tool_output.blocks:
            if isinstance(block, ImageBlock):
                display(Image.open(block.resolve_image()))

# %% [markdown]
# ## The result
#
# The handler gives the answer, the calls that led to it, and what the last request cost.

# %%
result = await handler
print(result.response.content)
print([(call.tool_name, call.tool_kwargs) for call in result.tool_calls])
print(result.raw["usage"])

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
# # An agent that looks closer (LangChain)
#
# Small print is hard to read in a picture of a whole page. This agent has a tool that cuts a box out of the picture
# and returns it enlarged, as a picture. The model thinks, chooses where to look, looks, and answers.
#
# **Install.** The package comes from a checkout of its repository, not from a package index. In the checkout:
#
# ```console
# $ pip install --editable ".[langchain,documents]" langchain jupyter
# $ export DASHSCOPE_API_KEY=sk-…    # a Model Studio key
# ```
#
# **The outputs shown here** were recorded from the project's emulator of the service. The code has run, but no live
# model was called: the model's words were written by hand. With a key, the same cells ask a live model, and its words
# will differ.

# %%
import base64
import io
from pathlib import Path

import langchain_qwenvl
from IPython.display import display
from langchain.agents import create_agent
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_qwenvl import ChatQwenVL
from PIL import Image
from qwenvl_core import grounding

# The receipt lies in the checkout. Use the path of a picture of your own.
RECEIPT = Path(langchain_qwenvl.__file__).parents[1] / "examples" / "receipt.png"
Image.open(RECEIPT)

# %% [markdown]
# ## The tool
#
# Qwen-VL writes boxes in thousandths of the picture's sides, and `Box.from_model` reads them. The content of the
# tool's result is a picture, which goes to the model; the artifact is the same picture for us, and is not sent.


# %%
@tool(response_format="content_and_artifact")
def crop(bbox_2d: list[int]) -> tuple[object, object]:
    """Cut a box out of the picture and look at it enlarged.

    Args:
        bbox_2d: Left, top, right and bottom, in thousandths of the picture's sides.
    """
    box = grounding.Box.from_model(bbox_2d)
    if box is None:
        return f"Invalid box: {bbox_2d}. Expected [left, top, right, bottom].", None
    region = grounding.crop(Image.open(RECEIPT).convert("RGB"), box)
    # The service refuses pictures with a side of 10 pixels or less.
    zoom = max(3, 32 // min(region.size))
    region = region.resize((region.width * zoom, region.height * zoom))
    file = io.BytesIO()
    region.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return [{"type": "image", "base64": data, "mime_type": "image/png"}], region


# %% [markdown]
# ## The agent
#
# Thinking is on by default. It arrives in blocks of its own, before the tool call and before the answer.

# %%
agent = create_agent(
    ChatQwenVL(),
    [crop],
    system_prompt="You read documents. Look closer before you answer.",
)
question = HumanMessage(
    [{"type": "image", "url": RECEIPT}, {"type": "text", "text": "How was it paid?"}]
)

label_shown = ""


def write(label, text):
    """Print a text, with its label where another kind of text begins."""
    global label_shown
    print(text if label == label_shown else label + text, end="")
    label_shown = label


with get_usage_metadata_callback() as usage:
    for message, _ in agent.stream({"messages": [question]}, stream_mode="messages"):
        if isinstance(message, ToolMessage):
            result = "a picture" if message.artifact else message.text
            write("\n\nThe tool returned: ", result)
            if message.artifact:
                display(message.artifact)
        elif isinstance(message, AIMessageChunk):
            for block in message.content_blocks:
                match block["type"]:
                    case "reasoning":
                        write("Thinking: ", block["reasoning"])
                    case "tool_call_chunk":
                        name = f"{block['name']} " if block["name"] else ""
                        write("\n\nTool call: ", f"{name}{block['args']}")
                    case "text":
                        write("\n\nAnswer: ", block["text"])

# %% [markdown]
# ## What it cost
#
# The tokens of both requests, and how many of them are those of pictures and of thinking.

# %%
for model, tokens in usage.usage_metadata.items():
    of_pictures = tokens["input_token_details"].get("image", 0)
    of_thinking = tokens["output_token_details"].get("reasoning", 0)
    print(f"{model}: {tokens['input_tokens']} in, {of_pictures} of them for pictures")
    print(f"{tokens['output_tokens']} out, {of_thinking} of them for thinking")

"""LlamaIndex: run an agent that crops and enlarges what is too small to read in a document, then answers."""

import asyncio
import io
from pathlib import Path

from llama_index.core.agent.workflow import AgentStream, FunctionAgent, ToolCallResult
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from PIL import Image

from examples.terminal import bold, dim
from llama_index_qwenvl import QwenVL
from qwenvl_core import grounding

DOCUMENT = Path(__file__).parent / "receipt.png"


def crop(bbox_2d: list[int]) -> ImageBlock | str:
    """Cut a box out of the document and look at it enlarged.

    The box is left, top, right and bottom, in thousandths of the document's width and height.
    """
    box = grounding.Box.from_model(bbox_2d)
    if box is None:
        return f"Invalid box: {bbox_2d}. Expected [left, top, right, bottom]."
    region = grounding.crop(Image.open(DOCUMENT).convert("RGB"), box)
    zoom = max(3, 32 // min(region.size))  # the service rejects images with a side of 10 pixels or less
    file = io.BytesIO()
    region.resize((region.width * zoom, region.height * zoom)).save(file, "JPEG")
    return ImageBlock(image=file.getvalue(), image_mimetype="image/jpeg")


async def run() -> str:
    """Print thinking, tool calls and answer as they stream; return the answer."""
    agent = FunctionAgent(
        tools=[crop], llm=QwenVL(), system_prompt="You read documents. Look closer before you answer."
    )
    question = ChatMessage(role="user", blocks=[ImageBlock(path=DOCUMENT), TextBlock(text="How was it paid?")])
    handler = agent.run(user_msg=question)
    answer = ""
    async for event in handler.stream_events():
        if isinstance(event, AgentStream):
            print(dim(event.thinking_delta or ""), end="", flush=True)
            if event.delta:
                print("" if answer else "\n\nAnswer: ", end="")
                print(bold(event.delta), end="", flush=True)
                answer += event.delta
        elif isinstance(event, ToolCallResult):
            print(f"\n→ {event.tool_name} {event.tool_kwargs}")
            print(f"[{event.tool_name} returned: {event.tool_output.content or 'an image'}]")
    print()
    return str(await handler)


def main() -> str:
    """Run the agent and return its answer."""
    return asyncio.run(run())


if __name__ == "__main__":
    main()

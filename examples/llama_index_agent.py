"""LlamaIndex: an agent that looks at a document, cuts out what is too small to read, looks again, and answers."""

import asyncio
import io
from pathlib import Path

from llama_index.core.agent.workflow import AgentStream, FunctionAgent, ToolCallResult
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from PIL import Image

from llama_index_qwenvl import QwenVL
from qwenvl_core import grounding

DOCUMENT = Path(__file__).parent / "receipt.png"


def crop(bbox_2d: list[int]) -> ImageBlock | str:
    """Cut a box out of the document and look at it enlarged.

    The box is left, top, right and bottom, in thousandths of the document's width and height.
    """
    box = grounding.Box.from_model(bbox_2d)
    if box is None:
        return f"{bbox_2d} is no box on the document."
    cut = grounding.crop(Image.open(DOCUMENT).convert("RGB"), box)
    zoom = max(3, 32 // min(cut.size))  # the service takes no image with a side of 10 pixels or less
    file = io.BytesIO()
    cut.resize((cut.width * zoom, cut.height * zoom)).save(file, "JPEG")
    return ImageBlock(image=file.getvalue(), image_mimetype="image/jpeg")


async def run() -> str:
    """Print thinking, tool calls and answer as they stream; return the answer."""
    agent = FunctionAgent(
        tools=[crop], llm=QwenVL(), system_prompt="You read documents. Look closer before you answer."
    )
    question = ChatMessage(role="user", blocks=[ImageBlock(path=DOCUMENT), TextBlock(text="How was it paid?")])
    handler = agent.run(user_msg=question)
    async for event in handler.stream_events():
        if isinstance(event, AgentStream):
            for style, words in (("90", event.thinking_delta), ("1", event.delta)):
                print(f"\033[{style}m{words}\033[0m" if words else "", end="", flush=True)
        elif isinstance(event, ToolCallResult):
            print(f"\n→ {event.tool_name} {event.tool_kwargs}")
            print(f"[{event.tool_name} returned: {event.tool_output.content or 'an image'}]")
    print()
    return (await handler).response.content


def main() -> str:
    """Run the agent to its answer."""
    return asyncio.run(run())


if __name__ == "__main__":
    main()

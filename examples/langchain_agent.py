"""LangChain: run an agent that crops and enlarges what is too small to read in a document, then answers."""

import base64
import io
from pathlib import Path

from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from PIL import Image

from examples.terminal import bold, dim
from langchain_qwenvl import ChatQwenVL
from qwenvl_core import grounding

DOCUMENT = Path(__file__).parent / "receipt.png"


@tool
def crop(bbox_2d: list[int]) -> list[dict[str, str]]:
    """Cut a box out of the document and look at it enlarged.

    Args:
        bbox_2d: Left, top, right and bottom of the box, in thousandths of the document's width and height.
    """
    box = grounding.Box.from_model(bbox_2d)
    if box is None:
        return [{"type": "text", "text": f"Invalid box: {bbox_2d}. Expected [left, top, right, bottom]."}]
    region = grounding.crop(Image.open(DOCUMENT).convert("RGB"), box)
    zoom = max(3, 32 // min(region.size))  # the service rejects images with a side of 10 pixels or less
    file = io.BytesIO()
    region.resize((region.width * zoom, region.height * zoom)).save(file, "JPEG")
    return [{"type": "image", "base64": base64.b64encode(file.getvalue()).decode(), "mime_type": "image/jpeg"}]


def main() -> str:
    """Print thinking, tool calls and answer as they stream; return the answer."""
    agent = create_agent(ChatQwenVL(), [crop], system_prompt="You read documents. Look closer before you answer.")
    question = HumanMessage(content=[{"type": "image", "url": DOCUMENT}, {"type": "text", "text": "How was it paid?"}])
    answer = ""
    for message, _ in agent.stream({"messages": [question]}, stream_mode="messages"):
        if isinstance(message, ToolMessage):
            print(f"\n[{message.name} returned: {message.text or 'an image'}]")
        elif isinstance(message, AIMessageChunk):
            for block in message.content_blocks:
                match block["type"]:
                    case "reasoning":
                        print(dim(block["reasoning"]), end="", flush=True)
                    case "tool_call_chunk":
                        print(f"\n→ {block['name']} " if block["name"] else "", end="")
                        print(block["args"], end="", flush=True)
                    case "text":
                        print("" if answer else "\n\nAnswer: ", end="")
                        print(bold(block["text"]), end="", flush=True)
                        answer += block["text"]
    print()
    return answer


if __name__ == "__main__":
    main()

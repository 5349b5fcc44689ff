"""LangChain: an agent that looks at a document, cuts out what is too small to read, looks again, and answers."""

import base64
import io
from pathlib import Path

from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from PIL import Image

from langchain_qwenvl import ChatQwenVL
from qwenvl_core import grounding

DOCUMENT = Path(__file__).parent / "receipt.png"


@tool
def crop(bbox_2d: list[int]) -> list[dict]:
    """Cut a box out of the document and look at it enlarged.

    Args:
        bbox_2d: Left, top, right and bottom of the box, in thousandths of the document's width and height.
    """
    box = grounding.Box.from_model(bbox_2d)
    if box is None:
        return [{"type": "text", "text": f"{bbox_2d} is no box on the document."}]
    cut = grounding.crop(Image.open(DOCUMENT).convert("RGB"), box)
    zoom = max(3, 32 // min(cut.size))  # the service takes no image with a side of 10 pixels or less
    file = io.BytesIO()
    cut.resize((cut.width * zoom, cut.height * zoom)).save(file, "JPEG")
    return [{"type": "image", "base64": base64.b64encode(file.getvalue()).decode(), "mime_type": "image/jpeg"}]


def main() -> str:
    """Print thinking, tool calls and answer as they stream; return the answer."""
    agent = create_agent(ChatQwenVL(), [crop], system_prompt="You read documents. Look closer before you answer.")
    question = [{"type": "image", "url": str(DOCUMENT)}, {"type": "text", "text": "How was it paid?"}]
    answer = ""
    for message, _ in agent.stream({"messages": [HumanMessage(question)]}, stream_mode="messages"):
        if isinstance(message, ToolMessage):
            print(f"\n[{message.name} returned: {message.text or 'an image'}]")
        elif isinstance(message, AIMessageChunk):
            for block in message.content_blocks:
                match block["type"]:
                    case "reasoning":
                        print(f"\033[90m{block['reasoning']}\033[0m", end="", flush=True)
                    case "tool_call_chunk":
                        print(f"\n→ {block['name']} " if block["name"] else "", end="")
                        print(block["args"], end="", flush=True)
                    case "text":
                        print(f"\033[1m{block['text']}\033[0m", end="", flush=True)
                        answer += block["text"]
    print()
    return answer


if __name__ == "__main__":
    main()

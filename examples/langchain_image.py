"""LangChain: ask about an image, and stream the thinking, then the answer."""

from pathlib import Path

from langchain_core.messages import HumanMessage

from examples.terminal import bold, dim
from langchain_qwenvl import ChatQwenVL

RECEIPT = Path(__file__).parent / "receipt.png"


def main() -> str:
    """Print the thinking in grey and the answer in bold, as they arrive; return the answer."""
    llm = ChatQwenVL()  # key from DASHSCOPE_API_KEY; thinking is on by default
    question = HumanMessage(
        content=[
            {"type": "image", "url": RECEIPT},
            {"type": "text", "text": "Does the total on this receipt add up?"},
        ]
    )
    print("Thinking: ", end="")
    answer = ""
    for chunk in llm.stream([question]):
        for block in chunk.content_blocks:
            if block["type"] == "reasoning":
                print(dim(block["reasoning"]), end="", flush=True)
            elif block["type"] == "text":
                print("" if answer else "\n\nAnswer: ", end="")
                print(bold(block["text"]), end="", flush=True)
                answer += block["text"]
    print()
    return answer


if __name__ == "__main__":
    main()

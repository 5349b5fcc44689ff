"""LangChain: ask about an image; watch the model think, then answer."""

from pathlib import Path

from langchain_core.messages import HumanMessage

from langchain_qwenvl import ChatQwenVL

RECEIPT = Path(__file__).parent / "receipt.png"


def main() -> str:
    """Print the thinking in grey and the answer in bold, as they arrive; return the answer."""
    llm = ChatQwenVL()  # key from DASHSCOPE_API_KEY; thinking is on by default
    question = HumanMessage(
        [
            {"type": "image", "url": str(RECEIPT)},
            {"type": "text", "text": "Does the total on this receipt add up?"},
        ]
    )
    said = {"reasoning": "", "text": ""}
    for chunk in llm.stream([question]):
        for block in chunk.content_blocks:
            kind = block["type"]
            if not said[kind]:
                print("Thinking: " if kind == "reasoning" else "\n\nAnswer: ", end="")
            said[kind] += block[kind]
            style = "90" if kind == "reasoning" else "1"
            print(f"\033[{style}m{block[kind]}\033[0m", end="", flush=True)
    print()
    return said["text"]


if __name__ == "__main__":
    main()

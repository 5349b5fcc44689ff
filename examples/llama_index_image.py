"""LlamaIndex: ask about an image; watch the model think, then answer."""

from pathlib import Path

from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

from llama_index_qwenvl import QwenVL

RECEIPT = Path(__file__).parent / "receipt.png"


def main() -> str:
    """Print the thinking in grey and the answer in bold, as they arrive; return the answer."""
    llm = QwenVL()  # key from DASHSCOPE_API_KEY; thinking is on by default
    question = ChatMessage(
        role="user",
        blocks=[ImageBlock(path=RECEIPT), TextBlock(text="Does the total on this receipt add up?")],
    )
    print("Thinking: ", end="")
    answer = ""
    for chunk in llm.stream_chat([question]):
        if thought := chunk.additional_kwargs.get("thinking_delta"):
            print(f"\033[90m{thought}\033[0m", end="", flush=True)
        if chunk.delta:
            print("" if answer else "\n\nAnswer: ", end="")
            print(f"\033[1m{chunk.delta}\033[0m", end="", flush=True)
            answer += chunk.delta
    print()
    return answer


if __name__ == "__main__":
    main()

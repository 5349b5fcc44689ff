"""LlamaIndex: ask about an image, and stream the thinking, then the answer."""

from pathlib import Path

from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

from examples.terminal import bold, dim
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
        if thinking := chunk.additional_kwargs.get("thinking_delta"):
            print(dim(thinking), end="", flush=True)
        if chunk.delta:
            print("" if answer else "\n\nAnswer: ", end="")
            print(bold(chunk.delta), end="", flush=True)
            answer += chunk.delta
    print()
    return answer


if __name__ == "__main__":
    main()

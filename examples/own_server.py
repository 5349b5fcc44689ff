"""Both frameworks: ask a server of your own; here llama.cpp's, and `provider=` names any other."""

import sys
from pathlib import Path

from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

from examples.terminal import bold, dim
from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL

RECEIPT = Path(__file__).parent / "receipt.png"


def main(base_url: str = "http://localhost:8080/v1", model: str = "Qwen/Qwen3.5-27B") -> str:
    """Print the thinking in grey and the answer in bold, with each framework; return the last answer."""
    chat = ChatQwenVL(model=model, base_url=base_url, provider="llama.cpp")
    message = chat.invoke([HumanMessage([{"type": "image", "url": RECEIPT}, "What is this?"])])
    print("LangChain:  ", dim(message.additional_kwargs.get("reasoning_content", "").strip().replace("\n", " ")))
    tokens = message.usage_metadata["input_tokens"] if message.usage_metadata else 0
    print("            ", bold(message.text), f"({tokens} tokens read)")

    llm = QwenVL(model=model, base_url=base_url, provider="llama.cpp", enable_thinking=False)
    response = llm.chat([ChatMessage(role="user", blocks=[ImageBlock(path=RECEIPT), TextBlock(text="What is this?")])])
    answer = response.message.content or ""
    print("LlamaIndex: ", bold(answer), f"(provider: {response.additional_kwargs['provider']})")
    return answer


if __name__ == "__main__":
    main(*sys.argv[1:])

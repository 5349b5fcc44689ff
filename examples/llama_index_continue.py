"""LlamaIndex: continue an answer that was cut off, by `max_tokens` or by a broken connection."""

from pathlib import Path

from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLError

RECEIPT = Path(__file__).parent / "receipt.png"


def complete_answer(llm: QwenVL, question: ChatMessage, max_requests: int = 5) -> str:
    """Return the answer with all its continuations.

    Continuations do not think: the service rejects a partial answer together with thinking.
    """
    answer = ""
    for _ in range(max_requests):
        partial = [ChatMessage(role="assistant", content=answer, additional_kwargs={"partial": True})] if answer else []
        try:
            response = llm.chat([question, *partial])
        except QwenVLError as error:
            if not error.partial:
                raise
            answer += error.partial
            continue
        text = response.message.content or ""
        answer += text
        if response.additional_kwargs["finish_reason"] != "length" or not text:
            break
    return answer


def main() -> str:
    """Print a long answer that arrives in parts of 50 tokens; return it."""
    question = ChatMessage(
        role="user", blocks=[ImageBlock(path=RECEIPT), TextBlock(text="Write down all lines of it.")]
    )
    answer = complete_answer(QwenVL(max_tokens=50), question)
    print(answer)
    return answer


if __name__ == "__main__":
    main()

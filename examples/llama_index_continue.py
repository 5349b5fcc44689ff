"""LlamaIndex: go on with an answer that was cut off, by the limit of its length or by a broken connection."""

from pathlib import Path

from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLError

RECEIPT = Path(__file__).parent / "receipt.png"


def whole_answer(llm: QwenVL, question: list[ChatMessage], tries: int = 5) -> str:
    """The answer with all its continuations. These do not think: the service refuses to go on while thinking."""
    said = ""
    for _ in range(tries):
        so_far = [ChatMessage(role="assistant", content=said, additional_kwargs={"partial": True})] if said else []
        try:
            response = llm.chat([*question, *so_far])
        except QwenVLError as error:
            if not error.partial:
                raise
            said += error.partial
            continue
        words = response.message.content or ""
        said += words
        if response.additional_kwargs["finish_reason"] != "length" or not words:
            break
    return said


def main() -> str:
    """Print a long answer in pieces of few tokens; return it."""
    question = ChatMessage(
        role="user", blocks=[ImageBlock(path=RECEIPT), TextBlock(text="Write down all lines of it.")]
    )
    answer = whole_answer(QwenVL(max_tokens=50), [question])
    print(answer)
    return answer


if __name__ == "__main__":
    main()

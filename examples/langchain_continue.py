"""LangChain: continue an answer that was cut off, by `max_tokens` or by a broken connection."""

from pathlib import Path

from langchain_core.messages import AIMessage, HumanMessage

from langchain_qwenvl import ChatQwenVL
from qwenvl_core.errors import QwenVLError

RECEIPT = Path(__file__).parent / "receipt.png"


def complete_answer(llm: ChatQwenVL, question: HumanMessage, max_requests: int = 5) -> str:
    """Return the answer with all its continuations.

    Continuations do not think: the service rejects a partial answer together with thinking.
    """
    answer = ""
    for _ in range(max_requests):
        partial = [AIMessage(answer, additional_kwargs={"partial": True})] if answer else []
        try:
            reply = llm.invoke([question, *partial])
        except QwenVLError as error:
            if not error.partial:
                raise
            answer += error.partial
            continue
        answer += reply.text
        if reply.response_metadata["finish_reason"] != "length" or not reply.text:
            break
    return answer


def main() -> str:
    """Print a long answer that arrives in parts of 50 tokens; return it."""
    question = HumanMessage(
        content=[{"type": "image", "url": RECEIPT}, {"type": "text", "text": "Write down all lines of it."}]
    )
    answer = complete_answer(ChatQwenVL(max_tokens=50), question)
    print(answer)
    return answer


if __name__ == "__main__":
    main()

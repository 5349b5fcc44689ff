"""LangChain: go on with an answer that was cut off, by the limit of its length or by a broken connection."""

from pathlib import Path

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_qwenvl import ChatQwenVL
from qwenvl_core.errors import QwenVLError

RECEIPT = Path(__file__).parent / "receipt.png"


def whole_answer(llm: ChatQwenVL, question: list[BaseMessage], tries: int = 5) -> str:
    """The answer with all its continuations. These do not think: the service refuses to go on while thinking."""
    said = ""
    for _ in range(tries):
        so_far = [AIMessage(said, additional_kwargs={"partial": True})] if said else []
        try:
            reply = llm.invoke([*question, *so_far])
        except QwenVLError as error:
            if not error.partial:
                raise
            said += error.partial
            continue
        said += reply.text
        if reply.response_metadata["finish_reason"] != "length" or not reply.text:
            break
    return said


def main() -> str:
    """Print a long answer in pieces of few tokens; return it."""
    question = [{"type": "image", "url": str(RECEIPT)}, {"type": "text", "text": "Write down all lines of it."}]
    answer = whole_answer(ChatQwenVL(max_tokens=50), [HumanMessage(question)])
    print(answer)
    return answer


if __name__ == "__main__":
    main()

"""Define the scenario of each cassette, with the replies of the emulator for recordings without a live service."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import SecretStr

from examples import (
    langchain_agent,
    langchain_documents,
    langchain_image,
    langchain_visual,
    llama_index_agent,
    llama_index_documents,
    llama_index_image,
    llama_index_visual,
)
from langchain_qwenvl import ChatQwenVL
from qwenvl_core.errors import QwenVLAuthenticationError
from tests.emulator import Fault, Reply, ToolCall
from tests.support import docs_scenarios_chat, docs_scenarios_documents, sample_agreement
from tests.support.app_scenario import APP
from tests.support.batch_scenarios import BATCHES
from tests.support.markdown import find_code_blocks, read_markdown
from tests.support.notebook_scenarios import NOTEBOOKS
from tests.support.paths import ROOT
from tests.support.scenario import Scenario, split_words

_ADDS_UP = Reply(
    reasoning=split_words(
        "The receipt lists 2 flat whites for 8.40, a lemon tart for 5.20 and a mineral water for 3.10. "
        "8.40 + 5.20 + 3.10 = 16.70, which is the subtotal. Ten percent of 16.70 is 1.67, and 16.70 + 1.67 = 18.37."
    ),
    text=split_words(
        "Yes. The three items make 16.70, the 10 % service charge is 1.67, and together that is the printed 18.37."
    ),
)

_LOOKS_CLOSER = [
    Reply(
        reasoning=split_words("The line at the bottom is small. I should look closer."),
        tool_calls=[ToolCall("call_1", "crop", ['{"bbox_2d": ', "[200, 850, ", "800, 950]}"])],
    ),
    Reply(reasoning=split_words("Now it is large enough: paid by card, thank you."), text=split_words("By card.")),
]

DEMO = (
    Scenario(
        "demo_langchain_image",
        "LangChain: an image, thinking, an answer",
        langchain_image.main,
        [_ADDS_UP],
        "".join(_ADDS_UP.text),
    ),
    Scenario(
        "demo_llama_index_image",
        "LlamaIndex: the same",
        llama_index_image.main,
        [_ADDS_UP],
        "".join(_ADDS_UP.text),
    ),
    Scenario(
        "demo_langchain_agent",
        "LangChain: an agent with a tool that returns an image",
        langchain_agent.main,
        _LOOKS_CLOSER,
        "By card.",
    ),
    Scenario(
        "demo_llama_index_agent",
        "LlamaIndex: the same",
        llama_index_agent.main,
        _LOOKS_CLOSER,
        "By card.",
    ),
    Scenario(
        "demo_langchain_documents",
        "LangChain: a scanned PDF, a question, cited places on the page",
        partial(langchain_documents.main, max_concurrency=1),  # pages are requested in the order of the replies
        [*sample_agreement.PAGES, sample_agreement.ANSWER],
        "".join(sample_agreement.ANSWER.text),
    ),
    Scenario(
        "demo_llama_index_documents",
        "LlamaIndex: a scanned PDF, a question, cited places on the page",
        partial(llama_index_documents.main, max_concurrency=1),
        [*sample_agreement.PAGES, sample_agreement.ANSWER],
        "".join(sample_agreement.ANSWER.text),
    ),
    Scenario(
        "demo_langchain_visual",
        "LangChain: pages found by what they look like, ranked, shown to the model, cited places drawn",
        langchain_visual.main,
        [sample_agreement.ANSWER_FROM_PAGES, *sample_agreement.PASSAGES],
        "".join(sample_agreement.ANSWER_FROM_PAGES.text),
        sample_agreement.describe_pictures,
    ),
    Scenario(
        "demo_llama_index_visual",
        "LlamaIndex: the same",
        llama_index_visual.main,
        [sample_agreement.ANSWER_FROM_PAGES, *sample_agreement.PASSAGES],
        "".join(sample_agreement.ANSWER_FROM_PAGES.text),
        sample_agreement.describe_pictures,
    ),
)


def readme_snippets(name: str = "README.md") -> dict[str, str]:
    """Return the Python snippets of the README, or of its translation, by the names of their cassettes."""
    blocks = [block for block in find_code_blocks(read_markdown(name)) if block.language == "python"]
    return {block.comment[1]: block.code for block in blocks if block.comment and block.comment[0] == "cassette"}


def _run_snippet(name: str) -> Callable[[], None]:
    return lambda: exec(compile(readme_snippets()[name], "README.md", "exec", dont_inherit=True), {})


_PAID = Reply(
    reasoning=split_words("The receipt's total line says 18.37, and it was paid by card."),
    text=split_words("18.37, by card."),
)

_OPENS_IMAGE = [
    Reply(
        reasoning=split_words("I have to see the receipt first."),
        tool_calls=[ToolCall("call_1", "open_image", ['{"name": ', '"receipt.png"}'])],
    ),
    Reply(reasoning=split_words("The last line says: paid by card."), text=split_words("By card.")),
]

README = (
    Scenario("readme_langchain", "README: LangChain", _run_snippet("readme_langchain"), [_PAID, _PAID]),
    Scenario("readme_llama_index", "README: LlamaIndex", _run_snippet("readme_llama_index"), [_PAID, _PAID]),
    Scenario("readme_agent", "README: an agent", _run_snippet("readme_agent"), _OPENS_IMAGE),
    Scenario("readme_documents", "README: a scan", _run_snippet("readme_documents"), [sample_agreement.PAGES[1]]),
)


# Public files of the vendor's own documentation, so that a live recording can fetch them.
_DOG = "https://dashscope.oss-cn-beijing.aliyuncs.com/images/dog_and_girl.jpeg"
_FILES = "https://help-static-aliyun-doc.aliyuncs.com/file-manage-files/zh-CN"
_CLIP = f"{_FILES}/20241115/cqqkru/1.mp4"
_FOOTBALL = [
    f"{_FILES}/20241108/{name}.jpg"
    for name in ("xzsgiz/football1", "tdescd/football2", "zefdja/football3", "aedbqh/football4")
]


def _invoke_without_thinking() -> str:
    reply = ChatQwenVL(enable_thinking=False).invoke("What is 17 times 23?")
    assert "reasoning_content" not in reply.additional_kwargs
    assert reply.response_metadata["finish_reason"] == "stop"
    return reply.text


def _invoke_stream_only_model() -> str:
    reply = ChatQwenVL(model="qvq-max", disable_streaming=True).invoke([_ask_about_image("Who is on the beach?")])
    assert reply.additional_kwargs["reasoning_content"]
    assert reply.usage_metadata is not None
    assert dict(reply.usage_metadata["input_token_details"])["image"]
    return reply.text


def _invoke_with_frames_and_video() -> str:
    frames = {"type": "video", "video": _FOOTBALL, "fps": 0.5}
    clip = {"type": "video", "url": _CLIP, "extras": {"fps": 2, "max_pixels": 655360}}
    question = {"type": "text", "text": "Do both show the same scene?"}
    return ChatQwenVL().invoke([HumanMessage([frames, clip, question])]).text


def _return_image_from_tool() -> str:
    llm = ChatQwenVL()
    messages: list[Any] = [_ask_about_image("What does the dog wear? Look closely.")]
    call = llm.bind_tools([_CROP], tool_choice="crop").invoke(messages)
    assert isinstance(call, AIMessage)
    assert [tool_call["name"] for tool_call in call.tool_calls] == ["crop"]
    assert "thinks" in str(call.response_metadata["adjustments"])
    assert call.additional_kwargs["reasoning_content"]
    result = ToolMessage([{"type": "image", "url": _DOG}], tool_call_id=call.tool_calls[0]["id"])
    reply = llm.bind_tools([_CROP]).invoke([*messages, call, result])
    assert reply.additional_kwargs["reasoning_content"]
    return reply.text


def _upload_image_once() -> str:
    picture = ROOT / "examples" / "receipt.png"
    llm = ChatQwenVL(upload="always")
    image, question = {"type": "image", "url": picture}, {"type": "text", "text": "What was paid?"}
    answers = [llm.invoke([HumanMessage([image, question])]).text for _ in range(2)]  # the second uses the same upload
    assert answers[0] == answers[1]
    return answers[0]


def _ask_in_a_batch() -> str:
    job = ChatQwenVL(enable_thinking=False).submit_batch(["What is 17 times 23?"])
    assert job.poll().state == "completed"
    reply = job.results()[0]
    assert isinstance(reply, AIMessage)
    return reply.text


def _send_wrong_key() -> None:
    with pytest.raises(QwenVLAuthenticationError, match="region") as caught:
        ChatQwenVL(api_key=SecretStr("wrong")).invoke("hi")
    assert caught.value.status_code == 401


def _ask_about_image(question: str) -> HumanMessage:
    image = {"type": "image_url", "image_url": {"url": _DOG}, "max_pixels": 1310720}
    return HumanMessage([image, {"type": "text", "text": question}])


_CROP = {
    "type": "function",
    "function": {
        "name": "crop",
        "description": "Cut a box out of the picture.",
        "parameters": {
            "type": "object",
            "properties": {"box": {"type": "array", "items": {"type": "number"}}},
            "required": ["box"],
        },
    },
}

BEHAVIOUR = (
    Scenario("whole_reply", "A whole reply, without thinking", _invoke_without_thinking, [Reply(text="391")], "391"),
    Scenario(
        "stream_only_model",
        "A model that only streams, through invoke",
        _invoke_stream_only_model,
        [
            Reply(
                reasoning=split_words("A woman, and a dog."),
                text=split_words("A woman."),
                usage={"prompt": 544, "image": 520},
            )
        ],
        "A woman.",
    ),
    Scenario(
        "frames_and_video", "A frame list and a video", _invoke_with_frames_and_video, [Reply(text=["No."])], "No."
    ),
    Scenario(
        "tool_image",
        "A forced tool, and an image in its result",
        _return_image_from_tool,
        [
            Reply(
                reasoning=split_words("I look closer."),
                tool_calls=[ToolCall("call_1", "crop", ['{"box": [0.1, ', "0.2, 0.5, 0.6]}"])],
            ),
            Reply(reasoning=split_words("Now I see it."), text=split_words("A harness.")),
        ],
        "A harness.",
    ),
    Scenario(
        "upload",
        "An image in temporary storage, sent twice and uploaded once",
        _upload_image_once,
        [Reply(reasoning=["It is printed."], text=["18.37."])] * 2,
        "18.37.",
    ),
    Scenario("batch", "A batch file: submitted, awaited, read", _ask_in_a_batch, [Reply(text=["391"])], "391"),
    Scenario(
        "refused_key",
        "A key that the endpoint refuses",
        _send_wrong_key,
        [Fault(status=401, code="invalid_api_key", message="Incorrect API key provided.")],
    ),
)

# A page of the documentation has its row in the table of its area.
PAGES = {page.cassette: page for page in (*docs_scenarios_chat.PAGES, *docs_scenarios_documents.PAGES)}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        *DEMO,
        *README,
        *BEHAVIOUR,
        APP,
        *BATCHES,
        *(page.to_scenario() for page in PAGES.values()),
        *(notebook.to_scenario() for notebook in NOTEBOOKS.values()),
    )
}

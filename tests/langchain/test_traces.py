"""What LangChain's traces and results tell: media as base64 blocks, the model, the usage."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps
from langchain_core.messages import BaseMessage, HumanMessage
from PIL import Image

from langchain_qwenvl import ChatQwenVL
from tests.emulator import Emulator, Reply
from tests.langchain.conftest import MP4, PNG, Make
from tests.support.media_files import data_uri

URI = data_uri(PNG)
BASE64 = URI.partition(",")[2]
IMAGE_BLOCK = {"type": "image_url", "image_url": {"url": URI}}  # LangChain's form of a base64 image in traces


class Trace(BaseCallbackHandler):
    """Collect the messages of traces."""

    def __init__(self) -> None:
        self.messages: list[BaseMessage] = []

    def on_chat_model_start(self, serialized: Any, messages: list[list[BaseMessage]], **kwargs: Any) -> None:
        self.messages += messages[0]


def open_image() -> Image.Image:
    return Image.open(io.BytesIO(PNG))


MEDIA: dict[str, tuple[dict[str, Any], Any]] = {
    "bytes": ({"type": "image", "url": PNG}, IMAGE_BLOCK),
    "bytes as base64": ({"type": "image", "base64": PNG}, IMAGE_BLOCK),
    "base64 as bytes": ({"type": "image", "base64": BASE64.encode(), "mime_type": "image/png"}, IMAGE_BLOCK),
    "bytearray": ({"type": "image", "image": bytearray(PNG)}, IMAGE_BLOCK),
    "a file object": ({"type": "image", "url": io.BytesIO(PNG)}, IMAGE_BLOCK),
    "OpenAI's block": ({"type": "image_url", "image_url": {"url": PNG}}, IMAGE_BLOCK),
    "the vendor's block": ({"image": PNG}, {"type": "image", "image": URI}),
    "a video": ({"type": "video", "url": MP4}, {"type": "video", "mime_type": "video/mp4",
                                              "base64": base64.b64encode(MP4).decode()}),
    "frames": ({"type": "video", "video": [PNG] * 4}, {"type": "video", "video": [URI] * 4}),
    "Anthropic's block": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}}),
}  # fmt: skip


@pytest.mark.parametrize("name", MEDIA)
def test_media_in_traces_are_base64_blocks(name: str, llm: ChatQwenVL, emulator: Emulator) -> None:
    block, traced = MEDIA[name]
    trace = Trace()
    llm.invoke([HumanMessage([block])], config={"callbacks": [trace]})
    assert not emulator.refusals
    found = trace.messages[0].content[0]
    assert {key: found[key] for key in traced} == traced
    assert "b'" not in dumps(trace.messages)
    assert "not_implemented" not in dumps(trace.messages)


def test_pillow_image_in_traces_is_a_base64_block(llm: ChatQwenVL, emulator: Emulator) -> None:
    trace = Trace()
    list(llm.stream([HumanMessage([{"type": "image", "image": open_image()}])], config={"callbacks": [trace]}))
    assert trace.messages[0].content[0]["image_url"]["url"].startswith("data:image/png;base64,")  # type: ignore[index]
    sent = emulator.requests[-1].json["messages"][0]["content"][0]
    assert sent["image_url"]["url"] == trace.messages[0].content[0]["image_url"]["url"]  # type: ignore[index]


def test_llm_output_tells_model_and_usage(llm: ChatQwenVL, emulator: Emulator) -> None:
    one = llm.generate([[HumanMessage("Hi")]]).llm_output
    assert one is not None
    assert one["model_name"] == "qwen3-vl-plus"
    assert one["token_usage"]["prompt_tokens"] > 0
    assert one["token_usage"]["completion_tokens"] > 0
    two = llm.generate([[HumanMessage("Hi")], [HumanMessage("Hi")]]).llm_output
    assert two is not None
    assert two["token_usage"]["total_tokens"] == 2 * one["token_usage"]["total_tokens"]


@pytest.mark.parametrize("streaming", [False, True])
async def test_llm_output_is_the_same_in_all_modes(streaming: bool, make: Make, emulator: Emulator) -> None:
    native = make(api="dashscope", base_url=emulator.native_url, streaming=streaming)
    for llm in (make(streaming=streaming), native):
        emulator.script(*[Reply(text="Hello.", reasoning="Hm.")] * 2)
        output = (await llm.agenerate([[HumanMessage("Hi")]])).llm_output
        assert output == llm.generate([[HumanMessage("Hi")]]).llm_output
        assert output is not None
        assert output["token_usage"]["prompt_tokens"] > 0


def test_llm_output_of_a_cached_answer_counts_no_tokens(llm: ChatQwenVL) -> None:
    from langchain_core.caches import InMemoryCache

    llm.cache = InMemoryCache()
    first, second = (llm.generate([[HumanMessage("Hi")]]).llm_output for _ in range(2))
    assert first is not None
    assert second is not None
    assert first["token_usage"]
    assert second == {"token_usage": {}, "model_name": "qwen3-vl-plus"}

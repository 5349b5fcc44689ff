"""Token counts of a conversation before it is sent, and the usage afterwards."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.tools import tool

from langchain_qwenvl import ChatQwenVL
from qwenvl_core.catalog.models import CATALOGUE, describe
from qwenvl_core.request.token_count import count_text_tokens
from qwenvl_core.tokens import image_tokens, image_tokens_upper_bound, video_tokens, video_tokens_upper_bound
from tests.emulator import Emulator, Quirks, Reply
from tests.support import media_files

Make = Callable[..., ChatQwenVL]
TEXT: dict[str, Any] = {"type": "text", "text": "What is it?"}
URL = "https://example.com/a.jpg"


@tool
def crop(left: int, top: int) -> str:
    """Cut out a part of the image."""
    return ""


def cost(llm: ChatQwenVL, *blocks: dict[str, Any]) -> int:
    """Return how many tokens the blocks add to a message with text."""
    return llm.get_num_tokens_from_messages([HumanMessage([TEXT, *blocks])]) - llm.get_num_tokens_from_messages(
        [HumanMessage([TEXT])]
    )


# --- estimates --------------------------------------------------------------------------------------------------------


def test_count_text(llm: ChatQwenVL) -> None:
    assert llm.get_num_tokens("What is it?") == count_text_tokens("What is it?") == 4
    assert llm.get_num_tokens("") == 0
    short, long = [HumanMessage("Hi")], [SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hello.")]
    assert 0 < llm.get_num_tokens_from_messages(short) < llm.get_num_tokens_from_messages(long) < 40


def test_count_images_uses_the_vendors_formula(make: Make, tmp_path: Path) -> None:
    llm = make()
    data = media_files.jpeg(4000, 3000)
    text = base64.b64encode(data).decode()
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for block in (
        {"type": "image", "base64": text, "mime_type": "image/jpeg"},
        {"type": "image", "url": path},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{text}"}},
        {"type": "image", "source_type": "base64", "data": text, "mime_type": "image/jpeg"},
    ):
        assert cost(llm, block) == image_tokens(4000, 3000, "qwen3-vl-plus")
        raised = image_tokens(4000, 3000, "qwen3-vl-plus", max_pixels=6_000_000)
        assert cost(llm, {**block, "max_pixels": 6_000_000}) == raised
        assert cost(make(max_pixels=6_000_000), block) == raised
        high = image_tokens(4000, 3000, "qwen-vl-max", vl_high_resolution_images=True)
        assert cost(make(model="qwen-vl-max", vl_high_resolution_images=True), block) == high


def test_count_urls_uses_the_maximum_without_fetching(llm: ChatQwenVL, emulator: Emulator) -> None:
    own_url = f"{emulator.origin}/a.jpg"
    for url in (URL, own_url):
        assert cost(llm, {"type": "image", "url": url}) == image_tokens_upper_bound("qwen3-vl-plus")
        assert cost(llm, {"type": "video", "url": url}) == video_tokens_upper_bound("qwen3-vl-plus")
    frames = cost(llm, {"type": "video", "video": [own_url] * 8})
    assert frames == video_tokens_upper_bound("qwen3-vl-plus", n_frames=8)
    assert not emulator.requests


def test_count_videos_uses_the_vendors_formula(llm: ChatQwenVL, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(media_files.mp4(10, fps=24, width=1920, height=1080))
    block = {"type": "video", "url": path}
    assert cost(llm, block) == video_tokens(1920, 1080, 240, 24, "qwen3-vl-plus")
    assert cost(llm, {**block, "extras": {"fps": 0.5}}) == video_tokens(1920, 1080, 240, 24, "qwen3-vl-plus", fps=0.5)


def test_count_tools_adds_tokens(llm: ChatQwenVL) -> None:
    plain = llm.get_num_tokens_from_messages([HumanMessage("Hi")])
    with_tool = llm.get_num_tokens_from_messages([HumanMessage("Hi")], tools=[crop])
    assert with_tool > plain + 40
    assert llm.get_num_tokens_from_messages([HumanMessage("Hi")], tools=[crop, crop]) > with_tool
    assert llm.get_num_tokens_from_messages([HumanMessage("Hi")], tools=[]) == plain


def test_count_tool_result_includes_images(llm: ChatQwenVL) -> None:
    image = {"type": "image", "base64": base64.b64encode(media_files.png(640, 480)).decode(), "mime_type": "image/png"}
    call: list[BaseMessage] = [
        HumanMessage("Crop it."),
        AIMessage("", tool_calls=[{"name": "crop", "args": {"left": 1}, "id": "1"}]),
    ]
    with_text = llm.get_num_tokens_from_messages([*call, ToolMessage([TEXT], tool_call_id="1")])
    with_image = llm.get_num_tokens_from_messages([*call, ToolMessage([TEXT, image], tool_call_id="1")])
    assert with_image - with_text == image_tokens(640, 480, "qwen3-vl-plus")


def test_trim_messages_uses_the_count(llm: ChatQwenVL) -> None:
    image = {"type": "image", "base64": base64.b64encode(media_files.png(1280, 960)).decode(), "mime_type": "image/png"}
    history: list[BaseMessage] = [
        SystemMessage("Be brief."),
        HumanMessage([TEXT, image]),
        AIMessage("A receipt."),
        HumanMessage([TEXT, {"type": "image", "url": URL}]),
        AIMessage("A street."),
        HumanMessage("Compare them."),
    ]
    options: dict[str, Any] = {"token_counter": llm, "include_system": True, "start_on": "human"}
    everything = llm.get_num_tokens_from_messages(history)
    assert everything > image_tokens(1280, 960, "qwen3-vl-plus") + image_tokens_upper_bound("qwen3-vl-plus")
    assert trim_messages(history, max_tokens=everything, **options) == history
    assert trim_messages(history, max_tokens=everything - 1, **options) == [history[0], *history[3:]]
    assert trim_messages(history, max_tokens=100, **options) == [history[0], history[5]]


# --- usage ------------------------------------------------------------------------------------------------------------

USAGE = {"prompt": 1200, "completion": 90, "reasoning": 60, "image": 1026, "video": 100, "cached": 512}
EXPECTED = {
    "input_tokens": 1200,
    "output_tokens": 90,
    "total_tokens": 1290,
    "input_token_details": {"cache_read": 512, "image": 588, "video": 100},  # 438 image tokens are cached ones
    "output_token_details": {"reasoning": 60},
}
ANSWER = Reply(reasoning="Hm, a cat.", text="A cat, I think.", usage=USAGE)


@pytest.fixture(params=["openai", "dashscope"])
def model(request: pytest.FixtureRequest, make: Make, emulator: Emulator) -> ChatQwenVL:
    """Return a model on either API that answers with a known usage."""
    emulator.respond = lambda request: ANSWER
    native = request.param == "dashscope"
    return make(api=request.param, base_url=emulator.native_url if native else emulator.compat_url)


def add_up_stream(llm: ChatQwenVL) -> AIMessageChunk:
    first, *others = llm.stream("Hi")
    for chunk in others:
        first += chunk
    return first


async def add_up_astream(llm: ChatQwenVL) -> AIMessageChunk:
    total: AIMessageChunk | None = None
    async for chunk in llm.astream("Hi"):
        total = chunk if total is None else total + chunk
    await llm.aclose()
    assert total is not None
    return total


def test_usage_equals_that_on_the_wire(model: ChatQwenVL) -> None:
    for reply in (model.invoke("Hi"), model.invoke("Hi", enable_thinking=False), add_up_stream(model)):
        assert reply.usage_metadata == EXPECTED


async def test_async_usage_equals_that_on_the_wire(model: ChatQwenVL) -> None:
    assert (await model.ainvoke("Hi")).usage_metadata == EXPECTED
    assert (await add_up_astream(model)).usage_metadata == EXPECTED


def test_usage_on_every_chunk_counts_the_last(make: Make, emulator: Emulator) -> None:
    emulator.quirks = Quirks(usage_every_chunk=True)
    emulator.respond = lambda request: ANSWER
    assert add_up_stream(make()).usage_metadata == EXPECTED


def test_usage_callback_sums_usage(model: ChatQwenVL) -> None:
    with get_usage_metadata_callback() as callback:
        model.invoke("Hi")
        model.invoke("Hi", enable_thinking=False)
        add_up_stream(model)
        model.batch(["Hi", "Hello"])
    name = "qwen3-vl-plus"
    assert list(callback.usage_metadata) == [name]
    total = callback.usage_metadata[name]
    assert (total["input_tokens"], total["output_tokens"], total["total_tokens"]) == (6000, 450, 6450)
    assert total["output_token_details"] == {"reasoning": 300}
    assert total["input_token_details"] == {"cache_read": 2560, "image": 2940, "video": 500}


# --- the catalog ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [facts.name for facts in CATALOGUE])
def test_profile_equals_the_catalog(name: str) -> None:
    facts = describe(name)
    profile = ChatQwenVL(model=name, api_key="sk-test").profile
    assert profile
    limit = facts.max_input_thinking if facts.thinking in ("always", "hybrid") else facts.max_input
    assert profile.get("max_input_tokens") == (limit or facts.context_window)
    assert profile.get("max_output_tokens") == facts.max_output
    assert profile.get("video_inputs") is facts.videos
    assert profile.get("tool_calling") is facts.tools
    assert profile.get("reasoning_output") is (facts.thinking in ("always", "hybrid"))

"""What a conversation costs, and what it has cost: before and after it is sent."""

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
from qwenvl_core.request.token_count import text_tokens
from qwenvl_core.tokens import image_tokens, image_tokens_upper_bound, video_tokens, video_tokens_upper_bound
from tests.emulator import Emulator, Quirks, Reply
from tests.support import media_files

Make = Callable[..., ChatQwenVL]
WORDS: dict[str, Any] = {"type": "text", "text": "What is it?"}
URL = "https://example.com/a.jpg"


@tool
def crop(left: int, top: int) -> str:
    """Cut out a part of the image."""
    return ""


def cost(llm: ChatQwenVL, *blocks: dict[str, Any]) -> int:
    """What the blocks add to a message of words."""
    return llm.get_num_tokens_from_messages([HumanMessage([WORDS, *blocks])]) - llm.get_num_tokens_from_messages(
        [HumanMessage([WORDS])]
    )


# --- before -----------------------------------------------------------------------------------------------------------


def test_text(llm: ChatQwenVL) -> None:
    assert llm.get_num_tokens("What is it?") == text_tokens("What is it?") == 4
    assert llm.get_num_tokens("") == 0
    few, more = [HumanMessage("Hi")], [SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hello.")]
    assert 0 < llm.get_num_tokens_from_messages(few) < llm.get_num_tokens_from_messages(more) < 40


def test_images(make: Make, tmp_path: Path) -> None:
    llm = make()
    data = media_files.jpeg(4000, 3000)
    text = base64.b64encode(data).decode()
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for block in (
        {"type": "image", "base64": text, "mime_type": "image/jpeg"},
        {"type": "image", "url": str(path)},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{text}"}},
        {"type": "image", "source_type": "base64", "data": text, "mime_type": "image/jpeg"},
    ):
        assert cost(llm, block) == image_tokens(4000, 3000, "qwen3-vl-plus")
        raised = image_tokens(4000, 3000, "qwen3-vl-plus", max_pixels=6_000_000)
        assert cost(llm, {**block, "max_pixels": 6_000_000}) == raised
        assert cost(make(max_pixels=6_000_000), block) == raised
        high = image_tokens(4000, 3000, "qwen-vl-max", vl_high_resolution_images=True)
        assert cost(make(model="qwen-vl-max", vl_high_resolution_images=True), block) == high


def test_urls_are_not_fetched(llm: ChatQwenVL, emulator: Emulator) -> None:
    here = f"{emulator.origin}/a.jpg"
    for url in (URL, here):
        assert cost(llm, {"type": "image", "url": url}) == image_tokens_upper_bound("qwen3-vl-plus")
        assert cost(llm, {"type": "video", "url": url}) == video_tokens_upper_bound("qwen3-vl-plus")
    frames = cost(llm, {"type": "video", "video": [here] * 8})
    assert frames == video_tokens_upper_bound("qwen3-vl-plus", n_frames=8)
    assert not emulator.requests


def test_videos(llm: ChatQwenVL, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(media_files.mp4(10, fps=24, width=1920, height=1080))
    block = {"type": "video", "url": str(path)}
    assert cost(llm, block) == video_tokens(1920, 1080, 240, 24, "qwen3-vl-plus")
    assert cost(llm, {**block, "extras": {"fps": 0.5}}) == video_tokens(1920, 1080, 240, 24, "qwen3-vl-plus", fps=0.5)


def test_tools(llm: ChatQwenVL) -> None:
    plain = llm.get_num_tokens_from_messages([HumanMessage("Hi")])
    one = llm.get_num_tokens_from_messages([HumanMessage("Hi")], tools=[crop])
    assert one > plain + 40
    assert llm.get_num_tokens_from_messages([HumanMessage("Hi")], tools=[crop, crop]) > one
    assert llm.get_num_tokens_from_messages([HumanMessage("Hi")], tools=[]) == plain


def test_the_result_of_a_tool(llm: ChatQwenVL) -> None:
    image = {"type": "image", "base64": base64.b64encode(media_files.png(640, 480)).decode(), "mime_type": "image/png"}
    call: list[BaseMessage] = [
        HumanMessage("Crop it."),
        AIMessage("", tool_calls=[{"name": "crop", "args": {"left": 1}, "id": "1"}]),
    ]
    with_text = llm.get_num_tokens_from_messages([*call, ToolMessage([WORDS], tool_call_id="1")])
    with_image = llm.get_num_tokens_from_messages([*call, ToolMessage([WORDS, image], tool_call_id="1")])
    assert with_image - with_text == image_tokens(640, 480, "qwen3-vl-plus")


def test_messages_are_trimmed_by_it(llm: ChatQwenVL) -> None:
    image = {"type": "image", "base64": base64.b64encode(media_files.png(1280, 960)).decode(), "mime_type": "image/png"}
    history: list[BaseMessage] = [
        SystemMessage("Be brief."),
        HumanMessage([WORDS, image]),
        AIMessage("A receipt."),
        HumanMessage([WORDS, {"type": "image", "url": URL}]),
        AIMessage("A street."),
        HumanMessage("Compare them."),
    ]
    options: dict[str, Any] = {"token_counter": llm, "include_system": True, "start_on": "human"}
    everything = llm.get_num_tokens_from_messages(history)
    assert everything > image_tokens(1280, 960, "qwen3-vl-plus") + image_tokens_upper_bound("qwen3-vl-plus")
    assert trim_messages(history, max_tokens=everything, **options) == history
    assert trim_messages(history, max_tokens=everything - 1, **options) == [history[0], *history[3:]]
    assert trim_messages(history, max_tokens=100, **options) == [history[0], history[5]]


# --- after ------------------------------------------------------------------------------------------------------------

USAGE = {"prompt": 1200, "completion": 90, "reasoning": 60, "image": 1026, "video": 100, "cached": 512}
EXPECTED = {
    "input_tokens": 1200,
    "output_tokens": 90,
    "total_tokens": 1290,
    "input_token_details": {"cache_read": 512, "image": 1026, "video": 100},
    "output_token_details": {"reasoning": 60},
}
ANSWER = Reply(reasoning="Hm, a cat.", text="A cat, I think.", usage=USAGE)


@pytest.fixture(params=["openai", "dashscope"])
def ask(request: pytest.FixtureRequest, make: Make, emulator: Emulator) -> ChatQwenVL:
    """A model on either API that answers at a known cost."""
    emulator.respond = lambda request: ANSWER
    native = request.param == "dashscope"
    return make(api=request.param, base_url=emulator.native_url if native else emulator.compat_url)


def streamed(llm: ChatQwenVL) -> AIMessageChunk:
    first, *others = llm.stream("Hi")
    for chunk in others:
        first += chunk
    return first


async def astreamed(llm: ChatQwenVL) -> AIMessageChunk:
    whole: Any = None
    async for chunk in llm.astream("Hi"):
        whole = chunk if whole is None else whole + chunk
    await llm.aclose()
    return whole


def test_the_usage_of_a_reply_is_that_of_the_wire(ask: ChatQwenVL) -> None:
    for reply in (ask.invoke("Hi"), ask.invoke("Hi", enable_thinking=False), streamed(ask)):
        assert reply.usage_metadata == EXPECTED


async def test_the_same_in_async(ask: ChatQwenVL) -> None:
    assert (await ask.ainvoke("Hi")).usage_metadata == EXPECTED
    assert (await astreamed(ask)).usage_metadata == EXPECTED


def test_of_a_usage_on_every_chunk_the_last_counts(make: Make, emulator: Emulator) -> None:
    emulator.quirks = Quirks(usage_every_chunk=True)
    emulator.respond = lambda request: ANSWER
    assert streamed(make()).usage_metadata == EXPECTED


def test_langchain_sums_it_right(ask: ChatQwenVL) -> None:
    with get_usage_metadata_callback() as sums:
        ask.invoke("Hi")
        ask.invoke("Hi", enable_thinking=False)
        streamed(ask)
        ask.batch(["Hi", "Hello"])
    name = "qwen3-vl-plus"
    assert list(sums.usage_metadata) == [name]
    total = sums.usage_metadata[name]
    assert (total["input_tokens"], total["output_tokens"], total["total_tokens"]) == (6000, 450, 6450)
    assert total["output_token_details"] == {"reasoning": 300}
    assert total["input_token_details"] == {"cache_read": 2560, "image": 5130, "video": 500}


# --- the catalogue ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [facts.name for facts in CATALOGUE])
def test_the_profile_comes_from_the_catalogue(name: str) -> None:
    facts = describe(name)
    profile = ChatQwenVL(model=name, api_key="sk-test").profile
    assert profile
    limit = facts.max_input_thinking if facts.thinking in ("always", "hybrid") else facts.max_input
    assert profile.get("max_input_tokens") == (limit or facts.context_window)
    assert profile.get("max_output_tokens") == facts.max_output
    assert profile.get("video_inputs") is facts.videos
    assert profile.get("tool_calling") is facts.tools
    assert profile.get("reasoning_output") is (facts.thinking in ("always", "hybrid"))

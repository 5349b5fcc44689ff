"""What a conversation costs, and what it has cost: before and after it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from llama_index.core.base.llms.types import ChatMessage, ContentBlock, ImageBlock, TextBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.tools import FunctionTool
from pydantic import SecretStr

from llama_index_qwenvl import QwenVL, video, video_frames
from qwenvl_core.catalog.models import CATALOGUE, describe
from qwenvl_core.tokens import image_tokens, image_tokens_upper_bound, video_tokens, video_tokens_upper_bound
from tests.emulator import Emulator, Quirks, Reply
from tests.support import media_files

T = TypeVar("T")
Make = Callable[..., QwenVL]
URL = "https://example.com/a.jpg"


def crop(left: int, top: int) -> str:
    """Cut out a part of the image."""
    return ""


def cost(llm: QwenVL, *blocks: ContentBlock) -> int:
    """What the blocks add to a message of words."""
    words = TextBlock(text="What is it?")
    more = ChatMessage(role="user", blocks=[words, *blocks])
    return llm.count_tokens([more]) - llm.count_tokens([ChatMessage(role="user", blocks=[words])])


# --- before -----------------------------------------------------------------------------------------------------------


def test_images(make: Make, tmp_path: Path) -> None:
    llm = make()
    data = media_files.jpeg(4000, 3000)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for block in (ImageBlock(image=data), ImageBlock(path=path)):
        assert cost(llm, block) == image_tokens(4000, 3000, "qwen3-vl-plus")
        raised = image_tokens(4000, 3000, "qwen3-vl-plus", max_pixels=6_000_000)
        assert cost(make(max_pixels=6_000_000), block) == raised
    high = ImageBlock(image=data, detail="high")
    assert cost(llm, high) == image_tokens(4000, 3000, "qwen3-vl-plus", vl_high_resolution_images=True)


def test_urls_are_not_fetched(llm: QwenVL, emulator: Emulator) -> None:
    here = f"{emulator.origin}/a.jpg"
    for url in (URL, here):
        assert cost(llm, ImageBlock(url=url)) == image_tokens_upper_bound("qwen3-vl-plus")
        assert cost(llm, video(url)) == video_tokens_upper_bound("qwen3-vl-plus")
    assert cost(llm, video_frames([here] * 8)) == video_tokens_upper_bound("qwen3-vl-plus", n_frames=8)
    assert not emulator.requests


def test_videos(llm: QwenVL) -> None:
    film = media_files.mp4(10, fps=24, width=1920, height=1080)
    assert cost(llm, video(film)) == video_tokens(1920, 1080, 240, 24, "qwen3-vl-plus")
    assert cost(llm, video(film, fps=0.5)) == video_tokens(1920, 1080, 240, 24, "qwen3-vl-plus", fps=0.5)


def test_tools(llm: QwenVL) -> None:
    asked, offered = [ChatMessage("Hi")], FunctionTool.from_defaults(crop)
    plain = llm.count_tokens(asked)
    one = llm.count_tokens(asked, tools=[offered])
    assert one > plain + 40
    assert llm.count_tokens(asked, tools=[offered, offered]) > one
    assert llm.count_tokens(asked, tools=[]) == llm.count_tokens(asked, None) == plain


# --- after ------------------------------------------------------------------------------------------------------------

USAGE = {"prompt": 1200, "completion": 90, "reasoning": 60, "image": 1026, "video": 100, "cached": 512}
EXPECTED = {
    "prompt_tokens": 1200,
    "completion_tokens": 90,
    "total_tokens": 1290,
    "reasoning_tokens": 60,
    "image_tokens": 1026,
    "video_tokens": 100,
    "cached_tokens": 512,
}
ANSWER = Reply(reasoning="Hm, a cat.", text="A cat, I think.", usage=USAGE)
HI = [ChatMessage("Hi")]


@pytest.fixture(params=["openai", "dashscope"])
def ask(request: pytest.FixtureRequest, make: Make, emulator: Emulator) -> QwenVL:
    """A model on either API that answers at a known cost."""
    emulator.respond = lambda request: ANSWER
    native = request.param == "dashscope"
    return make(api=request.param, base_url=emulator.native_url if native else emulator.compat_url)


def counted(response: Any) -> dict[str, Any]:
    """The counts of a response; those in `raw` say the same."""
    raw = response.raw["usage"]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert raw[name] == response.additional_kwargs[name]
    return {name: response.additional_kwargs.get(name) for name in EXPECTED}


def last(responses: Iterable[T]) -> T:
    *_, response = responses
    return response


def test_the_usage_of_a_response_is_that_of_the_wire(ask: QwenVL) -> None:
    for response in (ask.chat(HI), ask.chat(HI, enable_thinking=False), last(ask.stream_chat(HI)), ask.complete("Hi")):
        assert counted(response) == EXPECTED


async def test_the_same_in_async(ask: QwenVL) -> None:
    assert counted(await ask.achat(HI)) == EXPECTED
    assert counted([chunk async for chunk in await ask.astream_chat(HI)][-1]) == EXPECTED
    await ask.aclose()


def test_of_a_usage_on_every_chunk_the_last_counts(make: Make, emulator: Emulator) -> None:
    emulator.quirks = Quirks(usage_every_chunk=True)
    emulator.respond = lambda request: ANSWER
    assert counted(last(make().stream_chat(HI))) == EXPECTED


def test_llamaindex_sums_it_right(ask: QwenVL) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    ask.callback_manager = CallbackManager([counter])
    ask.chat(HI)
    ask.chat(HI, enable_thinking=False)
    last(ask.stream_chat(HI))
    ask.complete("Hi")
    last(ask.stream_complete("Hi"))
    assert counter.prompt_llm_token_count == 5 * 1200
    assert counter.completion_llm_token_count == 5 * 90
    assert counter.total_llm_token_count == 5 * 1290


# --- the catalogue ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [facts.name for facts in CATALOGUE])
def test_the_metadata_come_from_the_catalogue(name: str) -> None:
    facts = describe(name)
    metadata = QwenVL(model=name, api_key=SecretStr("sk-test")).metadata
    assert metadata.model_name == name
    assert metadata.is_function_calling_model is facts.tools
    if facts.context_window:
        assert metadata.context_window == facts.context_window
    if facts.max_output:
        assert metadata.num_output == facts.max_output

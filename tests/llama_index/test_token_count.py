"""Token counts: estimates before a request, and the usage reported after it."""

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
    """Crop the image."""
    return ""


def count_added_tokens(llm: QwenVL, *blocks: ContentBlock) -> int:
    """Return the tokens that the blocks add to a message of text."""
    text = TextBlock(text="What is it?")
    extended = ChatMessage(role="user", blocks=[text, *blocks])
    return llm.count_tokens([extended]) - llm.count_tokens([ChatMessage(role="user", blocks=[text])])


# --- Estimates --------------------------------------------------------------------------------------------------------


def test_count_tokens_image_follows_size_and_settings(make: Make, tmp_path: Path) -> None:
    llm = make()
    data = media_files.jpeg(4000, 3000)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for block in (ImageBlock(image=data), ImageBlock(path=path)):
        assert count_added_tokens(llm, block) == image_tokens(4000, 3000, "qwen3-vl-plus")
        raised = image_tokens(4000, 3000, "qwen3-vl-plus", max_pixels=6_000_000)
        assert count_added_tokens(make(max_pixels=6_000_000), block) == raised
    high = ImageBlock(image=data, detail="high")
    assert count_added_tokens(llm, high) == image_tokens(4000, 3000, "qwen3-vl-plus", vl_high_resolution_images=True)


def test_count_tokens_url_counts_upper_bound_without_request(llm: QwenVL, emulator: Emulator) -> None:
    emulator_url = f"{emulator.origin}/a.jpg"
    for url in (URL, emulator_url):
        assert count_added_tokens(llm, ImageBlock(url=url)) == image_tokens_upper_bound("qwen3-vl-plus")
        assert count_added_tokens(llm, video(url)) == video_tokens_upper_bound("qwen3-vl-plus")
    assert count_added_tokens(llm, video_frames([emulator_url] * 8)) == video_tokens_upper_bound(
        "qwen3-vl-plus", n_frames=8
    )
    assert not emulator.requests


def test_count_tokens_video_follows_size_and_frame_rate(llm: QwenVL) -> None:
    video_file = media_files.mp4(10, fps=24, width=1920, height=1080)
    assert count_added_tokens(llm, video(video_file)) == video_tokens(1920, 1080, 240, 24, "qwen3-vl-plus")
    assert count_added_tokens(llm, video(video_file, fps=0.5)) == video_tokens(
        1920, 1080, 240, 24, "qwen3-vl-plus", fps=0.5
    )


def test_count_tokens_includes_tools(llm: QwenVL) -> None:
    messages, tool = [ChatMessage("Hi")], FunctionTool.from_defaults(crop)
    plain = llm.count_tokens(messages)
    with_tool = llm.count_tokens(messages, tools=[tool])
    assert with_tool > plain + 40
    assert llm.count_tokens(messages, tools=[tool, tool]) > with_tool
    assert llm.count_tokens(messages, tools=[]) == llm.count_tokens(messages, None) == plain


# --- Reported usage ---------------------------------------------------------------------------------------------------

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
def llm_with_usage(request: pytest.FixtureRequest, make: Make, emulator: Emulator) -> QwenVL:
    """Return a model, on either API, whose answers report a known usage."""
    emulator.respond = lambda request: ANSWER
    native = request.param == "dashscope"
    return make(api=request.param, base_url=emulator.native_url if native else emulator.compat_url)


def read_usage(response: Any) -> dict[str, Any]:
    """Return the token counts of a response, after checking that those in `raw` are equal."""
    raw = response.raw["usage"]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert raw[name] == response.additional_kwargs[name]
    return {name: response.additional_kwargs.get(name) for name in EXPECTED}


def last(responses: Iterable[T]) -> T:
    *_, response = responses
    return response


def test_response_usage_equals_usage_of_service(llm_with_usage: QwenVL) -> None:
    for response in (
        llm_with_usage.chat(HI),
        llm_with_usage.chat(HI, enable_thinking=False),
        last(llm_with_usage.stream_chat(HI)),
        llm_with_usage.complete("Hi"),
    ):
        assert read_usage(response) == EXPECTED


async def test_async_response_usage_equals_usage_of_service(llm_with_usage: QwenVL) -> None:
    assert read_usage(await llm_with_usage.achat(HI)) == EXPECTED
    assert read_usage([chunk async for chunk in await llm_with_usage.astream_chat(HI)][-1]) == EXPECTED
    await llm_with_usage.aclose()


def test_stream_with_usage_in_every_chunk_reports_last_usage(make: Make, emulator: Emulator) -> None:
    emulator.quirks = Quirks(usage_every_chunk=True)
    emulator.respond = lambda request: ANSWER
    assert read_usage(last(make().stream_chat(HI))) == EXPECTED


def test_token_counting_handler_sums_usage(llm_with_usage: QwenVL) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    llm_with_usage.callback_manager = CallbackManager([counter])
    llm_with_usage.chat(HI)
    llm_with_usage.chat(HI, enable_thinking=False)
    last(llm_with_usage.stream_chat(HI))
    llm_with_usage.complete("Hi")
    last(llm_with_usage.stream_complete("Hi"))
    assert counter.prompt_llm_token_count == 5 * 1200
    assert counter.completion_llm_token_count == 5 * 90
    assert counter.total_llm_token_count == 5 * 1290


# --- Catalog ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [facts.name for facts in CATALOGUE])
def test_metadata_equals_catalog(name: str) -> None:
    facts = describe(name)
    metadata = QwenVL(model=name, api_key=SecretStr("sk-test")).metadata
    assert metadata.model_name == name
    assert metadata.is_function_calling_model is facts.tools
    if facts.context_window:
        assert metadata.context_window == facts.context_window
    if facts.max_output:
        assert metadata.num_output == facts.max_output

"""Token counts: text by the estimate, media by the vendor's formulas, nothing fetched."""

from __future__ import annotations

import base64
import inspect
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qwenvl_core.catalog.models
import qwenvl_core.request.token_count
import qwenvl_core.request.validation
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request.token_count import count_text_tokens, count_tokens
from qwenvl_core.tokens import (
    frame_list_tokens,
    image_tokens,
    image_tokens_upper_bound,
    video_tokens,
    video_tokens_upper_bound,
)
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, Part, TextPart, ToolCall, VideoPart
from qwenvl_core.types.settings import ModelSettings
from tests.support import media_files

URL = UrlSource("https://example.com/a")
MODELS = ["qwen3-vl-plus", "qwen3-vl-flash", "qwen-vl-max", "qwen2.5-vl-72b-instruct", "qvq-max", "my-own-model"]
TOOL = {"type": "function", "function": {"name": "crop", "description": "Cut out a part", "parameters": {}}}


def count_parts(*parts: Part, **settings: Any) -> int:
    """Count the tokens that the parts add to a text message."""
    model_settings = ModelSettings(**settings)
    text = Message("user", (TextPart("What is it?"),))
    extended = Message("user", (*text.parts, *parts))
    return count_tokens([extended], model_settings) - count_tokens([text], model_settings)


# --- text -------------------------------------------------------------------------------------------------------------

CHINESE = (
    "通义千问视觉理解模型可以根据您传入的图片或视频进行回答。模型支持单图或多图的输入,适用于图像描述、视觉问答、"
    "物体定位等多种任务。请注意,图像的宽度和高度均应大于十个像素,宽高比不应超过二百比一。为了获得最佳的稳定性和性能,"
    "建议将文件上传至对象存储服务,并获取公网地址。"
)
ENGLISH = (
    "Most first failures of users are media: too large, of the wrong type, for the wrong model, a video that the model "
    "can't take, or a bill that they didn't expect. Nobody tells them before the request. We do, offline, from the "
    "vendor's own numbers, and every error names the message, the part, the limit, the value and the way out."
)
TEXTS = {
    "English": (ENGLISH, 0.1),
    "Chinese": (CHINESE, 0.35),
    "code": (inspect.getsource(qwenvl_core.request.validation), 0.1),
    "more code": (inspect.getsource(qwenvl_core.catalog.models), 0.1),
    "JSON": (json.dumps([TOOL] * 20), 0.15),
    "numbers": (" ".join(str(7919 * number % 100_003) for number in range(500)), 0.05),
    "both": ((ENGLISH + CHINESE) * 3, 0.2),
    "table": ("\n".join(f"| {row} | item {row} | {row * 1.5:.2f} |" for row in range(200)), 0.1),
}


@cache
def load_tokenizer() -> Any:
    """Return the vendor's tokenizer; skip the test where its SDK is not installed."""
    pytest.importorskip("tiktoken")
    return pytest.importorskip("dashscope").get_tokenizer("qwen-turbo")


@pytest.mark.parametrize("name", TEXTS)
def test_text_tokens_is_close_to_the_vendor_tokenizer(name: str) -> None:
    text, within = TEXTS[name]
    exact = len(load_tokenizer().encode(text))
    assert abs(count_text_tokens(text) / exact - 1) <= within


def test_text_tokens_of_chinese_follows_the_vendor_rule() -> None:
    assert 1 / 1.8 <= count_text_tokens("视觉理解" * 100) / 400 <= 1 / 1.5 + 0.01


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), (" ", 1), ("Hello", 1), ("2026", 4), ("图", 1), ("🙂", 1)]
)
def test_text_tokens_of_short_texts(text: str, tokens: int) -> None:
    assert count_text_tokens(text) == tokens


@given(st.text(max_size=300), st.text(max_size=300))
def test_text_tokens_grows_with_the_text(first: str, second: str) -> None:
    together = count_text_tokens(first + second)
    assert together >= max(count_text_tokens(first), count_text_tokens(second)) - 2
    assert together <= 3 * (len(first) + len(second)) + 1


@pytest.mark.parametrize(
    "text", [" " * 300_000, "\n" * 300_000, "a" * 300_000, " \t" * 150_000, "図" * 300_000, "1 " * 99_999]
)
def test_text_tokens_of_long_runs_is_fast(text: str) -> None:
    start = time.perf_counter()
    count_text_tokens(text)
    assert time.perf_counter() - start < 2


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [(640, 480), (4000, 3000), (11, 2200), (64, 64)])
def test_local_image_counts_by_the_formula(model: str, size: tuple[int, int], tmp_path: Path) -> None:
    expected = image_tokens(*size, model)
    data = media_files.jpeg(*size)
    text = base64.b64encode(data).decode()
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for source in (
        InlineSource(data),
        InlineSource(text, base64_from=0),
        InlineSource(f"data:,{text}", base64_from=6),
        FileSource(path),
    ):
        assert count_parts(ImagePart(source), model=model) == expected
    assert count_parts(ImagePart(InlineSource(data)), ImagePart(InlineSource(data)), model=model) == 2 * expected


@pytest.mark.parametrize("model", MODELS)
def test_image_of_unknown_size_counts_the_upper_bound(model: str, tmp_path: Path) -> None:
    upper_bound = image_tokens_upper_bound(model)
    for source in (URL, FileSource(tmp_path / "none"), InlineSource(b"?"), InlineSource(media_files.png(10, 9000))):
        assert count_parts(ImagePart(source), model=model) == upper_bound
    assert count_parts(ImagePart(InlineSource(media_files.png(9000, 9000))), model=model) <= upper_bound


def test_image_count_uses_the_pixel_settings_of_part_and_request() -> None:
    large = InlineSource(media_files.png(4000, 3000))
    raised = image_tokens(4000, 3000, "qwen3-vl-plus", max_pixels=8_000_000)
    high = image_tokens(4000, 3000, "qwen3-vl-plus", vl_high_resolution_images=True)
    default = image_tokens(4000, 3000, "qwen3-vl-plus")
    assert high > raised > default
    assert count_parts(ImagePart(large), max_pixels=8_000_000) == raised
    assert count_parts(ImagePart(large, max_pixels=8_000_000)) == raised
    assert count_parts(ImagePart(large, max_pixels=8_000_000), max_pixels=9_000_000) == raised
    assert count_parts(ImagePart(large, max_pixels=100)) == default
    assert count_parts(ImagePart(large, max_pixels=8_000_000), vl_high_resolution_images=True) == high
    assert count_parts(ImagePart(URL), max_pixels=8_000_000) == image_tokens_upper_bound(
        "qwen3-vl-plus", max_pixels=8_000_000
    )


# --- videos -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("make", [media_files.mp4, media_files.avi])
def test_local_video_counts_by_the_formula(model: str, make: Any) -> None:
    video = InlineSource(make(30, fps=25, width=1280, height=720))
    assert count_parts(VideoPart(video), model=model) == video_tokens(1280, 720, 750, 25, model)
    slow = video_tokens(1280, 720, 750, 25, model, fps=0.5)
    assert count_parts(VideoPart(video, fps=0.5), model=model) == slow
    assert count_parts(VideoPart(video), model=model, fps=0.5) == slow
    assert count_parts(VideoPart(video, fps=0.5), model=model, fps=5) == slow


@pytest.mark.parametrize("model", MODELS)
def test_video_of_unknown_length_counts_the_upper_bound(model: str) -> None:
    for source in (
        URL,
        InlineSource(b"FLV\x01"),
        InlineSource(media_files.mp4(0)),
        InlineSource(media_files.mp4(0.01)),
    ):
        assert count_parts(VideoPart(source), model=model) == video_tokens_upper_bound(model)


@pytest.mark.parametrize("model", MODELS)
def test_frames_count_by_the_first_frame_of_known_size(model: str) -> None:
    frame = InlineSource(media_files.png(1280, 720))
    expected = frame_list_tokens(1280, 720, 12, model)
    assert count_parts(FramesPart((frame,) * 12), model=model) == expected
    assert count_parts(FramesPart((URL, frame) * 6), model=model) == expected
    assert count_parts(FramesPart((URL,) * 12), model=model) == video_tokens_upper_bound(model, n_frames=12)


def test_video_for_a_model_without_videos_raises_input_error() -> None:
    with pytest.raises(QwenVLInputError, match="takes no videos"):
        count_parts(VideoPart(URL), model="qwen-vl-ocr")


# --- conversations ----------------------------------------------------------------------------------------------------


def test_conversation_counts_the_sum_of_its_messages() -> None:
    first = Message("user", (TextPart(ENGLISH), ImagePart(InlineSource(media_files.png(640, 480)))))
    second = Message("assistant", (TextPart(CHINESE),))
    assert count_tokens([], ModelSettings()) == 0
    assert count_tokens([first, second, first], ModelSettings()) == sum(
        count_tokens([message], ModelSettings()) for message in (first, second, first)
    )


def test_tools_calls_and_results_count() -> None:
    plain, settings = [Message("user", (TextPart("Hi"),))], ModelSettings()
    with_tool = count_tokens(plain, ModelSettings(tools=(TOOL,)))
    tool_tokens = count_text_tokens(json.dumps(TOOL), settings.model)
    assert with_tool > count_tokens(plain, settings) + tool_tokens
    assert count_tokens(plain, ModelSettings(tools=(TOOL, TOOL))) - with_tool == tool_tokens
    reply = Message("assistant", (TextPart("Hi"),))
    call = Message("assistant", (TextPart("Hi"),), tool_calls=(ToolCall("1", "crop", '{"x": 1}'),))
    assert count_tokens([call], settings) >= count_tokens([reply], settings) + count_text_tokens('{"x": 1}') + 1
    assert count_tokens([Message("tool", (TextPart("Hi"),))], settings) > count_tokens(plain, settings)


def test_reasoning_counts_only_where_it_is_sent() -> None:
    with_reasoning = [Message("assistant", (TextPart("Hi"),), reasoning=ENGLISH)]
    plain = [Message("assistant", (TextPart("Hi"),))]
    for settings, expected in (
        (ModelSettings(), 0),
        (ModelSettings(preserve_thinking=True), 0),
        (ModelSettings(model="qwen3.7-plus"), 0),
        (ModelSettings(model="qwen3.7-plus", preserve_thinking=True), count_text_tokens(ENGLISH)),
    ):
        assert count_tokens(with_reasoning, settings) - count_tokens(plain, settings) == expected


def test_module_names_the_source_of_the_estimate() -> None:
    assert "Billing of Qwen" in (qwenvl_core.request.token_count.__doc__ or "")

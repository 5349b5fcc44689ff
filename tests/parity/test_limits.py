"""Test each limit with a value just inside and one just outside, in both frameworks and both APIs.

With validation disabled the emulator refuses the same values where it knows the limit, so the limits are the service's.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.base.llms.types import ChatMessage, ContentBlock, ImageBlock, TextBlock

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL, video, video_frames
from qwenvl_core.errors import (
    QwenVLError,
    QwenVLInputError,
    QwenVLInvalidRequestError,
    QwenVLModelNotFoundError,
    QwenVLPermissionDeniedError,
)
from qwenvl_core.request import validation
from tests.emulator import Emulator, Fault
from tests.support.media_files import bmp_header, gif_header, jpeg_header, mp4_header, png_header, webp_header
from tests.support.model_factories import KEY

URLS = [f"https://example.com/{index}.jpg" for index in range(2001)]
SMALL_URI = "data:image/png;base64," + base64.b64encode(png_header(64, 64)).decode()


@dataclass(frozen=True)
class ChatRequest:
    """A request independent of the framework."""

    image: bytes | None = None
    images: list[str] = field(default_factory=list)
    video: bytes | str | None = None
    frames: list[str] = field(default_factory=list)
    keywords: dict[str, Any] = field(default_factory=dict)


class ChatModel(Protocol):
    """The chat model of one framework."""

    def send(self, request: ChatRequest) -> str: ...
    async def asend(self, request: ChatRequest) -> str: ...
    def close(self) -> None: ...


class LangChain:
    def __init__(self, **keywords: Any) -> None:
        self.llm = ChatQwenVL(**keywords)
        self.close = self.llm.close

    def send(self, request: ChatRequest) -> str:
        return str(self.llm.invoke([self.build_message(request)], **request.keywords).text)

    async def asend(self, request: ChatRequest) -> str:
        reply = await self.llm.ainvoke([self.build_message(request)], **request.keywords)
        await self.llm.aclose()
        return str(reply.text)

    def build_message(self, request: ChatRequest) -> HumanMessage:
        content: list[str | dict[str, Any]] = [{"type": "text", "text": "What is it?"}]
        if request.image is not None:
            content.append(
                {"type": "image", "base64": base64.b64encode(request.image).decode(), "mime_type": "image/png"}
            )
        content += [{"type": "image_url", "image_url": {"url": url}} for url in request.images]
        if isinstance(request.video, bytes):
            content.append(
                {"type": "video", "base64": base64.b64encode(request.video).decode(), "mime_type": "video/mp4"}
            )
        elif request.video:
            content.append({"type": "video", "url": request.video})
        if request.frames:
            content.append({"type": "video", "video": request.frames})
        return HumanMessage(content)


class LlamaIndex:
    def __init__(self, **keywords: Any) -> None:
        self.llm = QwenVL(**keywords)
        self.close = self.llm.close

    def send(self, request: ChatRequest) -> str:
        return self.llm.chat([self.build_message(request)], **request.keywords).message.content or ""

    async def asend(self, request: ChatRequest) -> str:
        reply = await self.llm.achat([self.build_message(request)], **request.keywords)
        await self.llm.aclose()
        return reply.message.content or ""

    def build_message(self, request: ChatRequest) -> ChatMessage:
        blocks: list[ContentBlock] = [TextBlock(text="What is it?")]
        if request.image is not None:
            blocks.append(ImageBlock(image=request.image))
        blocks += [ImageBlock(url=url) for url in request.images]
        if request.video:
            blocks.append(video(request.video))
        if request.frames:
            blocks.append(video_frames(request.frames))
        return ChatMessage(role="user", blocks=blocks)


def with_settings(**keywords: Any) -> ChatRequest:
    return ChatRequest(keywords=keywords)


def with_image(make_file: Callable[[int, int], bytes], width: int, height: int) -> ChatRequest:
    return ChatRequest(image=make_file(width, height))


def with_frames(model: str, count: int) -> ChatRequest:
    return ChatRequest(frames=URLS[:count], keywords={"model": model})


def with_images(model: str, count: int) -> ChatRequest:
    return ChatRequest(images=[URLS[0]] * count, keywords={"model": model})


def with_inline_images(model: str, count: int) -> ChatRequest:
    return ChatRequest(images=[SMALL_URI] * count, keywords={"model": model})


def with_video(seconds: float, model: str = "qwen3-vl-plus") -> ChatRequest:
    return ChatRequest(video=mp4_header(seconds), keywords={"model": model})


def with_fps(fps: float) -> ChatRequest:
    return ChatRequest(video="https://example.com/a.mp4", keywords={"fps": fps})


# Name, request just inside, request just outside, part of the error message, whether the emulator knows the limit.
ROWS: list[tuple[str, ChatRequest, ChatRequest, str, bool]] = [
    ("side", with_image(png_header, 11, 640), with_image(png_header, 9, 640), "larger than 10", True),
    ("side, exactly", with_image(jpeg_header, 640, 11), with_image(jpeg_header, 640, 10), "larger than 10", False),
    ("ratio", with_image(png_header, 11, 2200), with_image(png_header, 11, 2201), "200 times", True),
    ("format", with_image(webp_header, 64, 64), with_image(gif_header, 64, 64), "image/gif", False),
    ("above 4K", with_image(bmp_header, 3840, 2160), with_image(bmp_header, 3841, 2160), "JPEG and PNG", False),
    ("frames, minimum", with_frames("qwen3-vl-plus", 4), with_frames("qwen3-vl-plus", 3), "4 to 2,000", True),
    ("frames, plus", with_frames("qwen3-vl-plus", 2000), with_frames("qwen3-vl-plus", 2001), "4 to 2,000", True),
    ("frames, flash", with_frames("qwen3-vl-flash", 2000), with_frames("qwen3-vl-flash", 2001), "4 to 2,000", True),
    (
        "frames, others",
        with_frames("qwen3-vl-8b-instruct", 512),
        with_frames("qwen3-vl-8b-instruct", 513),
        "4 to 512",
        True,
    ),
    ("images by URL", with_images("qwen3-vl-plus", 256), with_images("qwen3-vl-plus", 257), "at most 256", True),
    ("images by URL, max", with_images("qwen3.8-max", 2048), with_images("qwen3.8-max", 2049), "at most 2,048", True),
    (
        "inline images",
        with_inline_images("qwen3.8-flash", 250),
        with_inline_images("qwen3.8-flash", 251),
        "at most 250",
        True,
    ),
    ("text model", with_images("qwen3.8-max", 1), with_images("qwen3.7-max", 1), "qwen3.7-max takes no images", True),
    ("seconds, minimum", with_video(2), with_video(1.9), "2 to 3,600 seconds", False),
    (
        "seconds, maximum",
        with_video(1200, "qwen3-vl-8b-instruct"),
        with_video(1201, "qwen3-vl-8b-instruct"),
        "2 to 1,200 seconds",
        False,
    ),
    (
        "seconds, maximum of flash",
        with_video(3600, "qwen3-vl-flash"),
        with_video(3601, "qwen3-vl-flash"),
        "2 to 3,600 seconds",
        False,
    ),
    ("fps, minimum", with_fps(0.1), with_fps(0.09), "from 0.1 to 10", False),
    ("fps, maximum", with_fps(10), with_fps(10.1), "from 0.1 to 10", False),
    ("temperature", with_settings(temperature=1.99), with_settings(temperature=2), "from 0 to below 2", True),
    ("temperature, minimum", with_settings(temperature=0), with_settings(temperature=-0.01), "from 0 to below 2", True),
    ("top_p", with_settings(top_p=1), with_settings(top_p=1.01), "above 0 to 1", True),
    ("top_p, minimum", with_settings(top_p=0.01), with_settings(top_p=0), "above 0 to 1", True),
    ("top_k", with_settings(top_k=0), with_settings(top_k=-1), "0 or more", True),
    ("presence_penalty", with_settings(presence_penalty=2), with_settings(presence_penalty=2.1), "from -2 to 2", True),
    (
        "presence_penalty, minimum",
        with_settings(presence_penalty=-2),
        with_settings(presence_penalty=-2.1),
        "from -2 to 2",
        True,
    ),
    ("repetition_penalty", with_settings(repetition_penalty=0.1), with_settings(repetition_penalty=0), "above 0", True),
    ("max_tokens", with_settings(max_tokens=32_768), with_settings(max_tokens=32_769), "1 to 32,768", True),
    ("max_tokens, minimum", with_settings(max_tokens=1), with_settings(max_tokens=0), "1 to 32,768", True),
    (
        "thinking_budget",
        with_settings(thinking_budget=81_920),
        with_settings(thinking_budget=81_921),
        "1 to 81,920",
        True,
    ),
    ("budget, minimum", with_settings(thinking_budget=1), with_settings(thinking_budget=0), "1 or more", False),
    ("seed, minimum", with_settings(seed=0), with_settings(seed=-1), "seed", True),
    (
        "pixels",
        with_settings(min_pixels=4096, max_pixels=4096),
        with_settings(min_pixels=4097, max_pixels=4096),
        "min_pixels",
        False,
    ),
]
SEEDS = {"openai": 2**31 - 1, "dashscope": 2**63 - 1}


@pytest.fixture(params=["openai", "dashscope"])
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[LangChain, LlamaIndex])
def model(request: pytest.FixtureRequest, emulator: Emulator, api: str) -> Iterator[ChatModel]:
    url = emulator.compat_url if api == "openai" else emulator.native_url
    model: ChatModel = request.param(api=api, base_url=url, api_key=KEY, max_retries=0)
    yield model
    model.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_value_within_limit_is_accepted(model: ChatModel, emulator: Emulator, row: tuple[Any, ...]) -> None:
    assert model.send(row[1])
    assert len(emulator.requests) == 1
    assert not emulator.refusals


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_value_outside_limit_raises_before_request(model: ChatModel, emulator: Emulator, row: tuple[Any, ...]) -> None:
    _, _, outside, message, _ = row
    with pytest.raises(QwenVLInputError) as sync_error:
        model.send(outside)
    assert message in str(sync_error.value)
    if outside.image or outside.frames or (outside.video and "fps" not in outside.keywords):
        assert str(sync_error.value).startswith("messages[0].")
    with pytest.raises(QwenVLInputError) as async_error:
        asyncio.run(model.asend(outside))
    assert str(async_error.value) == str(sync_error.value)
    assert not emulator.requests


@pytest.mark.parametrize("row", [row for row in ROWS if row[4]], ids=lambda row: row[0])
def test_value_outside_limit_without_validation_is_refused_by_emulator(
    model: ChatModel, emulator: Emulator, row: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "check", lambda *args: None)
    with pytest.raises(QwenVLInvalidRequestError):
        model.send(row[2])
    assert len(emulator.refusals) == 1


def test_seed_limit_depends_on_api(model: ChatModel, emulator: Emulator, api: str) -> None:
    assert model.send(with_settings(seed=SEEDS[api]))
    with pytest.raises(QwenVLInputError, match=f"{SEEDS[api]:,}"):
        model.send(with_settings(seed=SEEDS[api] + 1))
    assert len(emulator.requests) == 1


@pytest.mark.parametrize(("name", "limit"), [("qwen3.8-max", "20,971,520"), ("qwen-vl-max", "10,485,760")])
def test_image_limit_is_that_of_the_model(
    model: ChatModel, emulator: Emulator, api: str, name: str, limit: str
) -> None:
    """Larger images are uploaded, up to a file of 20 MB."""
    size = int(limit.replace(",", ""))
    inside = png_header(64, 64).ljust(size // 4 * 3 - 100, b"\0")
    assert model.send(ChatRequest(image=inside, keywords={"model": name}))
    assert len(emulator.requests) == 1
    outside = inside.ljust(size // 4 * 3, b"\0")
    with pytest.raises(QwenVLInputError, match=rf"^messages\[0\].*{limit}"):
        model.send(ChatRequest(image=outside, keywords={"model": name, "upload": "never"}))
    too_large = inside.ljust(20_971_521, b"\0")
    with pytest.raises(QwenVLInputError, match=r"^messages\[0\].*20,971,520"):
        model.send(ChatRequest(image=too_large, keywords={"model": name}))
    assert len(emulator.requests) == 1
    assert model.send(ChatRequest(image=outside, keywords={"model": name}))
    assert len(emulator.uploads) == 1


def test_text_model_has_an_endpoint_of_its_own(model: ChatModel, emulator: Emulator, api: str) -> None:
    assert model.send(with_settings(model="qwen3.7-max"))
    assert asyncio.run(model.asend(with_settings(model="qwen3.7-max-preview")))
    assert not emulator.refusals
    paths = {request.route for request in emulator.requests}
    if api == "dashscope":
        assert paths == {"/api/v1/services/aigc/text-generation/generation"}
    else:
        assert paths == {"/compatible-mode/v1/chat/completions"}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=404, code="ModelNotFound", message="Model not exist."),
        Fault(status=400, code="InvalidParameter", message="Model not exist.", error_format="json"),
        Fault(status=403, code="AccessDenied", message="Access denied."),
    ],
    ids=lambda fault: str(fault.status),
)
def test_error_of_a_retired_model_names_its_successor(model: ChatModel, emulator: Emulator, fault: Fault) -> None:
    emulator.script(fault, fault, fault)
    with pytest.raises(QwenVLError, match="qwen3-vl-plus, or a newer model") as sync_error:
        model.send(with_settings(model="qwen-vl-max"))
    assert isinstance(sync_error.value, (QwenVLModelNotFoundError, QwenVLPermissionDeniedError))
    with pytest.raises(QwenVLError, match="qwen3-vl-plus, or a newer model"):
        asyncio.run(model.asend(with_settings(model="qwen-vl-max-latest")))
    with pytest.raises(QwenVLError) as other_error:
        model.send(with_settings(model="qwen3.8-max"))
    assert "newer model" not in str(other_error.value)


def test_video_for_model_without_video_raises_input_error(model: ChatModel, emulator: Emulator) -> None:
    with pytest.raises(QwenVLInputError, match=r"^messages\[0\].*takes no videos"):
        model.send(ChatRequest(frames=URLS[:4], keywords={"model": "qwen-vl-ocr"}))
    with pytest.raises(QwenVLInputError, match="takes no videos"):
        model.send(ChatRequest(video="https://example.com/a.mp4", keywords={"model": "qwen-vl-ocr"}))
    assert not emulator.requests


@pytest.mark.parametrize("framework", [LangChain, LlamaIndex])
def test_model_default_outside_limit_raises_input_error(framework: Any, emulator: Emulator) -> None:
    model = framework(base_url=emulator.compat_url, api_key=KEY, temperature=2.5)
    with pytest.raises(QwenVLInputError, match=r"temperature=2\.5"):
        model.send(ChatRequest())
    assert not emulator.requests
    model.close()

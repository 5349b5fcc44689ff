"""Each limit just inside and just outside, over both frameworks and both APIs: accepted, or refused before it is sent.

With the checks off the service refuses the same (where the emulator knows the limit): the checks are not our invention.
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
from qwenvl_core.errors import QwenVLInputError, QwenVLInvalidRequestError
from qwenvl_core.request import validation
from tests.emulator import Emulator
from tests.support import media_files

KEY = "sk-test-0123456789"
URLS = [f"https://example.com/{at}.jpg" for at in range(2001)]


@dataclass(frozen=True)
class ChatRequest:
    """A question in no framework's words."""

    image: bytes | None = None
    film: bytes | str | None = None
    frames: list[str] = field(default_factory=list)
    keywords: dict[str, Any] = field(default_factory=dict)


class ModelPair(Protocol):
    """One framework's way to ask a model."""

    def ask(self, ask: ChatRequest) -> str: ...
    async def aask(self, ask: ChatRequest) -> str: ...
    def close(self) -> None: ...


class LangChain:
    def __init__(self, **keywords: Any) -> None:
        self.llm = ChatQwenVL(**keywords)
        self.close = self.llm.close

    def ask(self, ask: ChatRequest) -> str:
        return str(self.llm.invoke([self.message(ask)], **ask.keywords).text)

    async def aask(self, ask: ChatRequest) -> str:
        reply = await self.llm.ainvoke([self.message(ask)], **ask.keywords)
        await self.llm.aclose()
        return str(reply.text)

    def message(self, ask: ChatRequest) -> HumanMessage:
        content: list[str | dict[str, Any]] = [{"type": "text", "text": "What is it?"}]
        if ask.image is not None:
            content.append({"type": "image", "base64": base64.b64encode(ask.image).decode(), "mime_type": "image/png"})
        if isinstance(ask.film, bytes):
            content.append({"type": "video", "base64": base64.b64encode(ask.film).decode(), "mime_type": "video/mp4"})
        elif ask.film:
            content.append({"type": "video", "url": ask.film})
        if ask.frames:
            content.append({"type": "video", "video": ask.frames})
        return HumanMessage(content)


class LlamaIndex:
    def __init__(self, **keywords: Any) -> None:
        self.llm = QwenVL(**keywords)
        self.close = self.llm.close

    def ask(self, ask: ChatRequest) -> str:
        return self.llm.chat([self.message(ask)], **ask.keywords).message.content or ""

    async def aask(self, ask: ChatRequest) -> str:
        reply = await self.llm.achat([self.message(ask)], **ask.keywords)
        await self.llm.aclose()
        return reply.message.content or ""

    def message(self, ask: ChatRequest) -> ChatMessage:
        blocks: list[ContentBlock] = [TextBlock(text="What is it?")]
        if ask.image is not None:
            blocks.append(ImageBlock(image=ask.image))
        if ask.film:
            blocks.append(video(ask.film))
        if ask.frames:
            blocks.append(video_frames(ask.frames))
        return ChatMessage(role="user", blocks=blocks)


def of(**keywords: Any) -> ChatRequest:
    return ChatRequest(keywords=keywords)


def picture(make: Callable[[int, int], bytes], width: int, height: int) -> ChatRequest:
    return ChatRequest(image=make(width, height))


def frames(model: str, count: int) -> ChatRequest:
    return ChatRequest(frames=URLS[:count], keywords={"model": model})


def filmed(seconds: float, model: str = "qwen3-vl-plus") -> ChatRequest:
    return ChatRequest(film=media_files.mp4(seconds), keywords={"model": model})


def rated(fps: float) -> ChatRequest:
    return ChatRequest(film="https://example.com/a.mp4", keywords={"fps": fps})


# Name, just inside, just outside, what the error says, and whether the emulator knows the limit.
ROWS: list[tuple[str, ChatRequest, ChatRequest, str, bool]] = [
    ("side", picture(media_files.png, 11, 640), picture(media_files.png, 9, 640), "larger than 10", True),
    ("side, exactly", picture(media_files.jpeg, 640, 11), picture(media_files.jpeg, 640, 10), "larger than 10", False),
    ("ratio", picture(media_files.png, 11, 2200), picture(media_files.png, 11, 2201), "200 times", True),
    ("format", picture(media_files.webp, 64, 64), picture(media_files.gif, 64, 64), "image/gif", False),
    ("above 4K", picture(media_files.bmp, 3840, 2160), picture(media_files.bmp, 3841, 2160), "JPEG and PNG", False),
    ("frames, least", frames("qwen3-vl-plus", 4), frames("qwen3-vl-plus", 3), "4 to 2,000", True),
    ("frames, plus", frames("qwen3-vl-plus", 2000), frames("qwen3-vl-plus", 2001), "4 to 2,000", True),
    ("frames, flash", frames("qwen3-vl-flash", 512), frames("qwen3-vl-flash", 513), "4 to 512", True),
    ("frames, others", frames("qwen3-vl-8b-instruct", 80), frames("qwen3-vl-8b-instruct", 81), "4 to 80", False),
    ("seconds, least", filmed(2), filmed(1.9), "2 to 3,600 seconds", False),
    ("seconds, most", filmed(1200, "qwen3-vl-flash"), filmed(1201, "qwen3-vl-flash"), "2 to 1,200 seconds", False),
    ("fps, least", rated(0.1), rated(0.09), "from 0.1 to 10", False),
    ("fps, most", rated(10), rated(10.1), "from 0.1 to 10", False),
    ("temperature", of(temperature=1.99), of(temperature=2), "from 0 to below 2", True),
    ("temperature, least", of(temperature=0), of(temperature=-0.01), "from 0 to below 2", True),
    ("top_p", of(top_p=1), of(top_p=1.01), "above 0 to 1", True),
    ("top_p, least", of(top_p=0.01), of(top_p=0), "above 0 to 1", True),
    ("top_k", of(top_k=0), of(top_k=-1), "0 or more", True),
    ("presence_penalty", of(presence_penalty=2), of(presence_penalty=2.1), "from -2 to 2", True),
    ("presence_penalty, least", of(presence_penalty=-2), of(presence_penalty=-2.1), "from -2 to 2", True),
    ("repetition_penalty", of(repetition_penalty=0.1), of(repetition_penalty=0), "above 0", True),
    ("max_tokens", of(max_tokens=32_768), of(max_tokens=32_769), "1 to 32,768", True),
    ("max_tokens, least", of(max_tokens=1), of(max_tokens=0), "1 to 32,768", True),
    ("thinking_budget", of(thinking_budget=81_920), of(thinking_budget=81_921), "1 to 81,920", True),
    ("thinking_budget, least", of(thinking_budget=1), of(thinking_budget=0), "1 or more", False),
    ("seed, least", of(seed=0), of(seed=-1), "seed", True),
    ("pixels", of(min_pixels=4096, max_pixels=4096), of(min_pixels=4097, max_pixels=4096), "min_pixels", False),
]
SEEDS = {"openai": 2**31 - 1, "dashscope": 2**63 - 1}


@pytest.fixture(params=["openai", "dashscope"])
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[LangChain, LlamaIndex])
def model(request: pytest.FixtureRequest, emulator: Emulator, api: str) -> Iterator[ModelPair]:
    url = emulator.compat_url if api == "openai" else emulator.native_url
    made: ModelPair = request.param(api=api, base_url=url, api_key=KEY, max_retries=0)
    yield made
    made.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_just_inside_is_sent_and_accepted(model: ModelPair, emulator: Emulator, row: tuple[Any, ...]) -> None:
    assert model.ask(row[1])
    assert len(emulator.requests) == 1
    assert not emulator.refusals


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_just_outside_is_an_error_before_anything_is_sent(
    model: ModelPair, emulator: Emulator, row: tuple[Any, ...]
) -> None:
    _, _, outside, said, _ = row
    with pytest.raises(QwenVLInputError) as caught:
        model.ask(outside)
    assert said in str(caught.value)
    if outside.image or outside.frames or (outside.film and "fps" not in outside.keywords):
        assert str(caught.value).startswith("messages[0].")
    with pytest.raises(QwenVLInputError) as again:
        asyncio.run(model.aask(outside))
    assert str(again.value) == str(caught.value)
    assert not emulator.requests


@pytest.mark.parametrize("row", [row for row in ROWS if row[4]], ids=lambda row: row[0])
def test_without_the_checks_the_service_refuses(
    model: ModelPair, emulator: Emulator, row: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "check", lambda *told: None)
    with pytest.raises(QwenVLInvalidRequestError):
        model.ask(row[2])
    assert len(emulator.refusals) == 1


def test_the_seed_of_each_api(model: ModelPair, emulator: Emulator, api: str) -> None:
    assert model.ask(of(seed=SEEDS[api]))
    with pytest.raises(QwenVLInputError, match=f"{SEEDS[api]:,}"):
        model.ask(of(seed=SEEDS[api] + 1))
    assert len(emulator.requests) == 1


def test_ten_megabytes_of_base64(model: ModelPair, emulator: Emulator, api: str) -> None:
    """The native API takes more by another way, up to 10 MB of file."""
    inside = media_files.png(64, 64).ljust(7_864_000, b"\0")
    assert model.ask(ChatRequest(image=inside))
    assert len(emulator.requests) == 1
    outside = inside + bytes(1000 if api == "openai" else 3_000_000)
    with pytest.raises(QwenVLInputError, match=r"^messages\[0\].*10,485,760"):
        model.ask(ChatRequest(image=outside))
    assert len(emulator.requests) == 1


def test_a_model_without_videos(model: ModelPair, emulator: Emulator) -> None:
    with pytest.raises(QwenVLInputError, match=r"^messages\[0\].*takes no videos"):
        model.ask(ChatRequest(frames=URLS[:4], keywords={"model": "qwen-vl-ocr"}))
    with pytest.raises(QwenVLInputError, match="takes no videos"):
        model.ask(ChatRequest(film="https://example.com/a.mp4", keywords={"model": "qwen-vl-ocr"}))
    assert not emulator.requests


@pytest.mark.parametrize("framework", [LangChain, LlamaIndex])
def test_a_wrong_default_is_found_as_well(framework: Any, emulator: Emulator) -> None:
    model = framework(base_url=emulator.compat_url, api_key=KEY, temperature=2.5)
    with pytest.raises(QwenVLInputError, match=r"temperature=2\.5"):
        model.ask(ChatRequest())
    assert not emulator.requests
    model.close()

"""Test `media_policy="fit"` in both frameworks and both APIs, for a model and for one call."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock, ToolCallBlock
from PIL import Image

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator
from tests.support.media_files import solid_image
from tests.support.model_factories import KEY

LARGE, GIF = solid_image("teal", size=(2600, 2000)), solid_image("teal", "GIF", (64, 64))
SCALED = "scaled from 2600x2000 to 1824x1408, JPEG"


@pytest.fixture(params=["openai", "dashscope"])
def connection(request: pytest.FixtureRequest, emulator: Emulator) -> dict[str, Any]:
    url = emulator.compat_url if request.param == "openai" else emulator.native_url
    return {"api": request.param, "base_url": url, "api_key": KEY}


def sent_images(emulator: Emulator) -> list[bytes]:
    """Return the JPEGs in the last request."""
    text = emulator.requests[-1].body.decode()
    return [base64.b64decode(part.partition('"')[0]) for part in text.split("data:image/jpeg;base64,")[1:]]


def size_of(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


def make_langchain_message(path: Path) -> HumanMessage:
    gif = {"type": "image", "base64": base64.b64encode(GIF).decode(), "mime_type": "image/gif"}
    return HumanMessage([{"type": "text", "text": "What?"}, {"type": "image", "url": path}, gif])


def make_llama_index_message(path: Path) -> ChatMessage:
    return ChatMessage(role="user", blocks=[TextBlock(text="What?"), ImageBlock(path=path), ImageBlock(image=GIF)])


@pytest.mark.parametrize("per_call", [False, True])
def test_images_are_fitted_and_adjustments_reported(
    connection: dict[str, Any], per_call: bool, emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(LARGE)
    call: dict[str, Any] = {"media_policy": "fit"} if per_call else {}
    keywords = connection | ({} if per_call else {"media_policy": "fit"})

    langchain_model = ChatQwenVL(**keywords)
    adjustments = langchain_model.invoke([make_langchain_message(path)], **call).response_metadata["adjustments"]
    assert adjustments == [
        f"messages[0].content[1] (image): {SCALED}",
        "messages[0].content[2] (image): converted from image/gif to JPEG",
    ]
    assert [size_of(data) for data in sent_images(emulator)] == [(1824, 1408), (64, 64)]
    *_, last = langchain_model.stream([make_langchain_message(path)], **call)
    assert last.response_metadata["adjustments"] == adjustments
    langchain_model.close()

    llama_index_model = QwenVL(**keywords)
    response = llama_index_model.chat([make_llama_index_message(path)], **call)
    assert response.additional_kwargs["adjustments"] == [line.replace("content", "blocks") for line in adjustments]
    assert [size_of(data) for data in sent_images(emulator)] == [(1824, 1408), (64, 64)]
    llama_index_model.close()
    assert not emulator.refusals
    assert not emulator.uploads


async def test_images_are_fitted_in_async_calls(connection: dict[str, Any], emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(LARGE)
    langchain_model, llama_index_model = (
        ChatQwenVL(media_policy="fit", **connection),
        QwenVL(media_policy="fit", **connection),
    )
    reply = await langchain_model.ainvoke([make_langchain_message(path)])
    assert SCALED in reply.response_metadata["adjustments"][0]
    response = await llama_index_model.achat([make_llama_index_message(path)])
    assert SCALED in response.additional_kwargs["adjustments"][0]
    await langchain_model.aclose()
    await llama_index_model.aclose()


def test_tool_image_is_fitted(connection: dict[str, Any], emulator: Emulator) -> None:
    langchain_model, llama_index_model = (
        ChatQwenVL(media_policy="fit", **connection),
        QwenVL(media_policy="fit", **connection),
    )
    image = {"type": "image", "base64": base64.b64encode(LARGE).decode(), "mime_type": "image/png"}
    langchain_model.invoke([
        HumanMessage("Look."),
        AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "1"}]),
        ToolMessage([image], tool_call_id="1"),
    ])  # fmt: skip
    assert [size_of(data) for data in sent_images(emulator)] == [(1824, 1408)]
    llama_index_model.chat([
        ChatMessage("Look."),
        ChatMessage(
            role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="look", tool_kwargs={})]
        ),
        ChatMessage(role=MessageRole.TOOL, blocks=[ImageBlock(image=LARGE)], additional_kwargs={"tool_call_id": "1"}),
    ])  # fmt: skip
    assert [size_of(data) for data in sent_images(emulator)] == [(1824, 1408)]
    langchain_model.close()
    llama_index_model.close()


@pytest.mark.parametrize("cls", [ChatQwenVL, QwenVL])
def test_unknown_media_policy_raises_value_error(cls: Any) -> None:
    with pytest.raises(ValueError, match="media_policy"):
        cls(api_key=KEY, media_policy="shrink")

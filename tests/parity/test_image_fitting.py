"""`media_policy="fit"` over both frameworks and both APIs, for a model and for one call."""

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

KEY = "sk-test-0123456789"


def picture(size: tuple[int, int], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, kind)
    return buffer.getvalue()


LARGE, MOVING = picture((2600, 2000)), picture((64, 64), "GIF")
SCALED = "scaled from 2600x2000 to 1824x1408, JPEG"


@pytest.fixture(params=["openai", "dashscope"])
def connection(request: pytest.FixtureRequest, emulator: Emulator) -> dict[str, Any]:
    url = emulator.compat_url if request.param == "openai" else emulator.native_url
    return {"api": request.param, "base_url": url, "api_key": KEY}


def sent(emulator: Emulator) -> list[bytes]:
    """The images of the last request."""
    text = emulator.requests[-1].body.decode()
    return [base64.b64decode(part.partition('"')[0]) for part in text.split("data:image/jpeg;base64,")[1:]]


def size_of(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


def of_langchain(path: Path) -> HumanMessage:
    gif = {"type": "image", "base64": base64.b64encode(MOVING).decode(), "mime_type": "image/gif"}
    return HumanMessage([{"type": "text", "text": "What?"}, {"type": "image", "url": str(path)}, gif])


def of_llama_index(path: Path) -> ChatMessage:
    return ChatMessage(role="user", blocks=[TextBlock(text="What?"), ImageBlock(path=path), ImageBlock(image=MOVING)])


@pytest.mark.parametrize("per_call", [False, True])
def test_images_are_made_fit_and_it_is_told(
    connection: dict[str, Any], per_call: bool, emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(LARGE)
    call: dict[str, Any] = {"media_policy": "fit"} if per_call else {}
    keywords = connection | ({} if per_call else {"media_policy": "fit"})

    chain = ChatQwenVL(**keywords)
    told = chain.invoke([of_langchain(path)], **call).response_metadata["adjustments"]
    assert told == [
        f"messages[0].content[1] (image): {SCALED}",
        "messages[0].content[2] (image): converted from image/gif to JPEG",
    ]
    assert [size_of(data) for data in sent(emulator)] == [(1824, 1408), (64, 64)]
    *_, last = chain.stream([of_langchain(path)], **call)
    assert last.response_metadata["adjustments"] == told
    chain.close()

    index = QwenVL(**keywords)
    response = index.chat([of_llama_index(path)], **call)
    assert response.additional_kwargs["adjustments"] == [line.replace("content", "blocks") for line in told]
    assert [size_of(data) for data in sent(emulator)] == [(1824, 1408), (64, 64)]
    index.close()
    assert not emulator.refusals
    assert not emulator.uploads


async def test_the_same_in_async(connection: dict[str, Any], emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(LARGE)
    chain, index = ChatQwenVL(media_policy="fit", **connection), QwenVL(media_policy="fit", **connection)
    reply = await chain.ainvoke([of_langchain(path)])
    assert SCALED in reply.response_metadata["adjustments"][0]
    response = await index.achat([of_llama_index(path)])
    assert SCALED in response.additional_kwargs["adjustments"][0]
    await chain.aclose()
    await index.aclose()


def test_the_image_of_a_tool_is_made_fit(connection: dict[str, Any], emulator: Emulator) -> None:
    chain, index = ChatQwenVL(media_policy="fit", **connection), QwenVL(media_policy="fit", **connection)
    image = {"type": "image", "base64": base64.b64encode(LARGE).decode(), "mime_type": "image/png"}
    chain.invoke([
        HumanMessage("Look."),
        AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "1"}]),
        ToolMessage([image], tool_call_id="1"),
    ])  # fmt: skip
    assert [size_of(data) for data in sent(emulator)] == [(1824, 1408)]
    index.chat([
        ChatMessage("Look."),
        ChatMessage(
            role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="look", tool_kwargs={})]
        ),
        ChatMessage(role=MessageRole.TOOL, blocks=[ImageBlock(image=LARGE)], additional_kwargs={"tool_call_id": "1"}),
    ])  # fmt: skip
    assert [size_of(data) for data in sent(emulator)] == [(1824, 1408)]
    chain.close()
    index.close()


@pytest.mark.parametrize("cls", [ChatQwenVL, QwenVL])
def test_another_policy_is_an_error(cls: Any) -> None:
    with pytest.raises(ValueError, match="media_policy"):
        cls(api_key=KEY, media_policy="shrink")

"""Test the blocks that other user interfaces and providers write for images, files and frames."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_qwenvl import ChatQwenVL, QwenVLInputError
from tests.langchain.conftest import PNG

B64 = base64.b64encode(PNG).decode()
DATA = f"data:image/png;base64,{B64}"
URL = "https://example.com/a.png"


@pytest.mark.parametrize(
    ("block", "url"),
    [
        ({"type": "file", "base64": B64}, DATA),
        ({"type": "file", "data": PNG}, DATA),
        ({"type": "file", "mediaType": "image/png", "data": B64}, DATA),
        ({"type": "file", "mimeType": "image/png", "data": B64}, DATA),
        ({"type": "file", "mediaType": "image/png", "url": DATA}, DATA),
        ({"type": "file", "mediaType": "image/png", "data": URL}, URL),
        ({"type": "file", "url": URL}, URL),
        ({"type": "media", "mime_type": "image/png", "data": B64}, DATA),
        ({"type": "media", "mime_type": "image/png", "data": PNG}, DATA),
        ({"type": "media", "mime_type": "image/png", "file_uri": URL}, URL),
        ({"type": "binary", "mimeType": "image/png", "data": B64, "filename": "a.png"}, DATA),
        ({"type": "image", "source": {"type": "data", "value": B64, "mimeType": "image/png"}}, DATA),
        ({"type": "image", "source": {"type": "url", "value": URL}}, URL),
        ({"image": {"format": "png", "source": {"bytes": PNG}}}, DATA),  # Bedrock
        ({"image": {"format": "png", "source": {"bytes": DATA}}}, DATA),
        ({"document": {"format": "png", "name": "a", "source": {"bytes": PNG}}}, DATA),
    ],
)
def test_picture_in_block_of_other_interface_is_sent(
    block: dict[str, Any], url: str, llm: ChatQwenVL, body: Any
) -> None:
    llm.invoke([HumanMessage([block])])
    assert body()["messages"][0]["content"] == [{"type": "image_url", "image_url": {"url": url}}]


@pytest.mark.parametrize("key", ["video_url", "url"])
def test_frames_in_one_data_uri_are_sent_as_list(key: str, llm: ChatQwenVL, body: Any) -> None:
    uri = "data:video/png;base64," + ",".join([B64] * 4)
    block: dict[str, Any] = {"type": "video", "url": uri} if key == "url" else {"type": key, key: {"url": uri}}
    llm.invoke([HumanMessage([{**block, "fps": 2}])])
    assert body()["messages"][0]["content"] == [{"type": "video", "video": [DATA] * 4, "fps": 2}]


def test_picture_in_bedrocks_tool_result_is_sent(llm: ChatQwenVL, body: Any) -> None:
    call = AIMessage("", tool_calls=[{"id": "c1", "name": "look", "args": {}, "type": "tool_call"}])
    result: Any = [{"text": "Here."}, {"image": {"format": "png", "source": {"bytes": PNG}}}]
    llm.invoke([HumanMessage("Hi"), call, ToolMessage(result, tool_call_id="c1")])
    tool, media = body()["messages"][2:]
    assert tool["content"] == "Here."
    assert media["content"] == [{"type": "image_url", "image_url": {"url": DATA}}]


@pytest.mark.parametrize("encoding", ["gbk", "utf-16", "utf-8"])
def test_text_file_is_sent_as_text(encoding: str, llm: ChatQwenVL, body: Any) -> None:
    data = base64.b64encode("发票".encode(encoding)).decode()
    reply = llm.invoke([HumanMessage([{"type": "file", "base64": data, "mime_type": "text/plain"}])])
    assert body()["messages"][0]["content"] == "发票"
    assert ("adjustments" in reply.response_metadata) is (encoding != "utf-8")


def test_base64_text_in_url_names_the_way_out(llm: ChatQwenVL) -> None:
    with pytest.raises(QwenVLInputError, match="data:image/png;base64,"):
        llm.invoke([HumanMessage([{"type": "image", "url": B64}])])

"""Test that both frameworks count the same tokens for the same conversation."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import (
    ChatMessage,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL, video, video_frames
from tests.support.media_files import mp4_header, png_header

PNG, MP4 = png_header(3000, 2000), mp4_header(12)
URLS = [f"https://example.com/{index}.jpg" for index in range(6)]
TOOL = {"type": "function", "function": {"name": "crop", "description": "Cut.", "parameters": {"type": "object"}}}

LANGCHAIN: list[BaseMessage] = [
    SystemMessage("你是一个助手。"),
    HumanMessage([
        {"type": "text", "text": "What is in these? 12345"},
        {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"},
        {"type": "image", "url": URLS[0], "max_pixels": 4_000_000},
        {"type": "video", "base64": base64.b64encode(MP4).decode(), "mime_type": "video/mp4", "extras": {"fps": 0.5}},
        {"type": "video", "video": URLS, "fps": 2},
    ]),
    AIMessage(
        "Let me see.",
        additional_kwargs={"reasoning_content": "Crop it first."},
        tool_calls=[{"name": "crop", "args": {"left": 1, "top": 2}, "id": "1"}],
    ),
    ToolMessage("Done.", tool_call_id="1"),
]  # fmt: skip
LLAMA_INDEX = [
    ChatMessage("你是一个助手。", role="system"),
    ChatMessage(
        role="user",
        blocks=[
            TextBlock(text="What is in these? 12345"),
            ImageBlock(image=PNG),
            ImageBlock(url=URLS[0], detail='{"max_pixels":4000000}'),
            video(MP4, fps=0.5),
            video_frames(URLS, fps=2),
        ],
    ),
    ChatMessage(
        role="assistant",
        blocks=[
            ThinkingBlock(content="Crop it first."),
            TextBlock(text="Let me see."),
            ToolCallBlock(tool_call_id="1", tool_name="crop", tool_kwargs={"left": 1, "top": 2}),
        ],
    ),
    ChatMessage("Done.", role=MessageRole.TOOL, additional_kwargs={"tool_call_id": "1"}),
]


@pytest.mark.parametrize("keywords", [
    {},
    {"model": "qwen3-vl-flash"},
    {"model": "qwen2.5-vl-72b-instruct", "max_pixels": 2_000_000},
    {"model": "qwen3.7-plus", "preserve_thinking": True},
    {"vl_high_resolution_images": True, "fps": 4},
])  # fmt: skip
@pytest.mark.parametrize("tools", [None, [TOOL]])
def test_token_count_is_equal_in_both_frameworks(keywords: dict[str, Any], tools: list[dict[str, Any]] | None) -> None:
    keywords = {"api_key": "sk-test", **keywords}
    langchain, llama_index = ChatQwenVL(**keywords), QwenVL(**keywords)
    for length in range(1, 5):
        count = langchain.get_num_tokens_from_messages(LANGCHAIN[:length], tools=tools)
        assert count == llama_index.count_tokens(LLAMA_INDEX[:length], tools=tools)
    assert count > 5000

"""Answers of other providers' models, and tool results of any kind, in LlamaIndex histories."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    BaseContentBlock,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from llama_index_qwenvl import QwenVL, video_frames
from tests.emulator import Emulator
from tests.support.media_files import data_uri, grey_png, solid_image

PNG = solid_image()
URL = "https://example.com/a.png"
USER = ChatMessage(role="user", content="Go.")
CALL = ToolCallBlock(tool_call_id="c1", tool_name="look", tool_kwargs={"x": 1})
SENT_CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
HERE = TextBlock(text="Here.")
RESULT = ChatMessage(role="tool", content="Seen.", additional_kwargs={"tool_call_id": "c1"})


class HologramBlock(BaseContentBlock):
    """A block of a future version."""

    block_type: str = "hologram"
    size: int = 3


def answer(*blocks: Any, **additional_kwargs: Any) -> ChatMessage:
    return ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=additional_kwargs)


CITATION = CitationBlock(title="T", source="s", cited_content=TextBlock(text="c"), additional_location_info={})
SDK_CALL = SimpleNamespace(id="c1", function=SimpleNamespace(name="look", arguments='{"x": 1}'), type="function")

# Name: the message; its text, reasoning and number of media as sent; the blocks that are left out.
ANSWERS: dict[str, tuple[ChatMessage, str, str, int, tuple[str, ...]]] = {
    "Anthropic": (
        answer(ThinkingBlock(content="Look.", additional_information={"signature": "s"}), HERE, CITATION, CALL),
        "Here.", "Look.", 0, (r"blocks\[2\] \(citation\)",),
    ),
    "Gemini": (
        answer(ThinkingBlock(content="Look.", additional_information={"thought": True}), HERE,
               ImageBlock(image=PNG, image_mimetype="image/png"), CALL, thought_signatures=[b"x", None]),
        "Here.", "Look.", 1, (),
    ),
    "OpenAI": (answer(HERE, CALL, tool_calls=[SDK_CALL]), "Here.", "", 0, ()),
    "OpenAI, calls outside the blocks": (answer(HERE, tool_calls=[SDK_CALL]), "Here.", "", 0, ()),
    "OpenAI, a refusal": (answer(CALL, refusal="I can't."), "I can't.", "", 0, ()),
    "OpenAI, audio": (answer(HERE, AudioBlock(audio=b"RIFF", format="mp3"), CALL), "Here.", "", 0,
                      (r"blocks\[1\] \(audio\): Qwen-VL does not accept audio",)),
    "OpenAI Responses": (
        answer(ThinkingBlock(content="Look."), HERE, CALL, built_in_tool_calls=[{"type": "web_search_call"}],
               annotations=[]),
        "Here.", "Look.", 0, (),
    ),
    "reasoning outside the blocks": (
        answer(HERE, CALL, reasoning={"summary": [{"type": "summary_text", "text": "Look."}]}), "Here.", "Look.", 0, ()
    ),
    "encrypted reasoning": (answer(ThinkingBlock(content=None), HERE, CALL), "Here.", "", 0, ()),
    "broken media": (
        answer(HERE, ImageBlock(image=b"not an image at all"), ImageBlock(url="file:///etc/passwd"), CALL),
        "Here.", "", 0, ("not an image", "read from disk"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("model", ["qwen3-vl-plus", "qwen3.8-max"])
def test_foreign_answer_is_sent_as_text_reasoning_calls_and_media(
    name: str, model: str, make: Callable[..., QwenVL], emulator: Emulator
) -> None:
    message, text, reasoning, media_count, left_out = ANSWERS[name]
    response = make(model=model).chat([USER, message, RESULT, USER])
    assert not emulator.refusals
    sent = emulator.requests[-1].json["messages"]
    assert sent[1] == {
        "role": "assistant",
        "content": text,
        **({"reasoning_content": reasoning} if reasoning and model == "qwen3.8-max" else {}),
        "tool_calls": [SENT_CALL],
    }
    media = [part for message in sent for part in message["content"] if isinstance(part, dict) and "image_url" in part]
    assert len(media) == media_count
    adjustments = " ".join(response.additional_kwargs.get("adjustments", []))
    for pattern in left_out:
        assert re.search(pattern, adjustments)
    assert adjustments.count("messages[1]") == len(left_out)


def test_former_function_call_and_its_result_are_sent_as_tool_turn(llm: QwenVL, emulator: Emulator) -> None:
    call = answer(function_call={"name": "look", "arguments": '{"x": 1}'})
    result = ChatMessage(role="function", content="Seen.", additional_kwargs={"name": "look"})
    llm.chat([USER, call, result, USER])
    sent = emulator.requests[-1].json["messages"]
    assert sent[1]["tool_calls"] == [{**SENT_CALL, "id": "call_1_0"}]
    assert sent[2] == {"role": "tool", "content": "Seen.", "tool_call_id": "call_1_0"}


RESULTS: dict[str, tuple[Any, str, str]] = {
    "a zip file": (DocumentBlock(data=b"PK\x03\x04\x00\xff\xfe", document_mimetype="application/zip", title="a.zip"),
                   "file that can't be shown: .*application/zip", "zip"),
    "a document by URL": (DocumentBlock(url="https://example.com/a.docx"), "https://example.com/a.docx", "document"),
    "audio": (AudioBlock(audio=b"RIFF", format="wav"), "audio that can't be shown: wav", r"\(audio\)"),
    "a file URL": (ImageBlock(url="file:///etc/passwd"), "file:///etc/passwd", "read from disk"),
    "a tiny image": (ImageBlock(image=grey_png(5, 5)), "image that can't be shown: image/png.*5x5", "5x5"),
    "bytes of no format": (ImageBlock(image=b"not an image at all"), "image that can't be shown", "not an image"),
    "no image": (ImageBlock(), "image that can't be shown", "no media"),
    "frames by path": (video_frames(["/etc/passwd"] * 4), "video that can't be shown", "read from disk"),
    "a video as bytes of no format": (VideoBlock(video=b"not a video at all"), "video that can't be shown", "video"),
    "JSON": (DocumentBlock(data=b'{"a": 1}', document_mimetype="application/json"), r'^\{"a": 1\}$', ""),
    "a citable block": (
        CitableBlock(title="Law", source="law.pdf", content=[TextBlock(text="§ 1"), ImageBlock(image=grey_png(5, 5))]),
        r"^Law \(law.pdf\)\n§ 1\n\[image that can't", "5x5"),
    "a citation": (CITATION, r"^T \(s\)\nc$", ""),
    "thinking": (ThinkingBlock(content="Hm."), "^$", "reasoning outside"),
    "a call": (CALL, "^$", "tool calls outside"),
}  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_tool_result_is_sent_or_described(name: str, llm: QwenVL, emulator: Emulator) -> None:
    block, text, reported = RESULTS[name]
    result = ChatMessage(role="tool", blocks=[block], additional_kwargs={"tool_call_id": "c1"})
    response = llm.chat([USER, answer(CALL), result])
    assert not emulator.refusals
    sent = emulator.requests[-1].json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert re.search(text, sent[-1]["content"])
    adjustments = " ".join(response.additional_kwargs.get("adjustments", []))
    assert bool(adjustments) == bool(reported)
    assert re.search(reported, adjustments)


def test_block_of_tomorrow_is_described_in_results_and_left_out_of_answers(llm: QwenVL, emulator: Emulator) -> None:
    """Such a block can only be there if the message was not validated."""
    result = RESULT.model_copy(update={"blocks": [HologramBlock()]})
    message = answer(CALL).model_copy(update={"blocks": [HERE, CALL, HologramBlock()]})
    response = llm.chat([USER, message, result])
    assert emulator.requests[-1].json["messages"][-1]["content"] == '{"size": 3}'
    adjustments = " ".join(response.additional_kwargs["adjustments"])
    assert "messages[1].blocks[2] (hologram)" in adjustments
    assert "messages[2].blocks[0] (hologram)" in adjustments


def test_media_of_an_answer_follow_the_results_of_its_calls(llm: QwenVL, emulator: Emulator) -> None:
    llm.chat([USER, answer(HERE, ImageBlock(image=PNG), CALL), RESULT, USER])
    sent = emulator.requests[-1].json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user", "user"]
    assert sent[3]["content"] == [
        {"type": "text", "text": "Media of the previous assistant message:"},
        {"type": "image_url", "image_url": {"url": data_uri(PNG)}},
    ]

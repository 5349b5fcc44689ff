"""What tools, MCP servers and middleware return: sent, or described in words; never the end of an agent."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_qwenvl import ChatQwenVL
from langchain_qwenvl.message_normalization import normalize_messages
from langchain_qwenvl.messages import convert_messages
from qwenvl_core.types.request import Request
from tests.emulator import Emulator, Reply
from tests.langchain.conftest import MP4, PNG, Make, png
from tests.support.media_files import data_uri

Body = Callable[[], dict[str, Any]]

CALL = AIMessage("", tool_calls=[{"id": "c1", "name": "look", "args": {}, "type": "tool_call"}])
URL = "https://example.com/report.zip"


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Name: the block; a pattern of the result's text; a pattern of what is reported ("" for nothing).
RESULTS: dict[str, tuple[Any, str, str]] = {
    # langchain-mcp-adapters
    "MCP text": ({"type": "text", "text": "Sunny.", "id": "lc_1"}, "^Sunny.$", ""),
    "MCP link to a file": ({"type": "file", "url": URL, "mime_type": "application/zip"},
                           rf"file that can't be shown: application/zip, {URL}", r"content\[0\] \(file\): .*zip"),
    "MCP link without a type": ({"type": "file", "url": "memo://notes/1"}, "memo://notes/1", r"\(file\)"),
    "MCP link to a local file": ({"type": "file", "url": "file:///etc/passwd", "mime_type": "text/plain"},
                                 r"text/plain, file:///etc/passwd", r"\(file\)"),
    "MCP link to a local image": ({"type": "image", "url": "file:///a.png", "mime_type": "image/png"},
                                  r"image that can't be shown: image/png, file:///a.png", "read from disk"),
    "MCP link to an image of its own": ({"type": "image", "url": "ui://chart", "mime_type": "image/png"}, "ui://chart",
                                        "scheme 'ui'"),
    "MCP blob": ({"type": "file", "base64": encode(b"PK\x03\x04"), "mime_type": "application/zip"},
                 r"file that can't be shown: application/zip \(unsupported", "zip"),
    "MCP blob of text": ({"type": "file", "base64": encode("好".encode()), "mime_type": "text/csv"}, "^好$", ""),
    "MCP blob of JSON": ({"type": "file", "base64": encode(b'{"a": 1}'), "mime_type": "application/json"},
                         r'^\{"a": 1\}$', ""),
    "MCP blob of audio": ({"type": "file", "base64": "UklGRg==", "mime_type": "audio/wav"}, "audio/wav", "audio"),
    "MCP link to a PDF": ({"type": "file", "url": "https://example.com/a.pdf", "mime_type": "application/pdf"},
                          r"PDF that can't be shown: https://example.com/a.pdf", "not fetched"),
    "MCP resource": ({"type": "resource", "resource": {"uri": "memo://1", "text": "Note."}}, "^Note.$", ""),
    "MCP resource blob": ({"type": "resource", "resource": {"uri": "memo://1", "mimeType": "font/ttf", "blob": "AAAA"}},
                          "font/ttf", "font/ttf"),
    "MCP resource link": ({"type": "resource_link", "uri": "memo://1", "name": "Notes", "mimeType": "text/plain"},
                          "Notes, text/plain, memo://1", "resource_link"),
    # LangChain
    "JSON": ({"type": "json", "json": {"rows": [1, "ü"]}}, r'^\{"rows": \[1, "ü"\]\}$', r"\(json\)"),
    "a search result": ({"type": "search_result", "title": "Law", "source": "law.pdf",
                         "content": [{"type": "text", "text": "§ 1"}]}, "^Law\nlaw.pdf\n§ 1$", r"\(search_result\)"),
    "a custom tool's output": ({"type": "custom_tool_call_output", "output": "Done."}, "^Done.$", ""),
    "audio": ({"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"}, "audio that can't be shown: audio/wav",
              r"\(audio\)"),
    "OpenAI audio": ({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                     "input_audio that can't|audio that can't", "audio"),
    "audio with a transcript": ({"type": "audio", "url": "https://e/a.wav", "extras": {"transcript": "Hello."}},
                                "^Hello.$", r"\(audio\)"),
    "a file by id": ({"type": "file", "file_id": "file-1", "mime_type": "application/pdf"}, "application/pdf, file-1",
                     "file ids"),
    "an OpenAI file": ({"type": "file", "file": {"filename": "a.zip", "file_id": "f"}}, "a.zip", "file ids"),
    "Anthropic's document": ({"type": "document", "title": "Law", "source": {"type": "content", "content": [
        {"type": "text", "text": "§ 1"}]}}, "^Law\n§ 1$", ""),
    "Anthropic's result": ({"type": "tool_result", "tool_use_id": "x", "content": "Seen."}, "^Seen.$", ""),
    "a tool of tomorrow": ({"type": "hologram", "size": 3, "data": "A" * 5000},
                           r'^\{"type": "hologram", "size": 3, "data": "\[5,000 characters\]"\}$', "hologram"),
    "no type": ({"answer": 42}, r'^\{"answer": 42\}$', "no type"),
    "a block in a block": ({"type": "non_standard", "value": {"type": "json", "json": [1]}}, r"^\[1\]$", "json"),
    # broken media
    "bytes of no format": ({"type": "image", "base64": encode(b"<html>"), "mime_type": "text/html"},
                           "image that can't be shown.*not an image", r"\(image\): this is not an image"),
    "broken base64": ({"type": "image", "base64": "*no*", "mime_type": "image/png"}, "image that can't", "base64"),
    "an empty image": ({"type": "image", "base64": "", "mime_type": "image/png"}, "image that can't", "empty"),
    "a tiny image": ({"type": "image", "base64": encode(png(5, 5)), "mime_type": "image/png"},
                     "image that can't be shown: image/png.*5x5 pixels", "5x5"),
    "a thin image": ({"type": "image", "base64": encode(png(4000, 12)), "mime_type": "image/png"}, "4000x12", "4000"),
    "a video as an image": ({"type": "image", "base64": encode(MP4)}, "image that can't be shown: video/mp4", "mp4"),
    "a broken PDF": ({"type": "file", "base64": encode(b"%PDF-1.7"), "mime_type": "application/pdf"},
                     "PDF that can't be shown: application/pdf", "PDF"),
    "a path": ({"type": "image", "url": "/etc/passwd"}, "/etc/passwd", "read from disk"),
    "frames by path": ({"type": "video", "video": ["/etc/passwd"] * 4}, "video that can't", "read from disk"),
    "two frames": ({"type": "video", "video": ["https://example.com/1.png"] * 2}, "video that can't.*2 frames", "2"),
    "no image": ({"type": "image"}, "image that can't be shown", "has no image"),
}  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_tool_result_is_sent_or_described(name: str, llm: ChatQwenVL, body: Body) -> None:
    block, text, reported = RESULTS[name]
    reply = llm.invoke([HumanMessage("Look."), CALL, ToolMessage([block], tool_call_id="c1")])
    sent = body()["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert re.search(text, sent[-1]["content"])
    adjustments = reply.response_metadata.get("adjustments", [])
    assert bool(adjustments) == bool(reported)
    if reported:
        assert re.search(rf"messages\[2\]\.content\[0\].*{reported}|{reported}", " ".join(adjustments))


async def test_tool_result_is_described_alike_in_all_modes(make: Make, emulator: Emulator, body: Body) -> None:
    conversation = [HumanMessage("Look."), CALL, ToolMessage([RESULTS["a tiny image"][0]], tool_call_id="c1")]
    llm = make()
    llm.invoke(conversation)
    expected = body()["messages"]
    list(llm.stream(conversation))
    assert body()["messages"] == expected
    await llm.ainvoke(conversation)
    assert body()["messages"] == expected
    native = make(api="dashscope", base_url=emulator.native_url)
    native.invoke(conversation)
    assert body()["input"]["messages"][-1]["content"] == [{"text": expected[-1]["content"]}]


def test_tool_result_with_broken_media_keeps_the_others(llm: ChatQwenVL, body: Body) -> None:
    image = {"type": "image", "base64": encode(PNG), "mime_type": "image/png"}
    broken = RESULTS["a tiny image"][0]
    llm.invoke([HumanMessage("Look."), CALL, ToolMessage(["Two.", image, broken], tool_call_id="c1")])
    *_, result, media = body()["messages"]
    assert re.fullmatch(r"Two\.\n\[image that can't be shown: image/png .*\]", result["content"])
    assert media["content"] == [{"type": "image_url", "image_url": {"url": data_uri(PNG)}}]


def test_tiny_image_of_a_result_is_sent_if_it_is_fitted(llm: ChatQwenVL, body: Body) -> None:
    message = ToolMessage([RESULTS["a tiny image"][0]], tool_call_id="c1")
    llm.invoke([HumanMessage("Look."), CALL, message], media_policy="fit")
    assert body()["messages"][-1]["content"][0]["type"] == "image_url"


def test_missing_file_of_a_result_is_described(tmp_path: Path, llm: ChatQwenVL, body: Body) -> None:
    message = ToolMessage([{"type": "image", "url": tmp_path / "gone.png"}], tool_call_id="c1")
    llm.invoke([HumanMessage("Look."), CALL, message])
    assert "gone.png" in body()["messages"][-1]["content"]


def test_images_for_a_text_model_are_described(make: Make, emulator: Emulator, body: Body) -> None:
    """An agent switches to a text model in a thread with screenshots."""
    image = {"type": "image", "url": "https://example.com/a.png"}
    for keywords in ({}, {"api": "dashscope", "base_url": emulator.native_url}):
        llm = make(model="qwen3.7-max", **keywords)
        reply = llm.invoke([HumanMessage("Look."), CALL, ToolMessage(["Seen.", image], tool_call_id="c1")])
        messages = body().get("messages") or body()["input"]["messages"]
        assert "https://example.com/a.png" in str(messages[-1]["content"])
        assert "takes no images" in " ".join(reply.response_metadata["adjustments"])
        assert not emulator.refusals


def test_tokens_of_broken_results_are_counted(llm: ChatQwenVL) -> None:
    for block, _, _ in RESULTS.values():
        message = ToolMessage([block], tool_call_id="c1")
        assert llm.get_num_tokens_from_messages([HumanMessage("Look."), CALL, message]) > 0


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_keys = st.sampled_from(
    ["type", "text", "url", "base64", "data", "source", "content", "resource", "json", "value", "name", "mime_type",
     "args", "id", "file", "video", "output", "extras", "title", "result", "transcript"]
)  # fmt: skip
_types = st.sampled_from(sorted({*(block.get("type", "") for block, _, _ in RESULTS.values()), "tool_use", "thinking",
                                 "image_generation_call", "non_standard", "function_call", "refusal", "text", "video",
                                 "text-plain"}))  # fmt: skip


@pytest.fixture(scope="module")
def offline_llm() -> ChatQwenVL:
    return ChatQwenVL(api_key="sk-test", base_url="http://127.0.0.1:9")


@settings(max_examples=300)
@given(st.dictionaries(_keys, _types | _values, max_size=5), _types)
def test_arbitrary_block_of_a_tool_or_an_answer_never_raises(
    offline_llm: ChatQwenVL, block: dict[str, Any], block_type: str
) -> None:
    blocks: list[Any] = [{**block, "type": block_type}]
    thread = [HumanMessage("Look."), AIMessage(blocks), CALL, ToolMessage(blocks, tool_call_id="c1")]
    converted = convert_messages(normalize_messages(thread))
    prepared = offline_llm._client._prepare(Request(messages=converted, settings=offline_llm._settings({})))
    offline_llm._client._encode(prepared)


def test_text_file_object_of_a_tool_is_described(llm: ChatQwenVL, body: Body) -> None:
    message = ToolMessage([{"type": "image", "url": io.StringIO("x")}], tool_call_id="c1")
    llm.invoke([HumanMessage("Look."), CALL, message])
    assert "image that can't be shown" in body()["messages"][-1]["content"]


# --- Output of the model that is put into other messages


@pytest.mark.parametrize("output_version", ["v0", "v1"])
@pytest.mark.parametrize("role", [HumanMessage, SystemMessage, ToolMessage])
def test_content_of_an_answer_is_accepted_in_any_role(
    role: Any, output_version: str, make: Make, emulator: Emulator, body: Body
) -> None:
    emulator.script(Reply(reasoning="Hm.", text="Sunny."))
    llm = make(output_version=output_version)
    content = llm.invoke("Weather?").content
    message = role(content, **({"tool_call_id": "c1"} if role is ToolMessage else {}))
    reply = llm.invoke([HumanMessage("Look."), CALL, message])
    sent = next(message for message in body()["messages"][1:] if message["role"] not in ("assistant",)
                and "not executed" not in str(message["content"]))  # fmt: skip
    assert sent["content"] in ("Sunny.", [{"type": "text", "text": "Sunny."}])
    adjustments = " ".join(reply.response_metadata.get("adjustments", []))
    assert ("reasoning outside assistant messages left out" in adjustments) == (output_version == "v1")

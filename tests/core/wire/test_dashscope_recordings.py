"""Decode recorded traffic of the native API; skipped without the recordings, which are not included."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwenvl_core.errors import QwenVLInvalidRequestError
from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import Reply, accumulate
from tests.core.wire.native_chunks import read
from tests.support.paths import RECORDINGS

needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are absent")


def headers_of(name: str) -> dict[str, str]:
    lines = (RECORDINGS / f"{name}.response.header.txt").read_text("utf-8-sig").splitlines()
    return {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}


def replay(name: str, cut: int) -> Reply:
    body = (RECORDINGS / f"{name}.response.body.txt").read_bytes()
    return accumulate(read(body, cut=cut, stream=not name.endswith("nosse"), headers=headers_of(name)))


def reference(name: str) -> dict[str, Any]:
    """Read a recording line by line and join the texts, as a reference."""
    lines = (RECORDINGS / f"{name}.response.body.txt").read_text("utf-8-sig").split("\n")
    if name.endswith("nosse"):
        payloads = [json.loads("\n".join(lines))]
    else:
        payloads = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    messages = [payload["output"]["choices"][0]["message"] for payload in payloads]
    contents = [message["content"] for message in messages]
    return {
        "text": "".join(
            content if isinstance(content, str) else "".join(item["text"] for item in content) for content in contents
        ),
        "reasoning": "".join(message.get("reasoning_content") or "" for message in messages),
        "reason": payloads[-1]["output"]["choices"][0]["finish_reason"],
        "usage": payloads[-1]["usage"],
        "request_id": payloads[-1]["request_id"],
    }


@needs_recordings
@pytest.mark.parametrize("cut", [0, 1, 1000])
@pytest.mark.parametrize(
    "name",
    [
        "multimodal-generation-message-with-tools-sse",
        "multimodal-generation-vl-sse",
        "single-generation-message-reasoning-sse",
        "multimodal-generation-vl-nosse",
        "multimodal-generation-vl-ocr-nosse",
        "multimodal-generation-vl-ocr-key-information-extraction-nosse",
        "multimodal-generation-vl-video-nosse",
        "multimodal-generation-with-websearch-nosse",
        "conversation-generation-message-partial-nosse",
        "single-generation-message-json-nosse",
        "single-generation-message-reasoning-nosse",
        "single-generation-message-with-tools-nosse",
    ],
)
def test_recording_is_decoded(name: str, cut: int) -> None:
    reply, expected = replay(name, cut), reference(name)
    assert reply.text == expected["text"]
    assert reply.reasoning == expected["reasoning"]
    assert reply.text or reply.reasoning or reply.tool_calls
    assert reply.finish.finish_reason == expected["reason"]
    assert reply.usage is not None
    assert reply.usage.raw == expected["usage"]
    assert reply.usage.input == expected["usage"]["input_tokens"]
    assert reply.usage.output == expected["usage"]["output_tokens"]
    assert reply.finish.reply_id == expected["request_id"]
    # The headers and the body of one recording are from two different runs.
    assert reply.finish.request_id == headers_of(name).get("x-request-id", expected["request_id"])


@needs_recordings
def test_recordings_hold_known_details() -> None:
    thought = replay("multimodal-generation-message-with-tools-sse", 100)
    assert thought.reasoning.startswith("用户需要编写一个基于图片的小故事")
    assert thought.text
    assert thought.usage is not None
    assert (thought.usage.image, thought.usage.input) == (2503, 2891)
    assert thought.usage.reasoning
    called = replay("single-generation-message-with-tools-nosse", 0)
    assert called.tool_calls == (
        ToolCall("call_cec4c19d27624537b583af", "get_current_weather", '{"location": "浙江省杭州市"}'),
    )
    found = replay("multimodal-generation-vl-ocr-key-information-extraction-nosse", 0)
    assert found.finish.extras["ocr_result"]["kv_result"]["发票"]["发票号码"] == "10283819"
    assert found.finish.ocr_result == found.finish.extras["ocr_result"]
    assert found.finish.server_fields == {}
    searched = replay("multimodal-generation-with-websearch-nosse", 0)
    assert searched.finish.extras["search_info"]["search_results"][0]["index"] == 1
    watched = replay("multimodal-generation-vl-video-nosse", 0)
    assert watched.usage is not None
    assert watched.usage.video == 1440
    cut = replay("single-generation-message-reasoning-nosse", 0)
    assert (cut.text, cut.finish.finish_reason) == ("", "length")


@needs_recordings
def test_recorded_error_in_stream_raises_error() -> None:
    name = "parameter-error-sse"
    body = (RECORDINGS / f"{name}.response.body.txt").read_bytes()
    with pytest.raises(QwenVLInvalidRequestError, match="Role must be user or assistant") as caught:
        read(body, headers=headers_of(name))
    error = caught.value
    assert (error.code, error.status_code) == ("InvalidParameter", 400)
    assert error.request_id == "7671ecd8-93cc-9ee9-bc89-739f0fd8b809"


@needs_recordings
def test_recorded_stream_of_stream_only_model_is_decoded() -> None:
    body = (RECORDINGS / "openai-compatible" / "qvq-max.native.excerpt.sse").read_bytes()
    reply = accumulate(read(body, cut=11))
    assert (reply.reasoning, reply.text, reply.finish.finish_reason) == ("好的", "厘米", "stop")
    assert reply.usage is not None
    assert (reply.usage.total, reply.usage.reasoning) == (1134, None)

"""Decode recorded traffic of the OpenAI-compatible API; skipped without the recordings, which are not included."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qwenvl_core.errors import QwenVLAuthenticationError, QwenVLError, QwenVLInvalidRequestError
from qwenvl_core.types.events import Usage
from qwenvl_core.types.reply import accumulate
from qwenvl_core.wire import errors
from qwenvl_core.wire.error_classes import error_from_payload
from tests.support.paths import RECORDINGS
from tests.support.pipeline import read, request

COMPATIBLE = RECORDINGS / "openai-compatible"

pytestmark = pytest.mark.skipif(not COMPATIBLE.is_dir(), reason="the recordings are absent")


@dataclass(frozen=True)
class ExpectedReply:
    """The content of a recorded reply, transcribed by hand."""

    reasoning: str
    text: str
    usage: dict[str, int | None]
    model: str
    reply_id: str
    chat_request: Any = field(default_factory=lambda: request(stream=True))


EXPECTED = {
    "alibaba-nonstream-reasoning.json": ExpectedReply(
        "Okay, so I need to calculate 17 multiplied by 23. [... shortened by me ...]",
        "391",
        {"input": 24, "output": 504, "total": 528, "reasoning": 496, "cached": 0, "image": None},
        "qwen-plus",
        "chatcmpl-f5f046ac-bc79-9446-a6d8-73d306abbdc7",
        request(enable_thinking=False),
    ),
    "alibaba-reasoning.excerpt.jsonl": ExpectedReply(
        "We are asked:",
        "  \n\n**Answer: 3**",
        {"input": 24, "output": 1355, "total": 1379, "reasoning": 1084, "cached": 0, "image": None},
        "qwen3-max",
        "chatcmpl-3792851e-8f1b-9182-a1dc-b84603c81344",
    ),
    "qvq-max.compat.excerpt.sse": ExpectedReply(
        "好的",
        "方",
        {"input": 544, "output": 590, "total": 1134, "reasoning": None, "cached": None, "image": 520},
        "qvq-max",
        "chatcmpl-ab4f3963-2c2a-9291-bda2-65d5b325f435",
    ),
}


def replayed(path: Path) -> bytes:
    """Return the bytes of a response; in `.jsonl` excerpts, each line is a payload without its `data:`."""
    data = path.read_bytes()
    if path.suffix != ".jsonl":
        return data
    return b"".join(b"data: " + line + b"\n\n" for line in data.splitlines() if line) + b"data: [DONE]\n\n"


def test_recordings_are_all_covered() -> None:
    found = {path.name for path in COMPATIBLE.iterdir() if ".native." not in path.name}
    assert found == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_recorded_reply_is_decoded(name: str, size: int) -> None:
    expected, data = EXPECTED[name], replayed(COMPATIBLE / name)
    kind = "application/json" if name.endswith(".json") else "text/event-stream;charset=UTF-8"
    segments = [data[start : start + size] for start in range(0, len(data), size)]
    reply = accumulate(
        read(segments, chat_request=expected.chat_request, headers={"content-type": kind, "x-request-id": "r-1"})
    )
    assert (reply.reasoning, reply.text, reply.tool_calls) == (expected.reasoning, expected.text, ())
    assert isinstance(reply.usage, Usage)
    assert {name: getattr(reply.usage, name) for name in expected.usage} == expected.usage
    assert (reply.finish.finish_reason, reply.finish.model) == ("stop", expected.model)
    assert (reply.finish.reply_id, reply.finish.request_id) == (expected.reply_id, "r-1")


@pytest.mark.parametrize("name", [name for name in EXPECTED if not name.endswith(".json")])
def test_truncated_recording_raises_error_with_partial_text(name: str) -> None:
    """A recorded stream that ends before its finish reason raises an error with the text received so far."""
    expected, data = EXPECTED[name], replayed(COMPATIBLE / name)
    finish_offset = data.index(b'"finish_reason":"stop"')
    for end in range(0, finish_offset, 11):
        with pytest.raises(QwenVLError) as caught:
            read(data[:end])
        assert expected.text.startswith(caught.value.partial)


FAILURES: dict[str, tuple[int, type[QwenVLError], str]] = {
    "auth-error-nosse": (401, QwenVLAuthenticationError, "InvalidApiKey"),
    "parameter-error-nosse": (400, QwenVLInvalidRequestError, "InvalidParameter"),
    "parameter-error-sse": (400, QwenVLInvalidRequestError, "InvalidParameter"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_recorded_error_is_parsed(name: str) -> None:
    """The recorded errors are of the native API; the same code parses those of both APIs."""
    status, kind, code = FAILURES[name]
    body = (RECORDINGS / f"{name}.response.body.txt").read_text("utf-8")
    expected = json.loads(body[body.index("{") :])
    error = error_from_payload(errors.parse_error_body(body, status_code=status))
    assert type(error) is kind
    assert (error.code, error.message, error.request_id) == (code, expected["message"], expected["request_id"])

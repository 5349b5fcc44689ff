"""Build chunks of the OpenAI-compatible API and the events that they yield."""

from __future__ import annotations

from typing import Any

from qwenvl_core.types.events import Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from tests.support.pipeline import chunk, request

R, T, C = ReasoningDelta, TextDelta, ToolCallDelta
USAGE = {
    "prompt_tokens": 544,
    "completion_tokens": 590,
    "total_tokens": 1134,
    "completion_tokens_details": {"text_tokens": 90, "reasoning_tokens": 500},
    "prompt_tokens_details": {"text_tokens": 24, "image_tokens": 500, "video_tokens": 20, "cached_tokens": 4},
}
COUNTED = Usage(544, 590, 1134, reasoning=500, cached=4, image=500, video=20, raw=USAGE)
STREAM = request(stream=True)
WHOLE = request(enable_thinking=False)


def last(reason: str = "stop", **facts: Any) -> Finish:
    return Finish(reason, "qwen3-vl-plus", "chatcmpl-1", **facts)


def usage_chunk(usage: Any = USAGE) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "model": "qwen3-vl-plus", "choices": [], "usage": usage}


def fragment(index: int | None = 0, call_id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    payload: dict[str, Any] = {"function": {}, "type": "function"}
    payload |= {} if index is None else {"index": index}
    payload |= {} if call_id is None else {"id": call_id}
    payload["function"] |= {} if name is None else {"name": name}
    payload["function"] |= {} if arguments is None else {"arguments": arguments}
    return payload


def calls(*fragments: dict[str, Any], finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return chunk(finish, tool_calls=list(fragments), **delta)


STOP = chunk("stop", content="", reasoning_content=None)
CALLED = chunk("tool_calls")

"""The OpenAI-compatible API: answers and errors as bytes, keys in the order in which they were recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.deltas import Delta, Fragment, finish_of, plan, shown
from tests.emulator.error_payloads import ApiError
from tests.emulator.quirks import Quirks
from tests.emulator.replies import Reply, pieces
from tests.emulator.sse_framing import broken, dump, event

SEARCH_INFO = {
    "extra_tool_info": [],
    "search_results": [
        {
            "icon": "https://example.com/icon.svg",
            "index": 1,
            "site_name": "A site",
            "title": "A page",
            "url": "https://example.com/page",
        }
    ],
}
_EMPTY_CONTENT: Mapping[str, Any] = {"null": None, "empty": "", "list": []}


def whole(
    reply: Reply, ask: ChatRequest, quirks: Quirks, request_id: str, created: int, usage: dict[str, int]
) -> bytes:
    """A complete answer that is not streamed."""
    reasoning, text = ("".join(part) for part in shown(reply, quirks))
    message: dict[str, Any] = {"content": text, "role": "assistant"}
    if not text and quirks.content_mode:
        message.pop("content")
        if quirks.content_mode != "missing":
            message["content"] = _EMPTY_CONTENT[quirks.content_mode]
    if reasoning:
        message |= _reasoning(reasoning, quirks)
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "function": {"arguments": "".join(pieces(call.arguments)), "name": call.name},
                "id": call.id,
                "index": index,
                "type": "function",
            }
            for index, call in enumerate(reply.tool_calls)
        ]
    elif quirks.empty_tool_calls:
        message["tool_calls"] = []
    choice = {"message": message, "finish_reason": finish_of(reply, quirks), "index": 0, "logprobs": None}
    body = _body(reply, ask, request_id, created) | {
        "choices": [choice | dict(reply.choice_extra)],
        "object": "chat.completion",
        "usage": usage_keys(usage, quirks),
    }
    if quirks.no_usage:
        body.pop("usage")
    return dump(body | _beside(reply, quirks)).encode()


def stream(
    reply: Reply, ask: ChatRequest, quirks: Quirks, request_id: str, created: int, usage: dict[str, int]
) -> list[bytes]:
    """The events of a streamed answer, ``[DONE]`` included."""
    base = _body(reply, ask, request_id, created)
    thinks = bool(shown(reply, quirks)[0])
    events, deltas = [], plan(reply, quirks, "compat")
    for number, delta in enumerate(deltas):
        choice = _choice(delta, reply, quirks, thinks=thinks)
        body = base | {"choices": [choice], "usage": _chunk_usage(delta, quirks, usage)}
        if number == 0:
            body |= _beside(reply, quirks)
        events.append(event("compat", quirks, body))
    if ask.includes_usage and not quirks.usage_on_last_chunk and not quirks.no_usage:
        events.append(event("compat", quirks, base | {"choices": [], "usage": usage_keys(usage, quirks)}))
    if not quirks.no_done:
        events.append(done(quirks))
    return events


def done(quirks: Quirks) -> bytes:
    return event("compat", quirks, "[DONE]")


def usage_keys(usage: Mapping[str, int], quirks: Quirks) -> dict[str, Any]:
    """The usage in this API's words."""
    prompt, completion, reasoning = usage["prompt"], usage["completion"], usage["reasoning"]
    if quirks.no_reasoning_tokens:
        reasoning = 0
    media = {f"{kind}_tokens": usage[kind] for kind in ("image", "video") if kind in usage}
    cached = {"cached_tokens": usage["cached"]} if "cached" in usage else {}
    written: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "completion_tokens_details": ({"reasoning_tokens": reasoning} if reasoning else {})
        | {"text_tokens": completion - reasoning},
        "prompt_tokens_details": {"text_tokens": prompt - sum(media.values())} | media | cached,
    }
    if quirks.no_text_tokens:
        _without_text(written)
    if quirks.usage_details_empty:
        written |= {"completion_tokens_details": {}, "prompt_tokens_details": {}}
    if quirks.usage_details_absent or quirks.reasoning_tokens_top_level:
        written = {key: value for key, value in written.items() if not key.endswith("_details")}
    if quirks.reasoning_tokens_top_level:
        written["reasoning_tokens"] = reasoning
    if quirks.no_total_tokens:
        del written["total_tokens"]
    return written


def _without_text(usage: dict[str, Any]) -> None:
    for name in ("completion_tokens_details", "prompt_tokens_details"):
        usage[name].pop("text_tokens")
        if not usage[name]:
            del usage[name]


def error_body(problem: ApiError, quirks: Quirks, request_id: str) -> dict[str, Any]:
    """The JSON of an error, alone or in a stream."""
    if quirks.error_as_string:
        return {"error": problem.text}
    if quirks.detail_error:
        return {"detail": problem.text}
    error: dict[str, Any] = {
        "message": problem.text,
        "type": problem.compat_type,
        "param": None,
        "code": problem.status if quirks.integer_error_code else problem.compat_code,
    }
    if quirks.flat_error:
        return {"object": "error"} | error
    if quirks.no_request_id:
        return {"error": error}
    return {"error": error, "id": f"chatcmpl-{request_id}", "request_id": request_id}


def error_event(problem: ApiError, quirks: Quirks, request_id: str) -> bytes:
    """An error inside a stream, or the body of a refusal that is an event."""
    body = error_body(problem, quirks, request_id)
    return event("compat", quirks, broken(dump(body)) if quirks.broken_error else body)


def _body(reply: Reply, ask: ChatRequest, request_id: str, created: int) -> dict[str, Any]:
    return {
        "choices": [],
        "object": "chat.completion.chunk",
        "usage": None,
        "created": created,
        "system_fingerprint": None,
        "model": reply.model or ask.model,
        "id": f"chatcmpl-{request_id}",
    }


def _beside(reply: Reply, quirks: Quirks) -> dict[str, Any]:
    return ({"search_info": SEARCH_INFO} if quirks.search_info else {}) | dict(reply.extra)


def _choice(delta: Delta, reply: Reply, quirks: Quirks, *, thinks: bool) -> dict[str, Any]:
    choice: dict[str, Any] = {"delta": _delta(delta, reply, quirks, thinks=thinks), "index": 0}
    if delta.finish or not (delta.bare or quirks.finish_missing_key):
        unfinished = "null" if quirks.finish_null_string else None
        choice |= {"logprobs": None, "finish_reason": delta.finish or unfinished}
    if delta.text:
        choice |= dict(reply.choice_extra)
    return choice


def _delta(delta: Delta, reply: Reply, quirks: Quirks, *, thinks: bool) -> dict[str, Any]:
    if delta.finish and reply.tool_calls and not delta.calls:
        return {}
    said: dict[str, Any] = {}
    if not delta.bare:
        said |= _content(delta, quirks)
    if delta.calls:
        said["tool_calls"] = [fragment_keys(fragment, quirks) for fragment in delta.calls]
    elif quirks.empty_tool_calls:
        said["tool_calls"] = []
    if delta.opens:
        said["role"] = "assistant"
    if delta.reasoning is not None:
        said |= _reasoning(delta.reasoning, quirks)
    elif thinks and not delta.bare and (quirks.answer_reasoning != "absent" or (delta.finish and not delta.text)):
        said |= _reasoning("" if quirks.answer_reasoning == "empty" else None, quirks)
    return said


def _content(delta: Delta, quirks: Quirks) -> dict[str, Any]:
    if delta.text is not None:
        return {"content": delta.text}
    if quirks.content_mode == "missing":
        return {}
    default = "empty" if delta.finish else "null"
    return {"content": _EMPTY_CONTENT[quirks.content_mode or default]}


def _reasoning(value: str | None, quirks: Quirks) -> dict[str, Any]:
    keys = ("reasoning_content", "reasoning") if quirks.reasoning_key == "both" else (quirks.reasoning_key,)
    return dict.fromkeys(keys, value)


def fragment_keys(fragment: Fragment, quirks: Quirks) -> dict[str, Any]:
    """One entry of ``tool_calls`` in a chunk; both APIs write it alike."""
    first = fragment.name is not None
    function: dict[str, Any] = {"name": fragment.name} if first else {}
    if fragment.arguments or not quirks.tool_fragment_without_arguments:
        function["arguments"] = fragment.arguments
    written: dict[str, Any] = {"index": fragment.index}
    if first or not quirks.tool_fragment_without_id:
        written["id"] = "" if quirks.empty_tool_id and not first else fragment.id
    if first or not quirks.tool_fragment_without_type:
        written["type"] = "function"
    return written | {"function": function}


def _chunk_usage(delta: Delta, quirks: Quirks, usage: dict[str, int]) -> dict[str, Any] | None:
    if quirks.no_usage:
        return None
    if quirks.usage_every_chunk or (quirks.usage_on_last_chunk and delta.finish):
        return usage_keys(usage_so_far(delta, usage), quirks)
    return None


def usage_so_far(delta: Delta, usage: dict[str, int]) -> dict[str, int]:
    """The usage that a chunk in the middle reports: it grows with what has been said."""
    reasoning = math.ceil(usage["reasoning"] * delta.reasoned)
    answer = math.ceil((usage["completion"] - usage["reasoning"]) * delta.answered)
    if delta.finish:
        reasoning, answer = usage["reasoning"], usage["completion"] - usage["reasoning"]
    return usage | {"completion": reasoning + answer, "reasoning": reasoning}

"""Render replies and errors of the OpenAI-compatible API, with keys in the order of the recordings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.deltas import Delta, Fragment, build_deltas, finish_reason_of, split_reasoning_and_text
from tests.emulator.error_payloads import ApiError
from tests.emulator.quirks import Quirks
from tests.emulator.replies import Reply, split_text
from tests.emulator.sse_framing import render_event, to_json, truncate

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


def render_whole(
    reply: Reply, request: ChatRequest, quirks: Quirks, request_id: str, created: int, usage: dict[str, int]
) -> bytes:
    """Render a reply that is not streamed."""
    reasoning, text = ("".join(part) for part in split_reasoning_and_text(reply, quirks))
    message: dict[str, Any] = {"content": text, "role": "assistant"}
    if not text and quirks.content_mode:
        message.pop("content")
        if quirks.content_mode != "missing":
            message["content"] = _EMPTY_CONTENT[quirks.content_mode]
    if reasoning:
        message |= _build_reasoning(reasoning, quirks)
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "function": {"arguments": "".join(split_text(call.arguments)), "name": call.name},
                "id": call.id,
                "index": index,
                "type": "function",
            }
            for index, call in enumerate(reply.tool_calls)
        ]
    elif quirks.empty_tool_calls:
        message["tool_calls"] = []
    choice = {"message": message, "finish_reason": finish_reason_of(reply, quirks), "index": 0, "logprobs": None}
    body = _build_body(reply, request, request_id, created) | {
        "choices": [choice | dict(reply.choice_extra)],
        "object": "chat.completion",
        "usage": build_usage(usage, quirks),
    }
    if quirks.no_usage:
        body.pop("usage")
    return to_json(body | _extra_fields(reply, quirks)).encode()


def render_stream(
    reply: Reply, request: ChatRequest, quirks: Quirks, request_id: str, created: int, usage: dict[str, int]
) -> list[bytes]:
    """Render the events of a streamed reply, ``[DONE]`` included."""
    base = _build_body(reply, request, request_id, created)
    thinks = bool(split_reasoning_and_text(reply, quirks)[0])
    events, deltas = [], build_deltas(reply, quirks, "compat")
    for number, delta in enumerate(deltas):
        choice = _build_choice(delta, reply, quirks, thinks=thinks)
        body = base | {"choices": [choice], "usage": _build_chunk_usage(delta, quirks, usage)}
        if number == 0:
            body |= _extra_fields(reply, quirks)
        events.append(render_event("compat", quirks, body))
    if request.includes_usage and not quirks.usage_on_last_chunk and not quirks.no_usage:
        events.append(render_event("compat", quirks, base | {"choices": [], "usage": build_usage(usage, quirks)}))
    if not quirks.no_done:
        events.append(render_done(quirks))
    return events


def render_done(quirks: Quirks) -> bytes:
    """Render the event that ends a stream."""
    return render_event("compat", quirks, "[DONE]")


def build_usage(usage: Mapping[str, int], quirks: Quirks) -> dict[str, Any]:
    """Build the usage object of this API."""
    prompt, completion, reasoning = usage["prompt"], usage["completion"], usage["reasoning"]
    if quirks.no_reasoning_tokens:
        reasoning = 0
    media = {f"{kind}_tokens": usage[kind] for kind in ("image", "video") if kind in usage}
    cached = build_cache_details(usage)
    payload: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "completion_tokens_details": ({"reasoning_tokens": reasoning} if reasoning else {})
        | {"text_tokens": completion - reasoning},
        "prompt_tokens_details": {"text_tokens": prompt - sum(media.values())} | media | cached,
    }
    if quirks.no_text_tokens:
        _remove_text_tokens(payload)
    if quirks.usage_details_empty:
        payload |= {"completion_tokens_details": {}, "prompt_tokens_details": {}}
    if quirks.usage_details_absent or quirks.reasoning_tokens_top_level:
        payload = {key: value for key, value in payload.items() if not key.endswith("_details")}
    if quirks.reasoning_tokens_top_level:
        payload["reasoning_tokens"] = reasoning
    if quirks.no_total_tokens:
        del payload["total_tokens"]
    return payload


def build_cache_details(usage: Mapping[str, int]) -> dict[str, Any]:
    """Build the details of the context cache, as on the vendor's context cache page; both APIs have the same."""
    details: dict[str, Any] = {"cached_tokens": usage["cached"]} if "cached" in usage else {}
    if "cache_creation" in usage:
        created = usage["cache_creation"]
        details |= {
            "cache_creation_input_tokens": created,
            "cache_creation": {"ephemeral_5m_input_tokens": created},
            "cache_type": "ephemeral",
        }
    return details


def _remove_text_tokens(usage: dict[str, Any]) -> None:
    for name in ("completion_tokens_details", "prompt_tokens_details"):
        usage[name].pop("text_tokens")
        if not usage[name]:
            del usage[name]


def build_error(error: ApiError, quirks: Quirks, request_id: str) -> dict[str, Any]:
    """Build the JSON object of an error."""
    if quirks.error_as_string:
        return {"error": error.text}
    if quirks.detail_error:
        return {"detail": error.text}
    details: dict[str, Any] = {
        "message": error.text,
        "type": error.compat_type,
        "param": None,
        "code": error.status if quirks.integer_error_code else error.compat_code,
    }
    if quirks.flat_error:
        return {"object": "error"} | details
    if quirks.no_request_id:
        return {"error": details}
    return {"error": details, "id": f"chatcmpl-{request_id}", "request_id": request_id}


def render_error_event(error: ApiError, quirks: Quirks, request_id: str) -> bytes:
    """Render an error as an event, in a stream or as a whole body."""
    body = build_error(error, quirks, request_id)
    return render_event("compat", quirks, truncate(to_json(body)) if quirks.broken_error else body)


def _build_body(reply: Reply, request: ChatRequest, request_id: str, created: int) -> dict[str, Any]:
    return {
        "choices": [],
        "object": "chat.completion.chunk",
        "usage": None,
        "created": created,
        "system_fingerprint": None,
        "model": reply.model or request.model,
        "id": f"chatcmpl-{request_id}",
    }


def _extra_fields(reply: Reply, quirks: Quirks) -> dict[str, Any]:
    return ({"search_info": SEARCH_INFO} if quirks.search_info else {}) | dict(reply.extra)


def _build_choice(delta: Delta, reply: Reply, quirks: Quirks, *, thinks: bool) -> dict[str, Any]:
    choice: dict[str, Any] = {"delta": _build_delta(delta, reply, quirks, thinks=thinks), "index": 0}
    if delta.finish or not (delta.is_bare or quirks.finish_missing_key):
        unfinished = "null" if quirks.finish_null_string else None
        choice |= {"logprobs": None, "finish_reason": delta.finish or unfinished}
    if delta.text:
        choice |= dict(reply.choice_extra)
    return choice


def _build_delta(delta: Delta, reply: Reply, quirks: Quirks, *, thinks: bool) -> dict[str, Any]:
    if delta.finish and reply.tool_calls and not delta.calls:
        return {}
    fields: dict[str, Any] = {}
    if not delta.is_bare:
        fields |= _build_content(delta, quirks)
    if delta.calls:
        fields["tool_calls"] = [build_tool_call(fragment, quirks) for fragment in delta.calls]
    elif quirks.empty_tool_calls:
        fields["tool_calls"] = []
    if delta.has_role:
        fields["role"] = "assistant"
    if delta.reasoning is not None:
        fields |= _build_reasoning(delta.reasoning, quirks)
    elif thinks and not delta.is_bare and (quirks.answer_reasoning != "absent" or (delta.finish and not delta.text)):
        fields |= _build_reasoning("" if quirks.answer_reasoning == "empty" else None, quirks)
    return fields


def _build_content(delta: Delta, quirks: Quirks) -> dict[str, Any]:
    if delta.text is not None:
        return {"content": delta.text}
    if quirks.content_mode == "missing":
        return {}
    default = "empty" if delta.finish else "null"
    return {"content": _EMPTY_CONTENT[quirks.content_mode or default]}


def _build_reasoning(value: str | None, quirks: Quirks) -> dict[str, Any]:
    keys = ("reasoning_content", "reasoning") if quirks.reasoning_key == "both" else (quirks.reasoning_key,)
    return dict.fromkeys(keys, value)


def build_tool_call(fragment: Fragment, quirks: Quirks) -> dict[str, Any]:
    """Build an entry of ``tool_calls`` in a chunk; its form is the same in both APIs."""
    first = fragment.name is not None
    function: dict[str, Any] = {"name": fragment.name} if first else {}
    if fragment.arguments or not quirks.tool_fragment_without_arguments:
        function["arguments"] = fragment.arguments
    payload: dict[str, Any] = {"index": fragment.index}
    if first or not quirks.tool_fragment_without_id:
        payload["id"] = "" if quirks.empty_tool_id and not first else fragment.id
    if first or not quirks.tool_fragment_without_type:
        payload["type"] = "function"
    return payload | {"function": function}


def _build_chunk_usage(delta: Delta, quirks: Quirks, usage: dict[str, int]) -> dict[str, Any] | None:
    if quirks.no_usage:
        return None
    if quirks.usage_every_chunk or (quirks.usage_on_last_chunk and delta.finish):
        return build_usage(estimate_usage(delta, usage), quirks)
    return None


def estimate_usage(delta: Delta, usage: dict[str, int]) -> dict[str, int]:
    """Estimate the usage up to a chunk: it grows with the output so far."""
    reasoning = math.ceil(usage["reasoning"] * delta.reasoning_share)
    answer = math.ceil((usage["completion"] - usage["reasoning"]) * delta.answer_share)
    if delta.finish:
        reasoning, answer = usage["reasoning"], usage["completion"] - usage["reasoning"]
    return usage | {"completion": reasoning + answer, "reasoning": reasoning}

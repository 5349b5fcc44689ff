"""Render replies and errors of the native multimodal API, with keys in the order of the recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.compat import SEARCH_INFO, build_cache_details, build_tool_call, estimate_usage
from tests.emulator.deltas import Delta, Fragment, build_deltas, finish_reason_of, split_reasoning_and_text
from tests.emulator.error_payloads import ApiError
from tests.emulator.quirks import Quirks
from tests.emulator.replies import Reply, split_text
from tests.emulator.sse_framing import render_event, to_json, truncate

_EMPTY_CONTENT: Mapping[str, Any] = {"null": None, "empty": "", "list": []}


def render_whole(reply: Reply, request: ChatRequest, quirks: Quirks, request_id: str, usage: dict[str, int]) -> bytes:
    """Render a reply that is not streamed."""
    reasoning, text = ("".join(part) for part in split_reasoning_and_text(reply, quirks))
    message: dict[str, Any] = _build_content(text or None, reply.content_extra, quirks)
    if request.is_text_endpoint:
        message = {"content": text}
    if reasoning:
        message[quirks.reasoning_key.replace("both", "reasoning_content")] = reasoning
    message["role"] = "assistant"
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "function": {"name": call.name, "arguments": "".join(split_text(call.arguments))},
                "index": index,
                "id": call.id,
                "type": "function",
            }
            for index, call in enumerate(reply.tool_calls)
        ]
    choice = {"finish_reason": finish_reason_of(reply, quirks), "message": message} | dict(reply.choice_extra)
    return to_json(_build_body(choice, _extra_fields(reply, quirks), build_usage(usage, quirks), request_id)).encode()


def render_stream(
    reply: Reply, request: ChatRequest, quirks: Quirks, request_id: str, usage: dict[str, int]
) -> list[bytes]:
    """Render the events of a streamed reply; the last one has the finish reason."""
    thinks = bool(split_reasoning_and_text(reply, quirks)[0])
    deltas = build_deltas(reply, quirks, "native")
    if request.cumulative:
        deltas = _accumulate(deltas)
    last_text = max((number for number, delta in enumerate(deltas) if delta.text), default=None)
    events = []
    for number, delta in enumerate(deltas):
        message = _build_message(delta, reply.content_extra if number == last_text else {}, quirks, thinks=thinks)
        if request.is_text_endpoint:  # content is a string, and reasoning is there when it is empty too
            message |= {"content": delta.text or ""} | ({"reasoning_content": delta.reasoning or ""} if thinks else {})
        unfinished = None if quirks.finish_null_string is False else "null"
        choice: dict[str, Any] = {"message": message, "finish_reason": delta.finish or unfinished}
        if quirks.finish_missing_key and not delta.finish:
            del choice["finish_reason"]
        if delta.text:
            choice |= dict(reply.choice_extra)
        payload = build_usage(estimate_usage(delta, usage), quirks) if _has_usage(delta, quirks) else None
        extra = _extra_fields(reply, quirks) if number == 0 else {}
        body = _build_body(choice, extra, payload, request_id)
        events.append(render_event("native", quirks, body, head=_build_head(number + 1, "result", 200)))
    return events


def build_usage(usage: Mapping[str, int], quirks: Quirks) -> dict[str, Any]:
    """Build the usage object of this API."""
    prompt, completion, reasoning = usage["prompt"], usage["completion"], usage["reasoning"]
    media = {f"{kind}_tokens": usage[kind] for kind in ("image", "video") if kind in usage}
    output = {"text_tokens": completion}
    if reasoning and not quirks.no_reasoning_tokens:
        output = {"reasoning_tokens": reasoning, "text_tokens": completion - reasoning}
    details: dict[str, Any] = {
        "input_tokens_details": media | {"text_tokens": prompt - sum(media.values())},
        "output_tokens_details": output,
    }
    cache_details = build_cache_details(usage)
    if cache_details or quirks.empty_cache_details:
        details["prompt_tokens_details"] = cache_details
    if quirks.usage_details_empty:
        details = {key: {} for key in details}
    payload = {} if quirks.usage_details_absent else details
    payload |= {"total_tokens": prompt + completion, "output_tokens": completion, "input_tokens": prompt} | media
    if quirks.no_total_tokens:
        del payload["total_tokens"]
    return payload


def build_error(error: ApiError, quirks: Quirks, request_id: str) -> dict[str, Any]:
    """Build the JSON object of an error."""
    code = error.status if quirks.integer_error_code else error.native_code
    body = {"code": code, "message": error.text, "request_id": request_id}
    if quirks.no_request_id:
        del body["request_id"]
    return body


def render_error_event(error: ApiError, quirks: Quirks, request_id: str, *, number: int = 1) -> bytes:
    """Render an error as an event; its status is only in a comment line."""
    body = build_error(error, quirks, request_id)
    payload = truncate(to_json(body)) if quirks.broken_error else body
    return render_event("native", quirks, payload, head=_build_head(number, "error", error.status))


def _build_head(number: int, kind: str, status: int) -> Sequence[str]:
    return (f"id:{number}", f"event:{kind}", f":HTTP_STATUS/{status}")


def _build_body(
    choice: dict[str, Any], extra: Mapping[str, Any], usage: dict[str, Any] | None, request_id: str
) -> dict[str, Any]:
    body: dict[str, Any] = {"output": {"choices": [choice]} | dict(extra)}
    if usage is not None:
        body["usage"] = usage
    return body | {"request_id": request_id}


def _extra_fields(reply: Reply, quirks: Quirks) -> dict[str, Any]:
    return ({"search_info": SEARCH_INFO} if quirks.search_info else {}) | dict(reply.extra)


def _has_usage(delta: Delta, quirks: Quirks) -> bool:
    if quirks.no_usage:
        return False
    return quirks.usage_every_chunk is not False or bool(delta.finish)


def _build_content(text: str | None, extra: Mapping[str, Any], quirks: Quirks) -> dict[str, Any]:
    if text is not None:
        return {"content": [dict(extra) | {"text": text}]}
    if extra:
        return {"content": [dict(extra)]}
    if quirks.content_mode == "missing":
        return {}
    return {"content": _EMPTY_CONTENT[quirks.content_mode or "list"]}


def _build_message(delta: Delta, extra: Mapping[str, Any], quirks: Quirks, *, thinks: bool) -> dict[str, Any]:
    message = _build_content(delta.text, extra, quirks)
    key = quirks.reasoning_key.replace("both", "reasoning_content")
    if delta.reasoning is not None:
        message[key] = delta.reasoning
    elif thinks and quirks.answer_reasoning in ("null", "empty"):
        message[key] = "" if quirks.answer_reasoning == "empty" else None
    message["role"] = "assistant"
    if delta.calls:
        message["tool_calls"] = [build_tool_call(fragment, quirks) for fragment in delta.calls]
    elif quirks.empty_tool_calls:
        message["tool_calls"] = []
    return message


def _accumulate(deltas: list[Delta]) -> list[Delta]:
    """Make each delta repeat the output of the deltas before it (cumulative output)."""
    cumulative: list[Delta] = []
    reasoning, text = "", ""
    calls: dict[int, Fragment] = {}
    for delta in deltas:
        reasoning += delta.reasoning or ""
        text += delta.text or ""
        for fragment in delta.calls:
            previous = calls.get(fragment.index)
            merged = replace(previous, arguments=previous.arguments + fragment.arguments) if previous else fragment
            calls[fragment.index] = merged
        cumulative.append(replace(delta, reasoning=reasoning or None, text=text or None, calls=tuple(calls.values())))
    return cumulative

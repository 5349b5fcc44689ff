"""The native multimodal API: answers and errors as bytes, keys in the order in which they were recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.compat import SEARCH_INFO, fragment_keys, usage_so_far
from tests.emulator.deltas import Delta, Fragment, finish_of, plan, shown
from tests.emulator.error_payloads import ApiError
from tests.emulator.quirks import Quirks
from tests.emulator.replies import Reply, pieces
from tests.emulator.sse_framing import broken, dump, event

_EMPTY_CONTENT: Mapping[str, Any] = {"null": None, "empty": "", "list": []}


def whole(reply: Reply, ask: ChatRequest, quirks: Quirks, request_id: str, usage: dict[str, int]) -> bytes:
    """A complete answer that is not streamed."""
    reasoning, text = ("".join(part) for part in shown(reply, quirks))
    message: dict[str, Any] = _content(text or None, reply.content_extra, quirks)
    if reasoning:
        message[quirks.reasoning_key.replace("both", "reasoning_content")] = reasoning
    message["role"] = "assistant"
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "function": {"name": call.name, "arguments": "".join(pieces(call.arguments))},
                "index": index,
                "id": call.id,
                "type": "function",
            }
            for index, call in enumerate(reply.tool_calls)
        ]
    choice = {"finish_reason": finish_of(reply, quirks), "message": message} | dict(reply.choice_extra)
    return dump(_body(choice, _beside(reply, quirks), usage_keys(usage, quirks), request_id)).encode()


def stream(reply: Reply, ask: ChatRequest, quirks: Quirks, request_id: str, usage: dict[str, int]) -> list[bytes]:
    """The events of a streamed answer; the last one has the finish reason, nothing follows it."""
    thinks = bool(shown(reply, quirks)[0])
    deltas = plan(reply, quirks, "native")
    if ask.cumulative:
        deltas = _all_so_far(deltas)
    last_text = max((n for n, delta in enumerate(deltas) if delta.text), default=None)
    events = []
    for number, delta in enumerate(deltas):
        message = _message(delta, reply.content_extra if number == last_text else {}, quirks, thinks=thinks)
        unfinished = None if quirks.finish_null_string is False else "null"
        choice: dict[str, Any] = {"message": message, "finish_reason": delta.finish or unfinished}
        if quirks.finish_missing_key and not delta.finish:
            del choice["finish_reason"]
        if delta.text:
            choice |= dict(reply.choice_extra)
        written = usage_keys(usage_so_far(delta, usage), quirks) if _has_usage(delta, quirks) else None
        beside = _beside(reply, quirks) if number == 0 else {}
        body = _body(choice, beside, written, request_id)
        events.append(event("native", quirks, body, head=_head(number + 1, "result", 200)))
    return events


def usage_keys(usage: Mapping[str, int], quirks: Quirks) -> dict[str, Any]:
    """The usage in this API's words."""
    prompt, completion, reasoning = usage["prompt"], usage["completion"], usage["reasoning"]
    media = {f"{kind}_tokens": usage[kind] for kind in ("image", "video") if kind in usage}
    output = {"text_tokens": completion}
    if reasoning and not quirks.no_reasoning_tokens:
        output = {"reasoning_tokens": reasoning, "text_tokens": completion - reasoning}
    details: dict[str, Any] = {
        "input_tokens_details": media | {"text_tokens": prompt - sum(media.values())},
        "output_tokens_details": output,
    }
    if "cached" in usage or quirks.empty_cache_details:
        details["prompt_tokens_details"] = {"cached_tokens": usage["cached"]} if "cached" in usage else {}
    if quirks.usage_details_empty:
        details = {key: {} for key in details}
    written = {} if quirks.usage_details_absent else details
    written |= {"total_tokens": prompt + completion, "output_tokens": completion, "input_tokens": prompt} | media
    if quirks.no_total_tokens:
        del written["total_tokens"]
    return written


def error_body(problem: ApiError, quirks: Quirks, request_id: str) -> dict[str, Any]:
    """The JSON of an error, alone or in a stream."""
    code = problem.status if quirks.integer_error_code else problem.native_code
    body = {"code": code, "message": problem.text, "request_id": request_id}
    if quirks.no_request_id:
        del body["request_id"]
    return body


def error_event(problem: ApiError, quirks: Quirks, request_id: str, *, number: int = 1) -> bytes:
    """An error inside a stream; its status stands in a comment line only."""
    body = error_body(problem, quirks, request_id)
    payload = broken(dump(body)) if quirks.broken_error else body
    return event("native", quirks, payload, head=_head(number, "error", problem.status))


def _head(number: int, kind: str, status: int) -> Sequence[str]:
    return (f"id:{number}", f"event:{kind}", f":HTTP_STATUS/{status}")


def _body(
    choice: dict[str, Any], beside: Mapping[str, Any], usage: dict[str, Any] | None, request_id: str
) -> dict[str, Any]:
    body: dict[str, Any] = {"output": {"choices": [choice]} | dict(beside)}
    if usage is not None:
        body["usage"] = usage
    return body | {"request_id": request_id}


def _beside(reply: Reply, quirks: Quirks) -> dict[str, Any]:
    return ({"search_info": SEARCH_INFO} if quirks.search_info else {}) | dict(reply.extra)


def _has_usage(delta: Delta, quirks: Quirks) -> bool:
    if quirks.no_usage:
        return False
    return quirks.usage_every_chunk is not False or bool(delta.finish)


def _content(text: str | None, extra: Mapping[str, Any], quirks: Quirks) -> dict[str, Any]:
    if text is not None:
        return {"content": [dict(extra) | {"text": text}]}
    if extra:
        return {"content": [dict(extra)]}
    if quirks.content_mode == "missing":
        return {}
    return {"content": _EMPTY_CONTENT[quirks.content_mode or "list"]}


def _message(delta: Delta, extra: Mapping[str, Any], quirks: Quirks, *, thinks: bool) -> dict[str, Any]:
    message = _content(delta.text, extra, quirks)
    key = quirks.reasoning_key.replace("both", "reasoning_content")
    if delta.reasoning is not None:
        message[key] = delta.reasoning
    elif thinks and quirks.answer_reasoning in ("null", "empty"):
        message[key] = "" if quirks.answer_reasoning == "empty" else None
    message["role"] = "assistant"
    if delta.calls:
        message["tool_calls"] = [fragment_keys(fragment, quirks) for fragment in delta.calls]
    elif quirks.empty_tool_calls:
        message["tool_calls"] = []
    return message


def _all_so_far(deltas: list[Delta]) -> list[Delta]:
    """Cumulative output: every event repeats what the events before it said."""
    whole_deltas: list[Delta] = []
    reasoning, text = "", ""
    calls: dict[int, Fragment] = {}
    for delta in deltas:
        reasoning += delta.reasoning or ""
        text += delta.text or ""
        for piece in delta.calls:
            seen = calls.get(piece.index)
            grown = replace(seen, arguments=seen.arguments + piece.arguments) if seen else piece
            calls[piece.index] = grown
        whole_deltas.append(replace(delta, reasoning=reasoning or None, text=text or None, calls=tuple(calls.values())))
    return whole_deltas

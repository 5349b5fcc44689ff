"""Check a reply against the demand of its request, and for being usable at all.

All functions are pure. They need no loop around them: `normalize_reply` and `find_fault` apply to the reply of any
prepared request, such as one of a batch, and `build_output_error` turns a fault into the error.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Literal

from qwenvl_core.errors import QwenVLOutputError
from qwenvl_core.parsing.json_answer import describe_empty_answer
from qwenvl_core.parsing.json_stream import JsonSplitter
from qwenvl_core.parsing.text_calls import read_text_call
from qwenvl_core.request.forced_output import list_tool_names
from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.request import Demand, PreparedRequest
from qwenvl_core.types.tool_arguments import parse_tool_calls
from qwenvl_core.wire.tool_names import read_caller_names

_RAISE_LIMIT = "Raise max_tokens=, or limit the thinking with thinking_budget=."
_EMPTY_HINT = (
    "Try again, raise max_tokens= or limit the thinking with thinking_budget=: a model may use up its tokens with "
    "thinking."
)
_MAX_QUOTED = 200  # characters of a model's output in a message


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a reply.

    Attributes:
        kind: `missing`: another output than the required one · `malformed`: only calls whose arguments are no JSON
            object · `cut`: cut off within its output · `short`: cut off before its output ·
            `empty`: neither text nor call.
        reason: A sentence without its full stop, for an error or an adjustment.
        is_error: Whether a call that ends with this reply fails. If not, the reply is returned and the fault reported.
    """

    kind: Literal["missing", "malformed", "cut", "short", "empty"]
    reason: str
    is_error: bool = True


def find_callable_names(prepared: PreparedRequest) -> list[str]:
    """Return the names of the tools that may be called by text: none where JSON is required or calls are off.

    The names that are sent follow the caller's where they differ: the model knows only the former.
    """
    settings = prepared.settings
    is_json = prepared.demand is not None and prepared.demand.kind == "json"
    if is_json or settings.tool_choice == "none":
        return []
    return [*list_tool_names(settings), *read_caller_names(settings.tools)]


def normalize_reply(prepared: PreparedRequest, reply: Reply) -> Reply:
    """Turn a call that was written as text into a call, and take the words around required JSON off its text."""
    if prepared.demand and prepared.demand.kind == "json":
        return _isolate_json(reply, prepared.demand)
    names = [] if reply.tool_calls else find_callable_names(prepared)
    call = read_text_call(reply.text, names) if names else None
    if call is None:
        return reply
    name = read_caller_names(prepared.settings.tools).get(call.name, call.name)
    tool_call = ToolCall(f"call_{reply.finish.reply_id or uuid.uuid4().hex}_text", name, call.arguments)
    note = f"the answer, a call of {name} that was written as text, is returned as a tool call"
    finish = reply.finish._replace(adjustments=(*reply.finish.adjustments, note))
    return replace(reply, text="", tool_calls=(tool_call,), finish=finish)


def _isolate_json(reply: Reply, demand: Demand) -> Reply:
    splitter = JsonSplitter(demand.types)
    splitter.push(reply.text)
    if not splitter.has_begun:
        return reply
    words = [splitter.words_before]
    text = splitter.json_text
    if is_valid_json(splitter):
        words.append(splitter.words_after)
    else:
        text += splitter.raw_after
    return replace(reply, text=text, reasoning=join_paragraphs(reply.reasoning, *words))


def is_valid_json(splitter: JsonSplitter) -> bool:
    """Return whether the JSON of a whole answer is one value of the accepted types."""
    try:
        splitter.parse()
    except ValueError:
        return False
    return True


def join_paragraphs(first: str, *others: str) -> str:
    """Join texts by blank lines; the first one is kept as it is, empty others are left out."""
    return "\n\n".join([part for part in (first, *(other.strip() for other in others)) if part])


def find_fault(prepared: PreparedRequest, reply: Reply) -> Fault | None:
    """Return what is wrong with a reply, `None` for a reply that keeps the demand and is usable.

    Args:
        prepared: The request.
        reply: Its reply, after `normalize_reply`.
    """
    demand = prepared.demand
    if demand is None or not demand.is_checked:
        return _find_unusable(prepared, reply)
    whole = [call for call, arguments in parse_tool_calls(reply) if arguments is not None]
    offered = list_tool_names(prepared.settings)
    accepted = [demand.tool] if demand.tool else offered
    if any(call.name in accepted or not accepted for call in whole):  # a call without tools is an answer to JSON
        return None
    if reply.tool_calls and not whole:
        return _find_broken_call(reply)
    if demand.kind == "json":
        return _find_json_fault(reply, demand)
    if whole:
        names = ", ".join(dict.fromkeys(call.name for call in whole))
        return Fault("missing", f"The model did not call {demand.tool or ' or '.join(offered)}; it called {names}")
    return _find_missing_call(reply, demand)


def _find_unusable(prepared: PreparedRequest, reply: Reply) -> Fault | None:
    """Return the fault of a reply that holds nothing usable."""
    has_tools = bool(prepared.settings.tools)
    calls = parse_tool_calls(reply)
    if reply.text.strip() or any(arguments is not None for _, arguments in calls):
        return None
    if calls:
        return _find_broken_call(reply) if has_tools else None
    is_continued = bool(prepared.messages) and prepared.messages[-1].partial
    if is_continued or reply.finish.ocr_result is not None:
        return None
    if reply.finish.finish_reason == "length":
        return Fault("short", "The reply was cut off by max_tokens before any text or tool call") if has_tools else None
    if has_tools or reply.reasoning or prepared.enable_thinking:
        return Fault("empty", "The reply has neither text nor a tool call", is_error=has_tools)
    return None


def _find_broken_call(reply: Reply) -> Fault:
    """Return the fault of a reply whose calls are all broken."""
    call = reply.tool_calls[-1]
    if reply.finish.finish_reason == "length":
        return Fault("cut", f"The call of {call.name} was cut off by max_tokens, so its arguments are incomplete")
    arguments = _quote(call.arguments)
    return Fault("malformed", f"The arguments of the call of {call.name} are not a JSON object: {arguments}")


def _find_missing_call(reply: Reply, demand: Demand) -> Fault:
    start = f"The model did not call {demand.tool}: it called no tool" if demand.tool else "The model called no tool"
    if reply.finish.finish_reason == "length":
        return Fault("short", f"{start}, and the reply was cut off by max_tokens")
    if not reply.text.strip():
        return Fault("empty", f"{start}, and the reply is empty")
    return Fault("missing", f"{start}, but answered {_quote(reply.text)}")


def _find_json_fault(reply: Reply, demand: Demand) -> Fault | None:
    splitter = JsonSplitter(demand.types)
    splitter.push(reply.text)
    if reply.finish.finish_reason == "length" and not splitter.has_ended:
        if splitter.has_begun:
            return Fault("cut", "The JSON was cut off by max_tokens")
        return Fault("short", "The reply was cut off by max_tokens before any JSON")
    if not reply.text.strip():
        return Fault("empty", describe_empty_answer(reply.reasoning, truncated=False).removesuffix("."))
    try:
        value = splitter.parse()
    except ValueError as error:
        return Fault("missing", f"The answer is not valid JSON ({error})")
    missing = [key for key in demand.required if isinstance(value, dict) and key not in value]
    return Fault("missing", f"The JSON lacks the required keys {', '.join(missing)}") if missing else None


def _quote(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…")


def build_output_error(prepared: PreparedRequest, reply: Reply, fault: Fault, text: str) -> QwenVLOutputError:
    """Build the error of a call that ends with an unusable reply.

    Args:
        prepared: The last request of the call.
        reply: The whole reply of the call.
        fault: What is wrong with it.
        text: The text as the model wrote it, for `partial`; without any, the arguments of the last call are used.
    """
    demand = prepared.demand
    required = f": {demand.description}" if demand and demand.is_checked else ""
    count = f" ({prepared.attempt + 1} requests)" if prepared.attempt else ""
    hints = {"cut": _RAISE_LIMIT, "short": _RAISE_LIMIT, "empty": _EMPTY_HINT}
    error = QwenVLOutputError(
        f"{fault.reason}{count}{required}.",
        request_id=reply.finish.request_id or None,
        partial=text or (reply.tool_calls[-1].arguments if reply.tool_calls else ""),
        hint=hints.get(fault.kind),
    )
    error.reasoning = reply.reasoning
    error.finish = reply.finish
    return error

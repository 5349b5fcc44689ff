"""Build the request that follows an unusable reply.

`plan_follow_up` is a pure function from a prepared request and its reply to the next prepared request, or none. The
next request continues the conversation: the messages of the first as they were sent (fitted and uploaded media
included), the reply as an assistant message, and a user message that asks again.
"""

from __future__ import annotations

from dataclasses import replace

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.request import thinking
from qwenvl_core.request.reply_check import Fault
from qwenvl_core.types.messages import Message, TextPart
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.wire.tool_names import to_wire_name


def plan_follow_up(prepared: PreparedRequest, reply: Reply, fault: Fault, facts: ModelFacts) -> PreparedRequest | None:
    """Return the request that follows an unusable reply; `None` if none does.

    Args:
        prepared: The request.
        reply: Its reply.
        fault: What is wrong with the reply.
        facts: Facts of the model.
    """
    if not _may_follow(prepared, fault):
        return None
    following = _choose_request(prepared, fault, facts)
    mode = ", without thinking" if prepared.enable_thinking and not following.enable_thinking else ""
    request_id = f" (request id {reply.finish.request_id})" if reply.finish.request_id else ""
    notes = [note for note in following.adjustments if note not in prepared.adjustments]
    return replace(
        following,
        messages=(*prepared.messages, *_build_context(prepared, reply, fault, facts)),
        settings=replace(following.settings, tools=prepared.settings.tools),
        demand=prepared.demand,
        forced=None,
        attempt=prepared.attempt + 1,
        adjustments=(*prepared.adjustments, f"sent another request{mode}: {fault.reason}{request_id}", *notes),
    )


def _may_follow(prepared: PreparedRequest, fault: Fault) -> bool:
    """Return whether another request may follow.

    A reply that was cut off within its output is never asked for again: an output must not become whole by chance. A
    request that only asked for its demand is followed by another one even if nothing else is.
    """
    retries = prepared.settings.output_retries
    if prepared.demand and prepared.demand.is_repeated:
        return fault.kind != "cut" and prepared.attempt < max(1, retries)
    return fault.kind in ("malformed", "empty") and prepared.attempt < retries


def _choose_request(prepared: PreparedRequest, fault: Fault, facts: ModelFacts) -> PreparedRequest:
    """Choose between the request that forces the demand, one without thinking, and the same again."""
    if prepared.forced:
        return prepared.forced
    if fault.kind == "empty" and prepared.enable_thinking:
        silent = replace(prepared, enable_thinking=False)
        silent = replace(silent, stream=thinking.must_stream(silent, facts))
        return thinking.drop_thinking_limits(silent, facts)
    return prepared


def _build_context(prepared: PreparedRequest, reply: Reply, fault: Fault, facts: ModelFacts) -> tuple[Message, ...]:
    """Build the assistant message with the reply, if it has any text, and the user message that asks again."""
    request = Message("user", (TextPart(_build_instruction(prepared, fault)),))
    text = reply.text.strip()
    reasoning = reply.reasoning.strip()
    if text:
        kept = reply.reasoning if thinking.should_send_reasoning(prepared.settings, facts) else ""
        return (Message("assistant", (TextPart(text),), reasoning=kept), request)
    return (Message("assistant", (TextPart(reasoning),)), request) if reasoning else (request,)


def _build_instruction(prepared: PreparedRequest, fault: Fault) -> str:
    demand = prepared.demand
    if fault.kind == "malformed":
        return "The arguments of your tool call were not one JSON object. Call the tool again."
    if demand and demand.kind == "json":
        if prepared.settings.tools and prepared.settings.tool_choice != "none":
            return "Now call a tool, or answer with the JSON only."
        return "Now answer with the JSON only."
    if demand:
        return f"Now call the tool {to_wire_name(demand.tool)}." if demand.tool else "Now answer with a tool call."
    return "Now answer, or call a tool." if prepared.settings.tools else "Now answer."

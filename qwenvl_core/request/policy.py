"""Adapt a request to the rules of the service.

The service rejects some combinations that frameworks request often: a forced tool or JSON output while the model
thinks, media in a tool result, a reply that is not streamed from a model that only streams. `prepare` resolves each for
one request. It is a pure function, and it reports every change that the caller should know of in `adjustments`.

Sources: the vendor's pages "Visual reasoning", "Structured output" and "Error codes" (the texts of the refusals).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import (
    forced_output,
    provider_policy,
    thinking,
    tool_media,
    tool_order,
    tool_support,
    validation,
)
from qwenvl_core.types.messages import Message, Part, Role, TextPart
from qwenvl_core.types.request import PreparedRequest, Request


def prepare(request: Request, facts: ModelFacts) -> PreparedRequest:
    """Apply the rules of the service to a request.

    Args:
        request: The request.
        facts: Facts of its model.

    Returns:
        The request to send, with its adjustments.

    Raises:
        QwenVLInputError: A setting has no valid value, or the caller explicitly requests what the model can't do.
    """
    validation.check_policy_settings(request.settings)
    prepared = _apply_rules(request, facts)
    demand = prepared.demand
    can_force = demand and demand.is_repeated and (demand.kind == "json" or forced_output.can_force_tool(demand, facts))
    if not (can_force and prepared.enable_thinking):
        return prepared
    # The same rules build both requests, so that they differ in the thinking and its consequences only.
    settings = replace(request.settings, enable_thinking=False)
    forced = _apply_rules(replace(request, messages=prepared.messages, settings=settings), facts)
    return replace(prepared, forced=forced)


def _apply_rules(request: Request, facts: ModelFacts) -> PreparedRequest:
    prepared = PreparedRequest(
        messages=request.messages,
        settings=request.settings,
        enable_thinking=thinking.resolve_thinking(request.settings, facts),
        stream=request.stream,
        is_streamed_to_caller=request.stream,
        adjustments=request.adjustments,
        data_uri_max_bytes=facts.data_uri_max_bytes,
        video_max_bytes=facts.video_max_bytes,
        is_text_only=facts.is_text_only,
    )
    for apply_rule in _RULES:
        prepared = apply_rule(prepared, facts)
    return replace(prepared, stream=thinking.must_stream(prepared, facts))


def _clear_stale_partials(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Clear `partial` of all messages but the last: an earlier one was continued before."""
    last = len(prepared.messages) - 1
    messages = tuple(
        replace(message, partial=False) if message.partial and index != last else message
        for index, message in enumerate(prepared.messages)
    )
    return replace(prepared, messages=messages)


def _disable_thinking_for_partial_message(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Disable thinking where a partial message is continued. Source: a sample of the vendor's Java SDK."""
    if not prepared.messages or not prepared.messages[-1].partial:
        return prepared
    if prepared.messages[-1].role != "assistant":
        raise QwenVLInputError(
            f"messages[{len(prepared.messages) - 1}]: a {prepared.messages[-1].role} message can't be partial. "
            "Only an assistant message can."
        )
    if facts.thinking == "always":
        raise QwenVLInputError(
            f"{prepared.settings.model} always thinks, and a thinking model can't continue a partial message. "
            "Use a hybrid model such as qwen3-vl-plus."
        )
    if not prepared.enable_thinking:
        return prepared
    return prepared.adjust("enable_thinking=False: a partial message can't be continued while thinking",
                   enable_thinking=False)  # fmt: skip


def _report_omissions(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Report content of the caller's messages that is not sent as it is, one sentence for each kind of change."""
    contents: dict[str, list[str]] = {}
    for message in prepared.messages:
        for omission in message.omissions:
            contents.setdefault(omission.change, []).append(omission.content)
    notes = [f"{change}: {'; '.join(items)}" for change, items in contents.items()]
    return replace(prepared, adjustments=(*prepared.adjustments, *notes)) if notes else prepared


def _restore_tool_order(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Put each tool result behind its call, and complete what is missing. Source: QwenLM/qwen-code#315."""
    messages, changes = tool_order.restore_tool_order(prepared.messages)
    return replace(prepared, messages=messages, adjustments=(*prepared.adjustments, *changes))


def _move_media(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Move media of tool and assistant messages, which may hold text only, to user messages."""
    roles: tuple[Role, ...] = ("tool", "assistant")
    if get_provider(prepared.settings.provider).tool_media:
        roles = ("assistant",)
    messages = tool_media.move_media_to_user_message(prepared.messages, roles)
    if len(messages) == len(prepared.messages):
        return prepared
    return prepared.adjust(
        "media of tool results and assistant messages moved to a user message: the service accepts only text there",
        messages=messages,
    )  # fmt: skip


def _write_tools_as_text(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Write calls and results as text for a model without tools: "The tool call is not supported." ("Error codes")."""
    if facts.tools or not facts.known or not any(message.tool_calls for message in prepared.messages):
        return prepared
    return prepared.adjust(
        f"tool calls and results sent as text: {prepared.settings.model} does not support tools",
        messages=tool_support.write_tools_as_text(prepared.messages),
    )


def _add_user_message(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Add a user message to a conversation without one, which the service rejects. Source: "Error codes"."""
    messages = prepared.messages
    if not messages or any(message.role == "user" for message in messages):
        return prepared
    first = next((index for index, message in enumerate(messages) if message.role != "system"), None)
    if first is None:  # instructions alone are what the user asks
        return prepared.adjust(
            "system messages sent as user messages: the service requires a user message",
            messages=tuple(replace(message, role="user") for message in messages),
        )
    beginning = Message("user", (TextPart("(The conversation began before this.)"),))
    return prepared.adjust(
        "user message added before the first answer: the service requires a user message",
        messages=(*messages[:first], beginning, *messages[first:]),
    )


def _fold_system_messages(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Move system messages into the first user message on request, as the vendor advises for plain chats."""
    system = [message for message in prepared.messages if message.role == "system"]
    if not prepared.settings.fold_system_prompt or not system:
        return prepared
    folded = tuple(part for message in system for part in message.parts)
    messages = [message for message in prepared.messages if message.role != "system"]
    first = next((index for index, message in enumerate(messages) if message.role == "user"), None)
    if first is None:
        messages.insert(0, Message("user", folded))
    else:
        messages[first] = replace(messages[first], parts=_prepend_system(folded, messages[first].parts))
    return prepared.adjust("system messages folded into the first user message", messages=tuple(messages))


def _prepend_system(system: tuple[Part, ...], parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Put system text in front of a user's parts, in one text part with the user's text where that comes first."""
    texts = [part.text for part in system if isinstance(part, TextPart) and not part.cache]
    if len(texts) < len(system):  # media and cache markers must keep their order
        return (*system, *parts)
    text = "\n\n".join(texts)
    if parts and isinstance(parts[0], TextPart):
        return (replace(parts[0], text=f"{text}\n\n{parts[0].text}"), *parts[1:])
    return (TextPart(text), *parts)


_RULES: tuple[Callable[[PreparedRequest, ModelFacts], PreparedRequest], ...] = (
    _report_omissions,
    _restore_tool_order,
    _clear_stale_partials,
    provider_policy.check_demands,
    provider_policy.drop_implied_settings,
    provider_policy.drop_unwanted_tools,
    provider_policy.continue_last_message,
    thinking.resolve_effort,
    _disable_thinking_for_partial_message,
    forced_output.resolve_forced_tool,
    forced_output.resolve_json_output,
    forced_output.move_json_schema_to_prompt,
    forced_output.widen_json_object,
    forced_output.add_json_word,
    thinking.drop_thinking_limits,
    thinking.report_raised_temperature,
    thinking.drop_earlier_reasoning,
    _write_tools_as_text,
    _move_media,
    _fold_system_messages,
    _add_user_message,
    provider_policy.join_system_messages,
    provider_policy.report_unsaid_thinking,
    provider_policy.report_renamed_length,
    provider_policy.convert_media,
)
"""The rules in the order in which they are applied: later ones use the results of earlier ones."""

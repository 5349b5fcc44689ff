"""Policy: from what the caller asks for to what the service accepts, as one pure function.

The service refuses some combinations that frameworks ask for all the time: a forced tool or JSON output while the model
thinks, media in a tool result, one whole reply from a model that only streams. `apply` resolves each for the one
request at hand, mutates nothing, and tells what it changed.

Sources: the vendor's pages "Visual reasoning", "Structured output" and "Error codes" (the refusals' texts).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import tool_messages
from qwenvl_core.types.messages import Message, Part, Text
from qwenvl_core.types.request import Plan, Request
from qwenvl_core.types.settings import NamedTool, Settings


def apply(request: Request, facts: ModelFacts) -> Plan:
    """What to send for `request` to a model with these `facts`.

    Raises:
        QwenVLInputError: The caller explicitly asks for what the model can't do.
    """
    _check(request.settings)
    plan = Plan(
        messages=_without_stale_partials(request.messages),
        settings=request.settings,
        enable_thinking=_enable_thinking(request.settings, facts),
        stream=request.stream,
    )
    for rule in (_partial, _forced_tool, _json_output, _json_schema, _json_word, _thinking_budget,
                 _reasoning_history, _call_ids, _unanswered_calls, _tool_media, _fold_system):  # fmt: skip
        plan = rule(plan, facts)
    return replace(plan, stream=plan.stream or facts.stream_only or _thinks(plan, facts))


def _check(settings: Settings) -> None:
    budget: object = settings.thinking_budget  # of a call it may be anything
    if budget is not None and (not isinstance(budget, int) or budget < 1):
        raise QwenVLInputError(f"thinking_budget={budget!r}: this is a positive whole number of tokens.")
    if settings.forced_tool_choice not in ("no_thinking", "auto"):
        raise QwenVLInputError(
            f'forced_tool_choice must be "no_thinking" or "auto", not {settings.forced_tool_choice!r}.'
        )


def _enable_thinking(settings: Settings, facts: ModelFacts) -> bool | None:
    wanted, said_by = settings.enable_thinking, settings.thinking_set_by
    match facts.thinking:
        case "hybrid":
            return wanted
        case "always":
            if not wanted and said_by != "default":
                raise QwenVLInputError(
                    f"{settings.model} always thinks: enable_thinking=False is impossible. "
                    "Leave it out, or take a hybrid model such as qwen3-vl-plus."
                )
            return None
        case "never":
            if wanted and said_by == "call":
                raise QwenVLInputError(
                    f"{settings.model} does not think: enable_thinking=True is impossible. "
                    "Leave it out, or take a hybrid model such as qwen3-vl-plus."
                )
            return None
        case _:
            return None if said_by == "default" else wanted


def _thinks(plan: Plan, facts: ModelFacts) -> bool:
    return facts.thinking == "always" or bool(plan.enable_thinking)


def _adjust(plan: Plan, note: str, /, **changes: object) -> Plan:
    return replace(plan, adjustments=(*plan.adjustments, note), **changes)  # type: ignore[arg-type]


def _without_stale_partials(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Only the last message can be continued; the mark on an earlier one has done its work."""
    last = len(messages) - 1
    return tuple(
        replace(message, partial=False) if message.partial and position != last else message
        for position, message in enumerate(messages)
    )


def _partial(plan: Plan, facts: ModelFacts) -> Plan:
    """A partial answer can't be continued while thinking."""
    if not plan.messages or not plan.messages[-1].partial:
        return plan
    if plan.messages[-1].role != "assistant":
        raise QwenVLInputError(
            f"messages[{len(plan.messages) - 1}]: only an assistant message can be partial, "
            f"not a {plan.messages[-1].role} message."
        )
    if facts.thinking == "always":
        raise QwenVLInputError(
            f"{plan.settings.model} always thinks, and a thinking model can't continue a partial message."
        )
    if not plan.enable_thinking:
        return plan
    return _adjust(plan, "enable_thinking=False: a partial message can't be continued while thinking",
                   enable_thinking=False)  # fmt: skip


def _forced_tool(plan: Plan, facts: ModelFacts) -> Plan:
    """A tool can't be forced while thinking."""
    choice = plan.settings.tool_choice
    forced = choice == "required" or isinstance(choice, NamedTool)
    if not forced or not plan.settings.tools or not _thinks(plan, facts):
        return plan
    said = repr(choice.name) if isinstance(choice, NamedTool) else "'required'"
    if facts.thinking == "always" or plan.settings.forced_tool_choice == "auto":
        return _adjust(
            plan,
            f"tool_choice='auto' instead of {said}: a tool can't be forced while thinking",
            settings=replace(plan.settings, tool_choice="auto"),
            needs_tool_call=f"tool_choice {said} could only be asked for as 'auto' while {plan.settings.model} thinks",
        )
    return _adjust(plan, f"enable_thinking=False: tool_choice {said} is refused while thinking", enable_thinking=False)


def _json_type(settings: Settings) -> str | None:
    kind = (settings.response_format or {}).get("type")
    return kind if kind in ("json_object", "json_schema") else None


def _json_output(plan: Plan, facts: ModelFacts) -> Plan:
    """JSON output needs a model that offers it, and that does not think."""
    kind = _json_type(plan.settings)
    if kind is None:
        return plan
    if facts.thinking == "always" or not (facts.json_object or facts.json_schema):
        why = "always thinks" if facts.thinking == "always" else "has no JSON mode"
        return _adjust(
            plan,
            f"response_format {kind} not sent: {plan.settings.model} {why}; the prompt asks for it instead",
            messages=_instructed(plan),
            settings=replace(plan.settings, response_format=None),
            needs_json=f"{plan.settings.model} {why}, so it could only be asked for JSON in the prompt",
        )
    if plan.enable_thinking:
        return _adjust(
            plan,
            f"enable_thinking=False: response_format {kind} is refused while thinking",
            enable_thinking=False,
        )
    return plan


def _json_schema(plan: Plan, facts: ModelFacts) -> Plan:
    """A model without JSON schemas gets a JSON object and the schema in the prompt."""
    if _json_type(plan.settings) != "json_schema" or facts.json_schema:
        return plan
    return _adjust(
        plan,
        f"response_format json_object instead of json_schema: {plan.settings.model} takes no schema; "
        "the prompt has it instead",
        messages=_instructed(plan),
        settings=replace(plan.settings, response_format={"type": "json_object"}),
    )


def _json_word(plan: Plan, facts: ModelFacts) -> Plan:
    """JSON mode demands the word "json" in the prompt."""
    if _json_type(plan.settings) is None or any("json" in message.text.lower() for message in plan.messages):
        return plan
    return _adjust(
        plan,
        'the prompt asks for JSON: response_format demands the word "json" in it',
        messages=_instructed(plan),
    )


def _instructed(plan: Plan) -> tuple[Message, ...]:
    """The messages, the last of the user's ending with the demand for JSON and the schema, if there is one."""
    described = (plan.settings.response_format or {}).get("json_schema")
    schema = described.get("schema") if isinstance(described, Mapping) else None
    demand = "Answer with one JSON object and nothing else."
    if schema:
        demand += f" It must match this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
    messages = list(plan.messages)
    position = next((at for at in reversed(range(len(messages))) if messages[at].role == "user"), None)
    if position is None:
        return (*messages, Message("user", (Text(demand),)))
    messages[position] = replace(messages[position], parts=_with_text_last(messages[position].parts, demand))
    return tuple(messages)


def _with_text_last(parts: tuple[Part, ...], text: str) -> tuple[Part, ...]:
    if parts and isinstance(parts[-1], Text):
        return (*parts[:-1], replace(parts[-1], text=f"{parts[-1].text}\n\n{text}"))
    return (*parts, Text(text))


def _thinking_budget(plan: Plan, facts: ModelFacts) -> Plan:
    """The budget means nothing, or is refused, where nothing thinks."""
    if plan.settings.thinking_budget is None or facts.thinking == "unknown" or _thinks(plan, facts):
        return plan
    return _adjust(
        plan,
        "thinking_budget not sent: this request does not think",
        settings=replace(plan.settings, thinking_budget=None),
    )


def _reasoning_history(plan: Plan, facts: ModelFacts) -> Plan:
    """Earlier reasoning is sent back only on demand; models that do not use it ignore it."""
    if plan.settings.preserve_thinking:
        return plan
    messages = tuple(replace(message, reasoning="") if message.reasoning else message for message in plan.messages)
    return replace(plan, messages=messages)


def _call_ids(plan: Plan, facts: ModelFacts) -> Plan:
    """Each call has an id, by which its result is known."""
    return replace(plan, messages=tool_messages.with_ids(plan.messages))


def _unanswered_calls(plan: Plan, facts: ModelFacts) -> Plan:
    """Each call needs a result."""
    messages = tool_messages.with_results(plan.messages)
    if len(messages) == len(plan.messages):
        return plan
    return _adjust(
        plan, "tool calls without a result answered as not executed: the service demands a result of each",
        messages=messages,
    )  # fmt: skip


def _tool_media(plan: Plan, facts: ModelFacts) -> Plan:
    """A tool message takes text only: media follow in one user message behind the run of tool messages."""
    messages = tool_messages.with_media_behind(plan.messages)
    if len(messages) == len(plan.messages):
        return plan
    return _adjust(
        plan, "media of tool results moved to a user message: the service takes text only from a tool",
        messages=messages,
    )  # fmt: skip


def _fold_system(plan: Plan, facts: ModelFacts) -> Plan:
    """On demand, system messages open the first user message, as the vendor advises for plain chats."""
    system = [message for message in plan.messages if message.role == "system"]
    if not plan.settings.fold_system_prompt or not system:
        return plan
    folded = tuple(part for message in system for part in message.parts)
    messages = [message for message in plan.messages if message.role != "system"]
    first = next((at for at, message in enumerate(messages) if message.role == "user"), None)
    if first is None:
        messages.insert(0, Message("user", folded))
    else:
        messages[first] = replace(messages[first], parts=_joined(folded, messages[first].parts))
    return _adjust(plan, "system messages folded into the first user message", messages=tuple(messages))


def _joined(system: tuple[Part, ...], parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """System text in front of a user's parts; joined with the user's text where that comes first."""
    words = [part.text for part in system if isinstance(part, Text) and not part.cache]
    if len(words) < len(system):  # media, or cache markers: these keep their places
        return (*system, *parts)
    text = "\n\n".join(words)
    if parts and isinstance(parts[0], Text):
        return (replace(parts[0], text=f"{text}\n\n{parts[0].text}"), *parts[1:])
    return (Text(text), *parts)

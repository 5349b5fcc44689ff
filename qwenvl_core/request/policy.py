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
from qwenvl_core.types.messages import Message, Part, TextPart
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.types.settings import ModelSettings, NamedTool


def prepare(request: Request, facts: ModelFacts) -> PreparedRequest:
    """What to send for `request` to a model with these `facts`.

    Raises:
        QwenVLInputError: The caller explicitly asks for what the model can't do.
    """
    _check(request.settings)
    prepared = PreparedRequest(
        messages=_without_stale_partials(request.messages),
        settings=request.settings,
        enable_thinking=_enable_thinking(request.settings, facts),
        stream=request.stream,
    )
    for rule in (_partial, _forced_tool, _json_output, _json_schema, _json_word, _thinking_budget,
                 _reasoning_history, _call_ids, _unanswered_calls, _tool_media, _fold_system):  # fmt: skip
        prepared = rule(prepared, facts)
    return replace(prepared, stream=prepared.stream or facts.stream_only or _thinks(prepared, facts))


def _check(settings: ModelSettings) -> None:
    budget: object = settings.thinking_budget  # of a call it may be anything
    if budget is not None and (not isinstance(budget, int) or budget < 1):
        raise QwenVLInputError(f"thinking_budget={budget!r}: this is a positive whole number of tokens.")
    if settings.forced_tool_choice not in ("no_thinking", "auto"):
        raise QwenVLInputError(
            f'forced_tool_choice must be "no_thinking" or "auto", not {settings.forced_tool_choice!r}.'
        )


def _enable_thinking(settings: ModelSettings, facts: ModelFacts) -> bool | None:
    wanted, said_by = settings.enable_thinking, settings.thinking_source
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


def _thinks(prepared: PreparedRequest, facts: ModelFacts) -> bool:
    return facts.thinking == "always" or bool(prepared.enable_thinking)


def _adjust(prepared: PreparedRequest, note: str, /, **changes: object) -> PreparedRequest:
    return replace(prepared, adjustments=(*prepared.adjustments, note), **changes)  # type: ignore[arg-type]


def _without_stale_partials(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Only the last message can be continued; the mark on an earlier one has done its work."""
    last = len(messages) - 1
    return tuple(
        replace(message, partial=False) if message.partial and position != last else message
        for position, message in enumerate(messages)
    )


def _partial(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """A partial answer can't be continued while thinking."""
    if not prepared.messages or not prepared.messages[-1].partial:
        return prepared
    if prepared.messages[-1].role != "assistant":
        raise QwenVLInputError(
            f"messages[{len(prepared.messages) - 1}]: only an assistant message can be partial, "
            f"not a {prepared.messages[-1].role} message."
        )
    if facts.thinking == "always":
        raise QwenVLInputError(
            f"{prepared.settings.model} always thinks, and a thinking model can't continue a partial message."
        )
    if not prepared.enable_thinking:
        return prepared
    return _adjust(prepared, "enable_thinking=False: a partial message can't be continued while thinking",
                   enable_thinking=False)  # fmt: skip


def _forced_tool(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """A tool can't be forced while thinking."""
    choice = prepared.settings.tool_choice
    forced = choice == "required" or isinstance(choice, NamedTool)
    if not forced or not prepared.settings.tools or not _thinks(prepared, facts):
        return prepared
    said = repr(choice.name) if isinstance(choice, NamedTool) else "'required'"
    if facts.thinking == "always" or prepared.settings.forced_tool_choice == "auto":
        return _adjust(
            prepared,
            f"tool_choice='auto' instead of {said}: a tool can't be forced while thinking",
            settings=replace(prepared.settings, tool_choice="auto"),
            needs_tool_call=(
                f"tool_choice {said} could only be asked for as 'auto' while {prepared.settings.model} thinks"
            ),
        )
    return _adjust(
        prepared, f"enable_thinking=False: tool_choice {said} is refused while thinking", enable_thinking=False
    )


def _json_type(settings: ModelSettings) -> str | None:
    kind = (settings.response_format or {}).get("type")
    return kind if kind in ("json_object", "json_schema") else None


def _json_output(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """JSON output needs a model that offers it, and that does not think."""
    kind = _json_type(prepared.settings)
    if kind is None:
        return prepared
    if facts.thinking == "always" or not (facts.json_object or facts.json_schema):
        why = "always thinks" if facts.thinking == "always" else "has no JSON mode"
        return _adjust(
            prepared,
            f"response_format {kind} not sent: {prepared.settings.model} {why}; the prompt asks for it instead",
            messages=_instructed(prepared),
            settings=replace(prepared.settings, response_format=None),
            needs_json=f"{prepared.settings.model} {why}, so it could only be asked for JSON in the prompt",
        )
    if prepared.enable_thinking:
        return _adjust(
            prepared,
            f"enable_thinking=False: response_format {kind} is refused while thinking",
            enable_thinking=False,
        )
    return prepared


def _json_schema(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """A model without JSON schemas gets a JSON object and the schema in the prompt."""
    if _json_type(prepared.settings) != "json_schema" or facts.json_schema:
        return prepared
    return _adjust(
        prepared,
        f"response_format json_object instead of json_schema: {prepared.settings.model} takes no schema; "
        "the prompt has it instead",
        messages=_instructed(prepared),
        settings=replace(prepared.settings, response_format={"type": "json_object"}),
    )


def _json_word(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """JSON mode demands the word "json" in the prompt."""
    if _json_type(prepared.settings) is None or any("json" in message.text.lower() for message in prepared.messages):
        return prepared
    return _adjust(
        prepared,
        'the prompt asks for JSON: response_format demands the word "json" in it',
        messages=_instructed(prepared),
    )


def _instructed(prepared: PreparedRequest) -> tuple[Message, ...]:
    """The messages, the last of the user's ending with the demand for JSON and the schema, if there is one."""
    described = (prepared.settings.response_format or {}).get("json_schema")
    schema = described.get("schema") if isinstance(described, Mapping) else None
    demand = "Answer with one JSON object and nothing else."
    if schema:
        demand += f" It must match this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
    messages = list(prepared.messages)
    position = next((at for at in reversed(range(len(messages))) if messages[at].role == "user"), None)
    if position is None:
        return (*messages, Message("user", (TextPart(demand),)))
    messages[position] = replace(messages[position], parts=_with_text_last(messages[position].parts, demand))
    return tuple(messages)


def _with_text_last(parts: tuple[Part, ...], text: str) -> tuple[Part, ...]:
    if parts and isinstance(parts[-1], TextPart):
        return (*parts[:-1], replace(parts[-1], text=f"{parts[-1].text}\n\n{text}"))
    return (*parts, TextPart(text))


def _thinking_budget(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """The budget means nothing, or is refused, where nothing thinks."""
    if prepared.settings.thinking_budget is None or facts.thinking == "unknown" or _thinks(prepared, facts):
        return prepared
    return _adjust(
        prepared,
        "thinking_budget not sent: this request does not think",
        settings=replace(prepared.settings, thinking_budget=None),
    )


def _reasoning_history(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Earlier reasoning is sent back only on demand; models that do not use it ignore it."""
    if prepared.settings.preserve_thinking:
        return prepared
    messages = tuple(replace(message, reasoning="") if message.reasoning else message for message in prepared.messages)
    return replace(prepared, messages=messages)


def _call_ids(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Each call has an id, by which its result is known."""
    return replace(prepared, messages=tool_messages.assign_call_ids(prepared.messages))


def _unanswered_calls(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Each call needs a result."""
    messages = tool_messages.add_missing_results(prepared.messages)
    if len(messages) == len(prepared.messages):
        return prepared
    return _adjust(
        prepared, "tool calls without a result answered as not executed: the service demands a result of each",
        messages=messages,
    )  # fmt: skip


def _tool_media(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """A tool message takes text only: media follow in one user message behind the run of tool messages."""
    messages = tool_messages.move_media_to_user_message(prepared.messages)
    if len(messages) == len(prepared.messages):
        return prepared
    return _adjust(
        prepared, "media of tool results moved to a user message: the service takes text only from a tool",
        messages=messages,
    )  # fmt: skip


def _fold_system(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """On demand, system messages open the first user message, as the vendor advises for plain chats."""
    system = [message for message in prepared.messages if message.role == "system"]
    if not prepared.settings.fold_system_prompt or not system:
        return prepared
    folded = tuple(part for message in system for part in message.parts)
    messages = [message for message in prepared.messages if message.role != "system"]
    first = next((at for at, message in enumerate(messages) if message.role == "user"), None)
    if first is None:
        messages.insert(0, Message("user", folded))
    else:
        messages[first] = replace(messages[first], parts=_joined(folded, messages[first].parts))
    return _adjust(prepared, "system messages folded into the first user message", messages=tuple(messages))


def _joined(system: tuple[Part, ...], parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """System text in front of a user's parts; joined with the user's text where that comes first."""
    words = [part.text for part in system if isinstance(part, TextPart) and not part.cache]
    if len(words) < len(system):  # media, or cache markers: these keep their places
        return (*system, *parts)
    text = "\n\n".join(words)
    if parts and isinstance(parts[0], TextPart):
        return (replace(parts[0], text=f"{text}\n\n{parts[0].text}"), *parts[1:])
    return (TextPart(text), *parts)

"""Resolve what a request says of thinking: whether the model thinks, how much, and which reasoning it gets back.

Each function is a rule of the policy (`request.policy`), or a question that other modules ask about its outcome.

Sources: the vendor's pages "Visual reasoning", "Deep thinking", "Error codes" and "DashScope API reference".
"""

from __future__ import annotations

from dataclasses import replace

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.catalog.names import is_service_name
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.messages import Message
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import THINKING_OFF, ModelSettings

_EFFORT_ALIASES = {"minimal": "low", "high": "xhigh", "max": "xhigh"}
"""Efforts that the service maps to others. Source: "DashScope API reference"."""


def resolve_thinking(settings: ModelSettings, facts: ModelFacts) -> bool | None:
    """Return the `enable_thinking` to send, `None` for nothing. Source: "Error codes".

    Raises:
        QwenVLInputError: The caller explicitly requests what the model can't do.
    """
    enabled = settings.has_thinking
    # The effort "none" is as explicit as `enable_thinking=False`.
    source = "call" if settings.reasoning_effort == THINKING_OFF else settings.thinking_source
    match facts.thinking:
        case "hybrid":
            return enabled
        case "always":
            if not enabled and source != "default":
                off = "enable_thinking=False"
                if settings.enable_thinking:
                    off = f"reasoning_effort={settings.reasoning_effort!r}"
                raise QwenVLInputError(
                    f"{settings.model} always thinks: {off} is not possible. "
                    "Leave it out, or use a hybrid model such as qwen3-vl-plus."
                )
            return None
        case "never":
            if enabled and source == "call":
                raise QwenVLInputError(
                    f"{settings.model} does not think: enable_thinking=True is not possible. "
                    "Leave it out, or use a hybrid model such as qwen3-vl-plus."
                )
            return None
        case _:
            return None if source == "default" else enabled


def is_thinking(prepared: PreparedRequest, facts: ModelFacts) -> bool:
    """Return whether the model thinks in this request."""
    return facts.thinking == "always" or bool(prepared.enable_thinking)


def must_stream(prepared: PreparedRequest, facts: ModelFacts) -> bool:
    """Return whether the reply is streamed on the wire: always while the model thinks, never in a batch."""
    if prepared.settings.service_tier == "batch":
        return False
    return prepared.is_streamed_to_caller or facts.stream_only or is_thinking(prepared, facts)


def should_send_reasoning(settings: ModelSettings, facts: ModelFacts) -> bool:
    """Return whether earlier reasoning is sent back: as `preserve_thinking` says, else as the model expects."""
    if settings.preserve_thinking is None:
        return facts.preserve_thinking_default
    return settings.preserve_thinking


def resolve_effort(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Replace an alias of an effort by the effort that the model takes; an unknown model gets what the caller set.

    Raises:
        QwenVLInputError: The model does not take the effort.
    """
    effort = prepared.settings.reasoning_effort
    if effort is None or (facts.thinking == "unknown" and effort != THINKING_OFF):
        return prepared
    if effort == THINKING_OFF:  # sent as `enable_thinking: false`
        return replace(prepared, settings=replace(prepared.settings, reasoning_effort=None))
    known = effort if effort in facts.reasoning_efforts else _EFFORT_ALIASES.get(effort)
    if known not in facts.reasoning_efforts:
        raise QwenVLInputError(_describe_effort_error(prepared.settings, facts))
    return replace(prepared, settings=replace(prepared.settings, reasoning_effort=known))


def _describe_effort_error(settings: ModelSettings, facts: ModelFacts) -> str:
    model, wrong = settings.model, f"reasoning_effort={settings.reasoning_effort!r}"
    if facts.reasoning_efforts:
        return f"{wrong} is not supported by {model}. Supported: {_list_efforts(facts)}."
    if facts.thinking == "never":
        return f"{wrong} is not supported by {model}, which does not think. Leave it out, or use qwen3.8-max."
    return (
        f"{wrong} is not supported by {model}, which takes no effort. Limit the thinking with thinking_budget= "
        "(tokens), or use a model that takes efforts, such as qwen3.8-max."
    )


def _list_efforts(facts: ModelFacts) -> str:
    aliases = [
        f"{alias!r} (= {effort!r})" for alias, effort in _EFFORT_ALIASES.items() if effort in facts.reasoning_efforts
    ]
    off = [f"{THINKING_OFF!r} (no thinking)"] if facts.thinking == "hybrid" else []
    return ", ".join([*map(repr, facts.reasoning_efforts), *aliases, *off])


def drop_thinking_limits(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Drop budget and effort from a request without thinking, where they are ignored or rejected."""
    if facts.thinking == "unknown" or is_thinking(prepared, facts):
        return prepared
    settings = prepared.settings
    name = "thinking_budget" if settings.thinking_budget is not None else "reasoning_effort"
    if getattr(settings, name) is None:
        return prepared
    return prepared.adjust(
        f"{name} not sent: thinking is off for this request",
        settings=replace(settings, thinking_budget=None, reasoning_effort=None),
    )


def drop_earlier_reasoning(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Drop earlier reasoning where it is not sent back; models that do not use it ignore it.

    Servers that render the template of the weights get that of the current turn in any case.
    """
    provider = get_provider(prepared.settings.provider)
    if not provider.is_model_studio:
        sends_none = provider.history is None or facts.thinking == "never"
        keeps_all = should_send_reasoning(prepared.settings, facts)
        kept = keep_turn_reasoning(prepared.messages, keeps_all=keeps_all, sends_none=sends_none)
        return replace(prepared, messages=kept)
    if should_send_reasoning(prepared.settings, facts):
        return prepared
    messages = tuple(replace(message, reasoning="") if message.reasoning else message for message in prepared.messages)
    settings = prepared.settings
    # Not sent to models without the parameter, or that expect no reasoning by default.
    if settings.preserve_thinking is False and not (facts.preserve_thinking_default or facts.thinking == "unknown"):
        settings = replace(settings, preserve_thinking=None)
    return replace(prepared, messages=messages, settings=settings)


def keep_turn_reasoning(
    messages: tuple[Message, ...], *, keeps_all: bool, sends_none: bool = False
) -> tuple[Message, ...]:
    """Return the messages with the reasoning of the current turn, of all turns, or of none.

    The current turn begins behind the last user message: templates write an empty thought into the model's own messages
    of this turn that have none.
    """
    start = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    return tuple(
        replace(message, reasoning="")
        if message.reasoning and (sends_none or (not keeps_all and index < start))
        else message
        for index, message in enumerate(messages)
    )


def report_raised_temperature(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Report a temperature that the service raises while the model thinks; it is sent as it is."""
    temperature, lowest = prepared.settings.temperature, facts.min_temperature_thinking
    if lowest is None or not is_service_name(prepared.settings.model) or not is_thinking(prepared, facts):
        return prepared
    if not isinstance(temperature, (int, float)) or temperature >= lowest:
        return prepared
    return prepared.adjust(
        f"temperature={temperature!r} is raised to {lowest:g} by the service while {prepared.settings.model} thinks"
    )

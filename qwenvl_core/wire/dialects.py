r"""Encode the parameters of a request in the dialect of its provider.

```
model-studio        "enable_thinking": true, "thinking_budget": 500
vllm                "chat_template_kwargs": {"enable_thinking": true}, "thinking_token_budget": 500
llama.cpp           "chat_template_kwargs": {"enable_thinking": true}, "thinking_budget_tokens": 500
ollama, thinking off  "reasoning_effort": "none"
openrouter          "reasoning": {"enabled": true, "max_tokens": 500}
fireworks           "thinking": {"type": "enabled", "budget_tokens": 1024}
continued at vllm   "continue_final_message": true, "add_generation_prompt": false
```

What the row of the provider does not list is not encoded: the policy has reported it, or refused the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import THINKING_OFF, NamedTool, ToolChoice
from qwenvl_core.wire.tool_names import encode_response_format, encode_tool, to_wire_name

_PLAIN = (
    "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed", "presence_penalty",
    "repetition_penalty", "logprobs", "top_logprobs", "parallel_tool_calls", "vl_high_resolution_images",
)  # fmt: skip
"""Settings that are sent as they are, under the name of the row."""

_TEMPLATE, _REASONING, _EFFORT = "chat_template_kwargs", "reasoning", "reasoning_effort"
_NESTED = (_TEMPLATE, _REASONING)
"""Objects into which those of `extra_body` are merged, so that a key of the caller does not remove ours."""

_BUDGETS: Mapping[str, tuple[str, ...]] = {
    "budget": ("thinking_budget",),
    "token_budget": ("thinking_token_budget",),
    "budget_tokens": ("thinking_budget_tokens",),
    "reasoning": (_REASONING, "max_tokens"),
    "thinking": ("thinking", "budget_tokens"),
}
"""Paths to the budget in the body."""

_EFFORTS: Mapping[str, tuple[str, ...]] = {"parameter": (_EFFORT,), "reasoning": (_REASONING, "effort")}
_PRESERVE: Mapping[str, tuple[str, ...]] = {
    "parameter": ("preserve_thinking",),
    "template": (_TEMPLATE, "preserve_thinking"),
}
_SEPARATE: Mapping[str, tuple[str, Any]] = {
    "reasoning_format": ("reasoning_format", "parsed"),
    "separate_reasoning": ("separate_reasoning", True),
}
_CONTINUE: Mapping[str, dict[str, Any]] = {
    "final_message": {"continue_final_message": True},
    "final_prompt": {"continue_final_message": True, "add_generation_prompt": False},
}
_HISTORY: Mapping[str, str] = {"content": "reasoning_content", "plain": "reasoning"}


def encode_parameters(prepared: PreparedRequest) -> dict[str, Any]:
    """Encode the parameters of a request, except `extra_body`, whose position differs between the APIs."""
    settings, provider = prepared.settings, get_provider(prepared.settings.provider)
    body = _encode_thinking(prepared, provider)
    if settings.tools:
        body["tools"] = [encode_tool(tool) for tool in settings.tools]
        if settings.tool_choice is not None:
            body["tool_choice"] = _encode_tool_choice(settings.tool_choice)
    for name in _PLAIN:
        value, parameter = getattr(settings, name), provider.get_parameter(name)
        if value is not None and parameter is not None:
            body[parameter] = value
    if settings.response_format is not None:
        body["response_format"] = encode_response_format(settings.response_format)
    if prepared.messages and prepared.messages[-1].partial:
        body |= _CONTINUE.get(provider.continuation or "", {})
    return body


def merge_extra_body(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the caller's fields into a body; they override all others, within nested objects key by key."""
    nested = {
        name: {**body[name], **extra[name]}
        for name in _NESTED
        if isinstance(body.get(name), Mapping) and isinstance(extra.get(name), Mapping)
    }
    return {**body, **extra, **nested}


def get_history_field(provider_name: str) -> str | None:
    """Return the field of a message for its reasoning, `None` where none goes back."""
    history = get_provider(provider_name).history
    return None if history is None else _HISTORY[history]


def _encode_thinking(prepared: PreparedRequest, provider: Provider) -> dict[str, Any]:
    settings, body = prepared.settings, dict[str, Any]()
    if prepared.enable_thinking is not None:
        _encode_switch(body, prepared.enable_thinking, provider)
    for value, paths, form in (
        (settings.thinking_budget, _BUDGETS, provider.budget),
        (settings.reasoning_effort, _EFFORTS, provider.effort),
        (settings.preserve_thinking, _PRESERVE, provider.preserve_thinking),
    ):
        if value is not None and form is not None:
            _set_path(body, paths[form], value)
    if "thinking" in body:
        body["thinking"]["type"] = "enabled"
    if provider.reasoning_request is not None and _thinks(prepared):
        name, value = _SEPARATE[provider.reasoning_request]
        body[name] = value
    return body


def _thinks(prepared: PreparedRequest) -> bool:
    settings = prepared.settings
    return bool(prepared.enable_thinking) or describe_at(settings.model, settings.provider).thinking == "always"


def _encode_switch(body: dict[str, Any], enabled: bool, provider: Provider) -> None:
    match provider.thinking_on if enabled else provider.thinking_off:
        case "parameter":
            body["enable_thinking"] = enabled
        case "template":
            _set_path(body, (_TEMPLATE, "enable_thinking"), enabled)
        case "reasoning":
            _set_path(body, (_REASONING, "enabled"), enabled)
        case "effort":
            body[_EFFORT] = THINKING_OFF


def _set_path(body: dict[str, Any], path: Iterable[str], value: Any) -> None:
    *parents, name = path
    for parent in parents:
        body = body.setdefault(parent, {})
    body[name] = value


def _encode_tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if not isinstance(choice, NamedTool):
        return choice
    return {"type": "function", "function": {"name": to_wire_name(choice.name)}}

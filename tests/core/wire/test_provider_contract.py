"""The wire contract of each provider: a request's settings, and the exact JSON body without model and messages."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.catalog.providers import PROVIDERS
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import policy
from qwenvl_core.types.messages import Message
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.wire import openai as wire
from qwenvl_core.wire.json_body import SyncBody, encode_body
from tests.support.pipeline import request

HYBRID, THINKING, INSTRUCT = "Qwen/Qwen3.5-27B", "Qwen/Qwen3-VL-8B-Thinking", "Qwen/Qwen3-VL-8B-Instruct"
NEWEST, UNKNOWN = "Qwen/Qwen3.8-27B", "my/own-model"
TOP, TEMPLATE, OBJECT = "top", "template", "object"
USAGE = {"stream_options": {"include_usage": True}}


def prepare_for(provider: str, *messages: Message | str, **settings: Any) -> PreparedRequest:
    chat = request(*messages, **settings)
    chat = replace(chat, settings=replace(chat.settings, provider=provider))
    return policy.prepare(chat, describe_at(chat.settings.model, provider))


def encode(prepared: PreparedRequest) -> dict[str, Any]:
    data = encode_body(wire.encode(prepared), SyncBody)
    body: dict[str, Any] = json.loads(data if isinstance(data, bytes) else b"".join(data.blocks()))
    return body


def parameters_of(provider: str, *messages: Message | str, **settings: Any) -> dict[str, Any]:
    body = encode(prepare_for(provider, *messages, **settings))
    return {name: value for name, value in body.items() if name not in ("model", "messages", "stream", *USAGE)}


SWITCHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    TOP: ({"enable_thinking": True}, {"enable_thinking": False}),
    TEMPLATE: (
        {"chat_template_kwargs": {"enable_thinking": True}},
        {"chat_template_kwargs": {"enable_thinking": False}},
    ),
    OBJECT: ({"reasoning": {"enabled": True}}, {"reasoning": {"enabled": False}}),
}
EFFORT_OFF: tuple[dict[str, Any], dict[str, Any]] = ({}, {"reasoning_effort": "none"})
THINKING_BODIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "model-studio": SWITCHES[TOP],
    "vllm": SWITCHES[TEMPLATE],
    "sglang": SWITCHES[TEMPLATE],
    "llama.cpp": SWITCHES[TEMPLATE],
    "transformers": SWITCHES[TEMPLATE],
    "lmdeploy": SWITCHES[TEMPLATE],
    "xinference": SWITCHES[TOP],
    "mlx-vlm": SWITCHES[TOP],
    "ollama": EFFORT_OFF,
    "lm-studio": EFFORT_OFF,
    "openrouter": SWITCHES[OBJECT],
    "siliconflow": SWITCHES[TOP],
    "modelscope": SWITCHES[TOP],
    "novita": ({"enable_thinking": True, "separate_reasoning": True}, {"enable_thinking": False}),
    "together": SWITCHES[OBJECT],
    "fireworks": EFFORT_OFF,
    "deepinfra": SWITCHES[OBJECT],
    "nebius": EFFORT_OFF,
    "groq": ({"reasoning_format": "parsed"}, {"reasoning_effort": "none"}),
    "openai-compatible": ({}, {"chat_template_kwargs": {"enable_thinking": False}}),
}
"""What thinking on and off add to the body of a hybrid model."""

every_provider = pytest.mark.parametrize("provider", [row.name for row in PROVIDERS])
every_other = pytest.mark.parametrize("provider", [row.name for row in PROVIDERS if not row.is_model_studio])


def test_contract_has_every_provider() -> None:
    assert set(THINKING_BODIES) == {row.name for row in PROVIDERS}


@every_provider
def test_hybrid_model_thinks_by_default(provider: str) -> None:
    assert parameters_of(provider, model=HYBRID) == THINKING_BODIES[provider][0]
    assert prepare_for(provider, model=HYBRID).adjustments == ()


@every_provider
@pytest.mark.parametrize("off", [{"enable_thinking": False, "thinking_source": "call"}, {"reasoning_effort": "none"}])
def test_thinking_off_is_sent_to_every_provider(provider: str, off: dict[str, Any]) -> None:
    assert parameters_of(provider, model=HYBRID, **off) == THINKING_BODIES[provider][1]


@every_provider
def test_unknown_model_gets_what_the_caller_set(provider: str) -> None:
    assert parameters_of(provider, model=UNKNOWN) == {}
    off = parameters_of(provider, model=UNKNOWN, enable_thinking=False, thinking_source="call")
    assert off == THINKING_BODIES[provider][1]


@every_provider
def test_model_that_only_thinks_gets_no_switch(provider: str) -> None:
    sent = parameters_of(provider, model=THINKING)
    requests_reasoning = {
        name: value
        for name, value in THINKING_BODIES[provider][0].items()
        if name in ("reasoning_format", "separate_reasoning")
    }
    assert sent == requests_reasoning
    off = {"model": THINKING, "enable_thinking": False, "thinking_source": "call"}
    if provider == "ollama":
        assert parameters_of(provider, **off) == {"reasoning_effort": "none"}
        return
    with pytest.raises(QwenVLInputError, match="always thinks"):
        parameters_of(provider, **off)


@every_provider
def test_instruct_model_gets_no_switch(provider: str) -> None:
    assert parameters_of(provider, model=INSTRUCT) == {}


@pytest.mark.parametrize("provider", ["ollama", "lm-studio", "fireworks", "nebius", "groq", "openai-compatible"])
def test_demand_to_think_without_a_switch_is_reported(provider: str) -> None:
    prepared = prepare_for(provider, model=HYBRID, thinking_source="call")
    assert [note for note in prepared.adjustments if provider in note and "enable_thinking=True" in note]


BUDGETS: dict[str, dict[str, Any]] = {
    "model-studio": {"thinking_budget": 2000},
    "vllm": {"thinking_token_budget": 2000},
    "llama.cpp": {"thinking_budget_tokens": 2000},
    "mlx-vlm": {"thinking_budget": 2000},
    "siliconflow": {"thinking_budget": 2000},
    "modelscope": {"thinking_budget": 2000},
    "openrouter": {"reasoning": {"enabled": True, "max_tokens": 2000}},
    "fireworks": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
}


@every_provider
def test_budget_is_sent_in_the_dialect_or_refused(provider: str) -> None:
    if provider in BUDGETS:
        expected = THINKING_BODIES[provider][0] | BUDGETS[provider]
        assert parameters_of(provider, model=HYBRID, thinking_budget=2000) == expected
        return
    with pytest.raises(QwenVLInputError, match=f"thinking_budget=2000: {provider} takes no thinking budget"):
        parameters_of(provider, model=HYBRID, thinking_budget=2000)


@pytest.mark.parametrize(
    ("provider", "budget", "limits"),
    [
        ("siliconflow", 127, "128 to 32,768"),
        ("siliconflow", 32_769, "128 to 32,768"),
        ("fireworks", 1023, "1,024 or more"),
    ],
)
def test_budget_outside_the_range_of_the_row_is_refused(provider: str, budget: int, limits: str) -> None:
    with pytest.raises(QwenVLInputError, match=limits):
        parameters_of(provider, model=HYBRID, thinking_budget=budget)


EFFORTS: dict[str, dict[str, Any]] = {
    "model-studio": {"enable_thinking": True, "reasoning_effort": "low"},
    "vllm": {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_effort": "low"},
    "llama.cpp": {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_effort": "low"},
    "openrouter": {"reasoning": {"enabled": True, "effort": "low"}},
}


@every_provider
def test_effort_is_sent_where_the_row_names_it(provider: str) -> None:
    if provider in EFFORTS:
        assert parameters_of(provider, model=NEWEST, reasoning_effort="minimal") == EFFORTS[provider]
        return
    with pytest.raises(QwenVLInputError, match=f"{provider} takes no effort"):
        parameters_of(provider, model=NEWEST, reasoning_effort="low")


SAMPLING: dict[str, Any] = {
    "temperature": 2.0, "top_p": 0.5, "top_k": -1, "max_tokens": 90_000, "stop": ("END",), "seed": 2**31 + 5,
    "presence_penalty": 0.0, "repetition_penalty": 1.1, "logprobs": True, "top_logprobs": 2,
}  # fmt: skip
REFUSED: dict[str, set[str]] = {
    "transformers": {
        *("top_k", "stop", "presence_penalty", "repetition_penalty", "logprobs", "top_logprobs"),
    },
    "xinference": {"top_k", "repetition_penalty"},
    "modelscope": {"top_k", "repetition_penalty"},
    "nebius": {"top_k", "repetition_penalty"},
    "groq": {"top_k", "repetition_penalty"},
    "ollama": {"top_k", "repetition_penalty"},
    "lm-studio": {"top_logprobs"},
    "siliconflow": {"seed", "presence_penalty", "repetition_penalty", "logprobs", "top_logprobs"},
    "together": {"logprobs", "top_logprobs"},
    "deepinfra": {"logprobs", "top_logprobs"},
}
RENAMED: dict[str, dict[str, str]] = {
    "llama.cpp": {"repetition_penalty": "repeat_penalty"},
    "lm-studio": {"repetition_penalty": "repeat_penalty"},
}


@every_other
@pytest.mark.parametrize("name", SAMPLING)
def test_parameter_is_sent_or_refused(provider: str, name: str) -> None:
    value = SAMPLING[name]
    if name in REFUSED.get(provider, ()):
        with pytest.raises(QwenVLInputError, match=rf"{name}=.*{provider} takes no such parameter.*extra_body"):
            parameters_of(provider, model=INSTRUCT, **{name: value})
        return
    sent = RENAMED.get(provider, {}).get(name, name)
    expected = list(value) if isinstance(value, tuple) else value
    assert parameters_of(provider, model=INSTRUCT, **{name: value}) == {sent: expected}


KNOW_TOTAL = {
    *("vllm", "sglang", "llama.cpp", "transformers", "lmdeploy", "openrouter", "fireworks", "groq"),
    "openai-compatible",
}


@every_other
def test_total_length_is_sent_under_the_name_that_the_server_knows(provider: str) -> None:
    prepared = prepare_for(provider, model=INSTRUCT, max_completion_tokens=50)
    if provider in KNOW_TOTAL:
        assert encode(prepared)["max_completion_tokens"] == 50
        assert prepared.adjustments == ()
        return
    body = encode(prepared)
    assert (body["max_tokens"], "max_completion_tokens" in body) == (50, False)
    assert "max_tokens" in prepared.adjustments[0]
    with pytest.raises(QwenVLInputError, match="Leave one out"):
        prepare_for(provider, model=INSTRUCT, max_completion_tokens=50, max_tokens=40)


@every_other
@pytest.mark.parametrize("implied", [True, False])
def test_parallel_calls_of_a_framework_are_reported_and_those_of_the_caller_refused(
    provider: str, implied: bool
) -> None:
    settings: dict[str, Any] = {"model": INSTRUCT, "parallel_tool_calls": False}
    settings["implied"] = frozenset({"parallel_tool_calls"} if implied else ())
    takes = provider not in ("transformers", "ollama", "lm-studio", "siliconflow", "novita", "together", "deepinfra")
    if takes:
        assert parameters_of(provider, **settings) == {"parallel_tool_calls": False}
    elif implied:
        prepared = prepare_for(provider, **settings)
        assert "parallel_tool_calls" not in encode(prepared)
        assert prepared.adjustments == (f"parallel_tool_calls not sent: {provider} takes no such parameter",)
    else:
        with pytest.raises(QwenVLInputError, match="parallel_tool_calls"):
            prepare_for(provider, **settings)


@every_provider
def test_usage_of_a_stream_is_requested_where_it_must_be(provider: str) -> None:
    body = encode(prepare_for(provider, model=INSTRUCT, stream=True))
    asks = provider not in ("transformers", "openrouter", "together", "fireworks", "deepinfra", "groq")
    assert {name: body[name] for name in ("stream", *USAGE) if name in body} == {
        "stream": True,
        **(USAGE if asks else {}),
    }


def test_extra_body_is_merged_into_nested_objects() -> None:
    extra = {"chat_template_kwargs": {"num_frames": 8}, "top_k": 5}
    assert parameters_of("transformers", model=HYBRID, extra_body=extra) == {
        "chat_template_kwargs": {"enable_thinking": True, "num_frames": 8},
        "top_k": 5,
    }
    own = parameters_of("vllm", model=HYBRID, extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    assert own == {"chat_template_kwargs": {"enable_thinking": False}}


@every_other
def test_response_format_of_another_kind_is_refused(provider: str) -> None:
    with pytest.raises(QwenVLInputError, match=f"response_format.*{provider}"):
        parameters_of(provider, model=INSTRUCT, response_format={"type": "grammar"})

"""Forced tools and JSON at each provider: what the body has, and what is demanded in the prompt instead."""

from __future__ import annotations

from typing import Any

import pytest

from qwenvl_core.catalog.providers import PROVIDERS
from tests.core.wire.test_provider_contract import HYBRID, INSTRUCT, THINKING, THINKING_BODIES, encode, prepare_for

OTHERS = [row.name for row in PROVIDERS if not row.is_model_studio]
every_other = pytest.mark.parametrize("provider", OTHERS)
STRICT = {"vllm", "sglang", "llama.cpp"}
"""Servers that force tools and JSON while the model thinks."""
NO_FORCING = {"transformers", "ollama", "deepinfra"}
NO_NAMES = {"llama.cpp", "lm-studio"}
NO_SCHEMA = {"groq", "siliconflow", "deepinfra"}
NO_JSON = {"transformers"}


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": name, "parameters": {"type": "object"}}}


TOOLS = (tool("get_weather"), tool("get_time"))
SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object", "required": ["a"]}}}
NAMED = {"type": "function", "function": {"name": "get_time"}}


def choice_of(provider: str, choice: Any, tools: Any = TOOLS, model: str = INSTRUCT) -> tuple[Any, list[str]]:
    """Return the tool choice that is sent, and the names of the offered tools."""
    from qwenvl_core.types.settings import parse_tool_choice

    body = encode(prepare_for(provider, model=model, tools=tools, tool_choice=parse_tool_choice(choice, tools)))
    return body.get("tool_choice"), [item["function"]["name"] for item in body.get("tools", [])]


@every_other
def test_named_tool_is_forced_as_the_provider_can(provider: str) -> None:
    sent = choice_of(provider, "get_time")
    if provider in NO_FORCING:
        assert sent == ("auto", ["get_time"])
    elif provider in NO_NAMES:
        assert sent == ("required", ["get_time"])
    else:
        assert sent == (NAMED, ["get_weather", "get_time"])


@every_other
def test_required_choice_of_one_tool_is_sent_by_name_where_names_are_obeyed(provider: str) -> None:
    sent, offered = choice_of(provider, "required", TOOLS[1:])
    assert offered == ["get_time"]
    assert sent == ("auto" if provider in NO_FORCING else "required" if provider in NO_NAMES else NAMED)
    several, offered = choice_of(provider, "required")
    assert offered == ["get_weather", "get_time"]
    assert several == ("auto" if provider in NO_FORCING else "required")


@every_other
def test_choice_none_offers_no_tools_where_it_is_ignored(provider: str) -> None:
    sent = choice_of(provider, "none")
    ignores = provider in ("transformers", "ollama")
    assert sent == ((None, []) if ignores else ("none", ["get_weather", "get_time"]))


@every_other
@pytest.mark.parametrize("model", [HYBRID, THINKING])
def test_forced_tool_keeps_the_thinking(provider: str, model: str) -> None:
    prepared = prepare_for(provider, model=model, tools=TOOLS, tool_choice="required")
    body = encode(prepared)
    if provider in STRICT:
        assert body["tool_choice"] == "required"
        assert prepared.adjustments == ()
    else:
        assert body["tool_choice"] == "auto"
        assert "Answer with a tool call." in str(body["messages"][-1]["content"])
        assert prepared.adjustments
    assert prepared.demand is not None
    if model == HYBRID:
        switch = THINKING_BODIES[provider][0]
        assert {name: body.get(name) for name in switch} == switch


@every_other
def test_json_schema_is_sent_where_it_is_obeyed(provider: str) -> None:
    prepared = prepare_for(provider, model=INSTRUCT, response_format=SCHEMA)
    body, prompt = encode(prepared), str(encode(prepared)["messages"][-1]["content"])
    if provider in NO_JSON:
        assert "response_format" not in body
        assert '"required": ["a"]' in prompt
        assert prepared.demand is not None
        assert prepared.demand.is_checked
    elif provider in NO_SCHEMA:
        assert body["response_format"] == {"type": "json_object"}
        assert '"required": ["a"]' in prompt
    else:
        assert body["response_format"] == SCHEMA


@pytest.mark.parametrize("provider", sorted(STRICT))
@pytest.mark.parametrize("model", [HYBRID, THINKING])
@pytest.mark.parametrize("response_format", [SCHEMA, {"type": "json_object"}])
def test_json_is_forced_while_the_model_thinks(provider: str, model: str, response_format: dict[str, Any]) -> None:
    prepared = prepare_for(provider, model=model, response_format=response_format)
    body = encode(prepared)
    assert body["response_format"] == response_format
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert prepared.adjustments == ()
    assert body.get("chat_template_kwargs") == ({"enable_thinking": True} if model == HYBRID else None)


@every_other
def test_json_of_a_hybrid_model_is_requested_in_the_prompt_first(provider: str) -> None:
    if provider in STRICT:
        return
    prepared = prepare_for(provider, model=HYBRID, response_format=SCHEMA)
    body = encode(prepared)
    assert "response_format" not in body
    assert "JSON" in str(body["messages"][-1]["content"])
    assert prepared.demand is not None
    assert prepared.demand.is_checked


def test_json_object_at_lm_studio_is_sent_as_a_schema() -> None:
    prepared = prepare_for("lm-studio", model=INSTRUCT, response_format={"type": "json_object"})
    schema = {"name": "answer", "schema": {"type": "object"}}
    assert encode(prepared)["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert any("json_schema instead of json_object" in note for note in prepared.adjustments)

"""Merge the settings of a call with those of a model object, and parse tool choices."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.settings import CALL_SETTINGS, ModelSettings, NamedTool, parse_tool_choice, resolve_settings

TOOL = {"type": "function", "function": {"name": "crop", "parameters": {}}}
SEARCH = {"type": "web_search"}


@pytest.mark.parametrize(
    ("model", "call", "expected"),
    [
        ({}, {}, ModelSettings()),
        ({"model": "qvq-max", "something_else": 1}, {}, ModelSettings(model="qvq-max")),
        ({"temperature": 0.5, "top_p": 0.1}, {"temperature": 0}, ModelSettings(temperature=0, top_p=0.1)),
        ({"temperature": 0}, {"temperature": None}, ModelSettings(temperature=0)),
        ({"temperature": None}, {}, ModelSettings()),
        ({"seed": 7}, {"seed": 0}, ModelSettings(seed=0)),
        ({"logprobs": True}, {"logprobs": False}, ModelSettings(logprobs=False)),
        ({"model": "a"}, {"model": "b"}, ModelSettings(model="b")),
        ({}, {"stop": "END"}, ModelSettings(stop=("END",))),
        ({"stop": ["a"]}, {"stop": ["b", "c"]}, ModelSettings(stop=("b", "c"))),
        ({"stop": ["a"]}, {}, ModelSettings(stop=("a",))),
        ({"stop": ["a"]}, {"stop": []}, ModelSettings()),
        (
            {"extra_body": {"a": 1, "b": 1}},
            {"extra_body": {"b": 2, "c": 2}},
            ModelSettings(extra_body={"a": 1, "b": 2, "c": 2}),
        ),
        ({"extra_body": None}, {}, ModelSettings()),
        ({}, {"tools": [TOOL], "tool_choice": "crop"}, ModelSettings(tools=(TOOL,), tool_choice=NamedTool("crop"))),
        ({"enable_thinking": False}, {}, ModelSettings(enable_thinking=False)),
    ],
)
def test_call_settings_override_model_settings(
    model: dict[str, Any], call: dict[str, Any], expected: ModelSettings
) -> None:
    before = copy.deepcopy((model, call))
    assert resolve_settings(model, set(), call) == expected
    assert (model, call) == before


@pytest.mark.parametrize(
    ("explicit", "call", "thinking", "source"),
    [
        (set(), {}, True, "default"),
        ({"enable_thinking"}, {}, True, "model"),
        (set(), {"enable_thinking": True}, True, "call"),
        ({"enable_thinking"}, {"enable_thinking": False}, False, "call"),
        ({"enable_thinking"}, {"enable_thinking": None}, True, "model"),
        ({"temperature"}, {}, True, "default"),
    ],
)
def test_thinking_source_is_recorded(explicit: set[str], call: Any, thinking: bool, source: str) -> None:
    settings = resolve_settings({"enable_thinking": True}, explicit, call)
    assert (settings.enable_thinking, settings.thinking_source) == (thinking, source)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("temprature", "temperature"),
        ("enable_thinkin", "enable_thinking"),
        ("thinking_source", "Unknown"),
        ("frequency_penalty", "extra_body"),
        ("stream", "extra_body"),
    ],
)
def test_unknown_keyword_raises_input_error(name: str, words: str) -> None:
    with pytest.raises(QwenVLInputError, match=words) as caught:
        resolve_settings({}, set(), {name: 1})
    assert repr(name) in str(caught.value)


def test_connection_keyword_in_call_raises_input_error() -> None:
    with pytest.raises(QwenVLInputError, match="api_key= belongs to the model") as caught:
        resolve_settings({"api_key": None}, set(), {"api_key": "sk-other"})
    assert "sk-other" not in str(caught.value)
    assert "extra_body" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("model", "", "name"),
        ("model", 5, "name"),
        ("enable_thinking", "yes", "True or False"),
        ("parallel_tool_calls", 1, "True or False"),
        ("logprobs", "x", "True or False"),
        ("response_format", "json", "dict"),
        ("response_format", dict, "dict"),
        ("extra_body", [1], "dict"),
        ("stop", 5, "list of strings"),
        ("stop", ["a", 2], "list of strings"),
        ("stop", {"a": 1}, "list of strings"),
    ],
)
def test_value_of_wrong_type_raises_input_error(name: str, value: Any, kind: str) -> None:
    with pytest.raises(QwenVLInputError, match=kind) as caught:
        resolve_settings({}, set(), {name: value})
    assert str(caught.value).startswith(f"{name}={value!r}")


def test_none_in_call_keeps_defaults() -> None:
    assert resolve_settings({}, set(), dict.fromkeys(CALL_SETTINGS)) == ModelSettings()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("any", "required"),
        ("required", "required"),
        (True, "required"),
        (False, None),
        ("crop", NamedTool("crop")),
        (NamedTool("crop"), NamedTool("crop")),
        ({"type": "function", "function": {"name": "crop"}}, NamedTool("crop")),
        ({"type": "function", "name": "crop"}, NamedTool("crop")),
        ({"type": "tool", "name": "crop"}, NamedTool("crop")),
        ({"name": "crop"}, NamedTool("crop")),
        ({"type": "any"}, "required"),
        ({"type": "auto"}, "auto"),
    ],
)
def test_tool_choice_is_parsed(value: Any, expected: Any) -> None:
    assert parse_tool_choice(value, (SEARCH, TOOL)) == expected


@pytest.mark.parametrize("value", ["zoom", "", 5, {}, {"type": "function"}, {"function": {"name": "zoom"}}, ["crop"]])
def test_tool_choice_of_unknown_tool_raises_input_error(value: Any) -> None:
    with pytest.raises(QwenVLInputError, match="crop"):
        parse_tool_choice(value, (SEARCH, TOOL))
    with pytest.raises(QwenVLInputError):
        parse_tool_choice("crop", ())


@given(
    st.fixed_dictionaries({}, optional={"temperature": st.floats(0, 1), "seed": st.integers(0, 9), "top_k": st.none()}),
    st.fixed_dictionaries({}, optional={"temperature": st.floats(0, 1), "seed": st.none(), "top_k": st.integers(0, 9)}),
)
def test_call_value_takes_precedence_over_model_value(model: dict[str, Any], call: dict[str, Any]) -> None:
    settings = resolve_settings(model, set(), call)
    for name in ("temperature", "seed", "top_k"):
        own = call.get(name)
        assert getattr(settings, name) == (model.get(name) if own is None else own)

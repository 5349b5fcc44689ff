"""Resolve thinking, effort, earlier reasoning and the temperature of a request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.catalog.models import ModelFacts, describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import policy, validation
from qwenvl_core.types.messages import Message, TextPart
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.types.settings import NamedTool, resolve_settings
from tests.support.pipeline import prepare, request, user

NEWEST = "qwen3.8-max"
HYBRID = "qwen3-vl-plus"
THINKER = "qwen3-vl-8b-thinking"
PLAIN = "qwen-vl-max"
UNKNOWN = "my-model"
TOOL = {"type": "function", "function": {"name": "crop", "parameters": {}}}


def merge(model: dict[str, Any], call: dict[str, Any]) -> PreparedRequest:
    """Prepare a request of a model object with these keywords, called with those."""
    settings = resolve_settings(model, set(model), call)
    return policy.prepare(Request(messages=(user("Hi"),), settings=settings), describe(settings.model))


def check(api: Api, **settings: Any) -> None:
    """Validate a request with these settings, like the client does."""
    prepared = prepare(request(**settings))
    validation.check(prepared, describe(prepared.settings.model), api)


def sent(prepared: PreparedRequest) -> tuple[bool | None, str | None, int | None]:
    """Return what is sent of the thinking: whether, the effort and the budget."""
    settings = prepared.settings
    return prepared.enable_thinking, settings.reasoning_effort, settings.thinking_budget


# --- effort -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        (NEWEST, None, (True, None, None)),
        (NEWEST, "low", (True, "low", None)),
        (NEWEST, "medium", (True, "medium", None)),
        (NEWEST, "xhigh", (True, "xhigh", None)),
        (NEWEST, "minimal", (True, "low", None)),
        (NEWEST, "high", (True, "xhigh", None)),
        (NEWEST, "max", (True, "xhigh", None)),
        (NEWEST, "none", (False, None, None)),
        ("qwen3.8-flash", "max", (True, "xhigh", None)),
        (HYBRID, "none", (False, None, None)),
        (PLAIN, "none", (None, None, None)),
        (UNKNOWN, "high", (None, "high", None)),  # not in the catalog: sent as it is
        (UNKNOWN, "none", (False, None, None)),
    ],
)
def test_effort_per_model_is_sent_under_its_own_name(model: str, effort: str | None, expected: Any) -> None:
    prepared = prepare(request(model=model, reasoning_effort=effort))
    assert sent(prepared) == expected
    assert prepared.adjustments == ()


@pytest.mark.parametrize(
    ("model", "effort", "words"),
    [
        (NEWEST, "ultra", ("'ultra'", NEWEST, "'low', 'medium', 'xhigh'", "'none'")),
        (NEWEST, "Low", ("'Low'", "'low'")),
        (HYBRID, "low", ("'low'", HYBRID, "takes no effort", "thinking_budget", NEWEST)),
        ("qwen3.7-plus", "xhigh", ("'xhigh'", "qwen3.7-plus", "thinking_budget")),
        (THINKER, "high", ("'high'", THINKER, "thinking_budget")),
        (PLAIN, "low", ("'low'", PLAIN, "does not think")),
        ("qwen3-vl-8b-instruct", "max", ("'max'", "does not think")),
        (THINKER, "none", ("reasoning_effort='none'", "always thinks", HYBRID)),
    ],
)
def test_effort_that_the_model_does_not_take_raises_input_error(
    model: str, effort: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(QwenVLInputError) as caught:
        prepare(request(model=model, reasoning_effort=effort))
    for word in ("reasoning_effort", *words):
        assert word in str(caught.value)


def test_effort_named_like_an_alias_is_sent_where_the_row_has_it() -> None:
    facts = ModelFacts(name="new", thinking="hybrid", reasoning_efforts=("low", "high"))
    efforts = [
        policy.prepare(request(model="new", reasoning_effort=effort), facts).settings.reasoning_effort
        for effort in ("high", "minimal")
    ]
    assert efforts == ["high", "low"]
    with pytest.raises(QwenVLInputError, match=r"'low', 'high', 'minimal' \(= 'low'\), 'none'"):
        policy.prepare(request(model="new", reasoning_effort="max"), facts)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"reasoning_effort": "low", "thinking_budget": 100}, ("'low'", "thinking_budget=100", "Leave one out")),
        ({"reasoning_effort": "none", "thinking_budget": 100}, ("'none'", "thinking_budget=100")),
        ({"reasoning_effort": "low", "enable_thinking": False}, ("'low'", "enable_thinking=False", "=True")),
        ({"reasoning_effort": "low", "thinking_budget": 1, "model": UNKNOWN}, ("thinking_budget=1",)),
    ],
)
def test_effort_that_contradicts_another_setting_raises_input_error(
    settings: dict[str, Any], words: tuple[str, ...]
) -> None:
    for model, call in [(settings, dict[str, Any]()), (dict[str, Any](), settings)]:
        with pytest.raises(QwenVLInputError) as caught:
            merge({"model": NEWEST, **model}, call)
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize(
    ("model", "call", "expected"),
    [
        ({"thinking_budget": 9}, {"reasoning_effort": "low"}, (True, "low", None)),
        ({"reasoning_effort": "low"}, {"thinking_budget": 9}, (True, None, 9)),
        ({"reasoning_effort": "low"}, {"reasoning_effort": "max"}, (True, "xhigh", None)),
        ({"reasoning_effort": "low"}, {"reasoning_effort": None, "thinking_budget": None}, (True, "low", None)),
        ({"reasoning_effort": "low", "thinking_budget": 9}, {"thinking_budget": 5}, (True, None, 5)),
        ({"reasoning_effort": "none"}, {"thinking_budget": 9}, (True, None, 9)),
        ({"reasoning_effort": "none"}, {"reasoning_effort": "low"}, (True, "low", None)),
        ({"reasoning_effort": "none"}, {"enable_thinking": True}, (True, None, None)),
        ({"reasoning_effort": "none"}, {"enable_thinking": False}, (False, None, None)),
        ({"reasoning_effort": "low"}, {"enable_thinking": False}, (False, None, None)),
        ({"reasoning_effort": "low"}, {"enable_thinking": True}, (True, "low", None)),
        ({"thinking_budget": 9}, {"reasoning_effort": "none"}, (False, None, None)),
        ({"enable_thinking": False}, {"reasoning_effort": "none"}, (False, None, None)),
        ({"enable_thinking": False}, {"reasoning_effort": "low", "enable_thinking": True}, (True, "low", None)),
    ],
)
def test_keyword_of_a_call_replaces_its_counterpart_of_the_model(
    model: dict[str, Any], call: dict[str, Any], expected: Any
) -> None:
    assert sent(merge({"model": NEWEST, **model}, call)) == expected


def test_effort_of_a_call_does_not_switch_thinking_on() -> None:
    with pytest.raises(QwenVLInputError, match="enable_thinking=True"):
        merge({"model": NEWEST, "enable_thinking": False}, {"reasoning_effort": "low"})


@pytest.mark.parametrize("value", ["", 3, True, ["low"]])
def test_effort_of_another_type_raises_input_error(value: Any) -> None:
    with pytest.raises(QwenVLInputError, match="reasoning_effort"):
        merge({"model": NEWEST}, {"reasoning_effort": value})


@pytest.mark.parametrize(
    "settings",
    [
        {"tools": (TOOL,), "tool_choice": NamedTool("crop")},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_effort_is_dropped_and_reported_where_policy_disables_thinking(settings: dict[str, Any]) -> None:
    settings = {**settings, "forced_output": "no_thinking"}
    prepared = prepare(request("json", model=NEWEST, reasoning_effort="low", **settings))
    assert sent(prepared) == (False, None, None)
    assert prepared.adjustments[-1] == "reasoning_effort not sent: thinking is off for this request"


def test_effort_is_dropped_for_a_partial_message() -> None:
    partial = Message("assistant", (TextPart("It"),), partial=True)
    prepared = prepare(request("Hi", partial, model=NEWEST, reasoning_effort="low"))
    assert sent(prepared) == (False, None, None)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.sampled_from([NEWEST, HYBRID, THINKER, PLAIN, UNKNOWN]),
            "enable_thinking": st.booleans(),
            "thinking_budget": st.integers(1, 9),
            "reasoning_effort": st.sampled_from(["none", "minimal", "low", "high", "ultra"]),
            "tool_choice": st.sampled_from(["auto", "required"]),
            "tools": st.just([TOOL]),
        },
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "enable_thinking": st.booleans(),
            "thinking_budget": st.integers(1, 9),
            "reasoning_effort": st.sampled_from(["none", "medium", "max"]),
        },
    ),
)
def test_sent_effort_is_one_that_the_model_takes(model: dict[str, Any], call: dict[str, Any]) -> None:
    try:
        prepared = merge(model, call)
    except QwenVLInputError:
        return
    enabled, effort, budget = sent(prepared)
    facts = describe(prepared.settings.model)
    assert effort is None or budget is None
    assert effort != "none"
    if effort is not None and facts.known:
        assert effort in facts.reasoning_efforts
        assert enabled


# --- earlier reasoning ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "preserve", "is_sent_back", "sent_value"),
    [
        (NEWEST, None, True, None),
        (NEWEST, True, True, True),
        (NEWEST, False, False, False),
        ("qwen3.7-plus", None, False, None),
        ("qwen3.7-plus", True, True, True),
        ("qwen3.7-plus", False, False, None),  # its default
        (HYBRID, None, False, None),
        (HYBRID, False, False, None),
        (UNKNOWN, None, False, None),
        (UNKNOWN, False, False, False),
        (UNKNOWN, True, True, True),
    ],
)
def test_earlier_reasoning_is_sent_back_by_model_or_setting(
    model: str, preserve: bool | None, is_sent_back: bool, sent_value: bool | None
) -> None:
    first = Message("assistant", (TextPart("Yes."),), reasoning="Hm.")
    second = Message("assistant", (TextPart("No."),), reasoning="Well.")
    prepared = prepare(request("Is it?", first, "Really?", second, "So?", model=model, preserve_thinking=preserve))
    expected = ["", "Hm.", "", "Well.", ""] if is_sent_back else [""] * 5
    assert [message.reasoning for message in prepared.messages] == expected
    assert prepared.settings.preserve_thinking is sent_value


# --- lengths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "settings"),
    [
        ("openai", {"max_tokens": 32_768}),
        ("dashscope", {"max_tokens": 32_768}),
        ("openai", {"max_tokens": 131_072, "enable_thinking": False}),
        ("dashscope", {"max_tokens": 131_072, "reasoning_effort": "none"}),
        ("openai", {"max_completion_tokens": 300_000}),
        ("openai", {"max_completion_tokens": 1, "max_tokens": 1}),
        (
            "openai",
            {"max_tokens": 32_769, "tools": (TOOL,), "tool_choice": "required", "forced_output": "no_thinking"},
        ),
    ],
)
def test_length_that_the_service_accepts_passes(api: Api, settings: dict[str, Any]) -> None:
    check(api, model=NEWEST, **settings)


@pytest.mark.parametrize(
    ("api", "settings", "words"),
    [
        ("openai", {"max_tokens": 32_769}, ("32769", "1 to 32,768", NEWEST, "max_completion_tokens", "=False")),
        ("openai", {"max_tokens": 200_000}, ("200000", "1 to 32,768", "max_completion_tokens")),
        ("openai", {"max_tokens": 32_769, "reasoning_effort": "low"}, ("max_completion_tokens",)),
        ("dashscope", {"max_tokens": 32_769}, ("1 to 32,768", 'api="openai"', "enable_thinking=False")),
        ("openai", {"max_tokens": 131_073, "enable_thinking": False}, ("1 to 131,072",)),
        ("openai", {"max_tokens": 0}, ("max_tokens=0",)),
        ("openai", {"max_completion_tokens": 0}, ("max_completion_tokens=0",)),
        ("openai", {"max_completion_tokens": 1.5}, ("max_completion_tokens=1.5", "whole number")),
        ("openai", {"max_completion_tokens": True}, ("max_completion_tokens=True",)),
        ("dashscope", {"max_completion_tokens": 9}, ("max_completion_tokens=9", "max_tokens", 'api="openai"')),
        (
            "dashscope",
            {"model": HYBRID, "max_completion_tokens": 9, "enable_thinking": False},
            ("max_completion_tokens=9", "Use max_tokens"),
        ),
    ],
)
def test_length_that_the_service_refuses_raises_input_error(
    api: Api, settings: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(QwenVLInputError) as caught:
        check(api, **{"model": NEWEST, **settings})
    for word in words:
        assert word in str(caught.value)


def test_length_is_not_limited_for_a_checkpoint_on_another_server() -> None:
    check("openai", model="Qwen/Qwen3.8-27B", max_tokens=100_000)


# --- temperature ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "is_reported"),
    [
        ({"temperature": 0.59}, True),
        ({"temperature": 0}, True),
        ({"temperature": 0.6}, False),
        ({"temperature": 1.2}, False),
        ({}, False),
        ({"temperature": 0.1, "enable_thinking": False}, False),
        ({"temperature": 0.1, "reasoning_effort": "none"}, False),
        ({"temperature": 0.1, "reasoning_effort": "low"}, True),
        ({"temperature": 0.1, "model": "qwen3.7-plus"}, False),
        ({"temperature": 0.1, "model": UNKNOWN}, False),
    ],
)
def test_temperature_that_the_service_raises_is_reported_and_sent(settings: dict[str, Any], is_reported: bool) -> None:
    prepared = prepare(request(**{"model": NEWEST, **settings}))
    assert prepared.settings.temperature == settings.get("temperature")
    reports = [note for note in prepared.adjustments if note.startswith("temperature=")]
    assert reports == list(prepared.adjustments)
    assert bool(reports) is is_reported
    assert all("0.6" in note and NEWEST in note for note in reports)


def test_temperature_of_another_type_raises_input_error() -> None:
    with pytest.raises(QwenVLInputError, match=r"temperature='0\.1'"):
        check("openai", model=NEWEST, temperature="0.1")

"""Encode thinking and tool choices for the OpenAI-compatible API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import NamedTool
from tests.core.wire.openai_requests import (
    CALL_CROP,
    CALL_TOOL,
    HYBRID,
    NAMED,
    NEWER,
    OFF,
    ON,
    PLAIN,
    QVQ,
    STREAM,
    THINKER,
    TOOL,
    UNKNOWN,
    ZOOM,
    Case,
    check,
    user_text,
)
from tests.support.pipeline import body_of, prepare, request

# --- thinking and streaming -------------------------------------------------------------------------------------------

DEFAULT, MODEL, CALL = ("default", "model", "call")

THINKING: list[tuple[str, bool, str, dict[str, Any]]] = [
    # model, enable_thinking, where it was set, fields of the body
    (HYBRID, True, DEFAULT, ON),
    (HYBRID, True, MODEL, ON),
    (HYBRID, True, CALL, ON),
    (HYBRID, False, MODEL, OFF),
    (HYBRID, False, CALL, OFF),
    ("qwen3-vl-flash-2025-10-15", True, DEFAULT, ON),
    (NEWER, True, DEFAULT, ON),
    (NEWER, False, CALL, OFF),
    ("qwen3.5-flash", False, MODEL, OFF),
    ("qwen3.6-plus-2026-04-02", True, DEFAULT, ON),
    ("Qwen/Qwen3.5-27B", True, DEFAULT, ON),
    (THINKER, True, DEFAULT, STREAM),
    (THINKER, True, MODEL, STREAM),
    (THINKER, True, CALL, STREAM),
    (QVQ, True, DEFAULT, STREAM),
    ("qvq-plus-latest", True, CALL, STREAM),
    (PLAIN, True, DEFAULT, {}),
    (PLAIN, True, MODEL, {}),  # only a value of the call is an error
    (PLAIN, False, CALL, {}),
    ("qwen2.5-vl-72b-instruct", True, DEFAULT, {}),
    ("qwen3-vl-32b-instruct", False, MODEL, {}),
    ("qwen-vl-ocr-latest", True, DEFAULT, {}),
    (UNKNOWN, True, DEFAULT, {}),
    (UNKNOWN, True, MODEL, ON),
    (UNKNOWN, True, CALL, ON),
    (UNKNOWN, False, MODEL, OFF),
    (UNKNOWN, False, CALL, OFF),
]


@pytest.mark.parametrize(("model", "thinking", "set_by", "sent"), THINKING)
def test_thinking_per_model_and_source_is_encoded(
    model: str, thinking: bool, set_by: Any, sent: dict[str, Any]
) -> None:
    chat_request = request(model=model, enable_thinking=thinking, thinking_source=set_by)
    check(Case(chat_request, sent))
    check(Case(replace(chat_request, stream=True), {**sent, **STREAM}))


@pytest.mark.parametrize(
    ("model", "thinking", "set_by", "words"),
    [
        (THINKER, False, MODEL, "always thinks"),
        (THINKER, False, CALL, "always thinks"),
        (QVQ, False, CALL, "always thinks"),
        (PLAIN, True, CALL, "does not think"),
        ("qwen3-vl-8b-instruct", True, CALL, "does not think"),
        ("qwen-vl-ocr", True, CALL, "does not think"),
    ],
)
def test_unsupported_thinking_raises_input_error(model: str, thinking: bool, set_by: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        prepare(request(model=model, enable_thinking=thinking, thinking_source=set_by))
    assert isinstance(caught.value, QwenVLInputError)
    assert model in str(caught.value)


@pytest.mark.parametrize(
    ("chat_request", "sent", "adjustments"),
    [
        (request(thinking_budget=500), {**ON, "thinking_budget": 500}, ()),
        (request(model=THINKER, thinking_budget=1), {**STREAM, "thinking_budget": 1}, ()),
        (request(model=UNKNOWN, thinking_budget=9), {"thinking_budget": 9}, ()),
        (request(enable_thinking=False, thinking_budget=500), OFF, ("thinking_budget not sent",)),
        (request(model=PLAIN, thinking_budget=500), {}, ("thinking_budget not sent",)),
    ],
)
def test_thinking_budget_is_sent_only_while_thinking(
    chat_request: Request, sent: dict[str, Any], adjustments: tuple[str, ...]
) -> None:
    check(Case(chat_request, sent, adjustments=adjustments))


@pytest.mark.parametrize("budget", [0, -1])
def test_thinking_budget_not_positive_raises_value_error(budget: int) -> None:
    with pytest.raises(ValueError, match="thinking_budget"):
        prepare(request(thinking_budget=budget))


# --- tools ------------------------------------------------------------------------------------------------------------

FORCED_CROP = {"tool_choice": NAMED, "tools": [TOOL, ZOOM]}
FORCED = {"tool_choice": "required", "tools": [TOOL, ZOOM]}
ONLY_CROP = {"tool_choice": "auto", "tools": [TOOL]}
ANY_TOOL = {"tool_choice": "auto", "tools": [TOOL, ZOOM]}
CROP = NamedTool("crop")
NO_THINKING = {"forced_output": "no_thinking"}
ASK = {"forced_output": "ask"}

TOOLS: list[tuple[dict[str, Any], dict[str, Any], str, tuple[str, ...]]] = [
    # settings, fields of the body, the demand at the end of the prompt, adjustments
    ({}, {**ON, "tools": [TOOL, ZOOM]}, "", ()),
    ({"tool_choice": "auto"}, {**ON, **ANY_TOOL}, "", ()),
    ({"tool_choice": "none"}, {**ON, "tool_choice": "none", "tools": [TOOL, ZOOM]}, "", ()),
    # a model that thinks is asked for the call
    ({"tool_choice": "required"}, {**ON, **ANY_TOOL}, CALL_TOOL, ("tool_choice='auto' instead of 'required'",)),
    ({"tool_choice": CROP}, {**ON, **ONLY_CROP}, CALL_CROP, ("tool_choice='auto' instead of 'crop'",)),
    ({"tool_choice": "required", **ASK}, {**ON, **ANY_TOOL}, CALL_TOOL, ("tool_choice='auto' instead of",)),
    ({"tool_choice": CROP, **ASK}, {**ON, **ONLY_CROP}, CALL_CROP, ("tool_choice='auto' instead of 'crop'",)),
    (
        {"tool_choice": "required", "thinking_budget": 500},
        {**ON, **ANY_TOOL, "thinking_budget": 500},
        CALL_TOOL,
        ("tool_choice='auto'",),
    ),
    # … or does not think
    ({"tool_choice": "required", **NO_THINKING}, {**OFF, **FORCED}, "", ("enable_thinking=False",)),
    ({"tool_choice": CROP, **NO_THINKING}, {**OFF, **FORCED_CROP}, "", ("'crop'",)),
    (
        {"tool_choice": "required", "enable_thinking": True, "thinking_source": "call", **NO_THINKING},
        {**OFF, **FORCED},
        "",
        ("enable_thinking=False",),
    ),
    (
        {"tool_choice": "required", "thinking_budget": 500, **NO_THINKING},
        {**OFF, **FORCED},
        "",
        ("enable_thinking=False", "thinking_budget not sent"),
    ),
    ({"tool_choice": "required", "enable_thinking": False}, {**OFF, **FORCED}, "", ()),
    ({"tool_choice": CROP, **ASK, "enable_thinking": False}, {**OFF, **FORCED_CROP}, "", ()),
    # a model that always thinks is asked in any case
    ({"model": THINKER, "tool_choice": "required"}, {**STREAM, **ANY_TOOL}, CALL_TOOL, ("tool_choice='auto'",)),
    ({"model": THINKER, "tool_choice": CROP, **NO_THINKING}, {**STREAM, **ONLY_CROP}, CALL_CROP, ("'crop'",)),
    ({"model": QVQ, "tool_choice": "auto"}, {**STREAM, **ANY_TOOL}, "", ()),
    # others are forced
    ({"model": PLAIN, "tool_choice": "required"}, FORCED, "", ()),
    ({"model": UNKNOWN, "tool_choice": CROP}, FORCED_CROP, "", ()),
    ({"parallel_tool_calls": False}, {**ON, "parallel_tool_calls": False, "tools": [TOOL, ZOOM]}, "", ()),
    ({"parallel_tool_calls": True}, {**ON, "parallel_tool_calls": True, "tools": [TOOL, ZOOM]}, "", ()),
]


@pytest.mark.parametrize(("settings", "sent", "demand", "adjustments"), TOOLS)
def test_tool_choice_per_model_is_encoded(
    settings: dict[str, Any], sent: dict[str, Any], demand: str, adjustments: tuple[str, ...]
) -> None:
    messages = user_text(f"Hi\n\n{demand}" if demand else "Hi")
    check(Case(request(tools=(TOOL, ZOOM), **settings), sent, messages, adjustments))


@pytest.mark.parametrize("settings", [{"enable_thinking": False}, NO_THINKING, {"model": PLAIN}, {"model": UNKNOWN}])
def test_required_with_one_tool_is_sent_as_its_name(settings: dict[str, Any]) -> None:
    body = body_of(request(tools=(TOOL,), tool_choice="required", **settings))
    assert body["tool_choice"] == NAMED
    assert body_of(request(tools=(TOOL, ZOOM), tool_choice="required", **settings))["tool_choice"] == "required"


@pytest.mark.parametrize("choice", ["required", "auto", "none"])
def test_tool_choice_without_tools_is_not_sent(choice: Any) -> None:
    check(Case(request(tool_choice=choice), ON))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"forced_output": "auto"}, 'forced_output=.auto.*"think_first", "no_thinking", "ask"'),
        ({"output_retries": -1}, "output_retries"),
        ({"output_retries": 1.5}, "output_retries"),
        ({"output_retries": True}, "output_retries"),
    ],
)
def test_invalid_setting_of_forced_output_raises_value_error(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        prepare(request(**settings))


@pytest.mark.parametrize(
    ("chat_request", "is_repeated"),
    [
        (request(tools=(TOOL,), tool_choice="required"), True),
        (request(tools=(TOOL,), tool_choice="required", forced_output="no_thinking"), False),
        (request(tools=(TOOL,), tool_choice="required", forced_output="ask"), False),
        (request(tools=(TOOL,), tool_choice="required", enable_thinking=False), False),
        (request(tools=(TOOL,), tool_choice="required", model=PLAIN), False),
        (request(tools=(TOOL,), tool_choice=CROP, model=THINKER), True),
        (request(tools=(TOOL,), tool_choice=CROP, model=THINKER, forced_output="no_thinking"), True),
        (request(tools=(TOOL,), tool_choice=CROP, model=THINKER, forced_output="ask"), False),
    ],
)
def test_forced_tool_is_a_checked_demand(chat_request: Request, is_repeated: bool) -> None:
    demand = prepare(chat_request).demand
    assert demand is not None
    assert (demand.kind, demand.tool, demand.is_checked) == ("call", "crop", True)
    assert demand.is_repeated is is_repeated


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_free_tool_choice_is_no_demand(choice: Any) -> None:
    for model in (HYBRID, THINKER, PLAIN):
        assert prepare(request(tools=(TOOL,), tool_choice=choice, model=model)).demand is None

"""Encode thinking and tool choices for the OpenAI-compatible API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import NamedTool
from tests.core.wire.openai_requests import (
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
)
from tests.support.pipeline import prepare, request

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

TOOLS: list[tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    # settings, fields of the body in addition to the tools, adjustments
    ({}, ON, ()),
    ({"tool_choice": "auto"}, {**ON, "tool_choice": "auto"}, ()),
    ({"tool_choice": "none"}, {**ON, "tool_choice": "none"}, ()),
    ({"tool_choice": "required"}, {**OFF, "tool_choice": "required"}, ("enable_thinking=False",)),
    ({"tool_choice": NamedTool("crop")}, {**OFF, "tool_choice": NAMED}, ("'crop'",)),
    (
        {"tool_choice": "required", "enable_thinking": True, "thinking_source": "call"},
        {**OFF, "tool_choice": "required"},
        ("enable_thinking=False",),
    ),
    ({"tool_choice": "required", "enable_thinking": False}, {**OFF, "tool_choice": "required"}, ()),
    (
        {"tool_choice": "required", "forced_tool_choice": "auto"},
        {**ON, "tool_choice": "auto"},
        ("tool_choice='auto' instead of 'required'",),
    ),
    (
        {"tool_choice": NamedTool("crop"), "forced_tool_choice": "auto"},
        {**ON, "tool_choice": "auto"},
        ("tool_choice='auto' instead of 'crop'",),
    ),
    (
        {"tool_choice": NamedTool("crop"), "forced_tool_choice": "auto", "enable_thinking": False},
        {**OFF, "tool_choice": NAMED},
        (),
    ),
    (
        {"tool_choice": "required", "thinking_budget": 500},
        {**OFF, "tool_choice": "required"},
        ("enable_thinking=False", "thinking_budget not sent"),
    ),
    ({"model": THINKER, "tool_choice": "required"}, {**STREAM, "tool_choice": "auto"}, ("tool_choice='auto'",)),
    (
        {"model": THINKER, "tool_choice": NamedTool("crop"), "forced_tool_choice": "no_thinking"},
        {**STREAM, "tool_choice": "auto"},
        ("tool_choice='auto' instead of 'crop'",),
    ),
    ({"model": QVQ, "tool_choice": "auto"}, {**STREAM, "tool_choice": "auto"}, ()),
    ({"model": PLAIN, "tool_choice": "required"}, {"tool_choice": "required"}, ()),
    ({"model": UNKNOWN, "tool_choice": NamedTool("crop")}, {"tool_choice": NAMED}, ()),
    ({"parallel_tool_calls": False}, {**ON, "parallel_tool_calls": False}, ()),
    ({"parallel_tool_calls": True}, {**ON, "parallel_tool_calls": True}, ()),
]


@pytest.mark.parametrize(("settings", "sent", "adjustments"), TOOLS)
def test_tool_choice_per_model_is_encoded(
    settings: dict[str, Any], sent: dict[str, Any], adjustments: tuple[str, ...]
) -> None:
    check(Case(request(tools=(TOOL, ZOOM), **settings), {**sent, "tools": [TOOL, ZOOM]}, adjustments=adjustments))


@pytest.mark.parametrize("choice", ["required", "auto", "none"])
def test_tool_choice_without_tools_is_not_sent(choice: Any) -> None:
    check(Case(request(tool_choice=choice), ON))


def test_unknown_forced_tool_choice_raises_value_error() -> None:
    with pytest.raises(ValueError, match="forced_tool_choice"):
        prepare(request(forced_tool_choice="never"))


@pytest.mark.parametrize(
    ("chat_request", "is_required"),
    [
        (request(tools=(TOOL,), tool_choice="required"), False),
        (request(tools=(TOOL,), tool_choice="required", forced_tool_choice="auto"), True),
        (request(tools=(TOOL,), tool_choice="auto", forced_tool_choice="auto"), False),
        (request(tools=(TOOL,), tool_choice=NamedTool("crop"), model=THINKER), True),
        (request(tools=(TOOL,), tool_choice="auto", model=THINKER), False),
    ],
)
def test_unforced_tool_choice_requires_call_in_reply(chat_request: Request, is_required: bool) -> None:
    assert bool(prepare(chat_request).needs_tool_call) is is_required

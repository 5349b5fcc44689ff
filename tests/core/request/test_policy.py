"""Policy as a pure function: what a prepared says beside the body that `test_wire_openai` holds it to."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.catalog.models import ModelFacts, describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import policy
from qwenvl_core.types.messages import Message, TextPart
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings, NamedTool
from tests.support.pipeline import prepare, request, user

TOOL = {"type": "function", "function": {"name": "crop", "parameters": {}}}
JSON = {"type": "json_object"}


@pytest.mark.parametrize(
    ("model", "thinking", "asked_to_stream", "streams"),
    [
        ("qwen3-vl-plus", True, False, True),  # thinking always streams on the wire
        ("qwen3-vl-plus", False, False, False),
        ("qwen3-vl-plus", False, True, True),
        ("qwen3-vl-8b-thinking", True, False, True),
        ("qvq-max", True, False, True),
        ("qwen-vl-max", True, False, False),
        ("qwen-vl-max", True, True, True),
        ("my-model", True, False, False),
    ],
)
def test_what_streams_on_the_wire(model: str, thinking: bool, asked_to_stream: bool, streams: bool) -> None:
    asked = request(model=model, enable_thinking=thinking, stream=asked_to_stream)
    assert prepare(asked).stream is streams
    assert prepare(asked).adjustments == ()


def test_a_model_that_only_streams_streams_without_thinking_too() -> None:
    facts = ModelFacts(name="new", thinking="never", stream_only=True)
    assert policy.prepare(request(model="new"), facts).stream is True


@pytest.mark.parametrize(
    "settings",
    [
        {"tools": (TOOL,), "tool_choice": "required"},
        {"tools": (TOOL,), "tool_choice": NamedTool("crop")},
        {"response_format": JSON},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}},
    ],
)
def test_what_stops_the_thinking_stops_the_need_to_stream(settings: dict[str, Any]) -> None:
    told = prepare(request("json?", **settings))
    assert (told.enable_thinking, told.stream) == (False, False)
    assert any("enable_thinking=False" in said for said in told.adjustments)
    assert prepare(request("json?", stream=True, **settings)).stream is True


def test_every_adjustment_is_told_once_and_in_words() -> None:
    told = prepare(
        request(
            Message("system", (TextPart("Be brief."),)),
            user("Hi"),
            tools=(TOOL,),
            tool_choice="required",
            response_format={"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
            thinking_budget=5,
            fold_system_prompt=True,
        )
    )
    assert len(told.adjustments) == len(set(told.adjustments)) == 4
    assert all(len(said.split()) > 4 for said in told.adjustments)


def test_the_word_of_a_call_is_not_changed_for_the_next() -> None:
    asked = request(tools=(TOOL,), tool_choice="required", enable_thinking=True, thinking_source="call")
    assert prepare(asked).enable_thinking is False
    again = replace(asked, settings=replace(asked.settings, tool_choice="auto"))
    assert prepare(again).enable_thinking is True


@pytest.mark.parametrize("model", ["qwen3-vl-plus", "qwen-vl-max", "my-model"])
def test_a_partial_mark_needs_the_last_place(model: str) -> None:
    partial = Message("assistant", (TextPart("Once"),), partial=True)
    assert prepare(request(user("Hi"), partial, model=model)).messages[-1].partial
    told = prepare(request(user("Hi"), partial, user("Go on"), model=model))
    assert not any(message.partial for message in told.messages)
    assert told.adjustments == ()


@pytest.mark.parametrize("role", ["user", "system", "tool"])
def test_only_an_assistant_is_continued(role: Any) -> None:
    with pytest.raises(QwenVLInputError, match=rf"messages\[1\].*{role}"):
        prepare(request(user("Hi"), Message(role, (TextPart("Once"),), partial=True)))


def test_no_messages_are_no_error_of_policy() -> None:
    asked = Request(messages=(), settings=ModelSettings(response_format=JSON, fold_system_prompt=True))
    assert [message.role for message in prepare(asked).messages] == ["user"]


@given(
    st.sampled_from(["qwen3-vl-plus", "qwen3-vl-8b-thinking", "qvq-max", "qwen-vl-max", "qwen3.7-plus", "my-model"]),
    st.booleans(),
    st.sampled_from(["default", "model", "call"]),
    st.booleans(),
    st.sampled_from([None, "auto", "required", NamedTool("crop")]),
    st.sampled_from([None, JSON, {"type": "text"}]),
    st.sampled_from(["no_thinking", "auto"]),
)
def test_policy_is_pure_and_settled(
    model: str, thinking: bool, set_by: Any, stream: bool, choice: Any, form: Any, forced: Any
) -> None:
    asked = request(
        model=model,
        enable_thinking=thinking,
        thinking_source=set_by,
        stream=stream,
        tools=(TOOL,),
        tool_choice=choice,
        response_format=form,
        forced_tool_choice=forced,
    )
    facts, before = describe(model), copy.deepcopy(asked)
    try:
        told = policy.prepare(asked, facts)
    except QwenVLInputError:
        assert set_by != "default"
        return
    assert policy.prepare(asked, facts) == told
    assert asked == before
    assert told.enable_thinking is None or facts.thinking in ("hybrid", "unknown")
    assert told.stream or not (facts.stream_only or facts.thinking == "always" or told.enable_thinking)
    assert bool(told.needs_tool_call) <= (told.settings.tool_choice == "auto")
    # What is going to be sent needs no more of it.
    settled = Request(messages=told.messages, settings=told.settings, stream=told.stream)
    if told.enable_thinking is not None:
        word = replace(told.settings, enable_thinking=told.enable_thinking, thinking_source="call")
        settled = replace(settled, settings=word)
    again = policy.prepare(settled, facts)
    assert again.adjustments == ()
    assert (again.messages, again.enable_thinking, again.stream) == (told.messages, told.enable_thinking, told.stream)

"""The policy as a pure function; `tests/core/wire/test_openai.py` checks the bodies that follow from it."""

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
JSON_OBJECT = {"type": "json_object"}


@pytest.mark.parametrize(
    ("model", "thinking", "requested", "streams"),
    [
        ("qwen3-vl-plus", True, False, True),  # a thinking model always streams
        ("qwen3-vl-plus", False, False, False),
        ("qwen3-vl-plus", False, True, True),
        ("qwen3-vl-8b-thinking", True, False, True),
        ("qvq-max", True, False, True),
        ("qwen-vl-max", True, False, False),
        ("qwen-vl-max", True, True, True),
        ("my-model", True, False, False),
    ],
)
def test_stream_depends_on_model_thinking_and_request(
    model: str, thinking: bool, requested: bool, streams: bool
) -> None:
    original = request(model=model, enable_thinking=thinking, stream=requested)
    assert prepare(original).stream is streams
    assert prepare(original).adjustments == ()


def test_stream_only_model_streams_without_thinking() -> None:
    facts = ModelFacts(name="new", thinking="never", stream_only=True)
    assert policy.prepare(request(model="new"), facts).stream is True


@pytest.mark.parametrize(
    "settings",
    [
        {"tools": (TOOL,), "tool_choice": "required"},
        {"tools": (TOOL,), "tool_choice": NamedTool("crop")},
        {"response_format": JSON_OBJECT},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}},
    ],
)
def test_forced_output_without_thinking_disables_thinking_and_streaming(settings: dict[str, Any]) -> None:
    settings = {**settings, "forced_output": "no_thinking"}
    prepared = prepare(request("json?", **settings))
    assert (prepared.enable_thinking, prepared.stream) == (False, False)
    assert any("enable_thinking=False" in note for note in prepared.adjustments)
    assert prepare(request("json?", stream=True, **settings)).stream is True


def test_adjustments_are_unique_sentences() -> None:
    prepared = prepare(
        request(
            Message("system", (TextPart("Be brief."),)),
            user("Hi"),
            tools=(TOOL,),
            tool_choice="required",
            response_format={"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
            thinking_budget=5,
            fold_system_prompt=True,
            forced_output="no_thinking",
        )
    )
    assert len(prepared.adjustments) == len(set(prepared.adjustments)) == 4
    assert all(len(note.split()) > 4 for note in prepared.adjustments)


def test_disabled_thinking_holds_for_one_request_only() -> None:
    original = request(
        tools=(TOOL,),
        tool_choice="required",
        enable_thinking=True,
        thinking_source="call",
        forced_output="no_thinking",
    )
    assert prepare(original).enable_thinking is False
    following = replace(original, settings=replace(original.settings, tool_choice="auto"))
    assert prepare(following).enable_thinking is True


@pytest.mark.parametrize("model", ["qwen3-vl-plus", "qwen-vl-max", "my-model"])
def test_partial_is_kept_on_the_last_message_only(model: str) -> None:
    partial = Message("assistant", (TextPart("Once"),), partial=True)
    assert prepare(request(user("Hi"), partial, model=model)).messages[-1].partial
    prepared = prepare(request(user("Hi"), partial, user("Go on"), model=model))
    assert not any(message.partial for message in prepared.messages)
    assert prepared.adjustments == ()


@pytest.mark.parametrize("role", ["user", "system"])
def test_partial_message_of_another_role_raises_input_error(role: Any) -> None:
    with pytest.raises(QwenVLInputError, match=rf"messages\[1\].*{role}"):
        prepare(request(user("Hi"), Message(role, (TextPart("Once"),), partial=True)))


def test_request_without_messages_is_prepared() -> None:
    original = Request(messages=(), settings=ModelSettings(response_format=JSON_OBJECT, fold_system_prompt=True))
    assert [message.role for message in prepare(original).messages] == ["user"]


@given(
    st.sampled_from(["qwen3-vl-plus", "qwen3-vl-8b-thinking", "qvq-max", "qwen-vl-max", "qwen3.7-plus", "my-model"]),
    st.booleans(),
    st.sampled_from(["default", "model", "call"]),
    st.booleans(),
    st.sampled_from([None, "auto", "required", NamedTool("crop")]),
    st.sampled_from([None, JSON_OBJECT, {"type": "text"}]),
    st.sampled_from(["think_first", "no_thinking", "ask"]),
)
def test_prepare_is_pure_and_idempotent(
    model: str, thinking: bool, source: Any, stream: bool, choice: Any, response_format: Any, forced_output: Any
) -> None:
    original = request(
        model=model,
        enable_thinking=thinking,
        thinking_source=source,
        stream=stream,
        tools=(TOOL,),
        tool_choice=choice,
        response_format=response_format,
        forced_output=forced_output,
    )
    facts, before = describe(model), copy.deepcopy(original)
    try:
        prepared = policy.prepare(original, facts)
    except QwenVLInputError:
        assert source != "default"
        return
    assert policy.prepare(original, facts) == prepared
    assert original == before
    assert prepared.enable_thinking is None or facts.thinking in ("hybrid", "unknown")
    assert prepared.stream or not (facts.stream_only or facts.thinking == "always" or prepared.enable_thinking)
    assert bool(prepared.demand and prepared.demand.is_repeated) <= (forced_output != "ask")
    assert bool(prepared.forced) <= bool(prepared.enable_thinking)
    # The policy changes nothing in a request that it has prepared.
    settings = prepared.settings
    if prepared.enable_thinking is not None:
        settings = replace(settings, enable_thinking=prepared.enable_thinking, thinking_source="call")
    again = policy.prepare(Request(messages=prepared.messages, settings=settings, stream=prepared.stream), facts)
    assert again.adjustments == ()
    assert again.messages == prepared.messages
    assert (again.enable_thinking, again.stream) == (prepared.enable_thinking, prepared.stream)

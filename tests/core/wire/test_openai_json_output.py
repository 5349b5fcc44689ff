"""Encode response formats for the OpenAI-compatible API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import ImagePart, Message, TextPart
from qwenvl_core.types.request import Request
from tests.core.wire.openai_requests import (
    CALL_CROP,
    INSTRUCTION,
    JSON_OBJECT,
    JSON_SCHEMA,
    NEWER,
    OFF,
    ON,
    PLAIN,
    QVQ,
    STREAM,
    THINKER,
    TOOL,
    UNKNOWN,
    WITH_SCHEMA,
    Case,
    check,
    user_text,
)
from tests.support.pipeline import body_of, prepare, request, user

ASK_JSON = request("Say it in JSON.")
JSON_HI: list[dict[str, Any]] = [{"role": "user", "content": "Say it in JSON."}]


def json_request(**settings: Any) -> Request:
    return replace(ASK_JSON, settings=replace(ASK_JSON.settings, **settings))


NO_THINKING: dict[str, Any] = {"forced_output": "no_thinking"}

JSON_CASES: list[Case] = [
    # hybrid: JSON is requested in the prompt while the model thinks
    Case(
        json_request(response_format=JSON_OBJECT),
        ON,
        user_text(f"Say it in JSON.\n\n{INSTRUCTION}"),
        ("response_format json_object not sent",),
    ),
    Case(
        request(response_format=JSON_SCHEMA, thinking_budget=7),
        {**ON, "thinking_budget": 7},
        user_text(f"Hi\n\n{WITH_SCHEMA}"),
        ("response_format json_schema not sent",),
    ),
    Case(
        json_request(model=NEWER, response_format=JSON_SCHEMA, forced_output="ask"),
        ON,
        user_text(f"Say it in JSON.\n\n{WITH_SCHEMA}"),
        ("response_format json_schema not sent",),
    ),
    # hybrid with tools
    Case(
        request(response_format=JSON_OBJECT, tools=(TOOL,)),
        {**ON, "tools": [TOOL]},
        user_text("Hi\n\nUnless you call a tool, answer with one JSON object and nothing else."),
        ("response_format json_object not sent",),
    ),
    Case(
        request(response_format=JSON_OBJECT, tools=(TOOL,), tool_choice="none"),
        {**ON, "tools": [TOOL], "tool_choice": "none"},
        user_text(f"Hi\n\n{INSTRUCTION}"),
        ("response_format json_object not sent",),
    ),
    Case(
        request(response_format=JSON_OBJECT, tools=(TOOL,), tool_choice="required"),
        {**ON, "tools": [TOOL], "tool_choice": "auto"},
        user_text(f"Hi\n\n{CALL_CROP}"),
        ("tool_choice='auto'", "response_format json_object not sent"),
    ),
    # hybrid without thinking; a schema is added to the prompt
    Case(
        json_request(response_format=JSON_OBJECT, **NO_THINKING),
        {**OFF, "response_format": JSON_OBJECT},
        JSON_HI,
        ("enable_thinking=False",),
    ),
    Case(
        json_request(response_format=JSON_OBJECT, enable_thinking=False),
        {**OFF, "response_format": JSON_OBJECT},
        JSON_HI,
    ),
    Case(
        request(response_format=JSON_OBJECT, **NO_THINKING),
        {**OFF, "response_format": JSON_OBJECT},
        user_text(f"Hi\n\n{INSTRUCTION}"),
        ("enable_thinking=False", 'the word "json"'),
    ),
    Case(
        request(response_format=JSON_SCHEMA, enable_thinking=False),
        {**OFF, "response_format": JSON_OBJECT},
        user_text(f"Hi\n\n{WITH_SCHEMA}"),
        ("json_object instead of json_schema",),
    ),
    Case(
        request(response_format=JSON_SCHEMA, thinking_budget=7, **NO_THINKING),
        {**OFF, "response_format": JSON_OBJECT},
        user_text(f"Hi\n\n{WITH_SCHEMA}"),
        ("enable_thinking=False", "json_object instead of json_schema", "thinking_budget not sent"),
    ),
    # a model with JSON schemas
    Case(
        json_request(model=NEWER, response_format=JSON_SCHEMA, **NO_THINKING),
        {**OFF, "response_format": JSON_SCHEMA},
        JSON_HI,
        ("enable_thinking=False",),
    ),
    # thinking-only: the demand is in the prompt only
    Case(
        json_request(model=THINKER, response_format=JSON_OBJECT),
        STREAM,
        user_text(f"Say it in JSON.\n\n{INSTRUCTION}"),
        ("response_format json_object not sent",),
    ),
    Case(
        request(model=THINKER, response_format=JSON_SCHEMA),
        STREAM,
        user_text(f"Hi\n\n{WITH_SCHEMA}"),
        ("response_format json_schema not sent",),
    ),
    Case(
        request(model=QVQ, response_format=JSON_SCHEMA),
        STREAM,
        user_text(f"Hi\n\n{WITH_SCHEMA}"),
        ("json_schema not sent",),
    ),
    # non-thinking, with and without JSON mode
    Case(json_request(model=PLAIN, response_format=JSON_OBJECT), {"response_format": JSON_OBJECT}, JSON_HI),
    Case(
        request(model="qwen2.5-vl-7b-instruct", response_format=JSON_OBJECT),
        {},
        user_text(f"Hi\n\n{INSTRUCTION}"),
        ("response_format json_object not sent",),
    ),
    # unknown model: unchanged
    Case(json_request(model=UNKNOWN, response_format=JSON_SCHEMA), {"response_format": JSON_SCHEMA}, JSON_HI),
    # text: unchanged
    Case(request(response_format={"type": "text"}), {**ON, "response_format": {"type": "text"}}),
]


@pytest.mark.parametrize("case", JSON_CASES)
def test_response_format_per_model_is_encoded(case: Case) -> None:
    check(case)


@pytest.mark.parametrize(
    ("settings", "is_checked", "is_repeated"),
    [
        ({}, True, True),
        ({"forced_output": "ask"}, True, False),
        (NO_THINKING, False, False),
        ({"enable_thinking": False}, False, False),
        ({"model": THINKER}, True, True),
        ({"model": THINKER, "forced_output": "ask"}, True, False),
        ({"model": THINKER, **NO_THINKING}, True, True),
        ({"model": PLAIN}, False, False),
        ({"model": "qwen-vl-ocr"}, True, False),
    ],
)
def test_json_is_checked_where_the_service_does_not_force_it(
    settings: dict[str, Any], is_checked: bool, is_repeated: bool
) -> None:
    demand = prepare(request(response_format=JSON_OBJECT, **settings)).demand
    assert demand is not None
    assert (demand.kind, demand.is_checked, demand.is_repeated) == ("json", is_checked, is_repeated)


SCHEMAS: list[tuple[dict[str, Any], tuple[type, ...], tuple[str, ...]]] = [
    ({"type": "object", "required": ["a", "b"]}, (dict,), ("a", "b")),
    ({"properties": {"a": {}}}, (dict,), ()),
    ({"type": "array", "items": {}}, (list,), ()),
    ({"$ref": "#/$defs/Node", "$defs": {"Node": {"type": "object", "required": ["next"]}}}, (dict,), ("next",)),
    ({"$ref": "#/$defs/Gone", "$defs": {}}, (dict, list), ()),
    ({"anyOf": [{"type": "object"}, {"type": "array"}]}, (dict, list), ()),
    ({}, (dict, list), ()),
    ({"type": "object", "required": "a"}, (dict,), ()),
]


@pytest.mark.parametrize(("schema", "types", "required"), SCHEMAS)
def test_schema_of_each_form_demands_its_type_and_keys(
    schema: dict[str, Any], types: tuple[type, ...], required: tuple[str, ...]
) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    prepared = prepare(request(response_format=response_format))
    assert prepared.demand is not None
    assert (prepared.demand.types, prepared.demand.required) == (types, required)
    assert ("one JSON array" in str(prepared.messages)) is (types == (list,))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        # any message may hold the word "json"
        ((Message("system", (TextPart("Always answer in json."),)), user("Hi")), None),
        ((user("JsOn?"), Message("assistant", (TextPart("Yes"),)), user("Hi")), None),
        # the instruction ends the last user message
        (
            (user("A"), Message("assistant", (TextPart("B"),)), user("C")),
            [*user_text("A"), {"role": "assistant", "content": "B"}, *user_text(f"C\n\n{INSTRUCTION}")],
        ),
        # … after its media
        (
            (user("What?", ImagePart(UrlSource("https://a/b.png"))),),
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What?"},
                        {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
                        {"type": "text", "text": INSTRUCTION},
                    ],
                }
            ],
        ),
    ],
)
def test_json_instruction_is_added_to_last_user_message(messages: tuple[Message, ...], expected: Any) -> None:
    chat_request = request(*messages, response_format=JSON_OBJECT, enable_thinking=False)
    body = body_of(chat_request)
    assert body["messages"] == expected if expected else INSTRUCTION not in str(body)

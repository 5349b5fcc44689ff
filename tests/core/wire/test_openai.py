"""Encode requests to the OpenAI-compatible API: values and the exact JSON body that they become."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, TextPart, ToolCall, VideoPart
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import NamedTool
from qwenvl_core.wire import openai as wire
from tests.support.pipeline import JPEG, PNG, body_of, prepare, request, user

HYBRID = "qwen3-vl-plus"
THINKER = "qwen3-vl-8b-thinking"
QVQ = "qvq-max"
PLAIN = "qwen-vl-max"
NEWER = "qwen3.7-plus"
UNKNOWN = "my-model"

HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
ON: dict[str, Any] = {**STREAM, "enable_thinking": True}
OFF: dict[str, Any] = {"enable_thinking": False}

TOOL = {"type": "function", "function": {"name": "crop", "parameters": {"type": "object", "properties": {}}}}
ZOOM = {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object", "properties": {}}}}
NAMED = {"type": "function", "function": {"name": "crop"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "description": "größer"}}}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
JSON_OBJECT = {"type": "json_object"}
INSTRUCTION = "Answer with one JSON object and nothing else."
WITH_SCHEMA = (
    f"{INSTRUCTION} It must match this JSON schema:\n"
    '{"type": "object", "properties": {"a": {"type": "integer", "description": "größer"}}}'
)


class Case(NamedTuple):
    """A request, and the fields of its body in addition to model and messages."""

    chat_request: Request
    sent: dict[str, Any]
    messages: list[dict[str, Any]] = HI
    adjustments: tuple[str, ...] = ()
    """Part of each adjustment."""


def check(case: Case) -> None:
    expected = {"model": case.chat_request.settings.model, "messages": case.messages, **case.sent}
    assert body_of(case.chat_request) == expected
    adjustments = prepare(case.chat_request).adjustments
    assert len(adjustments) == len(case.adjustments), adjustments
    for words, adjustment in zip(case.adjustments, adjustments, strict=True):
        assert words in adjustment


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


# --- JSON output ------------------------------------------------------------------------------------------------------

ASK_JSON = request("Say it in JSON.")
JSON_HI: list[dict[str, Any]] = [{"role": "user", "content": "Say it in JSON."}]


def json_request(**settings: Any) -> Request:
    return replace(ASK_JSON, settings=replace(ASK_JSON.settings, **settings))


def user_text(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


JSON_CASES: list[Case] = [
    # hybrid: thinking is off for the request; a schema is added to the prompt
    Case(
        json_request(response_format=JSON_OBJECT),
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
        request(response_format=JSON_OBJECT),
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
        request(response_format=JSON_SCHEMA),
        {**OFF, "response_format": JSON_OBJECT},
        user_text(f"Hi\n\n{WITH_SCHEMA}"),
        ("enable_thinking=False", "json_object instead of json_schema"),
    ),
    Case(
        request(response_format=JSON_SCHEMA, thinking_budget=7),
        {**OFF, "response_format": JSON_OBJECT},
        user_text(f"Hi\n\n{WITH_SCHEMA}"),
        ("enable_thinking=False", "json_object instead of json_schema", "thinking_budget not sent"),
    ),
    # a model with JSON schemas
    Case(
        json_request(model=NEWER, response_format=JSON_SCHEMA),
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


def test_unsupported_json_mode_requires_json_in_reply() -> None:
    assert prepare(request(model=THINKER, response_format=JSON_OBJECT)).needs_json
    assert prepare(request(model="qwen-vl-ocr", response_format=JSON_OBJECT)).needs_json
    assert not prepare(request(response_format=JSON_SCHEMA)).needs_json


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


# --- plain settings ---------------------------------------------------------------------------------------------------

NUMBERS: dict[str, list[Any]] = {
    "temperature": [0, 0.7],
    "top_p": [0.1],
    "top_k": [0, 20],
    "max_tokens": [1, 100],
    "seed": [0, 1234],
    "presence_penalty": [0, 0.0, -1.5],
    "repetition_penalty": [1.05],
    "logprobs": [True, False],
    "top_logprobs": [0, 5],
    "vl_high_resolution_images": [True, False],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in NUMBERS for value in NUMBERS[name]])
@pytest.mark.parametrize("model", [HYBRID, UNKNOWN])
def test_setting_with_value_is_sent_under_its_name(name: str, value: Any, model: str) -> None:
    check(Case(request(model=model, **{name: value}), {**(ON if model == HYBRID else {}), name: value}))


@pytest.mark.parametrize("model", [HYBRID, THINKER, PLAIN, UNKNOWN])
def test_setting_of_none_is_not_sent(model: str) -> None:
    settings: dict[str, Any] = dict.fromkeys(NUMBERS)
    body = body_of(request(model=model, **settings))
    assert set(body) - {"stream", "stream_options", "enable_thinking"} == {"model", "messages"}
    assert None not in body.values()


def test_stop_is_sent_as_list() -> None:
    check(Case(request(stop=("\n", "END")), {**ON, "stop": ["\n", "END"]}))


@pytest.mark.parametrize(
    ("extra", "sent"),
    [
        (
            {"enable_search": True, "search_options": {"forced_search": True}},
            {"enable_search": True, "search_options": {"forced_search": True}},
        ),
        ({"temperature": 1.5}, {"temperature": 1.5}),  # overrides a setting
        ({"enable_thinking": False}, {"enable_thinking": False}),
        ({"stream_options": {"include_usage": False}}, {"stream_options": {"include_usage": False}}),
        ({"something": None}, {"something": None}),
    ],
)
def test_extra_body_overrides_other_fields(extra: dict[str, Any], sent: dict[str, Any]) -> None:
    check(Case(request(temperature=0.5, extra_body=extra), {**ON, "temperature": 0.5, **sent}))


# --- messages ---------------------------------------------------------------------------------------------------------


def call(call_id: str = "call_1", name: str = "crop", arguments: str = "{}") -> ToolCall:
    return ToolCall(call_id, name, arguments)


def sent_call(call_id: str = "call_1", name: str = "crop", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(*texts: str, **facts: Any) -> Message:
    return Message("assistant", tuple(map(TextPart, texts)), **facts)


def tool(call_id: str, *parts: Any) -> Message:
    return Message(
        "tool", tuple(TextPart(part) if isinstance(part, str) else part for part in parts), tool_call_id=call_id
    )


MESSAGES: list[tuple[tuple[Message, ...], list[dict[str, Any]]]] = [
    ((user("Hi"),), HI),
    ((user(""),), [{"role": "user", "content": ""}]),
    ((user(),), [{"role": "user", "content": ""}]),
    ((user("Hi", ""),), HI),
    (
        (user("a", "b"),),
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    ),
    ((assistant("a", "b"),), [{"role": "assistant", "content": "a\nb"}]),
    ((assistant(),), [{"role": "assistant", "content": ""}]),
    (
        (
            Message("system", (TextPart("Be brief."),)),
            user("Hi"),
            assistant("Ja"),
            Message("system", (TextPart("Now."),)),
            user("?"),
        ),
        [
            {"role": "system", "content": "Be brief."},
            *HI,
            {"role": "assistant", "content": "Ja"},
            {"role": "system", "content": "Now."},
            {"role": "user", "content": "?"},
        ],
    ),
    ((replace(user("Hi"), name="ann"),), [{"role": "user", "content": "Hi", "name": "ann"}]),
    (
        (
            user("Hi"),
            assistant(tool_calls=(call(), call("call_2", "zoom", '{"x": 1}'))),
            tool("call_1", "a", "b"),
            tool("call_2"),
        ),
        [
            *HI,
            {"role": "assistant", "content": "", "tool_calls": [sent_call(), sent_call("call_2", "zoom", '{"x": 1}')]},
            {"role": "tool", "content": "a\nb", "tool_call_id": "call_1"},
            {"role": "tool", "content": "", "tool_call_id": "call_2"},
        ],
    ),
    (
        (assistant("I look.", tool_calls=(call(),)), tool("call_1", "Done.")),
        [
            {"role": "assistant", "content": "I look.", "tool_calls": [sent_call()]},
            {"role": "tool", "content": "Done.", "tool_call_id": "call_1"},
        ],
    ),
    ((assistant("a", reasoning="Hm."),), [{"role": "assistant", "content": "a"}]),
]


@pytest.mark.parametrize(("messages", "sent"), MESSAGES)
def test_messages_are_encoded(messages: tuple[Message, ...], sent: list[dict[str, Any]]) -> None:
    check(Case(request(*messages, model=UNKNOWN), {}, sent))


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ("{}", "{}"),
        ('{"x": 1}', '{"x": 1}'),
        (' {"x":\n"ö"} ', ' {"x":\n"ö"} '),  # an object is sent unchanged
        ("", "{}"),
        ("  ", "{}"),
        ('{"x": 1', "{}"),
        ("[1]", "{}"),
        ('"text"', "{}"),
        ("null", "{}"),
        ("3", "{}"),
        ("not json", "{}"),
        ("[" * 100_000, "{}"),
    ],
)
def test_arguments_other_than_object_are_sent_as_empty_object(arguments: str, sent: str) -> None:
    body = body_of(request(user("Hi"), assistant(tool_calls=(call(arguments=arguments),)), tool("call_1", "ok")))
    assert body["messages"][1]["tool_calls"] == [sent_call(arguments=sent)]


def test_reasoning_is_sent_back_only_with_preserve_thinking() -> None:
    history = (user("Hi"), assistant("a", reasoning="Hm."), user("And?"))
    for model in (HYBRID, NEWER, THINKER, PLAIN, UNKNOWN):
        assert "Hm." not in str(body_of(request(*history, model=model)))
        body = body_of(request(*history, model=model, preserve_thinking=True))
        assert body["messages"][1] == {"role": "assistant", "content": "a", "reasoning_content": "Hm."}
        assert body["preserve_thinking"] is True


FOLDED: list[tuple[tuple[Message, ...], list[dict[str, Any]]]] = [
    (
        (Message("system", (TextPart("A"),)), user("Hi"), Message("system", (TextPart("B"),)), user("?")),
        [{"role": "user", "content": "A\n\nB\n\nHi"}, {"role": "user", "content": "?"}],
    ),
    (
        (Message("system", (TextPart("A"),)), user(ImagePart(UrlSource("https://a")), "Hi")),
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "A"},
                    {"type": "image_url", "image_url": {"url": "https://a"}},
                    {"type": "text", "text": "Hi"},
                ],
            }
        ],
    ),
    (
        (Message("system", (TextPart("A"),)), assistant("b")),
        [{"role": "user", "content": "A"}, {"role": "assistant", "content": "b"}],
    ),
    (
        (Message("system", (TextPart("A", cache=True),)), user("Hi")),
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}},
                    {"type": "text", "text": "Hi"},
                ],
            }
        ],
    ),
    (  # media of system messages are kept
        (Message("system", (TextPart("A"), ImagePart(UrlSource("https://a")))), user("Hi")),
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "A"},
                    {"type": "image_url", "image_url": {"url": "https://a"}},
                    {"type": "text", "text": "Hi"},
                ],
            }
        ],
    ),
]


@pytest.mark.parametrize(("messages", "sent"), FOLDED)
def test_fold_system_prompt_moves_system_messages_into_user_message(
    messages: tuple[Message, ...], sent: list[dict[str, Any]]
) -> None:
    check(Case(request(*messages, fold_system_prompt=True), ON, sent, ("folded",)))
    assert body_of(request(*messages))["messages"][0]["role"] == "system"


def test_fold_system_prompt_without_system_message_changes_nothing() -> None:
    check(Case(request("Hi", fold_system_prompt=True), ON))


# --- continuing a partial answer --------------------------------------------------------------------------------------


def test_partial_message_is_continued_without_thinking() -> None:
    sent = [*HI, {"role": "assistant", "content": "Once upon", "partial": True}]
    history = (user("Hi"), assistant("Once upon", partial=True))
    check(Case(request(*history), OFF, sent, ("enable_thinking=False: a partial message",)))
    check(Case(request(*history, enable_thinking=False), OFF, sent))
    check(Case(request(*history, model=PLAIN), {}, sent))
    check(
        Case(request(*history, thinking_budget=9), OFF, sent, ("a partial message", "thinking_budget not sent")),
    )


def test_partial_message_before_last_is_sent_as_complete() -> None:
    check(
        Case(
            request(user("Hi"), assistant("Once", partial=True), user("Go on")),
            ON,
            [*HI, {"role": "assistant", "content": "Once"}, {"role": "user", "content": "Go on"}],
        )
    )


@pytest.mark.parametrize(
    ("messages", "model", "words"),
    [
        ((user("Hi"), assistant("Once", partial=True)), THINKER, "always thinks"),
        ((user("Hi"), assistant("Once", partial=True)), QVQ, "always thinks"),
        ((replace(user("Hi"), partial=True),), HYBRID, r"messages\[0\]"),
    ],
)
def test_unsupported_partial_message_raises_value_error(messages: tuple[Message, ...], model: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        prepare(request(*messages, model=model))


# --- media ------------------------------------------------------------------------------------------------------------

URL = "https://example.com/a.png"
CLIP = "https://example.com/a.mp4"
FRAMES = tuple(UrlSource(f"https://example.com/{n}.png") for n in range(4))
FRAME_URLS = [frame.url for frame in FRAMES]
DEFAULTS: dict[str, Any] = {"min_pixels": 4096, "max_pixels": 1_000_000, "fps": 1.5}


def image_url(url: str, **options: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **options}


def video_url(url: str, **options: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}, **options}


PARTS: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    # part, encoded without defaults, encoded with defaults for every image and video
    (TextPart("Hi"), {"type": "text", "text": "Hi"}, {"type": "text", "text": "Hi"}),
    (ImagePart(UrlSource(URL)), image_url(URL), image_url(URL, min_pixels=4096, max_pixels=1_000_000)),
    (
        ImagePart(UrlSource(URL), min_pixels=0, max_pixels=5000),
        image_url(URL, min_pixels=0, max_pixels=5000),
        image_url(URL, min_pixels=0, max_pixels=5000),
    ),
    (
        ImagePart(UrlSource(URL), max_pixels=1),
        image_url(URL, max_pixels=1),
        image_url(URL, min_pixels=4096, max_pixels=1),
    ),
    (
        ImagePart(UrlSource("oss://a/b.png")),
        image_url("oss://a/b.png"),
        image_url("oss://a/b.png", min_pixels=4096, max_pixels=1_000_000),
    ),
    (
        VideoPart(UrlSource(CLIP)),
        video_url(CLIP),
        video_url(CLIP, fps=1.5, min_pixels=4096, max_pixels=1_000_000),
    ),
    (
        VideoPart(UrlSource(CLIP), fps=0.5, min_pixels=1, max_pixels=2, total_pixels=3),
        video_url(CLIP, fps=0.5, min_pixels=1, max_pixels=2, total_pixels=3),
        video_url(CLIP, fps=0.5, min_pixels=1, max_pixels=2, total_pixels=3),
    ),
    (
        FramesPart(FRAMES),
        {"type": "video", "video": FRAME_URLS},
        {"type": "video", "video": FRAME_URLS, "fps": 1.5, "min_pixels": 4096, "max_pixels": 1_000_000},
    ),
    (
        FramesPart(FRAMES, fps=2, total_pixels=9),
        {"type": "video", "video": FRAME_URLS, "fps": 2, "total_pixels": 9},
        {
            "type": "video",
            "video": FRAME_URLS,
            "fps": 2,
            "min_pixels": 4096,
            "max_pixels": 1_000_000,
            "total_pixels": 9,
        },
    ),
]


@pytest.mark.parametrize(("part", "bare", "defaulted"), PARTS)
def test_part_options_override_defaults(part: Any, bare: dict[str, Any], defaulted: dict[str, Any]) -> None:
    question = {"type": "text", "text": "?"}
    for settings, sent in (({}, bare), (DEFAULTS, defaulted)):
        body = body_of(request(user(part, "?"), **settings))
        assert body["messages"] == [{"role": "user", "content": [sent, question]}]
        assert not set(DEFAULTS) & set(body)  # next to the parts only
        cached = body_of(request(user(replace(part, cache=True), "?"), **settings))
        marked = {**sent, "cache_control": {"type": "ephemeral"}}
        assert cached["messages"] == [{"role": "user", "content": [marked, question]}]


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_cached_text_is_sent_as_part(role: Any) -> None:
    marked = Message(role, (TextPart("Hi", cache=True),), tool_call_id="1" if role == "tool" else None)
    content = body_of(request(user("?"), marked, model=UNKNOWN))["messages"][1]["content"]
    assert content == [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]


def test_bytes_and_files_are_inlined(tmp_path: Path) -> None:
    path = tmp_path / "misnamed.gif"
    path.write_bytes(JPEG)
    body = body_of(
        request(
            user(
                ImagePart(InlineSource(PNG)),
                ImagePart(FileSource(path)),
                FramesPart((InlineSource(PNG), UrlSource(URL), FileSource(path), UrlSource(URL))),
            )
        )
    )
    image, file, frames = body["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert file["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
    assert frames["video"] == [image["image_url"]["url"], URL, file["image_url"]["url"], URL]


@pytest.mark.parametrize(
    ("part", "headers"),
    [
        (ImagePart(UrlSource("oss://a/b.png")), {"X-DashScope-OssResourceResolve": "enable"}),
        (
            FramesPart((UrlSource(URL), UrlSource("OSS://a"), UrlSource(URL), UrlSource(URL))),
            {"X-DashScope-OssResourceResolve": "enable"},
        ),
        (ImagePart(UrlSource(URL)), {}),
        (TextPart("oss://a"), {}),
    ],
)
def test_oss_url_adds_resolve_header(part: Any, headers: dict[str, str]) -> None:
    assert wire.headers(prepare(request(user(part)))) == headers


# --- media of tool results --------------------------------------------------------------------------------------------

A, B, C = (ImagePart(UrlSource(f"https://example.com/{name}.png")) for name in "abc")
PLACEHOLDER = "The result follows as media in the next user message."


def sent_tool(call_id: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_call_id": call_id}


def sent_media(*parts: Any) -> dict[str, Any]:
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else image_url(part.source.url) for part in parts
    ]
    return {"role": "user", "content": content}


ONE, TWO = (assistant(tool_calls=tuple(call(f"c{n}") for n in range(1, count + 1))) for count in (1, 2))
SENT_ONE, SENT_TWO = (
    {"role": "assistant", "content": "", "tool_calls": [sent_call(f"c{n}") for n in range(1, count + 1)]}
    for count in (1, 2)
)

RELOCATED: list[tuple[tuple[Message, ...], list[dict[str, Any]]]] = [
    ((ONE, tool("c1", "Cropped.", A)), [SENT_ONE, sent_tool("c1", "Cropped."), sent_media(A)]),
    ((ONE, tool("c1", A)), [SENT_ONE, sent_tool("c1", PLACEHOLDER), sent_media(A)]),
    ((ONE, tool("c1", A, "a", B, "b")), [SENT_ONE, sent_tool("c1", "a\nb"), sent_media(A, B)]),
    (  # parallel results: all tool messages come first
        (TWO, tool("c1", A), tool("c2", "x", B)),
        [
            SENT_TWO,
            sent_tool("c1", PLACEHOLDER),
            sent_tool("c2", "x"),
            sent_media("Result of the tool call c1:", A, "Result of the tool call c2:", B),
        ],
    ),
    (
        (TWO, tool("c1", "only text"), tool("c2", B)),
        [
            SENT_TWO,
            sent_tool("c1", "only text"),
            sent_tool("c2", PLACEHOLDER),
            sent_media("Result of the tool call c2:", B),
        ],
    ),
    (  # each run of tool messages gets a user message of its own
        (ONE, tool("c1", A), ONE, tool("c1", B), assistant("Done."), user("And?")),
        [
            SENT_ONE,
            sent_tool("c1", PLACEHOLDER),
            sent_media(A),
            SENT_ONE,
            sent_tool("c1", PLACEHOLDER),
            sent_media(B),
            {"role": "assistant", "content": "Done."},
            {"role": "user", "content": "And?"},
        ],
    ),
    (  # the media precede the next user message
        (ONE, tool("c1", A), user("And?")),
        [SENT_ONE, sent_tool("c1", PLACEHOLDER), sent_media(A), {"role": "user", "content": "And?"}],
    ),
]


@pytest.mark.parametrize(("messages", "sent"), RELOCATED)
def test_media_of_tool_results_move_to_user_message(messages: tuple[Message, ...], sent: list[dict[str, Any]]) -> None:
    check(Case(request(user("Hi"), *messages), ON, [*HI, *sent], ("media of tool results",)))


def test_moved_media_keep_options_and_cache_markers() -> None:
    image = replace(A, max_pixels=7, cache=True)
    body = body_of(request(user("Hi"), ONE, tool("c1", TextPart("Cropped.", cache=True), image), min_pixels=3))
    marker = {"cache_control": {"type": "ephemeral"}}
    assert body["messages"][2]["content"] == [{"type": "text", "text": "Cropped.", **marker}]
    assert body["messages"][3]["content"] == [
        image_url("https://example.com/a.png", min_pixels=3, max_pixels=7, **marker)
    ]


# --- properties -------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from([HYBRID, THINKER, PLAIN, NEWER, UNKNOWN]),
    st.lists(
        st.sampled_from(
            [
                user("Hi"),
                Message("system", (TextPart("S"),)),
                user("?", A),
                ONE,
                tool("c1", A, "x"),
                assistant("a", reasoning="Hm."),
                assistant("Once", partial=True),
            ]
        ),
        max_size=6,
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "enable_thinking": st.booleans(),
            "thinking_source": st.sampled_from(["default", "model", "call"]),
            "tools": st.just((TOOL,)),
            "tool_choice": st.sampled_from(["auto", "required", NamedTool("crop")]),
            "response_format": st.sampled_from([JSON_OBJECT, JSON_SCHEMA]),
            "forced_tool_choice": st.sampled_from(["auto", "no_thinking"]),
            "thinking_budget": st.integers(1, 9),
            "fold_system_prompt": st.booleans(),
            "preserve_thinking": st.booleans(),
            "extra_body": st.just({"x": {"y": 1}}),
        },
    ),
)
def test_encoding_keeps_request_and_service_rules(
    model: str, messages: list[Message], settings: dict[str, Any]
) -> None:
    chat_request = request(*messages, model=model, **settings)
    before = copy.deepcopy(chat_request)
    try:
        first = body_of(chat_request)
    except QwenVLInputError:
        assert chat_request == before
        return
    assert body_of(chat_request) == first
    assert chat_request == before
    thinks = first.get("enable_thinking") or model == THINKER
    if thinks:
        assert first["stream"] is True
        assert first["stream_options"] == {"include_usage": True}
        assert first.get("tool_choice") in (None, "auto", "none")
        assert "response_format" not in first
        assert "partial" not in first["messages"][-1]
    else:
        assert "thinking_budget" not in first or model == UNKNOWN
    for message in first["messages"]:
        assert message.get("tool_calls") != []
        assert message["role"] != "tool" or isinstance(message["content"], str)
    assert None not in first.values()

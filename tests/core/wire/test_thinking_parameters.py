"""Encode thinking, efforts, lengths and earlier reasoning for each model family, in both APIs."""

from __future__ import annotations

from typing import Any

import pytest

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.types.messages import Message, TextPart
from qwenvl_core.types.settings import NamedTool
from qwenvl_core.wire import dashscope, openai
from tests.support.pipeline import prepare, request

STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
TOOL = {"type": "function", "function": {"name": "crop", "parameters": {"type": "object", "properties": {}}}}
CHOICE = {"type": "function", "function": {"name": "crop"}}
ON: dict[str, Any] = {"enable_thinking": True}
OFF: dict[str, Any] = {"enable_thinking": False}
FORCED: dict[str, Any] = {"tools": (TOOL,), "tool_choice": NamedTool("crop")}
JSON: dict[str, Any] = {"response_format": {"type": "json_object"}}
SENT_TOOL: dict[str, Any] = {"tools": [TOOL], "tool_choice": CHOICE}

THINKS_IN_EACH_FAMILY: dict[str, dict[str, Any]] = {
    # model: parameters of a plain call
    "qwen3.8-max": ON,
    "qwen3.8-max-0902": ON,
    "qwen3.8-flash": ON,
    "qwen3.7-plus": ON,
    "qwen3.6-plus": ON,
    "qwen3.5-flash": ON,
    "qwen3-vl-plus": ON,
    "qwen3-vl-flash": ON,
    "qwen3-vl-8b-thinking": {},
    "qvq-max": {},
    "qwen3-vl-8b-instruct": {},
    "qwen-vl-max": {},
    "qwen2.5-vl-7b-instruct": {},
    "qwen-vl-ocr": {},
    "my-model": {},
}
ALWAYS = ("qwen3-vl-8b-thinking", "qvq-max")


def encode(api: Api, *messages: Message | str, **settings: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the messages and the parameters of a request, without those that are the same in each."""
    prepared = prepare(request(*messages, **settings))
    if api == "dashscope":
        body = dashscope.encode(prepared)
        assert body.keys() == {"model", "input", "parameters"}
        fixed = {"result_format": "message", "incremental_output": True}
        parameters = dict(body["parameters"])
        assert {name: parameters.pop(name) for name in fixed} == fixed
        assert (dashscope.headers(prepared) == {"X-DashScope-SSE": "enable"}) is prepared.stream
        return body["input"]["messages"], parameters
    body = openai.encode(prepared)
    assert {name: body.pop(name, None) for name in STREAM} == (STREAM if prepared.stream else dict.fromkeys(STREAM))
    del body["model"]
    return body.pop("messages"), body


@pytest.mark.parametrize("api", ["openai", "dashscope"])
@pytest.mark.parametrize("model", THINKS_IN_EACH_FAMILY)
def test_plain_call_per_family_is_encoded(model: str, api: Api) -> None:
    expected = THINKS_IN_EACH_FAMILY[model]
    assert encode(api, model=model)[1] == expected
    assert prepare(request(model=model)).stream is (expected == ON or model in ALWAYS)


NO_THINKING = {"forced_output": "no_thinking"}
AUTO = {"tool_choice": "auto"}

ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # model, settings, parameters
    ("qwen3.8-max", {"reasoning_effort": "low"}, {**ON, "reasoning_effort": "low"}),
    ("qwen3.8-max", {"reasoning_effort": "minimal"}, {**ON, "reasoning_effort": "low"}),
    ("qwen3.8-max", {"reasoning_effort": "medium"}, {**ON, "reasoning_effort": "medium"}),
    ("qwen3.8-flash", {"reasoning_effort": "high"}, {**ON, "reasoning_effort": "xhigh"}),
    ("qwen3.8-flash", {"reasoning_effort": "max"}, {**ON, "reasoning_effort": "xhigh"}),
    ("qwen3.8-flash", {"reasoning_effort": "xhigh"}, {**ON, "reasoning_effort": "xhigh"}),
    ("qwen3.8-max", {"reasoning_effort": "none"}, OFF),
    ("qwen3-vl-plus", {"reasoning_effort": "none"}, OFF),
    ("qwen3.8-max", {"thinking_budget": 100}, {**ON, "thinking_budget": 100}),
    ("qwen3-vl-8b-thinking", {"thinking_budget": 100}, {"thinking_budget": 100}),
    ("qwen3.8-max", FORCED | NO_THINKING, {**OFF, **SENT_TOOL}),
    ("qwen3.8-max", {**FORCED, "reasoning_effort": "low"} | NO_THINKING, {**OFF, **SENT_TOOL}),
    ("qwen3.8-max", {**FORCED, "thinking_budget": 100} | NO_THINKING, {**OFF, **SENT_TOOL}),
    ("qwen3.8-max", JSON | NO_THINKING, {**OFF, **JSON}),
    ("qwen3.8-max", {**JSON, "reasoning_effort": "xhigh"} | NO_THINKING, {**OFF, **JSON}),
    ("qwen3.8-max", {**FORCED, "thinking_budget": 100}, {**ON, **SENT_TOOL, **AUTO, "thinking_budget": 100}),
    ("qwen3.8-max", {**JSON, "reasoning_effort": "xhigh"}, {**ON, "reasoning_effort": "xhigh"}),
    ("qwen3.8-max", {"max_tokens": 32_768}, {**ON, "max_tokens": 32_768}),
    ("qwen3.8-max", {"temperature": 0.1}, {**ON, "temperature": 0.1}),
    ("qwen3.8-max", {"preserve_thinking": True}, {**ON, "preserve_thinking": True}),
    ("qwen3.8-max", {"preserve_thinking": False}, {**ON, "preserve_thinking": False}),
    ("qwen3.7-plus", {"preserve_thinking": True}, {**ON, "preserve_thinking": True}),
    ("qwen3.7-plus", {"preserve_thinking": False}, ON),
    ("my-model", {"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
    ("my-model", {"reasoning_effort": "none"}, OFF),
]


@pytest.mark.parametrize("api", ["openai", "dashscope"])
@pytest.mark.parametrize(("model", "settings", "expected"), ROWS)
def test_thinking_parameters_are_encoded(
    model: str, settings: dict[str, Any], expected: dict[str, Any], api: Api
) -> None:
    assert encode(api, "Answer in JSON.", model=model, **settings)[1] == expected


@pytest.mark.parametrize("model", ["qwen3.8-max", "qwen3-vl-plus", "qwen-vl-max", "my-model"])
def test_max_completion_tokens_is_encoded(model: str) -> None:
    expected = {**THINKS_IN_EACH_FAMILY[model], "max_completion_tokens": 40_000}
    assert encode("openai", model=model, max_completion_tokens=40_000)[1] == expected


@pytest.mark.parametrize(("api", "text"), [("openai", lambda text: text), ("dashscope", lambda text: [{"text": text}])])
@pytest.mark.parametrize(
    ("model", "preserve", "is_sent_back"),
    [
        ("qwen3.8-max", None, True),
        ("qwen3.8-flash", True, True),
        ("qwen3.8-max", False, False),
        ("qwen3.7-plus", None, False),
        ("qwen3.7-plus", True, True),
        ("qwen3-vl-plus", None, False),
    ],
)
def test_earlier_reasoning_is_sent_in_its_own_field(
    model: str, preserve: bool | None, is_sent_back: bool, api: Api, text: Any
) -> None:
    first = Message("assistant", (TextPart("Red."),), reasoning="It looks red.")
    second = Message("assistant", (TextPart("Blue."),), reasoning="It looks blue.")
    messages, _ = encode(
        api, "Which colour?", first, "And this?", second, "So?", model=model, preserve_thinking=preserve
    )
    thoughts: list[dict[str, Any]] = [
        {"reasoning_content": words} if is_sent_back else {} for words in ("It looks red.", "It looks blue.")
    ]
    assert messages == [
        {"role": "user", "content": text("Which colour?")},
        {"role": "assistant", "content": text("Red."), **thoughts[0]},
        {"role": "user", "content": text("And this?")},
        {"role": "assistant", "content": text("Blue."), **thoughts[1]},
        {"role": "user", "content": text("So?")},
    ]

"""Encode settings and messages for the OpenAI-compatible API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import ImagePart, Message, TextPart
from tests.core.wire.openai_requests import (
    HI,
    HYBRID,
    NEWER,
    OFF,
    ON,
    PLAIN,
    QVQ,
    THINKER,
    UNKNOWN,
    Case,
    assistant,
    call,
    check,
    sent_call,
    tool,
)
from tests.support.pipeline import body_of, prepare, request, user

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


MESSAGES: list[tuple[tuple[Message, ...], list[dict[str, Any]]]] = [
    ((user("Hi"),), HI),
    ((user(""),), [{"role": "user", "content": ""}]),
    ((user(),), [{"role": "user", "content": ""}]),
    ((user("Hi", ""),), HI),
    (
        (user("a", "b"),),
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    ),
    ((user("Hi"), assistant("a", "b")), [*HI, {"role": "assistant", "content": "a\nb"}]),
    ((user("Hi"), assistant()), [*HI, {"role": "assistant", "content": ""}]),
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
        (user("Hi"), assistant("I look.", tool_calls=(call(),)), tool("call_1", "Done.")),
        [
            *HI,
            {"role": "assistant", "content": "I look.", "tool_calls": [sent_call()]},
            {"role": "tool", "content": "Done.", "tool_call_id": "call_1"},
        ],
    ),
    ((user("Hi"), assistant("a", reasoning="Hm.")), [*HI, {"role": "assistant", "content": "a"}]),
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

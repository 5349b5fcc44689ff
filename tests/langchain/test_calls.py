"""Settings per call: keywords, `bind`, `with_config`, configurable fields, batches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import ConfigurableField, RunnableConfig

from langchain_qwenvl import ChatQwenVL
from tests.emulator import Emulator, Reply
from tests.langchain.conftest import Make

Body = Callable[[], dict[str, Any]]
# Keyword, a value of the model, one of the call, and where it is in the body.
SENT: list[tuple[str, Any, Any]] = [
    ("model", "qwen3-vl-plus", "qwen3-vl-flash"),
    ("enable_thinking", True, False),
    ("thinking_budget", 10, 20),
    ("vl_high_resolution_images", False, True),
    ("temperature", 0.0, 1.5),
    ("top_p", 0.1, 1.0),
    ("top_k", 0, 40),
    ("max_tokens", 5, 6),
    ("stop", ["A"], ["B", "C"]),
    ("seed", 0, 7),
    ("presence_penalty", 0.0, -2.0),
    ("repetition_penalty", 1.0, 1.2),
    ("logprobs", False, True),
    ("top_logprobs", 0, 2),
]
CALL_MODES: dict[str, Callable[[ChatQwenVL, dict[str, Any]], Any]] = {
    "invoke": lambda llm, keywords: llm.invoke("Hi", **keywords),
    "stream": lambda llm, keywords: list(llm.stream("Hi", **keywords)),
    "bind": lambda llm, keywords: llm.bind(**keywords).invoke("Hi"),
    "bind, stream": lambda llm, keywords: list(llm.bind(**keywords).stream("Hi")),
    "batch": lambda llm, keywords: llm.batch(["Hi"], **keywords),
    "bind_tools": lambda llm, keywords: llm.bind_tools([], **keywords).invoke("Hi"),
}


@pytest.mark.parametrize("call_mode", CALL_MODES.values(), ids=CALL_MODES)
@pytest.mark.parametrize(("name", "model_value", "call_value"), SENT, ids=[row[0] for row in SENT])
def test_call_keyword_overrides_the_model_and_does_not_change_it(
    name: str, model_value: Any, call_value: Any, call_mode: Callable[..., Any], make: Make, body: Body
) -> None:
    model = make(**{name: model_value})
    before = copy.deepcopy(model.__dict__)
    call_mode(model, {name: call_value})
    assert body()[name] == call_value
    call_mode(model, {})
    assert body()[name] == model_value
    assert model.__dict__ == before


@pytest.mark.parametrize(("name", "model_value", "call_value"), SENT, ids=[row[0] for row in SENT])
async def test_async_call_keyword_overrides_the_model(
    name: str, model_value: Any, call_value: Any, make: Make, body: Body
) -> None:
    model = make(**{name: model_value})
    await model.ainvoke("Hi", **{name: call_value})
    assert body()[name] == call_value
    async for _ in model.astream("Hi", **{name: call_value}):
        pass
    assert body()[name] == call_value
    await model.aclose()


def test_unset_settings_are_not_sent(llm: ChatQwenVL, body: Body) -> None:
    llm.invoke("Hi")
    assert body() == {
        "model": "qwen3-vl-plus",
        "messages": [{"role": "user", "content": "Hi"}],
        "enable_thinking": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_call_keyword_none_keeps_the_models_value(make: Make, body: Body) -> None:
    make(temperature=0.5, stop=["A"]).invoke("Hi", temperature=None, stop=None, extra_body=None)
    assert (body()["temperature"], body()["stop"]) == (0.5, ["A"])


@pytest.mark.parametrize("stop", ["END", ["END"]], ids=str)
def test_stop_string_or_list_is_sent_as_list(stop: Any, make: Make, body: Body) -> None:
    make(stop=stop).invoke("Hi")
    assert body()["stop"] == ["END"]
    make().invoke("Hi", stop=stop)
    assert body()["stop"] == ["END"]
    make(stop=[]).invoke("Hi")
    assert "stop" not in body()


def test_extra_body_is_merged_last(make: Make, body: Body) -> None:
    model = make(extra_body={"enable_search": True, "search_options": {"forced_search": True}}, temperature=0.5)
    model.invoke("Hi", extra_body={"search_options": {}, "temperature": 0.75})
    assert (body()["enable_search"], body()["search_options"], body()["temperature"]) == (True, {}, 0.75)
    model.invoke("Hi")
    assert (body()["search_options"], body()["temperature"]) == ({"forced_search": True}, 0.5)


@pytest.mark.parametrize("keywords", [{"temprature": 1}, {"foo": 1}, {"api_key": "sk-x"}, {"region": "us"}], ids=str)
async def test_call_keyword_unknown_raises(keywords: dict[str, Any], llm: ChatQwenVL, emulator: Emulator) -> None:
    for call in (lambda: llm.invoke("Hi", **keywords), lambda: list(llm.bind(**keywords).stream("Hi"))):
        with pytest.raises(ValueError, match=next(iter(keywords))):
            call()
    with pytest.raises(ValueError, match=next(iter(keywords))):
        await llm.ainvoke("Hi", **keywords)
    assert not emulator.requests


def test_call_keyword_typo_suggests_the_right_name(llm: ChatQwenVL) -> None:
    with pytest.raises(ValueError, match="did you mean 'temperature'"):
        llm.invoke("Hi", temprature=1)


def test_with_config_keeps_bound_keywords(llm: ChatQwenVL, body: Body) -> None:
    chain = llm.bind(enable_thinking=False).with_config(tags=["a"], metadata={"b": 1})
    chain.invoke("Hi")
    assert body()["enable_thinking"] is False


def test_configurable_fields_change_the_request(make: Make, body: Body) -> None:
    model = make().configurable_fields(
        temperature=ConfigurableField(id="warmth"),
        enable_thinking=ConfigurableField(id="thinks"),
        model=ConfigurableField(id="model"),
    )
    model.invoke("Hi")
    assert (body().get("temperature"), body()["enable_thinking"]) == (None, True)
    chosen: RunnableConfig = {"configurable": {"warmth": 0.25, "thinks": False, "model": "qwen3-vl-flash"}}
    model.invoke("Hi", chosen)
    assert (body()["temperature"], body()["enable_thinking"], body()["model"]) == (0.25, False, "qwen3-vl-flash")
    model.with_config(chosen).invoke("Hi")
    assert body()["enable_thinking"] is False


def test_configurable_fields_copy_the_model(make: Make, emulator: Emulator, body: Body) -> None:
    emulator.known_models = frozenset({"my-own-model"})
    fields = {name: ConfigurableField(id=name) for name in ("temperature", "enable_thinking", "model")}
    model = make(model="my-own-model").configurable_fields(**fields)
    choices: tuple[dict[str, Any], ...] = ({"temperature": 0.25}, {"enable_thinking": True})
    for choice in choices:
        model.invoke("Hi", {"configurable": choice})
        assert {name: body()[name] for name in fields if name in body()} == {"model": "my-own-model", **choice}
    configured, _ = model.with_config({"configurable": {"model": "qvq-max"}}).prepare()  # type: ignore[attr-defined]
    assert configured.profile["name"] == "qvq-max"
    assert emulator.connections == 1
    with pytest.raises(ValueError, match="temprature"):
        make().configurable_fields(temprature=ConfigurableField(id="t"))


def test_configurable_alternatives_use_the_chosen_model(make: Make, body: Body) -> None:
    model = make().configurable_alternatives(ConfigurableField(id="which"), flash=make(model="qwen3-vl-flash"))
    model.invoke("Hi", {"configurable": {"which": "flash"}})
    assert body()["model"] == "qwen3-vl-flash"


async def test_batch_returns_answers_in_input_order(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Reply(reasoning="Hm.", text=f"Re: {request.json['messages'][0]['content']}")
    questions: list[LanguageModelInput] = [f"Question {number}" for number in range(12)]
    expected = [f"Re: {question}" for question in questions]
    assert [answer.content for answer in llm.batch(questions)] == expected
    assert [answer.content for answer in llm.batch(questions, {"max_concurrency": 3})] == expected
    assert [answer.content for answer in await llm.abatch(questions)] == expected
    assert sorted(dict(llm.batch_as_completed(questions)).keys()) == list(range(12))
    await llm.aclose()


def test_batch_return_exceptions_returns_errors(llm: ChatQwenVL, emulator: Emulator) -> None:
    from qwenvl_core.errors import QwenVLError
    from tests.emulator import Fault

    emulator.respond = lambda request: (
        Fault(status=400, code="data_inspection_failed") if "bad" in request.json["messages"][0]["content"] else None
    )
    answers = llm.batch(["good", "bad"], return_exceptions=True)
    assert [isinstance(answer, QwenVLError) for answer in answers] == [False, True]


async def test_sequential_calls_share_one_connection(make: Make, emulator: Emulator) -> None:
    """A connection can be reused after a stream only if the stream was read to its end."""
    for keywords in ({}, {"enable_thinking": False}):
        emulator.reset()
        llm = make(**keywords)
        for _ in range(3):
            llm.invoke("Hi")
            list(llm.stream("Hi"))
        assert emulator.connections == 1
        for _ in range(3):
            await llm.ainvoke("Hi")
            assert [chunk async for chunk in llm.astream("Hi")]
        assert emulator.connections == 2
        await llm.aclose()

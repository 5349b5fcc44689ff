"""Test efforts, lengths and the reasoning of histories in both frameworks, both APIs and every call mode."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import ConfigurableField
from llama_index.core.base.llms.types import ChatMessage

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator, Reply
from tests.parity.call_modes import APIS, CALL_MODES, HI, Api, CallMode, ModelPair, metadata_of
from tests.support.model_factories import KEY

NEWEST = "qwen3.8-max"


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest) -> Api:
    chosen: Api = request.param
    return chosen


@pytest.fixture
def pair(api: Api, emulator: Emulator) -> Iterator[ModelPair]:
    models = ModelPair(emulator, api, model=NEWEST, reasoning_effort="low")
    yield models
    models.close()


def sent_parameters(emulator: Emulator, api: Api) -> dict[str, Any]:
    """Return what the last request says of thinking."""
    assert not emulator.refusals
    body = emulator.requests[-1].json
    parameters = body if api == "openai" else body["parameters"]
    names = ("enable_thinking", "reasoning_effort", "thinking_budget")
    return {name: parameters[name] for name in names if name in parameters}


CALLS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # keywords of the call, what is sent; the model object has reasoning_effort="low"
    ({}, {"enable_thinking": True, "reasoning_effort": "low"}),
    ({"reasoning_effort": "high"}, {"enable_thinking": True, "reasoning_effort": "xhigh"}),
    ({"thinking_budget": 9}, {"enable_thinking": True, "thinking_budget": 9}),
    ({"reasoning_effort": "none"}, {"enable_thinking": False}),
    ({"enable_thinking": False}, {"enable_thinking": False}),
]


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
@pytest.mark.parametrize(("call", "expected"), CALLS)
def test_effort_of_model_and_call_is_sent(
    call: dict[str, Any],
    expected: dict[str, Any],
    call_mode: CallMode,
    pair: ModelPair,
    api: Api,
    emulator: Emulator,
) -> None:
    pair.send(call_mode, **{"enable_thinking": None, **call})
    assert sent_parameters(emulator, api) == expected
    pair.send(call_mode, enable_thinking=None)  # a call changes nothing of the model
    assert sent_parameters(emulator, api) == CALLS[0][1]


ERRORS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"reasoning_effort": "low", "thinking_budget": 9}, ("reasoning_effort", "thinking_budget=9")),
    ({"reasoning_effort": "low", "enable_thinking": False}, ("reasoning_effort", "enable_thinking=False")),
    ({"reasoning_effort": "ultra"}, ("'ultra'", "'low', 'medium', 'xhigh'")),
    ({"reasoning_effort": "low", "model": "qwen3-vl-plus"}, ("'low'", "qwen3-vl-plus", "thinking_budget")),
    ({"max_tokens": 32_769}, ("max_tokens=32769", "32,768", "max_completion_tokens")),
    ({"max_completion_tokens": 0}, ("max_completion_tokens=0",)),
]


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
@pytest.mark.parametrize(("call", "words"), ERRORS)
def test_setting_that_the_service_refuses_raises_before_sending(
    call: dict[str, Any], words: tuple[str, ...], call_mode: CallMode, pair: ModelPair, emulator: Emulator
) -> None:
    with pytest.raises(ValueError, match="=") as caught:
        pair.send(call_mode, **{"enable_thinking": None, **call})
    assert all(word in str(caught.value) for word in words)
    assert emulator.requests == []


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_setting_of_the_model_that_the_service_refuses_raises_before_sending(
    call_mode: CallMode, api: Api, emulator: Emulator
) -> None:
    models = ModelPair(emulator, api, model=NEWEST, reasoning_effort="low", thinking_budget=9)
    with pytest.raises(ValueError, match="thinking_budget=9"):
        models.send(call_mode, enable_thinking=None)
    models.close()
    assert emulator.requests == []


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_max_completion_tokens_is_sent_or_refused_by_the_api(
    call_mode: CallMode, pair: ModelPair, api: Api, emulator: Emulator
) -> None:
    if api == "dashscope":
        with pytest.raises(ValueError, match="Use max_tokens"):
            pair.send(call_mode, enable_thinking=None, max_completion_tokens=50_000)
        assert emulator.requests == []
    else:
        pair.send(call_mode, enable_thinking=None, max_completion_tokens=50_000)
        assert emulator.requests[-1].json["max_completion_tokens"] == 50_000
        assert not emulator.refusals


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_raised_temperature_is_reported(call_mode: CallMode, pair: ModelPair, emulator: Emulator) -> None:
    answer = pair.send(call_mode, enable_thinking=None, temperature=0.3)
    assert metadata_of(answer)["adjustments"] == [
        "temperature=0.3 is raised to 0.6 by the service while qwen3.8-max thinks"
    ]
    assert not emulator.refusals


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_reasoning_of_an_answer_goes_back_with_it(
    call_mode: CallMode, pair: ModelPair, api: Api, emulator: Emulator
) -> None:
    emulator.script(Reply(reasoning="It looks red.", text="Red."), Reply(reasoning="Again.", text="Blue."))
    answer = pair.send(call_mode, enable_thinking=None)
    answered = (answer, getattr(answer, "message", None))
    pair.send(call_mode, [HI, answered, HI], enable_thinking=None)
    body = emulator.requests[-1].json
    messages = body["messages"] if api == "openai" else body["input"]["messages"]
    content = "Red." if api == "openai" else [{"text": "Red."}]
    assert messages[1] == {"role": "assistant", "content": content, "reasoning_content": "It looks red."}
    assert not emulator.refusals


# --- ways to set the keywords of one framework ---


def test_bound_effort_replaces_the_budget_of_the_model(emulator: Emulator) -> None:
    llm = ChatQwenVL(model=NEWEST, thinking_budget=9, base_url=emulator.compat_url, api_key=KEY)
    llm.bind(reasoning_effort="low").invoke("Hi")
    assert sent_parameters(emulator, "openai") == {"enable_thinking": True, "reasoning_effort": "low"}
    llm.close()


def test_configured_effort_replaces_the_budget_of_the_model(emulator: Emulator) -> None:
    llm = ChatQwenVL(model=NEWEST, thinking_budget=9, base_url=emulator.compat_url, api_key=KEY)
    configurable = llm.configurable_fields(
        reasoning_effort=ConfigurableField(id="effort"), thinking_budget=ConfigurableField(id="budget")
    )
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"thinking_budget": 9}),
        ({"effort": "max"}, {"reasoning_effort": "xhigh"}),
        ({"budget": 5}, {"thinking_budget": 5}),
    ]
    for chosen, expected in rows:
        configurable.with_config(configurable=chosen).invoke("Hi")
        assert sent_parameters(emulator, "openai") == {"enable_thinking": True, **expected}
    with pytest.raises(ValueError, match="thinking_budget=5"):
        configurable.with_config(configurable={"effort": "low", "budget": 5}).invoke("Hi")
    llm.close()


@pytest.mark.parametrize("cls", [ChatQwenVL, QwenVL])
def test_settings_survive_a_pickle(cls: Any) -> None:
    keywords = {"reasoning_effort": "low", "preserve_thinking": False, "max_completion_tokens": 9}
    copy = pickle.loads(pickle.dumps(cls(model=NEWEST, api_key=KEY, **keywords)))
    assert {name: getattr(copy, name) for name in keywords} == keywords


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")  # LangChain's warning on its loader
def test_settings_survive_serialization() -> None:
    keywords: dict[str, Any] = {"reasoning_effort": "low", "preserve_thinking": False, "max_completion_tokens": 9}
    dumped = dumpd(ChatQwenVL(model=NEWEST, api_key=KEY, **keywords))
    revived = load(
        dumped, secrets_map={"DASHSCOPE_API_KEY": KEY}, allowed_objects="all", valid_namespaces=["langchain_qwenvl"]
    )
    assert {name: getattr(revived, name) for name in keywords} == keywords
    restored = QwenVL.from_dict(QwenVL(model=NEWEST, api_key=KEY, **keywords).to_dict())
    assert {name: getattr(restored, name) for name in keywords} == keywords


@pytest.mark.parametrize("cls", [ChatQwenVL, QwenVL])
def test_media_policy_error_is_refused_by_the_constructor(cls: Any) -> None:
    assert cls(api_key=KEY).media_policy == "check"
    with pytest.raises(ValueError, match="'check' or 'fit'"):
        cls(api_key=KEY, media_policy="error")


def test_token_count_includes_reasoning_that_is_sent_back() -> None:
    def count(model: str, **settings: Any) -> tuple[int, int]:
        words = "It looks red to me, quite red. " * 20
        langchain = ChatQwenVL(model=model, api_key=KEY, **settings).get_num_tokens_from_messages(
            [HumanMessage("Hi"), AIMessage("Red.", additional_kwargs={"reasoning_content": words})]
        )
        history = [
            ChatMessage("Hi"),
            ChatMessage(role="assistant", content="Red.", additional_kwargs={"reasoning_content": words}),
        ]
        return langchain, QwenVL(model=model, api_key=KEY, **settings).count_tokens(history)

    with_reasoning, without = count(NEWEST), count(NEWEST, preserve_thinking=False)
    assert with_reasoning[0] == with_reasoning[1] > without[0] + 100 == without[1] + 100
    assert count("qwen3.7-plus") == without

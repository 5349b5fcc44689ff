"""Settings: defaults, precedence of call over model, secrecy of the key, and copies of a model."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from pydantic import SecretStr, ValidationError

from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLInputError, QwenVLMissingKeyError
from tests.emulator import Emulator
from tests.llama_index.conftest import KEY

MESSAGES = [ChatMessage(role="user", content="What is this?")]


def test_model_class_is_function_calling_llm() -> None:
    assert issubclass(QwenVL, FunctionCallingLLM)
    assert issubclass(QwenVL, BaseLLM)
    assert "multi" in QwenVL.class_name()  # otherwise multi-modal indices warn


@pytest.mark.parametrize(
    ("model", "context_window", "calls_functions"),
    [
        ("qwen3-vl-plus", 262_144, True),
        ("qwen3-vl-flash-2025-10-15", 262_144, True),
        ("qwen3-vl-32b-thinking", 131_072, True),
        ("Qwen/Qwen3-VL-8B-Instruct", 131_072, True),
        ("qwen3.6-plus", 1_000_000, True),
        ("qvq-max", 131_072, False),
        ("qwen-vl-max", 131_072, False),
        ("qwen-vl-ocr", 38_192, False),
        ("my-own-model", 32_768, True),
    ],
)
def test_metadata_follows_catalog(model: str, context_window: int, calls_functions: bool) -> None:
    metadata = QwenVL(model=model).metadata
    assert metadata.model_name == model
    assert metadata.context_window == context_window
    assert metadata.num_output >= 4_096
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model is calls_functions


def test_metadata_keywords_override_catalog() -> None:
    metadata = QwenVL(model="my-own-model", context_window=8_000, num_output=500).metadata
    assert (metadata.context_window, metadata.num_output) == (8_000, 500)
    assert QwenVL(max_tokens=700).metadata.num_output == 700
    assert QwenVL(model="qwen-vl-max", is_function_calling_model=True).metadata.is_function_calling_model
    assert not QwenVL(is_function_calling_model=False).metadata.is_function_calling_model
    assert QwenVL(max_tokens=700, num_output=500).metadata.num_output == 500


@pytest.mark.parametrize(
    "keywords",
    [
        {"enable_thinkin": True},
        {"model_name": "qwen3-vl-plus"},
        {"max_retries": -1},
        {"timeout": 0},
        {"stream_chunk_timeout": -1.0},
        {"thinking_budget": 0},
        {"context_window": 0},
        {"api": "native"},
        {"forced_output": "maybe"},
        {"temperature": "hot"},
    ],
)
def test_invalid_keyword_raises_validation_error(keywords: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QwenVL(**keywords)


@pytest.mark.parametrize(
    ("keywords", "why"),
    [
        ({"region": "mars"}, "mars"),
        ({"region": "eu-central-1"}, "workspace"),
    ],
)
def test_invalid_endpoint_raises_on_construction(keywords: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        QwenVL(**keywords)


def test_mistyped_keyword_error_does_not_show_key() -> None:
    with pytest.raises(ValidationError) as caught:
        QwenVL(api_ky=KEY)  # type: ignore[call-arg]
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("keyword", "hint"),
    [
        ("enable_thinkin", "did you mean 'enable_thinking'"),
        ("enable_search", "extra_body"),
        ("api_key", "belongs to the model"),
    ],
)
def test_unknown_call_keyword_raises_before_request(llm: QwenVL, emulator: Emulator, keyword: str, hint: str) -> None:
    with pytest.raises(QwenVLInputError, match=hint):
        llm.chat(MESSAGES, **{keyword: True})
    with pytest.raises(QwenVLInputError, match=hint):
        llm.stream_chat(MESSAGES, **{keyword: True})  # at the call, not at the first chunk
    assert emulator.requests == []


PER_CALL: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"model": "qwen3-vl-flash"}, {"model": "qwen3-vl-flash"}),
    ({"thinking_budget": 100}, {"thinking_budget": 100}),
    ({"temperature": 0.0}, {"temperature": 0.0}),
    ({"top_p": 0.5, "top_k": 0}, {"top_p": 0.5, "top_k": 0}),
    ({"max_tokens": 9, "seed": 0}, {"max_tokens": 9, "seed": 0}),
    ({"stop": ["a"]}, {"stop": ["a"]}),
    ({"stop": "a"}, {"stop": ["a"]}),
    ({"presence_penalty": 0.0, "repetition_penalty": 1.1}, {"presence_penalty": 0.0, "repetition_penalty": 1.1}),
    ({"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    ({"vl_high_resolution_images": True}, {"vl_high_resolution_images": True}),
    ({"extra_body": {"enable_search": True}}, {"enable_search": True}),
]


@pytest.mark.parametrize(("keywords", "sent"), PER_CALL, ids=[" ".join(row[0]) for row in PER_CALL])
def test_setting_of_model_and_of_call_send_same_request(
    make: Callable[..., QwenVL], emulator: Emulator, keywords: dict[str, Any], sent: dict[str, Any]
) -> None:
    plain, configured = make(), make(**keywords)
    before = plain.to_dict()
    plain.chat(MESSAGES)
    plain.chat(MESSAGES, **keywords)
    configured.chat(MESSAGES)
    without, by_call, by_model = (request.json for request in emulator.requests)
    assert by_call == by_model == without | sent
    assert plain.to_dict() == before
    assert set(without) == {"model", "messages", "stream", "stream_options", "enable_thinking"}


@pytest.mark.parametrize("is_model_setting", [True, False])
def test_chat_without_thinking_is_not_streamed(
    make: Callable[..., QwenVL], emulator: Emulator, is_model_setting: bool
) -> None:
    keywords = {"enable_thinking": False}
    make(**keywords if is_model_setting else {}).chat(MESSAGES, **{} if is_model_setting else keywords)
    assert emulator.requests[0].json == {
        "model": "qwen3-vl-plus",
        "messages": [{"role": "user", "content": "What is this?"}],
        "enable_thinking": False,
    }


def test_call_setting_overrides_model_setting(make: Callable[..., QwenVL], emulator: Emulator) -> None:
    llm = make(temperature=0.5, enable_thinking=False)
    llm.chat(MESSAGES, temperature=0.0, enable_thinking=True)
    assert emulator.requests[0].json["temperature"] == 0.0
    assert emulator.requests[0].json["enable_thinking"] is True
    llm.chat(MESSAGES, temperature=None)
    assert emulator.requests[1].json["temperature"] == 0.5


# --- Endpoint and key ----------------------------------------------------------------------------------------


def test_missing_key_raises_before_request(make: Callable[..., QwenVL], emulator: Emulator) -> None:
    llm = make(api_key=None)
    for call_mode in (
        lambda: llm.chat(MESSAGES),
        lambda: list(llm.stream_chat(MESSAGES)),
        lambda: llm.complete("?"),
        lambda: list(llm.stream_complete("?")),
    ):
        with pytest.raises(QwenVLMissingKeyError, match="DASHSCOPE_API_KEY"):
            call_mode()
    assert emulator.requests == []


def test_environment_variables_set_key_and_endpoint(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_REGION", "singapore")
    monkeypatch.setenv("DASHSCOPE_WORKSPACE", "ws-1")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)
    llm = QwenVL()
    assert (llm.region, llm.workspace, llm.base_url) == ("singapore", "ws-1", emulator.compat_url)
    llm.chat(MESSAGES)
    assert emulator.requests[0].headers["authorization"] == f"Bearer {KEY}"
    llm.close()


@pytest.mark.parametrize("key", [KEY, SecretStr(KEY)])
def test_key_is_sent_and_not_shown_anywhere(
    make: Callable[..., QwenVL], key: Any, caplog: pytest.LogCaptureFixture, emulator: Emulator
) -> None:
    llm = make(api_key=key)
    with caplog.at_level(logging.DEBUG):
        llm.chat(MESSAGES)
    assert emulator.requests[0].headers["authorization"] == f"Bearer {KEY}"
    shown = [
        repr(llm), str(llm), repr(llm.__dict__), llm.to_json(), llm.json(), llm.model_dump_json(),
        repr(llm.to_dict()), repr(llm.dict()), repr(llm.to_payload()), repr(llm.metadata), caplog.text,
        repr(pickle.dumps(llm)), repr(llm._client), repr(llm._client._connection),
    ]  # fmt: skip
    assert not any(KEY in text for text in shown)
    assert "api_key" not in llm.to_dict()


# --- Copies and stores ---------------------------------------------------------------------------------------


def test_model_survives_dict_and_json_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = QwenVL(
        model="qwen3-vl-flash", api_key=SecretStr("first"), temperature=0.0, stop=["a"], system_prompt="Be brief.",
        extra_body={"enable_search": True}, enable_thinking=False, region="singapore", context_window=9,
    )  # fmt: skip
    monkeypatch.setenv("DASHSCOPE_API_KEY", "second")
    for restored in (QwenVL.from_dict(llm.to_dict()), QwenVL.from_json(llm.to_json())):
        assert restored.to_dict() == llm.to_dict()
        assert restored.temperature == 0.0
        assert restored.system_prompt == "Be brief."
        assert restored.enable_thinking is False
        assert restored.api_key == SecretStr("second")
    assert QwenVL.from_dict(llm.to_dict(), api_key="third").api_key == SecretStr("third")
    json.dumps(llm.to_dict())


@pytest.mark.parametrize(
    "store", [lambda llm: QwenVL.from_dict(llm.to_dict()), lambda llm: pickle.loads(pickle.dumps(llm)), copy.deepcopy]
)
@pytest.mark.parametrize(("keywords", "sent"), [({}, None), ({"enable_thinking": True}, True)])
def test_stored_model_keeps_whether_thinking_was_set(
    make: Callable[..., QwenVL],
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    store: Callable[[QwenVL], QwenVL],
    keywords: dict[str, Any],
    sent: bool | None,
) -> None:
    """For a model that is not in the catalog, an explicit `enable_thinking` is sent, and a default is not."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)  # else its host gets no key of the environment
    emulator.known_models = frozenset({"my-own-model"})
    restored = store(make(model="my-own-model", **keywords))
    restored.chat(MESSAGES)
    restored.close()
    assert emulator.requests[0].json.get("enable_thinking") is sent


def test_pickled_model_takes_key_from_environment(
    make: Callable[..., QwenVL], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, emulator: Emulator
) -> None:
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)  # else its host gets no key of the environment
    with httpx.Client() as client:
        llm = make(temperature=0.0, http_client=client, timeout=7.0)
        llm._client  # noqa: B018 - builds the client, as a first call does
        stored = pickle.dumps(llm)
    assert caplog.text == ""
    restored = pickle.loads(stored)
    assert restored.api_key is None
    assert (restored.temperature, restored.timeout, restored.http_client) == (0.0, 7.0, None)
    assert restored.to_dict() == llm.to_dict()
    monkeypatch.setenv("DASHSCOPE_API_KEY", "second")
    assert pickle.loads(stored).api_key == SecretStr("second")


@pytest.mark.parametrize(
    "copy_model", [copy.copy, copy.deepcopy, lambda llm: llm.model_copy(), lambda llm: llm.model_copy(deep=True)]
)
def test_copied_model_keeps_key_and_http_client(
    make: Callable[..., QwenVL], copy_model: Callable[[QwenVL], QwenVL], emulator: Emulator
) -> None:
    with httpx.Client() as client:
        llm = make(http_client=client, rate_limiter=TokenBucketRateLimiter(requests_per_minute=60))
        llm.chat(MESSAGES)
        restored = copy_model(llm)
        assert restored.http_client is client
        restored.chat(MESSAGES)
    assert [request.headers["authorization"] for request in emulator.requests] == [f"Bearer {KEY}"] * 2


def test_changed_copy_uses_own_key_and_model(make: Callable[..., QwenVL], emulator: Emulator) -> None:
    llm = make()
    llm.chat(MESSAGES)
    other = llm.model_copy(update={"api_key": SecretStr("other"), "model": "qwen3-vl-flash"})
    other.chat(MESSAGES)
    llm.chat(MESSAGES)
    other.close()
    assert [request.headers["authorization"] for request in emulator.requests] == [
        f"Bearer {KEY}", "Bearer other", f"Bearer {KEY}",
    ]  # fmt: skip
    assert [request.json["model"] for request in emulator.requests] == [
        "qwen3-vl-plus", "qwen3-vl-flash", "qwen3-vl-plus",
    ]  # fmt: skip

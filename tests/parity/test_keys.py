"""Where keys go: an explicit one where the caller points, one of the environment to its own provider only."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLError, QwenVLMissingKeyError
from tests.emulator import Emulator

VENDOR, OTHER = "sk-of-the-vendor", "sk-of-the-router"
OPEN = "Qwen/Qwen3-VL-8B-Instruct"
COMPAT = "/compatible-mode/v1"

pytestmark = pytest.mark.parametrize("cls", [ChatQwenVL, QwenVL])


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", VENDOR)
    monkeypatch.setenv("OPENROUTER_API_KEY", OTHER)
    monkeypatch.delenv("DASHSCOPE_BASE_URL", raising=False)


def sent_key(model: Any) -> str:
    key: str = model._connection().api_key
    return key


@pytest.mark.parametrize(
    ("keywords", "key"),
    [
        ({}, VENDOR),
        ({"region": "singapore"}, VENDOR),
        ({"base_url": f"https://dashscope-us.aliyuncs.com{COMPAT}"}, VENDOR),
        ({"base_url": "http://proxy.example/v1", "provider": "model-studio"}, VENDOR),
        ({"base_url": "http://proxy.example/api/v1", "api": "dashscope"}, VENDOR),
        ({"base_url": f"http://proxy.example{COMPAT}"}, ""),
        ({"base_url": "http://gateway.example/v1"}, ""),  # guessed from the name of the model
        ({"base_url": f"https://dashscope.aliyuncs.com.evil.example{COMPAT}"}, ""),
        ({"base_url": f"https://dashscope.aliyuncs.com@evil.example{COMPAT}"}, ""),
        ({"base_url": "http://proxy.example/v1", "model": OPEN}, "EMPTY"),
        ({"base_url": "https://eas.aliyuncs.com/v1", "model": OPEN}, "EMPTY"),
        ({"base_url": "http://localhost:8000/v1", "model": OPEN, "provider": "vllm"}, "EMPTY"),
        ({"base_url": "http://localhost:8000/v1", "model": OPEN, "provider": "auto"}, "EMPTY"),
        ({"base_url": "http://localhost:11434/v1", "model": "qwen3-vl:8b"}, "EMPTY"),
        ({"base_url": "https://openrouter.ai/api/v1", "model": OPEN}, OTHER),
        ({"base_url": "http://mirror.example/v1", "model": OPEN, "provider": "openrouter"}, OTHER),
        ({"base_url": "https://api.groq.com/openai/v1", "model": OPEN}, ""),
    ],
)
def test_environment_key_goes_to_its_own_provider_only(cls: Any, keywords: dict[str, Any], key: str) -> None:
    assert sent_key(cls(**keywords)) == key


@pytest.mark.parametrize(
    "keywords", [{}, {"base_url": "http://h/v1", "model": OPEN}, {"provider": "vllm", "base_url": "http://h/v1"}]
)
def test_explicit_key_goes_where_the_caller_points(cls: Any, keywords: dict[str, Any]) -> None:
    assert sent_key(cls(api_key="sk-explicit", **keywords)) == "sk-explicit"


def test_host_of_the_environment_gets_the_key(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_BASE_URL", f"http://proxy.example:81{COMPAT}")
    assert sent_key(cls()) == VENDOR
    assert sent_key(cls(base_url=f"http://proxy.example:81{COMPAT}")) == VENDOR
    assert sent_key(cls(base_url=f"http://proxy.example{COMPAT}")) == ""  # another port is another server


@pytest.mark.parametrize(
    "change",
    [
        lambda model, url: model.model_copy(update={"base_url": url}),
        lambda model, url: _assign(copy.copy(model), url),
        lambda model, url: _assign(copy.deepcopy(model), url),
        lambda model, url: _assign(pickle.loads(pickle.dumps(model)), url),
    ],
)
def test_copy_with_another_host_drops_the_key_of_the_environment(cls: Any, change: Any) -> None:
    other = change(cls(), "http://other.example/v1")
    assert sent_key(other) == ""
    assert other.api_key is None
    moved = change(cls(model=OPEN), "http://other.example/v1")
    assert sent_key(moved) == "EMPTY"


def test_copy_with_another_host_keeps_an_explicit_key(cls: Any) -> None:
    model = cls(api_key="sk-explicit")
    assert sent_key(model.model_copy(update={"base_url": "http://other.example/v1"})) == "sk-explicit"
    assert sent_key(_assign(copy.deepcopy(model), "http://other.example/v1")) == "sk-explicit"


def test_copy_for_the_same_host_keeps_the_key_of_the_environment(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = cls()
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    for twin in (copy.copy(model), copy.deepcopy(model), model.model_copy(update={"temperature": 0.5})):
        assert sent_key(twin) == VENDOR


def test_unpickled_model_takes_no_explicit_key_from_the_environment(cls: Any) -> None:
    model = pickle.loads(pickle.dumps(cls(api_key="sk-explicit", base_url="http://other.example/v1", model=OPEN)))
    assert sent_key(model) == "EMPTY"
    vendor = pickle.loads(pickle.dumps(cls(api_key="sk-explicit")))
    assert sent_key(vendor) == VENDOR
    assert sent_key(_assign(vendor, "http://other.example/v1")) == ""  # it is still a key of the environment


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"base_url": f"http://127.0.0.1:9{COMPAT}"}, ["DASHSCOPE_API_KEY", 'provider="model-studio"', "api_key="]),
        ({"base_url": "http://127.0.0.1:9/v1"}, ["DASHSCOPE_API_KEY", 'provider="model-studio"']),
        ({"base_url": "https://api.groq.com/openai/v1", "model": OPEN}, ["GROQ_API_KEY", "api_key="]),
        ({"base_url": "http://127.0.0.1:9/v1", "provider": "groq"}, ["GROQ_API_KEY"]),
    ],
)
def test_missing_key_names_the_variable_and_the_provider(cls: Any, keywords: dict[str, Any], words: list[str]) -> None:
    model = cls(**keywords)
    with pytest.raises(QwenVLMissingKeyError) as caught:
        model.invoke("Hi") if cls is ChatQwenVL else model.complete("Hi")
    assert all(word in str(caught.value) for word in words)
    assert VENDOR not in str(caught.value)


def test_no_key_of_the_environment_is_on_the_wire(cls: Any, emulator: Emulator) -> None:
    model = cls(base_url=f"{emulator.origin}/v1", model=OPEN, max_retries=0)
    with pytest.raises(QwenVLError):  # the emulator has no such path
        model.invoke("Hi") if cls is ChatQwenVL else model.complete("Hi")
    model.close()
    assert [request.headers["authorization"] for request in emulator.requests] == ["Bearer EMPTY"]


def test_reply_names_the_provider(cls: Any, emulator: Emulator) -> None:
    model = cls(base_url=emulator.compat_url, api_key="sk-test-0123456789")
    if cls is ChatQwenVL:
        assert model.invoke("Hi").response_metadata["provider"] == "model-studio"
        chunks = list(model.stream("Hi"))
        total = chunks[0]
        for chunk in chunks[1:]:
            total += chunk
        assert total.response_metadata["provider"] == "model-studio"
        assert model._get_ls_params()["ls_provider"] == "qwenvl"
    else:
        from llama_index.core.base.llms.types import ChatMessage

        messages = [ChatMessage("Hi")]
        assert model.chat(messages).additional_kwargs["provider"] == "model-studio"
        assert list(model.stream_chat(messages))[-1].additional_kwargs["provider"] == "model-studio"
    model.close()


def test_fields_may_be_assigned_in_any_order(cls: Any) -> None:
    model = cls(model=OPEN)
    model.provider = "vllm"  # needs a base URL, which follows
    assert model.api_key is None
    model.base_url = "http://h/v1"
    assert sent_key(model) == "EMPTY"
    model.provider = "nowhere"
    with pytest.raises(ValueError, match="Unknown provider"):
        model.invoke("Hi") if cls is ChatQwenVL else model.complete("Hi")


@pytest.mark.parametrize("name", ["vLLM", "nowhere"])
def test_unknown_provider_is_refused_by_the_constructor(cls: Any, name: str) -> None:
    with pytest.raises(ValueError, match=r"Unknown provider.*model-studio"):
        cls(provider=name, base_url="http://h/v1")


@pytest.mark.parametrize("url", ["http://h/v1#x", "http://h/v1?a=1", "http://h/v1?", "http://h/v1#"])
def test_base_url_with_query_or_fragment_is_refused(cls: Any, url: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid base_url.*query"):
        cls(base_url=url, api_key="k")


def test_foreign_host_may_have_any_path(cls: Any) -> None:
    model = cls(base_url="https://openrouter.ai/api/v1/", model=OPEN)
    assert model._connection().base_url == "https://openrouter.ai/api/v1"
    with pytest.raises(ValueError, match="provider"):
        model.invoke("Hi", provider="vllm") if cls is ChatQwenVL else model.complete("Hi", provider="vllm")


def _assign(model: Any, base_url: str) -> Any:
    model.base_url = base_url
    return model

"""Construction of `ChatQwenVL`: keywords, defaults, the environment, and invalid values."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr, ValidationError

import langchain_qwenvl
from langchain_qwenvl import ChatQwenVL
from qwenvl_core.errors import QwenVLMissingKeyError
from qwenvl_core.types.settings import CALL_SETTINGS
from tests.emulator import Emulator
from tests.langchain.conftest import KEY, Make

DEFAULTS: dict[str, Any] = {
    "model": "qwen3-vl-plus",
    "api_key": None,
    "region": "cn-beijing",
    "workspace": None,
    "base_url": None,
    "api": "openai",
    "enable_thinking": True,
    "thinking_budget": None,
    "vl_high_resolution_images": None,
    "min_pixels": None,
    "max_pixels": None,
    "fps": None,
    "media_policy": "check",
    "temperature": None,
    "top_p": None,
    "top_k": None,
    "max_tokens": None,
    "stop": None,
    "seed": None,
    "presence_penalty": None,
    "repetition_penalty": None,
    "logprobs": None,
    "top_logprobs": None,
    "forced_output": "think_first",
    "output_retries": 1,
    "preserve_thinking": None,
    "fold_system_prompt": False,
    "timeout": 300.0,
    "stream_chunk_timeout": 120.0,
    "max_retries": 2,
    "http_client": None,
    "http_async_client": None,
    "default_headers": None,
    "extra_body": None,
}


def test_constructor_without_keywords_has_defaults() -> None:
    model = ChatQwenVL()
    assert {name: getattr(model, name) for name in DEFAULTS} == DEFAULTS
    assert isinstance(model, BaseChatModel)
    assert not [base for base in type(model).__mro__ if base.__name__ == "BaseChatOpenAI"]
    assert "streaming" not in model.model_fields_set  # LangChain treats a set field as the user's choice


def test_call_settings_are_fields_except_those_of_a_call_only() -> None:
    assert CALL_SETTINGS - ChatQwenVL.model_fields.keys() == {
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "extra_headers",
        "extra_query",
    }


@pytest.mark.parametrize(
    "keywords",
    [{"temprature": 1}, {"model_kwargs": {}}, {"openai_api_key": "k"}, {"n": 2}, {"stream": True}, {"tools": []}],
    ids=str,
)
def test_constructor_unknown_keyword_raises(keywords: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(keywords))):
        ChatQwenVL(**keywords)


@pytest.mark.parametrize(
    "keywords",
    [
        {"region": "mars"},
        {"region": "eu-central-1"},
        {"region": "tokyo"},
        {"workspace": "a/b"},
        {"api": "grpc"},
        {"base_url": "dashscope.aliyuncs.com"},
        {"thinking_budget": 0},
        {"thinking_budget": -1},
        {"max_retries": -1},
        {"timeout": 0},
        {"timeout": -1.0},
        {"stream_chunk_timeout": 0},
        {"forced_output": "error"},
        {"enable_thinking": None},
        {"temperature": "warm"},
    ],
    ids=str,
)
def test_constructor_invalid_value_raises_and_hides_the_key(keywords: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ChatQwenVL") as raised:
        ChatQwenVL(api_key=KEY, **keywords)
    assert KEY not in str(raised.value)


def test_constructor_key_of_wrong_type_is_hidden() -> None:
    with pytest.raises(ValidationError) as raised:
        ChatQwenVL(api_key=1234567890)  # type: ignore[arg-type]
    assert "1234567890" not in str(raised.value)


HOSTS = [
    ({"region": "cn-beijing"}, "https://dashscope.aliyuncs.com"),
    ({"region": "beijing"}, "https://dashscope.aliyuncs.com"),
    ({"region": "singapore"}, "https://dashscope-intl.aliyuncs.com"),
    ({"region": "ap-southeast-1"}, "https://dashscope-intl.aliyuncs.com"),
    ({"region": "us"}, "https://dashscope-us.aliyuncs.com"),
    ({"region": "us-east-1"}, "https://dashscope-us.aliyuncs.com"),
    ({"region": "cn-hongkong"}, "https://cn-hongkong.dashscope.aliyuncs.com"),
    ({"region": "eu-central-1", "workspace": "ws-1"}, "https://ws-1.eu-central-1.maas.aliyuncs.com"),
    ({"region": "ap-northeast-1", "workspace": "ws-1"}, "https://ws-1.ap-northeast-1.maas.aliyuncs.com"),
    ({"region": "singapore", "workspace": "ws-1"}, "https://ws-1.ap-southeast-1.maas.aliyuncs.com"),
    ({"region": "Singapore "}, "https://dashscope-intl.aliyuncs.com"),
]


@pytest.mark.parametrize(("keywords", "host"), HOSTS, ids=lambda value: str(value))
@pytest.mark.parametrize(("api", "path"), [("openai", "/compatible-mode/v1"), ("dashscope", "/api/v1")])
def test_region_and_workspace_select_the_endpoint(keywords: dict[str, Any], host: str, api: Any, path: str) -> None:
    assert ChatQwenVL(api=api, **keywords)._connection().base_url == host + path


def test_environment_sets_connection_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_REGION", "singapore")
    monkeypatch.setenv("DASHSCOPE_WORKSPACE", "ws-9")
    model = ChatQwenVL()
    assert isinstance(model.api_key, SecretStr)
    assert model.api_key.get_secret_value() == KEY
    assert model._connection().base_url.startswith("https://ws-9.ap-southeast-1.")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", "http://127.0.0.1:9/compatible-mode/v1")
    assert ChatQwenVL()._connection().base_url == "http://127.0.0.1:9/compatible-mode/v1"
    explicit = ChatQwenVL(api_key="sk-other", region="us", workspace="w", base_url="http://127.0.0.1:8/v1")
    assert explicit._connection().base_url == "http://127.0.0.1:8/v1"
    assert explicit._connection().api_key == "sk-other"


def test_openai_environment_variables_are_ignored(
    make: Make, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "OPENAI_API_KEY": "sk-openai",
        "OPENAI_BASE_URL": "http://127.0.0.1:9",
        "OPENAI_API_BASE": "http://127.0.0.1:9",
        "OPENAI_ORG_ID": "org",
        "OPENAI_PROJECT_ID": "project",
        "OPENAI_PROXY": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    assert make().invoke("Hi").content
    headers = emulator.requests[-1].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert not {"openai-organization", "openai-project"} & set(headers)


async def test_missing_key_raises_before_any_request(make: Make, emulator: Emulator) -> None:
    model = make(api_key=None)
    for call in (lambda: model.invoke("Hi"), lambda: list(model.stream("Hi")), lambda: model.batch(["Hi"])):
        with pytest.raises(QwenVLMissingKeyError, match="DASHSCOPE_API_KEY"):
            call()
    with pytest.raises(ValueError, match="DASHSCOPE_API_KEY"):
        await model.ainvoke("Hi")
    assert not emulator.requests


def test_constructor_accepts_langchains_standard_keywords() -> None:
    model = ChatQwenVL(temperature=0, max_tokens=100, timeout=60, stop=[], max_retries=2, api_key="k", streaming=True)
    assert (model.temperature, model.max_tokens, model.timeout, model.stop) == (0, 100, 60, [])


def test_model_name_is_an_alias_of_model() -> None:
    assert ChatQwenVL(model_name="qvq-max", api_key=KEY).model == "qvq-max"
    assert ChatQwenVL(model="qvq-max", api_key=KEY).model_name == "qvq-max"
    with pytest.raises(ValueError, match="model_name"):
        ChatQwenVL(model="qvq-max", model_name="qvq-plus", api_key=KEY)


def test_default_headers_and_http_client_are_used(make: Make, emulator: Emulator) -> None:
    import openai

    client = openai.DefaultHttpxClient(headers={"X-From": "my client"})
    with client:
        model = make(default_headers={"X-Trace": "abc", "User-Agent": "mine"}, http_client=client)
        model.invoke("Hi")
        model.close()  # does not close the caller's client
        model.invoke("Hi")
    assert {(r.headers["x-trace"], r.headers["x-from"], r.headers["user-agent"]) for r in emulator.requests} == {
        ("abc", "my client", "mine")
    }


def test_import_loads_no_sdk() -> None:
    program = (
        "import sys, langchain_core.language_models, langchain_core.output_parsers.transform;"
        "before = set(sys.modules); import langchain_qwenvl;"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(eval(result.stdout))
    assert not loaded & {"openai", "dashscope", "pypdfium2", "PIL", "httpx", "httpx2", "llama_index"}


def test_imports_avoid_langchains_lazy_packages() -> None:
    """Each such import would add tens of milliseconds to the import of the adapter."""
    lazy_imports = []
    for file in Path(langchain_qwenvl.__file__).parent.glob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("langchain_core"):
                package = importlib.import_module(str(node.module))
                lazy_imports += [f"{file.name}: {node.module}"] if hasattr(package, "_dynamic_imports") else []
    assert not lazy_imports

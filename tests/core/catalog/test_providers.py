"""Provider rows: their names and sources, the guess, and the models that they serve."""

from __future__ import annotations

from dataclasses import fields

import pytest

from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.catalog.provider_guess import guess_provider, resolve_provider
from qwenvl_core.catalog.provider_models import UNLIMITED, describe_at
from qwenvl_core.catalog.providers import PROVIDERS, get_provider
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.settings import ModelSettings

NAMES = (
    *("model-studio", "vllm", "sglang", "llama.cpp", "transformers", "lmdeploy", "xinference", "mlx-vlm", "ollama"),
    *("lm-studio", "openrouter", "siliconflow", "modelscope", "novita", "together", "fireworks", "deepinfra", "nebius"),
    *("groq", "openai-compatible"),
)
OPEN = "Qwen/Qwen3-VL-8B-Thinking"


def test_rows_have_the_names_of_the_ecosystem() -> None:
    assert tuple(provider.name for provider in PROVIDERS) == NAMES


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_row_states_its_source_and_settings_that_exist(provider: Provider) -> None:
    assert provider.source
    known = {field.name for field in fields(ModelSettings)}
    assert provider.parameters | dict(provider.renamed).keys() <= known
    assert provider.image_options | provider.video_options <= {
        *("fps", "min_pixels", "max_pixels", "total_pixels", "enable_rotate"),
    }


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_hosted_row_has_a_key_variable_and_an_address_on_its_host(provider: Provider) -> None:
    assert bool(provider.hosts) == (provider.key_variable is not None and not provider.is_model_studio)
    if provider.hosts:
        assert guess_provider(provider.address, OPEN) is provider


@pytest.mark.parametrize(
    ("base_url", "model", "name"),
    [
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", OPEN, "model-studio"),
        ("https://dashscope-intl.aliyuncs.com", OPEN, "model-studio"),
        ("https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1", OPEN, "model-studio"),
        ("https://ws-1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1", OPEN, "model-studio"),
        ("https://DASHSCOPE.aliyuncs.com./v1", OPEN, "model-studio"),
        ("http://1234.cn-hangzhou.pai-eas.aliyuncs.com/api/predict/qwen/v1", OPEN, "openai-compatible"),
        ("https://dashscope.evil.aliyuncs.com/v1", OPEN, "openai-compatible"),
        ("https://dashscope.aliyuncs.com.evil.example/v1", OPEN, "openai-compatible"),
        ("https://dashscope.aliyuncs.com@evil.example/v1", OPEN, "openai-compatible"),
        ("https://maas.aliyuncs.com/v1", OPEN, "openai-compatible"),
        ("https://evil.example\\.maas.aliyuncs.com/v1", OPEN, "openai-compatible"),
        ("https://evil.example;.dashscope.aliyuncs.com/v1", OPEN, "openai-compatible"),
        ("https://dashscope\\.aliyuncs.com/v1", OPEN, "openai-compatible"),
        ("https://openrouter.ai/api/v1", "qwen/qwen3-vl-8b-thinking", "openrouter"),
        ("https://notopenrouter.ai/api/v1", OPEN, "openai-compatible"),
        ("https://openrouter.ai/api/v1", "qwen3-vl-plus", "openrouter"),
        ("https://api.siliconflow.com/v1", OPEN, "siliconflow"),
        ("https://api.studio.nebius.com/v1", OPEN, "nebius"),
        ("http://proxy.example/compatible-mode/v1/", OPEN, "model-studio"),
        ("http://gateway.example/v1", "qwen3-vl-plus", "model-studio"),
        ("http://gateway.example/v1", "qvq-max-2025-03-25", "model-studio"),
        ("http://gateway.example/v1", "qwen-vl-max", "model-studio"),
        ("http://gateway.example/v1", "qwen3.9-plus", "model-studio"),
        ("http://gateway.example/v1", "qwen3.9-27b", "openai-compatible"),
        ("http://gateway.example/v1", "qwen3.8-flash-next", "openai-compatible"),
        ("http://gateway.example/v1", "Qwen/Qwen3.8-Flash-Next", "openai-compatible"),
        ("http://gateway.example/v1", "org/qwen3-vl-plus", "openai-compatible"),
        ("http://gateway.example/v1", "qwen3-vl-8b-instruct", "openai-compatible"),
        ("http://gateway.example/v1", "gpt-4o", "openai-compatible"),
        ("http://localhost:11434/v1", "qwen3-vl:8b", "ollama"),
        ("http://127.0.0.1:11434/v1", "qwen3-vl:8b", "ollama"),
        ("http://[::1]:11434/v1", "qwen3-vl:8b", "ollama"),
        ("http://localhost:1234/v1", "qwen/qwen3-vl-8b", "lm-studio"),
        ("http://elsewhere.example:11434/v1", "qwen3-vl:8b", "openai-compatible"),
        ("http://localhost:8000/v1", OPEN, "openai-compatible"),
        ("http://localhost:8080/v1", OPEN, "openai-compatible"),
    ],
)
def test_guess_provider_uses_host_path_model_and_port(base_url: str, model: str, name: str) -> None:
    assert guess_provider(base_url, model).name == name


@pytest.mark.parametrize(
    ("name", "api", "base_url", "expected"),
    [
        (None, "openai", None, "model-studio"),
        ("auto", "openai", None, "model-studio"),
        ("model-studio", "openai", "http://h/v1", "model-studio"),
        ("vllm", "openai", "https://dashscope.aliyuncs.com/compatible-mode/v1", "vllm"),
        ("auto", "openai", "http://localhost:11434/v1", "ollama"),
        (None, "dashscope", "http://h/api/v1", "model-studio"),
        ("model-studio", "dashscope", "http://h/api/v1", "model-studio"),
    ],
)
def test_resolve_provider_prefers_the_name(name: str | None, api: str, base_url: str | None, expected: str) -> None:
    assert resolve_provider(name, api=api, base_url=base_url, model=OPEN).name == expected


@pytest.mark.parametrize(
    ("name", "api", "base_url", "words"),
    [
        ("vLLM", "openai", "http://h/v1", ["vLLM", "Known", "auto", "'vllm'"]),
        ("llamacpp", "openai", "http://h/v1", ["'llama.cpp'"]),
        ("", "openai", "http://h/v1", ["Unknown provider", "groq"]),
        ("vllm", "dashscope", "http://h/api/v1", ["vllm", 'api="openai"']),
        ("auto", "dashscope", "http://h/api/v1", ["auto", 'api="openai"']),
        ("openrouter", "openai", None, ["base_url", "https://openrouter.ai/api/v1"]),
        ("openai-compatible", "openai", None, ["base_url", "http"]),
    ],
)
def test_resolve_provider_rejects_contradictions(name: str, api: str, base_url: str | None, words: list[str]) -> None:
    with pytest.raises(QwenVLInputError) as caught:
        resolve_provider(name, api=api, base_url=base_url, model=OPEN)
    assert all(word in str(caught.value) for word in words)


def test_describe_at_drops_the_limits_of_the_service() -> None:
    own, served = describe_at("qwen3-vl-plus", "model-studio"), describe_at("Qwen/Qwen3.5-27B", "vllm")
    assert (own.max_output, own.data_uri_max_bytes) == (32_768, 20 * 1024**2)
    assert (served.max_output, served.max_frames, served.data_uri_max_bytes) == (None, None, UNLIMITED)
    assert describe_at("Qwen/Qwen3.5-27B", "model-studio").max_output is None  # the service has no such name


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        (OPEN, "vllm", (64, 16_384, 16_384)),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "vllm", (4, 16_384, 16_384)),
        (OPEN, "llama.cpp", (8, 4096, 4096)),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "llama.cpp", (8, 4096, 4096)),
    ],
)
def test_describe_at_has_the_image_bounds_of_the_server(
    model: str, provider: str, expected: tuple[int, int, int]
) -> None:
    facts = describe_at(model, provider)
    assert (facts.min_image_tokens, facts.default_image_tokens, facts.max_image_tokens) == expected


@pytest.mark.parametrize(
    ("model", "provider", "thinking"),
    [
        ("qwen3-vl:8b", "ollama", "hybrid"),  # the thinking weights, which Ollama can stop
        ("qwen3-vl", "ollama", "hybrid"),
        ("qwen3-vl:8b-thinking", "ollama", "hybrid"),
        ("qwen3-vl:8b-instruct", "ollama", "never"),
        ("qwen3-vl:8b", "openai-compatible", "unknown"),
        ("qwen/qwen3-vl-8b", "lm-studio", "unknown"),
        (OPEN, "vllm", "always"),
    ],
)
def test_describe_at_resolves_names_of_a_provider(model: str, provider: str, thinking: str) -> None:
    assert describe_at(model, provider).thinking == thinking


@pytest.mark.parametrize(
    ("provider", "formats"),
    [("vllm", (True, True)), ("transformers", (False, False)), ("lm-studio", (False, True)), ("groq", (True, False))],
)
def test_describe_at_has_the_json_modes_of_the_server(provider: str, formats: tuple[bool, bool]) -> None:
    facts = describe_at(OPEN, provider)
    assert (facts.json_object, facts.json_schema) == formats
    assert get_provider(provider).name == provider

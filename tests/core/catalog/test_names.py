"""Bring names as people and servers write them to the spelling of the catalog."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.catalog.models import CATALOGUE, describe
from qwenvl_core.catalog.names import canonicalize, is_service_name, parse_version

SPELLINGS = {
    "qwen3.8-27b": [
        "Qwen/Qwen3.8-27B",
        "Qwen/Qwen3.8-27B/",
        "Qwen/Qwen3.8-27B//",
        "  Qwen3.8-27B  ",
        "qwen-3.8-27b",
        "Qwen-3-8-27B",
        "qwen3-8-27b",
        "qwen3p8-27b",
        "accounts/fireworks/models/qwen3p8-27b",
        "qwen_3.8_27b",
        "Qwen 3.8 27B",
        "qwen3.8:27b",
        "qwen3.8:27b-q4_K_M",
        "library/qwen3.8:27b",
        "qwen/qwen3.8-27b:free",
        "Qwen/Qwen3.8-27B:novita",
        "Qwen/Qwen3.8-27B@main",
        "Qwen/Qwen3.8-27B@3f1c9a",
        "Qwen/Qwen3.8-27B@refs/pr/12",
        "qwen.qwen3.8-27b",
        "us.qwen.qwen3.8-27b",
        "eu.qwen.qwen3.8-27b-v1:0",
        "@cf/qwen/qwen3.8-27b",
        "hf.co/unsloth/Qwen3.8-27B-GGUF:Q4_K_M",
        "Qwen3.8-27B-Q4_K_M.gguf",
        "Qwen3.8-27B-BF16-00001-of-00002.gguf",
        "models--Qwen--Qwen3.8-27B",
        "Qwen_Qwen3.8-27B-Q4_K_M.gguf",
        "Qwen--Qwen3.8-27B",
        "mlx-community--Qwen3.8-27B-4bit",
        "Qwen-Qwen3.8-27B",
        "https://huggingface.co/Qwen/Qwen3.8-27B/tree/main",
        "Qwen3.8-27B.Q4_K_M.gguf",
        "Qwen3.8-27B.i1-Q4_K_M.gguf",
        "openrouter/qwen/qwen3.8-27b:online",
        "ollama/qwen3.8:27b",
        "~/.cache/huggingface/hub/models--Qwen--Qwen3.8-27B/snapshots/9c1f5a7be3d2487f90ab",
        "/data/models/Qwen3.8-27B",
        "C:\\models\\Qwen3.8-27B\\",
        "D:\\weights\\Qwen3.8-27B-Q8_0.gguf",
        "\\\\server\\share\\Qwen3.8-27B",
        "/runs/qwen3.8-27b/checkpoint-500",
        "qwen38-27b",
    ],
    "qwen3.5-27b": ["qwen3-5-27b", "qwen-3.5-27b", "qwen3p5-27b", "qwen35-27b", "qwen3.5:27b", "Qwen-3p5-27B"],
    "qwen3.7-plus": ["qwen3p7-plus", "qwen-3.7-plus", "qwen3-7-plus", "qwen/qwen3.7-plus", "QWEN3.7-PLUS-US"],
    "qwen3.8-flash": ["qwen3-8-flash", "alibaba/qwen3.8-flash", "qwen-3.8-flash-2026-08-26"],
    "qwen3-vl-8b-instruct": [
        "qwen3vl-8b-instruct",
        "qwen3vl:8b-instruct",
        "qwen-3-vl-8b-instruct",
        "qwen-3vl-8b-instruct",
        "qwen3-vl:8b-instruct-q4_K_M",
        "Qwen/Qwen3-VL-8B-Instruct-GGUF",
        "Qwen3VL-8B-Instruct-Q4_K_M.gguf",
        "Qwen3-VL-8B-Instruct.Q4_K_M.gguf",
        "bedrock/us.qwen.qwen3-vl-8b-instruct-v1:0",
        "replicate/someone/qwen3-vl-8b-instruct:39e893666996",
        "mlx-community/Qwen3-VL-8B-Instruct-4bit",
        "models--unsloth--Qwen3-VL-8B-Instruct-bnb-4bit",
        "someone/Qwen3-VL-8B-Instruct-Math-Coder",  # a fine-tune
    ],
    "qwen3-vl-235b-a22b-thinking": ["qwen/qwen3-vl-235b-a22b-thinking", "qwen.qwen3-vl-235b-a22b-thinking-v1:0"],
    "qwen2.5-vl-7b": ["qwen2.5vl:7b", "qwen2.5-vl:7b", "qwen25vl:7b", "qwen25-vl-7b", "qwen2p5-vl-7b", "qwen-2.5vl-7b"],
    "qwen2.5-vl-72b-instruct": [
        "qwen2-5-vl-72b-instruct",
        "qwen2_5-vl-72b-instruct",
        "qwen/qwen2.5-vl-72b-instruct:free",
    ],
    "qwen2-vl-7b-instruct": ["Qwen/Qwen2-VL-7B-Instruct", "qwen2vl-7b-instruct"],
    "qvq-72b-preview": ["Qwen/QVQ-72B-Preview", "qwen.qvq-72b-preview"],
    "qwen3.9-plus": ["qwen-3.9-plus", "qwen3p9-plus", "qwen3-9-plus", "qwen/qwen3.9-plus"],
    "qwen3.10-flash": ["qwen-3.10-flash", "qwen3p10-flash", "qwen3-10-flash"],
    "qwen4-vl-plus": ["qwen-4-vl-plus", "qwen4vl-plus", "Qwen/Qwen4-VL-Plus"],
}  # fmt: skip


@pytest.mark.parametrize(("base", "name"), [(base, name) for base, names in SPELLINGS.items() for name in names])
def test_spelling_gets_the_row_of_its_model(base: str, name: str) -> None:
    facts, expected = describe(name), describe(base)
    assert facts.known
    for field in ("assumed", "thinking", "token_factor", "max_frames", "context_window", "open_weights"):
        assert getattr(facts, field) == getattr(expected, field), field
    if not facts.assumed and facts.name != canonicalize(name).removesuffix("-us"):
        assert facts.name == expected.name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "/",
        "\\",
        "@main",
        ":latest",
        "models--",
        "models--someone--my-model",
        "qwen--",
        "someone--my-qwen3.8-27b",
        "qwen-3-235b-a22b-instruct-2507",
        ".gguf",
        "qwen",
        "Qwen/",
        "qwen.",
        "qwen-plus",
        "qwen-max",
        "qwen3-8b",
        "Qwen/Qwen3-8B",
        "qwen3:8b",
        "qwen-3-8b",
        "qwen3-8-bit",
        "qwen3-14b-instruct",
        "qwen2.5:7b",
        "qwen2.5-7b-instruct-1m",
        "qwen2.5vlm-7b",
        "qwen3vlm",
        "qwen3-vlx-plus",
        "qwen3-vl",
        "qwen3-vl:8b",
        "qwen3-vl-plusplus",
        "my-qwen3.8-max",
        "xqwen3.9-plus",
        "qwen3.8-max/gpt-4o",
        "qwen3.8maxi",
        "qwen3.95b",
        "qwenvl",
        "qwq-32b",
        "codeqwen1.5-7b",
        "qwen3guard-gen-8b",
        "Qwen/Qwen3-Coder-30B-A3B-Instruct",
        "Qwen/Qwen3-VL-Embedding-8B",
        "Qwen/Qwen3-VL-Reranker-2B",
        "Qwen/Qwen3-Omni-30B-A3B-Instruct",
        "Qwen/Qwen3-Next-80B-A3B-Thinking",
        "Qwen/Qwen-Image-Edit",
        "wan2.6-t2v",
        "llama-4-scout",
    ],
)
def test_other_name_matches_no_row(name: str) -> None:
    facts = describe(name)
    assert (facts.known, facts.assumed) == (False, False)


@given(st.text())
def test_canonicalize_accepts_any_string(name: str) -> None:
    key = canonicalize(name)
    assert key == key.strip("-/\\ ")
    assert isinstance(is_service_name(name), bool)


def test_is_service_name_holds_for_the_names_of_the_service_only() -> None:
    for facts in CATALOGUE:
        assert is_service_name(facts.name), facts.name
    for name in ("qwen3-vl-flash-2025-10-15-us", "qwen-vl-max-latest", "qwen3.9-plus", "qwen3.8-max-0902"):
        assert is_service_name(name)
    for name in (
        "Qwen/Qwen3.5-27B",
        "qwen3-vl:8b-instruct",
        "Qwen3-VL-8B-Instruct",
        "qwen3p7-plus",
        "Qwen--Qwen3.5-27B",
    ):
        assert not is_service_name(name)


@pytest.mark.parametrize(
    ("key", "version"),
    [
        ("qwen3.8-max", (3, 8)),
        ("qwen4-vl-plus", (4, 0)),
        ("qwen3.10", (3, 10)),
        ("qwen-vl-max", None),
        ("qwen3.8b", None),
        ("qwen2025-01", None),
        ("qvq-max", None),
    ],
)
def test_parse_version(key: str, version: tuple[int, int] | None) -> None:
    assert parse_version(key) == version

"""The model profile, and the parameters for LangSmith."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import ModelProfile

from langchain_qwenvl import ChatQwenVL
from langchain_qwenvl.model_profile import build_profile
from qwenvl_core.catalog.models import CATALOGUE

PROFILES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {
        "max_input_tokens": 258_048, "max_output_tokens": 32_768, "reasoning_output": True, "structured_output": False,
        "tool_calling": True, "tool_choice": True, "image_inputs": True, "image_url_inputs": True, "video_inputs": True,
        "image_tool_message": True, "audio_inputs": False, "text_outputs": True}),
    ({"enable_thinking": False}, {"max_input_tokens": 260_096, "reasoning_output": False, "structured_output": False}),
    ({"model": "qwen3.7-plus"}, {"reasoning_output": True, "structured_output": True}),
    ({"model": "qwen3.7-plus", "enable_thinking": False}, {"reasoning_output": False, "structured_output": True}),
    ({"model": "qwen3-vl-8b-thinking"}, {"reasoning_output": True, "structured_output": False, "tool_choice": False}),
    ({"model": "qvq-max"}, {"reasoning_output": True, "tool_calling": False, "tool_choice": False}),
    ({"model": "qwen-vl-max"}, {"reasoning_output": False, "tool_calling": False, "image_tool_message": False}),
    ({"model": "qwen-vl-ocr"}, {"video_inputs": False}),
]  # fmt: skip


@pytest.mark.parametrize(("keywords", "expected"), PROFILES, ids=[str(row[0]) for row in PROFILES])
def test_profile_has_the_models_capabilities(keywords: dict[str, Any], expected: dict[str, Any]) -> None:
    profile = ChatQwenVL(**keywords).profile
    assert profile is not None
    assert {name: profile.get(name) for name in expected} == expected


@pytest.mark.parametrize("facts", CATALOGUE, ids=lambda facts: facts.name)
def test_profile_has_only_langchains_keys(facts: Any) -> None:
    profile = ChatQwenVL(model=facts.name).profile
    assert profile is not None
    assert set(profile) <= set(ModelProfile.__annotations__)
    assert profile["name"] == facts.name
    assert profile["structured_output"] is facts.json_schema


def test_profile_unknown_model_is_none() -> None:
    assert ChatQwenVL(model="my-finetune").profile is None


def test_profile_of_the_user_is_kept() -> None:
    assert ChatQwenVL(profile={"max_input_tokens": 5}).profile == {"max_input_tokens": 5}


def test_model_copy_updates_the_profile() -> None:
    model = ChatQwenVL(model="qwen3.7-plus")
    assert model.model_copy(update={"enable_thinking": False}).profile["reasoning_output"] is False  # type: ignore[index]
    assert model.model_copy(update={"model": "my-finetune"}).profile is None
    assert model.profile["reasoning_output"] is True  # type: ignore[index]
    explicit = ChatQwenVL(profile={"max_input_tokens": 5})
    assert explicit.model_copy(update={"enable_thinking": False}).profile == {"max_input_tokens": 5}
    assert model.model_copy(update={"profile": None}).profile is None


def test_build_profile_follows_call_settings() -> None:
    model = ChatQwenVL(model="qwen3.7-plus")
    assert build_profile(model._settings({"enable_thinking": False}))["structured_output"] is True  # type: ignore[index]


LANGSMITH: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {}, {"ls_provider": "qwenvl", "ls_model_name": "qwen3-vl-plus", "ls_model_type": "chat"}),
    ({"temperature": 0.0, "max_tokens": 5}, {}, {"ls_temperature": 0.0, "ls_max_tokens": 5}),
    ({"temperature": 0.5}, {"temperature": 0.75, "max_tokens": 7}, {"ls_temperature": 0.75, "ls_max_tokens": 7}),
    ({}, {"model": "qwen3-vl-flash"}, {"ls_model_name": "qwen3-vl-flash"}),
    ({"stop": ["A"]}, {}, {"ls_stop": ["A"]}),
    ({"stop": "A"}, {}, {"ls_stop": ["A"]}),
    ({"stop": "A"}, {"stop": ["B"]}, {"ls_stop": ["B"]}),
]


@pytest.mark.parametrize(("keywords", "call", "expected"), LANGSMITH, ids=str)
def test_langsmith_params_follow_model_and_call(
    keywords: dict[str, Any], call: dict[str, Any], expected: dict[str, Any]
) -> None:
    params = ChatQwenVL(**keywords)._get_ls_params(**call)
    assert {name: params.get(name) for name in expected} == expected


def test_metadata_contains_our_version() -> None:
    metadata = ChatQwenVL(metadata={"mine": 1}).metadata
    assert metadata is not None
    assert metadata["mine"] == 1
    assert "qwenvl-adapters" in metadata["lc_versions"]

"""What LangChain may know of a model beforehand: its profile, and what it tells LangSmith."""

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
    ({"model": "qwen3.7-plus"}, {"reasoning_output": True, "structured_output": False}),
    ({"model": "qwen3.7-plus", "enable_thinking": False}, {"reasoning_output": False, "structured_output": True}),
    ({"model": "qwen3-vl-8b-thinking"}, {"reasoning_output": True, "structured_output": False, "tool_choice": False}),
    ({"model": "qvq-max"}, {"reasoning_output": True, "tool_calling": False, "tool_choice": False}),
    ({"model": "qwen-vl-max"}, {"reasoning_output": False, "tool_calling": False, "image_tool_message": False}),
    ({"model": "qwen-vl-ocr"}, {"video_inputs": False}),
]  # fmt: skip


@pytest.mark.parametrize(("keywords", "known"), PROFILES, ids=[str(row[0]) for row in PROFILES])
def test_profiles(keywords: dict[str, Any], known: dict[str, Any]) -> None:
    profile = ChatQwenVL(**keywords).profile
    assert profile is not None
    assert {name: profile.get(name) for name in known} == known


@pytest.mark.parametrize("facts", CATALOGUE, ids=lambda facts: facts.name)
def test_every_model_has_one_that_langchain_understands(facts: Any) -> None:
    profile = ChatQwenVL(model=facts.name).profile
    assert profile is not None
    assert set(profile) <= set(ModelProfile.__annotations__)
    assert profile["name"] == facts.name
    assert profile["structured_output"] is False or facts.thinking == "never"


def test_an_unknown_model_has_none() -> None:
    assert ChatQwenVL(model="my-finetune").profile is None


def test_the_users_own_wins() -> None:
    assert ChatQwenVL(profile={"max_input_tokens": 5}).profile == {"max_input_tokens": 5}


def test_a_changed_copy_has_its_own() -> None:
    model = ChatQwenVL(model="qwen3.7-plus")
    assert model.model_copy(update={"enable_thinking": False}).profile["structured_output"] is True  # type: ignore[index]
    assert model.model_copy(update={"model": "my-finetune"}).profile is None
    assert model.profile["structured_output"] is False  # type: ignore[index]
    given = ChatQwenVL(profile={"max_input_tokens": 5})
    assert given.model_copy(update={"enable_thinking": False}).profile == {"max_input_tokens": 5}
    assert model.model_copy(update={"profile": None}).profile is None


def test_it_follows_the_call() -> None:
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


@pytest.mark.parametrize(("keywords", "called", "told"), LANGSMITH, ids=str)
def test_langsmith(keywords: dict[str, Any], called: dict[str, Any], told: dict[str, Any]) -> None:
    params = ChatQwenVL(**keywords)._get_ls_params(**called)
    assert {name: params.get(name) for name in told} == told


def test_traces_name_our_version() -> None:
    metadata = ChatQwenVL(metadata={"mine": 1}).metadata
    assert metadata is not None
    assert metadata["mine"] == 1
    assert "qwenvl-adapters" in metadata["lc_versions"]

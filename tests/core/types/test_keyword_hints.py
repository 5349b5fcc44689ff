"""Test what an unknown keyword is answered with, at the model object and in a call."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_qwenvl import ChatQwenVL, QwenVLEmbeddings, QwenVLReranker
from llama_index_qwenvl import QwenVL, QwenVLEmbedding, QwenVLRerank
from qwenvl_core.types.keyword_hints import describe_unknown_keyword

HINTS = [
    ("api_base", "Use base_url="),
    ("openai_api_key", "Use api_key="),
    ("request_timeout", "Use timeout="),
    ("additional_kwargs", "extra_body="),
    ("tools", "belongs to a call"),
    ("temprature", "did you mean 'temperature'?"),
    ("enable_search", "extra_body="),
]


@pytest.mark.parametrize(("name", "hint"), HINTS)
def test_unknown_keyword_is_named_with_a_way_out(name: str, hint: str) -> None:
    message = describe_unknown_keyword(name, ["temperature", "timeout"])
    assert message.startswith(f"Unknown keyword {name!r}")
    assert hint in message


@pytest.mark.parametrize("cls", [ChatQwenVL, QwenVL, QwenVLEmbeddings, QwenVLEmbedding, QwenVLReranker, QwenVLRerank])
@pytest.mark.parametrize("name", ["api_base", "request_timeout", "max_retires", "tools"])
def test_constructor_names_unknown_keyword_and_hides_its_value(cls: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"Unknown keyword '{name}'") as caught:
        cls(**{"api_key": "sk-secret", name: "sk-other"})
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("cls", [ChatQwenVL, QwenVL])
def test_constructor_takes_every_field_by_its_names(cls: Any) -> None:
    assert cls(api_key="k", model="qwen3-vl-flash").model == "qwen3-vl-flash"
    assert cls.model_validate({"api_key": "k", "model": "qwen3-vl-flash"}).model == "qwen3-vl-flash"


def test_langchain_model_takes_model_name_too() -> None:
    assert ChatQwenVL(model_name="qwen3-vl-flash").model == "qwen3-vl-flash"
    with pytest.raises(ValueError, match="Use model="):
        QwenVL.model_validate({"model_name": "qwen3-vl-flash"})

"""Test what an unknown keyword is answered with, at the model object and in a call."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import AliasChoices, AliasPath, ConfigDict, Field, ValidationError

from langchain_qwenvl import ChatQwenVL, QwenVLEmbeddings, QwenVLReranker
from llama_index_qwenvl import QwenVL, QwenVLEmbedding, QwenVLReader, QwenVLRerank
from qwenvl_core.types.keyword_hints import describe_unknown_keyword

HINTS = [
    ("api_base", "Use base_url="),
    ("openai_api_key", "Use api_key="),
    ("request_timeout", "Use timeout="),
    ("additional_kwargs", "extra_body="),
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
    assert isinstance(caught.value, ValidationError)
    assert "sk-" not in f"{caught.value}{caught.value!r}{caught.value.errors()}{caught.value.json()}"
    assert [error["loc"] for error in caught.value.errors()] == [(name,)]


@pytest.mark.parametrize(
    ("cls", "name", "hint"),
    [
        (ChatQwenVL, "tools", "use bind_tools(), or pass it to invoke()"),
        (ChatQwenVL, "response_format", "use bind(), or pass it to invoke()"),
        (QwenVL, "tools", "pass it to chat() or stream_chat(), or pass the tools to an agent"),
        (QwenVL, "extra_headers", "pass it to chat(), stream_chat()"),
        (QwenVLEmbeddings, "tools", "belongs to chat models"),
        (QwenVLEmbedding, "temperature", "belongs to chat models"),
        (QwenVLReranker, "enable_thinking", "belongs to chat models"),
        (QwenVLRerank, "api", "native API"),
        (QwenVLEmbeddings, "chunk_size", "packed to the model's limits"),
        (QwenVLEmbedding, "extra_headers", "Use default_headers="),
        (QwenVLReranker, "max_concurrency", "one request"),
        (QwenVLRerank, "stream_chunk_timeout", "Use timeout="),
    ],
)
def test_hint_names_a_way_out_that_the_class_has(cls: Any, name: str, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        cls(**{name: 1})
    assert hint in str(caught.value)
    assert ("bind" in str(caught.value)) == (cls is ChatQwenVL)


@pytest.mark.parametrize(("name", "hint"), [("api_key", r"llm=QwenVL\(api_key="), ("cache", "not permitted")])
def test_reader_names_unknown_keyword_and_hides_its_value(name: str, hint: str) -> None:
    with pytest.raises(ValidationError, match=hint) as caught:
        QwenVLReader.model_validate({name: "sk-secret", "mode": "page"})
    assert "sk-" not in f"{caught.value}{caught.value!r}"


@pytest.mark.parametrize("cls", [ChatQwenVL, QwenVL])
def test_renamed_keyword_names_its_successor_and_shows_no_key(cls: Any) -> None:
    with pytest.raises(ValidationError, match="forced_output") as caught:
        cls(api_key="sk-secret", forced_tool_choice="x")
    assert "sk-" not in f"{caught.value}{caught.value.errors()}{caught.value.json()}"


@pytest.mark.parametrize("extra", ["allow", "ignore"])
def test_subclass_that_takes_further_keywords_is_not_refused(extra: Literal["allow", "ignore"]) -> None:
    class Model(ChatQwenVL):
        model_config = ConfigDict(extra=extra)

    assert Model.model_validate({"api_key": "k", "mine": 1}).model == ChatQwenVL(api_key="k").model


def test_subclass_with_a_field_inside_another_keyword_is_not_refused() -> None:
    class Model(ChatQwenVL):
        mine: int = Field(0, validation_alias=AliasChoices("m", AliasPath("options", 0)))

    assert Model.model_validate({"api_key": "k", "options": [3]}).mine == 3


@pytest.mark.parametrize("cls", [ChatQwenVL, QwenVL])
def test_constructor_takes_every_field_by_its_names(cls: Any) -> None:
    assert cls(api_key="k", model="qwen3-vl-flash").model == "qwen3-vl-flash"
    assert cls.model_validate({"api_key": "k", "model": "qwen3-vl-flash"}).model == "qwen3-vl-flash"


def test_langchain_model_takes_model_name_too() -> None:
    assert ChatQwenVL(model_name="qwen3-vl-flash").model == "qwen3-vl-flash"
    with pytest.raises(ValueError, match="Use model="):
        QwenVL.model_validate({"model_name": "qwen3-vl-flash"})

"""The fast copy of pydantic models equals pydantic's own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import BaseModel, ConfigDict

from langchain_qwenvl._fast_copy import copy_with


class WithExtras(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = "a"


MODELS: dict[str, BaseModel] = {
    "message": AIMessageChunk(content="Hi", additional_kwargs={"a": 1}, response_metadata={"b": 2}),
    "chunk": ChatGenerationChunk(text="Hi", message=AIMessageChunk(content="Hi")),
    "extras": WithExtras.model_validate({"name": "b", "more": [1]}),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_copy_with_no_changes_equals_copy(model: BaseModel) -> None:
    fast, plain = copy_with(model, {}), copy.copy(model)
    assert type(fast) is type(plain)
    assert fast == plain == model
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__"):
        assert getattr(fast, name) == getattr(plain, name)
        assert getattr(fast, name) is not getattr(model, name) or getattr(model, name) is None
    assert fast.__pydantic_private__ == plain.__pydantic_private__
    assert set(BaseModel.__slots__) == {
        "__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__",
    }  # fmt: skip


@pytest.mark.parametrize("changes", [{"content": "Ho"}, {"content": "", "additional_kwargs": {"c": 3}}], ids=str)
def test_copy_with_changes_equals_model_copy(changes: dict[str, Any]) -> None:
    model = MODELS["message"]
    before = model.model_dump()
    fast, plain = copy_with(model, changes), model.model_copy(update=changes)
    assert fast == plain
    assert fast.model_dump() == plain.model_dump()
    assert fast.model_fields_set == plain.model_fields_set
    assert model.model_dump() == before

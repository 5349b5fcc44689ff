"""Test what is refused of OCR tasks, and what passes."""

from __future__ import annotations

from typing import Any

import pytest

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.catalog.models import describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import policy, validation
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import ImagePart, Message
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings, resolve_settings

TASKS = (
    "text_recognition", "advanced_recognition", "key_information_extraction", "table_parsing", "document_parsing",
    "formula_recognition", "multi_lan",
)  # fmt: skip
THREE_LEVELS = {"a": {"b": [{"c": "what"}]}}
FOUR_LEVELS = {"a": {"b": [{"c": {"d": "what"}}]}}
EXTRACTION = "key_information_extraction"


def check(options: Any, *, model: str = "qwen-vl-ocr", api: Api = "dashscope", rotate: Any = None) -> None:
    image = ImagePart(UrlSource("https://example.com/a.jpg"), location="messages[0].content[0]", enable_rotate=rotate)
    settings = ModelSettings(model=model, ocr_options=options)
    facts = describe(model)
    prepared = policy.prepare(Request(messages=(Message("user", (image,)),), settings=settings), facts)
    validation.check(prepared, facts, api)


@pytest.mark.parametrize("model", ["qwen-vl-ocr", "qwen-vl-ocr-latest", "qwen-vl-ocr-2025-11-20", "qwen3.5-ocr"])
@pytest.mark.parametrize("task", TASKS)
def test_options_of_every_task_pass(model: str, task: str) -> None:
    check({"task": task}, model=model)
    check({"task": task, "enable_rotate": True}, model=model)


@pytest.mark.parametrize(
    "options",
    [
        None,
        {"enable_rotate": False},
        {"task": EXTRACTION, "task_config": None},
        {"task": EXTRACTION, "task_config": {}},
        {"task": EXTRACTION, "task_config": {"result_schema": THREE_LEVELS}},
    ],
)
def test_options_within_the_borders_pass(options: Any) -> None:
    check(options)


def test_options_of_unknown_model_pass() -> None:
    check({"task": "a_new_task"}, model="my-own-ocr")


@pytest.mark.parametrize(
    ("options", "keywords", "words"),
    [
        ({"task": "tables"}, {}, ["ocr_options", "'tables'", *TASKS]),
        ({"task": 1}, {}, ["task=1", *TASKS]),
        ({"task": "multi_lan"}, {"model": "qwen3-vl-plus"}, ["multi_lan", "qwen3-vl-plus", "qwen3.5-ocr", *TASKS]),
        ({"task": "table_parsing"}, {"api": "openai"}, ["table_parsing", 'api="openai"', 'api="dashscope"']),
        ({"enable_rotate": True}, {"api": "openai"}, ["enable_rotate", 'api="dashscope"']),
        ({"tasks": "table_parsing"}, {}, ["['tasks']", "task, task_config, enable_rotate", "extra_body"]),
        ({"task": "table_parsing", "enable_rotate": "yes"}, {}, ["enable_rotate='yes'", "True or False"]),
        ({"task_config": {}}, {}, ["task_config", "no task"]),
        ({"task": EXTRACTION, "task_config": []}, {}, ["task_config=[]", "result_schema"]),
        ({"task": EXTRACTION, "task_config": {"result_schema": "a"}}, {}, ["result_schema='a'"]),
        ({"task": EXTRACTION, "task_config": {"result_schema": FOUR_LEVELS}}, {}, ["result_schema", "3 levels"]),
    ],
)  # fmt: skip
def test_invalid_options_raise_with_keyword_value_and_way_out(
    options: Any, keywords: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(QwenVLInputError) as error:
        check(options, **keywords)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("rotate", "keywords", "words"),
    [
        (1, {}, ["enable_rotate=1", "True or False"]),
        (True, {"api": "openai"}, ['api="openai"', 'api="dashscope"']),
        (False, {"model": "qwen3-vl-plus"}, ["enable_rotate=False", "qwen3-vl-plus", "qwen3.5-ocr"]),
    ],
)
def test_invalid_rotation_of_image_raises_with_location(
    rotate: Any, keywords: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(QwenVLInputError) as error:
        check(None, rotate=rotate, **keywords)
    for word in ("messages[0].content[0]", *words):
        assert word in str(error.value)


def test_settings_of_call_replace_those_of_model() -> None:
    model = {"ocr_options": {"task": "table_parsing", "enable_rotate": True}}
    assert resolve_settings(model, set(), {}).ocr_options == model["ocr_options"]
    assert resolve_settings(model, set(), {"ocr_options": {"task": "multi_lan"}}).ocr_options == {"task": "multi_lan"}
    assert resolve_settings(model, set(), {"ocr_options": {}}).ocr_options is None
    with pytest.raises(QwenVLInputError, match="ocr_options='table_parsing'"):
        resolve_settings({}, set(), {"ocr_options": "table_parsing"})

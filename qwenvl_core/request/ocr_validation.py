"""Validate the task of an OCR model, before anything is sent.

Source: the vendor's page "Text extraction (Qwen-OCR)".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.catalog.models import ModelFacts, describe
from qwenvl_core.types.messages import ImagePart
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import ModelSettings

OPTIONS = ("task", "task_config", "enable_rotate")
"""The keys of `ocr_options`."""

MAX_SCHEMA_LEVELS = 3
"""Levels of nested objects that a `result_schema` may have."""

_EXAMPLE = '{"task": "advanced_recognition"}'
_OCR_MODEL = "qwen3.5-ocr"  # named in errors about models without tasks


def find_violations(prepared: PreparedRequest, facts: ModelFacts, api: Api) -> Iterator[str]:
    """Yield what the service would refuse or ignore: of `ocr_options`, and of `enable_rotate` of an image.

    Args:
        prepared: The request.
        facts: Facts of its model. For an unknown model only the form of the options is checked.
        api: The API of the request; only the native API has these options.
    """
    yield from find_option_violations(prepared.settings, facts, api)
    for message in prepared.messages:
        for part in message.parts:
            if isinstance(part, ImagePart) and part.enable_rotate is not None:
                for violation in _check_rotation(part.enable_rotate, prepared.settings, facts, api):
                    yield f"{part.location}: {violation}"


def find_option_violations(settings: ModelSettings, facts: ModelFacts, api: Api) -> Iterator[str]:
    """Yield the violations of `ocr_options`; see `find_violations`."""
    options = settings.ocr_options
    if not options:
        return
    if unknown := [name for name in options if name not in OPTIONS]:
        yield (
            f"ocr_options has unknown keys: {unknown}. Allowed: {', '.join(OPTIONS)}. "
            'Pass others in extra_body={"ocr_options": {...}}.'
        )
    task, tasks = options.get("task"), ", ".join(facts.ocr_tasks)
    if task is not None and not isinstance(task, str):
        yield f"ocr_options: task={task!r} is invalid. Pass the name of a task: {tasks or _EXAMPLE}."
    if facts.known and not facts.ocr_tasks:
        yield (
            f"ocr_options={dict(options)!r}: {settings.model} has no OCR tasks. Use an OCR model such as {_OCR_MODEL} "
            f'with api="dashscope"; its tasks are: {", ".join(describe(_OCR_MODEL).ocr_tasks)}.'
        )
    elif facts.known and task is not None and task not in facts.ocr_tasks:
        yield f"ocr_options: unknown task {task!r}. {settings.model} has these tasks: {tasks}."
    if api != "dashscope":
        yield (
            f'ocr_options={dict(options)!r} is not possible with api="{api}". Only the native API takes it: set '
            'api="dashscope", or write the task into the prompt.'
        )
    if options.get("task_config") is not None:
        yield from _check_task_config(task, options["task_config"])
    rotate = options.get("enable_rotate")
    if rotate is not None and not isinstance(rotate, bool):
        yield f"ocr_options: enable_rotate={rotate!r} is invalid. Pass True or False."


def _check_task_config(task: Any, config: Any) -> Iterator[str]:
    schema_hint = '{"result_schema": {"total": "the amount to pay"}}'
    if task is None:
        yield f"ocr_options: task_config={config!r} has no task. Pass the task that it configures."
    if not isinstance(config, Mapping):
        yield f"ocr_options: task_config={config!r} is invalid. Pass a dict such as {schema_hint}."
        return
    schema = config.get("result_schema")
    if schema is None:
        return
    if not isinstance(schema, Mapping):
        yield f"ocr_options: result_schema={schema!r} is invalid. Pass a dict of the fields to extract: {schema_hint}."
    elif _count_levels(schema, MAX_SCHEMA_LEVELS + 1) > MAX_SCHEMA_LEVELS:
        yield (
            f"ocr_options: result_schema has more than {MAX_SCHEMA_LEVELS} levels: {dict(schema)!r}. The service takes "
            f"at most {MAX_SCHEMA_LEVELS}. Flatten it, or extract in several calls."
        )


def _count_levels(value: Any, limit: int) -> int:
    """Count the levels of nested objects, up to `limit`; a list is no level of its own."""
    if isinstance(value, list | tuple):
        return max((_count_levels(item, limit) for item in value), default=0)
    if not isinstance(value, Mapping):
        return 0
    inner = (_count_levels(child, limit - 1) for child in value.values()) if limit > 1 else ()
    return 1 + max(inner, default=0)


def _check_rotation(value: Any, settings: ModelSettings, facts: ModelFacts, api: Api) -> Iterator[str]:
    """Yield the violations of an image's own `enable_rotate`."""
    if not isinstance(value, bool):
        yield f"enable_rotate={value!r} is invalid. Pass True or False."
    if facts.known and not facts.ocr_tasks:
        yield (
            f"enable_rotate={value!r}: only OCR models take it, and {settings.model} is not one. Leave it out, or use "
            f'a model such as {_OCR_MODEL} with api="dashscope".'
        )
    if api != "dashscope":
        yield (
            f'enable_rotate={value!r} is not possible with api="{api}". Only the native API takes it: set '
            'api="dashscope", or turn the image upright before it is sent.'
        )

"""Check the tasks of the OCR models."""

from __future__ import annotations

from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.rules.rule import Rule

TASKS = (
    "text_recognition",
    "key_information_extraction",
    "document_parsing",
    "table_parsing",
    "formula_recognition",
    "multi_lan",
    "advanced_recognition",
)
MAX_SCHEMA_LEVELS = 3
_OCR_PAGE = "vendor's OCR page; the message by analogy"


def _check_options(request: ChatRequest) -> ApiError | None:
    options = request.parameter("ocr_options")
    if options is None:
        return None
    if request.api == "compat":
        return invalid_parameter("Unexpected parameter: ocr_options.", from_algorithm=False)
    if request.facts is not None and not request.facts.ocr_tasks:
        return invalid_parameter("The ocr_options parameter is not supported by this model.")
    if not isinstance(options, dict) or set(options) - {"task", "task_config"}:
        return invalid_parameter("'ocr_options' must be an object of 'task' and 'task_config'.")
    if options.get("task") not in TASKS:
        return invalid_parameter(f"ocr_options.task should be one of {list(TASKS)}")
    return None


def _check_task_config(request: ChatRequest) -> ApiError | None:
    options = request.parameter("ocr_options")
    config = options.get("task_config") if isinstance(options, dict) else None
    if config is None:
        return None
    schema = config.get("result_schema") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(schema, dict | None):
        return invalid_parameter("'ocr_options.task_config.result_schema' must be a JSON object.")
    if _count_levels(schema) > MAX_SCHEMA_LEVELS:
        return invalid_parameter(f"'result_schema' can be nested at most {MAX_SCHEMA_LEVELS} levels.")
    return None


def _count_levels(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_count_levels(item) for item in value.values()), default=0)
    return max((_count_levels(item) for item in value), default=0) if isinstance(value, list) else 0


def _check_rotation(request: ChatRequest) -> ApiError | None:
    rotated = [part for _, _, part in request.parts() if isinstance(part, dict) and "enable_rotate" in part]
    if not rotated:
        return None
    if request.api == "compat":
        return invalid_parameter("Unexpected parameter in content: enable_rotate.", from_algorithm=False)
    if all("image" in part and isinstance(part["enable_rotate"], bool) for part in rotated):
        return None
    return invalid_parameter("'enable_rotate' must be Boolean, beside an image.")


OCR_RULES: tuple[Rule, ...] = (
    Rule("ocr_options names a task of the model", _OCR_PAGE, _check_options),
    Rule("task_config of an OCR task", _OCR_PAGE, _check_task_config),
    Rule("enable_rotate is beside an image", _OCR_PAGE, _check_rotation),
)

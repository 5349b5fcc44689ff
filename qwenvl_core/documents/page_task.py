"""Choose what a page is asked for, and read the answer: by prompt, or by a task of an OCR model.

An OCR model has tasks over the native API (vendor page "Text extraction (Qwen-OCR)"): `advanced_recognition` gives the
lines of a page with their boxes, `document_parsing` the page in LaTeX. Over the OpenAI-compatible API it takes prompts
only, and its answers hold no boxes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.catalog.models import describe
from qwenvl_core.documents.options import LoaderOptions, Mode
from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.documents.records import AnswerFormat
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.layout import PageLayout, parse_layout, parse_ocr_lines
from qwenvl_core.request import ocr_validation
from qwenvl_core.types.settings import ModelSettings
from qwenvl_core.vision.boxes import Space

TEXT_PROMPT = "Please output only the text content from the image without any additional descriptions or formatting."
"""The vendor's prompt for the plain text of an image."""

_DEFAULT_TASKS: dict[Mode, str] = {
    "page": "document_parsing",
    "single": "document_parsing",
    "element": "advanced_recognition",
    "chunk": "advanced_recognition",
}
_BOX_MODES: tuple[Mode, ...] = ("element", "chunk")
_LINES_TASK = "advanced_recognition"
_LATEX_TASK = "document_parsing"
_FORMULA_TASK = "formula_recognition"
_TEXT_TASKS = ("text_recognition", "multi_lan")
_FENCE = re.compile(r"^[ \t]{0,9}```\w{0,20}[ \t]*+$", re.MULTILINE)


def choose_ocr_options(options: LoaderOptions, settings: ModelSettings, api: Api) -> Mapping[str, Any] | None:
    """Choose the `ocr_options` of the requests of a loader.

    The model's own task takes precedence. A caller's prompt for whole pages is sent without a task, since the older
    OCR models replace it by the prompt of the task.

    Args:
        options: The loader's options.
        settings: The settings of the model.
        api: The model's API.

    Returns:
        The options, or `None` for a model without tasks and where a prompt is sent instead.

    Raises:
        QwenVLInputError: The model's own `ocr_options` can't be sent, or the mode needs boxes and the API gives none.
    """
    facts = describe(settings.model)
    for violation in ocr_validation.find_option_violations(settings, facts, api):
        raise QwenVLInputError(violation)
    own = settings.ocr_options
    if not facts.ocr_tasks or (own and own.get("task")):
        return own
    needs_boxes = options.mode in _BOX_MODES
    if api != "dashscope":
        if needs_boxes and options.prompt is None:
            raise QwenVLInputError(
                f'mode={options.mode!r} needs boxes, which {settings.model} does not give with api="{api}". '
                'Use api="dashscope", or mode="page".'
            )
        return own
    if options.prompt is not None and not needs_boxes:
        return own
    return {**(own or {}), "task": _DEFAULT_TASKS[options.mode]}


def choose_prompt(options: LoaderOptions, settings: ModelSettings) -> str:
    """Choose the prompt that is sent with each page; empty for a task of an OCR model, which has its own."""
    if options.prompt is not None:
        return options.prompt
    if get_task(settings) is not None:
        return ""
    return TEXT_PROMPT if describe(settings.model).ocr_tasks else options.prompt_for_page


def get_task(settings: ModelSettings) -> str | None:
    """Return the OCR task of the requests, if they have one."""
    return (settings.ocr_options or {}).get("task")


def parse_answer(
    transcription: PageTranscription,
    options: LoaderOptions,
    settings: ModelSettings,
    *,
    space: Space,
    size: tuple[int, int],
) -> PageLayout:
    """Parse a transcription by the task or the prompt that it answers.

    Args:
        transcription: The transcription.
        options: The loader's options.
        settings: The settings of the requests.
        space: The model's coordinates.
        size: Width and height of the image that was sent, in pixels.
    """
    task, text = get_task(settings), transcription.text
    if task == _LINES_TASK or transcription.ocr_result:
        layout = parse_ocr_lines(transcription.ocr_result, text, size=size)
        if layout is not None:
            return layout
    match get_answer_format(options, settings):
        case "text":
            return parse_layout(text, format="text")
        case "markup" if task == _LATEX_TASK:
            return parse_layout(text, format="latex" if "\\" in text else "auto")
        case "markup" if task == _FORMULA_TASK:
            return parse_layout(_delimit_formula(text), format="markdown")
    return parse_layout(text, space=space, size=size)


def get_answer_format(options: LoaderOptions, settings: ModelSettings) -> AnswerFormat:
    """Return whether answers are plain text, always markup, or in a format that has to be detected."""
    task = get_task(settings)
    if task in _TEXT_TASKS or (task is None and choose_prompt(options, settings) == TEXT_PROMPT):
        return "text"
    return "detect" if task is None else "markup"


def _delimit_formula(text: str) -> str:
    """Put a formula between `$$`, unless it has delimiters, and remove the code fence around it."""
    formula = _FENCE.sub("", text).strip()
    return formula if not formula or formula.startswith(("$", "\\[", "\\begin")) else f"$${formula}$$"

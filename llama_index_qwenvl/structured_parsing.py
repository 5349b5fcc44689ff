"""Request structured output, and parse it from whole or partial answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Generic

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.types import Model, PydanticProgramMode
from pydantic import BaseModel, ValidationError

from llama_index_qwenvl.tools import build_output_function, read_tool_selections
from qwenvl_core.errors import QwenVLOutputError
from qwenvl_core.parsing.json_answer import (
    describe_empty_answer,
    find_json_object,
    find_json_value,
    parse_json_answer,
)
from qwenvl_core.request.output_schema import RootType, fit_to_object, get_root_type, unwrap_root
from qwenvl_core.types.tool_arguments import parse_partial_json, parse_partial_value

# LlamaIndex's programs replace the caller's values of these.
_PROGRAM_KEYWORDS = frozenset({"tools", "tool_required", "tool_choice", "allow_parallel_tool_calls"})


def build_call_settings(
    output_cls: type[BaseModel], mode: PydanticProgramMode, llm_kwargs: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Build the settings of a call that requests an object: as JSON, or as the arguments of a forced tool.

    The service forces neither while the model thinks; `qwenvl_core.request.forced_output` resolves that.
    """
    caller_settings = {name: value for name, value in (llm_kwargs or {}).items() if name not in _PROGRAM_KEYWORDS}
    if mode == PydanticProgramMode.FUNCTION:
        function = build_output_function(output_cls)
        return {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": function["name"],
            "parallel_tool_calls": False,
            **caller_settings,
        }
    schema = {"name": output_cls.__name__, "schema": fit_to_object(output_cls.model_json_schema())}
    return {"response_format": {"type": "json_schema", "json_schema": schema}, **caller_settings}


def parse_object(response: ChatResponse, output_cls: type[Model]) -> Model:
    """Parse the object of a whole answer, from its tool call or its text.

    Raises:
        QwenVLOutputError: The answer has no such object.
    """
    message, content = response.message, response.message.content or ""
    reasoning = str(message.additional_kwargs.get("reasoning_content") or "")
    is_truncated = response.additional_kwargs.get("finish_reason") == "length"
    root_type = get_root_type(output_cls.model_json_schema())
    try:
        return output_cls.model_validate_json(_find_value(message, root_type))
    except ValidationError as error:
        if content and _has_calls(message):  # the text of an earlier reply may have the object that the call lacks
            with suppress(ValidationError):
                return output_cls.model_validate_json(_find_value(ChatMessage(content=content), root_type))
        reason = "it was cut off. Raise max_tokens=" if is_truncated else str(error)
        problem = f"The answer is not a valid {output_cls.__name__}: {reason}."
        if not content.strip() and not _has_calls(message):
            problem = describe_empty_answer(reasoning, truncated=is_truncated)
        output_error = QwenVLOutputError(problem, partial=content)
        output_error.reasoning = reasoning
        raise output_error from error


def _has_calls(message: ChatMessage) -> bool:
    has_block = any(isinstance(block, ToolCallBlock) for block in message.blocks)
    return has_block or bool(message.additional_kwargs.get("invalid_tool_calls"))


def _find_value(message: ChatMessage, root_type: RootType) -> str:
    """Return the JSON text of an answer's value: the arguments of its tool call, or the JSON in its text."""
    content = message.content or ""
    tool_calls = (block for block in message.blocks if isinstance(block, ToolCallBlock))
    arguments = next((call.tool_kwargs for call in tool_calls), None)
    if root_type == "object":
        return find_json_object(content) if arguments is None else json.dumps(arguments)
    if arguments is None:
        try:
            arguments = parse_json_answer(content, *((list, dict) if root_type == "array" else ()))
        except ValueError:
            text = find_json_value(content)
            try:
                arguments = parse_json_answer(text)
            except ValueError:
                return text
    return json.dumps(unwrap_root(arguments, root_type))


def parse_rejected_answer(error: QwenVLOutputError, output_cls: type[Model]) -> Model:
    """Parse the object of an answer that is not in the required form, since a model may write it in another one.

    Raises:
        QwenVLOutputError: The answer has no such object; its cause is `error`.
    """
    root_type = get_root_type(output_cls.model_json_schema())
    with suppress(ValidationError):
        return output_cls.model_validate_json(_find_value(ChatMessage(content=error.partial), root_type))
    raised = QwenVLOutputError(
        f"The answer is not a valid {output_cls.__name__}: {error.message}",
        request_id=error.request_id,
        partial=error.partial,
        hint=error.hint,
    )
    raised.reasoning, raised.finish = error.reasoning, error.finish
    raise raised from error


class PartialObjectParser(Generic[Model]):
    """Parse the object of a streamed answer, one chunk after another."""

    def __init__(self, output_cls: type[Model]) -> None:
        self._output_cls = output_cls
        self._root_type = get_root_type(output_cls.model_json_schema())
        self._flexible = create_flexible_model(output_cls)
        self._values: Any = {}
        self._last_root: Any = None
        self._last = ChatResponse(message=ChatMessage())

    def update(self, chunk: ChatResponse) -> Model | FlexibleModel | None:
        """Return the object so far if the chunk adds to it: of `output_cls` once valid, else of a lenient class."""
        self._last = chunk
        values = _parse_partial_values(chunk, self._root_type)
        if values == self._values:
            return None
        self._values = values
        if self._root_type != "object":
            return self._validate_root(values)
        try:
            return self._output_cls.model_validate(values)
        except ValidationError:
            return self._flexible.model_validate(values)

    def _validate_root(self, value: Any) -> Model | None:
        """Return the list or value so far, if it is valid and new; the last item of a list may be unfinished."""
        for candidate in (value, value[:-1]) if isinstance(value, list) else (value,):
            if candidate in (None, [], self._last_root):
                continue
            with suppress(ValidationError):
                validated = self._output_cls.model_validate(candidate)
                self._last_root = candidate
                return validated
        return None

    def finish(self) -> Model:
        """Parse the whole object after the last chunk.

        Raises:
            QwenVLOutputError: The answer has no such object.
        """
        return parse_object(self._last, self._output_cls)


def _parse_partial_values(chunk: ChatResponse, root_type: RootType) -> Any:
    """Parse the object's values, or the list or value, that have arrived so far."""
    selections, content = read_tool_selections(chunk), chunk.message.content or ""
    if root_type == "object":
        return selections[0].tool_kwargs if selections else parse_partial_json(find_json_object(content))
    value = selections[0].tool_kwargs if selections else parse_partial_value(find_json_value(content))
    return unwrap_root(value, root_type)

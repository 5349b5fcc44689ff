"""Request structured output, and parse it from whole or partial answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Generic

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.program.function_program import get_function_tool
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.types import Model, PydanticProgramMode
from pydantic import BaseModel, ValidationError

from llama_index_qwenvl.tools import read_tool_selections, to_openai_tool
from qwenvl_core.errors import QwenVLOutputError
from qwenvl_core.parsing.json_answer import find_json_object
from qwenvl_core.types.tool_arguments import parse_partial_json

# LlamaIndex's programs replace the caller's values of these.
_PROGRAM_KEYWORDS = frozenset({"tools", "tool_required", "tool_choice", "allow_parallel_tool_calls"})


def build_call_settings(
    output_cls: type[BaseModel], mode: PydanticProgramMode, llm_kwargs: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Build the settings of a call that requests an object: as JSON, or as the arguments of a forced tool.

    Neither is possible while thinking; `qwenvl_core.request.policy` resolves that.
    """
    caller_settings = {name: value for name, value in (llm_kwargs or {}).items() if name not in _PROGRAM_KEYWORDS}
    if mode == PydanticProgramMode.FUNCTION:
        tool = to_openai_tool(get_function_tool(output_cls))
        return {
            "tools": [tool],
            "tool_choice": tool["function"]["name"],
            "parallel_tool_calls": False,
            **caller_settings,
        }
    name = re.sub(r"[^A-Za-z0-9_-]", "_", output_cls.__name__)
    schema = {"name": name, "schema": output_cls.model_json_schema()}
    return {"response_format": {"type": "json_schema", "json_schema": schema}, **caller_settings}


def parse_object(response: ChatResponse, output_cls: type[Model]) -> Model:
    """Parse the object of a whole answer, from its tool call or its text.

    Raises:
        QwenVLOutputError: The answer has no such object.
    """
    content = response.message.content or ""
    tool_calls = (block for block in response.message.blocks if isinstance(block, ToolCallBlock))
    text = next((json.dumps(call.tool_kwargs) for call in tool_calls), None) or find_json_object(content)
    try:
        return output_cls.model_validate_json(text)
    except ValidationError as error:
        is_truncated = response.additional_kwargs.get("finish_reason") == "length"
        reason = "it was cut off. Raise max_tokens=" if is_truncated else str(error)
        raise QwenVLOutputError(
            f"The answer is not a valid {output_cls.__name__}: {reason}.", partial=content
        ) from error


class PartialObjectParser(Generic[Model]):
    """Parse the object of a streamed answer, one chunk after another."""

    def __init__(self, output_cls: type[Model]) -> None:
        self._output_cls = output_cls
        self._flexible = create_flexible_model(output_cls)
        self._values: dict[str, Any] = {}
        self._last = ChatResponse(message=ChatMessage())

    def update(self, chunk: ChatResponse) -> Model | FlexibleModel | None:
        """Return the object so far if the chunk adds to it: of `output_cls` once valid, else of a lenient class."""
        self._last = chunk
        values = _parse_partial_values(chunk)
        if values == self._values:
            return None
        self._values = values
        try:
            return self._output_cls.model_validate(values)
        except ValidationError:
            return self._flexible.model_validate(values)

    def finish(self) -> Model:
        """Parse the whole object after the last chunk.

        Raises:
            QwenVLOutputError: The answer has no such object.
        """
        return parse_object(self._last, self._output_cls)


def _parse_partial_values(chunk: ChatResponse) -> dict[str, Any]:
    """Parse the object's values that have arrived so far."""
    selections = read_tool_selections(chunk)
    return (
        selections[0].tool_kwargs if selections else parse_partial_json(find_json_object(chunk.message.content or ""))
    )

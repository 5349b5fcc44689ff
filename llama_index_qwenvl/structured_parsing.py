"""An object as a model's answer: how it is asked for, and how it is read, whole or half written."""

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
from qwenvl_core.types.tool_arguments import parse_partial_json

# What the framework's programs take out of a caller's keywords, since they decide it themselves.
_DECIDED = frozenset({"tools", "tool_required", "tool_choice", "allow_parallel_tool_calls"})
_FENCE = re.compile(r"```\w*\s*(?=\{)")


def keywords_for(
    output_cls: type[BaseModel], mode: PydanticProgramMode, given: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The keywords of a call that is answered with an object: as JSON, or as the arguments of a forced tool.

    Neither goes with thinking; the core's policy sees to that.
    """
    own = {name: value for name, value in (given or {}).items() if name not in _DECIDED}
    if mode == PydanticProgramMode.FUNCTION:
        tool = to_openai_tool(get_function_tool(output_cls))
        return {"tools": [tool], "tool_choice": tool["function"]["name"], "parallel_tool_calls": False, **own}
    name = re.sub(r"[^A-Za-z0-9_-]", "_", output_cls.__name__)
    schema = {"name": name, "schema": output_cls.model_json_schema()}
    return {"response_format": {"type": "json_schema", "json_schema": schema}, **own}


def parse_object(response: ChatResponse, output_cls: type[Model]) -> Model:
    """The object that a whole answer is, in its text or in its tool call.

    Raises:
        QwenVLOutputError: There is none, or it is of another shape.
    """
    content = response.message.content or ""
    calls = (block for block in response.message.blocks if isinstance(block, ToolCallBlock))
    text = next((json.dumps(call.tool_kwargs) for call in calls), None) or _json_in(content)
    try:
        return output_cls.model_validate_json(text)
    except ValidationError as error:
        cut = response.additional_kwargs.get("finish_reason") == "length"
        why = "it was cut off, raise max_tokens=" if cut else str(error)
        raise QwenVLOutputError(f"The answer is no {output_cls.__name__}: {why}.", partial=content) from error


class PartialObjectParser(Generic[Model]):
    """The objects that the chunks of an answer make up, ever fuller."""

    def __init__(self, output_cls: type[Model]) -> None:
        self._output_cls = output_cls
        self._flexible = create_flexible_model(output_cls)
        self._values: dict[str, Any] = {}
        self._last = ChatResponse(message=ChatMessage())

    def update(self, chunk: ChatResponse) -> Model | FlexibleModel | None:
        """The object so far, where the chunk adds to it: of its own class once it is valid, else of a lenient one."""
        self._last = chunk
        values = _values_in(chunk)
        if values == self._values:
            return None
        self._values = values
        try:
            return self._output_cls.model_validate(values)
        except ValidationError:
            return self._flexible.model_validate(values)

    def whole(self) -> Model:
        """The object that all chunks together are.

        Raises:
            QwenVLOutputError: They are none.
        """
        return parse_object(self._last, self._output_cls)


def _values_in(chunk: ChatResponse) -> dict[str, Any]:
    """As much of the object's values as has come."""
    calls = read_tool_selections(chunk)
    return calls[0].tool_kwargs if calls else parse_partial_json(_json_in(chunk.message.content or ""))


def _json_in(text: str) -> str:
    """An answer's JSON object without the fence or the words around it; its end may be still to come."""
    fence = None if text.lstrip().startswith("{") else _FENCE.search(text)
    begin = text.find("{", fence.end() if fence else 0)
    if begin < 0:
        return ""
    try:
        _, end = json.JSONDecoder().raw_decode(text, begin)
    except ValueError:
        end = len(text)
    return text[begin:end]

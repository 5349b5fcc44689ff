"""Convert tools to OpenAI's form, and read tool calls from responses."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import fields
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.function_tool import FunctionTool
from llama_index.core.tools.types import BaseTool, ToolMetadata
from pydantic import BaseModel
from typing_extensions import override

from qwenvl_core.request.output_schema import fit_to_object, inline_root
from qwenvl_core.types.tool_arguments import parse_partial_json

_PARAMETER_KEYS = ("type", "properties", "required", "additionalProperties", "$defs")


def to_openai_tool(tool: BaseTool | Mapping[str, Any], *, strict: bool | None = None) -> dict[str, Any]:
    """Convert a tool to OpenAI's form.

    Args:
        tool: Any LlamaIndex tool, or a dict that is in OpenAI's form already.
        strict: Set `strict` on the function and allow only the described arguments.
    """
    spec = dict(tool) if isinstance(tool, Mapping) else _convert_metadata(tool.metadata)
    if strict is None:
        return spec
    function = {**spec["function"], "strict": strict}
    if strict:
        function["parameters"] = {**function.get("parameters", {}), "additionalProperties": False}
    return {**spec, "function": function}


def complete_tool(tool: BaseTool) -> BaseTool:
    """Return a tool that describes all its arguments; see `_complete_parameters`.

    LlamaIndex reads the arguments of a tool from this description when it calls the tool, and fails without them.
    """
    if not isinstance(tool, FunctionTool) or _complete_parameters(tool.metadata) is None:
        return tool
    completed = copy(tool)
    completed._metadata = _CompleteMetadata(
        **{item.name: getattr(tool.metadata, item.name) for item in fields(ToolMetadata)}
    )
    return completed


def build_output_function(output_cls: type[BaseModel]) -> dict[str, Any]:
    """Build the function whose arguments are the fields of a class, or the wrapped value of a root model."""
    root = inline_root(output_cls.model_json_schema())
    parameters = fit_to_object({key: value for key, value in root.items() if key not in ("title", "description")})
    name, description = root.get("title", output_cls.__name__), root.get("description", "")
    return {"name": name, "description": description, "parameters": parameters}


class _CompleteMetadata(ToolMetadata):
    """Metadata of a tool with `_complete_parameters`."""

    @override
    def get_parameters_dict(self) -> dict[str, Any]:
        return _complete_parameters(self) or super().get_parameters_dict()


def _convert_metadata(metadata: ToolMetadata) -> dict[str, Any]:
    spec: dict[str, Any] = metadata.to_openai_tool(skip_length_check=True)
    function = dict(spec["function"])
    if metadata.name:  # LlamaIndex replaces characters, so that different names become the same
        function["name"] = metadata.name
    parameters = _complete_parameters(metadata)
    return {**spec, "function": function if parameters is None else {**function, "parameters": parameters}}


def _complete_parameters(metadata: ToolMetadata) -> dict[str, Any] | None:
    """Return the parameters of a tool of which LlamaIndex drops a part; `None` for other tools.

    It keeps neither the reference at the top of a recursive schema nor the items of a root model's list.
    """
    schema = metadata.fn_schema.model_json_schema() if metadata.fn_schema is not None else {}
    if "properties" in schema or not schema:
        return None
    parameters = {key: value for key, value in fit_to_object(schema).items() if key in _PARAMETER_KEYS}
    return {"properties": {}, **parameters}  # LlamaIndex requires this key


def read_tool_selections(response: ChatResponse) -> list[ToolSelection]:
    """Read the tool calls of a response; in a chunk of a stream, with the arguments received so far."""
    return [
        ToolSelection(
            tool_id=block.tool_call_id or block.tool_name,
            tool_name=block.tool_name,
            tool_kwargs=block.tool_kwargs
            if isinstance(block.tool_kwargs, dict)
            else parse_partial_json(block.tool_kwargs),
        )
        for block in response.message.blocks
        if isinstance(block, ToolCallBlock)
    ]

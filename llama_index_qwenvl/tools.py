"""Convert tools to OpenAI's form, and read tool calls from responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool

from qwenvl_core.types.tool_arguments import parse_partial_json


def to_openai_tool(tool: BaseTool | Mapping[str, Any], *, strict: bool | None = None) -> dict[str, Any]:
    """Convert a tool to OpenAI's form.

    Args:
        tool: Any LlamaIndex tool, or a dict that is in OpenAI's form already.
        strict: Set `strict` on the function and allow only the described arguments.
    """
    spec: dict[str, Any] = (
        dict(tool) if isinstance(tool, Mapping) else tool.metadata.to_openai_tool(skip_length_check=True)
    )
    if strict is None:
        return spec
    function = {**spec["function"], "strict": strict}
    if strict:
        function["parameters"] = {**function.get("parameters", {}), "additionalProperties": False}
    return {**spec, "function": function}


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


def keep_first_call(response: ChatResponse) -> ChatResponse:
    """Return the response with its first tool call only."""
    message = response.message
    tool_calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if len(tool_calls) < 2:
        return response
    blocks = [block for block in message.blocks if not isinstance(block, ToolCallBlock) or block is tool_calls[0]]
    extra_fields = {**message.additional_kwargs, "tool_calls": message.additional_kwargs.get("tool_calls", [])[:1]}
    return response.model_copy(
        update={"message": message.model_copy(update={"blocks": blocks, "additional_kwargs": extra_fields})}
    )

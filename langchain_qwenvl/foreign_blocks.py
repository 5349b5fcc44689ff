"""List the content blocks that other providers' integrations put into messages, and read what they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_qwenvl.input_blocks import convert_block
from qwenvl_core.types.location import Location
from qwenvl_core.types.messages import Omission, Part, TextPart
from qwenvl_core.types.omissions import CALLS_LEFT_OUT, REASONING_LEFT_OUT, RECORDS_LEFT_OUT

REASONING_TYPES = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_content", "reasoning_text"})
"""Blocks of reasoning: LangChain's, Anthropic's, Bedrock's, Mistral's."""

CALL_TYPES = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call", "custom_tool_call"}
)
"""Blocks of calls to the caller's tools: LangChain's, Anthropic's, OpenAI's and Gemini's."""

TEXT_KEYS = {"output_text": "text", "input_text": "text", "refusal": "refusal"}
"""Key of the text in text blocks that are not LangChain's, by the block's type."""

RECORD_TYPES = frozenset(
    {
        # LangChain's standard blocks
        "server_tool_call", "server_tool_call_chunk", "server_tool_result", "citation", "non_standard_annotation",
        # Anthropic
        "server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
        "bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result",
        "mcp_tool_use", "mcp_tool_result", "container_upload", "input_json_delta", "compaction",
        # OpenAI Responses
        "web_search_call", "file_search_call", "computer_call", "computer_call_output", "code_interpreter_call",
        "image_generation_call", "mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response",
        "local_shell_call", "shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output",
        "tool_search_call", "tool_search_output", "item_reference",
        # Gemini, Bedrock, Mistral
        "executable_code", "code_execution_result", "function_call_signature", "guard_content", "cache_point",
        "reference", "tool_reference",
    }
)  # fmt: skip
"""Records of what other providers did themselves: their own tools, their results, citations."""

_OUTPUT_CHANGES = {
    **dict.fromkeys(RECORD_TYPES, RECORDS_LEFT_OUT),
    **dict.fromkeys(REASONING_TYPES, REASONING_LEFT_OUT),
    **dict.fromkeys(CALL_TYPES, CALLS_LEFT_OUT),
}
"""What is done with a model's output in a message of another role: the content of an answer may be copied there."""


def get_type(block: Any) -> str:
    """Return the type of a block; "" if it has none."""
    return str(block.get("type") or "") if isinstance(block, Mapping) else ""


def unwrap(block: Any) -> Any:
    """Return the provider's own block in LangChain's `non_standard` block; other blocks are returned unchanged."""
    while get_type(block) == "non_standard" and isinstance(block.get("value"), Mapping) and block["value"]:
        block = block["value"]
    return block


def find_omission(block: Any, location: Location) -> Omission | None:
    """Return what is reported of a model's output in a message of another role; `None` for other blocks."""
    change = _OUTPUT_CHANGES.get(get_type(block))
    return None if change is None else Omission(change, str(location.with_type(get_type(block))))


def convert_input_block(block: Any, location: Location) -> Iterator[Part | Omission]:
    """Convert a block of a user or system message.

    Raises:
        QwenVLInputError: The block is not supported; the error names its location, its type and the way out.
    """
    block = unwrap(block)
    if omission := find_omission(block, location):
        yield omission
    elif get_type(block) in TEXT_KEYS:
        yield TextPart(str(block.get(TEXT_KEYS[get_type(block)]) or ""))
    else:
        yield convert_block(block, location)

"""Translate messages to LangChain's standard content blocks: `content_blocks`, v1 content and v3 events.

Without a translator, LangChain numbers the blocks itself, and reasoning block 0 merges with tool call 0. The indices
here are strings with the prefix that LangChain merges by (`lc_...`), so they never equal the number of a tool call.
"""

from __future__ import annotations

from typing import Any, cast

import langchain_core.messages.content as types
from langchain_core.messages.ai import AIMessage, AIMessageChunk
from langchain_core.messages.block_translators import register_translator
from langchain_core.messages.content import InvalidToolCall
from langchain_core.messages.tool import ToolCall, invalid_tool_call

PROVIDER = "qwenvl"

INVALID_CALLS_KEY = "invalid_tool_calls"
"""Key in `additional_kwargs` of a stream's last chunk, and so of merged chunks: the calls that must not be executed.

LangChain parses the arguments in merged chunks leniently, so that a truncated call appears complete.
"""

_CALL_TYPES = ("tool_call", "tool_call_chunk", "invalid_tool_call")


def register_translators() -> None:
    """Register the translators for messages with `PROVIDER` as their `model_provider`."""
    register_translator(PROVIDER, translate_content, translate_content_chunk)


def build_call_block_index(index: int) -> str:
    """Build the block index of the tool call with the number `index`."""
    return f"lc_tool_{index}"


def translate_content(message: AIMessage) -> list[types.ContentBlock]:
    """Translate a whole message to blocks: reasoning, text, tool calls.

    Raises:
        NotImplementedError: The content is a list already; LangChain then uses its own translation.
    """
    blocks = _translate_text(message)
    valid, invalid = split_tool_calls(message)
    blocks += [{**call, "type": "tool_call"} for call in valid]
    blocks += [{**call, "type": "invalid_tool_call"} for call in invalid]
    return cast("list[types.ContentBlock]", blocks)


def translate_content_chunk(chunk: AIMessageChunk) -> list[types.ContentBlock]:
    """Translate a chunk, or merged chunks, to blocks with indices to merge by.

    Raises:
        NotImplementedError: The content is a list already; LangChain then uses its own translation.
    """
    if chunk.chunk_position == "last":
        has_whole_calls = any(call["id"] for call in chunk.tool_call_chunks)  # only merged chunks have them
        return translate_content(chunk) if has_whole_calls else _translate_last_chunk(chunk)
    blocks = _translate_text(chunk)
    for block in blocks:
        block["index"] = f"lc_{block['type'][:3]}_0"
    return cast("list[types.ContentBlock]", blocks + _translate_call_chunks(chunk))


def _translate_last_chunk(chunk: AIMessageChunk) -> list[types.ContentBlock]:
    """Translate a single last chunk, or merged chunks without tool calls.

    Invalid calls have an index only for v3 events, where they replace the blocks of the same index.
    """
    replacements = [call for call in chunk.additional_kwargs.get(INVALID_CALLS_KEY, ()) if "index" in call]
    return cast("list[types.ContentBlock]", [*_translate_text(chunk), *_translate_call_chunks(chunk), *replacements])


def _translate_call_chunks(chunk: AIMessageChunk) -> list[dict[str, Any]]:
    """Translate the fragments of tool calls in a chunk."""
    blocks: list[dict[str, Any]] = []
    for call in chunk.tool_call_chunks:
        index = {} if call["index"] is None else {"index": build_call_block_index(call["index"])}
        blocks.append({**call, "type": "tool_call_chunk", **index})
    return blocks


def split_tool_calls(message: AIMessage) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Return the tool calls of a message or merged chunks that may be executed, and those that must not."""
    invalid_calls = message.additional_kwargs.get(INVALID_CALLS_KEY)
    if not invalid_calls:
        return message.tool_calls, message.invalid_tool_calls
    invalid_ids = {call["id"] for call in invalid_calls}
    valid = [call for call in message.tool_calls if call["id"] not in invalid_ids]
    return valid, [
        invalid_tool_call(name=call["name"], args=call["args"], id=call["id"], error=call["error"])
        for call in invalid_calls
    ]


def finalize_tool_calls(message: AIMessage) -> AIMessage:
    """Move the invalid calls of a message that LangChain merged from chunks to `invalid_tool_calls`."""
    if INVALID_CALLS_KEY not in message.additional_kwargs:
        return message
    valid, invalid = split_tool_calls(message)
    other_kwargs = {name: value for name, value in message.additional_kwargs.items() if name != INVALID_CALLS_KEY}
    content = message.content
    if isinstance(content, list):
        by_id = {call["id"]: cast("dict[str, Any]", call) for call in invalid}
        content = [
            by_id[block["id"]] if isinstance(block, dict) and block.get("type") in _CALL_TYPES and block["id"] in by_id
            else block
            for block in content
        ]  # fmt: skip
    return message.model_copy(
        update={
            "content": content,
            "tool_calls": valid,
            "invalid_tool_calls": invalid,
            "additional_kwargs": other_kwargs,
        }
    )


def _translate_text(message: AIMessage) -> list[dict[str, Any]]:
    """Translate the reasoning and the text of a message."""
    if not isinstance(message.content, str):
        raise NotImplementedError
    reasoning = message.additional_kwargs.get("reasoning_content")
    blocks: list[dict[str, Any]] = [{"type": "reasoning", "reasoning": reasoning}] if reasoning else []
    if message.content:
        blocks.append({"type": "text", "text": message.content})
    return blocks

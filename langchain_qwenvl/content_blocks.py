"""Standard content blocks from our messages: LangChain's `content_blocks`, v1 content and v3 events.

Without a translator of our own, LangChain numbers blocks itself, and reasoning block 0 merges with tool call 0.
Indices here are strings that LangChain merges by (`lc_…`) and that can't be taken for a tool call's number.
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
"""In `additional_kwargs` of a stream's last chunk, and so of the sum: the calls that must not be executed.

LangChain parses the arguments in a sum of chunks leniently: a call that was cut off looks whole there.
"""


def register() -> None:
    """Let LangChain find these translators by the `model_provider` of our messages."""
    register_translator(PROVIDER, translate_content, translate_content_chunk)


def call_index(index: int) -> str:
    """The index of the block of the call in `index`."""
    return f"lc_tool_{index}"


def translate_content(message: AIMessage) -> list[types.ContentBlock]:
    """The blocks of a whole message: reasoning, text, tool calls.

    Raises:
        NotImplementedError: The content is a list already; LangChain reads that itself.
    """
    blocks = _said(message)
    valid, invalid = split_tool_calls(message)
    blocks += [{**call, "type": "tool_call"} for call in valid]
    blocks += [{**call, "type": "invalid_tool_call"} for call in invalid]
    return cast("list[types.ContentBlock]", blocks)


def translate_content_chunk(chunk: AIMessageChunk) -> list[types.ContentBlock]:
    """The blocks of a chunk, or of a sum of chunks, with indices to merge by.

    Raises:
        NotImplementedError: As `of_message`.
    """
    if chunk.chunk_position == "last":
        return translate_content(chunk) if chunk.tool_call_chunks else _end(chunk)
    blocks = _said(chunk)
    for block in blocks:
        block["index"] = f"lc_{block['type'][:3]}_0"
    for call in chunk.tool_call_chunks:
        index = {} if call["index"] is None else {"index": call_index(call["index"])}
        blocks.append({**call, "type": "tool_call_chunk", **index})
    return cast("list[types.ContentBlock]", blocks)


def _end(chunk: AIMessageChunk) -> list[types.ContentBlock]:
    """The blocks of a last chunk by itself, or of a sum without calls.

    Where it is to become v3 events, it replaces the blocks of calls that must not be executed: these have an index.
    """
    replaced = [call for call in chunk.additional_kwargs.get(INVALID_CALLS_KEY, ()) if "index" in call]
    return cast("list[types.ContentBlock]", [*_said(chunk), *replaced])


def split_tool_calls(message: AIMessage) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """The calls of a message or sum of chunks that may be executed, and those that must not."""
    told = message.additional_kwargs.get(INVALID_CALLS_KEY)
    if not told:
        return message.tool_calls, message.invalid_tool_calls
    ids = {call["id"] for call in told}
    broken = [
        invalid_tool_call(name=call["name"], args=call["args"], id=call["id"], error=call["error"]) for call in told
    ]
    return [call for call in message.tool_calls if call["id"] not in ids], broken


def finalize_tool_calls(message: AIMessage) -> AIMessage:
    """A message that LangChain added up from chunks, with the calls that must not be executed as invalid ones."""
    if INVALID_CALLS_KEY not in message.additional_kwargs:
        return message
    valid, invalid = split_tool_calls(message)
    others = {name: value for name, value in message.additional_kwargs.items() if name != INVALID_CALLS_KEY}
    content = message.content
    if isinstance(content, list):
        by_id = {call["id"]: cast("dict[str, Any]", call) for call in invalid}
        content = [
            by_id[block["id"]] if isinstance(block, dict) and block.get("type") in _CALLS and block["id"] in by_id
            else block
            for block in content
        ]  # fmt: skip
    return message.model_copy(
        update={
            "content": content,
            "tool_calls": valid,
            "invalid_tool_calls": invalid,
            "additional_kwargs": others,
        }
    )


_CALLS = ("tool_call", "tool_call_chunk", "invalid_tool_call")


def _said(message: AIMessage) -> list[dict[str, Any]]:
    if not isinstance(message.content, str):
        raise NotImplementedError
    reasoning = message.additional_kwargs.get("reasoning_content")
    blocks: list[dict[str, Any]] = [{"type": "reasoning", "reasoning": reasoning}] if reasoning else []
    if message.content:
        blocks.append({"type": "text", "text": message.content})
    return blocks

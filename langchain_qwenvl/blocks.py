"""Standard content blocks from our messages: LangChain's `content_blocks`, v1 content and v3 events.

Without a translator of our own, LangChain numbers blocks itself, and reasoning block 0 merges with tool call 0.
Indices here are strings that LangChain merges by (`lc_…`) and that can't be taken for a tool call's number.
"""

from __future__ import annotations

from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as types
from langchain_core.messages.block_translators import register_translator

PROVIDER = "qwenvl"


def register() -> None:
    """Let LangChain find these translators by the `model_provider` of our messages."""
    register_translator(PROVIDER, of_message, of_chunk)


def of_message(message: AIMessage) -> list[types.ContentBlock]:
    """The blocks of a whole message: reasoning, text, tool calls.

    Raises:
        NotImplementedError: The content is a list already; LangChain reads that itself.
    """
    blocks = _said(message)
    blocks += [{**call, "type": "tool_call"} for call in message.tool_calls]
    blocks += [{**call, "type": "invalid_tool_call"} for call in message.invalid_tool_calls]
    return cast("list[types.ContentBlock]", blocks)


def of_chunk(chunk: AIMessageChunk) -> list[types.ContentBlock]:
    """The blocks of a chunk, or of a sum of chunks, with indices to merge by.

    Raises:
        NotImplementedError: As `of_message`.
    """
    if chunk.chunk_position == "last":
        return of_message(chunk)
    blocks = _said(chunk)
    for block in blocks:
        block["index"] = f"lc_{block['type'][:3]}_0"
    for call in chunk.tool_call_chunks:
        index = {} if call["index"] is None else {"index": f"lc_tool_{call['index']}"}
        blocks.append({**call, "type": "tool_call_chunk", **index})
    return cast("list[types.ContentBlock]", blocks)


def _said(message: AIMessage) -> list[dict[str, Any]]:
    if not isinstance(message.content, str):
        raise NotImplementedError
    reasoning = message.additional_kwargs.get("reasoning_content")
    blocks: list[dict[str, Any]] = [{"type": "reasoning", "reasoning": reasoning}] if reasoning else []
    if message.content:
        blocks.append({"type": "text", "text": message.content})
    return blocks

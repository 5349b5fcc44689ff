"""Convert response events to LangChain chunks."""

from __future__ import annotations

from typing import Any

from langchain_core.messages.ai import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk, invalid_tool_call, tool_call_chunk
from langchain_core.outputs.chat_generation import ChatGenerationChunk
from langchain_core.utils.json import parse_partial_json

from langchain_qwenvl._fast_copy import copy_with
from langchain_qwenvl.content_blocks import INVALID_CALLS_KEY, PROVIDER, build_call_block_index
from langchain_qwenvl.responses import (
    build_ocr_fields,
    build_response_metadata,
    convert_usage,
    to_invalid_tool_call,
)
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta
from qwenvl_core.types.reply import Reply, ReplyAccumulator
from qwenvl_core.types.tool_arguments import parse_tool_calls

_PROVIDER_METADATA = {"model_provider": PROVIDER}


class ChunkBuilder:
    """Build the chunks of one stream.

    LangChain merges chunks. Fields that must not be merged are only on the last chunk: metadata, usage, the result of
    an OCR task, and the calls that must not be executed.

    Args:
        has_block_indices: Whether LangChain converts the chunks to v3 events. Then the blocks of invalid calls have
            the index of the blocks that they replace.
    """

    def __init__(self, *, has_block_indices: bool = False) -> None:
        self._has_block_indices = has_block_indices
        self._accumulator = ReplyAccumulator()

    def build(self, event: Event) -> ChatGenerationChunk | None:
        """Build the chunk for one event; return `None` for `Usage`, which is on the last chunk."""
        if type(event) is TextDelta:
            return _build_text_chunk(event.text, {})
        if type(event) is ReasoningDelta:
            return _build_text_chunk("", {"reasoning_content": event.text})
        self._accumulator.add(event)
        if type(event) is ToolCallDelta:
            return _build_call_chunk(event)
        return self._build_last_chunk() if type(event) is Finish else None

    def _build_last_chunk(self) -> ChatGenerationChunk:
        reply = self._accumulator.build_reply()
        invalid_calls = _find_invalid_calls(reply, has_block_indices=self._has_block_indices)
        message = AIMessageChunk(
            content="",
            additional_kwargs={
                **({INVALID_CALLS_KEY: invalid_calls} if invalid_calls else {}),
                **build_ocr_fields(reply.finish),
            },
            response_metadata=build_response_metadata(reply.finish, reply.usage),
            usage_metadata=convert_usage(reply.usage),
            # In v3 events the blocks of invalid calls are replaced instead.
            tool_call_chunks=[] if self._has_block_indices else _break_invalid_calls(reply),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)


# Validation is most of the cost of a chunk, and thousands of chunks differ only in their text. So they are copies of
# validated templates; each copy gets its own containers.
_MESSAGE = AIMessageChunk(content="", additional_kwargs={}, response_metadata=_PROVIDER_METADATA)
_CHUNK = ChatGenerationChunk(text="", message=_MESSAGE)
_CALL_MESSAGE = AIMessageChunk(
    content="", tool_call_chunks=[tool_call_chunk(args="…")], response_metadata=_PROVIDER_METADATA
)
_STARTS_OF_OBJECT = ("{", "")
"""First characters of arguments that LangChain may parse as a whole call."""


def _build_text_chunk(text: str, additional_kwargs: dict[str, Any]) -> ChatGenerationChunk:
    message = copy_with(
        _MESSAGE,
        {
            "content": text,
            "additional_kwargs": additional_kwargs,
            "response_metadata": _PROVIDER_METADATA.copy(),
            "tool_calls": [],
            "invalid_tool_calls": [],
            "tool_call_chunks": [],
        },
    )
    return copy_with(_CHUNK, {"text": text, "message": message})


def _build_call_chunk(event: ToolCallDelta) -> ChatGenerationChunk:
    call_chunk = tool_call_chunk(name=event.name, args=event.arguments, id=event.id, index=event.call_index)
    if event.arguments.lstrip()[:1] in _STARTS_OF_OBJECT:
        message = AIMessageChunk(content="", tool_call_chunks=[call_chunk], response_metadata=_PROVIDER_METADATA)
        return ChatGenerationChunk(message=message)
    # A fragment from the middle of the arguments is never a call by itself. Validation would try
    # to parse every prefix of the fragment to detect that.
    message = copy_with(
        _CALL_MESSAGE,
        {
            "additional_kwargs": {},
            "response_metadata": _PROVIDER_METADATA.copy(),
            "tool_calls": [],
            "invalid_tool_calls": [invalid_tool_call(name=event.name, args=event.arguments, id=event.id)],
            "tool_call_chunks": [call_chunk],
        },
    )
    return copy_with(_CHUNK, {"message": message})


def _break_invalid_calls(reply: Reply) -> list[ToolCallChunk]:
    """Return fragments that make the arguments of invalid calls unparsable in the sum of raw chunks.

    LangChain's parser completes truncated JSON, and code that adds raw chunks up (`AgentExecutor`) would execute the
    result. A closing bracket without an opening one is the only thing that this parser does not repair.
    """
    fragments = []
    for index, (call, args) in enumerate(parse_tool_calls(reply)):
        suffix = _find_breaking_suffix(call.arguments) if args is None else ""
        if suffix:
            fragments.append(tool_call_chunk(args=suffix, index=index))
    return fragments


def _find_breaking_suffix(arguments: str) -> str:
    """Return a text after which LangChain does not parse the arguments as an object; empty if it does not anyway."""
    closing = "}]" * (1 + arguments.count("{") + arguments.count("["))
    # The arguments may end within a string, and there behind a backslash.
    suffixes = (closing, f'"{closing}', f'""{closing}')
    for suffix in ("", *suffixes) if arguments.strip() else suffixes:  # blank arguments are an empty object
        try:
            if not isinstance(parse_partial_json(arguments + suffix), dict):
                return suffix
        except (ValueError, RecursionError):
            return suffix
    return closing


def _find_invalid_calls(reply: Reply, *, has_block_indices: bool) -> list[dict[str, Any]]:
    """Return the calls of a reply that must not be executed, for the last chunk of its stream."""
    return [
        {**to_invalid_tool_call(call), **({"index": build_call_block_index(index)} if has_block_indices else {})}
        for index, (call, args) in enumerate(parse_tool_calls(reply))
        if args is None
    ]

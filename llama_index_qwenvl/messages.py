"""Convert LlamaIndex messages to core messages.

Nothing is dropped silently: what the user wrote and cannot be sent raises; what tools and other models wrote is
converted as far as possible, and the rest is reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llama_index.core.base.llms.types import (
    CachePoint,
    ChatMessage,
    CitationBlock,
    ImageBlock,
    MessageRole,
    ThinkingBlock,
    ToolCallBlock,
)

from llama_index_qwenvl.answer_blocks import convert_answer_block
from llama_index_qwenvl.foreign_blocks import find_omission
from llama_index_qwenvl.input_blocks import BlockContext, convert_block
from llama_index_qwenvl.result_blocks import convert_result_block
from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import HINTS
from qwenvl_core.types.location import Location
from qwenvl_core.types.messages import Message, Omission, Part, Role, TextPart, ToolCall, create_message
from qwenvl_core.types.omissions import RECORDS_LEFT_OUT
from qwenvl_core.wire.foreign_reasoning import read_message_reasoning

_ROLES: dict[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def convert_messages(messages: Iterable[ChatMessage], facts: ModelFacts) -> tuple[Message, ...]:
    """Convert LlamaIndex messages to core messages; the messages are not changed.

    Args:
        messages: The conversation.
        facts: Facts of the requested model; the pixels of `detail="high"` depend on them.

    Raises:
        QwenVLInputError: A message or block is not supported; the error names its index and type.
    """
    return tuple(_convert_message(index, message, facts) for index, message in enumerate(messages))


def _convert_message(index: int, message: ChatMessage, facts: ModelFacts) -> Message:
    role, extra_fields = _ROLES[message.role], message.additional_kwargs
    hints = _check_hints(index, extra_fields.get("qwen_vl") or {})
    items: list[Part | Omission] = []
    reasoning: list[str] = []
    tool_calls: list[ToolCall] = []
    for block_index, block in enumerate(_unique_blocks(message)):
        location = Location(index, block_index, role, block.block_type, attribute="blocks")
        match block:
            case ThinkingBlock() if role == "assistant":
                reasoning.append(block.content or "")
            case ToolCallBlock() if role == "assistant":
                tool_calls.append(
                    ToolCall(block.tool_call_id or "", block.tool_name, _dump_arguments(block.tool_kwargs))
                )
            case CachePoint():
                _mark_last_part(items)
            case CitationBlock() if role == "assistant" and message.content:  # the text is sent already
                items.append(Omission(RECORDS_LEFT_OUT, str(location)))
            case _:
                items += _convert_block(block, BlockContext(location, facts, hints))
    if role != "assistant":
        name = extra_fields.get("name")
        # Results of OpenAI's former functions have a name only.
        call_id = extra_fields.get("tool_call_id") or name or ""
        return create_message(
            role,
            items,
            tool_call_id=str(call_id) if role == "tool" else None,
            name=name if role == "user" else None,
            partial=bool(extra_fields.get("partial")),
        )
    return create_message(
        role,
        [*items, *_read_extra_text(message)],
        tool_calls=(*(tool_calls or _read_calls(extra_fields)), *_read_invalid_calls(extra_fields)),
        reasoning="\n".join(reasoning) or read_message_reasoning(extra_fields),
        partial=bool(extra_fields.get("partial")),
    )


def _convert_block(block: Any, context: BlockContext) -> Iterator[Part | Omission]:
    match context.location.role:
        case "assistant":
            return convert_answer_block(block, context)
        case "tool":
            return convert_result_block(block, context)
        case _:
            omission = find_omission(block, context.location)
            return iter([omission]) if omission else convert_block(block, context)


def _mark_last_part(items: list[Part | Omission]) -> None:
    """Mark the last part for the vendor's cache; without a part there is nothing to mark."""
    for index in reversed(range(len(items))):
        item = items[index]
        if not isinstance(item, Omission):
            items[index] = replace(item, cache=True)
            return


def _read_extra_text(message: ChatMessage) -> list[TextPart]:
    """Return a refusal of OpenAI's models, which is outside the blocks."""
    refusal = message.additional_kwargs.get("refusal")
    return [TextPart(refusal)] if isinstance(refusal, str) and refusal else []


def _read_calls(extra_fields: Mapping[str, Any]) -> list[ToolCall]:
    """Return the calls in `additional_kwargs`; the one in OpenAI's former form has no id."""
    calls = extra_fields.get("tool_calls") or [call for call in [extra_fields.get("function_call")] if call]
    return [_convert_tool_call(call) for call in calls]


def _read_invalid_calls(extra_fields: Mapping[str, Any]) -> list[ToolCall]:
    """Return the invalid calls. Agents do not answer them; the policy adds a result that tells the model so."""
    return [_convert_tool_call(call) for call in extra_fields.get("invalid_tool_calls") or ()]


def _check_hints(index: int, hints: Any) -> Mapping[str, Any]:
    """Check the hints for all images and videos of a message, in `additional_kwargs["qwen_vl"]`."""
    names = dict.fromkeys((*HINTS["video"], *HINTS["image"]))
    allowed = ", ".join(names)
    if not isinstance(hints, Mapping):
        raise QwenVLInputError(
            f'Invalid additional_kwargs["qwen_vl"] in messages[{index}]: {hints!r}. Use a dict of {allowed}.'
        )
    if unknown := sorted(hints.keys() - names.keys()):
        raise QwenVLInputError(
            f'Unknown keys in additional_kwargs["qwen_vl"] of messages[{index}]: {unknown}. Allowed: {allowed}.'
        )
    return hints


def _unique_blocks(message: ChatMessage) -> Sequence[Any]:
    """Return a message's blocks, with each image of the legacy `additional_kwargs["images"]` once.

    LlamaIndex appends those images as blocks each time it validates the message, also when it creates events.
    """
    blocks, count = message.blocks, len(message.additional_kwargs.get("images") or ())
    end = len(blocks)
    while (
        0 < count <= end - count
        and all(isinstance(block, ImageBlock) for block in blocks[end - 2 * count : end])
        and blocks[end - 2 * count : end - count] == blocks[end - count : end]
    ):
        end -= count
    return blocks[:end]


def _dump_arguments(kwargs: Any) -> str:
    return kwargs if isinstance(kwargs, str) else json.dumps(kwargs, ensure_ascii=False, default=str)


def _convert_tool_call(call: Any) -> ToolCall:
    """Convert a call in `additional_kwargs`: of this adapter, an older history, or an object of another SDK."""
    function = _get_field(call, "function") or call
    arguments = _get_field(function, "arguments")
    arguments = _get_field(function, "args") if arguments is None else arguments
    return ToolCall(_get_field(call, "id") or "", _get_field(function, "name") or "", _dump_arguments(arguments or ""))


def _get_field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)

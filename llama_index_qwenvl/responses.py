"""Convert replies to LlamaIndex responses."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ContentBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from qwenvl_core.types.events import Usage
from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.tool_arguments import INVALID_ARGUMENTS, parse_tool_calls


def to_chat_response(reply: Reply) -> ChatResponse:
    """Convert a whole reply; calls that must not be executed become `invalid_tool_calls`, without a block."""
    blocks, extra_fields = _convert_text(reply)
    parsed_calls = parse_tool_calls(reply)
    blocks += [_to_block(call, kwargs) for call, kwargs in parsed_calls if kwargs is not None]
    # LlamaIndex's programs read calls from `additional_kwargs` as well.
    valid_calls = [_to_openai_call(call) for call, kwargs in parsed_calls if kwargs is not None]
    invalid_calls = [_to_invalid_tool_call(call) for call, kwargs in parsed_calls if kwargs is None]
    if valid_calls:
        extra_fields["tool_calls"] = valid_calls
    if invalid_calls:
        extra_fields["invalid_tool_calls"] = invalid_calls
    if reply.finish.ocr_result is not None:
        extra_fields["ocr_result"] = reply.finish.ocr_result
    return ChatResponse(
        message=build_message(blocks, extra_fields),
        raw=_build_raw(reply),
        logprobs=_convert_logprobs(reply),
        additional_kwargs=_build_metadata(reply),
    )


def build_partial_message(reply: Reply) -> ChatMessage:
    """Build the message of an unfinished stream; the arguments of its tool calls are strings until the stream ends."""
    blocks, extra_fields = _convert_text(reply)
    if reply.tool_calls:
        blocks += [_to_block(call, call.arguments) for call in reply.tool_calls]
        extra_fields["tool_calls"] = [_to_openai_call(call) for call in reply.tool_calls]
    return build_message(blocks, extra_fields)


class MessageFields(dict[str, Any]):
    """The `additional_kwargs` of a message, printed without the reasoning.

    LlamaIndex's condense engines print them into the prompt that rewrites a question, where reasoning must not be.
    """

    def __str__(self) -> str:
        return str({name: value for name, value in self.items() if name != "reasoning_content"} or "")


def build_message(blocks: list[ContentBlock], extra_fields: dict[str, Any]) -> ChatMessage:
    """Build an assistant message with fields that are printed without the reasoning."""
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=extra_fields)
    message.additional_kwargs = MessageFields(message.additional_kwargs)  # validation copies a dict into a plain one
    return message


def to_completion_response(response: ChatResponse) -> CompletionResponse:
    """Convert a chat response to a completion response."""
    return CompletionResponse(
        text=response.message.content or "",
        additional_kwargs={**response.message.additional_kwargs, **response.additional_kwargs},
        raw=response.raw,
        logprobs=response.logprobs,
        delta=response.delta,
    )


def _convert_text(reply: Reply) -> tuple[list[ContentBlock], dict[str, Any]]:
    """Convert reasoning and text to blocks and to the message's `additional_kwargs`."""
    blocks: list[ContentBlock] = []
    extra_fields: dict[str, Any] = {}
    if reply.reasoning:
        blocks.append(ThinkingBlock(content=reply.reasoning, num_tokens=reply.usage and reply.usage.reasoning))
        extra_fields["reasoning_content"] = reply.reasoning
    if reply.text:
        blocks.append(TextBlock(text=reply.text))
    return blocks, extra_fields


def _to_block(call: ToolCall, kwargs: dict[str, Any] | str) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=kwargs)


def _to_openai_call(call: ToolCall) -> dict[str, Any]:
    """Convert a call to OpenAI's form, as plain JSON."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _to_invalid_tool_call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "name": call.name,
        "args": call.arguments,
        "error": INVALID_ARGUMENTS,
    }


def _build_metadata(reply: Reply) -> dict[str, Any]:
    """Build a response's `additional_kwargs`: token counts, finish reason, provider and adjustments."""
    usage, finish = reply.usage, reply.finish
    metadata: dict[str, Any] = {**_count_tokens(usage), **_count_token_details(usage)} if usage else {}
    metadata["finish_reason"] = finish.finish_reason
    metadata["provider"] = finish.provider
    if finish.adjustments:
        metadata["adjustments"] = list(finish.adjustments)
    return metadata


def _count_tokens(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.total}


def _count_token_details(usage: Usage) -> dict[str, int]:
    details = {f"{name}_tokens": getattr(usage, name) for name in ("reasoning", "cached", "image", "video")}
    created = {"cache_creation_tokens": usage.cache_creation} if usage.cache_creation else {}
    return {name: count for name, count in details.items() if count is not None} | created


def _build_raw(reply: Reply) -> dict[str, Any]:
    """Build a response's `raw` as plain JSON; token counters and tracers read `usage` from it."""
    finish, usage = reply.finish, reply.usage
    return {
        **finish.server_fields,  # first, so that a server's field cannot replace one below
        "id": finish.reply_id,
        "model": finish.model,
        "usage": {**_count_tokens(usage), **usage.raw} if usage else None,
        "finish_reason": finish.finish_reason,
        "request_id": finish.request_id,
    }


def _convert_logprobs(reply: Reply) -> list[list[LogProb]] | None:
    """Convert log probabilities: the alternatives of each token, or the token alone without `top_logprobs`."""
    logprobs = reply.finish.extras.get("logprobs")
    if not logprobs:
        return None
    return [
        [
            LogProb(token=entry["token"], logprob=entry["logprob"], bytes=entry.get("bytes") or [])
            for entry in token.get("top_logprobs") or [token]
        ]
        for token in logprobs["content"]
    ]

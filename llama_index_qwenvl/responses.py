"""Whole replies as LlamaIndex responses."""

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

from qwenvl_core.errors import QwenVLAPIError, QwenVLContentFilterError, QwenVLError
from qwenvl_core.types.events import Usage
from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.tool_arguments import parse_tool_calls

_FAILED: dict[str, type[QwenVLError]] = {"content_filter": QwenVLContentFilterError, "error": QwenVLAPIError}
"""Reasons to end an answer that is not to be used. LlamaIndex's agents and engines look at no such reason."""


def to_chat_response(reply: Reply) -> ChatResponse:
    """The response that shows a whole reply; a call that must not be executed is no block.

    Raises:
        QwenVLError: The server ended the reply since it failed, or had to hold the rest back.
    """
    finish = reply.finish
    if finish.finish_reason in _FAILED:
        why = f"The answer ended with finish_reason {finish.finish_reason!r}; what had come is in .partial."
        raise _FAILED[finish.finish_reason](why, request_id=finish.request_id or None, partial=reply.text)
    blocks, beside = _words(reply)
    judged = parse_tool_calls(reply)
    blocks += [_call(call, kwargs) for call, kwargs in judged if kwargs is not None]
    # LlamaIndex's own programs look for calls here, too.
    calls = [_plain_call(call) for call, kwargs in judged if kwargs is not None]
    invalid = [_invalid_call(call) for call, kwargs in judged if kwargs is None]
    for name, told in (("tool_calls", calls), ("invalid_tool_calls", invalid)):
        if told:
            beside[name] = told
    return ChatResponse(
        message=ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=beside),
        raw=_raw(reply),
        logprobs=_logprobs(reply),
        additional_kwargs=_told_of(reply),
    )


def partial_message(reply: Reply) -> ChatMessage:
    """The message of a stream that goes on; the arguments of its tool calls are text until it ends."""
    blocks, beside = _words(reply)
    if reply.tool_calls:
        blocks += [_call(call, call.arguments) for call in reply.tool_calls]
        beside["tool_calls"] = [_plain_call(call) for call in reply.tool_calls]
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=beside)


def to_completion_response(response: ChatResponse) -> CompletionResponse:
    """A chat's response as that of a completion."""
    return CompletionResponse(
        text=response.message.content or "",
        additional_kwargs={**response.message.additional_kwargs, **response.additional_kwargs},
        raw=response.raw,
        logprobs=response.logprobs,
        delta=response.delta,
    )


def _words(reply: Reply) -> tuple[list[ContentBlock], dict[str, Any]]:
    """What is thought and said, as blocks and beside them."""
    blocks: list[ContentBlock] = []
    beside: dict[str, Any] = {}
    if reply.reasoning:
        blocks.append(ThinkingBlock(content=reply.reasoning, num_tokens=reply.usage and reply.usage.reasoning))
        beside["reasoning_content"] = reply.reasoning
    if reply.text:
        blocks.append(TextBlock(text=reply.text))
    return blocks, beside


def _call(call: ToolCall, kwargs: dict[str, Any] | str) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=kwargs)


def _plain_call(call: ToolCall) -> dict[str, Any]:
    """A call in OpenAI's form, as plain JSON."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _invalid_call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "name": call.name,
        "args": call.arguments,
        "error": "The arguments are no whole JSON object.",
    }


def _told_of(reply: Reply) -> dict[str, Any]:
    """What a response tells of itself: tokens, why it ended, and what was changed in the request."""
    usage, finish = reply.usage, reply.finish
    told: dict[str, Any] = {**_token_counts(usage), **_token_details(usage)} if usage else {}
    told["finish_reason"] = finish.finish_reason
    if finish.adjustments:
        told["adjustments"] = list(finish.adjustments)
    return told


def _token_counts(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.total}


def _token_details(usage: Usage) -> dict[str, int]:
    details = {f"{name}_tokens": getattr(usage, name) for name in ("reasoning", "cached", "image", "video")}
    return {name: count for name, count in details.items() if count is not None}


def _raw(reply: Reply) -> dict[str, Any]:
    """What the server said beside the answer, as plain JSON; token counters and tracers look for `usage` in it."""
    finish, usage = reply.finish, reply.usage
    return {
        **finish.extras,  # first: under whatever names the server gave, they take no place of ours
        "id": finish.reply_id,
        "model": finish.model,
        "usage": {**_token_counts(usage), **usage.raw} if usage else None,
        "finish_reason": finish.finish_reason,
        "request_id": finish.request_id,
    }


def _logprobs(reply: Reply) -> list[list[LogProb]] | None:
    """The alternatives for each token; the token alone where none were asked for."""
    told = reply.finish.extras.get("logprobs")
    if not told:
        return None
    return [
        [
            LogProb(token=one["token"], logprob=one["logprob"], bytes=one.get("bytes") or [])
            for one in token.get("top_logprobs") or [token]
        ]
        for token in told["content"]
    ]

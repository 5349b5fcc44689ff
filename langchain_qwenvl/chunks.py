"""Events as LangChain messages: one chunk an event, or one message for a whole reply."""

from __future__ import annotations

from copy import copy
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_qwenvl.blocks import PROVIDER
from qwenvl_core.events import Event, Finish, ReasoningDelta, Reply, TextDelta, ToolCallDelta, Usage, judged_calls

_PROVIDER = {"model_provider": PROVIDER}


def chunk_of(event: Event, usage: Usage | None = None) -> ChatGenerationChunk:
    """The chunk that shows one event.

    Args:
        event: Any event but `Usage`, which goes with the last chunk.
        usage: The reply's usage, with `Finish`.
    """
    match event:
        case TextDelta(text):
            return _text_chunk(text, {})
        case ReasoningDelta(text):
            return _text_chunk("", {"reasoning_content": text})
        case ToolCallDelta(slot, call_id, name, arguments):
            piece = tool_call_chunk(name=name, args=arguments, id=call_id, index=slot)
            return ChatGenerationChunk(
                message=AIMessageChunk(content="", tool_call_chunks=[piece], response_metadata=_PROVIDER)
            )
        case Finish():
            # What must not be added up comes once, on the last chunk.
            message = AIMessageChunk(
                content="",
                response_metadata=_response_metadata(event, usage),
                usage_metadata=_usage_metadata(usage),
                chunk_position="last",
            )
            return ChatGenerationChunk(message=message)
        case Usage():
            raise TypeError("usage has no chunk of its own")


# Validating is most of what a chunk costs. Thousands of them differ in their words alone: they are copies of one that
# was validated, each with containers of its own.
_MESSAGE = AIMessageChunk(content="", additional_kwargs={}, response_metadata=_PROVIDER)
_CHUNK = ChatGenerationChunk(text="", message=_MESSAGE)


def _text_chunk(text: str, additional_kwargs: dict[str, Any]) -> ChatGenerationChunk:
    message, chunk = copy(_MESSAGE), copy(_CHUNK)
    vars(message).update(
        content=text,
        additional_kwargs=additional_kwargs,
        response_metadata=_PROVIDER.copy(),
        tool_calls=[],
        invalid_tool_calls=[],
        tool_call_chunks=[],
    )
    vars(chunk).update(text=text, message=message)
    return chunk


def message_of(reply: Reply) -> AIMessage:
    """The message that shows a whole reply; a call that must not be executed is an invalid one."""
    calls = judged_calls(reply)
    return AIMessage(
        content=reply.text,
        additional_kwargs={"reasoning_content": reply.reasoning} if reply.reasoning else {},
        tool_calls=[tool_call(name=call.name, args=args, id=call.id) for call, args in calls if args is not None],
        invalid_tool_calls=[
            invalid_tool_call(
                name=call.name, args=call.arguments, id=call.id, error="The arguments are no whole JSON object."
            )
            for call, args in calls
            if args is None
        ],
        response_metadata=_response_metadata(reply.finish, reply.usage),
        usage_metadata=_usage_metadata(reply.usage),
    )


def _response_metadata(finish: Finish, usage: Usage | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        **_PROVIDER,
        "model_name": finish.model,
        "finish_reason": finish.reason,
        "request_id": finish.request_id,
        "id": finish.reply_id,
        **finish.extras,
    }
    if finish.adjustments:
        metadata["adjustments"] = list(finish.adjustments)
    if usage:
        metadata["token_usage"] = dict(usage.raw)
    return metadata


def _usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    if usage is None:
        return None
    # LangChain knows `cache_read` and `reasoning`, and keeps further details as they are.
    of_input = {"cache_read": usage.cached, "image": usage.image, "video": usage.video}
    of_output = {"reasoning": usage.reasoning}
    metadata: dict[str, Any] = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "total_tokens": usage.total,
        "input_token_details": {name: count for name, count in of_input.items() if count is not None},
        "output_token_details": {name: count for name, count in of_output.items() if count is not None},
    }
    return cast("UsageMetadata", metadata)

"""Convert whole replies to LangChain messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from langchain_core.messages.ai import AIMessage, UsageMetadata
from langchain_core.messages.content import InvalidToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_qwenvl.content_blocks import PROVIDER
from qwenvl_core.types.events import Finish, Usage
from qwenvl_core.types.messages import ToolCall
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.tool_arguments import INVALID_ARGUMENTS, parse_tool_calls


def to_ai_message(reply: Reply) -> AIMessage:
    """Convert a whole reply; calls that must not be executed become `invalid_tool_calls`."""
    calls = parse_tool_calls(reply)
    return AIMessage(
        content=reply.text,
        additional_kwargs={
            **({"reasoning_content": reply.reasoning} if reply.reasoning else {}),
            **build_ocr_fields(reply.finish),
        },
        tool_calls=[tool_call(name=call.name, args=args, id=call.id) for call, args in calls if args is not None],
        invalid_tool_calls=[to_invalid_tool_call(call) for call, args in calls if args is None],
        response_metadata=build_response_metadata(reply.finish, reply.usage),
        usage_metadata=convert_usage(reply.usage),
    )


def build_ocr_fields(finish: Finish) -> dict[str, Any]:
    """Build the message's `additional_kwargs` with the result of an OCR task, where there is one."""
    return {} if finish.ocr_result is None else {"ocr_result": finish.ocr_result}


def to_invalid_tool_call(call: ToolCall) -> InvalidToolCall:
    """Convert a call whose arguments are not one complete JSON object, so that no agent executes it."""
    return invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=INVALID_ARGUMENTS)


def build_response_metadata(finish: Finish, usage: Usage | None) -> dict[str, Any]:
    """Build the metadata of a reply: provider, model, finish reason, request id, adjustments and raw usage."""
    metadata: dict[str, Any] = {
        **finish.server_fields,  # first, so that a server's field cannot replace one below
        "model_provider": PROVIDER,
        "provider": finish.provider,
        "model_name": finish.model,
        "finish_reason": finish.finish_reason,
        "request_id": finish.request_id,
        "id": finish.reply_id,
    }
    if finish.adjustments:
        metadata["adjustments"] = list(finish.adjustments)
    if usage:
        metadata["token_usage"] = dict(usage.raw)
    return metadata


def build_llm_output(message: AIMessage) -> dict[str, Any]:
    """Build the `llm_output` of a result: model and token counts under the names of LangChain's integrations."""
    usage, metadata = message.usage_metadata, message.response_metadata
    counts = (
        {
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage["output_tokens"],
            "total_tokens": usage["total_tokens"],
        }
        if usage
        else {}
    )
    return {
        "token_usage": {**counts, **(metadata.get("token_usage") or {})},
        "model_name": metadata.get("model_name") or "",
    }


def combine_llm_outputs(outputs: Iterable[dict[str, Any] | None], model: str) -> dict[str, Any]:
    """Combine the `llm_output` of several results: token counts are summed.

    Args:
        outputs: The outputs; `None` for an answer from the cache, which cost nothing.
        model: Name of the model where no output has one.
    """
    total: dict[str, Any] = {}
    for output in outputs:
        total = _add_counts(total, (output or {}).get("token_usage") or {})
        model = (output or {}).get("model_name") or model
    return {"token_usage": total, "model_name": model}


def _add_counts(total: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """Add token counts, also nested ones; of other values the last one counts."""
    result = dict(total)
    for name, value in counts.items():
        if isinstance(value, Mapping):
            result[name] = _add_counts(result.get(name) or {}, value)
        elif isinstance(value, int) and not isinstance(value, bool):
            result[name] = (result.get(name) or 0) + value
        elif value is not None:
            result[name] = value
    return result


def convert_usage(usage: Usage | None) -> UsageMetadata | None:
    """Convert token counts to LangChain's `UsageMetadata`; return `None` if the server sent none."""
    if usage is None:
        return None
    metadata: dict[str, Any] = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "total_tokens": usage.total,
        "input_token_details": _split_input(usage),
        "output_token_details": {} if usage.reasoning is None else {"reasoning": usage.reasoning},
    }
    return cast("UsageMetadata", metadata)


def _split_input(usage: Usage) -> dict[str, int]:
    """Split the input tokens into details that do not overlap, so that they never exceed the input.

    Tracers price each detail by itself, and what is left of the input as text. The service counts a cached image both
    as cached and as image. Here it counts as cached only, as far as the numbers show it: images and videos get at most
    the tokens outside the cache, and the images, which the vendor advises to put first, are reduced before the videos.
    `token_usage` in the metadata has the service's own counts.
    """
    details = {
        "cache_read": usage.cached,
        "cache_creation": usage.cache_creation,
        "video": usage.video,
        "image": usage.image,
    }
    left = usage.input
    split: dict[str, int] = {}
    for name, count in details.items():
        if count is not None:
            split[name] = min(count, left)
            left -= split[name]
    return split

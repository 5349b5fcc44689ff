"""Events as LlamaIndex responses: one chunk an event, or one response for a whole reply."""

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
from pydantic import BaseModel, ConfigDict

from qwenvl_core.events import (
    Event,
    Finish,
    Moment,
    ReasoningDelta,
    Reply,
    TextDelta,
    Usage,
    judged_calls,
)
from qwenvl_core.request import ToolCall


def response_of(reply: Reply) -> ChatResponse:
    """The response that shows a whole reply; a call that must not be executed is no block."""
    judged = judged_calls(reply)
    calls = [(call, kwargs) for call, kwargs in judged if kwargs is not None]
    message = ChatMessage(
        role=MessageRole.ASSISTANT,
        blocks=[*_words(reply), *(_call(call, kwargs) for call, kwargs in calls)],
        additional_kwargs=_kept(
            reasoning_content=reply.reasoning,
            tool_calls=[_plain_call(call) for call, _ in calls],
            invalid_tool_calls=[_invalid_call(call) for call, kwargs in judged if kwargs is None],
        ),
    )
    return ChatResponse(
        message=message,
        raw=_raw(reply),
        logprobs=_logprobs(reply),
        additional_kwargs={
            **(_token_counts(reply.usage) | _token_details(reply.usage) if reply.usage else {}),
            "finish_reason": reply.finish.reason,
            **_kept(adjustments=list(reply.finish.adjustments)),
        },
    )


def chunk_of(event: Event, moment: Moment) -> ChatResponse | None:
    """The chunk that shows one event; none for usage, which the last chunk tells.

    Args:
        event: What is new.
        moment: All that has come, the event included.
    """
    if type(event) is Finish:
        last = response_of(moment.reply())
        last.delta = ""
        return last
    if type(event) is Usage:
        return None
    return Chunk(
        event.text if type(event) is TextDelta else "",
        {"thinking_delta": event.text} if type(event) is ReasoningDelta else {},
        moment,
    )


def completion_of(response: ChatResponse) -> CompletionResponse:
    """A chat's response as that of a completion."""
    return CompletionResponse(
        text=response.message.content or "",
        additional_kwargs={**response.message.additional_kwargs, **response.additional_kwargs},
        raw=response.raw,
        logprobs=response.logprobs,
        delta=response.delta,
    )


class Chunk(ChatResponse):
    """A chunk whose message is written when somebody looks at it.

    Most readers of a stream take its deltas. Writing all text so far into every chunk would be a good part of a
    stream's cost, and its chunks, kept, would take memory by the square of its length. So a chunk keeps the moment it
    shows. At the first look, be it at `message`, in a dump, a copy or a comparison, it becomes the plain
    `ChatResponse` that it stands for.
    """

    model_config = ConfigDict(defer_build=True)

    def __init__(self, delta: str, additional_kwargs: dict[str, Any], moment: Moment) -> None:
        # As `model_construct` does it, which takes four times as long.
        _DICT.__set__(
            self,
            {
                "raw": None,
                "delta": delta,
                "logprobs": None,
                "additional_kwargs": additional_kwargs,
                "_moment": moment,
            },
        )
        _set(self, "__pydantic_fields_set__", {"message", "delta", "additional_kwargs"})
        _set(self, "__pydantic_extra__", None)
        _set(self, "__pydantic_private__", None)

    def _written(self) -> ChatResponse:
        moment = _own(self).get("_moment")
        if moment is not None:
            values = {"message": _message_so_far(moment.reply()), **_own(self)}
            del values["_moment"]
            _DICT.__set__(self, values)
        # The two classes differ in nothing but these methods.
        _set(self, "__class__", ChatResponse)
        return self

    def __getattr__(self, name: str) -> Any:
        if name == "message":
            return self._written().message
        return super().__getattr__(name)  # type: ignore[misc]  # pydantic hides it from type checkers

    # Dumps, representations and comparisons read a model's values here.
    @property
    def __dict__(self) -> dict[str, Any]:
        return _own(self._written())

    @__dict__.setter
    def __dict__(self, values: dict[str, Any]) -> None:
        _DICT.__set__(self, values)

    # These look at the class before they look at the values.
    def __repr_name__(self) -> str:
        return ChatResponse.__name__

    def __eq__(self, other: object) -> bool:
        return self._written() == (other._written() if isinstance(other, Chunk) else other)

    __hash__ = None  # type: ignore[assignment]  # as that of every model that can be changed

    def __copy__(self) -> Any:
        return self._written().__copy__()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
        return self._written().__deepcopy__(memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._written().__reduce_ex__(protocol)


_DICT: Any = BaseModel.__dict__["__dict__"]
_set = object.__setattr__


def _own(chunk: ChatResponse) -> dict[str, Any]:
    """A response's values as they are, without a look at them."""
    values: dict[str, Any] = _DICT.__get__(chunk)
    return values


def _message_so_far(reply: Reply) -> ChatMessage:
    """The message of a stream that goes on; the arguments of its tool calls are text until it ends."""
    return ChatMessage(
        role=MessageRole.ASSISTANT,
        blocks=[*_words(reply), *(_call(call, call.arguments) for call in reply.tool_calls)],
        additional_kwargs=_kept(
            reasoning_content=reply.reasoning,
            tool_calls=[_plain_call(call) for call in reply.tool_calls],
        ),
    )


def _words(reply: Reply) -> list[ContentBlock]:
    blocks: list[ContentBlock] = []
    if reply.reasoning:
        blocks.append(ThinkingBlock(content=reply.reasoning, num_tokens=reply.usage and reply.usage.reasoning))
    if reply.text:
        blocks.append(TextBlock(text=reply.text))
    return blocks


def _call(call: ToolCall, kwargs: dict[str, Any] | str) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=kwargs)


def _plain_call(call: ToolCall) -> dict[str, Any]:
    """A call as LlamaIndex's own programs look for it beside the blocks, in JSON's terms."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _invalid_call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "name": call.name,
        "args": call.arguments,
        "error": "The arguments are no whole JSON object.",
    }


def _kept(**values: Any) -> dict[str, Any]:
    """What is there: no empty texts or lists."""
    return {name: value for name, value in values.items() if value}


def _token_counts(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.total}


def _token_details(usage: Usage) -> dict[str, int]:
    details = {f"{name}_tokens": getattr(usage, name) for name in ("reasoning", "cached", "image", "video")}
    return {name: count for name, count in details.items() if count is not None}


def _raw(reply: Reply) -> dict[str, Any]:
    """What the server said beside the answer, as plain JSON; token counters and tracers look for `usage` in it."""
    finish, usage = reply.finish, reply.usage
    return {
        "id": finish.reply_id,
        "model": finish.model,
        "usage": {**_token_counts(usage), **usage.raw} if usage else None,
        "finish_reason": finish.reason,
        "request_id": finish.request_id,
        **finish.extras,
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

"""Events as LangChain messages: one chunk an event, or one message for a whole reply."""

from __future__ import annotations

from typing import Any, TypeVar

from langchain_core.messages.ai import AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call_chunk
from langchain_core.outputs.chat_generation import ChatGenerationChunk
from pydantic import BaseModel

from langchain_qwenvl.content_blocks import INVALID_CALLS_KEY, PROVIDER, call_index
from langchain_qwenvl.responses import invalid_call, response_metadata, usage_metadata
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta
from qwenvl_core.types.reply import Reply, ReplyAccumulator
from qwenvl_core.types.tool_arguments import parse_tool_calls

M = TypeVar("M", bound=BaseModel)

_PROVIDER = {"model_provider": PROVIDER}


class ChunkBuilder:
    """The chunks that show the events of one stream.

    What must not be added up comes once, on the last chunk: metadata, usage, and which calls must not be executed.

    Args:
        indexed: The chunks are to become v3 events; the blocks of such calls then say which they replace.
    """

    def __init__(self, *, indexed: bool = False) -> None:
        self._indexed = indexed
        self._rest = ReplyAccumulator()

    def build(self, event: Event) -> ChatGenerationChunk | None:
        """The chunk that shows one event; nothing for `Usage`, which comes with the last one."""
        if type(event) is TextDelta:
            return _text_chunk(event.text, {})
        if type(event) is ReasoningDelta:
            return _text_chunk("", {"reasoning_content": event.text})
        self._rest.add(event)
        if type(event) is ToolCallDelta:
            return _call_chunk(event)
        return self._last() if type(event) is Finish else None

    def _last(self) -> ChatGenerationChunk:
        reply = self._rest.reply()
        broken = _broken_calls(reply, indexed=self._indexed)
        message = AIMessageChunk(
            content="",
            additional_kwargs={INVALID_CALLS_KEY: broken} if broken else {},
            response_metadata=response_metadata(reply.finish, reply.usage),
            usage_metadata=usage_metadata(reply.usage),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)


# Validating is most of what a chunk costs. Thousands of them differ in their words alone: they are copies of one that
# was validated, each with containers of its own.
_MESSAGE = AIMessageChunk(content="", additional_kwargs={}, response_metadata=_PROVIDER)
_CHUNK = ChatGenerationChunk(text="", message=_MESSAGE)
_CALL = AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(args="…")], response_metadata=_PROVIDER)
_OBJECT = ("{", "")  # how arguments begin that LangChain takes for a whole call's


def _text_chunk(text: str, additional_kwargs: dict[str, Any]) -> ChatGenerationChunk:
    message = _copy(
        _MESSAGE,
        {
            "content": text,
            "additional_kwargs": additional_kwargs,
            "response_metadata": _PROVIDER.copy(),
            "tool_calls": [],
            "invalid_tool_calls": [],
            "tool_call_chunks": [],
        },
    )
    return _copy(_CHUNK, {"text": text, "message": message})


def _copy(model: M, changes: dict[str, Any]) -> M:
    """A copy of a model with other values. It does what the model's own `__copy__` does, in half of its time."""
    twin, extra = object.__new__(type(model)), model.__pydantic_extra__
    _set(twin, "__dict__", vars(model) | changes)
    _set(twin, "__pydantic_fields_set__", model.__pydantic_fields_set__.copy())
    _set(twin, "__pydantic_extra__", None if extra is None else extra.copy())
    _set(twin, "__pydantic_private__", None)
    return twin


_set = object.__setattr__


def _call_chunk(event: ToolCallDelta) -> ChatGenerationChunk:
    piece = tool_call_chunk(name=event.name, args=event.arguments, id=event.id, index=event.call_index)
    if event.arguments.lstrip()[:1] in _OBJECT:
        message = AIMessageChunk(content="", tool_call_chunks=[piece], response_metadata=_PROVIDER)
        return ChatGenerationChunk(message=message)
    # From amid the arguments: no call for itself. Validation finds that out by trying all that the piece begins with.
    message = _copy(
        _CALL,
        {
            "additional_kwargs": {},
            "response_metadata": _PROVIDER.copy(),
            "tool_calls": [],
            "invalid_tool_calls": [invalid_tool_call(name=event.name, args=event.arguments, id=event.id)],
            "tool_call_chunks": [piece],
        },
    )
    return _copy(_CHUNK, {"message": message})


def _broken_calls(reply: Reply, *, indexed: bool) -> list[dict[str, Any]]:
    """The calls that must not be executed, for the last chunk of a stream."""
    return [
        {**invalid_call(call), **({"index": call_index(index)} if indexed else {})}
        for index, (call, args) in enumerate(parse_tool_calls(reply))
        if args is None
    ]

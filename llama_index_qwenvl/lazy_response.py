"""Chunks: one event of a stream each, as LlamaIndex responses."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatResponse
from pydantic import BaseModel

from llama_index_qwenvl.responses import partial_message, to_chat_response
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, Usage
from qwenvl_core.types.reply import Snapshot


def to_chunk(event: Event, moment: Snapshot) -> ChatResponse | None:
    """The chunk that shows one event; none for usage, which the last chunk tells.

    Args:
        event: What is new.
        moment: All that has come, the event included.
    """
    if type(event) is Finish:
        last = to_chat_response(moment.reply())
        last.delta = ""
        return last
    if type(event) is Usage:
        return None
    return LazyChatResponse(
        event.text if type(event) is TextDelta else "",
        {"thinking_delta": event.text} if type(event) is ReasoningDelta else {},
        moment,
    )


class LazyChatResponse(ChatResponse):
    """A chunk whose message is written when somebody looks at it.

    Most readers of a stream take its deltas. Writing all text so far into every chunk would be a good part of a
    stream's cost, and its chunks, kept, would take memory by the square of its length. So a chunk keeps the moment it
    shows. At the first look, be it at `message`, in a dump, a copy or a comparison, it becomes the plain
    `ChatResponse` that it stands for.
    """

    def __init__(self, delta: str, additional_kwargs: dict[str, Any], moment: Snapshot) -> None:
        # All else that a model has, it gets when it is written: `model_construct` takes eight times as long.
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

    def _written(self) -> ChatResponse:
        moment = _own(self).get("_moment")
        if moment is not None:
            values = {"message": partial_message(moment.reply()), **_own(self)}
            del values["_moment"]
            _DICT.__set__(self, values)
            _set(self, "__pydantic_fields_set__", {"message", "delta", "additional_kwargs"})
            _set(self, "__pydantic_extra__", None)
            _set(self, "__pydantic_private__", None)
        # The two classes differ in nothing but these methods.
        _set(self, "__class__", ChatResponse)
        return self

    def __getattr__(self, name: str) -> Any:
        if name in _UNWRITTEN:
            return getattr(self._written(), name)
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
        return self._written() == (other._written() if isinstance(other, LazyChatResponse) else other)

    __hash__ = None  # type: ignore[assignment]  # as that of every model that can be changed

    def __copy__(self) -> Any:
        return self._written().__copy__()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
        return self._written().__deepcopy__(memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._written().__reduce_ex__(protocol)


_UNWRITTEN = ("message", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
_DICT: Any = BaseModel.__dict__["__dict__"]
_set = object.__setattr__


def _own(chunk: ChatResponse) -> dict[str, Any]:
    """A response's values as they are, without a look at them."""
    values: dict[str, Any] = _DICT.__get__(chunk)
    return values

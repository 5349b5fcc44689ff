"""Build the chunks of a stream, each with a message that is built when it is first read.

Most consumers of a stream read only the deltas. Building the message of all text so far for every chunk costs 6 µs,
0.05 of the openai SDK's CPU per chunk: a stream of 2,000 chunks would then cost 0.26 to 0.28 of the SDK (goal: 0.25).
A list of the chunks of a stream would also need memory quadratic in its length. `bench/` measures both.

pydantic has no lazy fields, so `LazyChatResponse` overrides the methods that read a model's values. Remove it once a
`ChatResponse` with a message costs as little. `tests/llama_index/test_lazy_response.py` checks that both behave alike.
"""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatResponse
from pydantic import BaseModel

from llama_index_qwenvl.responses import build_partial_message, to_chat_response
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, Usage
from qwenvl_core.types.reply import Snapshot
from qwenvl_core.types.tool_arguments import keep_first_call


def to_chunk(event: Event, snapshot: Snapshot, *, is_single_call: bool = False) -> ChatResponse | None:
    """Convert one event to a chunk; return `None` for usage, which the last chunk reports.

    Args:
        event: The event.
        snapshot: The reply so far, including the event.
        is_single_call: Whether the reply may have one call only, so that others are dropped.
    """
    if type(event) is Finish:
        reply = snapshot.build_reply()
        last = to_chat_response(keep_first_call(reply) if is_single_call else reply)
        last.delta = ""
        return last
    if type(event) is Usage:
        return None
    if is_single_call and len(snapshot.calls) > 1:
        snapshot = snapshot._replace(calls=snapshot.calls[:1])
    return LazyChatResponse(
        event.text if type(event) is TextDelta else "",
        {"thinking_delta": event.text} if type(event) is ReasoningDelta else {},
        snapshot,
    )


class LazyChatResponse(ChatResponse):
    """A chunk whose message is built when it is first read.

    The first access to more than `delta` and `additional_kwargs` (the message, a dump, a copy, a comparison) converts
    it to an equal plain `ChatResponse`.
    """

    def __init__(self, delta: str, additional_kwargs: dict[str, Any], snapshot: Snapshot) -> None:
        # The other attributes of a model are set by `_materialize`: `model_construct` takes eight times as long.
        _DICT.__set__(
            self,
            {
                "raw": None,
                "delta": delta,
                "logprobs": None,
                "additional_kwargs": additional_kwargs,
                "_snapshot": snapshot,
            },
        )

    def _materialize(self) -> ChatResponse:
        snapshot = _get_raw_values(self).get("_snapshot")
        if snapshot is not None:
            values = {"message": build_partial_message(snapshot.build_reply()), **_get_raw_values(self)}
            del values["_snapshot"]
            _DICT.__set__(self, values)
            _set(self, "__pydantic_fields_set__", {"message", "delta", "additional_kwargs"})
            _set(self, "__pydantic_extra__", None)
            _set(self, "__pydantic_private__", None)
        # The two classes differ only in the methods of this one.
        _set(self, "__class__", ChatResponse)
        return self

    def __getattr__(self, name: str) -> Any:
        if name in _LAZY_ATTRIBUTES:
            return getattr(self._materialize(), name)
        return super().__getattr__(name)  # type: ignore[misc]  # pydantic hides it from type checkers

    # Dumps, representations and comparisons read a model's values from `__dict__`.
    @property
    def __dict__(self) -> dict[str, Any]:
        return _get_raw_values(self._materialize())

    @__dict__.setter
    def __dict__(self, values: dict[str, Any]) -> None:
        _DICT.__set__(self, values)

    # The methods below depend on the class, so they convert the response first.
    def __repr_name__(self) -> str:
        return ChatResponse.__name__

    def __eq__(self, other: object) -> bool:
        return self._materialize() == (other._materialize() if isinstance(other, LazyChatResponse) else other)

    __hash__ = None  # type: ignore[assignment]  # like every mutable model

    def __copy__(self) -> Any:
        return self._materialize().__copy__()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
        return self._materialize().__deepcopy__(memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._materialize().__reduce_ex__(protocol)


_LAZY_ATTRIBUTES = ("message", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
_DICT: Any = BaseModel.__dict__["__dict__"]
_set = object.__setattr__


def _get_raw_values(chunk: ChatResponse) -> dict[str, Any]:
    """Return the values of a response without building its message."""
    values: dict[str, Any] = _DICT.__get__(chunk)
    return values

"""Define the state of batches, and one line of their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qwenvl_core.errors import QwenVLError

_UNFINISHED = ("validating", "in_progress", "finalizing", "cancelling")  # in the order in which a batch advances
_FINISHED = ("failed", "expired", "cancelled", "completed")  # of several batches, the first that any has


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """How far a batch, or several batches together, are.

    Attributes:
        state: The vendor's word: `validating`, `in_progress`, `finalizing`, `completed`, `failed`, `expired`,
            `cancelling` or `cancelled`.
        total: Number of requests.
        completed: Number of requests that were answered.
        failed: Number of requests that failed.

    Example:
        ```python
        status = BatchStatus("in_progress", total=10, completed=4)
        print(status.state, f"{status.completed}/{status.total}", status.is_finished)  # in_progress 4/10 False
        ```
    """

    state: str
    total: int = 0
    completed: int = 0
    failed: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether the state is final."""
        return self.state in _FINISHED


def merge_statuses(statuses: Iterable[BatchStatus]) -> BatchStatus:
    """Merge the statuses of several batches; without any, everything is completed.

    The state is that of the batch that has advanced least; if all are finished, `failed`, `expired` or `cancelled` if
    any is, in this order.
    """
    rows = list(statuses)
    states = {row.state for row in rows}
    unknown = sorted(states.difference(_UNFINISHED, _FINISHED))  # of a later version of the API: not final
    state = next((state for state in (*unknown, *_UNFINISHED, *_FINISHED) if state in states), "completed")
    counts = ([getattr(row, name) for row in rows] for name in ("total", "completed", "failed"))
    return BatchStatus(state, *map(sum, counts))


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch as the service describes it.

    Attributes:
        id: The vendor's id.
        status: Its state and counts.
        input_file_id: Id of the file with the requests.
        output_file_id: Id of the file with the answers; `""` if there is none (yet).
        error_file_id: Id of the file with the failures; `""` if there is none.
        errors: What is wrong with the input file, a sentence each.
        created_at: When it was created, in seconds since 1970.
    """

    id: str
    status: BatchStatus
    input_file_id: str = ""
    output_file_id: str = ""
    error_file_id: str = ""
    errors: tuple[str, ...] = ()
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of one request of a batch.

    Attributes:
        custom_id: The id that the request was given.
        body: The reply, as from a chat that is not streamed; `None` if the request failed.
        error: Why it failed; `None` if it did not.
        request_id: The vendor's id of the request.
    """

    custom_id: str
    body: dict[str, Any] | None = field(repr=False)
    error: QwenVLError | None
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """What a line of an input file states about the reply that it requires.

    Attributes:
        custom_id: The id of the request.
        model: The model.
        tools: The tools that it may call.
        tool_choice: Which of them it must call, as it was sent.
        response_format: The form of the answer.
        parallel_tool_calls: Whether it may call several tools.
        enable_thinking: Whether it thinks.
        instruction: The last text of the last user message.
        is_continued: Whether it continues a partial message.
    """

    custom_id: str
    model: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    enable_thinking: bool | None = None
    instruction: str = field(default="", repr=False)
    is_continued: bool = False

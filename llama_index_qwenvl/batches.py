"""Submit conversations as batch files, and convert the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse

from llama_index_qwenvl import pipeline
from llama_index_qwenvl.responses import to_chat_response
from qwenvl_core.client import batch_job
from qwenvl_core.client.batch_job import BatchJob
from qwenvl_core.errors import QwenVLError
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.types.tool_arguments import keep_first_call

if TYPE_CHECKING:
    from llama_index_qwenvl.model_base import QwenVLBase

    Job = BatchJob[ChatResponse | QwenVLError]
    Conversations = Sequence[Sequence[ChatMessage]]


def submit(llm: QwenVLBase, conversations: Conversations, call_settings: Mapping[str, Any], *, window: str) -> Job:
    """Submit conversations; see `QwenVL.submit_batch`."""
    requests = _build_requests(llm, conversations, call_settings)
    return batch_job.submit(llm, requests, convert_outcome, window=window)


async def asubmit(
    llm: QwenVLBase, conversations: Conversations, call_settings: Mapping[str, Any], *, window: str
) -> Job:
    """Submit conversations asynchronously; see `submit`."""
    requests = _build_requests(llm, conversations, call_settings)
    return await batch_job.asubmit(llm, requests, convert_outcome, window=window)


def find_job(llm: QwenVLBase, ids: str | Sequence[str]) -> Job:
    """Return the job of batches by their ids."""
    return BatchJob([ids] if isinstance(ids, str) else ids, llm, convert_outcome)


def convert_outcome(outcome: Reply | QwenVLError, prepared: PreparedRequest) -> ChatResponse | QwenVLError:
    """Convert a reply to a response; an error stays as it is."""
    if isinstance(outcome, QwenVLError):
        return outcome
    is_single_call = prepared.settings.parallel_tool_calls is False
    return to_chat_response(keep_first_call(outcome) if is_single_call else outcome)


def _build_requests(
    llm: QwenVLBase, conversations: Conversations, call_settings: Mapping[str, Any]
) -> Iterator[Callable[[], Request]]:
    for messages in conversations:
        yield partial(pipeline.build_request, llm, list(messages), call_settings)

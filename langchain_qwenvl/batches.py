"""Submit inputs as batch files, and convert the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from langchain_qwenvl import pipeline
from langchain_qwenvl.exceptions import convert_core_error, map_core_errors
from langchain_qwenvl.responses import to_ai_message
from langchain_qwenvl.structured_output import to_response_format
from langchain_qwenvl.tools import to_openai_tool
from qwenvl_core.client import batch_job
from qwenvl_core.client.batch_job import BatchJob
from qwenvl_core.errors import QwenVLError, QwenVLInputError
from qwenvl_core.types.reply import Reply
from qwenvl_core.types.request import PreparedRequest, Request

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from langchain_qwenvl.model_base import QwenVLBase

    Job = BatchJob[AIMessage | QwenVLError]


def submit(llm: QwenVLBase, inputs: Sequence[Any], call_settings: Mapping[str, Any], *, window: str) -> Job:
    """Submit inputs; see `ChatQwenVL.submit_batch`."""
    with map_core_errors():
        requests = _build_requests(llm, inputs, call_settings)
        return batch_job.submit(llm, requests, convert_outcome, window=window, error_context=map_core_errors)


async def asubmit(llm: QwenVLBase, inputs: Sequence[Any], call_settings: Mapping[str, Any], *, window: str) -> Job:
    """Submit inputs asynchronously; see `submit`."""
    with map_core_errors():
        requests = _build_requests(llm, inputs, call_settings)
        return await batch_job.asubmit(llm, requests, convert_outcome, window=window, error_context=map_core_errors)


def find_job(llm: QwenVLBase, ids: str | Sequence[str]) -> Job:
    """Return the job of batches by their ids."""
    return BatchJob([ids] if isinstance(ids, str) else ids, llm, convert_outcome, error_context=map_core_errors)


def build_call_settings(
    tools: Sequence[Any] | None, tool_choice: Any, response_format: Any, others: Mapping[str, Any]
) -> dict[str, Any]:
    """Build the settings of all inputs; without tools, a tool choice is not sent either."""
    settings = dict(others)
    if tools:
        settings["tools"] = [to_openai_tool(tool) for tool in tools]
        settings["tool_choice"] = tool_choice
    settings["response_format"] = to_response_format(response_format, strict=None)
    return {name: value for name, value in settings.items() if value is not None}


def convert_outcome(outcome: Reply | QwenVLError, prepared: PreparedRequest) -> AIMessage | QwenVLError:
    """Convert a reply to a message, and an error to LangChain's class."""
    return convert_core_error(outcome) if isinstance(outcome, QwenVLError) else to_ai_message(outcome)


def _build_requests(
    llm: QwenVLBase, inputs: Sequence[Any], call_settings: Mapping[str, Any]
) -> Iterator[Callable[[], Request]]:
    for model_input in inputs:
        yield partial(_build_request, llm, model_input, call_settings)


def _build_request(llm: QwenVLBase, model_input: Any, call_settings: Mapping[str, Any]) -> Request:
    try:
        messages = llm._convert_input(model_input).to_messages()
    except QwenVLError:
        raise
    except (TypeError, ValueError, NotImplementedError) as error:
        raise QwenVLInputError(f"{error}") from error
    stop = call_settings.get("stop")
    others = {name: value for name, value in call_settings.items() if name != "stop"}
    return pipeline.build_request(llm, messages, cast("list[str] | None", stop), others, stream=False)

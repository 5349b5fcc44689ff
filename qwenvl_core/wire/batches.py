r"""Encode requests to the batches of the OpenAI-compatible API, and decode the replies.

```
POST {base_url}/batches
{"input_file_id": "file-batch-…", "endpoint": "/v1/chat/completions", "completion_window": "24h",
 "metadata": {"ds_name": "…"}}
GET {base_url}/batches/{id}        POST {base_url}/batches/{id}/cancel        GET {base_url}/batches?input_file_ids=…
{"id": "batch_…", "status": "in_progress", "input_file_id": "file-batch-…", "output_file_id": "file-batch_output-…",
 "error_file_id": null, "request_counts": {"total": 2, "completed": 1, "failed": 0},
 "errors": {"object": "list", "data": [{"code": "url_not_found", "message": "…", "param": "url", "line": 1}]}, …}

a line of the input
{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "…", "messages": […]}}
a line of the output or the errors
{"id": "…", "custom_id": "1", "response": {"status_code": 200, "request_id": "…", "body": {"choices": […], …}},
 "error": null}
```

Sources: the vendor's page "OpenAI compatible - Batch"; recorded traffic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from qwenvl_core.errors import QwenVLAPIError, QwenVLError
from qwenvl_core.types.batch import Batch, BatchRequest, BatchResult, BatchStatus
from qwenvl_core.wire.error_classes import error_from_payload
from qwenvl_core.wire.errors import parse_error_payload
from qwenvl_core.wire.fields import read_count, read_string

PATH = "/batches"
MAX_LINE_BYTES = 1024**2
"""Longest line of an input file, in bytes."""
MAX_FILE_BYTES = 500 * 1024**2
"""Largest input file, in bytes."""
MAX_FILE_LINES = 50_000
"""Lines of the largest input file."""

_TEST_MODEL = "batch-test-model"  # free, for trying batches out; it has an address of its own
_CHAT_URL = "/v1/chat/completions"
_TEST_URL = "/v1/chat/ds-test"


def get_chat_url(model: str) -> str:
    """Return the address that the lines and the batch of a model name."""
    return _TEST_URL if model == _TEST_MODEL else _CHAT_URL


def build_path(batch_id: str, action: str = "") -> str:
    """Build the path of one batch, or of an action on it."""
    return f"{PATH}/{quote(batch_id, safe='')}{action and '/'}{action}"


def build_query(input_file_id: str, *, after: str = "") -> dict[str, str]:
    """Build the query that finds the batches of an input file, from the one behind the batch `after`."""
    return {"input_file_ids": input_file_id, "limit": "100"} | ({"after": after} if after else {})


def encode_create(input_file_id: str, *, model: str, window: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Encode the request for a batch of an uploaded file."""
    body: dict[str, Any] = {
        "input_file_id": input_file_id,
        "endpoint": get_chat_url(model),
        "completion_window": window,
    }
    return body | ({"metadata": dict(metadata)} if metadata else {})


def wrap_body(custom_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line of a chat's body, which may hold `DataUri` objects."""
    return {"custom_id": custom_id, "method": "POST", "url": get_chat_url(body["model"]), "body": body}


def drop_stream_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a chat without what only streams have."""
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}


def decode_request(line: bytes) -> BatchRequest:
    """Decode one line of an input file.

    Raises:
        QwenVLAPIError: The line is no request.
    """
    try:
        row = json.loads(line)
        body = row["body"]
        messages = [message for message in body.get("messages") or () if isinstance(message, Mapping)]
        response_format = body.get("response_format")
        return BatchRequest(
            custom_id=_require_string(row["custom_id"]),
            model=read_string(body.get("model")),
            tools=tuple(tool for tool in body.get("tools") or () if isinstance(tool, Mapping)),
            tool_choice=body.get("tool_choice"),
            response_format=response_format if isinstance(response_format, Mapping) else None,
            parallel_tool_calls=body.get("parallel_tool_calls"),
            enable_thinking=body.get("enable_thinking"),
            instruction=_find_last_user_text(messages),
            is_continued=bool(messages) and bool(messages[-1].get("partial")),
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise QwenVLAPIError(f"A line of a batch's requests has an unknown shape ({error!r}).") from error


def _find_last_user_text(messages: Sequence[Mapping[str, Any]]) -> str:
    content = next((message.get("content") for message in reversed(messages) if message.get("role") == "user"), "")
    if isinstance(content, str):
        return content
    texts = [part.get("text") for part in content or () if isinstance(part, Mapping) and part.get("type") == "text"]
    return read_string(texts[-1]) if texts else ""


def decode_batch(payload: Any) -> Batch:
    """Decode the description of a batch.

    Raises:
        QwenVLAPIError: Its shape is unknown.
    """
    try:
        counts = payload.get("request_counts") or {}
        problems = (payload.get("errors") or {}).get("data") or ()
        return Batch(
            id=_require_string(payload["id"]),
            status=BatchStatus(
                _require_string(payload["status"]),
                *(read_count(counts.get(name)) or 0 for name in ("total", "completed", "failed")),
            ),
            input_file_id=read_string(payload.get("input_file_id")),
            output_file_id=read_string(payload.get("output_file_id")),
            error_file_id=read_string(payload.get("error_file_id")),
            errors=tuple(_describe_problem(problem) for problem in problems),
            created_at=read_count(payload.get("created_at")) or 0,
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise QwenVLAPIError(
            f"The description of a batch has an unknown shape ({error!r}).", status_code=200
        ) from error


def decode_page(payload: Any, input_file_id: str) -> tuple[list[Batch], str]:
    """Decode a page of the list of batches.

    Returns:
        The batches of the input file, the newest first, and the id behind which the next page begins; `""` if this page
        is the last. Batches of other files, which a server without the filter lists too, are left out.

    Raises:
        QwenVLAPIError: Its shape is unknown.
    """
    rows = payload.get("data") if isinstance(payload, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise QwenVLAPIError("The list of batches has an unknown shape.", status_code=200)
    found = [decode_batch(row) for row in rows if row.get("input_file_id") == input_file_id]
    # A page that does not state whether it is the last is, if the filter was kept.
    has_more = payload.get("has_more", len(found) < len(rows))
    last_id = payload.get("last_id") or (rows[-1].get("id") if rows else "")
    found.sort(key=lambda batch: -batch.created_at)
    return found, last_id if has_more and isinstance(last_id, str) else ""


def decode_result(line: bytes) -> BatchResult:
    """Decode one line of the output file or of the error file.

    Raises:
        QwenVLAPIError: The line names no request.
    """
    try:
        row = json.loads(line)
        custom_id = _require_string(row["custom_id"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise QwenVLAPIError(f"A line of a batch's results has an unknown shape ({error!r}).") from error
    response = row.get("response")
    response = response if isinstance(response, Mapping) else {}
    status, body, request_id = (
        _read_status(response.get("status_code")),
        response.get("body"),
        response.get("request_id"),
    )
    request_id = request_id if isinstance(request_id, str) else ""
    if row.get("error") or not isinstance(body, dict) or (status or 0) >= 400:
        return BatchResult(custom_id, None, _read_error(row.get("error"), body, status, request_id), request_id)
    return BatchResult(custom_id, body, None, request_id)


class ResultReader:
    """Read the lines of the files with the results of one batch.

    Attributes:
        answered: The requests that have a result, by their custom ids: whether it is a reply.
        unreadable: Number of lines that can't be read, since `start_file`.
        has_results: Whether any line since `start_file` has the form of a result, even a broken one.
    """

    def __init__(self) -> None:
        self.answered: dict[str, bool] = {}
        self.start_file()

    def start_file(self) -> None:
        """Begin to count the lines of a file."""
        self.unreadable = 0
        self.has_results = False

    def read(self, line: bytes) -> BatchResult | None:
        """Return the result of a line; `None` if it can't be read, or is an error of a request that has a reply."""
        self.has_results = self.has_results or b'"custom_id"' in line
        try:
            result = decode_result(line)
        except QwenVLAPIError:
            self.unreadable += 1
            return None
        is_reply = result.error is None
        if self.answered.get(result.custom_id) and not is_reply:
            return None
        self.answered[result.custom_id] = is_reply
        return result


def _read_status(status: Any) -> int | None:
    """Return the status of a response, also one that is a text of digits."""
    return int(status) if re.fullmatch("[1-5][0-9]{2}", str(status)) else None


def _read_error(error: Any, body: Any, status: int | None, request_id: str) -> QwenVLError:
    """Build the error of a request from the line's own error, else from the body of its response."""
    has_fields = not isinstance(error, Mapping) or any(error.values())
    payload = (error if has_fields else None) or body or {"message": "The service answered without a reply."}
    parsed = parse_error_payload(payload, status_code=status)
    parsed_error = error_from_payload(parsed)
    parsed_error.request_id = parsed_error.request_id or request_id or None
    return parsed_error


def _describe_problem(problem: Mapping[str, Any]) -> str:
    line = problem.get("line")
    place = "" if line is None else f"line {line}: "
    return f"{place}{problem.get('message') or problem.get('code')}"


def _require_string(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"expected a string, not {value!r}")
    return value

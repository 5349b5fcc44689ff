"""Emulate the files and batches of the OpenAI-compatible API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.emulator.chat_request import RecordedRequest

FILES = "/compatible-mode/v1/files"
BATCHES = "/compatible-mode/v1/batches"
MAX_LINE = 1024 * 1024
MAX_FILE = 500 * 1024 * 1024
MAX_LINES = 50_000

_CREATED = 1_776_423_919
_URLS = ("/v1/chat/completions", "/v1/chat/ds-test")
_WINDOW = re.compile(r"\d+[hd]")

Answer = Callable[[dict[str, Any]], tuple[int, Any]]
"""Returns the status and the body of the response to one request of a batch."""
Response = tuple[int, bytes]
"""HTTP status and body."""


@dataclass
class StoredBatch:
    """One batch; `steps` are the states that it passes through, one each time it is looked at."""

    id: str
    input_file_id: str
    body: dict[str, Any]
    steps: list[str]
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass
class BatchStore:
    """The files and batches of one account.

    Attributes:
        steps: The states that a new batch passes through. The work is done when the last one is reached.
        failures: What requests get in place of an answer, by their custom ids: status and body of the response.
        unanswered: Custom ids without a line in either file, as after an expiry.
        lost_replies: How many requests for a new batch lose their reply after the batch was created.
    """

    steps: list[str] = field(default_factory=lambda: ["validating", "in_progress", "completed"])
    failures: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    lost_replies: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, StoredBatch] = field(default_factory=dict)

    def respond(self, request: RecordedRequest, answer: Answer) -> Response | None:
        """Return the response to a request below `FILES` or `BATCHES`; None if there is no such address."""
        parts = request.route.removeprefix("/compatible-mode/v1/").split("/")
        match (request.method, *parts):
            case ("POST", "files"):
                return self._store_upload(request)
            case ("GET", "files", file_id, "content"):
                return _refuse(404, "No such File object.") if file_id not in self.files else (200, self.files[file_id])
            case ("POST", "batches"):
                return self._create(request.json)
            case ("GET", "batches"):
                return _reply(self._list(request.path))
            case ("GET", "batches", batch_id):
                return self._look(batch_id, answer)
            case ("POST", "batches", batch_id, "cancel"):
                return self._cancel(batch_id)
        return None

    def _store_upload(self, request: RecordedRequest) -> Response:
        head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP).parsebytes(head + request.body)
        fields: dict[str, bytes] = {}
        for part in form.iter_parts() if form.is_multipart() else ():
            name, payload = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(payload, bytes):
                fields[name] = payload
        if fields.get("purpose") != b"batch" or not fields.get("file") or list(fields)[-1] != "file":
            return _refuse(400, "purpose and file are required.")
        if len(fields["file"]) > MAX_FILE:
            return _refuse(413, "The file is too large.")
        file_id = self._store("file-batch", fields["file"])
        return _reply(
            {
                "id": file_id,
                "bytes": len(fields["file"]),
                "created_at": _CREATED,
                "filename": "batch.jsonl",
                "object": "file",
                "purpose": "batch",
                "status": "processed",
                "status_details": None,
            }
        )

    def _store(self, prefix: str, content: bytes) -> str:
        file_id = f"{prefix}-{len(self.files) + 1:08d}"
        self.files[file_id] = content
        return file_id

    def _create(self, body: Any) -> Response:
        if not isinstance(body, dict) or body.get("input_file_id") not in self.files:
            return _refuse(400, "input_file_id does not exist.")
        if set(body) - {"input_file_id", "endpoint", "completion_window", "metadata"}:
            return _refuse(400, "Unexpected fields in the request.")
        if body.get("endpoint") not in _URLS or not _WINDOW.fullmatch(str(body.get("completion_window"))):
            return _refuse(400, "endpoint or completion_window is invalid.")
        batch = StoredBatch(f"batch_{len(self.batches) + 1:08d}", body["input_file_id"], body, list(self.steps))
        self.batches[batch.id] = batch
        if self.lost_replies:
            self.lost_replies -= 1
            return _refuse(500, "Internal server error.")
        return _reply(self._describe(batch))

    def _list(self, path: str) -> dict[str, Any]:
        query = parse_qs(urlsplit(path).query)
        requested = ",".join(query.get("input_file_ids", [])).split(",")
        rows = [batch for batch in self.batches.values() if requested == [""] or batch.input_file_id in requested]
        return {"object": "list", "data": [self._describe(batch) for batch in reversed(rows)], "has_more": False}

    def _look(self, batch_id: str, answer: Answer) -> Response:
        batch = self.batches.get(batch_id)
        if batch is None:
            return _refuse(404, "No such Batch object.")
        if len(batch.steps) > 1:
            batch.steps.pop(0)
            if batch.steps[0] != "validating" and not batch.total:
                self._validate(batch)
            if len(batch.steps) == 1 and batch.steps[0] in ("completed", "expired", "cancelled"):
                self._finish(batch, answer)
        return _reply(self._describe(batch))

    def _cancel(self, batch_id: str) -> Response:
        batch = self.batches.get(batch_id)
        if batch is None:
            return _refuse(404, "No such Batch object.")
        if len(batch.steps) > 1:
            batch.steps = ["cancelling", "cancelled"]
        return _reply(self._describe(batch))

    def _validate(self, batch: StoredBatch) -> None:
        """Read the input file; a line that is wrong fails the whole batch."""
        lines = self.files[batch.input_file_id].split(b"\n")
        rows = [line for line in lines if line.strip()]
        batch.total = len(rows)
        custom_ids: set[str] = set()
        for number, line in enumerate(rows, 1):
            problem = _find_problem(line, batch, custom_ids)
            if problem:
                batch.errors.append({"code": problem, "message": f"The line is wrong: {problem}.", "line": number})
        if batch.total > MAX_LINES:
            batch.errors.append({"code": "too_many_lines", "message": "The file has too many lines.", "line": None})
        if batch.errors:
            batch.steps = ["failed"]

    def _finish(self, batch: StoredBatch, answer: Answer) -> None:
        """Answer the requests, and write the output and the error file, each in an order of its own."""
        outputs: list[str] = []
        errors: list[str] = []
        for line in self.files[batch.input_file_id].split(b"\n"):
            if not line.strip():
                continue
            row = json.loads(line)
            custom_id = row["custom_id"]
            if custom_id in self.unanswered:
                continue
            status, body = self.failures.get(custom_id) or answer(row["body"])
            response = {"status_code": status, "request_id": f"r-{custom_id}", "body": body}
            rendered = json.dumps({"id": f"l-{custom_id}", "custom_id": custom_id, "response": response, "error": None})
            (outputs if status == 200 else errors).append(rendered)
        batch.completed, batch.failed = len(outputs), len(errors)
        if outputs:
            batch.output_file_id = self._store("file-batch_output", "\n".join(reversed(outputs)).encode())
        if errors:
            batch.error_file_id = self._store("file-batch_error", "\n".join(errors).encode() + b"\n")

    def _describe(self, batch: StoredBatch) -> dict[str, Any]:
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.body["endpoint"],
            "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
            "input_file_id": batch.input_file_id,
            "completion_window": batch.body["completion_window"],
            "status": batch.steps[0],
            "output_file_id": batch.output_file_id,
            "error_file_id": batch.error_file_id,
            "created_at": _CREATED + len(self.batches),
            "expires_at": None,
            "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
            "metadata": batch.body.get("metadata"),
        }


def _find_problem(line: bytes, batch: StoredBatch, custom_ids: set[str]) -> str | None:
    """Return the code of what is wrong with a line of an input file."""
    if len(line) > MAX_LINE:
        return "line_too_long"
    try:
        row = json.loads(line)
    except ValueError:
        return "invalid_json"
    if not isinstance(row, Mapping) or set(row) != {"custom_id", "method", "url", "body"}:
        return "invalid_line"
    if row["method"] != "POST" or row["url"] != batch.body["endpoint"]:
        return "url_not_found"
    if row["custom_id"] in custom_ids:
        return "duplicate_custom_id"
    custom_ids.add(row["custom_id"])
    return "stream_not_supported" if {"stream", "stream_options"} & set(row["body"]) else None


def _reply(content: Any, status: int = 200) -> Response:
    return status, json.dumps(content).encode()


def _refuse(status: int, message: str) -> Response:
    error = {"message": message, "type": "invalid_request_error", "code": "invalid_parameter_error"}
    return _reply({"error": error}, status)

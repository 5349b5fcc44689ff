"""Encode requests to files and batches, and read the replies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwenvl_core.errors import QwenVLAPIError, QwenVLContentFilterError, QwenVLInvalidRequestError, QwenVLRateLimitError
from qwenvl_core.types.batch import BatchStatus, merge_statuses
from qwenvl_core.wire import batches, files

DESCRIPTION: dict[str, Any] = {
    "id": "batch_1",
    "status": "in_progress",
    "input_file_id": "f-1",
    "output_file_id": None,
    "error_file_id": None,
    "errors": None,
    "created_at": 5,
    "request_counts": {"total": 2, "completed": 1, "failed": 0},
}


def test_decode_batch_reads_state_counts_and_files() -> None:
    batch = batches.decode_batch(DESCRIPTION | {"output_file_id": "o-1"})
    assert (batch.id, batch.input_file_id, batch.output_file_id, batch.error_file_id) == ("batch_1", "f-1", "o-1", "")
    assert batch.status == BatchStatus("in_progress", 2, 1, 0)
    assert not batch.status.is_finished


def test_decode_batch_of_invalid_file_states_problems_with_lines() -> None:
    problem = {"code": "url_not_found", "message": "The url is wrong.", "param": "url", "line": 1}
    failed = DESCRIPTION | {"status": "failed", "request_counts": None, "errors": {"object": "list", "data": [problem]}}
    batch = batches.decode_batch(failed)
    assert batch.errors == ("line 1: The url is wrong.",)
    assert batch.status == BatchStatus("failed")


@pytest.mark.parametrize("payload", [None, {}, DESCRIPTION | {"id": ""}, DESCRIPTION | {"status": None}, "x"])
def test_decode_batch_of_unknown_shape_raises(payload: Any) -> None:
    with pytest.raises(QwenVLAPIError, match="unknown shape"):
        batches.decode_batch(payload)


def list_page(*rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(rows)} | fields


OTHER = {"id": "batch_9", "input_file_id": "f-9"}


@pytest.mark.parametrize(
    ("page", "ids", "after"),
    [
        (list_page(), [], ""),
        (list_page(has_more=True, last_id=None), [], ""),
        (list_page(DESCRIPTION, DESCRIPTION | {"id": "batch_2", "created_at": 9}), ["batch_2", "batch_1"], ""),
        (list_page(OTHER, has_more=False, last_id="batch_9"), [], ""),
        (list_page(OTHER, has_more=True, last_id="batch_9"), [], "batch_9"),
        (list_page(OTHER, has_more=True), [], "batch_9"),
        (list_page(OTHER), [], "batch_9"),  # a server without the filter that does not state whether there is more
        (list_page({"input_file_id": None}, {"id": 7}, has_more=True, last_id=7), [], ""),
    ],
)
def test_decode_page_finds_batches_of_file_and_next_page(page: Any, ids: list[str], after: str) -> None:
    found, next_after = batches.decode_page(page, "f-1")
    assert ([batch.id for batch in found], next_after) == (ids, after)


@pytest.mark.parametrize("page", [None, [], {}, {"data": None}, {"data": ["x"]}, {"data": [DESCRIPTION | {"id": 7}]}])
def test_decode_page_of_unknown_shape_raises(page: Any) -> None:
    with pytest.raises(QwenVLAPIError, match="unknown shape"):
        batches.decode_page(page, "f-1")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], "completed"),
        (["completed", "completed"], "completed"),
        (["completed", "in_progress", "finalizing"], "in_progress"),
        (["failed", "validating"], "validating"),
        (["cancelling", "finalizing"], "finalizing"),
        (["cancelled", "expired", "completed"], "expired"),
        (["failed", "expired"], "failed"),
        (["paused", "validating"], "paused"),
    ],
)
def test_merge_statuses_takes_earliest_unfinished_state(states: list[str], expected: str) -> None:
    merged = merge_statuses(BatchStatus(state, 3, 1, 1) for state in states)
    assert merged == BatchStatus(expected, 3 * len(states), len(states), len(states))


def test_encode_create_names_endpoint_of_model() -> None:
    assert batches.encode_create("f-1", model="qwen3-vl-plus", window="24h", metadata={}) == {
        "input_file_id": "f-1",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    test_batch = batches.encode_create("f-1", model="batch-test-model", window="48h", metadata={"ds_name": "n"})
    assert (test_batch["endpoint"], test_batch["metadata"]) == ("/v1/chat/ds-test", {"ds_name": "n"})


def test_paths_quote_ids() -> None:
    assert batches.build_path("a/b", "cancel") == "/batches/a%2Fb/cancel"
    assert files.build_content_path("a?b") == "/files/a%3Fb/content"


def make_line(**fields: Any) -> bytes:
    return json.dumps({"id": "1", "custom_id": "c", "response": None, "error": None} | fields).encode()


def test_decode_result_of_answer_holds_body() -> None:
    body = {"choices": [{"message": {"content": "hi"}}]}
    response = {"status_code": 200, "request_id": "r", "body": body}
    result = batches.decode_result(make_line(response=response))
    assert (result.custom_id, result.body, result.error, result.request_id) == ("c", body, None, "r")


@pytest.mark.parametrize(
    ("fields", "error_class"),
    [
        (
            {"response": {"status_code": 400, "body": {"error": {"code": "data_inspection_failed", "message": "no"}}}},
            QwenVLContentFilterError,
        ),
        ({"error": {"code": "InvalidParameter", "message": "no"}, "response": None}, None),
        ({"response": {"status_code": 400, "body": {"error": {"message": "no"}}}}, QwenVLInvalidRequestError),
        ({"response": {}}, None),
        ({"response": {"status_code": "429", "request_id": 7, "body": None}}, QwenVLRateLimitError),
        (
            {
                "response": {"status_code": 400, "body": {"message": "no"}},
                "error": {"code": None, "message": None},
            },
            QwenVLInvalidRequestError,
        ),
    ],
)
def test_decode_result_of_failure_holds_error_of_service(fields: Any, error_class: Any) -> None:
    result = batches.decode_result(make_line(**fields))
    assert result.body is None
    assert result.error is not None
    assert error_class is None or isinstance(result.error, error_class)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"custom_id": null}', b"[" * 100_000])
def test_decode_result_of_broken_line_raises(line: bytes) -> None:
    with pytest.raises(QwenVLAPIError, match="unknown shape"):
        batches.decode_result(line)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_line_decoder_joins_lines_across_chunks(size: int) -> None:
    text = "a\n\nb\u2028c\r\n d".encode()
    decoder = files.LineDecoder()
    lines = [line for start in range(0, len(text), size) for line in decoder.decode(text[start : start + size])]
    lines += decoder.flush()
    assert lines == [b"a", "b\u2028c\r".encode(), b" d"]

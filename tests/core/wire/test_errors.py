"""Parse the errors of Model Studio."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import openai
import pytest

from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLArrearageError,
    QwenVLAuthenticationError,
    QwenVLContentFilterError,
    QwenVLContextOverflowError,
    QwenVLError,
    QwenVLInvalidRequestError,
    QwenVLModelNotFoundError,
    QwenVLPermissionDeniedError,
    QwenVLQuotaExceededError,
    QwenVLRateLimitError,
    QwenVLTimeoutError,
)
from qwenvl_core.wire import errors
from qwenvl_core.wire.error_classes import error_from_payload
from tests.emulator import Emulator, Fault
from tests.support.pipeline import CALL_MODES, CallMode, client, events_of, read, request, sse


class Row(NamedTuple):
    """One row of the vendor's page "Error codes"."""

    status: int
    native: str
    compat: str
    message: str
    kind: type[QwenVLError]
    hint: str = ""
    """Part of the hint."""


ROWS = [
    Row(
        400,
        "InvalidParameter",
        "invalid_parameter_error",
        "<400> InternalError.Algo.InvalidParameter: [] is too short",
        QwenVLInvalidRequestError,
    ),
    Row(
        400,
        "InvalidParameter.NotSupportEnableThinking",
        "InvalidParameter.NotSupportEnableThinking",
        "The model xxx does not support enable_thinking.",
        QwenVLInvalidRequestError,
    ),
    Row(
        400,
        "DataInspectionFailed",
        "data_inspection_failed",
        "Input text data may contain inappropriate content.",
        QwenVLContentFilterError,
        "inspection",
    ),
    Row(
        400,
        "Arrearage",
        "Arrearage",
        "Access denied, please make sure your account is in good standing.",
        QwenVLArrearageError,
        "balance",
    ),
    Row(400, "InvalidURL", "InvalidURL", "Failed to download multimodal content.", QwenVLInvalidRequestError),
    Row(
        400,
        "InvalidURL.ConnectionTimeout",
        "InvalidURL.ConnectionTimeout",
        "The download timed out.",
        QwenVLInvalidRequestError,
    ),
    Row(
        400,
        "BadRequest.TooLarge",
        "BadRequest.TooLarge",
        "Exceeded limit on max bytes per data-uri item : 10485760",
        QwenVLInvalidRequestError,
    ),
    Row(
        400,
        "InvalidParameter",
        "invalid_parameter_error",
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
        QwenVLContextOverflowError,
        "fewer",
    ),
    Row(
        400,
        "InvalidParameter",
        "invalid_parameter_error",
        "<400> InternalError.Algo.InvalidParameter: Total message token length exceed model limit (10000000 tokens).",
        QwenVLContextOverflowError,
        "fewer",
    ),
    Row(401, "InvalidApiKey", "invalid_api_key", "Incorrect API key provided.", QwenVLAuthenticationError, "region"),
    Row(403, "AccessDenied", "access_denied", "Access denied.", QwenVLPermissionDeniedError, "console"),
    Row(
        403,
        "AccessDenied.Unpurchased",
        "AccessDenied.Unpurchased",
        "Access to model denied.",
        QwenVLPermissionDeniedError,
        "console",
    ),
    Row(
        403, "Model.AccessDenied", "Model.AccessDenied", "Model access denied.", QwenVLPermissionDeniedError, "console"
    ),
    Row(
        403,
        "Workspace.AccessDenied",
        "Workspace.AccessDenied",
        "Workspace access denied.",
        QwenVLPermissionDeniedError,
        "workspace",
    ),
    Row(
        403,
        "AllocationQuota.FreeTierOnly",
        "AllocationQuota.FreeTierOnly",
        "The free tier of the model has been exhausted.",
        QwenVLQuotaExceededError,
        "used up. Change the plan or the model",
    ),
    Row(
        404,
        "ModelNotFound",
        "model_not_found",
        "The model xxx does not exist or you do not have access to it.",
        QwenVLModelNotFoundError,
        "region",
    ),
    Row(
        404,
        "ModelNotFound",
        "model_not_supported",
        "Unsupported model xxx for OpenAI compatibility mode.",
        QwenVLModelNotFoundError,
        "region",
    ),
    Row(429, "Throttling", "Throttling", "Requests throttling triggered.", QwenVLRateLimitError, "max_retries"),
    Row(
        429,
        "Throttling.RateQuota",
        "limit_requests",
        "Requests rate limit exceeded, try again later.",
        QwenVLRateLimitError,
        "max_retries",
    ),
    Row(
        429,
        "Throttling.BurstRate",
        "limit_burst_rate",
        "Request rate increased too quickly.",
        QwenVLRateLimitError,
        "max_retries",
    ),
    Row(
        429,
        "Throttling.AllocationQuota",
        "insufficient_quota",
        "Allocated quota exceeded, please increase your quota limit.",
        QwenVLRateLimitError,
        "max_retries",
    ),
    Row(
        429,
        "Throttling.AllocationQuota",
        "insufficient_quota",
        "Free allocated quota exceeded.",
        QwenVLQuotaExceededError,
        "used up",
    ),
    Row(
        429,
        "CommodityNotPurchased",
        "CommodityNotPurchased",
        "Commodity has not purchased yet.",
        QwenVLArrearageError,
        "balance",
    ),
    Row(
        429, "PrepaidBillOverdue", "PrepaidBillOverdue", "The prepaid bill is overdue.", QwenVLArrearageError, "balance"
    ),
    Row(
        429,
        "PostpaidBillOverdue",
        "PostpaidBillOverdue",
        "The postpaid bill is overdue.",
        QwenVLArrearageError,
        "balance",
    ),
    Row(500, "InternalError", "internal_error", "An internal error has occured.", QwenVLAPIError),
    Row(500, "InternalError.Algo", "InternalError.Algo", "inference internal error.", QwenVLAPIError),
    Row(500, "InternalError.Algo", "InternalError.Algo", "Expecting ',' delimiter: line 1 column 9", QwenVLAPIError),
    Row(500, "RequestTimeOut", "RequestTimeOut", "Request timed out, try again later.", QwenVLTimeoutError, "timeout="),
    Row(503, "ServiceUnavailable", "ServiceUnavailable", "Too many requests.", QwenVLAPIError),
]
NAMES = [f"{row.status} {row.compat}: {row.message[:30]}" for row in ROWS]
per_row = pytest.mark.parametrize("row", ROWS, ids=NAMES)


def compatible_payload(row: Row) -> dict[str, Any]:
    fields = {"message": row.message, "type": "invalid_request_error", "param": None, "code": row.compat}
    return {"error": fields, "id": "chatcmpl-r-1", "request_id": "r-1"}


def native_payload(row: Row) -> dict[str, Any]:
    return {"code": row.native, "message": row.message, "request_id": "r-1"}


def check(error: QwenVLError, row: Row, *, code: str, status: int | None) -> None:
    assert type(error) is row.kind
    assert (error.code, error.status_code, error.request_id) == (code, status, "r-1")
    assert error.message == row.message
    assert row.hint in error.hint
    for words in (row.message, code, "r-1", error.hint):
        assert words in str(error)


@per_row
def test_json_body_of_either_api_is_parsed(row: Row) -> None:
    for payload, code in ((compatible_payload(row), row.compat), (native_payload(row), row.native)):
        parsed = errors.parse_error_body(json.dumps(payload), status_code=row.status)
        check(error_from_payload(parsed), row, code=code, status=row.status)
        del payload["request_id"]
        parsed = errors.parse_error_body(json.dumps(payload), status_code=row.status, request_id="r-1")
        check(error_from_payload(parsed), row, code=code, status=row.status)


@per_row
@pytest.mark.parametrize(
    "body",
    [
        "data: {}\n\n",
        "data:{}",
        "id:1\nevent:error\n:HTTP_STATUS/400\ndata:{}\n\n",
        "id:1\r\nevent:error\r\ndata: {}\r\n\r\n",
        "\ufeffdata: {}\n\ndata: [DONE]\n\n",
        ": ping\n\ndata: {}\n\n",
        "data: {}\r\r",
    ],
)
def test_body_that_is_an_event_is_parsed(row: Row, body: str) -> None:
    for payload, code in ((compatible_payload(row), row.compat), (native_payload(row), row.native)):
        text = body.replace("{}", json.dumps(payload))
        check(
            error_from_payload(errors.parse_error_body(text, status_code=row.status)), row, code=code, status=row.status
        )


@per_row
def test_error_event_in_stream_raises_error(row: Row) -> None:
    with pytest.raises(QwenVLError) as caught:
        read(sse(compatible_payload(row), done=False))
    status = row.status if row.message.startswith(f"<{row.status}>") else None  # the HTTP status is 200
    check(caught.value, row, code=row.compat, status=status)


@per_row
@pytest.mark.parametrize("call_mode", CALL_MODES)
def test_http_error_raises_matching_class(row: Row, call_mode: CallMode, emulator: Emulator) -> None:
    fault = Fault(status=row.status, code=row.compat, message=row.message)
    emulator.script(fault)
    with pytest.raises(QwenVLError) as caught:
        events_of(client(emulator.compat_url), request(stream=True), call_mode)
    error = caught.value
    request_id = f"00000000-0000-9000-8000-{1:012d}"
    assert type(error) is row.kind
    assert (error.status_code, error.request_id, error.partial) == (row.status, request_id, "")
    assert row.message in error.message
    assert isinstance(error.__cause__, openai.APIStatusError)
    assert error.__cause__.status_code == row.status


@per_row
def test_retryable_is_set_for_transient_errors(row: Row) -> None:
    is_transient = row.kind in (QwenVLRateLimitError, QwenVLAPIError, QwenVLTimeoutError)
    assert row.kind.retryable is is_transient

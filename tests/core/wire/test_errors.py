"""Failures as servers tell them, in every error_format: one class, code, status, request id and hint for each."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import openai
import pytest

from qwenvl_core.errors import (
    ErrorPayload,
    QwenVLAPIError,
    QwenVLArrearageError,
    QwenVLAuthenticationError,
    QwenVLConnectionError,
    QwenVLContentFilterError,
    QwenVLContextOverflowError,
    QwenVLError,
    QwenVLInputError,
    QwenVLInvalidRequestError,
    QwenVLMissingKeyError,
    QwenVLModelNotFoundError,
    QwenVLNotFoundError,
    QwenVLOutputError,
    QwenVLPermissionDeniedError,
    QwenVLQuotaExceededError,
    QwenVLRateLimitError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
    error_from_payload,
)
from qwenvl_core.wire import errors
from tests.emulator import Emulator, Fault, Quirks, Reply
from tests.support.pipeline import CALL_MODES, CallMode, client, events_of, read, request, sse

Invalid, Limit = QwenVLInvalidRequestError, QwenVLRateLimitError


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
        Invalid,
    ),
    Row(
        400,
        "InvalidParameter.NotSupportEnableThinking",
        "InvalidParameter.NotSupportEnableThinking",
        "The model xxx does not support enable_thinking.",
        Invalid,
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
    Row(400, "InvalidURL", "InvalidURL", "Failed to download multimodal content.", Invalid),
    Row(400, "InvalidURL.ConnectionTimeout", "InvalidURL.ConnectionTimeout", "The download timed out.", Invalid),
    Row(
        400,
        "BadRequest.TooLarge",
        "BadRequest.TooLarge",
        "Exceeded limit on max bytes per data-uri item : 10485760",
        Invalid,
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
    Row(429, "Throttling", "Throttling", "Requests throttling triggered.", Limit, "max_retries"),
    Row(
        429,
        "Throttling.RateQuota",
        "limit_requests",
        "Requests rate limit exceeded, try again later.",
        Limit,
        "max_retries",
    ),
    Row(429, "Throttling.BurstRate", "limit_burst_rate", "Request rate increased too quickly.", Limit, "max_retries"),
    Row(
        429,
        "Throttling.AllocationQuota",
        "insufficient_quota",
        "Allocated quota exceeded, please increase your quota limit.",
        Limit,
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
        parsed = errors.from_body(json.dumps(payload), status_code=row.status)
        check(error_from_payload(parsed), row, code=code, status=row.status)
        del payload["request_id"]
        parsed = errors.from_body(json.dumps(payload), status_code=row.status, request_id="r-1")
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
        check(error_from_payload(errors.from_body(text, status_code=row.status)), row, code=code, status=row.status)


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


# --- other servers ----------------------------------------------------------------------------------------------------

SHAPES: list[tuple[int, Any, type[QwenVLError], str | None, str]] = [
    # status, body, class, code, message
    (
        400,
        {"error": {"message": "Bad.", "type": "BadRequestError", "param": None, "code": 400}},
        Invalid,
        "BadRequestError",
        "Bad.",
    ),
    (
        404,
        {"error": {"message": "No such route.", "type": "NotFoundError", "code": 404}},
        QwenVLNotFoundError,
        "NotFoundError",
        "No such route.",
    ),
    (
        404,
        {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}},
        QwenVLModelNotFoundError,
        "NotFoundError",
        "The model `x` does not exist.",
    ),
    (
        400,
        {"error": {"code": "invalid_parameter_error", "message": "<400> InternalError.Algo.DataInspectionFailed: No."}},
        QwenVLContentFilterError,
        "invalid_parameter_error",
        "<400> InternalError.Algo.DataInspectionFailed: No.",
    ),
    (
        400,
        {"object": "error", "message": "Bad.", "type": "BadRequestError", "param": None, "code": 400},
        Invalid,
        "BadRequestError",
        "Bad.",
    ),
    (400, {"object": "error", "message": "Bad.", "code": 40303}, Invalid, "40303", "Bad."),
    (500, {"error": "CUDA out of memory"}, QwenVLAPIError, None, "CUDA out of memory"),
    (422, {"detail": "Unexpected fields"}, Invalid, None, "Unexpected fields"),
    (
        422,
        {"detail": [{"loc": ["body", "n"], "msg": "too large"}]},
        Invalid,
        None,
        '[{"loc": ["body", "n"], "msg": "too large"}]',
    ),
    (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 4096 tokens.",
                "type": "BadRequestError",
                "code": 400,
            }
        },
        QwenVLContextOverflowError,
        "BadRequestError",
        "This model's maximum context length is 4096 tokens.",
    ),
    (
        400,
        {"error": {"code": "context_length_exceeded", "message": "Too long."}},
        QwenVLContextOverflowError,
        "context_length_exceeded",
        "Too long.",
    ),
    (400, {"message": "Bad."}, Invalid, None, "Bad."),
    (
        400,
        {"error": {"code": None, "type": "invalid_request_error", "message": "you must provide a model parameter."}},
        Invalid,
        "invalid_request_error",
        "you must provide a model parameter.",
    ),
    (400, {"error": None, "code": "InvalidParameter", "message": "Bad."}, Invalid, "InvalidParameter", "Bad."),
    (400, {"error": {}}, Invalid, None, "{}"),
    (400, {}, Invalid, None, "{}"),
    (400, [], Invalid, None, "[]"),
    (400, "text", Invalid, None, "text"),
    (402, {}, QwenVLArrearageError, None, "{}"),
    (408, {}, QwenVLTimeoutError, None, "{}"),
    (409, {}, Invalid, None, "{}"),
    (413, {}, Invalid, None, "{}"),
    (502, {}, QwenVLAPIError, None, "{}"),
    (504, {}, QwenVLTimeoutError, None, "{}"),
]


@pytest.mark.parametrize(("status", "body", "kind", "code", "message"), SHAPES)
def test_error_shape_of_other_server_is_parsed(
    status: int, body: Any, kind: Any, code: str | None, message: str
) -> None:
    error = error_from_payload(errors.from_body(json.dumps(body), status_code=status, request_id="r"))
    assert type(error) is kind
    assert (error.code, error.status_code, error.message, error.request_id) == (code, status, message, "r")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (500, "", QwenVLAPIError, "HTTP 500 with an empty body"),
        (502, "<html><body>Bad Gateway</body></html>", QwenVLAPIError, "HTTP 502: an HTML page"),
        (503, "\n<!DOCTYPE HTML>\n<html>", QwenVLAPIError, "HTTP 503: an HTML page"),
        (429, "Too many requests", Limit, "HTTP 429: Too many requests"),
        (401, '{"error": {"mess', QwenVLAuthenticationError, 'HTTP 401: {"error": {"mess'),
        (400, "data: {broken", Invalid, "HTTP 400: data: {broken"),
        (400, "data: [DONE]", Invalid, "HTTP 400: data: [DONE]"),
        (400, "data:", Invalid, "HTTP 400: data:"),
        (400, "[" * 100_000, Invalid, "HTTP 400: [["),
        (307, "", QwenVLAPIError, "HTTP 307"),
        (599, "x" * 100_000, QwenVLAPIError, "HTTP 599"),
    ],
)
def test_body_that_is_not_json_is_quoted(status: int, body: str, kind: Any, words: str) -> None:
    error = error_from_payload(errors.from_body(body, status_code=status))
    assert type(error) is kind
    assert error.message.startswith(words)
    assert len(error.message) < 600


@pytest.mark.parametrize(
    ("quirks", "kind", "code"),
    [
        (Quirks(integer_error_code=True), Invalid, "invalid_request_error"),
        (Quirks(error_as_string=True), Invalid, None),
        (Quirks(detail_error=True), Invalid, None),
        (Quirks(flat_error=True, integer_error_code=True), Invalid, "invalid_request_error"),
        (Quirks(broken_error=True), Invalid, None),
        (Quirks(no_request_id=True), Invalid, "invalid_parameter_error"),
    ],
)
@pytest.mark.parametrize("error_format", ["json", "data-body", "in-stream"])
def test_error_format_of_emulated_server_raises_error(
    quirks: Quirks, kind: Any, code: str | None, error_format: Any, emulator: Emulator
) -> None:
    reply = Reply(text=["Ein ", "Löwe"])
    emulator.script(Fault(status=400, message="Bad.", error_format=error_format, quirks=quirks, reply=reply, after=3))
    with pytest.raises(QwenVLError) as caught:
        events_of(client(emulator.compat_url), request(stream=True), "sync")
    error = caught.value
    in_stream = error_format == "in-stream"
    assert error.partial == ("Ein Löwe" if in_stream else "")
    assert (error.request_id is None) == quirks.no_request_id
    if in_stream and quirks.broken_error:
        assert type(error) is QwenVLStreamInterruptedError
    elif in_stream and (quirks.error_as_string or quirks.detail_error):
        assert type(error) is QwenVLAPIError  # neither a code nor a status identifies the class
        assert error.message == "Bad."
    else:
        assert type(error) is kind
        assert error.code == code
        assert quirks.broken_error or error.message == "Bad."
        assert error.status_code == (400 if not in_stream or quirks.integer_error_code else None)


def test_echoed_media_are_omitted_from_message() -> None:
    image = "iVBORw0KGgo" * 500
    for echoed in (f"Bad image data:image/png;base64,{image}!", image):
        error = error_from_payload(errors.from_body(json.dumps({"error": echoed}), status_code=400))
        assert image[:100] not in str(error)
    assert "Bad image data:image/png;base64,…!" in str(
        error_from_payload(
            ErrorPayload(errors.from_body(f"Bad image data:image/png;base64,{image}!", status_code=400).message)
        )
    )


# --- classes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "parents"),
    [
        (QwenVLInputError, (QwenVLError, ValueError)),
        (QwenVLMissingKeyError, (QwenVLAuthenticationError, ValueError)),
        (QwenVLArrearageError, (QwenVLPermissionDeniedError,)),
        (QwenVLModelNotFoundError, (QwenVLNotFoundError,)),
        (QwenVLContentFilterError, (QwenVLInvalidRequestError,)),
        (QwenVLContextOverflowError, (QwenVLInvalidRequestError,)),
        (QwenVLQuotaExceededError, (QwenVLRateLimitError,)),
        (QwenVLStreamInterruptedError, (QwenVLConnectionError,)),
        (QwenVLOutputError, (QwenVLError, ValueError)),
        (QwenVLTimeoutError, (QwenVLError,)),
        (QwenVLAPIError, (QwenVLError,)),
    ],
)
def test_error_class_has_its_bases(kind: type[QwenVLError], parents: tuple[type[Exception], ...]) -> None:
    assert all(issubclass(kind, parent) for parent in parents)
    bare = kind("What happened.")
    assert bare.message == "What happened."
    assert (bare.code, bare.status_code, bare.request_id, bare.partial) == (None, None, None, "")
    assert str(bare) == f"What happened. {bare.hint}".strip()


def test_error_str_holds_details_and_hint() -> None:
    error = QwenVLRateLimitError("Slow down.", code="limit_requests", status_code=429, request_id="r-1", hint="Wait.")
    assert str(error) == "Slow down. (status 429, code limit_requests, request id r-1) Wait."
    assert re.search("max_retries", QwenVLRateLimitError.hint)  # the hint of the class is unchanged


def test_error_payload_without_message_has_default_message() -> None:
    assert error_from_payload(ErrorPayload("")).message == "The server reported an error without a message."

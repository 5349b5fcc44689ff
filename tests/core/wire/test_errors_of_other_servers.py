"""Parse the errors of vLLM, transformers and other servers."""

from __future__ import annotations

import json
from typing import Any

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
    QwenVLNotFoundError,
    QwenVLRateLimitError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
)
from qwenvl_core.wire import errors
from qwenvl_core.wire.error_classes import ErrorPayload, error_from_payload
from tests.emulator import Emulator, Fault, Quirks, Reply
from tests.support.pipeline import client, events_of, request

SHAPES: list[tuple[int, Any, type[QwenVLError], str | None, str]] = [
    # status, body, class, code, message
    (
        400,
        {"error": {"message": "Bad.", "type": "BadRequestError", "param": None, "code": 400}},
        QwenVLInvalidRequestError,
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
        QwenVLInvalidRequestError,
        "BadRequestError",
        "Bad.",
    ),
    (400, {"object": "error", "message": "Bad.", "code": 40303}, QwenVLInvalidRequestError, "40303", "Bad."),
    (500, {"error": "CUDA out of memory"}, QwenVLAPIError, None, "CUDA out of memory"),
    (422, {"detail": "Unexpected fields"}, QwenVLInvalidRequestError, None, "Unexpected fields"),
    (
        422,
        {"detail": [{"loc": ["body", "n"], "msg": "too large"}]},
        QwenVLInvalidRequestError,
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
    (400, {"message": "Bad."}, QwenVLInvalidRequestError, None, "Bad."),
    (
        400,
        {"error": {"code": None, "type": "invalid_request_error", "message": "you must provide a model parameter."}},
        QwenVLInvalidRequestError,
        "invalid_request_error",
        "you must provide a model parameter.",
    ),
    (
        400,
        {"error": None, "code": "InvalidParameter", "message": "Bad."},
        QwenVLInvalidRequestError,
        "InvalidParameter",
        "Bad.",
    ),
    (400, {"error": {}}, QwenVLInvalidRequestError, None, "{}"),
    (400, {}, QwenVLInvalidRequestError, None, "{}"),
    (400, [], QwenVLInvalidRequestError, None, "[]"),
    (400, "text", QwenVLInvalidRequestError, None, "text"),
    (402, {}, QwenVLArrearageError, None, "{}"),
    (408, {}, QwenVLTimeoutError, None, "{}"),
    (409, {}, QwenVLInvalidRequestError, None, "{}"),
    (413, {}, QwenVLInvalidRequestError, None, "{}"),
    (502, {}, QwenVLAPIError, None, "{}"),
    (504, {}, QwenVLTimeoutError, None, "{}"),
]


@pytest.mark.parametrize(("status", "body", "kind", "code", "message"), SHAPES)
def test_error_shape_of_other_server_is_parsed(
    status: int, body: Any, kind: Any, code: str | None, message: str
) -> None:
    error = error_from_payload(errors.parse_error_body(json.dumps(body), status_code=status, request_id="r"))
    assert type(error) is kind
    assert (error.code, error.status_code, error.message, error.request_id) == (code, status, message, "r")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (500, "", QwenVLAPIError, "HTTP 500 with an empty body"),
        (502, "<html><body>Bad Gateway</body></html>", QwenVLAPIError, "HTTP 502: an HTML page"),
        (503, "\n<!DOCTYPE HTML>\n<html>", QwenVLAPIError, "HTTP 503: an HTML page"),
        (429, "Too many requests", QwenVLRateLimitError, "HTTP 429: Too many requests"),
        (401, '{"error": {"mess', QwenVLAuthenticationError, 'HTTP 401: {"error": {"mess'),
        (400, "data: {broken", QwenVLInvalidRequestError, "HTTP 400: data: {broken"),
        (400, "data: [DONE]", QwenVLInvalidRequestError, "HTTP 400: data: [DONE]"),
        (400, "data:", QwenVLInvalidRequestError, "HTTP 400: data:"),
        (400, "[" * 100_000, QwenVLInvalidRequestError, "HTTP 400: [["),
        (307, "", QwenVLAPIError, "HTTP 307"),
        (599, "x" * 100_000, QwenVLAPIError, "HTTP 599"),
    ],
)
def test_body_that_is_not_json_is_quoted(status: int, body: str, kind: Any, words: str) -> None:
    error = error_from_payload(errors.parse_error_body(body, status_code=status))
    assert type(error) is kind
    assert error.message.startswith(words)
    assert len(error.message) < 600


@pytest.mark.parametrize(
    ("quirks", "kind", "code"),
    [
        (Quirks(integer_error_code=True), QwenVLInvalidRequestError, "invalid_request_error"),
        (Quirks(error_as_string=True), QwenVLInvalidRequestError, None),
        (Quirks(detail_error=True), QwenVLInvalidRequestError, None),
        (Quirks(flat_error=True, integer_error_code=True), QwenVLInvalidRequestError, "invalid_request_error"),
        (Quirks(broken_error=True), QwenVLInvalidRequestError, None),
        (Quirks(no_request_id=True), QwenVLInvalidRequestError, "invalid_parameter_error"),
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
        error = error_from_payload(errors.parse_error_body(json.dumps({"error": echoed}), status_code=400))
        assert image[:100] not in str(error)
    assert "Bad image data:image/png;base64,…!" in str(
        error_from_payload(
            ErrorPayload(errors.parse_error_body(f"Bad image data:image/png;base64,{image}!", status_code=400).message)
        )
    )

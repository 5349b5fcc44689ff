"""Check the classes of errors and their messages."""

from __future__ import annotations

import re

import pytest

from qwenvl_core.errors import (
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
)
from qwenvl_core.wire.error_classes import ErrorPayload, error_from_payload


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


@pytest.mark.parametrize(
    "text", ["Repetitive tool calls detected in the conversation.", "<400> Algo: repetitive tool calls detected"]
)
def test_hint_for_repetitive_tool_calls_names_the_way_out(text: str) -> None:
    error = error_from_payload(ErrorPayload(text, code="InvalidParameter", status_code=400))
    assert type(error) is QwenVLInvalidRequestError
    assert "Remove the repeated rounds" in str(error)


@pytest.mark.parametrize("text", ["scan\udcff.pdf", "half \ud83d"], ids=["file name", "cut text"])
def test_error_with_half_a_character_can_be_printed_and_logged(text: str) -> None:
    error = QwenVLInputError(f"No such file: {text}.", hint=f"Delete {text}.")
    for shown in (str(error), error.message, *error.args):
        assert b"\\ud" in shown.encode()

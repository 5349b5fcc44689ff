"""Choose the class of `qwenvl_core.errors` for a server's error.

Sources of the codes and messages: the vendor's page "Error codes" (Model Studio); replies of vLLM and transformers
servers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    QwenVLPermissionDeniedError,
    QwenVLQuotaExceededError,
    QwenVLRateLimitError,
    QwenVLTimeoutError,
)


@dataclass(frozen=True, slots=True)
class ErrorPayload:
    """A server's error as parsed from its reply, before an exception class is chosen.

    Attributes:
        message: The server's message.
        code: The server's error code, if it sent one.
        status_code: The HTTP status, or the one stated inside a stream; `None` when neither is known.
        request_id: The vendor's id of the request, if known.
    """

    message: str
    code: str | None = None
    status_code: int | None = None
    request_id: str | None = None


def _contains(*phrases: str) -> Callable[[ErrorPayload], bool]:
    """Build a test for any of `phrases` in the code or the message, ignoring case."""
    lowered = tuple(phrase.lower() for phrase in phrases)

    def matches(payload: ErrorPayload) -> bool:
        text = f"{payload.code or ''} {payload.message}".lower()
        return any(phrase in text for phrase in lowered)

    return matches


def _has_code(*prefixes: str) -> Callable[[ErrorPayload], bool]:
    """Build a test for a code that begins with any of `prefixes`, ignoring case."""
    lowered = tuple(prefix.lower() for prefix in prefixes)
    return lambda payload: (payload.code or "").lower().startswith(lowered)


def _has_status(low: int, high: int | None = None) -> Callable[[ErrorPayload], bool]:
    """Build a test for an HTTP status from `low` to `high`, both included."""
    return lambda payload: low <= (payload.status_code or 0) <= (high or low)


# The first match is used. Codes and messages come first: they are more specific than the status, and errors inside a
# stream may have no status.
_CLASSES: tuple[tuple[Callable[[ErrorPayload], bool], type[QwenVLError]], ...] = (
    (_contains("DataInspectionFailed", "data_inspection_failed"), QwenVLContentFilterError),
    (_contains("Arrearage", "BillOverdue", "CommodityNotPurchased"), QwenVLArrearageError),
    (_contains("FreeTierOnly", "free allocated quota exceeded", "free tier"), QwenVLQuotaExceededError),
    (
        _contains(
            "Range of input length",
            "token length exceed model limit",  # Model Studio
            "maximum context length",
            "context_length_exceeded",
            "exceeds the available context size",  # llama.cpp
            "exceed_context_size_error",
        ),
        QwenVLContextOverflowError,
    ),
    (_has_code("InvalidApiKey", "invalid_api_key"), QwenVLAuthenticationError),
    (_contains("Model not exist"), QwenVLModelNotFoundError),  # with the code InvalidParameter in the native API
    (_has_code("ModelNotFound", "model_not_found", "model_not_supported"), QwenVLModelNotFoundError),
    (_contains("does not exist or you do not have access to it", "` does not exist"), QwenVLModelNotFoundError),  # vLLM
    (
        _has_code("AccessDenied", "Model.AccessDenied", "Workspace.AccessDenied", "access_denied"),
        QwenVLPermissionDeniedError,
    ),
    (_has_code("Throttling", "limit_requests", "limit_burst_rate", "insufficient_quota"), QwenVLRateLimitError),
    (_has_code("RequestTimeOut", "request_timeout"), QwenVLTimeoutError),
    (_has_code("InvalidParameter", "invalid_parameter", "InvalidURL", "BadRequest"), QwenVLInvalidRequestError),
    (_has_status(401), QwenVLAuthenticationError),
    (_has_status(402), QwenVLArrearageError),
    (_has_status(403), QwenVLPermissionDeniedError),
    (_has_status(404), QwenVLNotFoundError),
    (_has_status(429), QwenVLRateLimitError),
    (_has_status(408), QwenVLTimeoutError),
    (_has_status(504), QwenVLTimeoutError),
    (_has_status(400, 499), QwenVLInvalidRequestError),
)

_HINTS: tuple[tuple[Callable[[ErrorPayload], bool], str], ...] = (
    (
        _has_status(300, 399),
        "The server redirects to another address. Redirects are not followed, so that the API key and the documents go "
        "nowhere else. Check base_url=.",
    ),
    (
        _contains("Repetitive tool call"),
        "The conversation contains rounds with the same tool call and result. Remove the repeated rounds from the "
        "messages, or merge them into one, and limit the number of rounds of the agent. The service would reject "
        "the same messages again.",
    ),
)
"""Hints for errors whose class has a less specific one; the first match is used."""


def error_from_payload(payload: ErrorPayload, *, partial: str = "") -> QwenVLError:
    """Create the error of the matching class for a server's error.

    Args:
        payload: The server's error.
        partial: The answer text received before it.

    Returns:
        The error, not raised; a `QwenVLAPIError` if no more specific class matches.
    """
    cls = next((cls for matches, cls in _CLASSES if matches(payload)), QwenVLAPIError)
    return cls(
        payload.message or "The server reported an error without a message.",
        code=payload.code,
        status_code=payload.status_code,
        request_id=payload.request_id,
        partial=partial,
        hint=next((hint for matches, hint in _HINTS if matches(payload)), None),
    )

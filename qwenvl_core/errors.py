"""Define the errors of this package and choose the class for a server's error.

```
QwenVLError
├── QwenVLInputError (ValueError)          the request can't be expressed or sent; nothing was sent
├── QwenVLAuthenticationError              401
│   └── QwenVLMissingKeyError (ValueError) the API key is missing; nothing was sent
├── QwenVLPermissionDeniedError            403
│   └── QwenVLArrearageError               the account is in arrears, or the product was never purchased
├── QwenVLNotFoundError                    404
│   └── QwenVLModelNotFoundError
├── QwenVLInvalidRequestError              400, 413, 422
│   ├── QwenVLContentFilterError           data inspection rejected the input or the output
│   └── QwenVLContextOverflowError         the input is longer than the model's context
├── QwenVLRateLimitError                   429
│   └── QwenVLQuotaExceededError           a used-up quota that waiting does not refill
├── QwenVLTimeoutError                     no response, or no next chunk, in time
├── QwenVLConnectionError                  the server could not be reached, or closed the connection
│   └── QwenVLStreamInterruptedError       the stream ended before the answer was complete
├── QwenVLOutputError (ValueError)         the answer lacks the required tool call or JSON
├── QwenVLPageError                        a page of a document could not be read
└── QwenVLAPIError                         5xx, or a reply of an unknown shape
```

Sources of the codes and messages: the vendor's page "Error codes" (Model Studio); replies of vLLM and transformers
servers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar


class QwenVLError(Exception):
    """Base class of every error that this package raises.

    Attributes:
        message: What happened; the server's own message where there is one.
        code: The server's error code, e.g. `"InvalidApiKey"`; `None` if it sent none.
        status_code: The HTTP status; `None` when no response was received.
        request_id: The vendor's id of the request, for its support.
        partial: The answer text received before the error.
        hint: What to do about the error.
        retry_after: Seconds to wait before the next request, as the server requests; `None` if it states none.
        retryable: Whether a later attempt of the same request may succeed.
    """

    hint: str = ""
    retry_after: float | None = None
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        partial: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status_code = status_code
        self.request_id = request_id
        self.partial = partial
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        details = [
            f"{name} {value}"
            for name, value in (
                ("status", self.status_code),
                ("code", self.code),
                ("request id", self.request_id),
            )
            if value is not None
        ]
        suffix = f" ({', '.join(details)})" if details else ""
        return f"{self.message}{suffix}" + (f" {self.hint}" if self.hint else "")


class QwenVLInputError(QwenVLError, ValueError):
    """The input can't be expressed for Qwen-VL. The message names its location; nothing was sent."""


class QwenVLAuthenticationError(QwenVLError):
    """The server rejected the API key (401)."""

    hint = (
        "Check the API key and that it belongs to this endpoint: a Model Studio key is valid in one region only. "
        "Set region=, workspace= or base_url= to those of the key."
    )


class QwenVLMissingKeyError(QwenVLAuthenticationError, ValueError):
    """The API key is missing; nothing was sent."""

    hint = "Pass api_key= or set the environment variable DASHSCOPE_API_KEY."


class QwenVLPermissionDeniedError(QwenVLError):
    """The API key is valid but lacks the permission (403)."""

    hint = "Check in the Model Studio console that this account and workspace are allowed to use the model."


class QwenVLArrearageError(QwenVLPermissionDeniedError):
    """The account is in arrears or the product was not purchased."""

    hint = "Settle the account's balance in the Alibaba Cloud console. Retrying does not help."


class QwenVLNotFoundError(QwenVLError):
    """The address does not exist on the server (404)."""

    hint = "Check base_url= and that the model exists in this region."


class QwenVLModelNotFoundError(QwenVLNotFoundError):
    """The model does not exist at this endpoint, or the account has no access to it."""

    hint = "Check the model's name and that this region offers the model. Models differ by region."


class QwenVLInvalidRequestError(QwenVLError):
    """The server rejected the request as invalid (400, 413, 422)."""

    hint = "Correct what the message names. The server would reject the same request again."


class QwenVLContentFilterError(QwenVLInvalidRequestError):
    """Data inspection rejected the input or cut off the output."""

    hint = "The vendor's content inspection rejected it. Change the input; retrying the same one does not help."


class QwenVLContextOverflowError(QwenVLInvalidRequestError):
    """The input is longer than the model's context."""

    hint = "Send fewer messages or fewer or smaller images, or use a model with a longer context."


class QwenVLRateLimitError(QwenVLError):
    """The rate of requests or tokens exceeds the limit (429)."""

    hint = "Send requests less often, or raise max_retries=."
    retryable = True


class QwenVLQuotaExceededError(QwenVLRateLimitError):
    """A quota that waiting does not refill is used up."""

    hint = "The quota is used up. Change the plan or the model in the console; retrying does not help."
    retryable = False


class QwenVLTimeoutError(QwenVLError):
    """The server did not answer, or stalled between two chunks, for longer than allowed."""

    hint = "Raise timeout= (seconds to connect and to read) or stream_chunk_timeout= (seconds between chunks)."
    retryable = True


class QwenVLConnectionError(QwenVLError):
    """The server could not be reached, or the connection broke."""

    hint = "Check base_url= and the network, including its proxies (HTTPS_PROXY, NO_PROXY)."
    retryable = True


class QwenVLStreamInterruptedError(QwenVLConnectionError):
    """The stream ended before the answer was complete; `partial` holds the text received until then."""

    hint = "The text received so far is in .partial. Send the request again."


class QwenVLOutputError(QwenVLError, ValueError):
    """The answer lacks the tool call or the JSON that the request required, or holds nothing usable.

    Attributes:
        reasoning: The reasoning of the answer, whose text is `partial`.
        finish: The reply's `Finish` event, if the answer is complete otherwise.
    """

    reasoning: str = ""
    finish: Any = None
    hint = "Try again, state the requirement more clearly in the prompt, or use a model that can be forced."


class QwenVLPageError(QwenVLError):
    """A page of a document could not be read; code, status, request id, partial text and hint are those of the cause.

    Attributes:
        page_number: Number of the page, counted from 1.
        cause: The error that occurred; also set as `__cause__`.
    """

    page_number: int = 0
    cause: Exception | None = None

    @classmethod
    def from_cause(cls, cause: Exception, page_number: int, document: str) -> QwenVLPageError:
        """Create the error of one page of `document` from its cause."""
        known = cause if isinstance(cause, QwenVLError) else QwenVLError(f"{type(cause).__name__}: {cause}")
        error = cls(
            f"{document}, page {page_number}: {known.message}",
            code=known.code,
            status_code=known.status_code,
            request_id=known.request_id,
            partial=known.partial,
            hint=known.hint,
        )
        error.page_number, error.cause = page_number, cause
        return error


class QwenVLAPIError(QwenVLError):
    """The server failed (5xx), or its reply has an unknown shape."""

    hint = "The server failed. Try again later; if the error persists, report the request id to the server's support."
    retryable = True


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

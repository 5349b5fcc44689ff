"""What can go wrong, as one tree.

```
QwenVLError
├── QwenVLInputError (ValueError)          the request can't be expressed or sent; nothing left this machine
├── QwenVLAuthenticationError              401
│   └── QwenVLMissingKeyError (ValueError) no key at all; nothing was sent
├── QwenVLPermissionDeniedError            403
│   └── QwenVLArrearageError               the account is in arrears, or the product was never purchased
├── QwenVLNotFoundError                    404
│   └── QwenVLModelNotFoundError
├── QwenVLInvalidRequestError              400, 413, 422
│   ├── QwenVLContentFilterError           input or output was refused by data inspection
│   └── QwenVLContextOverflowError         the input is longer than the model's context
├── QwenVLRateLimitError                   429
│   └── QwenVLQuotaExceededError           a quota that waiting does not refill
├── QwenVLTimeoutError                     no answer, or no next chunk, in time
├── QwenVLConnectionError                  the server could not be reached, or hung up
│   └── QwenVLStreamInterruptedError       the stream ended before the answer did
├── QwenVLOutputError (ValueError)         the model's answer is not what was demanded of it
├── QwenVLPageError                        a page of a document could not be read
└── QwenVLAPIError                         5xx, or a reply that can't be read
```

Codes and messages: the vendor's page "Error codes" (Model Studio), and what vLLM and transformers servers send.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar


class QwenVLError(Exception):
    """Base of every error this project raises.

    Attributes:
        message: What happened, in the server's words where it has some.
        code: The server's error code, e.g. `"InvalidApiKey"`; `None` where there is none.
        status_code: The HTTP status; `None` when no response was received.
        request_id: The vendor's id of the request, to quote to its support.
        partial: The answer text received before the error.
        hint: What to do about it.
        retry_after: Seconds that the server asks to wait before the next request; `None` where it names none.
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
        facts = [
            f"{name} {value}"
            for name, value in (
                ("status", self.status_code),
                ("code", self.code),
                ("request id", self.request_id),
            )
            if value is not None
        ]
        about = f" ({', '.join(facts)})" if facts else ""
        return f"{self.message}{about}" + (f" {self.hint}" if self.hint else "")


class QwenVLInputError(QwenVLError, ValueError):
    """The input can't be expressed for Qwen-VL. The message names the place; nothing was sent."""


class QwenVLAuthenticationError(QwenVLError):
    """The key was refused (401)."""

    hint = (
        "Check the key, and that it belongs to this endpoint: Model Studio keys are valid in one region only "
        "(set region=, workspace= or base_url= to the key's own)."
    )


class QwenVLMissingKeyError(QwenVLAuthenticationError, ValueError):
    """There is no key; nothing was sent."""

    hint = "Pass api_key= or set the environment variable DASHSCOPE_API_KEY."


class QwenVLPermissionDeniedError(QwenVLError):
    """The key is valid but may not do this (403)."""

    hint = "Check in the Model Studio console that this account and workspace may use the model."


class QwenVLArrearageError(QwenVLPermissionDeniedError):
    """The account is in arrears or the product was not purchased."""

    hint = "Settle the account's balance in the Alibaba Cloud console; retrying does not help."


class QwenVLNotFoundError(QwenVLError):
    """There is nothing under this address (404)."""

    hint = "Check base_url= and that the model exists in this region."


class QwenVLModelNotFoundError(QwenVLNotFoundError):
    """The model does not exist at this endpoint, or this account may not use it."""

    hint = "Check the model's name and that this region offers it (models differ by region)."


class QwenVLInvalidRequestError(QwenVLError):
    """The server refused the request as invalid (400, 413, 422)."""

    hint = "Change what it names: the same request would be refused again."


class QwenVLContentFilterError(QwenVLInvalidRequestError):
    """Data inspection refused the input or cut off the output."""

    hint = "The vendor's content inspection refused it; change the input. Retrying the same one does not help."


class QwenVLContextOverflowError(QwenVLInvalidRequestError):
    """The input is longer than the model's context."""

    hint = "Send fewer messages, fewer or smaller images, or a model with a longer context."


class QwenVLRateLimitError(QwenVLError):
    """Requests or tokens come faster than the limit allows (429)."""

    hint = "Slow down, or raise max_retries=."
    retryable = True


class QwenVLQuotaExceededError(QwenVLRateLimitError):
    """A quota is used up that waiting does not refill."""

    hint = "The quota is used up: change the prepared or the model in the console; retrying does not help."
    retryable = False


class QwenVLTimeoutError(QwenVLError):
    """The server did not answer, or stalled between two chunks, for longer than allowed."""

    hint = "Raise timeout= (seconds to connect and to read) or stream_chunk_timeout= (seconds between chunks)."
    retryable = True


class QwenVLConnectionError(QwenVLError):
    """The server could not be reached, or the connection broke."""

    hint = "Check base_url= and the network, its proxies included (HTTPS_PROXY, NO_PROXY)."
    retryable = True


class QwenVLStreamInterruptedError(QwenVLConnectionError):
    """The stream ended before the answer did; `partial` holds the text that had arrived."""

    hint = "What had arrived is in .partial; send the request again."


class QwenVLOutputError(QwenVLError, ValueError):
    """The model called no tool, or wrote no JSON, though the request demanded it.

    Attributes:
        finish: The reply's `Finish` event, where the answer is whole but for that demand.
    """

    finish: Any = None
    hint = "Ask again, make the demand in the prompt plainer, or take a model that can be forced."


class QwenVLPageError(QwenVLError):
    """A page of a document could not be read. Code, status, partial text and hint are those of the cause.

    Attributes:
        page_number: The page, from 1.
        cause: Why; `__cause__` as well.
    """

    page_number: int = 0
    cause: Exception | None = None

    @classmethod
    def of(cls, cause: Exception, page_number: int, document: str) -> QwenVLPageError:
        """The error for a page of `document`."""
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
    """The server failed (5xx), or its reply can't be read."""

    hint = "The fault is the server's: try again later, and quote the request id to its support if it stays."
    retryable = True


@dataclass(frozen=True, slots=True)
class ErrorPayload:
    """A server's failure as read from any of its carriers, before it has a class.

    `status_code` is the HTTP status, or the one named inside a stream; `None` when neither is known.
    """

    message: str
    code: str | None = None
    status_code: int | None = None
    request_id: str | None = None


def _says(*needles: str) -> Callable[[ErrorPayload], bool]:
    """A test for any of `needles` in the code or the message, case ignored."""
    folded = tuple(needle.lower() for needle in needles)

    def matches(failure: ErrorPayload) -> bool:
        text = f"{failure.code or ''} {failure.message}".lower()
        return any(needle in text for needle in folded)

    return matches


def _code(*starts: str) -> Callable[[ErrorPayload], bool]:
    """A test for a code that begins with any of `starts`, case ignored."""
    folded = tuple(start.lower() for start in starts)
    return lambda failure: (failure.code or "").lower().startswith(folded)


def _status(low: int, high: int | None = None) -> Callable[[ErrorPayload], bool]:
    """A test for an HTTP status from `low` up to `high`, both included."""
    return lambda failure: low <= (failure.status_code or 0) <= (high or low)


# First match wins: what the code or message says is more exact than the status, which in-stream errors lack.
_CLASSES: tuple[tuple[Callable[[ErrorPayload], bool], type[QwenVLError]], ...] = (
    (_says("DataInspectionFailed", "data_inspection_failed"), QwenVLContentFilterError),
    (_says("Arrearage", "BillOverdue", "CommodityNotPurchased"), QwenVLArrearageError),
    (_says("FreeTierOnly", "free allocated quota exceeded", "free tier"), QwenVLQuotaExceededError),
    (
        _says(
            "Range of input length",
            "token length exceed model limit",  # the vendor's
            "maximum context length",
            "context_length_exceeded",
        ),
        QwenVLContextOverflowError,
    ),
    (_code("InvalidApiKey", "invalid_api_key"), QwenVLAuthenticationError),
    (_code("ModelNotFound", "model_not_found", "model_not_supported"), QwenVLModelNotFoundError),
    (_says("does not exist or you do not have access to it", "` does not exist"), QwenVLModelNotFoundError),  # vLLM
    (
        _code("AccessDenied", "Model.AccessDenied", "Workspace.AccessDenied", "access_denied"),
        QwenVLPermissionDeniedError,
    ),
    (_code("Throttling", "limit_requests", "limit_burst_rate", "insufficient_quota"), QwenVLRateLimitError),
    (_code("RequestTimeOut", "request_timeout"), QwenVLTimeoutError),
    (_code("InvalidParameter", "invalid_parameter", "InvalidURL", "BadRequest"), QwenVLInvalidRequestError),
    (_status(401), QwenVLAuthenticationError),
    (_status(402), QwenVLArrearageError),
    (_status(403), QwenVLPermissionDeniedError),
    (_status(404), QwenVLNotFoundError),
    (_status(429), QwenVLRateLimitError),
    (_status(408), QwenVLTimeoutError),
    (_status(504), QwenVLTimeoutError),
    (_status(400, 499), QwenVLInvalidRequestError),
)

_redirects = _status(300, 399)
_ELSEWHERE = "This address leads elsewhere, where neither key nor documents are sent: check base_url=."


def error_from_payload(failure: ErrorPayload, *, partial: str = "") -> QwenVLError:
    """The error of the right class for a server's failure.

    Args:
        failure: What the server said.
        partial: The answer text received before it.

    Returns:
        An error ready to raise; `QwenVLAPIError` when nothing more exact fits.
    """
    cls = next((cls for matches, cls in _CLASSES if matches(failure)), QwenVLAPIError)
    return cls(
        failure.message or "The server failed without saying why.",
        code=failure.code,
        status_code=failure.status_code,
        request_id=failure.request_id,
        partial=partial,
        hint=_ELSEWHERE if _redirects(failure) else None,
    )

"""Define the errors of this package; `docs/errors.md` is rendered from their docstrings: cause, then way out."""

from __future__ import annotations

from typing import Any, ClassVar


class QwenVLError(Exception):
    """Base class of every error that this package raises.

    Way out: Read `hint`. Where `retryable` is true, the same request may succeed later.

    Attributes:
        message: What happened; the server's own message where there is one.
        code: The server's error code, e.g. `"InvalidApiKey"`; `None` if it sent none.
        status_code: The HTTP status; `None` when no response was received.
        request_id: The vendor's id of the request, for its support.
        partial: The answer text received before the error.
        hint: What to do about the error.
        retry_after: Seconds to wait before the next request, as the server requests; `None` if it states none.
        retryable: Whether a later attempt of the same request may succeed.

    Example:
        ```python
        from langchain_qwenvl import ChatQwenVL

        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLError as error:
            print(error.message, error.code, error.status_code, error.request_id, error.hint)
        ```
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
        self.message = message.encode(errors="backslashreplace").decode()  # half a character can't be printed
        super().__init__(self.message)
        self.code = code
        self.status_code = status_code
        self.request_id = request_id
        self.partial = partial
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        values = {"status": self.status_code, "code": self.code, "request id": self.request_id}
        details = [f"{name} {value}" for name, value in values.items() if value is not None]
        suffix = f" ({', '.join(details)})" if details else ""
        text = f"{self.message}{suffix}" + (f" {self.hint}" if self.hint else "")
        return text.encode(errors="backslashreplace").decode()


class QwenVLInputError(QwenVLError, ValueError):
    """The input can't be expressed for Qwen-VL. The message names its location; nothing was sent.

    Way out: Change what the message names: it says what is allowed.

    Example:
        ```python
        try:
            llm.complete("Hi", temperature=3)
        except QwenVLInputError as error:
            print(error)
        ```
    """


class QwenVLAuthenticationError(QwenVLError):
    """The server rejected the API key (401).

    Way out: Use a key of this region: `region=`, `workspace=` and `base_url=` say where it is sent.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLAuthenticationError as error:
            print(error.status_code, error.hint)
        ```
    """

    hint = (
        "Check the API key and that it belongs to this endpoint: a Model Studio key is valid in one region only. "
        "Set region=, workspace= or base_url= to those of the key."
    )


class QwenVLMissingKeyError(QwenVLAuthenticationError, ValueError):
    """The API key is missing; nothing was sent.

    Way out: Pass `api_key=`, or set the environment variable that the message names.

    Example:
        ```python
        try:
            QwenVL().complete("Hi")
        except QwenVLMissingKeyError as error:
            print(error)
        ```
    """

    hint = "Pass api_key= or set the environment variable DASHSCOPE_API_KEY."


class QwenVLPermissionDeniedError(QwenVLError):
    """The API key is valid but lacks the permission (403).

    Way out: Allow the model to the account and its workspace in the Model Studio console.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLPermissionDeniedError as error:
            print(error.code)
        ```
    """

    hint = "Check in the Model Studio console that this account and workspace are allowed to use the model."


class QwenVLArrearageError(QwenVLPermissionDeniedError):
    """The account is in arrears or the product was not purchased.

    Way out: Pay the balance, or buy the product, in the Alibaba Cloud console.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLArrearageError as error:
            print(error.hint)
        ```
    """

    hint = "Settle the account's balance in the Alibaba Cloud console. Retrying does not help."


class QwenVLNotFoundError(QwenVLError):
    """The address does not exist on the server (404).

    Way out: Correct `base_url=`.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLNotFoundError as error:
            print(error.message)
        ```
    """

    hint = "Check base_url= and that the model exists in this region."


class QwenVLModelNotFoundError(QwenVLNotFoundError):
    """The model does not exist at this endpoint, or the account has no access to it.

    Way out: Correct `model=`, or use a region that offers the model.

    Example:
        ```python
        try:
            llm.complete("Hi", model="qwen9-vl")
        except QwenVLModelNotFoundError as error:
            print(error.message)
        ```
    """

    hint = "Check the model's name and that this region offers the model. Models differ by region."


class QwenVLInvalidRequestError(QwenVLError):
    """The server rejected the request as invalid (400, 413, 422).

    Way out: Correct what the message names.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLInvalidRequestError as error:
            print(error.message)
        ```
    """

    hint = "Correct what the message names. The server would reject the same request again."


class QwenVLContentFilterError(QwenVLInvalidRequestError):
    """Data inspection rejected the input or cut off the output.

    Way out: Change the input. Of an answer that was cut off, `partial` holds the beginning.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLContentFilterError as error:
            print(error.partial)
        ```
    """

    hint = "The vendor's content inspection rejected it. Change the input; retrying the same one does not help."


class QwenVLContextOverflowError(QwenVLInvalidRequestError):
    """The input is longer than the model's context.

    Way out: Send fewer messages, or fewer or smaller images, or use a model with a longer context.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLContextOverflowError as error:
            print(error.hint)
        ```
    """

    hint = "Send fewer messages or fewer or smaller images, or use a model with a longer context."


class QwenVLInputOverflowError(QwenVLInputError, QwenVLContextOverflowError):
    """The input is certainly longer than what batches take; nothing was sent.

    Way out: Send less, or send the request without `service_tier="batch"`: some models then take more.

    Example:
        ```python
        print(issubclass(QwenVLInputOverflowError, QwenVLContextOverflowError))  # True
        ```
    """

    hint = "Send fewer messages or fewer or smaller images, or send the request alone, without a batch."


class QwenVLRateLimitError(QwenVLError):
    """The rate of requests or tokens exceeds the limit (429).

    Way out: Wait for `retry_after` seconds, send less at once (`rate_limiter=`), or raise `max_retries=`.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLRateLimitError as error:
            print(error.retry_after)
        ```
    """

    hint = "Send requests less often, or raise max_retries=."
    retryable = True


class QwenVLQuotaExceededError(QwenVLRateLimitError):
    """A quota that waiting does not refill is used up.

    Way out: Change the plan or the model in the console.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLQuotaExceededError as error:
            print(error.hint)
        ```
    """

    hint = "The quota is used up. Change the plan or the model in the console; retrying does not help."
    retryable = False


class QwenVLTimeoutError(QwenVLError):
    """The server did not answer, or stalled between two chunks, for longer than allowed.

    Way out: Raise `timeout=` or `stream_chunk_timeout=`; long thinking is shorter with `thinking_budget=`.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLTimeoutError as error:
            print(error.partial)
        ```
    """

    hint = "Raise timeout= (seconds to connect and read) or, for chats, stream_chunk_timeout= (seconds between chunks)."
    retryable = True


class QwenVLConnectionError(QwenVLError):
    """The server could not be reached, or the connection broke.

    Way out: Check `base_url=`, the network, and its proxies.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLConnectionError as error:
            print(error.__cause__)
        ```
    """

    hint = "Check base_url= and the network, including its proxies (HTTPS_PROXY, NO_PROXY)."
    retryable = True


class QwenVLStreamInterruptedError(QwenVLConnectionError):
    """The stream ended before the answer was complete; `partial` holds the text received until then.

    Way out: Send the request again, or continue from `partial`.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLStreamInterruptedError as error:
            print(error.partial)
        ```
    """

    hint = "The text received so far is in .partial. Send the request again."


class QwenVLOutputError(QwenVLError, ValueError):
    """The answer lacks the tool call or the JSON that the request required, or holds nothing usable.

    Way out: State the demand in the prompt; raise `max_tokens=` if the answer was cut off, or `output_retries=`.

    Attributes:
        reasoning: The reasoning of the answer, whose text is `partial`.
        finish: The reply's `Finish` event, if the answer is complete otherwise.

    Example:
        ```python
        try:
            llm.complete("Name three rivers as JSON", response_format={"type": "json_object"})
        except QwenVLOutputError as error:
            print(error.reasoning, error.partial)
        ```
    """

    reasoning: str = ""
    finish: Any = None
    hint = "Try again, state the requirement more clearly in the prompt, or use a model that can be forced."


class QwenVLPageError(QwenVLError):
    """A page of a document could not be read; code, status, request id, partial text and hint are those of the cause.

    Way out: Read `cause`; `on_error="skip"` goes on with the other pages, and `cache_dir=` keeps those that were read.

    Attributes:
        page_number: Number of the page, counted from 1.
        cause: The error that occurred; also set as `__cause__`.

    Example:
        ```python
        try:
            QwenVLReader().load_data("agreement.pdf")
        except QwenVLPageError as error:
            print(error.page_number, error.cause)
        ```
    """

    page_number: int = 0
    cause: Exception | None = None


class QwenVLAPIError(QwenVLError):
    """The server failed (5xx), or its reply has an unknown shape.

    Way out: Try again later; report `request_id` to the server's support if it happens again.

    Example:
        ```python
        try:
            llm.complete("Hi")
        except QwenVLAPIError as error:
            print(error.request_id)
        ```
    """

    hint = "The server failed. Try again later; if the error persists, report the request id to the server's support."
    retryable = True

"""Define exceptions that are both errors of `qwenvl_core.errors` and langchain-core errors.

Code that catches either kind catches them. A subclass in `qwenvl_core.errors` is a subclass here too, so
`except QwenVLConnectionError` also catches an interrupted stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import langchain_core.exceptions as langchain
from langchain_core.messages.ai import AIMessage

from qwenvl_core import errors as core

if TYPE_CHECKING:
    from langchain_core.exceptions import ModelRefusalError
else:
    ModelRefusalError = getattr(langchain, "ModelRefusalError", langchain.ModelError)


class QwenVLAuthenticationError(core.QwenVLAuthenticationError, langchain.ModelAuthenticationError):
    """The server rejected the API key (HTTP 401).

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLAuthenticationError as error:
            print(error.status_code, error.hint)
        ```
    """


class QwenVLMissingKeyError(core.QwenVLMissingKeyError, QwenVLAuthenticationError):
    """No API key was configured; no request was sent.

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLMissingKeyError as error:
            print(error)
        ```
    """


class QwenVLPermissionDeniedError(core.QwenVLPermissionDeniedError, langchain.ModelPermissionDeniedError):
    """The API key lacks permission for the request (HTTP 403).

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLPermissionDeniedError as error:
            print(error.code)
        ```
    """


class QwenVLArrearageError(core.QwenVLArrearageError, QwenVLPermissionDeniedError):
    """The account is in arrears, or the product was not purchased.

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLArrearageError as error:
            print(error.hint)
        ```
    """


class QwenVLNotFoundError(core.QwenVLNotFoundError, langchain.ModelNotFoundError):
    """The requested address does not exist (HTTP 404).

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLNotFoundError as error:
            print(error.message)
        ```
    """


class QwenVLModelNotFoundError(core.QwenVLModelNotFoundError, QwenVLNotFoundError):
    """The model does not exist at this endpoint, or the account may not use it.

    Example:
        ```python
        try:
            ChatQwenVL(model="qwen9-vl").invoke("Hi")
        except QwenVLModelNotFoundError as error:
            print(error.message)
        ```
    """


class QwenVLInvalidRequestError(core.QwenVLInvalidRequestError, langchain.ModelInvalidRequestError):
    """The server rejected the request as invalid (HTTP 400, 413, 422).

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLInvalidRequestError as error:
            print(error.message)
        ```
    """


class QwenVLInputError(core.QwenVLInputError, langchain.ModelInvalidRequestError):
    """The input or a setting cannot be sent; no request was sent. It is also a `ValueError`.

    Example:
        ```python
        try:
            ChatQwenVL(temperature=3).invoke("Hi")
        except QwenVLInputError as error:
            print(error)
        ```
    """


class QwenVLContentFilterError(core.QwenVLContentFilterError, QwenVLInvalidRequestError, ModelRefusalError):
    """The vendor's content inspection rejected the input or stopped the output.

    It is also langchain-core's `ModelRefusalError` where there is one (from 1.7.5); `raw_message` then holds the text
    that arrived before the output was stopped.

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLContentFilterError as error:
            print(error.partial)
        ```
    """


class QwenVLContextOverflowError(core.QwenVLContextOverflowError, langchain.ContextOverflowError):
    """The input exceeds the model's context window.

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLContextOverflowError as error:
            print(error.hint)
        ```
    """


class QwenVLInputOverflowError(
    core.QwenVLInputOverflowError, QwenVLInputError, QwenVLInvalidRequestError, QwenVLContextOverflowError
):
    """The input is longer than what batches take; no request was sent. Handlers of each of its kinds catch it.

    Example:
        ```python
        try:
            ChatQwenVL(service_tier="batch").invoke("word " * 300_000)
        except QwenVLInputOverflowError as error:
            print(error.message)
        ```
    """


class QwenVLRateLimitError(core.QwenVLRateLimitError, langchain.ModelRateLimitError):
    """Requests or tokens exceed the rate limit (HTTP 429).

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLRateLimitError as error:
            print(error.retry_after)
        ```
    """


class QwenVLQuotaExceededError(core.QwenVLQuotaExceededError, QwenVLRateLimitError):
    """A quota is exhausted, which a retry cannot resolve.

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLQuotaExceededError as error:
            print(error.hint)
        ```
    """

    is_retryable = False


class QwenVLTimeoutError(core.QwenVLTimeoutError, langchain.ModelTimeoutError):
    """The response, or the next chunk of it, did not arrive in time.

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLTimeoutError as error:
            print(error.partial)
        ```
    """


class QwenVLConnectionError(core.QwenVLConnectionError, langchain.ModelConnectionError):
    """The server cannot be reached, or the connection failed.

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLConnectionError as error:
            print(error.__cause__)
        ```
    """


class QwenVLStreamInterruptedError(core.QwenVLStreamInterruptedError, QwenVLConnectionError):
    """The stream ended before the answer was complete; `partial` is the text that arrived.

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLStreamInterruptedError as error:
            print(error.partial)
        ```
    """


class QwenVLOutputError(core.QwenVLOutputError, langchain.OutputParserException):
    """The answer lacks the tool call or the JSON that the request demands; `llm_output` is its text.

    Example:
        ```python
        try:
            ChatQwenVL().with_structured_output(list[str]).invoke("Name three rivers")
        except QwenVLOutputError as error:
            print(error.reasoning, error.llm_output)
        ```
    """

    is_retryable = False


class QwenVLAPIError(core.QwenVLAPIError, langchain.ModelAPIError):
    """The server failed (HTTP 5xx), or its reply cannot be parsed.

    Example:
        ```python
        try:
            ChatQwenVL().invoke("Hi")
        except QwenVLAPIError as error:
            print(error.request_id)
        ```
    """


_BY_CORE_CLASS: dict[type[core.QwenVLError], type[core.QwenVLError]] = {
    core.QwenVLAuthenticationError: QwenVLAuthenticationError,
    core.QwenVLMissingKeyError: QwenVLMissingKeyError,
    core.QwenVLPermissionDeniedError: QwenVLPermissionDeniedError,
    core.QwenVLArrearageError: QwenVLArrearageError,
    core.QwenVLNotFoundError: QwenVLNotFoundError,
    core.QwenVLModelNotFoundError: QwenVLModelNotFoundError,
    core.QwenVLInvalidRequestError: QwenVLInvalidRequestError,
    core.QwenVLInputError: QwenVLInputError,
    core.QwenVLContentFilterError: QwenVLContentFilterError,
    core.QwenVLContextOverflowError: QwenVLContextOverflowError,
    core.QwenVLInputOverflowError: QwenVLInputOverflowError,
    core.QwenVLRateLimitError: QwenVLRateLimitError,
    core.QwenVLQuotaExceededError: QwenVLQuotaExceededError,
    core.QwenVLTimeoutError: QwenVLTimeoutError,
    core.QwenVLConnectionError: QwenVLConnectionError,
    core.QwenVLStreamInterruptedError: QwenVLStreamInterruptedError,
    core.QwenVLOutputError: QwenVLOutputError,
    core.QwenVLAPIError: QwenVLAPIError,
}
"""Classes of this module by their core class. Other core errors are raised unchanged."""


def build_output_error(message: str, llm_output: str) -> QwenVLOutputError:
    """Build the error for an answer that does not have the required form.

    Args:
        message: What is wrong with the answer.
        llm_output: The answer's text.
    """
    error = QwenVLOutputError(message, partial=llm_output)
    error.llm_output = llm_output
    return error


def _find_class(error: core.QwenVLError) -> type[core.QwenVLError] | None:
    """Return the class of this module for a core error or a private subclass of one; `None` if it is one already."""
    if isinstance(error, langchain.LangChainException):
        return None
    return next((_BY_CORE_CLASS[cls] for cls in type(error).__mro__ if cls in _BY_CORE_CLASS), None)


@contextmanager
def map_core_errors() -> Iterator[None]:
    """Raise core errors as the classes of this module, with the same attributes and the same cause."""
    try:
        yield
    except core.QwenVLError as error:
        cls = _find_class(error)
        if cls is None:
            raise
        raise _convert_error(error, cls) from error.__cause__


def convert_core_error(error: core.QwenVLError) -> core.QwenVLError:
    """Return a core error as the class of this module, with the same attributes and the same cause."""
    cls = _find_class(error)
    if cls is None:
        return error
    converted = _convert_error(error, cls)
    converted.__cause__ = error.__cause__
    return converted


def _convert_error(error: core.QwenVLError, cls: type[core.QwenVLError]) -> core.QwenVLError:
    converted = cls(
        error.message,
        code=error.code,
        status_code=error.status_code,
        request_id=error.request_id,
        partial=error.partial,
        hint=error.hint,
    )
    converted.retry_after = error.retry_after
    if isinstance(converted, QwenVLOutputError):
        converted.llm_output = error.partial
        converted.reasoning, converted.finish = getattr(error, "reasoning", ""), getattr(error, "finish", None)
    elif isinstance(converted, QwenVLContentFilterError) and error.partial:
        converted.raw_message = AIMessage(error.partial)
    return converted.with_traceback(error.__traceback__)

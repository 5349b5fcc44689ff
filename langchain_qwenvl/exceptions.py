"""Our errors as LangChain's: each is both, so that code which knows either catches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import langchain_core.exceptions as langchain

from qwenvl_core import errors as core


def _both(ours: type[core.QwenVLError], theirs: type[Exception]) -> type[core.QwenVLError]:
    """A class that is one of ours and one of LangChain's; it keeps our name and our word on retrying."""
    facts = {"is_retryable": ours.retryable, "__doc__": ours.__doc__, "__module__": __name__}
    return type(ours.__name__, (ours, theirs), facts)


# Most exact first, as in the tree of `qwenvl_core.errors`; what is not named here is raised as it is.
_KINDS: tuple[tuple[type[core.QwenVLError], type[Exception]], ...] = (
    (core.QwenVLMissingKeyError, langchain.ModelAuthenticationError),
    (core.QwenVLAuthenticationError, langchain.ModelAuthenticationError),
    (core.QwenVLArrearageError, langchain.ModelPermissionDeniedError),
    (core.QwenVLPermissionDeniedError, langchain.ModelPermissionDeniedError),
    (core.QwenVLModelNotFoundError, langchain.ModelNotFoundError),
    (core.QwenVLNotFoundError, langchain.ModelNotFoundError),
    (core.QwenVLContentFilterError, langchain.ModelInvalidRequestError),
    (core.QwenVLContextOverflowError, langchain.ContextOverflowError),
    (core.QwenVLInvalidRequestError, langchain.ModelInvalidRequestError),
    (core.QwenVLQuotaExceededError, langchain.ModelRateLimitError),
    (core.QwenVLRateLimitError, langchain.ModelRateLimitError),
    (core.QwenVLTimeoutError, langchain.ModelTimeoutError),
    (core.QwenVLStreamInterruptedError, langchain.ModelConnectionError),
    (core.QwenVLConnectionError, langchain.ModelConnectionError),
    (core.QwenVLOutputError, langchain.OutputParserException),
    (core.QwenVLAPIError, langchain.ModelAPIError),
)
_CLASSES = {ours: _both(ours, theirs) for ours, theirs in _KINDS}
globals().update({cls.__name__: cls for cls in _CLASSES.values()})  # where pickle looks for them


def output_error(message: str, llm_output: str) -> core.QwenVLError:
    """The model's answer is not what was asked for: ours and LangChain's `OutputParserException`."""
    return _to_langchain_error(_CLASSES[core.QwenVLOutputError], core.QwenVLOutputError(message, partial=llm_output))


@contextmanager
def langchain_errors() -> Iterator[None]:
    """Raises core errors as their LangChain kind, with the same facts and the same cause."""
    try:
        yield
    except core.QwenVLError as error:
        cls = _CLASSES.get(type(error))
        if cls is None:
            raise
        raise _to_langchain_error(cls, error) from error.__cause__


def _to_langchain_error(cls: type[core.QwenVLError], error: core.QwenVLError) -> core.QwenVLError:
    lifted = cls.__new__(cls, error.message)
    core.QwenVLError.__init__(
        lifted,
        error.message,
        code=error.code,
        status_code=error.status_code,
        request_id=error.request_id,
        partial=error.partial,
        hint=error.hint,
    )
    lifted.retry_after = error.retry_after
    if isinstance(lifted, langchain.OutputParserException):
        lifted.llm_output = error.partial
    return lifted.with_traceback(error.__traceback__)

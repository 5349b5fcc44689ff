"""LangChain integration for Alibaba's Qwen-VL models.

The modules of this package import LangChain's names from the modules that define them: importing them through the lazy
loaders of LangChain's packages takes longer than importing all modules of this package.
"""

from typing import TYPE_CHECKING, Any

from qwenvl_core.client.lazy_import import lazy_module, raise_missing_extra
from qwenvl_core.errors import QwenVLError

try:
    from langchain_qwenvl.chat_models import ChatQwenVL
    from langchain_qwenvl.content_blocks import register_translators
    from langchain_qwenvl.serialization import register_serializable
except ModuleNotFoundError as error:
    raise_missing_extra(error, "langchain_core", "langchain")
    raise

if TYPE_CHECKING:
    from langchain_qwenvl import document_loaders as _document_loaders
    from langchain_qwenvl import embeddings as _embeddings
    from langchain_qwenvl import exceptions as _exceptions
    from langchain_qwenvl import rerankers as _rerankers
    from langchain_qwenvl.document_loaders import Citation, QwenVLLoader, QwenVLParser, citation, highlight
    from langchain_qwenvl.embeddings import QwenVLEmbeddings
    from langchain_qwenvl.exceptions import (
        QwenVLAPIError,
        QwenVLArrearageError,
        QwenVLAuthenticationError,
        QwenVLConnectionError,
        QwenVLContentFilterError,
        QwenVLContextOverflowError,
        QwenVLInputError,
        QwenVLInputOverflowError,
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
    from langchain_qwenvl.rerankers import QwenVLReranker
else:
    _embeddings = lazy_module("langchain_qwenvl.embeddings")
    _rerankers = lazy_module("langchain_qwenvl.rerankers")
    _document_loaders = lazy_module("langchain_qwenvl.document_loaders")
    _exceptions = lazy_module("langchain_qwenvl.exceptions")

__all__ = [
    "ChatQwenVL",
    "Citation",
    "QwenVLAPIError",
    "QwenVLArrearageError",
    "QwenVLAuthenticationError",
    "QwenVLConnectionError",
    "QwenVLContentFilterError",
    "QwenVLContextOverflowError",
    "QwenVLEmbeddings",
    "QwenVLError",
    "QwenVLInputError",
    "QwenVLInputOverflowError",
    "QwenVLInvalidRequestError",
    "QwenVLLoader",
    "QwenVLMissingKeyError",
    "QwenVLModelNotFoundError",
    "QwenVLNotFoundError",
    "QwenVLOutputError",
    "QwenVLParser",
    "QwenVLPermissionDeniedError",
    "QwenVLQuotaExceededError",
    "QwenVLRateLimitError",
    "QwenVLReranker",
    "QwenVLStreamInterruptedError",
    "QwenVLTimeoutError",
    "citation",
    "highlight",
]

register_translators()
register_serializable(ChatQwenVL)


def __getattr__(name: str) -> Any:
    """Import what is not a chat model on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.endswith("Error"):
        return getattr(_exceptions, name)
    modules = {"QwenVLEmbeddings": _embeddings, "QwenVLReranker": _rerankers}
    return getattr(modules.get(name, _document_loaders), name)


def __dir__() -> list[str]:
    """Include the names that are not imported yet."""
    return sorted({*globals(), *__all__})

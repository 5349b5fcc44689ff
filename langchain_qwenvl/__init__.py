"""Qwen-VL in LangChain.

These modules import what they need of LangChain from where it is defined: a name taken from one of its packages is
looked up by that package's lazy loader, which costs more than all of our own code.
"""

from typing import TYPE_CHECKING, Any

from langchain_qwenvl import content_blocks as _blocks
from langchain_qwenvl import serialization as _loading
from langchain_qwenvl.chat_models import ChatQwenVL

if TYPE_CHECKING:
    from langchain_qwenvl.document_loaders import Citation, QwenVLLoader, QwenVLParser, citation, highlight

__all__ = ["ChatQwenVL", "Citation", "QwenVLLoader", "QwenVLParser", "citation", "highlight"]

_blocks.register()
_loading.register(ChatQwenVL)


def __getattr__(name: str) -> Any:
    """What is for documents is imported when it is asked for: chats do without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from langchain_qwenvl import document_loaders

    return getattr(document_loaders, name)

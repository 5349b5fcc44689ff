"""LlamaIndex integration for Alibaba's Qwen-VL models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qwenvl_core.client.lazy_import import raise_missing_extra
from qwenvl_core.errors import QwenVLError

try:
    from llama_index_qwenvl.llm import QwenVL
except ModuleNotFoundError as error:
    raise_missing_extra(error, "llama_index.core", "llama-index")
    raise

if TYPE_CHECKING:
    from llama_index_qwenvl.embeddings import QwenVLEmbedding
    from llama_index_qwenvl.readers import Citation, QwenVLReader, citation, highlight
    from llama_index_qwenvl.rerankers import QwenVLRerank
    from llama_index_qwenvl.video_blocks import video, video_frames

__all__ = [
    "Citation",
    "QwenVL",
    "QwenVLEmbedding",
    "QwenVLError",
    "QwenVLReader",
    "QwenVLRerank",
    "citation",
    "highlight",
    "video",
    "video_frames",
]

_MODULES = {
    "QwenVLEmbedding": "embeddings",
    "QwenVLRerank": "rerankers",
    "video": "video_blocks",
    "video_frames": "video_blocks",
}
"""Modules of the names that are imported on first use; the others are in `readers`."""


def __getattr__(name: str) -> Any:
    """Import what is not a chat model on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'readers')}"), name)

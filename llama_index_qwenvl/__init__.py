"""LlamaIndex integration for Alibaba's Qwen-VL models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llama_index_qwenvl.llm import QwenVL
from qwenvl_core.errors import QwenVLError

if TYPE_CHECKING:
    from llama_index_qwenvl.readers import Citation, QwenVLReader, citation, highlight
    from llama_index_qwenvl.video_blocks import video, video_frames

__all__ = ["Citation", "QwenVL", "QwenVLError", "QwenVLReader", "citation", "highlight", "video", "video_frames"]


def __getattr__(name: str) -> Any:
    """Import the document reader and the video blocks on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{'video_blocks' if name.startswith('video') else 'readers'}")
    return getattr(module, name)

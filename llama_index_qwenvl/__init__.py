"""Qwen-VL in LlamaIndex."""

from typing import TYPE_CHECKING, Any

from llama_index_qwenvl.llm import QwenVL
from llama_index_qwenvl.videos import video, video_frames

if TYPE_CHECKING:
    from llama_index_qwenvl.reader import Citation, QwenVLReader, citation, highlight

__all__ = ["Citation", "QwenVL", "QwenVLReader", "citation", "highlight", "video", "video_frames"]


def __getattr__(name: str) -> Any:
    """What is for documents is imported when it is asked for: chats do without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from llama_index_qwenvl import reader

    return getattr(reader, name)

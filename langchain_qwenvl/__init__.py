"""Qwen-VL in LangChain."""

from langchain_qwenvl import blocks as _blocks
from langchain_qwenvl.chat_models import ChatQwenVL

__all__ = ["ChatQwenVL"]

_blocks.register()

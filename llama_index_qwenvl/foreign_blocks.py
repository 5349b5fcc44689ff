"""List the blocks of files, and find a model's output in messages of other roles."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    DocumentBlock,
    ImageBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from qwenvl_core.types.location import Location
from qwenvl_core.types.messages import Omission
from qwenvl_core.types.omissions import CALLS_LEFT_OUT, REASONING_LEFT_OUT

FILE_BLOCKS: tuple[tuple[type, str], ...] = (
    (ImageBlock, "image"), (VideoBlock, "video"), (AudioBlock, "audio"), (DocumentBlock, "file")
)  # fmt: skip
"""Blocks of files, and what each is called in words."""


def find_omission(block: Any, location: Location) -> Omission | None:
    """Return what is reported of reasoning or a call outside an assistant message; `None` for other blocks."""
    if isinstance(block, ThinkingBlock):
        return Omission(REASONING_LEFT_OUT, str(location))
    if isinstance(block, ToolCallBlock):
        return Omission(CALLS_LEFT_OUT, str(location))
    return None

"""Convert blocks of tool results and answers, which any tool or any provider's model may have written.

Nothing raises: what the model can't see is described in words or left out, and reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from llama_index_qwenvl.input_blocks import BlockContext, convert_block
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.descriptions import describe_unseen, get_reason, shorten_strings
from qwenvl_core.types.location import Location
from qwenvl_core.types.messages import Omission, Part, TextPart
from qwenvl_core.types.omissions import (
    CALLS_LEFT_OUT,
    MEDIA_LEFT_OUT,
    REASONING_LEFT_OUT,
    RECORDS_LEFT_OUT,
    UNSEEN_DESCRIBED,
)

_FILE_BLOCKS: tuple[tuple[type, str], ...] = (
    (ImageBlock, "image"), (VideoBlock, "video"), (AudioBlock, "audio"), (DocumentBlock, "file")
)  # fmt: skip
"""Blocks of files, and what each is called in words."""
_MIME_FIELDS = ("image_mimetype", "video_mimetype", "document_mimetype", "format")


def find_omission(block: Any, location: Location) -> Omission | None:
    """Return what is reported of reasoning or a call outside an assistant message; `None` for other blocks."""
    if isinstance(block, ThinkingBlock):
        return Omission(REASONING_LEFT_OUT, str(location))
    if isinstance(block, ToolCallBlock):
        return Omission(CALLS_LEFT_OUT, str(location))
    return None


def convert_answer_block(block: Any, context: BlockContext) -> Iterator[Part | Omission]:
    """Convert a block of an assistant message, except thinking and calls; media are moved to a user message later."""
    context = replace(context, location=replace(context.location, role="tool"))  # as in results, no string is a path
    is_file = any(isinstance(block, block_class) for block_class, _ in _FILE_BLOCKS)
    try:
        yield from list(convert_block(block, context))
    except QwenVLInputError as error:
        if is_file:
            yield Omission(MEDIA_LEFT_OUT, error.message.rstrip("."))
        else:
            yield Omission(RECORDS_LEFT_OUT, str(context.location))


def convert_result_block(block: Any, context: BlockContext) -> Iterator[Part | Omission]:
    """Convert a block of a tool result."""
    location = context.location
    if omission := find_omission(block, location):
        yield omission
    elif isinstance(block, CitableBlock | CitationBlock):
        yield TextPart(f"{block.title} ({block.source})" if block.source not in ("", block.title) else block.title)
        for nested in block.nested_blocks:
            yield from convert_result_block(nested, context)
    else:
        try:
            yield from list(convert_block(block, context))
        except QwenVLInputError as error:
            reason = get_reason(error.message, str(location))
            yield TextPart(_describe(block, reason))
            yield Omission(UNSEEN_DESCRIBED, f"{location}: {reason}")


def _describe(block: Any, reason: str) -> str:
    """Describe a file by its name, type and URI, and another block by its JSON."""
    for block_class, kind in _FILE_BLOCKS:
        if isinstance(block, block_class):
            path = getattr(block, "path", None)
            mime = next((str(getattr(block, name)) for name in _MIME_FIELDS if getattr(block, name, None)), "")
            return describe_unseen(
                kind,
                name=str(getattr(block, "title", None) or (Path(path).name if path else "")),
                mime=mime,
                uri=str(getattr(block, "url", None) or ""),
                reason=reason,
            )
    return json.dumps(shorten_strings(block.model_dump(exclude={"block_type"})), ensure_ascii=False, default=str)

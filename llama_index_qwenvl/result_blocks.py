"""Convert the content of tool results, which any tool may have returned.

Nothing raises, since a tool result must not end an agent: what the model can't see is described in words and reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import CitableBlock, CitationBlock

from llama_index_qwenvl.foreign_blocks import FILE_BLOCKS, find_omission
from llama_index_qwenvl.input_blocks import BlockContext, convert_block
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.descriptions import describe_unseen, get_reason, shorten_strings
from qwenvl_core.types.messages import Omission, Part, TextPart
from qwenvl_core.types.omissions import UNSEEN_DESCRIBED

_MIME_FIELDS = ("image_mimetype", "video_mimetype", "document_mimetype", "format")


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
    for block_class, kind in FILE_BLOCKS:
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

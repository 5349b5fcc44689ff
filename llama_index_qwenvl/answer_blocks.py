"""Convert the content of assistant messages, which any provider's model may have written.

Nothing raises: records of a provider's own doings, and media that can't be sent, are left out and reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from llama_index_qwenvl.foreign_blocks import FILE_BLOCKS
from llama_index_qwenvl.input_blocks import BlockContext, convert_block
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.messages import Omission, Part
from qwenvl_core.types.omissions import MEDIA_LEFT_OUT, RECORDS_LEFT_OUT


def convert_answer_block(block: Any, context: BlockContext) -> Iterator[Part | Omission]:
    """Convert a block of an assistant message, except thinking and calls; media are moved to a user message later."""
    context = replace(context, location=replace(context.location, role="tool"))  # as in results, no string is a path
    is_file = any(isinstance(block, block_class) for block_class, _ in FILE_BLOCKS)
    try:
        yield from list(convert_block(block, context))
    except QwenVLInputError as error:
        if is_file:
            yield Omission(MEDIA_LEFT_OUT, error.message.rstrip("."))
        else:
            yield Omission(RECORDS_LEFT_OUT, str(context.location))

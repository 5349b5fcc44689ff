"""Locate a content block in the caller's messages, for error messages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.messages import Role


@dataclass(frozen=True, slots=True)
class Location:
    """The position of a content block.

    Attributes:
        message: Index of the message in the conversation.
        block: Index of the block in the message's content.
        role: Role of the message; it decides which blocks are allowed.
        block_type: The framework's name for the block's type.
        attribute: The message attribute that holds the blocks: `content` in LangChain, `blocks` in LlamaIndex.
        item: Where the block is if it is not in a message but among the items of an embedding or a ranking.
    """

    message: int
    block: int
    role: Role
    block_type: str = "text"
    attribute: str = "content"
    item: str = ""

    def __str__(self) -> str:
        if self.item:
            return f"{self.item} ({self.block_type})"
        return f"messages[{self.message}].{self.attribute}[{self.block}] ({self.block_type})"

    def with_type(self, block_type: str) -> Location:
        """Return the same location with the type of its block."""
        return replace(self, block_type=block_type)

    def error(self, reason: str) -> QwenVLInputError:
        """Create an error whose message begins with this location."""
        return QwenVLInputError(f"{self}: {reason}")

"""Read the reasoning that models of any provider left in the messages of a framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXT_KEYS = (
    "reasoning",  # LangChain's standard blocks
    "thinking",  # Anthropic and Gemini; a list in Mistral's
    "reasoning_content",  # Qwen, DeepSeek, Bedrock; a mapping in Bedrock's
    "reasoning_text",  # Bedrock
    "text",  # the pieces of the lists below, and Bedrock
    "summary",  # OpenAI Responses: a list
    "content",  # OpenAI Responses of open models: a list
)
"""Keys of the text of reasoning, in the order in which they are tried."""

MESSAGE_KEYS = ("reasoning_content", "reasoning", "thinking", "thinking_blocks", "reasoning_details")
"""Keys of a message's `additional_kwargs` with its reasoning, in the order in which they are tried."""


def read_reasoning_text(value: Any) -> str:
    """Return the text of reasoning in any form: a string, a block, or a list of blocks; "" if it is encrypted."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return next(filter(None, (read_reasoning_text(value.get(key)) for key in _TEXT_KEYS)), "")
    if isinstance(value, list | tuple):
        # Summaries are paragraphs; other lists hold the pieces of a stream.
        is_summary = any(isinstance(item, Mapping) and item.get("type") == "summary_text" for item in value)
        return ("\n" if is_summary else "").join(filter(None, map(read_reasoning_text, value)))
    return ""


def read_message_reasoning(extra_fields: Mapping[str, Any]) -> str:
    """Return the reasoning in a message's `additional_kwargs`; "" without any."""
    return next(filter(None, (read_reasoning_text(extra_fields.get(key)) for key in MESSAGE_KEYS)), "")
